"""Somebody else's agents: programs that Nightmill starts in a sandbox, good ones and bad ones, judged by what they leave and never by what they say."""
import http.server
import json
import os
import pathlib
import signal
import socket
import threading
import time
import unittest

from harness import CANARY_KEY, PROGRAM, ROOT, Case, descendants, finish, run, script, turn, wait_for, write
from projects import CALC, PLAIN, PLAIN_CHECK, PLAIN_TASK, TASK, UNITTEST, second_try

RIGHT = [turn(write("file.txt", "one\ntwo\n"), text="I write it."), turn(finish("Done."))]


class Foreign(Case):
    """A daemon whose command agent is tests/fakes/agent.py."""
    seconds = 240

    def setUp(self):
        super().setUp()
        self.nm.env.update({"NIGHTMILL_AGENT_FOLDER": str(ROOT / "tests" / "fakes"), "NIGHTMILL_AGENT_OUTPUT": "lines", "NIGHTMILL_RETRY_FIRST": "1",
                            "NIGHTMILL_RETRY_MOST": "1", "NIGHTMILL_AGENT_GRACE": "1"})

    def deed(self, *words):
        return {"NIGHTMILL_AGENT_COMMAND": " ".join(["/usr/bin/python3", str(ROOT / "tests" / "fakes" / "agent.py"), *map(str, words)])}

    def agent(self, *words, plan=None, files=PLAIN, check=PLAIN_CHECK, text=PLAIN_TASK, flags=(), env=None, code=None, name="project", agent="command", seconds=150):
        """One run with the fake agent: (the command, the task)."""
        if not self.models:
            self.scripted = self.model(script(*(plan or [RIGHT])), key=CANARY_KEY)
            self.nm.env["NIGHTMILL_MODEL_KEY"] = CANARY_KEY
        self.repo_ = self.repo(files, name=name)
        self.before = self.repo_.state()
        return self.do(self.repo_, text, "--agent", agent, "--check", check, *flags, code=code, env={**self.deed(*words), **(env or {})}, seconds=seconds)

    def begin(self, *words, plan=None, flags=(), env=None, name="project"):
        """Starts one that does not end by itself; the task's id."""
        if not self.models:
            self.scripted = self.model(script(*(plan or [RIGHT])), key=CANARY_KEY)
            self.nm.env["NIGHTMILL_MODEL_KEY"] = CANARY_KEY
        self.repo_ = self.repo(PLAIN, name=name)
        ended = self.nm.run("run", PLAIN_TASK, "--agent", "command", "--check", PLAIN_CHECK, "--detach", *flags, cwd=self.repo_.path, env={**self.deed(*words), **(env or {})}, code=0)
        return ended.out.strip()

    def finished(self, task):
        return [e["data"] for e in self.nm.events(task["id"] if isinstance(task, dict) else task, "agent.finished")]

    def said(self, task):
        return [e["data"]["text"] for e in self.nm.events(task["id"] if isinstance(task, dict) else task, "agent.text")]

    def heard(self, task, word, seconds=60):
        wait_for(f"{word} of {task}", seconds, lambda: any(word in text for text in self.said(task)))

    def inside(self):
        """Processes of the sandboxes: what bubblewrap has started."""
        return [(pid, line) for pid, line in descendants(os.getpid(), {m.process.pid for m in self.models}) if "agent.py" in line or line.startswith("sleep 100") or "bwrap" in line]


