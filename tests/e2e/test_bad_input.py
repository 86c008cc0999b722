"""Bad input: one clear sentence with what to do, and nothing lost."""
import os
import pathlib
import re
import shutil
import subprocess
import time
import unittest

from harness import PROGRAM, Case, Repo, finish, run, script, turn, wait_for, write
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK, plain_honest


class Places(Case):
    """Where a run is asked for."""
    seconds = 180

    def refused(self, folder, *words, flags=("--check", PLAIN_CHECK)):
        model = self.model(script(plain_honest()))
        ended = self.nm.run("run", PLAIN_TASK, *flags, cwd=folder)
        self.assertIn(ended.code, (1, 2), ended)
        self.assert_one_sentence(ended, *words)
        self.assertEqual(model.requests(), [])
        return ended

    def works(self, repo, *flags):
        self.model(script(plain_honest()))
        before = repo.state()
        ended, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, *flags, code=0)
        self.assert_state(task, "done")
        repo.git("branch", "-q", "-D", task["branch"])
        self.assertEqual(repo.state(), before)
        return ended, task

    def test_not_a_repository(self):
        folder = self.folder / "nothing"
        folder.mkdir()
        self.refused(folder, "repository", "git init")

    def test_bare_repository(self):
        self.refused(self.repo(bare=True).path, "bare|work tree")

    def test_empty_repository(self):
        self.refused(self.repo().path, "commit")

    def test_shallow_clone(self):
        origin = self.repo(PLAIN, name="origin")
        origin.commit("More", {"more.txt": "x\n"})
        subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{origin.path}", str(self.folder / "shallow")], check=True, capture_output=True,
                       env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"})
        self.works(Repo(self.folder / "shallow"))

    def test_detached_head(self):
        repo = self.repo(PLAIN)
        repo.git("checkout", "-q", "--detach")
        self.works(repo)

    def test_dirty_tree_is_left_alone(self):
        repo = self.repo(PLAIN)
        repo.put({"file.txt": "mine\n", "new.txt": "mine too\n"})
        repo.git("add", "new.txt")
        ended, task = self.works(repo)
        self.assertRegex(ended.out + ended.err, "(?i)not committed|uncommitted|dirty|changes")

    def test_a_folder_below_the_top(self):
        repo = self.repo({**PLAIN, "sub/a.txt": "a\n"})
        self.model(script(plain_honest()))
        _, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=0, cwd=repo.path / "sub")
        self.assertEqual(repo.show(task["branch"], "file.txt"), "one\ntwo")

    def test_linked_work_tree(self):
        repo = self.repo(PLAIN)
        repo.git("worktree", "add", "-q", str(self.folder / "linked"))
        self.model(script(plain_honest()))
        _, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=0, cwd=self.folder / "linked")
        self.assertEqual(repo.show(task["branch"], "file.txt"), "one\ntwo")

    def test_submodules_are_kept_and_told(self):
        inner = self.repo({"inner.txt": "x\n"}, name="inner")
        repo = self.repo(PLAIN)
        repo.git("-c", "protocol.file.allow=always", "submodule", "-q", "add", str(inner.path), "inner")
        repo.commit("With a submodule")
        entry = repo.git("ls-tree", "HEAD", "inner")
        self.model(script(plain_honest()))
        ended, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        self.assertEqual(repo.git("ls-tree", task["branch"], "inner"), entry)
        self.assertRegex(ended.out + ended.err, "(?i)submodule")

    def test_strange_file_names_survive(self):
        repo = self.repo(PLAIN)
        names = [b"caf\xe9.txt", b"new\nline.txt", b"tab\tand \"quote\".txt", b"-rf", b" blank ", "Ω.txt".encode(), b"\xff\xfe", b"\x1b[31mred.txt"]
        for name in names:
            with open(os.path.join(os.fsencode(repo.path), name), "wb") as f:
                f.write(b"content of " + name)
        repo.commit("Strange names")
        before = repo.git("ls-tree", "-r", "-z", "HEAD", text=False)
        self.model(script([turn(run("printf x > \"$(printf 'caf\\351-2.txt')\"; printf y > 'new\nline-2.txt'; ls -la")), *plain_honest()]))
        ended, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        after = repo.git("ls-tree", "-r", "-z", task["branch"], text=False)
        lost = [e for e in before.split(b"\0") if e and b"file.txt" not in e and e not in after.split(b"\0")]
        self.assertEqual(lost, [])
        self.assertIn(b"caf\xe9-2.txt", after)
        self.assertIn(b"new\nline-2.txt", after)
        for arguments in (("show", task["id"]), ("diff", task["id"]), ("log", task["id"])):
            ended = self.nm.run(*arguments, code=0)
            self.assert_clean_bytes(ended.raw_out, str(arguments))

    def test_huge_files(self):
        repo = self.repo({**PLAIN, "big.bin": os.urandom(1 << 20) * 40})
        self.model(script([turn(write("file.txt", "one\ntwo\n"), {"name": "read", "args": {"path": "big.bin"}}, run("head -c 30000000 /dev/urandom > made.bin; cat big.bin | head -c 5000000")),
                           turn(finish())]))
        ended, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        self.assertIn("made.bin", repo.files(task["branch"]))
        self.assertEqual(repo.git("rev-parse", f"{task['branch']}:big.bin"), repo.git("rev-parse", "HEAD:big.bin"))

    def test_symlinks_and_modes_of_the_repository(self):
        repo = self.repo({**PLAIN, "tool.sh": ("#!/bin/sh\n", 0o755)})
        os.symlink("file.txt", repo.path / "link")
        os.symlink("/etc/passwd", repo.path / "out")
        os.symlink("nowhere", repo.path / "dangling")
        repo.commit("Links")
        before = set(repo.git("ls-tree", "-r", "HEAD").splitlines())
        self.model(script(plain_honest()))
        _, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        after = set(repo.git("ls-tree", "-r", task["branch"]).splitlines())
        self.assertEqual(len(before - after), 1)  # file.txt alone


