"""A provider of models for tests: every wire at one address, answers that follow from the request, a count of what was served, misbehaviour on command.

  upstream.py [--port N] [--key KEY] [--models A,B]

Prints its port as the first line; ends when its parent ends. Only Python's own library; one loop, so that hundreds of streams cost nothing.

  POST /v1/chat/completions | /v1/responses | /v1/messages | /v1/messages/count_tokens | /v1/embeddings      GET /v1/models[/M]
  POST /v1beta/models/M:generateContent | :streamGenerateContent[?alt=sse] | :countTokens | :embedContent | :batchEmbedContents    GET /v1beta/models[/M]
  POST /v1/projects/P/locations/L/publishers/google/models/M:... and publishers/anthropic/models/M:rawPredict | :streamRawPredict     POST /token
  GET  /_count     {"requests": [ENTRY, ...], "models": {model: sums}}
  GET  /_body?sequence=N     the bytes of a request's body
  POST /_behave    {"model": "M" or "*", "times": N or null, ...BEHAVIOUR}: holds from now on, the newest first; [] forgets all
  POST /_reset     forgets what was counted

What is answered. With tools on offer, each is called once (a lone one twice), in parallel, with arguments made from its schema; once the results are
there, "Results: ..." tells them. Otherwise "Grüße 😀 You said: ...". Words in the user's last text change that: rounds=2 calls the first tool once more after
the first results; tokens=N, cached=N, written=N, thought=N are counts to report (written: messages only); the output cap is kept to.
Tokens are a fourth of the bytes that were read or said.

BEHAVIOUR comes by the control endpoint, by a header "X-Behave: {json}", or in the model's name: "fake+status=429+retry_after=2" (values are JSON or text).
  text, reasoning, tools [{"name", "args" or "raw"}], stop, usage {...}, chunk, served_as      take the place of what would be answered
  script {"0": [{"name", "args" or "raw"}], ...}    what is called after so many turns with calls, or ("each") whenever no results came last, where the first of
               them is on offer; otherwise text
  event_ms=N   pause before each event        head_ms=N   pause before the head      drip_ms=N   pause after each byte of the head
  status=N     an error, with message, error_type, code; retry_after="2" or a date, retry_after_ms, reset="6m0s" (x-ratelimit-reset-requests),
               reset_at="2026-01-01T00:00:00Z" (anthropic-ratelimit-requests-reset), retry_info="45.84s" (Gemini's body)
  quota        429 insufficient_quota         error_200     an error's document with status 200       page  status 200 with a page of HTML
  cut=N        the connection breaks after N events, or after N bytes of a whole answer; cut="head": before any byte; cut="usage": before the counts
  close=N      ends in order after N events, but the chunked body does not      truncate=N    the body ends in order after N events
  silent=N     nothing comes any more after N events, for silent_ms (60000)     error_event=N  an error takes the place of the N-th event
  usage="none" | "twice" | "early" (on every event) | "zero"
  utf8="half"  breaks off inside a character      utf8="bad"  a byte that is no UTF-8      split=N  N bytes at a time, wherever that cuts
  malformed=N  the N-th event, or the whole answer, is no JSON      huge=N  a text of N bytes in one event      content_type=T
  redirect=N   a status 3xx to another path       gzip  compressed       http10  HTTP/1.0, ended by closing      seed=S with delay_ms=N, fail=P, lose=P:
               by chance (the same for the same seed and order): up to N ms before head and events, an error, a cut

ENTRY: sequence, id (also sent as x-request-id and request-id, and in the answer's id), wire, path, model, stream, client (its own x-request-id), key (digest), images,
signatures, results, usage (what was or would have been reported), events and bytes written, reported (the counts were written), end ("whole", "cut", "refused", "gone").
Sums hold, for each model, requests, whole, and input, cache_read, cache_write, cache_write_1h, output of what was reported.
"""
import argparse
import asyncio
import base64
import ctypes
import gzip
import hashlib
import json
import random
import re
import signal
import socket
import struct
import urllib.parse
import zlib

import wire
from wire import Refused