class Honest(Foreign):
    def test_hello(self):
        ended, task = self.agent("work", code=0)
        self.assert_state(task, "done")
        self.assertEqual(self.repo_.show(task["branch"], "file.txt"), "one\ntwo")
        # Counted at the gateway, equal to the server's own count, as the agent's.
        answers, ledger = self.scripted.answers(), self.nm.ledger(task["id"])
        self.assertEqual(len(ledger["rows"]), len(answers))
        for row, answer in zip(sorted(ledger["rows"], key=lambda r: r["time"]), answers):
            self.assertEqual((row["input"], row["output"], row["iteration"]), (answer["usage"]["input"], answer["usage"]["output"], 1))
        groups = self.nm.api("GET", "/api/v1/ledger?by=agent")[1]["groups"]
        self.assertEqual([(g["agent"], g["requests"]) for g in groups], [("command", len(answers))])
        end = self.finished(task)[0]
        self.assertEqual((end["agent"], end["end"], end["turns"], end["tool_calls"], end["left"]), ("command", "done", 2, 2, 0), end)
        kinds = [e["type"] for e in self.nm.events(task["id"])]
        for kind in ("agent.started", "agent.text", "tool.started", "tool.finished", "agent.finished", "verdict"):
            self.assertIn(kind, kinds)
        # Nothing of its HOME stays, and the key of the model was never in reach.
        wait_for("the end of its home", 10, lambda: not (self.nm.data / "tasks" / task["id"] / "home").exists())
        self.assertNotIn(CANARY_KEY, (self.nm.data / "tasks" / task["id"] / "out" / "agent-1.log").read_text(encoding="utf-8"))
        self.assertIn("command came to its end", ended.err)

    def test_repaired_in_the_second_iteration_with_its_session(self):
        _, task = self.agent("session", plan=second_try(), files=CALC, check=UNITTEST, text=TASK, code=0)
        self.assert_state(task, "done")
        self.assertEqual(task["iteration"], 2)
        self.assertIn("session s-1 used 2 times", self.said(task))
        started = [e["data"]["resumed"] for e in self.nm.events(task["id"], "agent.started")]
        self.assertEqual(started, [False, True])
        # The second prompt holds how the check ended, and what may still be used.
        body = self.scripted.body(self.scripted.requests()[2])["messages"][0]["content"]
        for words in ("## Result of iteration 1", "this is 2 of", "Free alternatives first"):
            self.assertIn(words, body)

    def test_allowance(self):
        self.model(script(RIGHT), key=CANARY_KEY)
        self.scripted = self.models[0]
        self.nm.env.update({"NIGHTMILL_MODEL_KEY": CANARY_KEY})
        self.price()
        _, task = self.agent("work", flags=("--budget", "2.00", "--tokens", "500000", "--time", "1h"), code=0)
        self.assert_state(task, "done")
        body = self.scripted.body(self.scripted.requests()[0])["messages"][0]["content"]
        for words in ("money for this task: 2.00 USD of 2.00 USD are left", "tokens for this task: 500000 of 500000 are left", "time for this task:"):
            self.assertIn(words, body)

    def test_lost_session_begins_anew(self):
        _, task = self.agent("session", plan=second_try(), files={**CALC, "nightmill.yaml": "hooks:\n  after-iteration: [\"true\"]\n"}, check=UNITTEST, text=TASK, code=0)
        self.assert_state(task, "done")

    def test_record_and_replay(self):
        recording = str(self.folder / "run.jsonl")
        _, first = self.agent("work", plan=second_try(), files=CALC, check=UNITTEST, text=TASK, flags=("--record", recording), code=0)
        self.assert_state(first, "done")
        tree = self.repo_.head(first["branch"] + "^{tree}")
        self.scripted.close()  # no model is there any more
        _, again = self.agent("work", files=CALC, check=UNITTEST, text=TASK, flags=("--replay", recording), name="again", code=0)
        self.assert_state(again, "done")
        self.assertEqual(self.repo_.head(again["branch"] + "^{tree}"), tree)

    def test_agent_client_protocol(self):
        self.scripted = self.model(script([turn(text="I write it.")]))
        _, task = self.agent("acp", agent="acp", code=0)
        self.assert_state(task, "done")
        end = self.finished(task)[0]
        self.assertEqual((end["end"], end["turns"], end["tool_calls"]), ("done", 1, 1), end)
        self.assertIn("I write it.", self.said(task))

    def test_any_key_and_any_model(self):
        _, task = self.agent("wrong-key", code=0)
        self.assert_state(task, "done")
        self.assertEqual({r["model"] for r in self.nm.ledger(task["id"])["rows"]}, {"scripted"})

    def test_without_a_sandbox_the_token_is_the_key(self):
        _, task = self.agent("work", flags=("--no-sandbox",), code=0)
        self.assert_state(task, "done")
        _, task = self.agent("wrong-key", flags=("--no-sandbox", "--iterations", "1"), name="second")
        self.assertEqual([(e["end"], e["turns"]) for e in self.finished(task)][0][0], "failed")
        self.assertEqual(self.nm.ledger(task["id"])["rows"], [])

    def test_unknown_and_missing(self):
        self.model(script(RIGHT))
        repo = self.repo(PLAIN)
        ended = self.nm.run("run", PLAIN_TASK, "--agent", "nobody", "--check", PLAIN_CHECK, cwd=repo.path)
        self.assertNotEqual(ended.code, 0)
        self.assert_one_sentence(ended, "there is no agent nobody", "nightmill agent ls")