class ProjectFile(Case):
    def refused(self, text, *words):
        model = self.model(script(plain_honest()))
        repo = self.repo({**PLAIN, "nightmill.yaml": text})
        ended = self.nm.run("run", PLAIN_TASK, cwd=repo.path)
        self.assertNotEqual(ended.code, 0, ended)
        self.assert_one_sentence(ended, "nightmill.yaml", *words)
        self.assertEqual(model.requests(), [])

    def test_unknown_member(self):
        self.refused("checks:\n  test:\n    command: 'true'\n    comand: x\n", "4", "comand")

    def test_not_yaml(self):
        self.refused("checks: [\n", "[12]")

    def test_wrong_type(self):
        self.refused("checks:\n  test:\n    command: 'true'\n    timeout: soon\n", "4", "timeout")

    def test_empty_check(self):
        self.refused("checks:\n  test:\n    timeout: 5\n", "command")

    def test_binary(self):
        self.refused("checks:\n  test:\n    command: \"\\0\"\n", "[0-9]")


class Wishes(Case):
    """Flags and settings."""

    def test_flags_out_of_range(self):
        self.model(script(plain_honest()))
        repo = self.repo(PLAIN)
        for flags in (("--budget", "two"), ("--budget", "-1"), ("--budget", "1e9"), ("--iterations", "0"), ("--iterations", "x"), ("--iterations", "99999999999999999999"),
                      ("--approve", "lunch"), ("--check",), ("--time", "-5"), ("--nonsense",)):
            ended = self.nm.run("run", PLAIN_TASK, *flags, cwd=repo.path)
            self.assertEqual(ended.code, 2, f"{flags}: {ended}")
            self.assert_one_sentence(ended)

    def test_empty_text(self):
        self.model(script(plain_honest()))
        for text in ("", "   ", "\n"):
            ended = self.nm.run("run", text, "--check", "true", cwd=self.repo(PLAIN).path)
            self.assertEqual(ended.code, 2, ended)
            self.assert_one_sentence(ended)

    def test_settings_out_of_range(self):
        repo = self.repo(PLAIN)
        ended = self.nm.run("config", "check", env={"NIGHTMILL_RETRY_FIRST": "soon"}, cwd=repo.path)
        self.assertNotEqual(ended.code, 0, ended)
        self.assertRegex(ended.out + ended.err, "(?i)retry.first|NIGHTMILL_RETRY_FIRST")
        self.assertEqual(self.nm.run("config", "check", cwd=repo.path).code, 0)

    def test_nothing_to_ask(self):
        """No key and no server is said before anything is started, with the three ways out."""
        ended = self.nm.run("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=self.repo(PLAIN).path)
        self.assertNotEqual(ended.code, 0, ended)
        for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "NIGHTMILL_MODEL_URL"):
            self.assertIn(name, ended.out + ended.err)


