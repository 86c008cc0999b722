"""What the tests of the gateway stand on: the provider of tests/fakes/upstream.py, a daemon that knows it, and a client that sees every byte."""
import json
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.parse
import urllib.request

from harness import ROOT, Case

WIRES = ("chat", "responses", "messages", "gemini")
BUCKETS = ("input", "cache_read", "cache_write", "output")
UPSTREAM_KEY = "key-of-the-provider"
KEY_VARIABLE = "FAKE_PROVIDER_KEY"


class Upstream:
    """The provider for tests as a process of its own."""

    def __init__(self, *options):
        self.process = subprocess.Popen([sys.executable, str(ROOT / "tests" / "fakes" / "upstream.py"), *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()

    def _ask(self, path, body=None):
        with urllib.request.urlopen(urllib.request.Request(self.url + path, None if body is None else json.dumps(body).encode()), timeout=20) as answer:
            return answer.read()

    def count(self):
        return json.loads(self._ask("/_count"))

    def entries(self, model=None):
        return [e for e in self.count()["requests"] if model is None or e["model"] == model]

    def body(self, entry):
        return self._ask(f"/_body?sequence={entry['sequence']}")

    def behave(self, **behaviour):
        self._ask("/_behave", behaviour or [])


# --- a client -----------------------------------------------------------------------------------------------------------

class Got:
    """What came: status, headers (lower case), body without its framing, and whether it ended as its framing says."""

    def __init__(self):
        self.status, self.headers, self.body, self.whole = None, {}, b"", False

    def json(self):
        return json.loads(self.body)

    def events(self):
        """[(name, data)] of a stream of events, data as JSON where it is."""
        found = []
        for block in self.body.decode("utf-8").replace("\r\n", "\n").split("\n\n"):
            lines = [line for line in block.split("\n") if line and not line.startswith(":")]
            name = next((line[7:] for line in lines if line.startswith("event: ")), "")
            data = "\n".join(line[5:].removeprefix(" ") for line in lines if line.startswith("data:"))
            if data:
                found.append((name, data if data == "[DONE]" else json.loads(data)))
        return found

    def __str__(self):
        return f"{self.status} {self.headers} {'whole' if self.whole else 'cut'}\n{self.body[:1500]!r}"


class Asking:
    """One request on a connection of its own; read() takes what there is, end() all of it."""

    def __init__(self, port, method, path, body=b"", headers=None, seconds=30):
        self.socket = socket.create_connection(("127.0.0.1", port), seconds)
        head = {"Host": f"127.0.0.1:{port}", "Connection": "close", "Content-Length": str(len(body)), "Content-Type": "application/json", **(headers or {})}
        self.socket.sendall((f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in head.items() if v is not None) + "\r\n").encode() + body)
        self.raw = b""

    def read(self):
        """False at the end."""
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        self.raw += data
        return bool(data)

    def wait_for(self, text):
        while text not in self.raw:
            if not self.read():
                raise AssertionError(f"{text!r} did not come: {self.raw[-2000:]!r}")

    def close(self):
        self.socket.close()

    def end(self):
        try:
            while self.read():
                pass
        finally:
            self.close()
        got = Got()
        head, found, rest = self.raw.partition(b"\r\n\r\n")
        if not found:
            return got
        lines = head.decode("latin-1").split("\r\n")
        got.status = int(lines[0].split()[1])
        got.headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        if got.headers.get("transfer-encoding") == "chunked":
            while rest:
                size, found, rest = rest.partition(b"\r\n")
                n = int(size, 16) if found else -1
                if n <= 0:
                    got.whole = n == 0
                    break
                got.body += rest[:n]
                rest = rest[n + 2:]
        else:
            got.body = rest
            got.whole = "content-length" not in got.headers or len(rest) == int(got.headers["content-length"])
        return got


def request_of(wire, model, text="hello", stream=False, cap=None, **more):
    """(path, body) of a small request of that wire."""
    turn = {"role": "user", "content": text}
    if wire == "chat":
        body = {"model": model, "messages": [turn], **({"stream": True, "stream_options": {"include_usage": True}} if stream else {}), **({"max_tokens": cap} if cap else {})}
        path = "/v1/chat/completions"
    elif wire == "responses":
        body = {"model": model, "input": [turn], **({"stream": True} if stream else {}), **({"max_output_tokens": cap} if cap else {})}
        path = "/v1/responses"
    elif wire == "messages":
        body = {"model": model, "max_tokens": cap or 1000, "messages": [turn], **({"stream": True} if stream else {})}
        path = "/v1/messages"
    else:
        body = {"contents": [{"role": "user", "parts": [{"text": text}]}], **({"generationConfig": {"maxOutputTokens": cap}} if cap else {})}
        path = f"/v1beta/models/{urllib.parse.quote(model, safe='')}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")
    return path, {**body, **more}


def key_headers(wire, key):
    if key is None:
        return {}
    return {"messages": {"x-api-key": key, "anthropic-version": "2023-06-01"}, "gemini": {"x-goog-api-key": key}}.get(wire, {"Authorization": f"Bearer {key}"})