class Ends(Foreign):
    """Each end has its own word, and none of them is a proof."""
    WORDS = {"no_change": "came to its end and changed nothing", "refused": "was refused its tools", "failed": "failed", "died": "died", "timed_out": "ran out of time",
             "turns": "used up its model requests"}

    def end(self, deed, end, *words):
        ended, task = self.agent(deed, flags=("--iterations", "1"))
        self.assertIn(task["state"], ("paused", "needs_you"), task)
        found = self.finished(task)[0]
        self.assertEqual(found["end"], end, found)
        for word in words:
            self.assertIn(word, found["words"] + ended.err)
        shown = self.nm.run("show", task["id"], code=0).out
        self.assertRegex(shown, rf"agent +command {self.WORDS[end]}")
        self.assert_nothing_delivered(self.repo_, self.before)
        return found

    def test_nothing_done(self):
        self.end("nothing", "no_change", "changed nothing")

    def test_refused(self):
        self.end("refusal", "refused")

    def test_failed(self):
        self.assertEqual(self.end("fail", "failed", "cannot do it")["exit_code"], 3)

    def test_died(self):
        self.assertEqual(self.end("die", "died")["signal"], signal.SIGSEGV)

    def test_out_of_time(self):
        self.nm.env["NIGHTMILL_AGENT_TIME"] = "2"
        self.end("deaf", "timed_out")
        self.assertEqual(self.inside(), [])

    def test_out_of_requests(self):
        self.nm.env["NIGHTMILL_LIMITS_TURNS"] = "3"
        found = self.end("requests", "turns")
        self.assertEqual(found["turns"], 3)
        self.assertEqual(len(self.scripted.answers()), 3)

    def test_flood(self):
        self.nm.env["NIGHTMILL_AGENT_LOG"] = "5M"
        _, task = self.agent("flood", code=0)
        self.assert_state(task, "done")  # what it left was right: that decides
        found = self.finished(task)[0]
        self.assertEqual(found["end"], "failed")
        self.assertIn("its output passed 5 MiB", found["words"])
        self.assertLess((self.nm.data / "tasks" / task["id"] / "out" / "agent-1.log").stat().st_size, 6 << 20)

    def test_flood_of_events(self):
        ended, task = self.agent("flood-events", code=0, seconds=200)
        self.assert_state(task, "done")
        self.assertLess(len(self.nm.events(task["id"])), 2100)
        self.assert_clean_bytes(ended.raw_err, "the narration")


class Upstream(Foreign):
    """What the model's provider does is not the agent's fault."""

    def test_500_and_429(self):
        plan = [[{**RIGHT[0], "faults": [{"status": 500}, {"status": 429, "retry_after": 1}, {"status": 500, "times": 3}]}, RIGHT[1]]]
        _, task = self.agent("work", plan=plan, code=0)
        self.assert_state(task, "done")
        self.assertEqual([e["end"] for e in self.finished(task)], ["done"])
        self.assertEqual(task["iteration"], 1)

    def test_a_wrong_key_of_the_provider_asks_the_person(self):
        plan = [[{**RIGHT[0], "faults": [{"status": 401, "times": 50}]}, RIGHT[1]]]
        _, task = self.agent("work", plan=plan)
        self.assert_state(task, "needs_you", "key")
        self.assertEqual(self.finished(task), [])

    def test_budget(self):
        self.scripted = self.model(script(RIGHT), key=CANARY_KEY)
        self.nm.env["NIGHTMILL_MODEL_KEY"] = CANARY_KEY
        self.price(input="3000", output="15000")
        _, task = self.agent("work", flags=("--budget", "0.01"))
        self.assert_state(task, "paused", "limit_money")
        self.price()
        self.nm.run("resume", task["id"], "--budget", "9.00", code=0, env=self.deed("work"), seconds=100)
        self.assert_state(self.nm.wait_state(task["id"], ("done", "needs_you", "failed"), 60), "done")


class Cancelled(Foreign):
    def gone(self, task, state):
        self.nm.wait_state(task, state, 30)
        wait_for("no process left", 20, lambda: not self.inside())

    def test_in_the_middle_of_an_answer(self):
        task = self.begin("endless", plan=[[turn(text="slow " * 400, chunk=8, chunk_ms=100)]])
        self.heard(task, "STARTED")
        wait_for("the request", 30, lambda: self.scripted.requests())
        self.nm.run("stop", task, code=0)
        self.gone(task, "stopped")

    def test_deaf(self):
        task = self.begin("deaf")
        self.heard(task, "DEAF")
        self.nm.run("pause", task, code=0)
        self.gone(task, "paused")

    def test_double_fork(self):
        _, task = self.agent("fork", code=0)
        self.assert_state(task, "done")
        self.assertEqual(self.finished(task)[0]["left"], 1)
        self.assertEqual(self.inside(), [])


