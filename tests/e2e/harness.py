"""What the end-to-end tests stand on: the real program, a real model server with a script, real git repositories.

Each test has a folder of its own with home, data and repositories in it, and is a subreaper: whatever the program starts and leaves behind becomes a child
of the test's process, so that "no process is left" can be asserted exactly. Every wait has a deadline.
"""
import ctypes
import decimal
import fcntl
import hashlib
import http.client
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("NIGHTMILL_PROGRAM", str(ROOT / "build" / "nightmill"))
FINAL = ("done", "unproven", "stopped", "failed")
RESTING = FINAL + ("needs_you", "paused")
CANARY_KEY = "sk-canary-7f3a9c51e0d24b68a1"  # must never be seen anywhere but in the request to the model
PASSED = ("NIGHTMILL_SERVER_LOOPS",)  # settings that a whole run of tests may have
ESCAPE = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")

PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


# --- the agent's part: tool calls of a script ---------------------------------------------------------------------------

def tool(name, **args):
    return {"name": name, "args": args}


def write(path, content):
    return tool("write", path=path, content=content)


def edit(path, old, new):
    return tool("edit", path=path, old=old, new=new)


def run(command, **more):
    return tool("run", command=command, **more)


def finish(summary="Done."):
    return tool("finish", summary=summary)


def turn(*tools, text="", **more):
    return {"text": text, "tools": list(tools), **more}


def script(*iterations, match=()):
    """One conversation; each iteration is a list of turns."""
    return {"conversations": [{"match": list(match), "iterations": [list(i) for i in iterations]}]}


# --- processes ----------------------------------------------------------------------------------------------------------

def process_table():
    """pid -> (parent, state, command line) of everything that can be seen."""
    table = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = pathlib.Path("/proc", entry, "stat").read_text(encoding="utf-8", errors="replace")
            line = pathlib.Path("/proc", entry, "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        except OSError:
            continue
        rest = stat[stat.rindex(")") + 2:].split()
        table[int(entry)] = (int(rest[1]), rest[0], line)
    return table


def descendants(of, without=()):
    """Living processes below `of`: [(pid, command line)]; those of `without` and what is below them are left out."""
    table = process_table()
    below, found = [of], []
    while below:
        parent = below.pop()
        for pid, (ppid, state, line) in table.items():
            if ppid == parent and pid not in without:
                below.append(pid)
                if state not in "ZX":
                    found.append((pid, line))
    return found


def alive(pid):
    try:
        stat = pathlib.Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] not in "ZX"


