"""kill -9 of any process at any record: the task goes on, and tree, commits and ledger end as those of an undisturbed run.

The program kills itself where NIGHTMILL_TEST_CRASH says (the n-th record of the runner's journal, the n-th commit of events in the server), once for
each marker file. The keeper is killed from outside when a given number of events is there.
"""
import os
import pathlib
import signal
import time

from harness import Case, alive, finish, run, script, turn, wait_for, write
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK

PLAN = [[turn(write("file.txt", "one\nthree\n"), run("echo x >> log.txt"), text="First."), turn(finish("Done."))],
        [turn(run("sed -i s/three/two/ file.txt && echo y >> log.txt")), turn({"name": "note", "args": {"text": "log.txt has a line an iteration"}}, finish("Done."))]]


class Crash(Case):
    seconds = 900

    def setUp(self):
        super().setUp()
        self.nm.env.update({"NIGHTMILL_RETRY_FIRST": "1", "NIGHTMILL_RETRY_MOST": "1"})
        self.model_ = self.model(script(*PLAN))
        self.number = 0
        self.rates = self.price()
        self.undisturbed = self.outcome()

    def settle(self, task):
        """The task at its end, whatever happens to the daemon meanwhile."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if self.nm.status() is None:
                self.nm.run("ls")  # starts the daemon when there is none
            try:
                found = self.nm.task(task)
            except (OSError, ValueError):
                found = None
            if found and found["state"] in ("done", "failed", "stopped", "unproven", "needs_you", "paused"):
                return found
            time.sleep(0.05)
        self.fail(f"no end in sight: {self.nm.task(task)}\n{self.nm.event_words(task)}\n{self.nm.daemon_log()}")

    def outcome(self, env=None, meanwhile=None):
        """One run; what must be the same each time."""
        self.number += 1
        repo = self.repo(PLAIN, name=f"project-{self.number}")
        command = self.nm.start("run", PLAIN_TASK, "--check", PLAIN_CHECK, "--budget", "9", cwd=repo.path, env=env)
        task = self.nm.newest(60)
        while any(t["id"] == task and t["repo"] != str(repo.path) for t in self.nm.tasks()):
            time.sleep(0.05)
            task = self.nm.newest()
        if meanwhile:
            meanwhile(task)
        found = self.settle(task)
        self.assert_state(found, "done")
        command.wait(60)
        task_folder = self.nm.data / "tasks" / task
        self.records = len((task_folder / "journal").read_bytes().splitlines()) if (task_folder / "journal").exists() else 0
        self.event_count = len(self.nm.events(task))
        ledger = self.nm.ledger(task)
        rows = [(r["iteration"], r["model"], r["input"], r["cache_read"], r["output"], r["cost"]) for r in ledger["rows"]]
        wait_for("the runner's end", 20, lambda: not self.nm.status()["runners"])
        numbers = [e["number"] for e in self.nm.events(task)]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        return {"tree": repo.git("rev-parse", f"{found['branch']}^{{tree}}"), "log": repo.show(found["branch"], "log.txt"),
                "commits": repo.git("rev-list", "--count", f"main..{found['branch']}"), "iterations": found["iteration"], "rows": rows,
                "settled": ledger["spent"]["settled"], "held": ledger["spent"]["held"], "kept": ledger["spent"]["kept"], "branches": len(repo.branches()),
                # The runner's events come in the order of its journal; the server's own (model.usage) stand among them where they were made.
                "kinds": [e["type"] for e in self.nm.events(task) if e["type"] in ("iteration.started", "iteration.committed", "verdict", "iteration.finished", "tool.finished", "delivered")],
                "bills": len(self.nm.events(task, "model.usage"))}


class Boundaries(Crash):
    def crashed(self, role, number):
        marker = self.folder / f"crash-{role}-{number}"
        self.nm.stop_daemon()
        env = {"NIGHTMILL_TEST_CRASH": f"{role}:{number}", "NIGHTMILL_TEST_CRASH_ONCE": str(marker)}
        before = dict(self.nm.env)
        self.nm.env.update(env)
        try:
            with self.subTest(f"{role} at {number}"):
                self.assertEqual(self.outcome(), self.undisturbed)
        finally:
            self.nm.env.clear()
            self.nm.env.update(before)
        return marker.exists()

    def every(self, role, most, start, step):
        """Crashes at start, start + step, ... until the program no longer gets that far."""
        happened = 0
        for number in range(start, most, step):
            if not self.crashed(role, number):
                break
            happened += 1
        print(f"{role}: killed {happened} times")
        self.assertGreater(happened, 2, f"the {role} never crashed: is the program built to honour NIGHTMILL_TEST_CRASH?")

    def test_runner_1(self):
        self.every("runner", 200, 1, 2)

    def test_runner_2(self):
        self.every("runner", 200, 2, 2)

    def test_server_1(self):
        self.every("server", 200, 1, 2)

    def test_server_2(self):
        self.every("server", 200, 2, 2)


class Keeper(Crash):
    """The first process is killed: everything below it ends, and the next command takes all of it up again."""

    def kill_at(self, role, events):
        def meanwhile(task):
            def there():
                try:
                    found = self.nm.task(task)
                    return found["last_event"] >= events or found["state"] in ("done",)
                except (OSError, ValueError, AssertionError):
                    return False
            wait_for(f"event {events}", 60, there, every=0.005)
            try:
                status = self.nm.status()
                pids = [status["keeper_pid"]] if role == "keeper" else [status["pid"]] if role == "server" else [r["pid"] for r in status["runners"]]
                if role == "all":
                    pids = [status["keeper_pid"], status["pid"], *[r["pid"] for r in status["runners"]]]
            except (TypeError, OSError):
                return
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            wait_for("their end", 20, lambda: not any(alive(p) for p in pids))
        with self.subTest(f"{role} after event {events}"):
            found = self.outcome(meanwhile=meanwhile)
            # A kill at any moment may hit a request that is under way: nobody knows what it cost, so what was held for it counts as spent. One at most.
            self.assertIn(found["kept"], (0, 1))
            self.assertEqual(found["kept"] > 0, found["held"] != "0.00")
            self.assertEqual({**found, "kept": 0, "held": "0.00"}, self.undisturbed)

    def test_keeper(self):
        for events in range(1, self.event_count, 6):
            self.kill_at("keeper", events)

    def test_all_at_once(self):
        """Keeper, server and runner, as when the machine goes down."""
        for events in range(2, self.event_count, 6):
            self.kill_at("all", events)