class Checks(Case):
    seconds = 180

    def test_a_check_that_hangs_is_ended_and_told(self):
        repo = self.repo({**PLAIN, "nightmill.yaml": "checks:\n  lines:\n    command: sh -c 'sleep 300 & sleep 300'\n    timeout: 1\n"})
        model = self.model(script(plain_honest()))
        _, task = self.do(repo, PLAIN_TASK, "--iterations", "2")
        self.assertNotEqual(task["state"], "done")
        self.assertIn("timed out", str([e["data"] for e in self.nm.events(task["id"], "verdict")]).lower().replace("timed_out", "timed out"))
        # The agent hears of it.
        second = next(r for r in model.requests() if r["iteration"] == 2)
        self.assertRegex(str(model.body(second)["messages"]), "(?i)time")

    def test_a_check_that_floods_its_output_is_ended(self):
        repo = self.repo({**PLAIN, "nightmill.yaml": "checks:\n  lines:\n    command: 'yes we print'\n    timeout: 60\n"})
        self.model(script(plain_honest()))
        _, task = self.do(repo, PLAIN_TASK, "--iterations", "1")
        self.assertNotEqual(task["state"], "done")
        used = sum(f.stat().st_size for f in self.nm.data.rglob("*") if f.is_file())
        self.assertLess(used, 400 << 20)

    def test_output_that_is_not_text(self):
        repo = self.repo({**PLAIN, "check.sh": "head -c 100000 /dev/urandom; grep -qx two file.txt\n"})
        self.model(script([turn(write("file.txt", "one\nthree\n")), turn(finish())], plain_honest()))
        ended, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, "--iterations", "3")
        self.assert_clean_bytes(ended.raw_out + ended.raw_err, "the run")


