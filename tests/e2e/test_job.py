"""The main job: a described change becomes a proven commit."""
import json
import re

from harness import CANARY_KEY, Case, edit, finish, run, script, tool, turn, wait_for, write
from projects import CALC, CALC_RED, NEW_TEST, PLAIN, PLAIN_CHECK, PLAIN_TASK, RIGHT, TASK, UNITTEST, honest, plain_honest, second_try


class MainJob(Case):
    """Failing check, second iteration, sealed check, commit, bill; over both wires."""
    seconds = 180

    def whole_job(self, wire):
        model = self.model(script(*second_try()), key=CANARY_KEY)
        self.nm.env.update({"NIGHTMILL_MODEL_WIRE": wire, "NIGHTMILL_MODEL_KEY": CANARY_KEY})
        rates = self.price()
        repo = self.repo(CALC)
        before = repo.state()
        ended, task = self.do(repo, TASK, "--check", UNITTEST, "--budget", "2.00", code=0)
        self.assert_state(task, "done")
        self.assertEqual(task["iteration"], 2)

        # The branch: one commit on the base with the right tree, by template.
        self.assertEqual(task["branch"], [b for b in repo.branches() if b.startswith("nightmill/")][0])
        self.assertRegex(task["branch"], rf"^nightmill/{task['id']}-[a-z0-9-]+$")
        self.assertEqual(repo.head(task["branch"]), task["commit"])
        self.assertEqual(repo.head(task["branch"] + "^"), before["head"])
        self.assertIn("return a + a", repo.show(task["branch"], "calc.py"))
        self.assertEqual(sorted(repo.files(task["branch"])), sorted([*CALC, "test_double.py"]))
        message = repo.git("log", "-1", "--format=%B", task["branch"])
        self.assertTrue(message.startswith(TASK), message)
        self.assertEqual(repo.git("log", "-1", "--format=%(trailers:key=Nightmill-Task,valueonly)", task["branch"]).strip(), task["id"])
        self.assertEqual(repo.git("log", "-1", "--format=%an <%ae>", task["branch"]), "Ada Miller <ada@example.org>")
        # The checkout is untouched.
        repo.git("branch", "-q", "-D", task["branch"])
        self.assertEqual(repo.state(), before)

        # The loop.
        events = self.nm.events(task["id"])
        self.assertEqual([e["number"] for e in events], list(range(1, len(events) + 1)))
        kinds = [e["type"] for e in events]
        self.assertEqual(kinds.count("iteration.started"), 2)
        self.assertEqual(kinds.count("iteration.committed"), 2)
        verdicts = [e["data"].get("verdict", e["data"]) for e in events if e["type"] == "verdict"]
        self.assertEqual([(v["outcome"], v["reason"]) for v in verdicts], [("red", "check_failed"), ("proven", verdicts[1]["reason"])])
        ran = {r["kind"] for r in verdicts[1]["runs"]}
        self.assertLessEqual({"delivered", "canary"}, ran)
        self.assertEqual(verdicts[1]["canary"], "trusted")
        self.assertEqual(verdicts[1]["proof"], "red_before_green", verdicts[1])

        # The money: ledger, show and the model's own count are one.
        answers = model.answers()
        self.assertEqual(len(answers), 4)
        self.assertEqual(len(model.requests()), 4)
        ledger = self.nm.ledger(task["id"])
        want = self.cost(answers, rates)
        self.assert_money(ledger["spent"]["settled"], want)
        self.assert_money(ledger["spent"]["held"], 0)
        for row, answer in zip(ledger["rows"], answers):
            self.assertEqual({k: row[k] for k in ("input", "cache_read", "output", "reasoning")}, {k: answer["usage"][k] for k in ("input", "cache_read", "output", "reasoning")})
            self.assertEqual(row["iteration"], answer["iteration"])
            self.assert_money(row["cost"], self.cost([answer], rates))
        shown = self.nm.json("show", task["id"])
        self.assert_money(shown["spent"]["settled"], want)
        usage = [e["data"] for e in events if e["type"] == "model.usage"]
        self.assertEqual(len(usage), 4)
        self.assert_money(usage[-1]["total"], want)
        # Every request carried the key, and only the model saw it.
        self.assertEqual({r["key_kind"] for r in model.requests()}, {"bearer" if wire != "messages" else "x-api-key"})
        return ended, task

    def test_over_chat_completions(self):
        ended, task = self.whole_job("chat")
        self.assertIn(task["branch"], ended.out + ended.err)
        self.assertRegex(ended.out + ended.err, r"\$0\.\d+")

    def test_over_messages(self):
        self.whole_job("messages")

    def test_json_of_a_run_is_one_document(self):
        self.model(script(honest()))
        repo = self.repo(CALC)
        document = self.nm.json("run", TASK, "--check", UNITTEST, cwd=repo.path, seconds=100)
        self.assertEqual(document["state"], "done")
        self.assertEqual(repo.head(document["branch"]), document["commit"])

    def test_the_agent_may_add_tests_to_an_existing_test_file(self):
        more = edit("test_calc.py", "        self.assertEqual(calc.add(2, 0), 2)\n",
                    "        self.assertEqual(calc.add(2, 0), 2)\n\n    def test_double(self):\n        self.assertEqual(calc.double(4), 8)\n")
        self.model(script([turn(RIGHT, more), turn(finish())]))
        _, task = self.do(self.repo(CALC), TASK, "--check", UNITTEST, code=0)
        self.assert_state(task, "done")

    def test_a_project_red_at_its_base_becomes_green(self):
        self.model(script([turn(RIGHT), turn(finish())]))
        repo = self.repo(CALC_RED)
        _, task = self.do(repo, "Make the tests pass", "--check", "make test", code=0)
        self.assert_state(task, "done")

    def test_several_checks_must_all_pass(self):
        self.model(script([turn(write("file.txt", "one\ntwo\n")), turn(finish())], [turn(write("other.txt", "x\n")), turn(finish())]))
        repo = self.repo(PLAIN)
        _, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, "--check", "test -f other.txt", code=0)
        self.assert_state(task, "done")
        self.assertEqual(task["iteration"], 2)

    def test_checks_of_the_project_file_come_from_the_base(self):
        repo = self.repo({**PLAIN, "nightmill.yaml": "checks:\n  lines:\n    command: sh check.sh\n    timeout: 30\n  spelling:\n    command: 'false'\n    required: false\n"})
        self.model(script(plain_honest()))
        _, task = self.do(repo, PLAIN_TASK, code=0)
        self.assert_state(task, "done")
        self.assertEqual({c["name"]: c["required"] for c in task["checks"]}, {"lines": True, "spelling": False})

    def test_checks_are_found(self):
        self.model(script(honest()))
        ended, task = self.do(self.repo(CALC), TASK, code=0)
        self.assert_state(task, "done")
        self.assertEqual(task["checks"][0]["command"], "make test")
        self.assertIn("make test", ended.out + ended.err)


