"""Terminals of tasks: a real shell in the task's sandbox, shared by viewers, that survives the server and leaves nothing."""
import os
import re
import signal
import time
import unittest

from harness import Case, Terminal, alive, descendants, finish, run, script, turn, wait_for, write
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK, plain_honest
from websocket import Refused, WebSocket

PROTOCOL = "nightmill.terminal.v1"


class Viewer:
    """What one viewer has seen of a terminal."""

    def __init__(self, nm, task, query="", rows=None, cols=80):
        self.ws = WebSocket(nm.data / "run" / "nightmill.sock", f"/api/v1/tasks/{task}/terminal{query}", PROTOCOL)
        self.seen, self.words, self.live, self.over = bytearray(), [], False, None
        self.hello = self.ws.receive()["hello"]
        if rows:
            self.ws.send({"resize": {"rows": rows, "cols": cols}})

    def read(self, seconds=0.2):
        try:
            message = self.ws.receive(seconds)
        except TimeoutError:
            return False
        if isinstance(message, bytes):
            self.seen += message
        elif message is None:
            self.over = self.over or {}
            return False
        else:
            self.words.append(message)
            self.live = self.live or "live" in message
            self.over = message.get("exit", self.over)
        return True

    def until(self, what, condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not come; words {self.words[-8:]}, seen {self.seen[-1500:]!r}")
            self.read()
        return self

    def expect(self, pattern, seconds=60, since=0):
        """The pattern in what was seen since; in its end, when that is long."""
        return self.until(repr(pattern), lambda: re.search(pattern, self.seen[max(since, len(self.seen) - 100000):]), seconds)

    def word(self, name):
        """The last message of that name, which must come."""
        self.until(name, lambda: any(name in w for w in self.words))
        return [w[name] for w in self.words if name in w][-1]

    def type(self, text):
        self.ws.send(text.encode())

    def ask(self, line):
        """Types a line: (what it printed, its exit status). The marks are such that the echo does not show them."""
        n = len(self.seen)
        self.type(f" {line}; echo '<'\"$?\"'>'\n")
        self.expect(rb"<\d+>", since=n)
        out, code = re.search(rb"(?s).*'>'\r\n(.*?)<(\d+)>", self.seen[n:]).groups()
        return re.sub(rb"\x1b\[\?2004[hl]\r?", b"", out).strip(), int(code)

    def close(self):
        self.ws.close()


class ShellCase(Case):
    def ended_task(self):
        self.model(script(plain_honest()))
        repo = self.repo(PLAIN)
        _, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        return repo, task["id"]

    def viewer(self, task, query="", **more):
        v = Viewer(self.nm, task, query, **more)
        self.addCleanup(v.close)
        return v

    def shells(self):
        """Processes of terminals, as (pid, line)."""
        return [(pid, line) for pid, line in descendants(os.getpid(), set()) if f" terminal {self.nm.data}" in line]

    def inside(self, word):
        return [line for _, line in descendants(os.getpid(), set()) if word in line]


class Session(ShellCase):
    seconds = 240

    def test_a_shell_shared_by_viewers_that_survives_the_server(self):
        repo, task = self.ended_task()
        a = self.viewer(task, rows=30, cols=100)
        self.assertTrue(a.hello["writable"])
        a.expect(rb"agent.*\$ ")
        self.assertEqual(a.word("files")["state"], "writable")
        a.type("echo on''e; stty size; id -un; pwd; cat file.txt; git log --oneline | wc -l\n")
        a.expect(rb"one\r\n30 100\r\nagent\r\n/workspace\r\none\r\ntwo\r\n\d+\r\n")
        # A second viewer sees what was shown, and what comes; both may type; the size is that of the last.
        b = self.viewer(task)
        b.expect(rb"one\r\n30 100\r\nagent")
        b.until("live", lambda: b.live)
        b.type("echo tw''o\n")
        a.expect(rb"two\r\n")
        b.expect(rb"\$ echo tw''o\r\n[^\r\n]*\rtwo\r\n")
        b.ws.send({"resize": {"rows": 20, "cols": 70}})
        a.until("size", lambda: {"size": {"rows": 20, "cols": 70}} in a.words)
        self.assertEqual(len(a.word("viewers")), 2)
        # One that only watches neither types nor sizes, and gets no questions to its terminal.
        w = self.viewer(task, "?watch=1")
        self.assertFalse(w.hello["writable"])
        w.type("touch /tmp/by-the-watcher\n")
        w.ws.send({"resize": {"rows": 10, "cols": 10}})
        w.ws.send({"end": {}})
        a.type("ls /tmp/by-the-watcher; stty size; printf 'q\\033[6n\\033]52;c;c2VjcmV0\\007\\033]0;title\\007z\\n'\n")
        a.expect(rb"No such file.*\r\n30 100\r\n")
        w.expect(rb"\nqz\r\n")
        a.expect(rb"\nq\x1b\[6nz\r\n")
        self.assertNotIn(b"\x1b[6n", b.seen + w.seen)
        for v in (a, b, w):
            v.expect(rb"z\r\n")
            self.assertNotIn(b"\x1b]", v.seen)
        status, document = self.nm.api("GET", f"/api/v1/tasks/{task}/terminals")
        self.assertEqual((status, [(t["session"], t["viewers"]) for t in document["terminals"]]), (200, [("1", 3)]))
        # The server is killed: the shell lives on, and is there again with its scrollback.
        a.type("cd /tmp; kept=yes; (sleep 2; echo while''-away) &\n")
        a.expect(rb"kept=yes")
        self.nm.kill9("server")
        for v in (a, b, w):
            v.until("end", lambda v=v: v.over is not None)
        self.nm.wait_status()
        c = self.viewer(task)
        c.expect(rb"(?s)one\r\n30 100\r\n.*while-away")
        c.type("echo still $kept in $PWD\n")
        c.expect(rb"still yes in /tmp\r\n")
        # It ends with everything inside.
        c.type("(trap '' HUP; setsid sleep 98765 &); exit 3\n")
        c.until("exit", lambda: c.over)
        self.assertEqual((c.over["code"], c.over["reason"]), (3, "exited"))
        self.assertEqual(c.ws.receive(5), None)
        self.assertEqual(c.ws.code, 1000)
        wait_for("the end of what ran inside", 10, lambda: not self.inside("98765") and not self.shells())
        self.assertEqual(self.nm.api("GET", f"/api/v1/tasks/{task}/terminals")[1]["terminals"], [])
        # A later session shows the earlier one above it, and has what it wrote.
        d = self.viewer(task)
        d.expect(rb"(?s)still yes in /tmp.*a new session begins.*agent.*\$ ")
        d.type("echo more >> file.txt; git status --short\n")
        d.expect(rb"M[^\n]* file\.txt\r\n")
        self.assertEqual((repo.path / "file.txt").read_text(), "one\n")

    def test_nothing_is_reachable_from_inside(self):
        _, task = self.ended_task()
        v = self.viewer(task)
        v.expect(rb"\$ ")
        self.assertEqual(v.ask("cat /proc/self/status | grep -E 'CapEff|CapPrm|NoNewPrivs|Seccomp:' | tr -d '\\t\\n '")[0],
                         b"CapPrm:0000000000000000CapEff:0000000000000000NoNewPrivs:1Seccomp:2")
        for attempt in (f"ls {self.nm.data}", f"cat {self.nm.data}/tasks/{task}/token", "ls /root/.ssh", "cat /etc/shadow", "touch /usr/x", "touch /git/x", "ls /proc/1/fd",
                        "kill -9 1 && test ! -d /proc/1", "mount -t tmpfs x /workspace", "unshare -r true", "chroot / true",
                        "bash -c 'exec 3<>/dev/tcp/127.0.0.1/8098'", "bash -c 'exec 3<>/dev/tcp/1.1.1.1/53'", "ls /sys/fs/cgroup/", "mknod /tmp/d c 1 1", "dd if=/dev/sda of=/dev/null count=1"):
            self.assertNotEqual(v.ask(f"{attempt} 2>&1 >/dev/null | head -c 0; (exit ${{PIPESTATUS[0]}})")[1], 0, attempt)
        self.assertEqual(v.ask("ls -A /workspace | grep -c nightmill")[0], b"0")
        self.assertEqual(v.ask("env | grep -ciE 'token|secret|api_key'")[0], b"0")
        self.assertEqual(v.ask("ls /proc | grep -cE '^[0-9]+$' | awk '{print ($1 < 12)}'")[0], b"1")

    def test_the_process_is_killed(self):
        _, task = self.ended_task()
        v = self.viewer(task)
        v.expect(rb"\$ ")
        v.type("sleep 87654 & echo sle''eps\n")
        v.expect(rb"sleeps\r\n")
        os.kill(min(self.shells())[0], signal.SIGKILL)  # the others are small ones that watch its sandbox
        v.until("exit", lambda: v.over)
        self.assertEqual(v.over["reason"], "lost")
        wait_for("the end of what ran inside", 10, lambda: not self.inside("87654"))
        again = self.viewer(task)
        again.expect(rb"(?s)sleeps\r\n.*a new session begins.*\$ ")
        # By order of a viewer.
        again.ws.send({"end": {}})
        again.until("exit", lambda: again.over)
        self.assertEqual(again.over["reason"], "ended")
        wait_for("the end of the shell", 10, lambda: not self.shells())

    def test_a_flood_neither_hurts_the_server_nor_others(self):
        _, task = self.ended_task()
        a, slow = self.viewer(task), self.viewer(task, "?watch=1")
        a.expect(rb"\$ ")
        a.type("yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c 24000000; echo; echo e''nd-of-flood\n")
        a.expect(rb"end-of-flood\r\n", 120)  # while `slow` reads nothing
        self.assertEqual([w for w in a.words if "gap" in w], [], "who types and reads misses nothing")
        self.assertGreaterEqual(len(a.seen), 24000000)
        status, _ = self.nm.api("GET", "/health")
        self.assertEqual(status, 200)
        slow.expect(rb"end-of-flood\r\n")
        gaps = sum(w["gap"]["bytes"] for w in slow.words if "gap" in w)
        self.assertGreater(gaps, 10000000, "a viewer that does not read is told what it missed")
        # Ended in the middle of one by a key, although one viewer does not read at all.
        a.type("yes\n")
        a.expect(rb"(y\r\n){5000}")
        a.type("\x03")
        a.expect(rb"\^C")
        a.type("echo out''of-it\n")
        a.expect(rb"outof-it\r\n")

    def test_idle_terminals_end_and_there_are_not_too_many(self):
        self.nm.env.update({"NIGHTMILL_TERMINAL_IDLE": "3", "NIGHTMILL_TERMINAL_TASK_MOST": "2", "NIGHTMILL_TERMINAL_MOST": "2"})
        _, task = self.ended_task()
        first, second = self.viewer(task), self.viewer(task, "?session=2")
        first.expect(rb"\$ ")
        second.expect(rb"\$ ")
        with self.assertRaises(Refused) as refused:
            Viewer(self.nm, task, "?session=3")
        self.assertEqual(refused.exception.status, 429, refused.exception)
        for query, expected in (("?session=0", 400), ("?session=100", 400), ("?session=../x", 400), ("?what=else", 400), ("?session=2&watch=1&session=9", None)):
            if expected:
                with self.assertRaises(Refused) as refused:
                    Viewer(self.nm, task, query)
                self.assertEqual(refused.exception.status, expected, query)
        with self.assertRaises(Refused) as refused:
            Viewer(self.nm, "zzzzzzz")
        self.assertEqual(refused.exception.status, 404)
        self.assertEqual(self.nm.api("GET", f"/api/v1/tasks/{task}/terminal")[0], 400)
        for v in (first, second):
            v.until("exit", lambda v=v: v.over, 30)
            self.assertEqual(v.over["reason"], "idle")
        wait_for("the end of the shells", 10, lambda: not self.shells())


class Command(ShellCase):
    seconds = 240

    def start(self, *arguments, **more):
        return Terminal(self.nm.command("shell", *arguments), str(self.folder), self.nm.env, **more)

    def test_a_terminal_in_a_terminal(self):
        _, task = self.ended_task()
        first = self.start(task, columns=90, rows=25)
        first.expect(rb"agent.*\$ ")
        first.send(b"echo he''re; stty size\r")
        first.expect(rb"here\r\n25 90\r\n")
        looks = self.start(task, "--read-only")
        looks.expect(rb"here\r\n25 90")
        looks.send(b"touch /tmp/looked\n")
        self.nm.kill9("server")
        first.expect(rb"coming back")
        first.send(b"\r")
        first.expect(rb"(?s)coming back.*here\r\n25 90")
        first.send(b"ls /tmp/looked; printf '\\033]0;evil\\007\\033]52;c;eA==\\007'; echo do''ne\r")
        first.expect(rb"(?s)No such file.*done\r\n")
        # Left by ~. at the beginning of a line, and joined again.
        first.send(b"echo '~.' is no or''der\r")
        first.expect(rb"~. is no order\r\n")
        first.send(b"~.")
        self.assertEqual(first.end(), 0)
        self.assertIn(b"nightmill shell", first.seen)
        again = self.start(task)
        again.expect(rb"~. is no order\r\n")
        again.send(b"exit 5\r")
        self.assertEqual(again.end(), 5)
        self.assertEqual(looks.end(), 5)
        for terminal in (first, again, looks):
            self.assertNotIn(b"\x1b]", terminal.seen)
        # Through a pipe: what was typed is done, nothing but text comes out, the status is the shell's.
        ended = self.nm.run("shell", task, stdin=b"echo pi''ped; exit 4\n")
        self.assertEqual(ended.code, 4, ended)
        self.assertIn("piped\n", ended.out)
        self.assert_clean_bytes(ended.raw_out, "stdout of shell")
        wait_for("the grace after a start", 20, lambda: self.nm.run("shell", task, "--read-only").code != 9, 0.5)
        ended = self.nm.run("shell", task, "--read-only")
        self.assertEqual(ended.code, 1, ended)
        self.assert_one_sentence(ended, "nobody has opened")


class Access(ShellCase):
    seconds = 240

    def test_who_may_look_and_who_may_type(self):
        _, task = self.ended_task()
        address = self.nm.wait_status()["addresses"][0]["url"].removeprefix("http://").split(":")
        address = (address[0], int(address[1]))
        path = f"/api/v1/tasks/{task}/terminal"

        def key(access):
            status, made = self.nm.api("POST", "/api/v1/keys", {"name": access, "access": access})
            self.assertEqual(status, 201, made)
            return made

        def join(made=None, **headers):
            v = Viewer.__new__(Viewer)
            v.ws = WebSocket(address, path, PROTOCOL, {**({"Authorization": f"Bearer {made['key']}"} if made else {}), **headers})
            v.seen, v.words, v.live, v.over = bytearray(), [], False, None
            v.hello = v.ws.receive()["hello"]
            self.addCleanup(v.close)
            return v

        reads, uses = key("read"), key("use")
        for made, headers, status in ((None, {}, 401), (uses, {"Origin": "http://evil.example"}, 403), (uses, {"Origin": "null"}, 403)):
            with self.assertRaises(Refused) as refused:
                join(made, **headers)
            self.assertEqual(refused.exception.status, status, headers)

        def refusal():
            with self.assertRaises(Refused) as refused:
                join(reads)  # nobody has opened it; just after the server's start one may be coming back
            return refused.exception.status
        wait_for("the grace after a start", 20, lambda: refusal() != 503, 0.5)
        self.assertEqual(refusal(), 404)
        types = join(uses, Origin=f"http://{address[0]}:{address[1]}")
        self.assertTrue(types.hello["writable"])
        types.expect(rb"\$ ")
        looks = join(reads)
        self.assertFalse(looks.hello["writable"])
        looks.type("echo from-who-looks\n")
        types.type("echo from who ty''pes\n")
        looks.expect(rb"from who types\r\n")
        self.assertNotIn(b"from-who-looks", types.seen)
        # A key that is revoked loses its terminal, the session goes on for others.
        self.assertEqual(self.nm.api("DELETE", f"/api/v1/keys/{uses['id']}")[0], 200)
        types.until("the end", lambda: types.over is not None, 60)
        self.assertEqual(types.ws.code, 4401)
        looks.until("one viewer less", lambda: len(looks.word("viewers")) == 1)


class AtWork(ShellCase):
    seconds = 240

    def test_files_are_read_only_while_the_agent_works(self):
        model = self.model(script([turn(run("printf '\\033[32mgreen\\033[0m \\033]0;evil\\007line\\n'; echo li''ve; sleep 1")), turn(write("file.txt", "one\ntwo\n"), wait_for="go"), turn(finish())]))
        self.nm.env["NIGHTMILL_LIMITS_ADAPTIVE"] = "false"
        repo = self.repo(PLAIN)
        self.nm.start("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=repo.path)
        task = self.nm.newest()
        agent = self.viewer(task, "?what=agent")
        self.assertFalse(agent.hello["writable"])
        agent.expect(rb"(?s)iteration 1.*\$ run .*\x1b\[32mgreen\x1b\[0m line\r\nlive\r\n")
        wait_for("the second request", 60, lambda: len(model.requests()) >= 2)
        v = self.viewer(task)
        v.expect(rb"(?s)the agent has these files now.*\$ ")
        self.assertEqual(v.word("files")["state"], "read-only")
        v.type("cat file.txt; echo x > file.txt; echo co''de $?\n")
        v.expect(rb"(?s)Read-only file system.*code 1\r\n")
        model.open_gate("go")
        self.nm.wait_state(task, {"done"})
        agent.expect(rb"(?s)check.*verdict")
        self.assertNotIn(b"\x1b]", agent.seen)
        agent.type("rm -rf /\n")
        agent.ws.send({"end": {}})
        v.type("cat file.txt\n")
        v.expect(rb"one\r\ntwo\r\n")

    def test_a_task_that_goes_on_takes_its_files_back(self):
        self.model(script([turn(write("file.txt", "one\nthree\n")), turn(finish())], [turn(write("file.txt", "one\ntwo\n")), turn(finish())]))
        repo = self.repo(PLAIN)
        _, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, "--iterations", "1")
        self.assertEqual(task["state"], "paused", task)
        v = self.viewer(task["id"])
        v.expect(rb"\$ ")
        self.assertEqual(v.word("files")["state"], "writable")
        v.type("sleep 76543 & echo sle''eps\n")
        v.expect(rb"sleeps\r\n")
        self.nm.run("resume", task["id"], "--iterations", "3")
        self.nm.wait_state(task["id"], {"done"})
        v.expect(rb"(?s)the task goes on with these files.*\$ ")
        self.assertEqual(self.inside("76543"), [])
        v.until("read-only", lambda: v.word("files")["state"] == "read-only")
        v.type("touch x; echo co''de $?\n")
        v.expect(rb"code 1\r\n")


if __name__ == "__main__":
    unittest.main()