BUCKETS = ("input", "cache_read", "cache_write", "cache_write_1h", "output")
WORD = re.compile(r"\b(rounds|tokens|cached|written|thought)=(\d+)")
VERTEX = re.compile(r"/v1/projects/[^/]+/locations/[^/]+/publishers/(google|anthropic)/models/([^/:]+):(\w+)$")
GEMINI = re.compile(r"/v1(?:beta)?/models/([^:]+):(\w+)$")
REASONS = {200: "OK", 301: "Moved Permanently", 302: "Found", 303: "See Other", 307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found",
           408: "Request Timeout", 413: "Content Too Large", 429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable", 529: "Overloaded"}
KINDS = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}
MAX_BODY = 64 << 20


class Gone(Exception):
    """The client left, or the connection was broken on purpose."""


def tokens(text):
    return (len(text.encode("utf-8", "replace")) + 3) // 4


def digest(key):
    return hashlib.sha256(key.encode()).hexdigest() if key else None


# --- what is answered ---------------------------------------------------------------------------------------------------

def example(schema, name, number):
    """A value that the schema takes, another for another number."""
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = (kind[0] if isinstance(kind, list) else kind).lower()
    if schema.get("enum"):
        return schema["enum"][number % len(schema["enum"])]
    if kind == "object":
        return {k: example(v, k, number) for k, v in (schema.get("properties") or {}).items()}
    if kind == "array":
        return [example(schema.get("items") or {}, name, number)]
    return {"integer": 7 + number, "number": 1.5 + number, "boolean": True}.get(kind, f"{name} {number} \"Zürich\" 😀")


def turn_of(asked, behaviour):
    """(turn, calls as [(name, arguments text, raw)])"""
    words = dict((k, int(v)) for k, v in WORD.findall(asked.user))
    turn = {k: behaviour[k] for k in ("text", "reasoning", "stop") if k in behaviour}
    turn["chunk"] = behaviour.get("chunk", 12)
    if "script" in behaviour:
        step = behaviour["script"].get(str(asked.rounds)) or (None if asked.results else behaviour["script"].get("each"))
        if step and step[0]["name"] in (name for name, _ in asked.tools):
            behaviour = {**behaviour, "tools": step}
            turn.pop("text", None)
        else:
            behaviour = {"text": "All is done.", **behaviour}
            turn["text"] = behaviour["text"]
    if "tools" in behaviour:
        calls = [(t["name"], t["raw"] if "raw" in t else json.dumps(t.get("args", {}), ensure_ascii=False), "raw" in t) for t in behaviour["tools"]]
    elif "text" in behaviour or not asked.tools or asked.forced == "none" or asked.results and asked.rounds >= words.get("rounds", 1):
        calls = []
    else:
        chosen = [t for t in asked.tools if t[0] == asked.forced] or asked.tools
        chosen = chosen[:1] if asked.results else chosen * 2 if len(chosen) == 1 else chosen
        chosen = chosen if asked.parallel else chosen[:1]
        calls = [(name, json.dumps(example({"type": "object", **schema}, name, n), ensure_ascii=False), False) for n, (name, schema) in enumerate(chosen)]
    if not calls and "text" not in turn:
        said = "Results: " + "; ".join(asked.results) if asked.results else "Grüße 😀 You said: " + asked.user
        turn["text"] = said + (f" Images: {len(asked.images)}." if asked.images else "")
    if asked.reasoning and "reasoning" not in turn:
        turn["reasoning"] = "First I weigh it — then I say it."
    if calls:
        turn["tools"] = True
    return turn, calls, words


def usage_of(asked, behaviour, turn, calls, words, name):
    """The counts, with the output kept to the cap: what is beyond it is not said."""
    reasoning = words.get("thought", tokens(turn.get("reasoning") or "")) if turn.get("reasoning") else 0
    said = tokens(turn.get("text") or "") + sum(tokens(n + a) for n, a, _ in calls)
    output = words.get("tokens", said + reasoning)
    if asked.cap and output > asked.cap:
        output = asked.cap
        reasoning = min(reasoning, output)
        turn["stop"] = "length"
        if turn.get("text") and "tokens" not in words:
            turn["text"] = turn["text"].encode()[:4 * (output - reasoning)].decode("utf-8", "ignore")
    prompt = max(1, sum(map(tokens, asked.texts)) + 85 * len(asked.images))
    cached = min(words.get("cached", 0), prompt)
    written = min(words.get("written", 0), prompt - cached) if name == "messages" else 0
    usage = {"input": prompt - cached - written, "cache_read": cached, "cache_write": written, "cache_write_1h": 0, "output": output, "reasoning": reasoning}
    return {**usage, **behaviour["usage"]} if isinstance(behaviour.get("usage"), dict) else usage