class Road(Case):
    """How a run comes to its model, and what it leaves for the next one."""
    seconds = 180

    def test_a_model_that_only_the_gateway_knows(self):
        model = self.model(script(plain_honest(), plain_honest()))
        url = self.nm.env.pop("NIGHTMILL_MODEL_URL")
        self.nm.run("provider", "add", "local", "--kind", "compatible", "--url", url, code=0)
        self.nm.run("model", "add", "small", "--provider", "local", "--upstream", "scripted", code=0)
        nothing = self.nm.run("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=self.repo(PLAIN, name="none").path)
        self.assertNotEqual(nothing.code, 0)
        self.assertIn("no way to a model", nothing.err)
        self.nm.run("tier", "set", "A", "small", code=0)
        for name, flags in (("by-name", ("--model", "small")), ("by-tier", ())):
            with self.subTest(name):
                _, task = self.do(self.repo(PLAIN, name=name), PLAIN_TASK, "--check", PLAIN_CHECK, *flags, code=0)
                self.assert_state(task, "done")
                self.assertEqual({e["data"]["provider"] for e in self.nm.events(task["id"], "model.usage")}, {"local"})
        self.assertEqual({r["model"] for r in model.requests()}, {"scripted"})

    def test_the_next_task_takes_the_spare_workspace(self):
        self.model(script(plain_honest(), plain_honest()))
        repo = self.repo(PLAIN)

        def spares():
            return [(s / "work").stat().st_ino for s in (self.nm.data / "spares").glob("spare-*") if s.suffix not in (".new", ".lock")]
        self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        wait_for("a spare workspace", 20, lambda: len(spares()) == 1)
        spare = spares()[0]
        _, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        self.assertEqual((self.nm.data / "tasks" / task["id"] / "work").stat().st_ino, spare)
        wait_for("another one", 20, lambda: spares() and spares()[0] != spare)

    def test_a_runner_does_without_the_library_for_servers_elsewhere(self):
        model = self.model(script([turn(write("file.txt", "one\ntwo\n"), wait_for="go"), turn(finish())]))
        command = self.nm.start("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=self.repo(PLAIN).path)
        wait_for("a request", 60, model.requests)
        [runner] = self.nm.status()["runners"]
        with open(f"/proc/{runner['pid']}/maps", encoding="utf-8") as maps:
            self.assertNotIn("libcurl", maps.read())
        model.open_gate("go")
        command.wait(60)


class Delivery(Case):
    seconds = 180

    def test_apply_moves_the_current_branch(self):
        self.model(script(plain_honest()))
        repo = self.repo(PLAIN)
        base = repo.head()
        _, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, "--apply", code=0)
        self.assertTrue(task["applied"])
        self.assertEqual(repo.head("main"), task["commit"])
        self.assertEqual(repo.head("main^"), base)
        self.assertEqual((repo.path / "file.txt").read_text(), "one\ntwo\n")
        self.assertEqual(repo.git("status", "--porcelain"), "")
        self.assertEqual(repo.git("log", "-1", "--format=%an <%ae> %cn"), "Ada Miller <ada@example.org> Ada Miller")

    def test_apply_leaves_a_dirty_tree_alone(self):
        self.model(script(plain_honest()))
        repo = self.repo(PLAIN)
        repo.put({"file.txt": "mine\n"})
        before = repo.state()
        _, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, "--apply")
        if task["state"] == "done":
            self.assertFalse(task["applied"])
            self.assertEqual(repo.head(task["branch"]), task["commit"])
            repo.git("branch", "-q", "-D", task["branch"])
        self.assertEqual(repo.state(), before)

    def test_undo_of_an_applied_task(self):
        self.model(script(plain_honest()))
        repo = self.repo(PLAIN)
        before = repo.state()
        _, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, "--apply", code=0)
        self.nm.run("undo", task["id"], code=0)
        self.assertEqual(repo.head("main"), before["head"])
        self.assertEqual((repo.path / "file.txt").read_text(), "one\n")
        self.assertEqual(repo.git("status", "--porcelain"), "")
        # Finished work is kept.
        self.assertEqual(repo.git("cat-file", "-t", task["commit"]), "commit")
        self.assertIn(task["commit"], repo.git("for-each-ref", "--format=%(objectname)"))

    def test_undo_of_a_branch(self):
        self.model(script(plain_honest()))
        repo = self.repo(PLAIN)
        before = repo.state()
        _, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        self.nm.run("undo", task["id"], code=0)
        self.assert_nothing_delivered(repo, before)
        self.assertIn(task["commit"], repo.git("for-each-ref", "--format=%(objectname)"))
        again = self.nm.run("undo", task["id"])
        self.assertNotEqual(again.code, 0)

    def test_undo_below_other_work_adds_a_reversal(self):
        self.model(script(plain_honest()))
        repo = self.repo(PLAIN)
        _, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, "--apply", code=0)
        mine = repo.commit("Mine", {"mine.txt": "x\n"})
        self.nm.run("undo", task["id"], code=0)
        self.assertEqual(repo.git("rev-parse", "main^"), mine)
        self.assertEqual((repo.path / "file.txt").read_text(), "one\n")
        self.assertEqual((repo.path / "mine.txt").read_text(), "x\n")

    def test_without_a_check_the_task_is_unproven(self):
        self.model(script(plain_honest()))
        repo = self.repo({"file.txt": "one\n"})
        ended, task = self.do(repo, PLAIN_TASK, code=6)
        self.assert_state(task, "unproven")
        self.assertEqual(repo.show(task["branch"], "file.txt"), "one\ntwo")
        self.assertRegex(ended.out + ended.err, "(?i)unproven|not proven|no check")

    def test_require_proof_refuses_a_change_without_new_tests(self):
        self.model(script([turn(RIGHT), turn(finish())]))
        repo = self.repo(CALC)
        before = repo.state()
        _, task = self.do(repo, TASK, "--check", UNITTEST, "--require-proof", "--iterations", "2")
        self.assertIn(task["state"], ("needs_you", "paused"))
        self.assert_nothing_delivered(repo, before)

    def test_require_proof_accepts_red_before_green(self):
        self.model(script(honest()))
        _, task = self.do(self.repo(CALC), TASK, "--check", UNITTEST, "--require-proof", code=0)
        self.assert_state(task, "done")