def text_of(wire, got):
    """The answer's text and how it ended: (text, stop, error's document or None)."""
    if got.headers.get("content-type", "").startswith("text/event-stream"):
        datas = [d for _, d in got.events() if d != "[DONE]"]
    else:
        datas = [got.json()]
    text, stop, error = "", None, None
    for d in datas:
        if d.get("error") or d.get("type") in ("error", "response.failed"):
            error = d
        elif wire == "chat":
            for choice in d["choices"]:
                text += choice.get("delta", choice.get("message", {})).get("content") or ""
                stop = choice.get("finish_reason") or stop
        elif wire == "responses":
            if d.get("type") == "response.output_text.delta":
                text += d["delta"]
            elif d.get("object") == "response":
                text += "".join(p["text"] for i in d["output"] if i["type"] == "message" for p in i["content"])
            stop = (d.get("response") or d).get("status") or stop
        elif wire == "messages":
            text += (d.get("delta") or {}).get("text") or "".join(b.get("text", "") for b in d.get("content", []))
            stop = (d.get("delta") or d).get("stop_reason") or stop
        else:
            for candidate in d.get("candidates", []):
                text += "".join(p.get("text", "") for p in candidate.get("content", {}).get("parts", []) if not p.get("thought"))
                stop = candidate.get("finishReason") or stop
    return text, stop, error


def error_words(wire, document):
    """The sentence of an error's document, which must have the shape of that wire."""
    if wire == "messages":
        assert document["type"] == "error" and document["error"]["type"], document
        return document["error"]["message"]
    if wire == "gemini":
        assert isinstance(document["error"]["code"], int) and document["error"]["status"], document
        return document["error"]["message"]
    if wire == "responses" and document.get("type") == "error":
        return document["message"]
    if wire == "responses" and document.get("type") == "response.failed":
        return document["response"]["error"]["message"]
    assert set(document["error"]) >= {"message", "type", "code"}, document
    return document["error"]["message"]


# --- the daemon ---------------------------------------------------------------------------------------------------------

def gateway_port(nm):
    """The TCP port that the daemon listens at."""
    listening = [a["url"] for a in nm.json("daemon", "status")["addresses"] if a["listening"]]
    return urllib.parse.urlsplit(listening[0]).port


def api(nm, method, path, **fields):
    """The document of a request that must succeed."""
    status, document = nm.api(method, path, fields or None)
    assert status in (200, 201, 204), f"{method} {path}: {status} {document}"
    return document


def provider_put(nm, name, wire, url, **fields):
    """A provider that speaks that wire; its key is in the daemon's environment."""
    return api(nm, "PUT", f"/api/v1/providers/{name}", kind="compatible", dialect=wire, url=url, key_env=KEY_VARIABLE, **fields)


def model_add(nm, name, provider, upstream):
    return api(nm, "POST", "/api/v1/models", id=name, provider=provider, upstream=upstream)


def key_create(nm, name, **fields):
    """A new user key's text."""
    return api(nm, "POST", "/api/v1/keys", name=name, **fields)["key"]


class GatewayCase(Case):
    """A test with a provider and a daemon. Providers chat, responses, messages and gemini speak the wire of their name; a model of theirs is "PROVIDER/fake"."""
    needs_sandbox = False
    daemon_env = {}
    upstream_options = ()

    def setUp(self):
        super().setUp()
        self.upstream = Upstream("--key", UPSTREAM_KEY, *self.upstream_options)
        self.models.append(self.upstream)  # ended with the test
        self.nm.env |= {KEY_VARIABLE: UPSTREAM_KEY, "NIGHTMILL_SERVER_ADDRESS": "127.0.0.1:0", **self.daemon_env}
        self.start()

    def start(self):
        self.nm.run("daemon", "start", code=0)
        self.port = gateway_port(self.nm)

    def provider(self, name, wire, url=None, **fields):
        return provider_put(self.nm, name, wire, url or self.upstream.url, **fields)

    def key(self, name="test", **fields):
        return key_create(self.nm, name, **fields)

    def start_asking(self, wire, model, key=None, headers=None, seconds=30, **more):
        path, body = request_of(wire, model, **more)
        return Asking(self.port, "POST", path, json.dumps(body).encode(), {**key_headers(wire, key), **(headers or {})}, seconds)

    def ask(self, wire, model, key=None, **more):
        return self.start_asking(wire, model, key, **more).end()

    def rows(self, query, *values):
        """Rows of the database, read beside the server that owns it; asking for the ledger makes rows of what only the books have yet."""
        try:
            self.nm.api("GET", "/api/v1/ledger?limit=1")
        except OSError:  # no server: it makes them at its next start
            pass
        return self.rows_now(query, *values)

    def rows_now(self, query, *values):
        """Rows as they are, without asking the server for anything."""
        database = sqlite3.connect(f"file:{self.nm.data}/nightmill.db?mode=ro", uri=True, timeout=10)
        database.row_factory = sqlite3.Row
        try:
            return [dict(r) for r in database.execute(query, values)]
        finally:
            database.close()

    def settled(self, rows=0, seconds=10):
        """The ledger, once it has so many rows."""
        deadline = time.monotonic() + seconds
        while len(found := self.rows("SELECT * FROM ledger ORDER BY hold_id")) < rows and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def holds(self, state):
        return self.rows("SELECT * FROM hold WHERE state = ?", state)

    @staticmethod
    def counted(rows):
        """What the ledger says, as a sorted list of counts, one a request."""
        return sorted(tuple(int(r[b]) for b in BUCKETS) for r in rows)

    @staticmethod
    def served(entries):
        """What the provider says that it reported."""
        return sorted(tuple(e["usage"][b] for b in BUCKETS) for e in entries if e["reported"])

    def tier(self, name, *models):
        api(self.nm, "PUT", "/api/v1/tiers", name=name, models=models)

    def assert_healthy(self):
        got = Asking(self.port, "GET", "/health").end()
        self.assertEqual(got.status, 200, got)
