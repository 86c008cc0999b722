"""Keys never enter a sandbox, an event, a log, a file or a process list."""
import os
import pathlib
import re

from harness import CANARY_KEY, Case, descendants, finish, run, script, turn, wait_for, write
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK

SEARCH = ("env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'; ps aux 2>/dev/null; "
          "ls -a / /*; timeout 20 grep -rs sk-canary /workspace /tmp /home /root /var/tmp /var/lib /run /dev/shm /etc /mnt /opt /srv 2>/dev/null | head; echo searched")


class Secrets(Case):
    seconds = 240

    def look(self, wire, variable):
        plan = [turn(run(SEARCH), faults=[{"status": 500, "message": f"upstream refused {CANARY_KEY} today"}, {"status": 429, "retry_after": 1, "message": f"key {CANARY_KEY} is slow"}]),
                turn(write("file.txt", "one\ntwo\n"), wait_for="go"), turn(finish())]
        model = self.model(script(plan), key=CANARY_KEY, models="scripted,gpt-4.1,claude-sonnet-4-5")
        self.nm.env.update({"NIGHTMILL_MODEL_WIRE": wire, "NIGHTMILL_RETRY_FIRST": "1", "NIGHTMILL_RETRY_MOST": "1", variable: CANARY_KEY})
        repo = self.repo(PLAIN)
        command = self.nm.start("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=repo.path)
        task = self.nm.newest()
        wait_for("the second turn", 60, lambda: any(r.get("turn") == 1 for r in model.requests()))
        status = self.nm.wait_status()
        for pid, line in descendants(os.getpid(), {model.process.pid}):
            self.assertNotIn(CANARY_KEY, line, "a process list")
        for runner in status["runners"]:
            self.assertNotIn(CANARY_KEY.encode(), pathlib.Path("/proc", str(runner["pid"]), "environ").read_bytes(), "the runner's environment")
        self.assertNotIn(CANARY_KEY.encode(), pathlib.Path("/proc", str(status["keeper_pid"]), "environ").read_bytes(), "the keeper's environment")
        model.open_gate("go")
        self.assertEqual(command.wait(60), 0, command.err.read_text())
        self.assertEqual({r["key_kind"] for r in model.requests()} - {"bearer", "x-api-key"}, set())
        said = command.out.read_bytes() + command.err.read_bytes()
        for arguments in (("show", task), ("show", task, "--json"), ("log", task), ("log", task, "--jsonl"), ("config", "show"), ("config", "show", "--json"), ("doctor",), ("doctor", "--json"), ("daemon", "status", "--json"),
                          ("replay", task, "--speed", "1000")):
            ended = self.nm.run(*arguments, cwd=repo.path)
            said += ended.raw_out + ended.raw_err
        self.assertNotIn(CANARY_KEY.encode(), said, "what commands print")
        self.assertIn(b"searched", "".join(e["data"]["result"] for e in self.nm.events(task, "tool.finished")).encode())
        self.nm.stop_daemon()
        for file in [f for f in self.folder.rglob("*") if f.is_file() and not f.is_symlink()]:
            if file.is_relative_to(model.folder):
                continue
            self.assertNotIn(CANARY_KEY.encode(), file.read_bytes(), f"{file.relative_to(self.folder)}")

    def test_model_key(self):
        self.look("chat", "NIGHTMILL_MODEL_KEY")

    def test_model_key_over_messages(self):
        self.look("messages", "NIGHTMILL_MODEL_KEY")

    def test_files_of_the_daemon_are_private(self):
        self.nm.run("daemon", "start", code=0)
        for file in [self.nm.data, *self.nm.data.rglob("*")]:
            mode = file.lstat().st_mode & 0o777
            if file.is_dir() and file == self.nm.data or file.is_file() or file.is_socket():
                self.assertEqual(mode & 0o077, 0, f"{file}: {mode:o}")
