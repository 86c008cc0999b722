"""The live stream: one order for everything, replayed exactly; many viewers, slow ones too; nothing lost when the server is killed."""
import os
import threading

from harness import Case, UnixConnection, finish, script, turn, wait_for, write
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK, plain_honest
from stream import Refused, Stream, numbered


def memory(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


class Live(Case):
    def viewer(self, **more):
        stream = Stream(str(self.nm.data / "run" / "nightmill.sock"), **more)
        self.addCleanup(stream.close)
        self.assertIn("hello", stream.receive())
        return stream

    def waiting_task(self):
        """A task whose agent waits for its model: alive as long as the test wants."""
        model = self.model(script([turn(write("file.txt", "one\ntwo\n"), wait_for="go"), turn(finish("Added the line."))]))
        self.nm.start("run", "--check", PLAIN_CHECK, PLAIN_TASK, cwd=self.repo(PLAIN).path)
        task = self.nm.newest()
        self.nm.wait_state(task, "working")
        wait_for("the agent's question", 20, model.requests)
        return model, task

    def hint(self, task, text):
        self.assertEqual(self.nm.api("POST", f"/api/v1/tasks/{task}/hint", {"text": text})[0], 200)

    def test_replay_and_live_are_one_order(self):
        self.model(script(plain_honest()))
        self.do(self.repo(PLAIN), PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        task = self.nm.newest()
        stored = self.nm.events(task)
        stream = self.viewer()
        stream.subscribe(f"task:{task}", since=0)
        last = stored[-1]["number"]
        messages = stream.until(lambda m: m.get("number") == last)
        self.assertEqual([m["subscribed"]["topics"] for m in messages if "subscribed" in m], [[f"task:{task}"]])
        events = [m for m in messages if "n" in m]
        self.assertEqual([(m["number"], m["type"], m["data"], m["time"]) for m in events], [(e["number"], e["type"], e["data"], e["time"]) for e in stored])
        self.assertEqual(numbered(messages), sorted(set(numbered(messages))))
        words = {m["type"]: m["event"] for m in events}
        self.assertEqual((words["tool.finished"], words["verdict"], words["task.created"]), ("agent_update", "build_progress", "task_update"))
        # From the middle: exactly the rest, and what comes afterwards.
        middle = events[len(events) // 2]["n"]
        second = self.viewer()
        second.subscribe("tasks", f"task:{task}", since=middle)
        rest = numbered(second.until(lambda m: m.get("number") == last))
        self.assertEqual(rest, [n for n in numbered(messages) if n > middle])
        # A topic that joins later brings what it missed, and nothing twice.
        third = self.viewer()
        third.subscribe("approvals", since=0)
        third.until(lambda m: "subscribed" in m)
        third.subscribe("tasks", since=0)
        listed = [m for m in third.until(lambda m: m.get("number") == last) if "n" in m]
        self.assertEqual([m["n"] for m in listed], [m["n"] for m in events if "tasks" in m.get("also", ())])
        self.assertNotIn("agent.text", {m["type"] for m in listed})

    def test_server_killed_in_the_middle(self):
        model, task = self.waiting_task()
        stream = self.viewer()
        stream.subscribe(f"task:{task}", since=0)
        seen = []
        for i in range(40):
            if i == 20:
                self.nm.kill9("server")
                self.nm.wait_status()
            self.hint(task, f"hint {i}")
            if i == 10:
                seen += numbered(stream.until(lambda m: m.get("type") == "hint.added" and m["data"]["text"] == "hint 10"))
        with self.assertRaises(ConnectionError):
            while stream.receive(20) is not None:
                pass
        again = self.viewer()
        again.subscribe(f"task:{task}", since=seen[-1])
        seen += numbered(again.until(lambda m: m.get("type") == "hint.added" and m["data"]["text"] == "hint 39"))
        model.open_gate("go")
        self.nm.wait_state(task, "done")
        stored = self.nm.events(task)
        seen += numbered(again.until(lambda m: m.get("number") == stored[-1]["number"]))
        self.assertEqual(len(seen), len(stored))
        self.assertEqual(seen, sorted(set(seen)))
        self.assertEqual([e["data"]["text"] for e in stored if e["type"] == "hint.added"], [f"hint {i}" for i in range(40)])

    def test_slow_viewers_cost_little_and_lose_nothing(self):
        model, task = self.waiting_task()
        quick = [self.viewer() for _ in range(40)]
        stalled = [self.viewer(receive=4096) for _ in range(10)]
        for stream in quick + stalled:
            stream.subscribe(f"task:{task}")
            stream.until(lambda m: "subscribed" in m)
        pid = self.nm.status()["pid"]
        before = memory(pid)
        results = {}

        def follow(stream):
            results[stream] = stream.until(lambda m: m.get("type") == "hint.added" and m["data"]["text"] == "last", 120)

        readers = [threading.Thread(target=follow, args=(s,)) for s in quick]
        for reader in readers:
            reader.start()
        text = "x" * 60000
        for _ in range(60):  # 3.6 MB for each viewer
            self.hint(task, text)
        self.hint(task, "last")
        for reader in readers:
            reader.join(150)
        grown = memory(pid) - before
        want = numbered(results[quick[0]])
        self.assertGreaterEqual(len(want), 61)
        for stream in quick:
            self.assertEqual(numbered(results[stream]), want)
        for stream in stalled:
            follow(stream)
            self.assertEqual(numbered(results[stream]), want)
            told = [m["gap"] for m in results[stream] if "gap" in m]
            for gap in told:
                self.assertLessEqual(gap["from"], gap["to"])
        if not self.sanitized():
            self.assertLess(grown, 40 << 20)  # the ring, and at most 1 MB for each that stalled
        model.open_gate("go")
        self.nm.wait_state(task, "done")

    def sanitized(self):
        """The address sanitizer maps terabytes, and keeps what was freed."""
        with open(f"/proc/{self.nm.status()['pid']}/statm", encoding="ascii") as f:
            return int(f.read().split()[0]) * os.sysconf("SC_PAGESIZE") > 1 << 40

    def test_resync_and_errors(self):
        self.model(script(plain_honest()))
        self.do(self.repo(PLAIN), PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        stream = self.viewer()
        stream.subscribe("tasks", since=1 << 40)
        messages = stream.until(lambda m: "resync" in m)
        self.assertEqual((messages[-1]["resync"]["topics"], messages[-1]["resync"]["why"]), (["tasks"], "unknown"))
        for wrong in ({}, {"subscribe": []}, {"shout": {}}, []):
            stream.send(wrong)
            self.assertIn("error", stream.receive())
        stream.send_frame(1, b"no json")
        self.assertIn("error", stream.receive())
        for topic in ("weather", "task:", "task:zz", "task:" + "a" * 8, ""):
            stream.subscribe(topic)
            self.assertIn("error", stream.receive(), topic)
        stream.send({"ping": {"id": "p1"}})
        self.assertEqual(stream.receive()["pong"]["id"], "p1")
        stream.send({"unsubscribe": {"topics": ["tasks"]}})
        self.assertEqual(stream.receive()["subscribed"]["topics"], [])
        with self.assertRaises(ConnectionError):
            stream.send_frame(1, b"x" * 20000)  # more than a message may have
            stream.receive()
        self.assertEqual(stream.closed, 1009)
        with self.assertRaises(Refused):
            Stream(str(self.nm.data / "run" / "nightmill.sock"), protocol="nightmill.stream.v9")
        status, problem = self.nm.api("GET", "/api/v1/stream")
        self.assertEqual((status, problem["code"]), (400, "invalid"))

    def test_presence(self):
        self.model(script(plain_honest()))
        self.do(self.repo(PLAIN), PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        one, two = self.viewer(), self.viewer()
        one.subscribe("presence")
        self.assertEqual(one.until(lambda m: "presence" in m)[-1]["presence"]["viewers"], [])
        two.send({"presence": {"at": "task:abcdefg"}})
        joined = one.until(lambda m: m.get("event") == "collaborator_joined")[-1]
        self.assertEqual((joined["data"]["at"], joined["topic"]), ("task:abcdefg", "presence"))
        self.assertNotIn("n", joined)
        three = self.viewer()
        three.subscribe("presence")
        self.assertEqual([v["at"] for v in three.until(lambda m: "presence" in m)[-1]["presence"]["viewers"]], ["task:abcdefg"])
        two.send({"presence": {"at": "task:bad\u202etext"}})
        self.assertIn("error", two.receive())
        two.close()
        left = one.until(lambda m: m.get("event") == "collaborator_left")[-1]
        self.assertEqual(left["data"]["client"], joined["data"]["client"])

    def test_server_sent_events(self):
        self.model(script(plain_honest()))
        self.do(self.repo(PLAIN), PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        task = self.nm.newest()
        stored = self.nm.events(task)
        connection = UnixConnection(str(self.nm.data / "run" / "nightmill.sock"), 20)
        self.addCleanup(connection.close)
        connection.request("GET", f"/api/v1/stream?topics=task:{task}&since=0", headers={"Accept": "text/event-stream"})
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.getheader("Content-Type")), (200, "text/event-stream"))
        ids = []
        while len(ids) < len(stored):
            line = answer.readline().decode()
            if line.startswith("id: "):
                ids.append(int(line[4:]))
        self.assertEqual(ids, sorted(set(ids)))
        again = UnixConnection(str(self.nm.data / "run" / "nightmill.sock"), 20)
        self.addCleanup(again.close)
        again.request("GET", f"/api/v1/stream?topics=task:{task}", headers={"Accept": "text/event-stream", "Last-Event-ID": str(ids[-3])})
        answer = again.getresponse()
        rest = []
        while len(rest) < 2:
            line = answer.readline().decode()
            if line.startswith("id: "):
                rest.append(int(line[4:]))
        self.assertEqual(rest, ids[-2:])
        for query in ("", "?topics=", "?topics=weather", "?topics=tasks&since=x"):
            status = UnixConnection(str(self.nm.data / "run" / "nightmill.sock"), 20)
            status.request("GET", "/api/v1/stream" + query, headers={"Accept": "text/event-stream"})
            self.assertEqual(status.getresponse().status, 400, query)
            status.close()

    def test_strangers_and_foreign_pages(self):
        self.model(script(plain_honest()))
        self.do(self.repo(PLAIN), PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        url = self.nm.status()["addresses"][0]["url"]
        port = int(url.rsplit(":", 1)[1])
        with self.assertRaises(Refused) as refused:
            Stream(("127.0.0.1", port))
        self.assertIn("401", str(refused.exception))
        made = self.nm.json("key", "create", "--access", "read", "viewer")
        key = made["key"]
        with self.assertRaises(Refused) as refused:
            Stream(("127.0.0.1", port), headers={"Origin": "http://evil.example", "Authorization": f"Bearer {key}"})
        self.assertIn("403", str(refused.exception))
        stream = Stream(("127.0.0.1", port), headers={"Origin": url, "Authorization": f"Bearer {key}"})
        self.addCleanup(stream.close)
        stream.receive()
        stream.subscribe("tasks", since=0)
        stream.until(lambda m: m.get("type") == "task.created")
        # Its key is revoked while it looks: the stream ends and says why.
        self.nm.run("key", "revoke", made["id"], code=0)
        with self.assertRaises(ConnectionError):
            while stream.receive(25) is not None:
                pass
        self.assertEqual(stream.closed, 4401)
        # A key of another project sees nothing of this one.
        other = self.nm.json("key", "create", "--access", "read", "--project", "/elsewhere", "other")["key"]
        blind = Stream(("127.0.0.1", port), headers={"Authorization": f"Bearer {other}"})
        self.addCleanup(blind.close)
        blind.receive()
        blind.subscribe("tasks", "system", since=0)
        blind.until(lambda m: "error" in m)
        blind.send({"ping": {"id": "x"}})
        self.assertEqual([m for m in blind.until(lambda m: "pong" in m) if "n" in m], [])

    def test_projects_are_apart(self):
        """A key of one project sees that project's events and no other's, live and replayed: the other's come first in the order, so they would have been seen."""
        self.nm.run("daemon", "start", code=0)
        ours, theirs = self.repo(PLAIN), self.repo(PLAIN, "theirs")
        port = int(self.nm.status()["addresses"][0]["url"].rsplit(":", 1)[1])
        key = self.nm.json("key", "create", "--access", "read", "--project", str(ours.path), "ours")["key"]

        def viewer(**since):
            stream = Stream(("127.0.0.1", port), headers={"Authorization": f"Bearer {key}"})
            self.addCleanup(stream.close)
            stream.receive()
            stream.subscribe("tasks", **since)
            stream.until(lambda m: "subscribed" in m)
            return stream
        live = viewer()
        tasks = []
        for repo in (theirs, ours):
            self.model(script(plain_honest()))
            self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
            tasks.append(self.nm.newest())
        for stream in (live, viewer(since=0)):
            seen = [m for m in stream.until(lambda m: m.get("task") == tasks[1] and m.get("type") == "delivered") if "n" in m]
            self.assertEqual({m["task"] for m in seen}, {tasks[1]})
            stream.subscribe(f"task:{tasks[0]}", since=0)
            stream.send({"ping": {"id": "x"}})
            self.assertEqual([m for m in stream.until(lambda m: "pong" in m) if m.get("task") == tasks[0]], [])


if __name__ == "__main__":
    import unittest

    unittest.main()