class Verdicts(Case):
    seconds = 180

    def test_verify_repeats_a_verdict(self):
        self.model(script(honest()))
        repo = self.repo(CALC)
        base = repo.head()
        _, task = self.do(repo, TASK, "--check", UNITTEST, code=0)
        again = self.nm.json("verify", task["commit"], "--check", UNITTEST, cwd=repo.path)
        self.assertEqual(again["outcome"], "proven")
        bad = repo.commit("Break it", {"calc.py": "def add(a, b):\n    return a - b\n"})
        ended = self.nm.run("verify", bad, "--check", UNITTEST, cwd=repo.path)
        self.assertEqual(ended.code, 6, ended)
        self.assertEqual(repo.head(bad + "^"), base)

    def test_protected_changes_ask_and_may_be_allowed(self):
        """The task needs a changed test: not done until the operator allows that file."""
        new_test = CALC["test_calc.py"].replace("calc.add(2, 0), 2)", "calc.add(2, 0), 3)")
        self.model(script([turn(edit("calc.py", "return a + b", "return a + b + (b == 0)"), write("test_calc.py", new_test)), turn(finish())]))
        repo = self.repo(CALC)
        before = repo.state()
        ended, task = self.do(repo, "Let add count nothing as one", "--check", UNITTEST, code=7)
        self.assert_state(task, "needs_you", "protected_changed")
        self.assertIn("test_calc.py", self.nm.run("diff", task["id"], code=0).out)
        self.assert_nothing_delivered(repo, before)
        self.nm.run("resume", task["id"], "--allow-check-changes", "test_calc.py", code=0)
        task = self.nm.wait_state(task["id"], "done")
        self.assertIn("test_calc.py", json.dumps(self.nm.json("show", task["id"])))
        verdict = [e["data"].get("verdict", e["data"]) for e in self.nm.events(task["id"], "verdict")][-1]
        self.assertEqual(verdict["allowed_changed"], ["test_calc.py"])

    def test_each_reason_is_typed(self):
        """Fails closed, each way with its own word."""
        cases = {
            "no_tests_ran": ({"a.py": "x = 1\n"}, "python3 -m unittest", [turn(write("b.py", "y = 2\n")), turn(finish())]),
            "could_not_start": (PLAIN, "./no-such-program", plain_honest()),
            "timed_out": ({**PLAIN, "nightmill.yaml": "checks:\n  slow:\n    command: sleep 60\n    timeout: 1\n"}, None, plain_honest()),
            "check_failed": (PLAIN, "false", plain_honest()),
        }
        for number, (reason, (files, check, plan)) in enumerate(cases.items()):
            with self.subTest(reason):
                self.model(script(plan))
                self.nm.stop_daemon()
                repo = self.repo(files, name=f"project-{number}")
                _, task = self.do(repo, "Do it", *(["--check", check] if check else []), "--iterations", "1")
                self.assertNotIn(task["state"], ("done", "unproven"), reason)
                verdict = [e["data"].get("verdict", e["data"]) for e in self.nm.events(task["id"], "verdict")][-1]
                self.assertEqual(verdict["reason"], reason, verdict)


