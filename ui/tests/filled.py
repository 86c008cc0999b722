"""A daemon with a month behind it, for looking at screens: tasks of several agents in every state, a ledger, budgets, traffic, requests, keys, providers.

  filled.py FOLDER     fills a new folder, starts the daemon there, prints one JSON line {"url", "socket", "data"} and goes on until its standard input ends

A few tasks and requests really run (a scripted model, the gateway); what must lie in the past is written as rows while the daemon is down. The same
figures each time: the past is drawn from a fixed seed, counted back from now.
"""
import json
import os
import pathlib
import random
import sqlite3
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent.parent / "tests" / part) for part in ("e2e", "fakes")]

from gateway import Upstream, Asking, api, gateway_port, key_create, key_headers, model_add, request_of  # noqa: E402
from harness import CANARY_KEY, Model, Nightmill, Repo, finish, script, turn, write  # noqa: E402
from projects import CALC, PLAIN, PLAIN_CHECK, PLAIN_TASK, TASK, UNITTEST, plain_honest, plain_wrong, second_try  # noqa: E402

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
PROJECTS = ("grain-api", "mill-site", "ledger-tools")
AGENTS = (("nightmill", "0.5.0"), ("codex", "0.58.0"), ("claude", "2.1.4"), ("aider", "0.86.1"))
# model: provider, price of a million tokens in (None: nobody knows), out
MODELS = {"claude-sonnet-4-5": ("anthropic", 3.0, 15.0), "gpt-5.1-codex": ("openai", 1.25, 10.0), "gemini-2.5-pro": ("gemini", 1.25, 10.0),
          "qwen3-coder-30b": ("workshop", None, None)}
EUROS = ("gemini-2.5-pro",)  # whose prices are in EUR
TITLES = ("Add retry with backoff to the parcel client", "Fix flaky date test in week 53", "Move settings page to the new table", "Parse weights with a comma",
          "Speed up the invoice export", "Drop Python 3.9", "Escape names in the CSV download", "Add an index for orders by day", "Say which line of the recipe is wrong",
          "Cache the price list for an hour", "Rename grinder to mill everywhere", "Test the importer with empty files")
ENDINGS = ("done",) * 13 + ("unproven", "failed", "failed", "stopped", "paused")
HOSTS = (("packages.example.org", "GET", "/simple/requests/", 200, "allowed", ""), ("files.example.org", "GET", "/packages/requests-2.32.5-py3-none-any.whl", 200, "allowed", ""),
         ("registry.example.net", "GET", "/preact", 200, "allowed", ""), ("github.com", "GET", "/example/grain/info/refs?service=git-upload-pack", 200, "allowed", ""),
         ("telemetry.example.net", "POST", "/v2/collect", 0, "denied", "nobody allowed this host"), ("crates.io", "CONNECT", "", 200, "tunnelled", ""),
         ("packages.example.org", "GET", "/simple/left-pad/", 404, "allowed", ""), ("mirror.example.org", "GET", "/debian/pool/main/z/zlib", 0, "failed", "no answer within 30 s"),
         ("paste.example.com", "POST", "/new", 0, "alarm", "a known secret was in the body"))


def currency_of(model):
    return "EUR" if model in EUROS else "USD"


def many_tasks(path, count):
    """Tasks that have ended, for lists; newer than what is there. Number k of them is "Task k of many", one in 100 failed."""
    db = sqlite3.connect(path)
    first = db.execute("SELECT coalesce(max(number), 0) FROM task").fetchone()[0] + 1
    now = time.time_ns()
    for k in range(count):
        number, at = first + k, now - (count - k) * 60 * SECOND
        task, title, state = f"{number * 2654435761 % 2**28:07x}", f"Task {k + 1} of many: {TITLES[k % len(TITLES)]}", "failed" if k % 100 == 50 else "done"
        Filled.insert(db, "task", {"number": number, "id": task, "title": title, "repo": f"/srv/{PROJECTS[k % 3]}", "state": state, "reason": "", "words": "", "applied": 0, "iteration": 1 + k % 5,
                            "iteration_limit": 10, "created_ns": at, "changed_ns": at, "started_ns": at, "ended_ns": at, "worked_ns": 60 * SECOND, "limit_time_s": 0, "limit_tokens": 0,
                            "limit_money": 0, "currency": "USD", "agent": AGENTS[k % 4][0], "agent_version": "1", "model": "scripted", "kind": "simple"})
        Filled.insert(db, "task_text", {"number": number, "text": title, "spec": "{}"})
        db.execute("INSERT INTO task_search (rowid, heading, body) VALUES (?, ?, ?)", (number, title, title))
    db.commit()
    db.close()


