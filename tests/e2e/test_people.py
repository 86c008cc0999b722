"""What people decide: hints, stops, pauses, hooks, approvals."""
import json
import sqlite3

from harness import Case, alive, finish, run, script, turn, wait_for, write
from projects import CALC, PLAIN, PLAIN_CHECK, PLAIN_TASK, TASK, UNITTEST, plain_honest, plain_wrong


class Stuck(Case):
    seconds = 180

    def test_the_same_failure_three_times_needs_you_and_a_hint_helps(self):
        always = [turn(run("date +%N >> noise.txt; echo three >> file.txt")), turn(finish())]
        plan = {"conversations": [{"match": ["The word is two"], "iterations": [plain_honest()]}, {"iterations": [always]}]}
        self.model(plan)
        repo = self.repo(PLAIN)
        ended, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=7)
        self.assert_state(task, "needs_you", "stuck_same_failure")
        self.assertEqual(task["iteration"], 3)
        for choice in ("hint", "model", "stop"):
            self.assertIn(choice, ended.out + ended.err)
        self.nm.run("hint", task["id"], "The word is two.", code=0)
        task = self.nm.wait_state(task["id"], "done")
        self.assertEqual(task["iteration"], 4)

    def test_two_iterations_without_change_need_you(self):
        self.model(script([turn(finish("It is all done already."))]))
        repo = self.repo(PLAIN)
        before = repo.state()
        _, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=7)
        self.assert_state(task, "needs_you", "stuck_no_change")
        self.assertEqual(task["iteration"], 2)
        self.assert_nothing_delivered(repo, before)

    def test_another_model_can_go_on(self):
        model = self.model(script([turn(finish())], [turn(finish())], plain_honest()), models="scripted,stronger")
        _, task = self.do(self.repo(PLAIN), PLAIN_TASK, "--check", PLAIN_CHECK, "--model", "scripted", code=7)
        self.nm.run("resume", task["id"], "--model", "stronger", code=0)
        self.nm.wait_state(task["id"], "done")
        self.assertEqual(model.requests()[-1]["model"], "stronger")


class Orders(Case):
    seconds = 180

    def begin(self):
        self.gated = self.model(script([turn(run("echo begun > begun.txt")), turn(write("file.txt", "one\ntwo\n"), wait_for="go"), turn(finish())]))
        self.repo_ = self.repo(PLAIN)
        self.command = self.nm.start("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=self.repo_.path)
        task = self.nm.newest()
        wait_for("the second request", 40, lambda: len(self.gated.requests()) >= 2)
        return task

    def test_stop_ends_the_task_at_once(self):
        task = self.begin()
        before = self.repo_.state()
        self.nm.run("stop", task, code=0)
        self.assert_state(self.nm.wait_state(task, "stopped", seconds=20), "stopped", "user")
        self.assertNotEqual(self.command.wait(20), 0)
        wait_for("the runner to end", 20, lambda: not self.nm.status()["runners"])
        self.assert_nothing_delivered(self.repo_, before)
        self.assertNotEqual(self.nm.run("resume", task).code, 0)

    def test_pause_and_resume(self):
        task = self.begin()
        self.nm.run("pause", task, code=0)
        self.assert_state(self.nm.wait_state(task, "paused", seconds=20), "paused", "user")
        wait_for("the runner to end", 20, lambda: not self.nm.status()["runners"])
        self.gated.open_gate("go")
        self.nm.run("resume", task, code=0)
        task = self.nm.wait_state(task, "done")
        self.assertEqual(task["iteration"], 1)

    def test_a_daemon_that_is_stopped_goes_on_where_it_was(self):
        task = self.begin()
        self.nm.run("daemon", "stop", code=0)
        self.gated.open_gate("go")
        self.nm.run("ls", code=0)  # starts it again
        task = self.nm.wait_state(task, "done")
        self.assertEqual(task["iteration"], 1)

    def test_two_tasks_at_once_do_not_mix(self):
        plan = {"conversations": [{"match": ["alpha"], "iterations": [[turn(write("file.txt", "one\nalpha\ntwo\n")), turn(finish())]]},
                                  {"match": ["beta"], "iterations": [[turn(write("file.txt", "one\nbeta\ntwo\n")), turn(finish())]]}]}
        self.model(plan)
        repo = self.repo(PLAIN)
        first = self.nm.start("run", "Add alpha and two", "--check", PLAIN_CHECK, cwd=repo.path)
        second = self.nm.start("run", "Add beta and two", "--check", PLAIN_CHECK, cwd=repo.path)
        self.assertEqual((first.wait(90), second.wait(90)), (0, 0))
        words = {t["title"].split()[1]: repo.show(t["branch"], "file.txt") for t in self.nm.tasks()}
        self.assertEqual(words, {"alpha": "one\nalpha\ntwo", "beta": "one\nbeta\ntwo"})

    def test_attach_follows_to_the_end(self):
        task = self.begin()
        follower = self.nm.start("attach", task)
        self.gated.open_gate("go")
        self.assertEqual(follower.wait(60), 0)
        self.assertEqual(self.command.wait(60), 0)
        self.assertIn(b"nightmill/", follower.out.read_bytes())

    def test_log_follows_as_json_lines(self):
        task = self.begin()
        follower = self.nm.start("log", task, "-f", "--jsonl")
        self.gated.open_gate("go")
        self.assertEqual(self.command.wait(60), 0)
        follower.wait(60)
        numbers = [e["number"] for e in map(json.loads, follower.out.read_text().splitlines()) if "number" in e]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))


