"""A model server that follows a script: real HTTP on loopback, no model behind it.

  model.py SCRIPT [--port N] [--log FILE] [--key KEY] [--models A,B] [--gates FOLDER] [--bodies FOLDER] [--latency-ms N]

Speaks OpenAI Chat Completions (POST /v1/chat/completions) and Anthropic Messages (POST /v1/messages), streamed and whole,
GET /v1/models and GET /health. Prints its port as the first line; ends when its parent ends. Only Python's own library.

The script is JSON:
  {"conversations": [{"match": ["words of the first user message", ...], "model": "NAME",
                      "iterations": [[TURN, ...], ...]}, ...]}
The conversation is the first whose words are all in the first user message (no words: any) and whose model is asked for (none: any). The iteration is one more than the last finished one that this
message names ("- iteration N:" among the notes, "## Result of iteration N"). Beyond the last iteration the last one repeats; beyond the last turn the answer is
a text without calls. A request without tools asks for a plan and gets the conversation's "plan": TURN. The turn follows from the request alone: call ids carry
their turn, so that a request that is asked again gets the same answer, also after a restart of either side and after older messages were dropped.

TURN: {"text": "...", "reasoning": "...", "tools": [{"name": "write", "args": {...}} or {"name": "write", "raw": "{not json"}],
  "stop": "length" | "refusal",           how it ends, else by what is in it
  "usage": {"input": 1, "cache_read": 2, "cache_write": 3, "cache_write_1h": 4, "output": 5, "reasoning": 0} or null (none is reported),
  "chunk": 24, "chunk_ms": 0,             characters in a piece and the pause before each
  "wait_for": "name",                     the answer waits (60 s at most) until FOLDER/name of --gates exists
  "faults": [FAULT, ...]}                 each is given `times` (1) times, in order, before the turn itself
FAULT: {"status": 429, "retry_after": 1, "headers": {...}, "type": "...", "message": "...", "code": "..."} an error answer
  {"context": true}       the wire's own answer to an over-long context
  {"loading": true}       503 as a local server gives while it loads a model
  {"close": true}         the connection is closed before any answer
  {"cut": N}              the connection breaks after N events of the stream
  {"truncate": N}         the stream ends in order after N events, without its end mark
  {"error_event": "overloaded_error", "after": N}   an error inside a stream of status 200
  {"empty": true}         an answer without content
  {"garbage": true}       status 200 with a page of HTML
  {"hang": SECONDS}       the head, then silence for that long (30 at most), then the connection breaks

Usage that a turn does not give is the same for the same place in the script: see usage_of.
"""
import argparse
import ctypes
import hashlib
import json
import os
import pathlib
import re
import signal
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from wire import Refused, chat_events, chat_whole, check_chat, check_messages, error_document, messages_events, messages_whole, require, text_of

CALL_ID = re.compile(r"_i(\d+)t(\d+)n(\d+)$")
FINISHED = re.compile(r"(?m)^(?:- |## Result of )iteration (\d+)")
MAX_BODY = 64 << 20


def end_with_parent():
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def first_user_text(body):
    for m in body["messages"]:
        if m.get("role") == "user":
            return text_of(m.get("content"))
    return ""


class Script:
    """Which turn a request asks for. The only state kept is which faults were given."""

    def __init__(self, script):
        self.conversations = script["conversations"]
        self.lock = threading.Lock()
        self.given = {}   # (conversation, iteration, turn) -> faults given

    def find(self, first, model):
        for number, conversation in enumerate(self.conversations):
            words = conversation.get("match", [])
            if conversation.get("model", model) == model and all(w in first for w in ([words] if isinstance(words, str) else words)):
                return number, conversation
        raise Refused(400, "invalid_request_error", "the script has no conversation for this request")

    def place(self, body, turns):
        """(conversation number, iteration, turn number, turn)"""
        first = first_user_text(body)
        number, conversation = self.find(first, body.get("model"))
        if not body.get("tools"):
            return number, 0, 0, conversation.get("plan", {"text": "I change what is asked for and run the checks."})
        iteration = 1 + max(map(int, FINISHED.findall(first)), default=0)
        turn = 0
        for ids in turns:
            marks = [CALL_ID.search(i or "") for i in ids]
            marks = [m for m in marks if m]
            turn = max(int(m.group(2)) for m in marks) + 1 if marks else turn + 1
        listed = conversation["iterations"]
        plan = listed[min(iteration, len(listed)) - 1] if listed else []
        return number, iteration, turn, plan[turn] if turn < len(plan) else {"text": "That is all I have to do."}

    def fault(self, place, turn):
        """The fault to give now, or None."""
        faults = [f for f in turn.get("faults", []) for _ in range(f.get("times", 1))]
        with self.lock:
            given = self.given.get(place, 0)
            if given >= len(faults):
                return None
            self.given[place] = given + 1
            return faults[given]


# --- what a turn says ---------------------------------------------------------------------------------------------------