class Hostile(Foreign):
    def test_home(self):
        before = pathlib.Path("/etc/passwd").read_bytes()
        ended, task = self.agent("home", code=0)
        self.assert_state(task, "done")
        self.assertEqual(pathlib.Path("/etc/passwd").read_bytes(), before)
        self.assertFalse(os.path.exists("/tmp/owned"))

    def test_names(self):
        ended, task = self.agent("names", code=0)
        self.assert_state(task, "done")
        self.assert_clean_bytes(ended.raw_err, "the narration")
        shown = self.nm.run("show", task["id"], code=0)
        self.assert_clean_bytes(shown.raw_out, "show")
        self.assertFalse((self.repo_.path / "owned").exists())

    def test_git_configuration(self):
        _, task = self.agent("git", code=0)
        self.assert_state(task, "done")
        self.assertNotIn("WROTE .git/config", self.said(task))
        self.assertFalse(os.path.exists("/tmp/owned-by-git"))
        self.assertFalse([f for f in self.repo_.files(task["branch"]) if "/.git" in f])

    def test_nothing_is_reachable_but_the_gateway(self):
        with socket.create_server(("127.0.0.1", 0)) as host, socket.socket(socket.AF_UNIX) as abstract:
            abstract.bind("\0nightmill-test-abstract")
            abstract.listen()
            _, task = self.agent("look", host.getsockname()[1], self.nm.data, "nightmill-test-abstract", code=0)
        self.assert_state(task, "done")
        found = json.loads(next(t for t in self.said(task) if t.startswith("LOOKED"))[7:])
        self.assertEqual({k: v for k, v in found.items() if v}, {"gateway": True})

    def test_ten_thousand_connections_hurt_no_neighbour(self):
        crowd = self.begin("crowd", "10000", name="crowd")
        self.heard(crowd, "HOLDING", 90)
        began = time.monotonic()
        _, task = self.agent("work", code=0, name="neighbour")
        self.assert_state(task, "done")
        self.assertIsNotNone(self.nm.status())
        self.nm.wait_state(crowd, "done", 60)
        print(f"a neighbour beside 10,000 connections took {time.monotonic() - began:.1f} s")


class Outside(Foreign):
    """A way out where the operator opened one: through the proxy, judged, recorded, with secrets that the agent never holds."""

    def serve(self, seen):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append((self.path, self.headers.get("Authorization"), self.headers.get("X-Loot")))
                self.send_response(200)
                self.send_header("Content-Length", "5")
                self.end_headers()
                self.wfile.write(b"hello")

            def log_message(self, *words):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_address[1]

    def test_through_the_proxy(self):
        seen = []
        port = self.serve(seen)
        self.nm.env.update({"NIGHTMILL_EGRESS_HOSTS": f"docs.example.test:{port}", "NIGHTMILL_EGRESS_RESOLVE": "docs.example.test=127.0.0.1,evil.example.test=127.0.0.1",
                            "NIGHTMILL_EGRESS_SECRETS": f"TEST_SECRET=docs.example.test:{port}", "TEST_SECRET": CANARY_KEY})
        _, task = self.agent("fetch", f"http://docs.example.test:{port}/page", f"http://evil.example.test:{port}/", code=0)
        self.assert_state(task, "done")
        said = [t for t in self.said(task) if t.startswith(("FETCHED", "HOLDS"))]
        self.assertEqual(said[0], "FETCHED 200 hello", said)
        self.assertNotIn("200", said[1], said)
        self.assertNotIn("200", said[2], said)
        self.assertNotIn(CANARY_KEY, said[3])
        self.assertEqual(seen, [("/page", f"Bearer {CANARY_KEY}", None)])
        rows = wait_for("the rows", 20, lambda: len(r := self.nm.api("GET", f"/api/v1/traffic?task={task['id']}")[1]["traffic"]) >= 3 and r)
        self.assertEqual(sorted(r["verdict"] for r in rows), ["alarm", "allowed", "denied"])

    def test_setup_commands_have_a_way_of_their_own(self):
        seen = []
        port = self.serve(seen)
        self.nm.env.update({"NIGHTMILL_EGRESS_SETUP_HOSTS": f"packages.example.test:{port}", "NIGHTMILL_EGRESS_RESOLVE": "packages.example.test=127.0.0.1"})
        files = {**PLAIN, ".gitignore": "deps/\n", "nightmill.yaml": f"setup:\n  - mkdir -p deps && curl -sSf http://packages.example.test:{port}/package > deps/package\n",
                 "check.sh": PLAIN["check.sh"] + "grep -qx hello deps/package\n"}
        _, task = self.agent("look", port, self.nm.data, files=files, code=0)
        self.assert_state(task, "done")
        self.assertEqual(set(seen), {("/package", None, None)})  # once for the base and once for the files as they are now: no lock file says that they are alike
        found = json.loads(next(t for t in self.said(task) if t.startswith("LOOKED"))[7:])
        self.assertEqual({k: v for k, v in found.items() if v}, {"gateway": True})  # the agent has none
        rows = wait_for("the row", 20, lambda: self.nm.api("GET", f"/api/v1/traffic?task={task['id']}")[1]["traffic"])
        self.assertEqual({(r["phase"], r["verdict"]) for r in rows}, {("setup", "allowed")})

    def test_no_way_out_unless_it_is_opened(self):
        _, task = self.agent("look", 1, self.nm.data, code=0)
        found = json.loads(next(t for t in self.said(task) if t.startswith("LOOKED"))[7:])
        self.assertFalse(found["other ports"])