class Hooks(Case):
    seconds = 180

    def project(self, when, command, timeout=20):
        return self.repo({**PLAIN, "nightmill.yaml": f"checks:\n  lines:\n    command: {PLAIN_CHECK}\nhooks:\n  {when}:\n    - command: {command}\n      timeout: {timeout}\n"})

    def hooks(self, task):
        return [(e["data"]["when"], e["data"]["exit_code"]) for e in self.nm.events(task["id"], "hook.finished")]

    def test_exit_0_goes_on(self):
        self.model(script(plain_honest()))
        _, task = self.do(self.project("before-iteration", "'true'"), PLAIN_TASK, code=0)
        self.assertEqual(self.hooks(task), [("before-iteration", 0)])

    def test_exit_2_blocks_and_its_words_reach_the_agent(self):
        block = """'test -f allowed.txt || { echo "write allowed.txt first" >&2; exit 2; }'"""
        plan = {"conversations": [{"match": ["write allowed.txt first"], "iterations": [[turn(write("allowed.txt", "x\n")), turn(finish())]]}, {"iterations": [plain_honest()]}]}
        for when in ("after-iteration", "before-done"):
            with self.subTest(when):
                if when == "before-done":
                    self.nm.stop_daemon()
                    self.doCleanups()
                    self.setUp()
                self.model(plan)
                repo = self.project(when, block)
                _, task = self.do(repo, PLAIN_TASK, code=0)
                self.assertEqual(self.hooks(task), [(when, 2), (when, 0)])
                self.assertEqual(task["iteration"], 2)
                self.assertIn("allowed.txt", repo.files(task["branch"]))

    def test_other_codes_warn(self):
        self.model(script(plain_honest()))
        ended, task = self.do(self.project("after-iteration", "'echo careful >&2; exit 3'"), PLAIN_TASK, code=0)
        self.assertEqual(self.hooks(task), [("after-iteration", 3)])
        self.assertIn("careful", str([e["data"] for e in self.nm.events(task["id"], "hook.finished")]))

    def test_time_limit(self):
        self.model(script(plain_honest()))
        _, task = self.do(self.project("after-iteration", "sleep 60", timeout=1), PLAIN_TASK, code=0)
        self.assertEqual(len(self.hooks(task)), 1)
        self.assertNotEqual(self.hooks(task)[0][1], 0)

    def test_on_stop_runs(self):
        model = self.model(script([turn(run("echo x > x.txt")), turn(finish(), wait_for="never")]))
        repo = self.project("on-stop", "'echo stopped'")
        self.nm.start("run", PLAIN_TASK, cwd=repo.path)
        task = self.nm.newest()
        wait_for("the second request", 40, lambda: len(model.requests()) >= 2)
        self.nm.run("stop", task, code=0)
        task = self.nm.wait_state(task, "stopped", seconds=20)
        self.assertEqual(self.hooks(task), [("on-stop", 0)])


class Approvals(Case):
    seconds = 180

    def test_plan_and_commit_are_approved(self):
        self.model({"conversations": [{"plan": {"text": "First I look, then I write the line."}, "iterations": [plain_honest()]}]})
        repo = self.repo(PLAIN)
        before = repo.state()
        ended, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, "--approve", "plan,commit", code=7)
        self.assert_state(task, "needs_you", "approval")
        self.assertIn("First I look", ended.out + ended.err)
        self.assertIn("approve", ended.out + ended.err)
        self.nm.run("approve", task["id"], code=0)
        wait_for("the second gate", 60, lambda: [e for e in self.nm.events(task["id"], "gate.waiting") if e["data"]["gate"] == "commit"])
        self.nm.wait_state(task["id"], "needs_you")
        self.assert_nothing_delivered(repo, before)
        self.nm.run("approve", task["id"], code=0)
        task = self.nm.wait_state(task["id"], "done")
        self.assertEqual(repo.head(task["branch"]), task["commit"])

    def test_denied_commit_delivers_nothing(self):
        self.model(script(plain_honest()))
        repo = self.repo(PLAIN)
        before = repo.state()
        _, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, "--approve", "commit", code=7)
        self.nm.run("deny", task["id"], "not now", code=0)
        task = self.nm.wait_state(task["id"], "stopped")
        self.assert_nothing_delivered(repo, before)
        self.assertIn("not now", task["words"])
        self.assertNotEqual(self.nm.run("approve", task["id"]).code, 0)

    def test_an_answer_after_a_restart_of_the_daemon(self):
        self.model(script(plain_honest()))
        _, task = self.do(self.repo(PLAIN), PLAIN_TASK, "--check", PLAIN_CHECK, "--approve", "commit", code=7)
        self.nm.run("daemon", "stop", code=0)
        self.nm.run("approve", task["id"], code=0)
        self.nm.wait_state(task["id"], "done")

    def test_expiry_is_never_consent(self):
        self.model(script(plain_honest()))
        repo = self.repo(PLAIN)
        before = repo.state()
        _, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, "--approve", "commit", code=7)
        self.nm.run("daemon", "stop", code=0)
        database = sqlite3.connect(next(self.nm.data.rglob("nightmill.db")))
        self.assertEqual(database.execute("UPDATE approval SET expires_ns = 1 WHERE outcome = 'waiting'").rowcount, 1)
        database.commit()
        database.close()
        self.nm.run("ls", code=0)
        task = self.nm.wait_state(task["id"], "paused", seconds=30)
        self.assert_state(task, "paused", "approval_expired")
        self.assertNotEqual(self.nm.run("approve", task["id"]).code, 0)
        self.assert_nothing_delivered(repo, before)
