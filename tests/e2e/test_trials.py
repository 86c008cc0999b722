"""Trials: several attempts of one task side by side, of which at most one is delivered, whatever dies in the middle."""
import decimal
import os
import time
import unittest

from harness import FINAL, RESTING, Case, finish, turn, wait_for, write
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK, plain_honest, plain_wrong

RIGHT = write("file.txt", "one\ntwo\n")


def held(gate, word="two"):
    """Right, and ends only when the gate is open."""
    return [turn(write("file.txt", f"one\n{word}\n")), turn(finish("Added the line."), wait_for=gate)]


class Trial(Case):
    seconds = 240

    def setUp(self):
        super().setUp()
        self.nm.env.update({"NIGHTMILL_TASKS_PARALLEL": "4", "NIGHTMILL_RETRY_FIRST": "1", "NIGHTMILL_RETRY_MOST": "1"})

    def models_do(self, **plans):
        """A model server on which each model has a script of its own: a list of iterations."""
        conversations = [{"model": name, "iterations": plan} for name, plan in plans.items()]
        self.scripted = self.model({"conversations": conversations}, models=",".join(plans))
        self.repo_ = self.repo(PLAIN)
        self.before = self.repo_.state()
        self.race = ",".join(f"builtin:{name}" for name in plans)

    def begin(self, *flags):
        """Starts the trial in the background: its id."""
        return self.nm.run("run", PLAIN_TASK, "--race", self.race, "--check", PLAIN_CHECK, "--detach", *flags, cwd=self.repo_.path, code=0).out.strip()

    def follow(self, *flags, code=None):
        """The whole trial: (the command, the trial)."""
        ended = self.nm.run("run", PLAIN_TASK, "--race", self.race, "--check", PLAIN_CHECK, *flags, cwd=self.repo_.path, code=code, seconds=120)
        return ended, self.trial(self.nm.api("GET", "/api/v1/trials")[1]["trials"][0]["id"])

    def trial(self, name):
        status, trial = self.nm.api("GET", f"/api/v1/trials/{name}")
        self.assertEqual(status, 200, trial)
        return trial

    def wait(self, name, states=RESTING, seconds=90):
        def look():
            try:
                trial = self.trial(name)
            except OSError:  # the daemon is being restarted
                return None
            return trial if trial["state"] in states and all(a["state"] in RESTING for a in trial["attempts"]) else None
        try:
            return wait_for(f"trial {name} to rest", seconds, look)
        except AssertionError as e:
            words = [(a["id"], a["state"], a["reason"], a["words"]) for a in self.trial(name)["attempts"]]
            raise AssertionError(f"{e}: {words}\n{self.nm.daemon_log()}") from None

    def by_model(self, trial):
        return {a["model"]["name"]: a for a in trial["attempts"]}

    def delivered(self, trial):
        """Attempts that have delivered, by their events."""
        return [a["id"] for a in trial["attempts"] for _ in self.nm.events(a["id"], "delivered")]

    def assert_one_delivered(self, trial):
        self.assertEqual(trial["state"], "done", trial)
        self.assertEqual(self.delivered(trial), [trial["winner"]])
        branches = [b for b in self.repo_.branches() if b.startswith("nightmill/")]
        self.assertEqual(len(branches), 1, branches)
        self.assertIn(trial["winner"], branches[0])
        self.assertEqual(self.repo_.show(branches[0], "file.txt").splitlines()[:2], ["one", "two"])
        for a in trial["attempts"]:
            if a["id"] != trial["winner"]:
                self.assertIn(a["state"], ("stopped", "failed"), a)

    def assert_lost(self, attempt, winner):
        self.assertEqual((attempt["state"], attempt["reason"]), ("stopped", "trial"), attempt)
        self.assertIn(f"another attempt won: {winner}", attempt["words"])


