"""Budgets cannot be overspent: 256 requests at once on a budget that affords 40, with a provider and clients that behave badly, and a server that is killed.

What is checked, always: what is settled plus what is held is never above the budget, looked at all the time from outside; at the end every settled row of the ledger equals, to
the token, a request that the provider counted; and what the provider could bill at most is within the budget too.
"""
import collections
import decimal
import os
import random
import signal
import sqlite3
import threading
import time

from gateway import GatewayCase, text_of
from harness import alive, wait_for

RATES = {"input": 3, "cache_read": 3, "output": 1000}  # USD per million tokens = millions of pico-USD per token: output is what counts
OUTPUT = 200
CALLS = 256
AFFORDS = 40


def cost(usage):
    return (usage["input"] * RATES["input"] + usage["cache_read"] * RATES["cache_read"] + usage["output"] * RATES["output"]) * 10**6


class Overspend(GatewayCase):
    seconds = 150

    def setUp(self):
        super().setUp()
        self.provider("chat", "chat", cooldown_ms=0)
        self.provider("messages", "messages", cooldown_ms=0)
        for provider in ("chat", "messages"):
            self.price(f"{provider}/fake", input=str(RATES["input"]), output=str(RATES["output"]), cache_read=str(RATES["cache_read"]))
        # A request of up to 2000 bytes and 200 tokens of output takes at most this.
        self.limit = AFFORDS * (OUTPUT * RATES["output"] + (2000 + 1024) * RATES["input"]) * 10**6
        self.nm.run("budget", "set", "project", "mill", "--money", format(decimal.Decimal(self.limit).scaleb(-12), "f"), code=0)
        self.token = self.key(project="mill")
        self.words = 0
        self.lock = threading.Lock()
        self.over = []

    # What is seen from outside while it happens.
    def look(self):
        state = self.rows("SELECT (SELECT COALESCE(SUM(cost), 0) FROM ledger WHERE project = 'mill') + COALESCE(SUM(amount) FILTER (WHERE state = 'kept'), 0) AS spent,"
                          " COALESCE(SUM(amount) FILTER (WHERE state = 'open'), 0) AS held, COUNT(*) FILTER (WHERE state = 'kept') AS kept FROM hold WHERE project = 'mill'")[0]
        if state["spent"] + state["held"] > self.limit:
            self.over.append(state)
        return state

    def watch(self, until):
        while not until.is_set():
            try:
                self.look()
            except sqlite3.OperationalError:  # the server is being started again
                pass
            until.wait(0.1)

    def one(self, chance, leave):
        """One request with a text of its own length; how it ended."""
        with self.lock:
            self.words += 1
            number = self.words
        wire = ("chat", "messages", "gemini", "responses")[number % 4]
        server = ("chat", "messages")[number // 4 % 2]
        text = f"tokens={OUTPUT} " + "pad " * (number % 400)
        try:
            asking = self.start_asking(wire, f"{server}/fake", self.token, text=text, stream=number % 3 > 0, cap=OUTPUT, seconds=60)
            if chance.random() < leave:
                asking.socket.settimeout(chance.uniform(0, 0.3))
                try:
                    asking.wait_for(b"data:")
                except (AssertionError, TimeoutError):
                    pass
                asking.close()
                return "left"
            got = asking.end()
        except (ConnectionError, TimeoutError):
            return "lost"
        if got.status is None:
            return "lost"
        if got.status != 200:
            return str(got.status)
        return "answered" if got.whole and text_of(wire, got)[2] is None else "broken"

    def storm(self, calls, seed=1, leave=0.0):
        """All at once. {how: count}"""
        ends = collections.Counter()
        gate = threading.Barrier(calls + 1)

        def run(n):
            chance = random.Random(f"{seed}:{n}")
            gate.wait()
            end = self.one(chance, leave)
            with self.lock:
                ends[end] += 1

        threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(calls)]
        for t in threads:
            t.start()
        stop = threading.Event()
        watcher = threading.Thread(target=self.watch, args=(stop,))
        watcher.start()
        gate.wait()
        for t in threads:
            t.join(90)
        stop.set()
        watcher.join()
        self.assertFalse([t for t in threads if t.is_alive()], f"requests without an end; {dict(ends)}")
        return ends

    def quiet(self):
        """Waits until nothing is under way: every hold is settled, released or kept."""
        wait_for("the last request to be settled", 30, lambda: self.look()["held"] == 0)

    def check(self):
        """The books of both sides."""
        self.quiet()
        self.assertEqual(self.over, [])
        entries = self.upstream.entries()
        rows = self.settled()
        settled = collections.Counter(self.counted(rows))
        served = collections.Counter(self.served(entries))
        self.assertEqual(settled - served, collections.Counter(), "settled, but never counted by the provider")
        spent = sum(r["cost"] for r in rows)
        self.assertEqual(spent, sum(cost({k: int(r[k]) for k in RATES}) for r in rows))
        state = self.look()
        self.assertLessEqual(state["spent"], self.limit)
        self.assertLessEqual(spent, state["spent"])  # kept holds count as spent
        # What the provider could bill: everything that it began to answer.
        billable = sum(cost(e["usage"]) for e in entries if e["usage"] and e["end"] != "refused")
        self.assertLessEqual(billable, self.limit)
        return rows, entries, spent

    def test_256_at_once(self):
        self.upstream.behave(seed=1, delay_ms=300)
        ends = self.storm(CALLS)
        rows, entries, spent = self.check()
        self.assertEqual(self.counted(rows), self.served(entries))
        self.assertEqual(ends["answered"], len(entries))
        self.assertTrue(AFFORDS <= ends["answered"] <= AFFORDS + 2, ends)  # the bound is above the cost by the input alone
        self.assertEqual(ends["answered"] + sum(n for end, n in ends.items() if end in ("402", "429")), CALLS, ends)

    def test_256_with_failures_cuts_and_clients_that_leave(self):
        self.upstream.behave(seed=2, delay_ms=200, fail=0.2, lose=0.2)
        for n in range(3):
            self.storm(CALLS, seed=n, leave=0.2)
        rows, entries, spent = self.check()
        self.assertGreater(len(rows), 0)
        self.assertGreater(self.look()["kept"], 0)  # cut before its counts: the bound stays

    def test_256_while_the_server_is_killed(self):
        """In the midst of it: when some are settled, when the first ones after the restart are asked, and when more are settled."""
        self.upstream.behave(seed=3, delay_ms=600, fail=0.05, lose=0.1)
        pids = [self.nm.wait_status()["pid"]]

        def settled(more):
            wait_for("requests to be settled", 20, lambda: len(self.settled()) >= more, every=0.01)

        def kill():
            for moment in (lambda: settled(8), lambda: time.sleep(0.1), lambda: time.sleep(0.5)):
                moment()
                os.kill(pids[-1], signal.SIGKILL)
                wait_for("the end of the server", 10, lambda: not alive(pids[-1]))
                pids.append(wait_for("the next server", 30, lambda: (self.nm.status() or {"pid": pids[-1]})["pid"] != pids[-1] and self.nm.status())["pid"])

        killer = threading.Thread(target=kill)
        killer.start()
        for n in range(4):
            self.storm(CALLS, seed=n, leave=0.05)
        killer.join(60)
        self.assertEqual(len(set(pids)), 4)
        rows, _, _ = self.check()
        self.assertGreaterEqual(len(rows), 8)
        self.assertGreater(self.look()["kept"], 0)  # what was under way at a kill counts as spent
