"""The record of model requests: what is kept, without secrets; recordings of a task and their replay without any network."""
import json
import os
import stat

from harness import CANARY_KEY, Case, finish, run, script, turn, wait_for, write
from projects import CALC, PLAIN, PLAIN_CHECK, PLAIN_TASK, TASK, UNITTEST, plain_honest, second_try

HOSTILE = "\x1b]0;title\x07\x1b[31mred\u202e"


class Record(Case):
    def requests(self, *flags):
        return self.nm.json("request", "ls", *flags)["requests"]

    def test_metadata_is_kept_and_bodies_are_not(self):
        model = self.model(script(plain_honest()))
        rates = self.price()
        _, task = self.do(self.repo(PLAIN), PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        rows = self.requests("--task", task["id"])
        answers = model.answers()
        self.assertEqual(len(rows), len(answers))
        for row, answer in zip(reversed(rows), answers):
            self.assertEqual((row["state"], row["outcome"], row["status"], row["client"]), ("done", "served", 200, "run"))
            self.assertEqual({k: row["usage"][k] for k in ("input", "cache_read", "output")}, {k: answer["usage"][k] for k in ("input", "cache_read", "output")})
            self.assert_money(row["cost"], self.cost([answer], rates))
            self.assertEqual(len(row["attempts"]), 1)
            self.assertGreater(row["request_bytes"], 0)
            self.assertGreater(row["answer_bytes"], 0)
            self.assertEqual((row["request_body"], row["answer_body"]), ("", ""))
            shown = self.nm.json("request", "show", row["id"], "--body")
            self.assertIsNone(shown["request"])
            self.assertIsNone(shown["answer"])
        self.assertEqual(self.requests("--outcome", "failed"), [])
        self.assertEqual(self.requests("--task", "0000000"), [])
        first = self.requests("-n", "1")
        self.assertEqual([r["id"] for r in first + self.requests("--before", first[0]["number"])], [r["id"] for r in rows])

    def test_bodies_are_kept_without_secrets_and_shown_without_escapes(self):
        key = "AIza" + "Sy0123456789abcdefghijklmnopqrstu"
        said = f"The key is {CANARY_KEY}, {key}; {HOSTILE}"
        model = self.model(script([turn(run(f"printf '%s' '{key}'"), text=said), *plain_honest()]), key=CANARY_KEY)
        self.nm.env.update({"NIGHTMILL_MODEL_KEY": CANARY_KEY, "NIGHTMILL_RECORD_KEEP": "full"})
        _, task = self.do(self.repo(PLAIN), PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        rows = self.requests("--task", task["id"])
        bodies = [self.nm.json("request", "show", row["id"], "--body") for row in rows]
        self.assertEqual(len(bodies), len(model.answers()))
        for body in bodies:
            self.assertEqual((body["request_body"], body["answer_body"]), ("whole", "whole"))
            json.loads(body["request"]["text"])  # redaction leaves JSON whole
            for secret in (CANARY_KEY, key):
                self.assertNotIn(secret, json.dumps(body))
        self.assertIn("[redacted:", bodies[0]["request"]["text"])
        for flags in ((), ("--body",)):
            shown = self.nm.run("request", "show", rows[0]["id"], *flags, code=0)
            self.assert_clean_bytes(shown.raw_out, "request show")
        self.assert_clean_bytes(self.nm.run("request", "ls", code=0).raw_out, "request ls")

    def test_a_daemon_that_is_killed_leaves_the_request_marked(self):
        model = self.model(script([turn(write("file.txt", "one\ntwo\n"), text="slowly", wait_for="go"), turn(finish("Added."))]))
        repo = self.repo(PLAIN)
        process = self.nm.start("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=repo.path)
        task = self.nm.newest()
        self.wait_open(task)
        self.nm.kill9("server")
        model.open_gate("go")
        self.assertEqual(process.wait(100), 0, process.err.read_text())
        rows = self.requests("--task", task)
        self.assertEqual(rows[-1]["state"], "incomplete")
        self.assertEqual([r["outcome"] for r in rows[:-1]], ["served"] * 2)

    def wait_open(self, task):
        wait_for("the record of a request under way", 30, lambda: [r for r in self.nm.api("GET", f"/api/v1/requests?task={task}")[1]["requests"] if r["state"] == "open"])


class Recording(Case):
    """A job is recorded once and played back where there is no model and no key."""
    seconds = 180

    def test_a_run_is_played_back_without_network(self):
        file = self.folder / "run.jsonl"
        model = self.model(script(*second_try()), key=CANARY_KEY)
        self.nm.env["NIGHTMILL_MODEL_KEY"] = CANARY_KEY
        repo = self.repo(CALC)
        _, first = self.do(repo, TASK, "--check", UNITTEST, "--record", file, code=0)
        self.assertEqual(stat.S_IMODE(os.stat(file).st_mode), 0o600)
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        self.assertEqual((lines[0]["nightmill"], lines[0]["task"]), ("recording", first["id"]))
        self.assertEqual(len(lines) - 1, len(model.answers()))
        self.assertNotIn(CANARY_KEY, file.read_text())
        asked = len(model.requests())
        model.close()
        self.nm.stop_daemon()
        del self.nm.env["NIGHTMILL_MODEL_KEY"], self.nm.env["NIGHTMILL_MODEL_URL"]

        ended, second = self.do(repo, TASK, "--check", UNITTEST, "--replay", file, "--budget", "0.01", code=0)
        self.assert_state(second, "done")
        self.assertNotEqual(second["id"], first["id"])
        self.assertEqual(second["iteration"], first["iteration"])
        self.assertEqual(repo.git("rev-parse", f"{first['commit']}^{{tree}}"), repo.git("rev-parse", f"{second['commit']}^{{tree}}"))
        self.assertEqual(len(model.requests()), asked)
        ledger = self.nm.ledger(second["id"])
        self.assertEqual(len(ledger["rows"]), asked)
        self.assertEqual({(r["cost"], r["priced"]) for r in ledger["rows"]}, {("0.00", True)})
        self.assert_money(ledger["spent"]["total"], 0)
        rows = self.nm.json("request", "ls", "--task", second["id"])["requests"]
        self.assertEqual([r["outcome"] for r in rows], ["replayed"] * asked)

        # The same file once more from the records; another task is not in it.
        again = self.folder / "again.jsonl"
        self.nm.run("request", "export", first["id"], again, code=0)
        self.assertEqual(again.read_text().splitlines()[1:], file.read_text().splitlines()[1:])
        ended, third = self.do(repo, "Do something else", "--check", UNITTEST, "--replay", file)
        self.assertNotEqual(ended.code, 0)
        self.assertRegex(third["words"] + ended.err, "recording has no answer")
        self.assert_one_sentence(self.nm.run("run", TASK, "--replay", self.folder / "nothing", cwd=repo.path), "recording")
        self.assert_one_sentence(self.nm.run("run", TASK, "--replay", "/dev/null", cwd=repo.path), "recording")

    def test_what_was_not_kept_cannot_be_exported(self):
        self.model(script(plain_honest()))
        _, task = self.do(self.repo(PLAIN), PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        file = self.folder / "out.jsonl"
        ended = self.nm.run("request", "export", task["id"], file)
        self.assertNotEqual(ended.code, 0)
        self.assert_one_sentence(ended, "--record")
        self.assertFalse(file.exists())
        self.assert_one_sentence(self.nm.run("request", "export", "0000000", file))
