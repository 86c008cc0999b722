"""nightmill agent compare: what is shown of agents is what their tasks came to; run --assign random draws one of several and says so."""
import unittest

from gateway import Asking, gateway_port
from harness import CANARY_KEY, Terminal, script
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK
from test_agents import RIGHT, Foreign


class Record(Foreign):
    def setUp(self):
        super().setUp()
        self.scripted = self.model(script(RIGHT), key=CANARY_KEY)
        self.nm.env["NIGHTMILL_MODEL_KEY"] = CANARY_KEY

    def records(self, *flags):
        found = self.nm.json("agent", "compare", *flags)["records"]
        return {tuple(r[k] for k in ("agent", "version", "model", "kind") if r[k] is not None): r for r in found}

    def test_the_record_is_what_happened(self):
        self.assertEqual(self.records(), {})
        self.assertIn("nightmill run --agent", self.nm.run("agent", "compare", code=0).err)
        rates = self.price()
        _, good = self.agent("work", code=0)
        answers = list(self.scripted.answers())
        _, idle = self.agent("nothing", flags=("--iterations", "1"), name="other")
        self.assert_state(good, "done")
        record = self.records()[("command",)]
        # One that stays behind its limit of iterations has not ended: it rests there.
        ended = idle["state"] in ("done", "unproven", "failed", "stopped")
        self.assertEqual((record["runs"], record["done"], record["ended"], record["limited"]), (2, 1, 1 + ended, idle["state"] == "paused"), (record, idle))
        self.assertTrue(record["few"])
        self.assertEqual((record["requests"], record["kept"], record["unpriced"]), (len(answers), 0, 0))
        self.assertEqual(record["output"], sum(a["usage"]["output"] for a in answers))
        self.assertEqual([c["currency"] for c in record["costs"]], ["USD"])
        self.assert_money(record["costs"][0]["total"], self.cost(answers, rates))
        self.assert_money(record["costs"][0]["per_done"], self.cost(answers, rates))
        self.assertEqual(record["iterations_median"], 1)
        self.assertGreater(record["worked_median_ns"], 0)
        # Groupings and filters.
        self.assertEqual(list(self.records("--by", "model")), [("command", "scripted")])
        self.assertEqual(list(self.records("--by", "kind")), [("command", "simple")])
        self.assertEqual(self.records("--project", str(self.folder / "project"))[("command",)]["runs"], 1)
        self.assertEqual(self.records("--project", "/none"), {})
        self.assertEqual(self.records("--assigned"), {})
        self.assertEqual(list(self.records("codex", "command", "--last", "1h")), [("command",)])
        self.assertEqual(self.records("codex"), {})

    def test_shown_side_by_side(self):
        self.agent("work", code=0)
        ended = self.nm.run("agent", "compare", code=0)
        head, line = ended.out.splitlines()
        row = dict(zip(head.split("\t"), line.split("\t")))
        self.assertEqual((row["agent"], row["ended"], row["done"]), ("command", "1 of 1", "1 (100%)"))
        self.assertIn("Fewer than 5 ended runs say little: command (1)", ended.err)
        self.assert_clean_bytes(ended.raw_out, "compare")
        terminal = Terminal(self.nm.command("agent", "compare"), str(self.folder), self.nm.env)
        terminal.expect(rb"iterations, median +1")
        self.assertEqual(terminal.end(), 0)

    def test_drawn_at_random(self):
        seen = set()
        for number in range(2):
            _, task = self.agent("work", agent="command,builtin", flags=("--assign", "random"), code=0, name=f"p{number}")
            spec = self.nm.json("show", task["id"])["spec"]
            draw = {"of": "agent", "how": "random", "from": ["command", "nightmill"], "drawn": spec.get("agent", {}).get("name", "nightmill"), "probability": "1/2"}
            self.assertEqual(spec["assignment"], [draw])
            created = self.nm.events(task["id"], "task.created")[0]["data"]
            self.assertEqual((created["assignment"], created["agent"]), ([draw], draw["drawn"]))
            seen.add(draw["drawn"])
        self.agent("work", code=0, name="chosen")
        self.assertEqual(sum(r["runs"] for r in self.records("--assigned").values()), 2)
        self.assertEqual({name for (name,) in self.records("--assigned")}, seen)
        self.assertEqual(sum(r["runs"] for r in self.records().values()), 3)

    def test_models_are_drawn_likewise(self):
        _, task = self.agent("work", flags=("--model", "scripted,second", "--assign", "random", "--detach"), code=0)
        spec = self.nm.json("show", task["id"])["spec"]
        self.assertEqual(spec["agent"]["name"], "command")
        self.assertEqual(spec["assignment"], [{"of": "model", "how": "random", "from": ["scripted", "second"], "drawn": spec["model"]["name"], "probability": "1/2"}])
        self.nm.wait_state(task["id"], ("done", "needs_you", "failed", "paused", "unproven"))
        ended = self.nm.run("run", PLAIN_TASK, "--model", "second,second", "--assign", "random", cwd=self.repo_.path)
        self.assert_one_sentence(ended, "--model names second twice")

    def test_wrong_draws_begin_nothing(self):
        repo = self.repo(PLAIN)
        for flags, *words in ((("--agent", "command,nobody"), "there is no agent nobody", "nightmill agent ls"),
                              (("--agent", "command,codex"), "codex is not installed", "nightmill agent install codex"),
                              (("--agent", "command,command"), "command twice"),
                              (("--agent", "nightmill,builtin"), "nightmill twice"),
                              (("--agent", "command,,builtin"), "empty name"),
                              (("--agent", "command"), "several names"),
                              (("--agent", "command,builtin", "--replay", "none.json"), "does not go with --replay"),
                              ((), "several names")):
            ended = self.nm.run("run", PLAIN_TASK, *flags, "--assign", "random", "--check", PLAIN_CHECK, cwd=repo.path)
            self.assertNotEqual(ended.code, 0, flags)
            self.assert_one_sentence(ended, *words)
        self.assertEqual(self.nm.tasks(), [])

    def test_a_draw_that_is_not_true_is_refused(self):
        _, task = self.agent("work", code=0)
        spec = self.nm.json("show", task["id"])["spec"]
        true = {"of": "agent", "how": "random", "from": ["command", "codex"], "drawn": "command", "probability": "1/2"}
        for lie in ({"drawn": "codex"}, {"probability": "1/3"}, {"from": ["command"]}, {"from": ["command", "command"]}, {"of": "weather"}, {"from": {}}):
            status, answer = self.nm.api("POST", "/api/v1/tasks", {**spec, "assignment": [{**true, **lie}]})
            self.assertEqual(status, 400, (lie, answer))
        for wrong in ({}, [], "x", [true, true, true]):
            self.assertEqual(self.nm.api("POST", "/api/v1/tasks", {**spec, "assignment": wrong})[0], 400, wrong)
        self.assertEqual(self.nm.api("POST", "/api/v1/tasks", {**spec, "kind": "odd"})[0], 400)

    def test_a_key_of_a_project_sees_its_own_alone(self):
        self.nm.env["NIGHTMILL_SERVER_ADDRESS"] = "127.0.0.1:0"
        self.agent("work", code=0)
        self.agent("work", code=0, name="other")
        port = gateway_port(self.nm)
        mine = self.nm.json("key", "create", "mine", "--access", "read", "--project", str(self.folder / "project"))["key"]
        strange = self.nm.json("key", "create", "strange", "--access", "read", "--project", "/elsewhere")["key"]

        def runs(key, query=""):
            got = Asking(port, "GET", "/api/v1/agents/record" + query, b"", {"Authorization": f"Bearer {key}"} if key else {}).end()
            return sum(r["runs"] for r in got.json()["records"]) if got.status == 200 else got.status

        self.assertEqual((runs(mine), runs(strange), runs("")), (1, 0, 401))
        self.assertEqual(runs(mine, f"?project={self.folder}/other"), 404)
        self.assertEqual(sum(r["runs"] for r in self.records().values()), 2)

    def test_words_of_refusals(self):
        self.assert_one_sentence(self.nm.run("agent", "ls", "--by", "kind", code=2), "belongs to nightmill agent compare")
        self.assert_one_sentence(self.nm.run("agent", "probe", "pi", "goose", code=2), "takes one agent")
        self.nm.run("daemon", "start", code=0)
        status, answer = self.nm.api("GET", "/api/v1/agents/record?by=weather")
        self.assertEqual(status, 400, answer)


if __name__ == "__main__":
    unittest.main()