class Reading(Case):
    """ls, show, log, diff, replay of a finished task."""
    seconds = 180

    def setUp(self):
        super().setUp()
        self.model(script(*second_try()))
        self.repo_ = self.repo(CALC)
        _, self.task = self.do(self.repo_, TASK, "--check", UNITTEST, code=0)

    def test_the_commands_agree(self):
        task = self.task["id"]
        listed = self.nm.json("ls")
        rows = listed["tasks"] if isinstance(listed, dict) else listed
        self.assertEqual([r["id"] for r in rows], [task])
        self.assertIn(task, self.nm.run("ls", code=0).out)
        show = self.nm.run("show", task, code=0).out
        for words in (task, "done", self.task["branch"], UNITTEST):
            self.assertIn(words, show)
        log = self.nm.run("log", task, code=0).out
        self.assertRegex(log, "(?i)iteration 2")
        events = self.nm.run("log", task, "--jsonl", code=0).lines()
        self.assertEqual([e["number"] for e in events if "number" in e], [e["number"] for e in self.nm.events(task)])
        diff = self.nm.run("diff", task, code=0).out
        self.assertIn("+def double(a):", diff)
        self.assertIn("test_double.py", diff)
        replay = self.nm.run("replay", task, "--speed", "1000", code=0).out
        self.assertRegex(replay, "(?i)iteration 2")

    def test_pipes_carry_no_escape_bytes(self):
        for arguments in (("ls",), ("show", self.task["id"]), ("log", self.task["id"]), ("diff", self.task["id"]), ("doctor",), ("help",), ("config", "show"), ("version",)):
            for env in ({}, {"NO_COLOR": "1"}, {"TERM": "xterm-256color"}):
                ended = self.nm.run(*arguments, env=env, cwd=self.repo_.path)
                self.assert_clean_bytes(ended.raw_out, f"stdout of {arguments}")
                self.assert_clean_bytes(ended.raw_err, f"stderr of {arguments}")

    def test_unknown_ids_and_verbs_are_told(self):
        for arguments, code in ((("show", "zzzzzzz"), None), (("log", "zzzzzzz"), None), (("nonsense",), 2), (("run",), 2), (("show",), 2), (("run", "x", "--budget", "-1"), 2), (("run", "x", "--no-such"), 2)):
            ended = self.nm.run(*arguments, cwd=self.repo_.path)
            self.assertNotEqual(ended.code, 0, ended)
            if code is not None:
                self.assertEqual(ended.code, code, ended)
            self.assert_one_sentence(ended)

    def test_events_survive_a_restart(self):
        before = self.nm.events(self.task["id"])
        self.nm.run("daemon", "stop", code=0)
        self.nm.run("ls", code=0)
        self.assertEqual(self.nm.events(self.task["id"]), before)
