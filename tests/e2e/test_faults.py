"""What goes wrong between here and a model is waited out, not counted as an iteration, and never a crash."""
import json

from harness import Case, finish, run, script, tool, turn, write
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK, plain_honest

WORK = write("file.txt", "one\ntwo\n")


class Fault(Case):
    """Base: a run whose first turn meets faults."""
    wires = ("chat", "messages")

    def setUp(self):
        super().setUp()
        self.nm.env.update({"NIGHTMILL_RETRY_FIRST": "1", "NIGHTMILL_RETRY_MOST": "1"})

    def survive(self, *faults, wire="chat", extra=0, plan=None):
        """Runs to done in one iteration, with one request more for each fault."""
        self.nm.env["NIGHTMILL_MODEL_WIRE"] = wire
        model = self.model(script(plan or [turn(WORK, text="A line.", faults=list(faults), chunk=4), turn(finish())]))
        rates = self.price()
        repo = self.repo(PLAIN)
        ended, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, "--budget", "5", code=0)
        self.assert_state(task, "done")
        self.assertEqual(task["iteration"], 1)
        spent = self.nm.ledger(task["id"])["spent"]
        self.assert_money(spent["settled"], self.cost([a for a in model.answers()], rates))
        return ended, task, model, spent


class ErrorAnswers(Fault):
    seconds = 180

    def test_rate_limit_honours_retry_after(self):
        _, task, model, spent = self.survive({"status": 429, "retry_after": 2, "times": 2})
        self.assertEqual(len(model.requests()), 4)
        waits = [e["data"]["seconds"] for e in self.nm.events(task["id"], "backoff")]
        self.assertTrue(waits and all(w >= 2 for w in waits), waits)
        self.assert_money(spent["held"], 0)

    def test_server_errors(self):
        _, _, model, spent = self.survive({"status": 500}, {"status": 502}, {"status": 503}, {"status": 408})
        self.assertEqual(len(model.requests()), 6)
        self.assert_money(spent["held"], 0)

    def test_overloaded(self):
        self.survive({"status": 529, "type": "overloaded_error"}, wire="messages")

    def test_model_still_loading(self):
        ended, task, _, _ = self.survive({"loading": True, "times": 2})
        self.assertIn("backoff", [e["type"] for e in self.nm.events(task["id"])])

    def test_connection_closed_before_an_answer(self):
        self.survive({"close": True})

    def test_a_page_instead_of_an_answer(self):
        self.survive({"garbage": True})

    def test_wrong_key_needs_you(self):
        self.nm.env["NIGHTMILL_MODEL_KEY"] = "wrong-key-0000"
        model = self.model(script(plain_honest()), key="right-key-0000")
        repo = self.repo(PLAIN)
        ended = self.nm.run("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=repo.path)
        self.assertIn(ended.code, (1, 2, 4, 7), ended)
        self.assertRegex(ended.out + ended.err, "(?i)key")
        self.assertEqual([a for a in model.answers()], [])
        self.assertNotIn("wrong-key-0000", ended.out + ended.err)

    def test_unknown_model_needs_you(self):
        model = self.model(script(plain_honest()), models="another")
        ended = self.nm.run("run", PLAIN_TASK, "--check", PLAIN_CHECK, "--model", "scripted", cwd=self.repo(PLAIN).path)
        self.assertIn(ended.code, (1, 2, 7), ended)
        self.assertRegex(ended.out + ended.err, "(?i)model")
        self.assertEqual(model.answers(), [])

    def test_no_server_at_all(self):
        model = self.model(script(plain_honest()))
        model.close()
        ended = self.nm.run("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=self.repo(PLAIN).path)
        self.assertNotEqual(ended.code, 0, ended)
        self.assert_one_sentence(ended, "model|127.0.0.1")


class BrokenStreams(Fault):
    seconds = 240

    def each(self, fault):
        for number, wire in enumerate(self.wires):
            with self.subTest(wire):
                if number:
                    self.nm.stop_daemon()
                    self.doCleanups()
                    self.setUp()
                self.survive(fault, wire=wire)

    def test_cut(self):
        self.each({"cut": 3})

    def test_cut_within_a_call(self):
        self.each({"cut": 9})

    def test_truncated(self):
        self.each({"truncate": 4})

    def test_truncated_at_once(self):
        self.each({"truncate": 0})

    def test_error_inside(self):
        self.each({"error_event": "overloaded_error", "after": 2})

    def test_empty_answer(self):
        self.each({"empty": True})


class StrangeAnswers(Fault):
    seconds = 240

    def test_malformed_and_unknown_calls_are_answered(self):
        plan = [turn({"name": "write", "raw": "{\"path\": \"file.txt\", \"content\": "}, {"name": "teleport", "args": {"to": "moon"}}, {"name": "write", "raw": "[]"},
                     {"name": "write", "args": {}}, {"name": "write", "args": {"path": 7, "content": ["x"]}}, {"name": "", "args": {}}, {"name": "run", "args": {"command": ""}}),
                turn(WORK), turn(finish())]
        for wire in self.wires:
            with self.subTest(wire):
                if wire != self.wires[0]:
                    self.nm.stop_daemon()
                    self.doCleanups()
                    self.setUp()
                _, task, _, _ = self.survive(plan=plan, wire=wire)
                finished = [e["data"] for e in self.nm.events(task["id"], "tool.finished")]
                self.assertGreaterEqual(len(finished), 8)

    def test_parallel_calls(self):
        plan = [turn(*[write(f"f{n}.txt", f"{n}\n") for n in range(12)], WORK, tool("read", path="file.txt"), tool("list"), tool("search", pattern="one")), turn(finish())]
        _, task, _, _ = self.survive(plan=plan)
        self.assertEqual(len(self.nm.events(task["id"], "tool.finished")), 16 + 1)

    def test_a_refusal_is_no_crash(self):
        self.model(script([turn(text="I cannot help with that.", stop="refusal")], [turn(WORK), turn(finish())]))
        _, task = self.do(self.repo(PLAIN), PLAIN_TASK, "--check", PLAIN_CHECK, "--iterations", "3")
        self.assertIn(task["state"], ("done", "needs_you", "paused"))

    def test_an_answer_cut_by_its_length(self):
        self.survive(plan=[turn(text="I think and think", stop="length"), turn(WORK), turn(finish())])

    def test_long_outputs_are_capped_with_a_mark(self):
        plan = [turn(run("i=0; while [ $i -lt 200000 ]; do echo line $i; i=$((i+1)); done")), turn(run("head -c 3000000 /dev/zero | tr '\\0' x")), turn(WORK), turn(finish())]
        _, task, model, _ = self.survive(plan=plan)
        sent = max(r["bytes"] for r in model.requests())
        self.assertLess(sent, 600000)
        body = json.dumps(model.body(model.requests()[1]))
        self.assertIn("line 0", body)
        self.assertIn("line 199999", body)

    def test_a_context_that_is_refused_is_compacted(self):
        big = "\\n".join(f"number {n}" for n in range(4000))
        plan = [turn(run(f"printf '{big}'")), turn(run(f"printf '{big}' | tac")), turn(run("ls"), faults=[{"context": True}]), turn(WORK), turn(finish())]
        for wire in self.wires:
            with self.subTest(wire):
                if wire != self.wires[0]:
                    self.nm.stop_daemon()
                    self.doCleanups()
                    self.setUp()
                _, task, model, _ = self.survive(plan=plan, wire=wire)
                compacted = self.nm.events(task["id"], "context.compacted")
                self.assertTrue(compacted)
                refused = next(r for r in model.requests() if r["fault"])
                after = next(r for r in model.requests() if r["sequence"] > refused["sequence"])
                self.assertLess(after["bytes"], refused["bytes"])

    def test_usage_that_is_not_reported_keeps_the_hold(self):
        model = self.model(script([turn(WORK, usage=None), turn(finish())]))
        rates = self.price()
        _, task = self.do(self.repo(PLAIN), PLAIN_TASK, "--check", PLAIN_CHECK, "--budget", "5", code=0)
        spent = self.nm.ledger(task["id"])["spent"]
        self.assertEqual(spent["kept"], 1)
        self.assertGreater(float(spent["held"]), 0)
        self.assert_money(spent["settled"], self.cost([a for a in model.answers() if a["usage"]], rates))
