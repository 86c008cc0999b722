"""The record of model requests: what is kept, without secrets; recordings of a task and their replay without any network."""
import json
import os
import re
import stat
import time
import urllib.parse

from gateway import UPSTREAM_KEY, Asking, GatewayCase, request_of
from harness import CANARY_KEY, Case, UnixConnection, finish, run, script, turn, wait_for, write
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


class Clients(GatewayCase):
    """Any client's requests: who asked, what was tried, what was answered, and figures of them."""
    daemon_env = {"NIGHTMILL_RECORD_KEEP": "full"}

    def setUp(self):
        super().setUp()
        self.provider("chat", "chat")
        self.provider("broken", "messages")
        self.token = self.key("mine", project="shop", user="ada")

    def rows(self, n, **query):
        def look():
            found = self.nm.api("GET", "/api/v1/requests?" + urllib.parse.urlencode(query))[1]["requests"]
            return found if len(found) >= n and all(r["state"] == "done" for r in found) else None
        found = wait_for(f"{n} records", 20, look)
        self.assertEqual(len(found), n)
        return found

    def show(self, row):
        return self.nm.api("GET", f"/api/v1/requests/{row['id']}")[1]

    def test_who_asked_and_what_came(self):
        got = self.ask("messages", "chat/fake", self.token, text="hello you", stream=True)
        self.assertEqual(got.status, 200, got)
        row = self.rows(1)[0]
        self.assertEqual(got.headers["x-nightmill-request"], row["id"])
        self.assertEqual((row["project"], row["user"], row["dialect"], row["model"], row["provider"], row["stream"], row["outcome"], row["status"]),
                         ("shop", "ada", "messages", "chat/fake", "chat", True, "served", 200))
        self.assertTrue(row["key"])
        self.assertEqual([(a["provider"], a["status"], a["code"]) for a in row["attempts"]], [("chat", 200, "ok")])
        shown = self.show(row)
        self.assertEqual(shown["answer"]["text"].encode(), got.body)
        self.assertEqual(json.loads(shown["request"]["text"]), request_of("messages", "chat/fake", text="hello you", stream=True)[1])
        self.assertEqual(row["answer_bytes"], len(got.body))
        self.assertLessEqual(row["first_byte_ms"], row["ms"])

    def test_failures_and_fallbacks(self):
        self.tier("C", "broken/fake+status=500", "chat/fake")
        self.assertEqual(self.ask("chat", "C", self.token).status, 200)
        self.assertNotEqual(self.ask("chat", "broken/fake+status=500", self.token).status, 200)
        self.assertEqual(self.ask("chat", "nobody/knows", self.token).status, 404)
        rows = self.rows(3)
        self.assertEqual([r["outcome"] for r in rows], ["refused", "failed", "served"])
        self.assertEqual([len(r["attempts"]) for r in rows], [0, 1, 2])
        self.assertEqual([(a["provider"], a["status"], a["code"]) for a in rows[2]["attempts"]], [("broken", 500, "upstream"), ("chat", 200, "ok")])
        self.assertTrue(rows[0]["words"])
        self.assertEqual([r["id"] for r in self.rows(1, outcome="failed")], [rows[1]["id"]])
        self.assertEqual([r["id"] for r in self.rows(1, status=4)], [rows[0]["id"]])

    def test_strangers_leave_no_record_and_keys_see_their_project(self):
        for key in (None, "nobody", "nm_" + "0" * 68):
            self.assertEqual(self.ask("chat", "chat/fake", key).status, 401)
        other = self.key("other", project="bank", access="admin")
        self.ask("chat", "chat/fake", self.token)
        self.ask("chat", "chat/fake", other, text=f"my key is {other} and that of the provider {UPSTREAM_KEY}")
        rows = self.rows(2)
        bearer = {"Authorization": f"Bearer {other}"}
        seen = Asking(self.port, "GET", "/api/v1/requests", headers=bearer).end().json()["requests"]
        self.assertEqual([r["id"] for r in seen], [rows[0]["id"]])
        self.assertEqual(Asking(self.port, "GET", f"/api/v1/requests/{rows[1]['id']}", headers=bearer).end().status, 404)
        shown = self.show(rows[0])
        for secret in (other, UPSTREAM_KEY):
            self.assertNotIn(secret, json.dumps(shown))
        self.assertIn("my key is [redacted:", shown["request"]["text"])

    def test_a_projects_policy(self):
        self.nm.run("request", "policy", "shop", "--keep", "none", code=0)
        time.sleep(2.5)  # a policy holds from the next tick on
        self.ask("chat", "chat/fake", self.token)
        self.ask("chat", "chat/fake", self.key("other", project="bank"))
        self.assertEqual([r["project"] for r in self.rows(1)], ["bank"])

    def test_figures(self):
        self.ask("chat", "chat/fake", self.token)
        self.ask("messages", "broken/fake+status=500", self.token)
        self.rows(2)
        connection = UnixConnection(str(self.nm.data / "run" / "nightmill.sock"), 20)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        for line in (r'nightmill_requests_total\{dialect="chat",provider="chat",model="[^"]+",status="2xx"\} 1', r'nightmill_attempts_total\{provider="chat",code="ok"\} 1',
                     r'nightmill_attempts_total\{provider="broken",code="upstream"\} 1', r'nightmill_first_byte_seconds_count\{provider="chat"\} 1',
                     r'nightmill_tokens_total\{model="[^"]+",kind="output"\} [1-9]\d*', r'nightmill_upstream_up\{provider="chat"\} 1', r'nightmill_requests_active 0'):
            self.assertRegex(text, re.compile(f"^{line}$", re.M))


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
