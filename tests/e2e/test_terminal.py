"""What is seen on a terminal and in a pipe: lines that are only added to, one status line, nothing raw from strangers."""
import re

from harness import Case, Terminal, finish, run, script, tool, turn, wait_for, write
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK, plain_honest, plain_wrong

# For texts; a file may not be written with a NUL.
EVIL = "\x1b]0;evil-title\x07\x1b[2J\x1b[31mred\x1b[0m\x9b31m\x08\x08\r evil \u202e back \x00"
FILE = EVIL.replace("\x00", "")


class Hostile(Case):
    seconds = 180

    def plan(self):
        return script([turn(write("file.txt", f"one\n{FILE}\n"), run("printf '\\033]0;evil-title\\007\\033[2J'; printf '\\033[31mred'"), tool("note", text=EVIL), text=EVIL),
                       turn(finish(f"Done {EVIL}"), text=EVIL)],
                      [turn(write("file.txt", f"one\ntwo\n{FILE}\n")), turn(finish(f"Done {EVIL}"))])

    def test_nothing_raw_in_a_pipe(self):
        self.model(self.plan())
        repo = self.repo({**PLAIN, "check.sh": "printf '\\033]0;evil-title\\007\\033[2Jcheck\\n'; grep -qx two file.txt\n"})
        text = f"{PLAIN_TASK} {EVIL}".replace("\x00", "")
        ended, task = self.do(repo, text, "--check", PLAIN_CHECK)
        self.assertEqual(ended.code, 0, ended)
        self.assert_clean_bytes(ended.raw_out, "stdout of run")
        self.assert_clean_bytes(ended.raw_err, "stderr of run")
        for arguments in (("ls",), ("show", task["id"]), ("log", task["id"]), ("diff", task["id"]), ("replay", task["id"], "--speed", "1000")):
            for more in ((), ("--json",)):
                ended = self.nm.run(*arguments, *more, code=0)
                self.assert_clean_bytes(ended.raw_out, f"stdout of {arguments} {more}")
                self.assertNotIn(b"\xc2\x9b", ended.raw_out)
        message = repo.git("log", "-1", "--format=%B", task["branch"], text=False)
        self.assert_clean_bytes(message, "the commit message")
        self.assertRegex(task["branch"], r"^nightmill/[a-z0-9-]+$")

    def test_nothing_raw_on_a_terminal(self):
        self.model(self.plan())
        repo = self.repo(PLAIN)
        terminal = Terminal(self.nm.command("run", f"{PLAIN_TASK} {EVIL}".replace("\x00", ""), "--check", PLAIN_CHECK), repo.path, self.nm.env)
        self.assertEqual(terminal.end(90), 0, terminal.seen[-2000:])
        for raw in (b"\x1b]", b"\x1b[2J", b"\x07", b"\xc2\x9b"):
            self.assertNotIn(raw, terminal.seen)
        task = self.nm.newest()
        for arguments in (("show", task), ("log", task), ("diff", task), ("ls",)):
            terminal = Terminal(self.nm.command(*arguments), repo.path, self.nm.env)
            self.assertEqual(terminal.end(30), 0, terminal.seen[-2000:])
            for raw in (b"\x1b]", b"\x1b[2J", b"\x07", b"\xc2\x9b"):
                self.assertNotIn(raw, terminal.seen, arguments)


class Screen(Case):
    seconds = 180

    def gated(self):
        model = self.model(script([turn(run("echo hello")), turn(write("file.txt", "one\ntwo\n"), wait_for="go"), turn(finish())]))
        self.price()
        repo = self.repo(PLAIN)
        terminal = Terminal(self.nm.command("run", PLAIN_TASK, "--check", PLAIN_CHECK, "--budget", "2.00"), repo.path, self.nm.env)
        wait_for("the second request", 60, lambda: terminal.read(0.01) and False or len(model.requests()) >= 2)
        return model, repo, terminal

    def test_status_line(self):
        model, repo, terminal = self.gated()
        terminal.expect(rb"(?i)working[^\n]*1/\d+[^\n]*\$[0-9.]+ ?(of|/) ?\$2")
        model.open_gate("go")
        self.assertEqual(terminal.end(60), 0)
        # One line is rewritten; the screen is never cleared, left or addressed.
        self.assertNotRegex(terminal.seen, rb"\x1b\[[0-9;]*[HfJ]|\x1b\[\?1049h|\x1b7")
        self.assertIn(b"nightmill/", terminal.seen)

    def test_no_color_on_a_terminal(self):
        self.nm.env["NO_COLOR"] = "1"
        model, repo, terminal = self.gated()
        model.open_gate("go")
        self.assertEqual(terminal.end(60), 0)
        self.assertNotRegex(terminal.seen, rb"\x1b\[[0-9;]*m")

    def test_ctrl_c_and_detach(self):
        model, repo, terminal = self.gated()
        terminal.send(b"\x03")
        terminal.expect(rb"(?i)detach.*stop|stop.*detach")
        terminal.send(b"d\n")
        self.assertEqual(terminal.end(20), 130)
        model.open_gate("go")
        task = self.nm.wait_state(self.nm.newest(), "done")
        self.assertEqual(repo.show(task["branch"], "file.txt"), "one\ntwo")

    def test_ctrl_c_and_stop(self):
        model, repo, terminal = self.gated()
        terminal.send(b"\x03")
        terminal.expect(rb"(?i)detach.*stop|stop.*detach")
        terminal.send(b"s\n")
        terminal.end(30)
        self.nm.wait_state(self.nm.newest(), "stopped", seconds=20)

    def test_second_ctrl_c_leaves_at_once(self):
        model, repo, terminal = self.gated()
        terminal.send(b"\x03")
        terminal.expect(rb"(?i)detach.*stop|stop.*detach")
        terminal.send(b"\x03")
        self.assertEqual(terminal.end(10), 130)
        model.open_gate("go")
        self.nm.wait_state(self.nm.newest(), "done")


class Pipes(Case):
    seconds = 120

    def test_lines_are_only_added(self):
        self.model(script(plain_wrong(), plain_honest()))
        ended, task = self.do(self.repo(PLAIN), PLAIN_TASK, "--check", PLAIN_CHECK, code=0, env={"TERM": "xterm-256color", "COLUMNS": "80"})
        self.assert_clean_bytes(ended.raw_out, "stdout")
        self.assert_clean_bytes(ended.raw_err, "stderr")
        self.assertLess(len((ended.out + ended.err).splitlines()), 80)