def by_chance(behaviour, sequence):
    """Replaces seed, delay_ms, fail and lose by what they come to for this request."""
    if "seed" not in behaviour:
        return behaviour
    chance = random.Random(f"{behaviour['seed']}:{sequence}")
    drawn = {k: v for k, v in behaviour.items() if k not in ("seed", "fail", "lose", "delay_ms")}
    if chance.random() < behaviour.get("fail", 0):
        drawn |= chance.choice(({"status": 500}, {"status": 529}, {"status": 503, "retry_after": "1"}, {"cut": "head"}, {"error_200": True}))
    elif chance.random() < behaviour.get("lose", 0):
        drawn |= chance.choice(({"cut": chance.randrange(1, 4)}, {"cut": "usage"}, {"truncate": 2}, {"error_event": 2}, {"utf8": "half"}))
    if behaviour.get("delay_ms"):
        drawn |= {"head_ms": chance.uniform(0, behaviour["delay_ms"]), "event_ms": chance.uniform(0, behaviour["delay_ms"] / 10)}
    return drawn


# --- the count ----------------------------------------------------------------------------------------------------------

class Books:
    def __init__(self):
        self.entries, self.bodies, self.behaviours = [], {}, []

    def open(self, **facts):
        entry = {"sequence": len(self.entries) + 1, "id": f"req_fake{len(self.entries) + 1:06d}", "usage": None, "events": 0, "bytes": 0, "reported": False, "end": None, **facts}
        self.entries.append(entry)
        return entry

    def behaviour(self, model, header):
        """What was commanded for this request: the name's own words, the header's, the control endpoint's, in this order."""
        found = {}
        for part in (model or "").split("+")[1:]:
            key, _, value = part.partition("=")
            try:
                found[key] = json.loads(value) if value else True
            except ValueError:
                found[key] = value
        if header:
            found |= json.loads(header)
        for b in self.behaviours:
            if b["model"] in ("*", model) and (b["times"] is None or b["times"] > 0):
                b["times"] = None if b["times"] is None else b["times"] - 1
                found |= {k: v for k, v in b.items() if k not in ("model", "times")}
                break
        return found

    def behave(self, order):
        self.behaviours = [] if order == [] else [{"model": "*", "times": None, **order}] + self.behaviours

    def count(self):
        models = {}
        for e in self.entries:
            if e["model"] is None:
                continue
            sums = models.setdefault(e["model"], dict.fromkeys(("requests", "whole", *BUCKETS), 0))
            sums["requests"] += 1
            sums["whole"] += e["end"] == "whole"
            for bucket in BUCKETS if e["reported"] else ():
                sums[bucket] += e["usage"][bucket]
        return {"requests": self.entries, "models": models}


# --- one connection -----------------------------------------------------------------------------------------------------

class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.headers, self.body = method, headers, body
        path, _, query = target.partition("?")
        self.path, self.query = urllib.parse.unquote(path), dict(urllib.parse.parse_qsl(query))

    def key(self):
        bearer = self.headers.get("authorization", "")
        return bearer[7:] if bearer.startswith("Bearer ") else self.headers.get("x-api-key") or self.headers.get("x-goog-api-key") or self.query.get("key")