class First(Trial):
    def test_fast_loser_slow_winner(self):
        self.models_do(fast=[plain_wrong()], slow=[held("go")], idle=[held("never")])
        name = self.begin("--iterations", "1")
        fast = self.by_model(self.trial(name))["fast"]["id"]
        self.nm.wait_state(fast, "paused")  # wrong, and at its limit of iterations
        self.assertEqual(self.trial(name)["winner"], None)
        self.assertEqual(self.trial(name)["state"], "working")
        self.scripted.open_gate("go")
        trial = self.wait(name, FINAL)
        self.assert_one_delivered(trial)
        models = self.by_model(trial)
        self.assertEqual(trial["winner"], models["slow"]["id"])
        self.assert_lost(models["fast"], trial["winner"])
        self.assert_lost(models["idle"], trial["winner"])
        # The losers' work is kept, and is said to be.
        self.assertIn("+three", self.nm.run("diff", fast, code=0).out)
        self.assertIn("another attempt won", self.nm.run("show", fast, code=0).out)
        self.assertIn("another won", self.nm.run("ls", code=0).out)
        shown = self.nm.run("show", name, code=0).out
        self.assertIn(f"* {trial['winner']}", shown)
        for a in trial["attempts"]:
            self.assertFalse((self.nm.data / "tasks" / a["id"] / "home").exists())
        # The trial stands for its winner.
        self.assertIn("+two", self.nm.run("diff", name, code=0).out)
        self.nm.run("undo", name, code=0)
        self.assertEqual([b for b in self.repo_.branches() if b.startswith("nightmill/")], [])
        records = self.nm.api("GET", "/api/v1/agents/record?by=model")[1]["records"]
        self.assertEqual({r["model"]: (r["done"], r["stopped"]) for r in records}, {"slow": (1, 0), "fast": (0, 1), "idle": (0, 1)})

    def test_followed_and_applied(self):
        self.models_do(good=[plain_honest()], never=[held("never")])
        ended, trial = self.follow("--apply", code=0)
        self.assertEqual(trial["state"], "done", ended)
        self.assertEqual(self.delivered(trial), [trial["winner"]])
        self.assertEqual(self.repo_.show("HEAD", "file.txt"), "one\ntwo")
        self.assertRegex(ended.err, r"(?m)^1 builtin with good +Iteration 1")
        self.assertIn("the first attempt that passed", ended.err)
        self.assertIn(f"another attempt won: {trial['winner']} (builtin with good)", ended.out)

    def test_none_passes(self):
        self.models_do(a=[plain_wrong()], b=[plain_wrong("four")])
        ended, trial = self.follow("--iterations", "1")
        self.assertEqual(ended.code, 8, ended)
        self.assertEqual((trial["state"], trial["reason"], trial["winner"]), ("paused", "limit_iterations", None))
        self.assert_nothing_delivered(self.repo_, self.before)
        self.nm.run("stop", trial["id"], code=0)
        trial = self.wait(trial["id"], FINAL)
        self.assertEqual(trial["state"], "stopped")
        self.assertIn("none of the 2 attempts passed", trial["words"])
        self.assertEqual(self.nm.run("stop", trial["id"]).code, 1)
        ended = self.nm.run("undo", trial["id"])
        self.assert_one_sentence(ended, "has no winner", trial["attempts"][0]["id"])

    def test_without_a_check_or_with_one_name(self):
        self.models_do(a=[plain_honest()], b=[plain_honest()])
        (self.repo_.path / "check.sh").unlink()
        for flags, words in ((["--race", "builtin"], "at least two"), (["--race", "builtin:,builtin"], "no model"), (["--race", "builtin,nobody:a", "--check", "true"], "no agent nobody"),
                             (["--race", self.race], "needs a check"), (["--best"], "belongs to --race"), (["--race", self.race, "--model", "a"], "does not go with it")):
            ended = self.nm.run("run", PLAIN_TASK, *flags, cwd=self.repo_.path)
            self.assertNotEqual(ended.code, 0, ended)
            self.assert_one_sentence(ended, words)
        self.assertEqual(self.nm.tasks(), [])

    def test_paused_and_resumed(self):
        self.models_do(a=[held("go")], b=[held("never")])
        name = self.begin()
        for a in self.trial(name)["attempts"]:
            self.nm.wait_state(a["id"], "working")
        self.nm.run("pause", name, code=0)
        trial = self.wait(name, ("paused",))
        self.assertEqual([a["reason"] for a in trial["attempts"]], ["user", "user"])
        self.scripted.open_gate("go")
        ended = self.nm.run("resume", name, "--attach", code=0, seconds=100)
        self.assertIn("won", ended.out)
        self.assert_one_delivered(self.trial(name))