class Killed(Foreign):
    """kill -9 of the processes of ours while the agent works."""

    def setUp(self):
        super().setUp()
        self.plan = [[turn(write("file.txt", "half\n"), run("echo x >> log.txt")), turn(write("file.txt", "one\ntwo\n"), wait_for="go"), turn(finish("Done."))]]

    def middle(self):
        task = self.begin("work", plan=self.plan)
        wait_for("the agent's second request", 60, lambda: len(self.scripted.requests()) >= 2)
        return task

    def done(self, task):
        found = self.nm.wait_state(task, "done", 90)
        self.assertEqual(self.repo_.show(found["branch"], "file.txt"), "one\ntwo")
        self.assertEqual(self.repo_.show(found["branch"], "log.txt"), "x")  # once: the files were brought back first
        self.assertEqual(found["iteration"], 1)
        return found

    def test_runner(self):
        task = self.middle()
        self.nm.kill9("runner", task)
        self.scripted.open_gate("go")
        self.done(task)
        self.assertEqual(len(self.nm.events(task, "agent.started")), 2)

    def test_server(self):
        task = self.middle()
        self.nm.kill9("server")
        self.scripted.open_gate("go")
        self.done(task)
        self.assertEqual(len(self.nm.events(task, "agent.started")), 1)  # it went on, and asked again

    def test_daemon_stopped_and_started(self):
        task = self.middle()
        self.nm.stop_daemon()
        self.assertEqual(self.inside(), [])
        self.scripted.open_gate("go")
        self.nm.run("daemon", "start", code=0)
        found = self.nm.wait_state(task, "done", 90)
        self.assertEqual(self.repo_.show(found["branch"], "file.txt"), "one\ntwo")


class Boundaries(Foreign):
    """The runner or the server kills itself at a record: the task ends with the same files in the same number of iterations."""
    seconds = 600

    def setUp(self):
        super().setUp()
        self.plan = [[turn(write("file.txt", "one\nthree\n"), run("echo x >> log.txt")), turn(finish("Done."))],
                     [turn(run("sed -i s/three/two/ file.txt && echo y >> log.txt")), turn(finish("Done."))]]
        self.number = 0

    def outcome(self):
        self.number += 1
        task = self.begin("session", plan=self.plan, name=f"project-{self.number}")
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                found = self.nm.task(task)
                if found["state"] in ("done", "needs_you", "paused", "failed"):
                    break
            except (OSError, ValueError, AssertionError):
                pass
            time.sleep(0.1)
        self.assert_state(found, "done")
        return {"iterations": found["iteration"], "file": self.repo_.show(found["branch"], "file.txt"), "log": self.repo_.show(found["branch"], "log.txt"),
                "commits": self.repo_.git("rev-list", "--count", f"main..{found['branch']}"), "ends": [e["end"] for e in self.finished(task)]}

    def every(self, role, most, start, step):
        undisturbed, happened, before = self.outcome(), 0, dict(self.nm.env)
        for number in range(start, most, step):
            marker = self.folder / f"crash-{role}-{number}"
            self.nm.stop_daemon()
            self.nm.env.update({"NIGHTMILL_TEST_CRASH": f"{role}:{number}", "NIGHTMILL_TEST_CRASH_ONCE": str(marker)})
            try:
                with self.subTest(f"{role} at {number}"):
                    self.assertEqual(self.outcome(), undisturbed)
            finally:
                self.nm.env.clear()
                self.nm.env.update(before)
            if not marker.exists():
                break
            happened += 1
        print(f"{role}: killed {happened} times")
        self.assertGreater(happened, 2)

    def test_runner(self):
        self.every("runner", 100, 2, 5)

    def test_server(self):
        self.every("server", 100, 5, 7)  # by then the command has its answer


if __name__ == "__main__":
    unittest.main()