def calls_of(turn, iteration, number, prefix):
    calls = []
    for n, tool in enumerate(turn.get("tools", [])):
        arguments = tool["raw"] if "raw" in tool else json.dumps(tool.get("args", {}), ensure_ascii=False)
        calls.append({"id": f"{prefix}_i{iteration}t{number}n{n}", "name": tool["name"], "arguments": arguments, "raw": "raw" in tool})
    return calls


def usage_of(turn, iteration, number, wire):
    """Disjoint buckets. By default they grow with the place in the script and the length of the answer."""
    if "usage" in turn:
        if turn["usage"] is None:
            return None
        return {"input": 0, "cache_read": 0, "cache_write": 0, "cache_write_1h": 0, "output": 0, "reasoning": 0, **turn["usage"]}
    said = len(json.dumps([turn.get("text", ""), turn.get("tools", []), turn.get("reasoning", "")], ensure_ascii=False).encode())
    reasoning = (len(turn.get("reasoning", "").encode()) + 3) // 4
    return {"input": 700 + 113 * iteration + 31 * number, "cache_read": 512 * number, "cache_write": 256 if wire == "messages" else 0,
            "cache_write_1h": 0, "output": (said + 3) // 4 + reasoning, "reasoning": reasoning if wire == "chat" else 0}


# --- the server ---------------------------------------------------------------------------------------------------------

class Log:
    """One JSON object a line: {"type": "request", ...} when a request came, {"type": "answer", ...} when all of its answer was written."""

    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8") if path else None
        self.lock = threading.Lock()
        self.sequence = 0

    def write(self, **fields):
        with self.lock:
            if fields["type"] == "request":
                self.sequence += 1
                fields["sequence"] = self.sequence
            if self.file:
                self.file.write(json.dumps(fields) + "\n")
                self.file.flush()
            return self.sequence


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # as real servers do; else a stream of small pieces waits for delayed acknowledgements
    timeout = 120
    options = script = log = None

    def log_message(self, *_):
        pass

    # Pieces of an answer.
    def whole(self, status, answer, headers=None, content_type="application/json"):
        body = answer if isinstance(answer, bytes) else json.dumps(answer, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def stream_head(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def stream(self, text):
        data = text.encode("utf-8", "surrogatepass")
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def stream_end(self):
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def cut(self):
        """Breaks the connection: the peer sees a reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RDWR)

    def error(self, wire, status, kind, message, code=None, headers=None):
        self.whole(status, error_document(wire, status, kind, message, code), headers)

    def wire(self):
        return {"/v1/chat/completions": "chat", "/v1/messages": "messages"}.get(self.path.split("?")[0])

    def key(self):
        """(kind, digest of the key or None)"""
        if self.headers.get("x-api-key"):
            return "x-api-key", self.headers["x-api-key"]
        value = self.headers.get("Authorization", "")
        return ("bearer", value[7:]) if value.startswith("Bearer ") else ("none", None)

    def refuse_key(self, wire):
        if self.options.key is None or self.key()[1] == self.options.key:
            return False
        self.error(wire, 401, "authentication_error", "invalid x-api-key" if wire == "messages" else "Incorrect API key provided", "invalid_api_key")
        return True

    def do_GET(self):
        kind, key = self.key()
        self.log.write(type="request", method="GET", path=self.path, key_kind=kind, key=digest(key))
        if self.path == "/health":
            self.whole(200, {"status": "ok"})
        elif self.path.split("?")[0] == "/v1/models":
            if not self.refuse_key("chat"):
                names = self.options.models.split(",")
                self.whole(200, {"object": "list", "has_more": False, "data": [{"id": n, "object": "model", "type": "model", "display_name": n, "owned_by": "script"} for n in names]})
        else:
            self.error("chat", 404, "not_found_error", "no such route")

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            self.error("chat", 413, "request_too_large", "send a body with Content-Length of at most 64 MiB")
            return
        raw = self.rfile.read(length)
        wire = self.wire()
        kind, key = self.key()
        facts = {"method": "POST", "path": self.path, "wire": wire, "key_kind": kind, "key": digest(key),
                 "body": hashlib.sha256(raw).hexdigest(), "bytes": length}
        try:
            self.answer(wire, raw, facts)
        except Refused as r:
            self.log.write(type="request", refused=r.message, **facts)
            self.error(wire, r.status, r.kind, r.message, r.code)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
            self.log.write(type="gone", **facts)

    def answer(self, wire, raw, facts):
        if wire is None:
            raise Refused(404, "not_found_error", "no such route")
        if self.refuse_key(wire):
            self.log.write(type="request", refused="key", **facts)
            return
        try:
            body = json.loads(raw)
        except ValueError:
            raise Refused(400, "invalid_request_error", "the body is not JSON") from None
        require(isinstance(body, dict) and isinstance(body.get("model"), str), "model: Field required")
        if body["model"] not in self.options.models.split(","):
            raise Refused(404, "not_found_error", f"model: {body['model']} does not exist", "model_not_found")
        if wire == "messages":
            require(self.headers.get("anthropic-version"), "anthropic-version: header is required")
        turns = check_chat(body) if wire == "chat" else check_messages(body)
        conversation, iteration, number, turn = self.script.place(body, turns)
        facts |= {"model": body["model"], "stream": bool(body.get("stream")), "conversation": conversation, "iteration": iteration, "turn": number,
                  "output_cap": body.get("max_tokens") or body.get("max_completion_tokens")}
        fault = self.script.fault((conversation, iteration, number), turn)
        sequence = self.log.write(type="request", fault=fault, **facts)
        if self.options.bodies:
            pathlib.Path(self.options.bodies, f"{sequence:04d}.json").write_bytes(raw)
        if self.options.latency_ms:
            time.sleep(self.options.latency_ms / 1000)
        if fault is not None and self.early_fault(wire, fault):
            return
        if turn.get("wait_for"):
            self.wait(turn["wait_for"])
        calls = calls_of(turn, iteration, number, "call" if wire == "chat" else "toolu")
        usage = usage_of(turn, iteration, number, wire)
        if fault is not None and fault.get("empty"):
            turn, calls = {**turn, "text": "", "tools": [], "reasoning": ""}, []
        answer_id = f"{'chatcmpl' if wire == 'chat' else 'msg'}-c{conversation}i{iteration}t{number}"
        name = turn.get("served_as", body["model"])
        if not body.get("stream"):
            make = chat_whole if wire == "chat" else messages_whole
            self.whole(200, make(turn, calls, usage, name, answer_id))
        else:
            with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
            events = chat_events(turn, calls, usage, name, answer_id, with_usage) if wire == "chat" else messages_events(turn, calls, usage, name, answer_id)
            if not self.send_events(wire, events, fault or {}, turn.get("chunk_ms", 0)):
                return
        self.log.write(type="answer", usage=usage, empty=bool(fault and fault.get("empty")), **facts)

    def send_events(self, wire, events, fault, pause_ms):
        """Whether all of the stream was sent."""
        self.stream_head()
        if "hang" in fault:
            time.sleep(min(30, fault["hang"]))
            self.cut()
            return False
        for sent, event in enumerate(events):
            if fault.get("cut") == sent:
                self.cut()
                return False
            if fault.get("truncate") == sent:
                self.stream_end()
                return False
            if "error_event" in fault and fault.get("after", 0) == sent:
                error = {"type": fault["error_event"], "message": fault.get("message", "the script says so")}
                if wire == "messages":
                    self.stream("event: error\ndata: " + json.dumps({"type": "error", "error": error}) + "\n\n")
                else:
                    self.stream("data: " + json.dumps({"error": error}) + "\n\n")
                self.stream_end()
                return False
            if pause_ms:
                time.sleep(pause_ms / 1000)
            self.stream(event)
        self.stream_end()
        return True

    def early_fault(self, wire, fault):
        """Faults that take the place of an answer. Whether it was one."""
        if "status" in fault:
            headers = dict(fault.get("headers", {}))
            if "retry_after" in fault:
                headers["Retry-After"] = fault["retry_after"]
            kind = fault.get("type") or {429: "rate_limit_error", 529: "overloaded_error", 401: "authentication_error"}.get(fault["status"], "api_error")
            self.error(wire, fault["status"], kind, fault.get("message", "the script says so"), fault.get("code"), headers)
        elif fault.get("context"):
            if wire == "messages":
                self.error(wire, 400, "invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum")
            else:
                self.error(wire, 400, "invalid_request_error", "This model's maximum context length is 128000 tokens. However, your messages resulted in 250000 tokens.", "context_length_exceeded")
        elif fault.get("loading"):
            self.whole(503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}})
        elif fault.get("close"):
            self.cut()
        elif fault.get("garbage"):
            self.whole(200, b"<html><body>It works!</body></html>", content_type="text/html")
        else:
            return False
        return True

    def wait(self, name):
        deadline = time.monotonic() + 60
        while not (self.options.gates and pathlib.Path(self.options.gates, name).exists()):
            if time.monotonic() > deadline:
                raise Refused(500, "api_error", f"nobody opened the gate {name}")
            time.sleep(0.01)


def digest(key):
    return None if key is None else hashlib.sha256(key.encode()).hexdigest()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("script")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log")
    parser.add_argument("--key", help="the only key that is let in; without it any or none")
    parser.add_argument("--models", default="scripted")
    parser.add_argument("--gates")
    parser.add_argument("--bodies")
    parser.add_argument("--latency-ms", type=int, default=0)
    options = parser.parse_args()
    end_with_parent()
    with open(options.script, encoding="utf-8") as f:
        Handler.script = Script(json.load(f))
    Handler.options = options
    Handler.log = Log(options.log)
    server = Server(("127.0.0.1", options.port), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