class Best(Trial):
    def test_cheapest_with_a_price(self):
        # Three pass: one at three times the price of the other, one without any price. One fails.
        self.models_do(dear=[plain_honest()], cheap=[plain_honest()], free=[plain_honest()], wrong=[plain_wrong()])
        self.price("dear", input="9", output="45", cache_read="0.90", cache_write="11.25", cache_write_1h="18")
        self.price("cheap")
        ended, trial = self.follow("--best", "--iterations", "1", code=0)
        self.assert_one_delivered(trial)
        models = self.by_model(trial)
        self.assertEqual(trial["winner"], models["cheap"]["id"], ended)
        for name in ("dear", "free", "wrong"):
            self.assert_lost(models[name], trial["winner"])
        self.assertIn("the cheapest attempt that passed", ended.err)
        self.assertEqual(ended.code, 0)

    def test_same_cost_fewer_iterations(self):
        self.models_do(two=[plain_wrong(), plain_honest()], one=[plain_honest()])
        _, trial = self.follow("--best", code=0)  # neither has a price
        self.assertEqual(trial["winner"], self.by_model(trial)["one"]["id"])
        self.assert_one_delivered(trial)

    def test_waits_for_all(self):
        self.models_do(early=[plain_honest()], late=[held("go")])
        self.price("late", input="0.01", output="0.01", cache_read="0.01", cache_write="0.01", cache_write_1h="0.01")
        self.price("early")
        name = self.begin("--best")
        models = self.by_model(self.trial(name))
        early = self.nm.wait_state(models["early"]["id"], "paused")
        self.assertEqual(early["reason"], "trial")
        self.assert_nothing_delivered(self.repo_, self.before)
        self.assertEqual(self.nm.run("resume", early["id"]).code, 1)  # it is not the person's to decide
        self.scripted.open_gate("go")
        trial = self.wait(name, FINAL)
        self.assertEqual(trial["winner"], models["late"]["id"])
        self.assert_lost(self.by_model(trial)["early"], trial["winner"])

    def test_limits_are_of_all_together(self):
        self.models_do(wrong=[plain_wrong()], right=[plain_wrong(), plain_wrong("four"), plain_honest()])
        for name in ("wrong", "right"):
            self.price(name, input="1000", output="1000", cache_read="1000", cache_write="1000", cache_write_1h="1000")
        name = self.begin("--budget", "6.00", "--tokens", "1000001")
        trial = self.trial(name)
        self.assertEqual(trial["limits"], {"money": "6.00", "tokens": 1000001, "currency": "USD"})
        self.assertEqual([(a["limits"]["money"], a["limits"]["tokens"]) for a in trial["attempts"]], [("3.00", 500001), ("3.00", 500000)])
        trial = self.wait(name)
        spent = sum(decimal.Decimal(self.nm.task(a["id"])["spent"]["total"]) for a in trial["attempts"])
        self.assertLessEqual(spent, decimal.Decimal("6.00"))
        self.assertLessEqual(sum(decimal.Decimal(a["limits"]["money"]) for a in trial["attempts"]), decimal.Decimal("6.00"))
        self.assertLessEqual(sum(a["limits"]["tokens"] for a in trial["attempts"]), 1000001)

    def test_what_an_attempt_leaves_goes_to_the_others(self):
        self.models_do(stopped=[held("never")], goes_on=[held("go")])
        self.price("stopped")
        self.price("goes_on")
        name = self.begin("--budget", "6.00")
        models = self.by_model(self.trial(name))
        self.nm.wait_state(models["goes_on"]["id"], "working")
        self.nm.run("stop", models["stopped"]["id"], code=0)
        self.nm.wait_state(models["stopped"]["id"], "stopped")
        wait_for("the share", 20, lambda: decimal.Decimal(self.nm.task(models["goes_on"]["id"])["limits"]["money"]) > 3)
        limits = [decimal.Decimal(a["limits"]["money"]) for a in self.trial(name)["attempts"]]
        self.assertEqual(sum(limits), 6)
        self.nm.run("stop", name, code=0)


class Killed(Trial):
    """Both attempts pass in the same instant, and something is killed around it: one delivery, no more and no less."""

    def both(self, when, kill):
        self.models_do(a=[held("go")], b=[held("go")])
        name = self.begin()
        for a in self.trial(name)["attempts"]:
            self.nm.wait_state(a["id"], "working")
            wait_for("its last request", 30, lambda a=a: len([r for r in self.scripted.requests()]) >= 4)
        self.scripted.open_gate("go")
        time.sleep(when)
        try:
            kill(name)
        except (StopIteration, OSError, ProcessLookupError, AssertionError):
            pass  # what was to be killed had ended already
        self.nm.run("daemon", "start", seconds=40)
        trial = self.wait(name, FINAL)
        self.assert_one_delivered(trial)

    def server(self, _):
        self.nm.kill9("server")

    def runner(self, name):
        for r in self.nm.wait_status()["runners"]:
            os.kill(r["pid"], 9)

    def keeper(self, _):
        self.nm.kill9("keeper")

    def test_nothing_killed(self):
        self.both(0, lambda name: None)

    def test_server(self):
        self.both(0.3, self.server)

    def test_server_later(self):
        self.both(0.7, self.server)

    def test_runners(self):
        self.both(0.5, self.runner)

    def test_keeper(self):
        self.both(0.4, self.keeper)


if __name__ == "__main__":
    unittest.main()
