"""The real program with a scripted model, for the tests of the page: started by harness.mjs, which speaks to it by lines of JSON on standard input and
output. Everything lies in a folder of its own, and ends when standard input does.

  serve.py                first line out: {"socket", "url", "folder"}
  {"do":"task", "repo":"calc", "text", "checks":[...], "match":[...], "arguments":[...]}  ->  {"task": ID}     runs `nightmill run --detach`
  {"do":"wait", "task": ID, "states":[...]}                                               ->  {"state": ...}
  {"do":"empty"}   in place of "start": no model, no key                                            ->  {"url", "folder"}
  {"do":"filled"}   in place of "start": a daemon with a month behind it (filled.py)                 ->  {"url", "folder"}
  {"do":"many", "count": N}         writes N ended tasks of the past, while the daemon is down    ->  {"url"}
  {"do":"kill", "role":"server"}   {"do":"gate", "name": ...}   {"do":"api", "method", "path", "body"}   {"do":"sql", "statement"}
"""
import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent / "tests" / "e2e")]
import harness  # noqa: E402
import projects  # noqa: E402


def answer(document):
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


class Served:
    def __init__(self, folder):
        self.folder = folder
        # A page that is being worked on, instead of the one in the program.
        self.nm = harness.Nightmill(folder, {name: os.environ[name] for name in ("NIGHTMILL_SERVER_UI_DIR",) if name in os.environ})
        self.models, self.repos = [], {}

    def model(self, plan):
        model = harness.Model(self.folder, plan)
        self.models.append(model)
        return model

    def repo(self, name, files=None):
        if name not in self.repos:
            self.repos[name] = harness.Repo(self.folder / name, {"calc": projects.CALC, "plain": projects.PLAIN}.get(name) if files is None else files)
        return self.repos[name]

    def url(self):
        return self.nm.wait_status()["addresses"][0]["url"]

    # What harness.mjs asks for.
    def start(self, plan):
        model = self.model(plan)
        self.nm.env.update({"NIGHTMILL_MODEL_URL": model.url, "NIGHTMILL_MODEL_NAME": "scripted", "NIGHTMILL_MODEL_WIRE": "chat"})
        self.nm.run("daemon", "start", code=0)
        self.nm.run("price", "set", "scripted", "--input", "3.00", "--output", "15.00", "--cache-read", "0.30", code=0)
        return {"url": self.url(), "socket": str(self.nm.data / "run" / "nightmill.sock"), "folder": str(self.folder)}

    def empty(self):
        """As on the first day: no model, no key, nothing asked for."""
        self.nm.run("daemon", "start", code=0)
        return {"url": self.url(), "socket": str(self.nm.data / "run" / "nightmill.sock"), "folder": str(self.folder)}

    def filled(self):
        from filled import Filled  # pylint: disable=import-outside-toplevel
        filled = Filled(self.folder / "filled")
        self.nm, self.models = filled.nm, [filled.model, filled.upstream]
        filled.fill()
        return {"url": self.url(), "socket": str(self.nm.data / "run" / "nightmill.sock"), "folder": str(filled.folder)}

    def task(self, text, repo="calc", files=None, checks=(), arguments=()):
        where = self.repo(repo, files)
        words = [word for check in checks for word in ("--check", check)]
        ended = self.nm.run("run", text, *words, "--detach", *arguments, cwd=where.path, seconds=60, code=0)
        del ended
        return {"task": self.nm.newest(), "repo": str(where.path)}

    def wait(self, task, states, seconds=60):
        return {"state": self.nm.wait_state(task, tuple(states), seconds)["state"]}

    def kill(self, role="server", task=None):
        return {"pid": self.nm.kill9(role, task)}

    def gate(self, name):
        self.models[0].open_gate(name)
        return {}

    def many(self, count):
        from filled import many_tasks  # pylint: disable=import-outside-toplevel
        self.nm.stop_daemon()
        many_tasks(self.nm.data / "nightmill.db", count)
        self.nm.run("daemon", "start", code=0)
        return {"url": self.url()}

    def api(self, method, path, body=None):
        status, document = self.nm.api(method, path, body)
        return {"status": status, "body": document}

    def sql(self, statement):
        """What somebody does who gets at the file behind the daemon's back."""
        with contextlib.closing(sqlite3.connect(self.nm.data / "nightmill.db", timeout=30)) as db, db:
            return {"rows": db.execute(statement).rowcount}

    def command(self, arguments, code=0):
        ended = self.nm.run(*arguments, code=code)
        return {"out": ended.out, "err": ended.err}

    def close(self):
        try:
            self.nm.stop_daemon()
        finally:
            for model in self.models:
                model.close()


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="nightmill-ui-"))
    folder.chmod(0o755)
    served = Served(folder)
    try:
        for line in sys.stdin:
            request = json.loads(line)
            try:
                answer(getattr(served, request.pop("do"))(**request))
            except Exception as e:  # pylint: disable=broad-except
                answer({"error": f"{type(e).__name__}: {e}"})
    finally:
        served.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