def wait_for(what, seconds, condition, every=0.05):
    """The first true value of condition(). AssertionError when it stays false."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(every)


# --- the model ----------------------------------------------------------------------------------------------------------

class Model:
    """The scripted model server as a process of its own."""

    def __init__(self, folder, plan, key=None, models="scripted", latency_ms=0):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="model-", dir=folder))
        self.log = self.folder / "log"
        self.gates = self.folder / "gates"
        self.bodies = self.folder / "bodies"
        self.gates.mkdir()
        self.bodies.mkdir()
        (self.folder / "script.json").write_text(json.dumps(plan), encoding="utf-8")
        command = [sys.executable, str(ROOT / "tests" / "fakes" / "model.py"), str(self.folder / "script.json"), "--log", str(self.log),
                   "--gates", str(self.gates), "--bodies", str(self.bodies), "--models", models, "--latency-ms", str(latency_ms)]
        self.process = subprocess.Popen(command + (["--key", key] if key else []), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()

    def entries(self, kind):
        if not self.log.exists():
            return []
        return [e for e in map(json.loads, self.log.read_text(encoding="utf-8").splitlines()) if e["type"] == kind]

    def requests(self):
        """Model requests, also those that got a fault."""
        return [e for e in self.entries("request") if e["method"] == "POST"]

    def answers(self):
        """Model requests that were answered to the end."""
        return self.entries("answer")

    def body(self, request):
        return json.loads((self.bodies / f"{request['sequence']:04d}.json").read_text(encoding="utf-8"))

    def open_gate(self, name):
        (self.gates / name).touch()


# --- repositories -------------------------------------------------------------------------------------------------------

class Repo:
    """A user's repository."""

    def __init__(self, path, files=None, bare=False):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main", *(["--bare"] if bare else []))
        if not bare:
            self.git("config", "user.name", "Ada Miller")
            self.git("config", "user.email", "ada@example.org")
        if files:
            self.commit("Start", files)

    def git(self, *arguments, check=True, text=True):
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1",
               "GIT_AUTHOR_DATE": "2026-01-05T09:00:00Z", "GIT_COMMITTER_DATE": "2026-01-05T09:00:00Z"}
        done = subprocess.run(["git", "-c", "safe.directory=*", *arguments], cwd=self.path, env=env, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        if check and done.returncode:
            raise AssertionError(f"git {' '.join(map(str, arguments))}: {done.stderr.decode('utf-8', 'replace')}")
        return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n") if text else done.stdout

    def put(self, files):
        """Writes files; a value may be text, bytes, (text, mode) or None to remove."""
        for name, content in files.items():
            where = self.path / name
            if content is None:
                where.unlink()
                continue
            mode = None
            if isinstance(content, tuple):
                content, mode = content
            where.parent.mkdir(parents=True, exist_ok=True)
            where.write_bytes(content if isinstance(content, bytes) else content.encode())
            if mode is not None:
                where.chmod(mode)

    def commit(self, message, files=None):
        if files:
            self.put(files)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.head()

    def head(self, name="HEAD"):
        return self.git("rev-parse", name)

    def branches(self):
        return self.git("for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines()

    def show(self, commit, path):
        return self.git("show", f"{commit}:{path}")

    def files(self, commit="HEAD"):
        return self.git("ls-tree", "-r", "--name-only", commit).splitlines()

    def state(self):
        """Everything of the checkout that must not change behind the user's back."""
        listing = []
        for folder, folders, names in os.walk(self.path):
            folders[:] = sorted(f for f in folders if f != ".git")
            for name in sorted(names):
                where = pathlib.Path(folder, name)
                data = os.readlink(where).encode() if where.is_symlink() else where.read_bytes()
                listing.append((str(where.relative_to(self.path)), where.lstat().st_mode, hashlib.sha256(data).hexdigest()))
        return {"files": listing, "head": self.git("rev-parse", "HEAD"), "branch": self.git("symbolic-ref", "-q", "HEAD", check=False),
                "index": self.git("ls-files", "-s"), "hooks": sorted(os.listdir(self.path / ".git" / "hooks")) if (self.path / ".git" / "hooks").is_dir() else [],
                "config": (self.path / ".git" / "config").read_bytes() if (self.path / ".git" / "config").is_file() else None}


# --- the program --------------------------------------------------------------------------------------------------------

class Ended:
    """What a finished command left."""

    def __init__(self, command, code, out, err):
        self.command, self.code, self.raw_out, self.raw_err = command, code, out, err
        self.out, self.err = out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.out)

    def lines(self):
        return [json.loads(line) for line in self.out.splitlines() if line.strip()]

    def __str__(self):
        return f"{' '.join(map(str, self.command))}\n  ended with {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Nightmill:
    """The program with a home of its own."""

    def __init__(self, folder, env=None):
        self.folder = pathlib.Path(folder)
        self.home = self.folder / "home"
        self.data = self.folder / "data"
        for place in (self.home, self.folder / "config"):
            place.mkdir(parents=True, exist_ok=True)
        self.sanitizer = self.folder / "sanitizer"
        self.sanitizer.mkdir()
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", "TERM": "dumb",
                    "XDG_DATA_HOME": str(self.folder / "xdg-data"), "XDG_CONFIG_HOME": str(self.folder / "config"),
                    "XDG_STATE_HOME": str(self.folder / "xdg-state"), "XDG_CACHE_HOME": str(self.folder / "xdg-cache"),
                    "XDG_RUNTIME_DIR": str(self.folder / "xdg-run"), "NIGHTMILL_DATA_DIR": str(self.data), "NIGHTMILL_SERVER_ADDRESS": "127.0.0.1:0",
                    "NIGHTMILL_SEAL_KEY_FILE": str(self.folder / "config" / "seal.key"),  # and what is kept beside it
                    "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + f":log_path={self.sanitizer}/asan",
                    "UBSAN_OPTIONS": os.environ.get("UBSAN_OPTIONS", "") + f":log_path={self.sanitizer}/ubsan",
                    "TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", "") + f":log_path={self.sanitizer}/tsan",
                    **{name: os.environ[name] for name in PASSED if name in os.environ}, **(env or {})}
        (self.folder / "xdg-run").mkdir(mode=0o700)
        self.started = []  # commands that still run
        self.wrapper = []  # what stands before the program: another program and its words

    def command(self, *arguments):
        return [*self.wrapper, PROGRAM, *map(str, arguments)]

    def run(self, *arguments, cwd=None, code=None, env=None, seconds=60, stdin=None):
        """Runs a command to its end. With `code` the exit status must be that."""
        command = self.command(*arguments)
        process = subprocess.Popen(command, cwd=cwd or self.folder, env={**self.env, **(env or {})}, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(stdin, timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate(timeout=10)
            raise AssertionError(f"no end after {seconds} s: {Ended(command, None, out, err)}") from None
        ended = Ended(command, process.returncode, out, err)
        if code is not None and ended.code != code:
            raise AssertionError(f"expected exit status {code}: {ended}\n{self.daemon_log()}")
        return ended

    def json(self, *arguments, **more):
        """A command with --json; its document."""
        more.setdefault("code", 0)
        ended = self.run(*arguments, "--json", **more)
        try:
            document = ended.json()
        except ValueError:
            raise AssertionError(f"no JSON: {ended}") from None
        return document["data"] if isinstance(document, dict) and "data" in document and "schema" in document else document

    def start(self, *arguments, cwd=None, env=None):
        """Starts a command and returns its process; output goes to files (process.out, process.err)."""
        number = len(self.started)
        out, err = self.folder / f"started-{number}.out", self.folder / f"started-{number}.err"
        with open(out, "wb") as o, open(err, "wb") as e:
            process = subprocess.Popen(self.command(*arguments), cwd=cwd or self.folder, env={**self.env, **(env or {})}, stdin=subprocess.DEVNULL, stdout=o, stderr=e)
        process.out, process.err = out, err
        self.started.append(process)
        return process

    def api(self, method, path, body=None, seconds=20):
        """(status, document) straight from the daemon's socket."""
        connection = UnixConnection(str(self.data / "run" / "nightmill.sock"), seconds)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"} if body is not None else {})
            answer = connection.getresponse()
            raw = answer.read()
            return answer.status, json.loads(raw) if raw else None
        finally:
            connection.close()

    # The daemon.
    def status(self):
        """The daemon's status, or None when there is none."""
        try:
            status, document = self.api("GET", "/api/v1/status")
        except OSError:
            return None
        return document if status == 200 else None

    def wait_status(self, seconds=20):
        return wait_for("the daemon", seconds, self.status)

    def daemon_log(self):
        logs = sorted(self.data.glob("**/*.log")) if self.data.exists() else []
        return "".join(f"--- {log.name}\n{log.read_text(encoding='utf-8', errors='replace')[-6000:]}\n" for log in logs if log.parent.name in ("data", "log", "run") or log.parent == self.data)

    def kill9(self, role, task=None):
        """Kills a process of ours by its id: "server", "keeper" or the "runner" of a task."""
        status = self.wait_status()
        if role == "runner":
            pid = next(r["pid"] for r in status["runners"] if r["task"] == task)
        else:
            pid = status["pid" if role == "server" else "keeper_pid"]
        os.kill(pid, signal.SIGKILL)
        wait_for(f"the end of the {role}", 10, lambda: not alive(pid))
        return pid

    def stop_daemon(self):
        if self.status():
            self.run("daemon", "stop", seconds=40)

    # Tasks.
    def task(self, task_id):
        status, document = self.api("GET", f"/api/v1/tasks/{task_id}")
        if status != 200:
            raise AssertionError(f"task {task_id}: {status} {document}")
        return document

    def tasks(self):
        return self.api("GET", "/api/v1/tasks")[1]["tasks"]

    def newest(self, seconds=30):
        """The id of the newest task, once there is one."""
        def look():
            try:
                return self.status() and self.tasks()
            except OSError:
                return None
        return wait_for("a task", seconds, look)[0]["id"]

    def wait_state(self, task_id, states, seconds=60):
        """The task, once it is in one of the states. A resting state that is not among them ends the waiting."""
        states = (states,) if isinstance(states, str) else states
        last = {}

        def look():
            try:
                last.update(self.task(task_id))
            except OSError:  # the daemon is being restarted
                return None
            return last if last["state"] in states else None

        try:
            return wait_for(f"{task_id} to be {' or '.join(states)}", seconds, look)
        except AssertionError as e:
            words = {k: last.get(k) for k in ("state", "reason", "words", "iteration")}
            raise AssertionError(f"{e}; it is {words}\n{self.event_words(task_id)}\n{self.daemon_log()}") from None

    def events(self, task_id, kind=None):
        connection = UnixConnection(str(self.data / "run" / "nightmill.sock"), 20)
        found, after = [], 0
        try:
            while True:
                connection.request("GET", f"/api/v1/tasks/{task_id}/events?after={after}&limit=1000")
                answer = connection.getresponse()
                lines = [json.loads(line) for line in answer.read().splitlines() if line.strip()]
                if not lines:
                    break
                found += lines
                after = lines[-1]["number"]
        finally:
            connection.close()
        return [e for e in found if kind is None or e["type"] == kind]

    def event_words(self, task_id):
        try:
            return "\n".join(f"{e['number']:4} {e['type']} {json.dumps(e['data'])[:300]}" for e in self.events(task_id)[-40:])
        except (OSError, AssertionError, ValueError) as e:
            return f"(no events: {e})"

    def ledger(self, task_id):
        return self.api("GET", f"/api/v1/tasks/{task_id}/ledger")[1]


# --- a terminal ---------------------------------------------------------------------------------------------------------

class Terminal:
    """A command on a pseudo-terminal."""

    def __init__(self, command, cwd, env, columns=100, rows=30):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(cwd)
                os.execvpe(command[0], command, {**env, "TERM": "xterm-256color"})
            finally:
                os._exit(127)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.seen = b""
        self.code = None

    def read(self, seconds=0.1):
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.seen += data
        return bool(data)

    def expect(self, pattern, seconds=40):
        """Waits for the expression in all that was shown."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.seen):
            if time.monotonic() > deadline:
                raise AssertionError(f"{pattern!r} did not come; shown: {self.seen[-3000:]!r}")
            self.read()
        return self.seen

    def send(self, data):
        os.write(self.fd, data)

    def end(self, seconds=60):
        """Waits for the command's end; its exit status."""
        deadline = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                while self.read(0.05):
                    pass
                self.code = os.waitstatus_to_exitcode(status)
                os.close(self.fd)
                return self.code
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError(f"no end after {seconds} s; shown: {self.seen[-3000:]!r}")
            self.read()


# --- a test -------------------------------------------------------------------------------------------------------------

_sandbox = None


def sandbox_works():
    """Whether bubblewrap can make namespaces on this machine."""
    global _sandbox
    if _sandbox is None:
        try:
            _sandbox = subprocess.run(["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"],
                                      capture_output=True, timeout=20, stdin=subprocess.DEVNULL).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            _sandbox = False
    return _sandbox


class Case(unittest.TestCase):
    """A test with a folder, the program in it, and nothing left of either afterwards."""
    needs_sandbox = True

    def setUp(self):
        if not os.access(PROGRAM, os.X_OK):
            self.fail(f"{PROGRAM} is not built")
        if self.needs_sandbox and not sandbox_works():
            self.skipTest("this machine does not let bubblewrap make a sandbox")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nightmill-e2e-"))
        self.folder.chmod(0o755)
        self.models = []
        self.nm = Nightmill(self.folder)
        self.addCleanup(self.clean)

    def model(self, plan, **more):
        """Starts a scripted model and makes it the one that the program uses."""
        model = Model(self.folder, plan, **more)
        self.models.append(model)
        self.nm.env["NIGHTMILL_MODEL_URL"] = model.url
        return model

    def repo(self, files=None, name="project", **more):
        return Repo(self.folder / name, files, **more)

    def clean(self):
        problems = []
        try:
            self.nm.stop_daemon()
        except (AssertionError, OSError) as e:
            problems.append(f"daemon stop: {e}")
        for process in self.nm.started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                problems.append(f"still running: {process.args}")
        servers = {m.process.pid for m in self.models}
        deadline = time.monotonic() + 5
        while (left := descendants(os.getpid(), servers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        if left:
            problems.append("processes left behind: " + "; ".join(f"{pid} {line[:200]}" for pid, line in left))
            for pid, _ in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        for model in self.models:
            model.close()
        for report in sorted(self.nm.sanitizer.iterdir()):
            problems.append(f"{report.name}:\n{report.read_text(encoding='utf-8', errors='replace')[:6000]}")
        if problems and os.environ.get("NIGHTMILL_KEEP"):
            print(f"kept: {self.folder}")
        else:
            subprocess.run(["chmod", "-R", "u+rwX", str(self.folder)], capture_output=True)
            shutil.rmtree(self.folder, ignore_errors=True)
        if problems:
            self.fail("\n".join(problems))

    def do(self, repo, text, *flags, code=None, seconds=100, cwd=None, env=None):
        """`nightmill run` to its end: (the command, the task)."""
        ended = self.nm.run("run", text, *flags, cwd=cwd or repo.path, code=code, seconds=seconds, env=env)
        return ended, self.nm.task(self.nm.newest())

    def price(self, model="scripted", **rates):
        """Sets a price, decimals for a million tokens; the rates as whole pico-units a token."""
        rates = {"input": "3", "output": "15", "cache_read": "0.30", "cache_write": "3.75", "cache_write_1h": "6", **rates}
        self.nm.run("daemon", "start", code=0)
        status, answer = self.nm.api("POST", "/api/v1/prices", {"model": model, "currency": "USD", "source": "the test", **rates})
        self.assertEqual(status, 201, answer)
        return {name: int(decimal.Decimal(rate) * 1000000) for name, rate in rates.items()}

    @staticmethod
    def cost(answers, rates):
        """What answered requests must cost, in pico-units."""
        return sum(a["usage"][bucket] * rate for a in answers for bucket, rate in rates.items())

    # Assertions of many tests.
    def assert_state(self, task, state, reason=None):
        if task["state"] != state or (reason is not None and task["reason"] != reason):
            self.fail(f"the task is {task['state']} ({task['reason']}: {task['words']}), not {state} ({reason})\n{self.nm.event_words(task['id'])}\n{self.nm.daemon_log()}")

    def assert_money(self, text, pico):
        self.assertEqual(decimal.Decimal(text), decimal.Decimal(pico).scaleb(-12))

    def assert_nothing_delivered(self, repo, before):
        """The user's repository is as it was."""
        self.assertEqual(repo.state(), before)
        self.assertEqual([b for b in repo.branches() if b.startswith("nightmill/")], [])

    def assert_one_sentence(self, ended, *words):
        """A refusal for people: one sentence, what to do, nothing else."""
        said = ended.err.strip()
        self.assertTrue(said, f"nothing on standard error: {ended}")
        self.assertLess(len(said), 1500, ended)
        self.assertNotRegex(said, r"(Traceback|Assertion|0x[0-9a-f]{8}|runtime error|\bRC_)", ended)
        for word in words:
            self.assertRegex(said, re.compile(word, re.I), str(ended))

    def assert_clean_bytes(self, data, what):
        """No control byte but tab and line feed."""
        found = ESCAPE.search(data)
        self.assertIsNone(found, f"{what} has the byte {found and found.group()!r} near {data[max(0, (found.start() if found else 0) - 60):][:120]!r}")