class Answer:
    """Writes one answer, as wrongly as it was told to."""

    def __init__(self, reader, writer, behaviour, entry, keep):
        self.reader, self.writer, self.entry, self.keep = reader, writer, entry, keep
        self.behave(behaviour)

    def behave(self, behaviour):
        self.behaviour = behaviour
        self.keep = self.keep and not behaviour.get("http10")
        self.deflate = zlib.compressobj(6, zlib.DEFLATED, 31) if behaviour.get("gzip") else None

    async def pause(self, ms):
        """Waits, and notices a client that leaves."""
        while ms > 0:
            step = min(ms, 20)
            await asyncio.sleep(step / 1000)
            ms -= step
            if self.reader.at_eof() or self.writer.transport.is_closing():
                raise Gone

    async def send(self, data):
        if self.writer.transport.is_closing():
            raise Gone
        size = self.behaviour.get("split") or len(data) or 1
        for at in range(0, len(data), size):
            self.writer.write(data[at:at + size])
            await self.writer.drain()
            if size < len(data):
                await asyncio.sleep(0)
        if self.entry:
            self.entry["bytes"] += len(data)

    def cut(self, end="cut"):
        """The peer reads what was written, then sees a reset."""
        self.keep = False
        self.entry["end"] = end
        self.writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone

    async def head(self, status, headers, length=None):
        b = self.behaviour
        self.chunked = length is None and not b.get("http10")
        lines = [f"HTTP/{'1.0' if b.get('http10') else '1.1'} {status} {REASONS.get(status, 'Unknown')}"]
        if self.entry:
            lines += [f"x-request-id: {self.entry['id']}", f"request-id: {self.entry['id']}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += ["Content-Encoding: gzip"] if self.deflate else []
        lines += [f"Content-Length: {length}"] if length is not None and not b.get("http10") else ["Transfer-Encoding: chunked"] if self.chunked else []
        lines += [] if self.keep else ["Connection: close"]
        data = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        await self.pause(b.get("head_ms", 0))
        for at in range(len(data)) if b.get("drip_ms") else ():
            await self.send(data[at:at + 1])
            await self.pause(b["drip_ms"])
        if not b.get("drip_ms"):
            await self.send(data)

    async def whole(self, status, body, headers=None, content_type="application/json"):
        body = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        body = gzip.compress(body) if self.deflate else body
        cut = self.behaviour.get("cut")
        await self.head(status, {"Content-Type": content_type, **(headers or {})}, len(body))
        if self.entry and isinstance(cut, int):
            await self.send(body[:cut])
            self.cut()
        await self.send(body)

    async def piece(self, data):
        if self.deflate:
            data = self.deflate.compress(data) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        await self.send(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)

    async def last(self):
        if self.deflate:
            self.deflate, rest = None, self.deflate.flush()
            await self.piece(rest)
        if self.chunked:
            await self.send(b"0\r\n\r\n")


class Server:
    def __init__(self, options):
        self.options, self.books = options, Books()
        self.models = options.models.split(",")

    # Reading.
    async def read(self, reader, writer):
        """The next request, or None at the end of the connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            return None
        method, target, _ = head[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = b""
        try:
            if "chunked" in headers.get("transfer-encoding", "").lower():
                while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                    body += (await reader.readexactly(size + 2))[:-2]
                await reader.readuntil(b"\r\n")
            else:
                body = await reader.readexactly(min(int(headers.get("content-length") or 0), MAX_BODY))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return Request(method, target, headers, body)

    async def connection(self, reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while (request := await self.read(reader, writer)) is not None:
                keep = request.headers.get("connection", "").lower() != "close"
                if not await self.serve(request, reader, writer, keep):
                    break
        except (Gone, ConnectionError):
            pass
        finally:
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def serve(self, request, reader, writer, keep):
        """Whether the connection may be used again."""
        if request.path.startswith("/_") or request.path in ("/token", "/health"):
            answer = Answer(reader, writer, {}, None, keep)
            await self.control(request, answer)
            return answer.keep
        name, action, model = self.route(request)
        entry = self.books.open(wire=name, action=action, path=request.path, client=request.headers.get("x-request-id"), key=digest(request.key()), model=model, stream=False, images=0,
                                signatures=0, results=0)
        self.books.bodies[entry["sequence"]] = request.body
        answer = Answer(reader, writer, {}, entry, keep)
        try:
            await self.act(request, answer, name, action, model)
            entry["end"] = entry["end"] or "whole"
        except Refused as r:
            answer.behave({})
            entry["end"] = "refused"
            await self.error(answer, name, r.status, r.kind, r.message, r.code)
        except (Gone, ConnectionError):
            entry["end"] = entry["end"] or "gone"
            raise Gone from None
        return answer.keep

    def route(self, request):
        """(wire, action, model when the path names it)"""
        plain = {"/v1/chat/completions": ("chat", "make"), "/v1/responses": ("responses", "make"), "/v1/messages": ("messages", "make"),
                 "/v1/messages/count_tokens": ("messages", "count"), "/v1/embeddings": ("chat", "embed")}.get(request.path)
        if plain and request.method == "POST":
            return (*plain, None)
        if vertex := VERTEX.match(request.path):
            return ("gemini", vertex[3], vertex[2]) if vertex[1] == "google" else ("messages", vertex[3], vertex[2])
        if (gemini := GEMINI.match(request.path)) and request.method == "POST":
            return "gemini", gemini[2], gemini[1]
        for start, name in (("/v1beta/models", "gemini"), ("/v1/models", "messages" if "anthropic-version" in request.headers else "chat")):
            if request.method == "GET" and (request.path == start or request.path.startswith(start + "/")):
                return name, "models", None
        return "gemini" if request.path.startswith("/v1beta") else "messages" if "anthropic-version" in request.headers else "chat", "none", None

    # Answering.
    async def control(self, request, answer):
        where = (request.method, request.path)
        if where == ("GET", "/_count"):
            await answer.whole(200, self.books.count())
        elif where == ("GET", "/_body"):
            await answer.whole(200, self.books.bodies.get(int(request.query["sequence"]), b""))
        elif where == ("POST", "/_behave"):
            self.books.behave(json.loads(request.body))
            await answer.whole(200, {})
        elif where == ("POST", "/_reset"):
            self.books = Books()
            await answer.whole(200, {})
        elif where == ("POST", "/token"):
            form = dict(urllib.parse.parse_qsl(request.body.decode("latin-1")))
            granted = form.get("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer" and form.get("assertion", "").count(".") == 2
            await answer.whole(200 if granted else 400, {"access_token": "token-of-the-fake", "expires_in": 3600, "token_type": "Bearer"} if granted else {"error": "invalid_grant"})
        else:
            await answer.whole(200 if where == ("GET", "/health") else 404, {})

    async def error(self, answer, name, status, kind, message, code=None, headers=None, details=None):
        await answer.whole(status, wire.error_document(name, status, kind, message, code, details), headers)

    async def act(self, request, answer, name, action, model):
        entry = answer.entry
        if self.options.key and request.key() not in (self.options.key, "token-of-the-fake"):
            raise Refused(401, "authentication_error", "invalid x-api-key" if name == "messages" else "Incorrect API key provided", "invalid_api_key")
        if action == "models":
            return await self.list_models(request, answer, name)
        if action == "none":
            raise Refused(404, "not_found_error", f"no such route: {request.method} {request.path}")
        try:
            body = json.loads(request.body)
        except ValueError:
            raise Refused(400, "invalid_request_error", "the body is not JSON") from None
        wire.require(isinstance(body, dict), "the body is no object")
        model = model or body.get("model")
        wire.require(isinstance(model, str) and model, "model: Field required")
        entry["model"] = model
        if model.split("+")[0] not in self.models:
            raise Refused(404, "not_found_error", f"model: {model} does not exist", "model_not_found")
        answer.behave(by_chance(self.books.behaviour(model, request.headers.get("x-behave")), entry["sequence"]))
        if await self.take_place(answer, name, answer.behaviour):
            return None
        if name == "messages" and "anthropic_version" not in body:
            wire.require(request.headers.get("anthropic-version"), "anthropic-version: header is required")
        if action in ("embed", "embedContent", "batchEmbedContents"):
            return await self.embed(answer, action, body)
        return await self.make(request, answer, name, action, model, body)

    async def take_place(self, answer, name, b):
        """Misbehaviour that comes instead of any answer. Whether it was one."""
        entry = answer.entry
        if b.get("cut") == "head":
            answer.cut()
        status = 429 if b.get("quota") else b.get("status")
        if status or b.get("error_200"):
            entry["end"] = "refused"
            headers = {"retry_after": "Retry-After", "retry_after_ms": "retry-after-ms", "reset": "x-ratelimit-reset-requests", "reset_at": "anthropic-ratelimit-requests-reset"}
            details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": b["retry_info"]}] if "retry_info" in b else None
            kind, code, words = b.get("error_type") or KINDS.get(status, "api_error"), b.get("code"), b.get("message", "the fake was told to fail")
            if b.get("quota"):
                kind, code, words = "insufficient_quota", "insufficient_quota", "You exceeded your current quota, please check your plan and billing details."
            document = wire.error_document(name, status or 500, kind, words, code, details)
            await answer.whole(200 if b.get("error_200") else status, document, {headers[k]: b[k] for k in headers if k in b}, b.get("content_type", "application/json"))
        elif b.get("page"):
            entry["end"] = "refused"
            await answer.whole(200, b"<html><body>It works!</body></html>", content_type="text/html")
        elif "redirect" in b:
            entry["end"] = "refused"
            await answer.whole(b["redirect"], b"", {"Location": b.get("location", "/v1/elsewhere")})
        else:
            return False
        return True

    async def list_models(self, request, answer, name):
        one = request.path.split("/models/", 1)[1] if "/models/" in request.path else None
        if one is not None and one not in self.models:
            raise Refused(404, "not_found_error", f"model: {one} does not exist", "model_not_found")
        make = {"chat": lambda m: {"id": m, "object": "model", "created": wire.CREATED, "owned_by": "fake"},
                "messages": lambda m: {"id": m, "type": "model", "display_name": m, "created_at": "2026-01-01T00:00:00Z"},
                "gemini": lambda m: {"name": f"models/{m}", "displayName": m, "inputTokenLimit": 128000, "outputTokenLimit": 8192, "supportedGenerationMethods": ["generateContent", "countTokens"]}}[name]
        made = [make(m) for m in self.models]
        around = {"chat": {"object": "list", "data": made}, "gemini": {"models": made},
                  "messages": {"data": made, "has_more": False, "first_id": self.models[0], "last_id": self.models[-1]}}[name]
        await answer.whole(200, make(one) if one else around)

    async def embed(self, answer, action, body):
        """Vectors that follow from the text."""
        def vector(text):
            return [b / 256 - 0.5 for b in hashlib.sha256(text.encode()).digest()[:8]]
        if action == "embed":
            given = body.get("input")
            wire.require(given, "input: Field required")
            given = [given] if isinstance(given, str) or isinstance(given[0], int) else given
            texts = [t if isinstance(t, str) else json.dumps(t) for t in given]
        else:
            asked = body["requests"] if action == "batchEmbedContents" else [body]
            texts = [wire.flat(r["content"]["parts"]) for r in asked]
        usage = {**dict.fromkeys(BUCKETS, 0), "reasoning": 0, "input": sum(map(tokens, texts))}
        answer.entry |= {"usage": usage}
        vectors = [vector(t) for t in texts]
        if action == "embed":
            packed = body.get("encoding_format") == "base64"
            data = [{"object": "embedding", "index": n, "embedding": base64.b64encode(struct.pack("<8f", *v)).decode() if packed else v} for n, v in enumerate(vectors)]
            document = {"object": "list", "data": data, "model": body["model"], "usage": {"prompt_tokens": usage["input"], "total_tokens": usage["input"]}}
        else:
            document = {"embeddings": [{"values": v} for v in vectors]} if action == "batchEmbedContents" else {"embedding": {"values": vectors[0]}}
        await answer.whole(200, document)
        answer.entry["reported"] = True

    async def make(self, request, answer, name, action, model, body):
        entry, b = answer.entry, answer.behaviour
        if action == "countTokens":
            body = body.get("generateContentRequest", body)
        if action == "count":
            body = {**body, "max_tokens": body.get("max_tokens", 1 << 30)}
        if name == "gemini":
            asked = wire.read_gemini(body, model, action == "streamGenerateContent")
        else:
            asked = {"chat": wire.read_chat, "responses": wire.read_responses, "messages": wire.read_messages}[name](body)
        asked.stream |= action == "streamRawPredict"
        turn, calls, words = turn_of(asked, b)
        usage = usage_of(asked, b, turn, calls, words, name)
        if action in ("count", "countTokens"):
            total = usage["input"] + usage["cache_read"] + usage["cache_write"]
            return await answer.whole(200, {"input_tokens": total} if action == "count" else {"totalTokens": total})
        if "huge" in b:
            turn |= {"text": "x" * b["huge"], "chunk": b["huge"]}
        entry |= {"stream": asked.stream, "images": len(asked.images), "signatures": asked.signatures, "results": len(asked.results), "usage": usage, "cap": asked.cap}
        prefix = {"chat": "call", "responses": "call", "messages": "toolu", "gemini": "call"}[name]
        calls = [{"id": f"{prefix}_{entry['sequence']}_{n}", "name": c[0], "arguments": c[1], "raw": c[2]} for n, c in enumerate(calls)]
        reported = None if b.get("usage") == "none" else {**usage, "output": 0, "input": 0} if b.get("usage") == "zero" else usage
        form = (turn, calls, reported, b.get("served_as", model), entry["id"])
        if not asked.stream:
            document = json.dumps(getattr(wire, name + "_whole")(*form), ensure_ascii=False).encode()
            if "malformed" in b:
                document = document[:len(document) // 2]
            if b.get("utf8"):
                document = document.replace("ü".encode(), b"\xc3")
            await answer.whole(200, document, content_type=b.get("content_type", "application/json"))
            entry["reported"] = reported is not None and b.get("usage") != "zero"
        else:
            await self.stream(request, answer, name, form, asked, reported)
        return None

    # Streaming.
    def events(self, name, form, asked, reported, usage_again, sse):
        """[(bytes, whether they carry the final counts)]"""
        if name == "gemini":
            documents = list(wire.gemini_events(*form))
            if usage_again == "twice":
                documents.append(wire.gemini_document([{"text": ""}], None, reported, form[3], form[4]))
            texts = [json.dumps(d, ensure_ascii=False) for d in documents]
            if sse:
                texts = [f"data: {t}\r\n\r\n" for t in texts]
            else:
                texts = [("[" if n == 0 else ",\r\n") + t + ("]" if n == len(texts) - 1 else "") for n, t in enumerate(texts)]
            last = len(texts) - (2 if usage_again == "twice" else 1)
            return [(t.encode(), n == last and reported is not None) for n, t in enumerate(texts)]
        texts = list(wire.chat_events(*form, asked.with_usage) if name == "chat" else getattr(wire, name + "_events")(*form))
        marks = {"chat": lambda t: '"choices": []' in t, "messages": lambda t: t.startswith("event: message_delta"), "responses": lambda t: t.startswith(("event: response.completed", "event: response.incomplete"))}[name]
        if usage_again == "early" and name == "chat" and reported:
            texts = [t.replace('"usage": null', '"usage": ' + json.dumps(wire.chat_usage({**reported, "output": min(n, reported["output"])}))) for n, t in enumerate(texts)]
        pairs = [(t.encode("utf-8", "surrogatepass"), marks(t) and reported is not None) for t in texts]
        if usage_again == "twice":
            pairs = [p for pair in pairs for p in ([pair, pair] if pair[1] and name != "responses" else [pair])]
        return pairs

    async def stream(self, request, answer, name, form, asked, reported):
        b, entry = answer.behaviour, answer.entry
        sse = name != "gemini" or request.query.get("alt") == "sse"
        await answer.head(200, {"Content-Type": b.get("content_type", "text/event-stream; charset=utf-8" if sse else "application/json; charset=UTF-8"), "Cache-Control": "no-cache"})
        if b.get("cut") == 0:
            answer.cut()
        for number, (data, final) in enumerate(self.events(name, form, asked, reported, b.get("usage"), sse)):
            if b.get("cut") == number or b.get("cut") == "usage" and final:
                answer.cut()
            if b.get("close") == number:
                answer.keep, answer.chunked, entry["end"] = False, False, "cut"
                return
            if b.get("truncate") == number:
                entry["end"] = "cut"
                break
            if b.get("silent") == number:
                await answer.pause(b.get("silent_ms", 60000))
                answer.cut()
            if b.get("error_event") == number:
                await self.error_event(answer, name, sse, number)
                entry["end"] = "cut"
                break
            if b.get("malformed") == number:
                data = data[:len(data) // 2] + b"\n\n"
            if b.get("utf8") and "ü".encode() in data:
                if b["utf8"] == "half":
                    await answer.piece(data[:data.index("ü".encode()) + 1])
                    answer.cut()
                data = data.replace("ü".encode(), b"\xc3(", 1)
            if b.get("event_ms"):
                await answer.pause(b["event_ms"])
            await answer.piece(data)
            entry["events"] += 1
            entry["reported"] |= final and b.get("usage") != "zero"
        await answer.last()

    async def error_event(self, answer, name, sse, number):
        b = answer.behaviour
        status = b.get("error_status", 529 if name == "messages" else 500)
        document = wire.error_document(name, status, b.get("error_type") or KINDS.get(status, "api_error"), b.get("message", "the fake was told to fail"))
        if name == "responses":
            document = {"type": "error", "sequence_number": number, "code": b.get("error_type", "server_error"), "message": document["error"]["message"], "param": None}
        text = json.dumps(document)
        event = {"messages": "event: error\n", "responses": "event: error\n"}.get(name, "")
        await answer.piece((f"{event}data: {text}\n\n" if sse else ("[" if number == 0 else ",\r\n") + text + "]").encode())


async def run(options):
    server = await asyncio.start_server(Server(options).connection, "127.0.0.1", options.port, backlog=1024, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", help="the only key that is let in; without it any or none")
    parser.add_argument("--models", default="fake", help="names, without the words of a behaviour")
    options = parser.parse_args()
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: ends with its parent
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