class DataFolder(Case):
    """The daemon's own folder."""
    needs_sandbox = False
    seconds = 180

    def test_second_daemon(self):
        self.nm.run("daemon", "start", code=0)
        first = self.nm.status()
        again = self.nm.run("daemon", "start")
        self.assertIn(again.code, (0, 1, 5), again)
        self.assertRegex(again.out + again.err, rf"(?i)already|{first['keeper_pid']}|{first['pid']}")
        self.assertEqual(self.nm.status()["pid"], first["pid"])

    def test_many_first_commands_start_one_daemon(self):
        commands = [self.nm.start("ls") for _ in range(6)]
        self.assertEqual([c.wait(60) for c in commands], [0] * 6, [c.err.read_text() for c in commands])
        self.assertEqual(len({self.nm.status()["keeper_pid"]}), 1)
        # clean() asserts that no second one was left behind

    def test_corrupt_database(self):
        self.nm.run("daemon", "start", code=0)
        self.nm.run("daemon", "stop", code=0)
        database = next(self.nm.data.rglob("nightmill.db"))
        for suffix in ("-wal", "-shm"):
            pathlib.Path(str(database) + suffix).unlink(missing_ok=True)
        garbage = b"This is no database.\n" * 1000
        database.write_bytes(garbage)
        ended = self.nm.run("ls")
        self.assertNotEqual(ended.code, 0, ended)
        self.assert_one_sentence(ended, "database")
        self.assertEqual(database.read_bytes(), garbage, "a damaged database must stay as it was found")

    def test_damaged_page(self):
        self.nm.run("daemon", "start", code=0)
        self.nm.run("daemon", "stop", code=0)
        database = next(self.nm.data.rglob("nightmill.db"))
        data = bytearray(database.read_bytes())
        data[4096:8192] = os.urandom(4096)
        database.write_bytes(data)
        (database.parent / "unclean").touch()
        ended = self.nm.run("ls")
        if ended.code:
            self.assert_one_sentence(ended, "database")

    def test_database_of_a_newer_program(self):
        self.nm.run("daemon", "start", code=0)
        self.nm.run("daemon", "stop", code=0)
        import sqlite3
        database = next(self.nm.data.rglob("nightmill.db"))
        connection = sqlite3.connect(database)
        columns = [r[1] for r in connection.execute("PRAGMA table_info(migration)")]
        rows = connection.execute("SELECT * FROM migration ORDER BY 1 DESC LIMIT 1").fetchall() if columns else []
        if not rows:
            connection.close()
            self.skipTest("no table of migrations to add to")
        row = [9999 if isinstance(v, int) and i == 0 else v for i, v in enumerate(rows[0])]
        connection.execute(f"INSERT INTO migration VALUES ({','.join('?' * len(row))})", row)
        connection.commit()
        connection.close()
        ended = self.nm.run("ls")
        self.assertNotEqual(ended.code, 0, ended)
        self.assert_one_sentence(ended, "newer|database")

    def test_a_file_where_the_folder_should_be(self):
        self.nm.data.write_text("mine\n")
        ended = self.nm.run("ls")
        self.assertNotEqual(ended.code, 0, ended)
        self.assert_one_sentence(ended, re.escape(str(self.nm.data)))
        self.assertEqual(self.nm.data.read_text(), "mine\n")

    def mount(self, options):
        self.nm.data.mkdir(mode=0o700)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.nm.data)], capture_output=True)
        if done.returncode:
            self.skipTest("this machine does not let tests mount a file system")
        self.addCleanup(lambda: subprocess.run(["umount", "-l", str(self.nm.data)], capture_output=True))
        # The cleanup of the case comes after this one in the list and must come before it.
        self._cleanups.append(self._cleanups.pop(-2))

    def test_read_only_data_folder(self):
        self.mount("size=1m,ro")
        ended = self.nm.run("ls")
        self.assertNotEqual(ended.code, 0, ended)
        self.assert_one_sentence(ended, "read-only|write|permission", re.escape(str(self.nm.data)))

    def test_full_disk_at_the_start(self):
        self.mount("size=64k")
        (self.nm.data / "ballast").write_bytes(b"x" * 60000)
        ended = self.nm.run("ls")
        self.assertNotEqual(ended.code, 0, ended)
        self.assert_one_sentence(ended, "space|full|disk")

    def test_disk_full_in_the_middle_of_a_run(self):
        """The run waits, says so, loses nothing, and goes on when there is room."""
        self.mount("size=900m")
        self.nm.env.update({"NIGHTMILL_RETRY_FIRST": "1", "NIGHTMILL_RETRY_MOST": "1", "NIGHTMILL_SANDBOX_DISK_FLOOR": "0"})  # the floor would end the sandbox before
        model = self.model(script([turn(run("echo begin")), turn(write("file.txt", "one\ntwo\n"), wait_for="go"), turn(finish())]))
        repo = self.repo(PLAIN)
        self.nm.start("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=repo.path)
        task = self.nm.newest()
        wait_for("the second request", 40, lambda: len(model.requests()) >= 2)
        ballast = self.nm.data / "ballast"
        with open(ballast, "wb") as f:
            try:
                while True:
                    f.write(b"x" * 262144)
                    f.flush()
            except OSError:
                pass
        model.open_gate("go")
        time.sleep(4)
        ballast.unlink()
        self.nm.run("ls")
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            self.nm.run("ls")
            state = self.nm.task(task)
            if state["state"] in ("done", "failed", "stopped"):
                break
            if state["state"] in ("paused", "needs_you"):
                self.nm.run("resume", task)
            time.sleep(0.5)
        self.assert_state(self.nm.task(task), "done")
        self.assertEqual(repo.show(self.nm.task(task)["branch"], "file.txt"), "one\ntwo")
        self.assertEqual(self.nm.task(task)["iteration"], 1)


@unittest.skipUnless(os.geteuid() == 0, "only root can become an ordinary user here")
class OrdinaryUser(Case):
    """The same program for a user without privileges."""
    seconds = 180
    uid = 65534

    def as_user(self, *arguments, cwd, env=None):
        program = self.folder / "bin" / "nightmill"
        if not program.exists():
            program.parent.mkdir()
            shutil.copy2(PROGRAM, program)
        for place in (self.nm.home, self.folder / "config", self.folder / "xdg-run", self.nm.sanitizer, cwd):
            subprocess.run(["chown", "-R", f"{self.uid}:{self.uid}", str(place)], check=True)
        done = subprocess.run([str(program), *arguments], cwd=cwd, env={**self.nm.env, **(env or {})}, user=self.uid, group=self.uid, extra_groups=[], capture_output=True, timeout=90,
                              stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def test_a_data_folder_without_rights(self):
        self.nm.data.mkdir(mode=0o755)
        code, out, err = self.as_user("ls", cwd=self.nm.home)
        self.assertNotEqual(code, 0)
        self.assertRegex(err, str(self.nm.data))
        self.assertLess(len(err), 1500)

    def test_the_main_job(self):
        self.nm.data.mkdir(mode=0o700)
        os.chown(self.nm.data, self.uid, self.uid)
        if subprocess.run(["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"], user=self.uid, group=self.uid, extra_groups=[], capture_output=True).returncode:
            self.skipTest("users without privileges may not make namespaces here")
        self.model(script(plain_honest()))
        repo = self.repo(PLAIN)
        before = repo.state()
        code, out, err = self.as_user("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=repo.path)
        self.assertEqual(code, 0, out + err)
        branch = [b for b in repo.branches() if b.startswith("nightmill/")][0]
        self.assertEqual(repo.show(branch, "file.txt"), "one\ntwo")
        repo.git("branch", "-q", "-D", branch)
        self.assertEqual(repo.state(), before)
        code, out, err = self.as_user("daemon", "stop", cwd=repo.path)
        self.assertEqual(code, 0, out + err)