class Filled:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.model = Model(self.folder, {"conversations": [
            {"match": ["double"], "iterations": second_try()},
            {"match": ["four"], "iterations": [plain_wrong("four"), plain_wrong("five"), plain_wrong("six")]},
            script(plain_honest())["conversations"][0]]}, key=CANARY_KEY)
        self.upstream = Upstream()
        self.nm = Nightmill(self.folder, {"NIGHTMILL_MODEL_URL": self.model.url, "NIGHTMILL_MODEL_KEY": CANARY_KEY, "NIGHTMILL_MODEL_NAME": "scripted",
                                          "NIGHTMILL_RECORD_KEEP": "full", "NIGHTMILL_EGRESS_HOSTS": "packages.example.org,files.example.org", "WORKSHOP_KEY": "wk-0451",
                                          **{name: os.environ[name] for name in ("NIGHTMILL_SERVER_UI_DIR",) if name in os.environ}})
        self.random = random.Random(7)

    def close(self):
        self.nm.stop_daemon()
        self.model.close()
        self.upstream.close()

    def start(self):
        self.nm.run("daemon", "start", code=0)
        self.port = gateway_port(self.nm)

    def fill(self):
        self.start()
        self.catalog()
        self.nm.stop_daemon()
        self.past()
        self.start()
        self.budgets()
        self.requests()
        self.tasks()

    def catalog(self):
        nm = self.nm
        for name, rates in {"scripted": ("3", "15"), "fake": ("1", "4"), **{m: (str(i), str(o)) for m, (_, i, o) in MODELS.items() if i is not None}}.items():
            api(nm, "POST", "/api/v1/prices", model=name, input=rates[0], output=rates[1], cache_read="0.30", cache_write="3.75", currency=currency_of(name), source="price list of the provider")
        api(nm, "PUT", "/api/v1/providers/workshop", kind="compatible", dialect="chat", url=self.upstream.url, key_env="WORKSHOP_KEY", concurrency=4)
        api(nm, "PUT", "/api/v1/providers/anthropic", key="sk-ant-not-a-real-key")
        api(nm, "PUT", "/api/v1/providers/attic", kind="compatible", dialect="chat", url="http://127.0.0.1:9", key_env="ATTIC_KEY")
        for name, provider, upstream in (("fake", "workshop", "fake"), ("qwen3-coder-30b", "workshop", "qwen3-coder-30b"), ("claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5")):
            model_add(nm, name, provider, upstream)
        api(nm, "PUT", "/api/v1/tiers", name="tier-a", models=["claude-sonnet-4-5", "fake"])
        api(nm, "PUT", "/api/v1/tiers", name="tier-b", models=["qwen3-coder-30b"])
        api(nm, "PUT", "/api/v1/egress_hosts", host="*.example.net", verdict="allow", project="")
        api(nm, "PUT", "/api/v1/egress_hosts", host="telemetry.example.net", verdict="deny", project="")
        api(nm, "POST", "/api/v1/rates", **{"from": "EUR", "to": "USD", "rate": "1.0842", "source": "ECB"})

    def past(self):
        db = sqlite3.connect(self.nm.data / "nightmill.db")
        now = time.time_ns()
        db.execute("UPDATE rate SET from_ns = ?", (now - 60 * DAY,))  # known since before the first row
        prices = {model: number for number, model in db.execute("SELECT id, model FROM price ORDER BY from_ns")}
        hold = 0
        for number in range(1, 97):
            back = int((96 - number) / 96 * 33 * DAY) + self.random.randrange(3600) * SECOND + 5400 * SECOND
            started = now - back
            agent, version = AGENTS[number % 4 if number % 7 else 0]
            model = self.random.choice([m for m in MODELS if m != "qwen3-coder-30b"]) if number % 9 else "qwen3-coder-30b"
            state = self.random.choice(ENDINGS)
            turns = self.random.randrange(1, 6)
            worked = self.random.randrange(120, 2400) * SECOND
            repo = str(self.folder / PROJECTS[number % 3])
            task = f"{number * 2654435761 % 2**28:07x}"
            title = TITLES[number % len(TITLES)]
            reason = {"failed": "sandbox", "paused": "limit_money"}.get(state, "")
            columns = {"number": number, "id": task, "title": title, "repo": repo, "state": state, "reason": reason, "words": "", "applied": 0, "iteration": turns, "iteration_limit": 30,
                       "created_ns": started, "changed_ns": started + worked, "started_ns": started, "ended_ns": 0 if state == "paused" else started + worked, "worked_ns": worked,
                       "limit_time_s": 0, "limit_tokens": 0, "limit_money": 2 * 10**12, "currency": "USD", "agent": agent, "agent_version": version, "model": model,
                       "kind": ("simple", "medium", "complex")[number % 3]}
            self.insert(db, "task", columns)
            spec = {"text": title, "repo": repo, "git_dir": repo + "/.git", "model": {"wire": "chat", "url": self.upstream.url, "name": model, "key": ""}, "limits": {}}
            self.insert(db, "task_text", {"number": number, "text": title, "spec": json.dumps(spec)})
            provider, rate_in, rate_out = MODELS[model]
            for step in range(turns * 3):
                hold += 1
                opened = started + worked * step // (turns * 3)
                usage = {"input": self.random.randrange(2_000, 40_000), "cache_read": self.random.randrange(0, 60_000), "cache_write": 0, "cache_write_1h": 0,
                         "output": self.random.randrange(200, 6_000), "reasoning": 0}
                cost = 0 if rate_in is None else int((usage["input"] * rate_in + usage["cache_read"] * 0.3 + usage["output"] * rate_out) * 1_000_000)
                common = {"project": repo, "agent": agent, "model": model, "provider": provider}
                request = f"{task}/{step}"
                self.insert(db, "ledger", {"hold_id": hold, "request_id": request, "attempt": 1, "task_id": task, **common, "dialect": "chat", "iteration": step // 3 + 1,
                                           "opened_ns": opened, "time_ns": opened + 9 * SECOND, "model_served": model, "price_id": prices.get(model, 0) if rate_in is not None else 0,
                                           "currency": currency_of(model), **usage, "cost": cost})
                failed = self.random.random() < 0.04  # a record without counts; the attempt after it is what the ledger has
                self.insert(db, "exchange", {"id": f"req_{hold:08x}", "time_ns": opened, "organisation": "", "project": repo, "task": task, "agent": agent, "key": "", "user_id": "",
                                             "dialect": "chat", "endpoint": "/v1/chat/completions", "model": model, "client": f"{agent}/{version}", "stream": 1, "state": "done",
                                             "status": 429 if failed else 200, "outcome": "failed" if failed else "served", "provider": provider, "model_served": model, "content_type":
                                             "text/event-stream", "usage_known": int(not failed), **usage, "cost": 0 if failed else cost, "currency": currency_of(model), "cache_hit": 0,
                                             "first_byte_ms": self.random.randrange(200, 1900), "ms": self.random.randrange(2_000, 30_000), "words": "the provider says: too many requests" if failed else "",
                                             "attempts": json.dumps([{"provider": provider, "model": model, "status": 429 if failed else 200, "code": "limit" if failed else "ok", "first_byte_ms": 400, "ms": 4000}]),
                                             "request_hash": "", "request_bytes": self.random.randrange(9_000, 160_000), "answer_bytes": self.random.randrange(900, 24_000),
                                             "request_body": "", "answer_body": ""})
            for host, method, path, status, verdict, why in self.random.sample(HOSTS, 3):
                at = started + self.random.randrange(worked)
                self.insert(db, "traffic", {"time_ns": at, "task": task, "project": repo, "agent": agent, "phase": "setup" if "p" in host[:4] else "work", "host": host, "port": 443,
                                            "scheme": "https", "method": method, "path": path, "status": status, "bytes_up": self.random.randrange(300, 4_000),
                                            "bytes_down": self.random.randrange(0, 900_000) if status else 0, "first_byte_ms": 80 if status else -1, "ms": self.random.randrange(90, 4_000),
                                            "verdict": verdict, "reason": why, "address": "151.101.0.223" if status else ""})
        db.commit()
        db.close()

    @staticmethod
    def insert(db, table, columns):
        db.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", tuple(columns.values()))

    def budgets(self):
        for fields in ({"scope": "all", "money": "60", "window": "month", "soft_percent": 80}, {"scope": "project", "scope_id": str(self.folder / "grain-api"), "money": "14", "window": "month", "soft_percent": 80},
                       {"scope": "agent", "scope_id": "codex", "money": "1.5", "window": "week", "hard": True}, {"scope": "user", "scope_id": "ann", "tokens": 2_000_000, "window": "day"}):
            api(self.nm, "POST", "/api/v1/budgets", **fields)

    def requests(self):
        self.keys = [key_create(self.nm, "editor of Ann", user="ann"), key_create(self.nm, "build machine", access="use", models=["fake"], requests_per_minute=60)]
        revoked = api(self.nm, "POST", "/api/v1/keys", name="old laptop")
        api(self.nm, "DELETE", f"/api/v1/keys/{revoked['id']}")
        for key, model, words in ((0, "fake", "What does double do?"), (1, "fake", "Name three tests for an empty list."), (0, "fake+status=429", "hello"), (1, "other", "hello")):
            path, body = request_of("chat", model, words)
            Asking(self.port, "POST", path, json.dumps(body).encode(), key_headers("chat", self.keys[key]), 30).end()

    def tasks(self):
        """Real ones: done at the second attempt, waiting for a person, paused at its limit of iterations."""
        repos = [Repo(self.folder / name, files) for name, files in zip(PROJECTS, (CALC, PLAIN, PLAIN))]
        run = self.nm.run
        run("run", TASK, "--check", UNITTEST, cwd=repos[0].path, seconds=100)
        run("run", PLAIN_TASK, "--check", PLAIN_CHECK, "--approve", "plan", "--detach", cwd=repos[1].path)
        run("run", "Add a line with the word four to file.txt", "--check", PLAIN_CHECK, "--iterations", "2", cwd=repos[2].path, seconds=100)


def main():
    filled = Filled(sys.argv[1])
    try:
        filled.fill()
        print(json.dumps({"url": f"http://127.0.0.1:{filled.port}", "socket": str(filled.nm.data / "run" / "nightmill.sock"), "data": str(filled.nm.data)}), flush=True)
        sys.stdin.read()
    finally:
        filled.close()


if __name__ == "__main__":
    os.umask(0o022)
    main()
