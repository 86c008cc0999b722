"""The gateway through the real program: who may ask, translation between wires, fallback, and what happens when a provider misbehaves."""
import decimal
import hashlib
import json
import os
import re
import socket
import threading
import time

from gateway import KEY_VARIABLE, WIRES, Asking, GatewayCase, api, error_words, key_headers, request_of, text_of
from harness import sandbox_works, wait_for


class Doors(GatewayCase):
    """Who is let in at the TCP port."""

    def status(self, path="/api/v1/status", **headers):
        return Asking(self.port, "GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()}).end().status

    def test_foreign_hosts_and_origins_are_refused(self):
        """A page in a browser, or a name that somebody points at 127.0.0.1, must reach nothing: the rules stand before any key."""
        for host in ("evil.example", f"evil.example:{self.port}", f"127.0.0.1.evil.example:{self.port}", f"127.0.0.1:{self.port + 1}", "", "127.0.0.1:99999999"):
            self.assertIn(self.status(Host=host), (400, 403), host)
            self.assertIn(self.status("/health", Host=host), (400, 403), host)
        for origin in ("http://evil.example", "null", f"http://127.0.0.1.evil.example:{self.port}", f"http://127.0.0.1:{self.port + 1}", "file://"):
            self.assertEqual(self.status("/health", Origin=origin), 403, origin)
        for host in (f"127.0.0.1:{self.port}", f"localhost:{self.port}"):
            self.assertEqual(self.status("/health", Host=host), 200, host)
        self.assertEqual(self.status("/health", Origin=f"http://127.0.0.1:{self.port}"), 200)

    def test_without_a_key_nothing_is_told(self):
        for path in ("/api/v1/status", "/api/v1/tasks", "/v1/models", "/nothing"):
            self.assertEqual(self.status(path), 401, path)
        for path, body in (("/v1/chat/completions", b'{"model":"x","messages":[]}'), ("/v1/messages", b"{}"), ("/v1/responses", b"{}"), ("/v1beta/models/x:generateContent", b"{}")):
            for key in (None, "Bearer nobody", "Bearer " + "x" * 5000):
                got = Asking(self.port, "POST", path, body, {"Authorization": key}).end()
                self.assertEqual(got.status, 401, got)
        self.assertEqual(self.upstream.entries(), [])


class Wires(GatewayCase):
    """Every wire in, every wire out."""

    def setUp(self):
        super().setUp()
        for wire in WIRES:
            self.provider(wire, wire)
        self.token = self.key()

    def test_every_wire_to_every_wire(self):
        for client in WIRES:
            for server in WIRES:
                for stream in (False, True):
                    with self.subTest(client=client, server=server, stream=stream):
                        got = self.ask(client, f"{server}/fake", self.token, text="hello cached=2", stream=stream)
                        self.assertEqual(got.status, 200, got)
                        self.assertTrue(got.whole, got)
                        text, stop, error = text_of(client, got)
                        self.assertEqual((text, error), ("Grüße 😀 You said: hello cached=2", None), got)
                        self.assertIn(stop, ("stop", "completed", "end_turn", "STOP"))
        entries = self.upstream.entries()
        self.assertEqual({e["wire"] for e in entries}, set(WIRES))
        rows = self.settled(rows=len(entries))
        self.assertEqual(self.counted(rows), self.served(entries))

    def test_bytes_of_the_same_wire_are_forwarded_untouched(self):
        """Only the model's name is another: odd layout, number forms, escapes and unknown members stay as they are, in both directions."""
        odd = (b'{ "model" :\t"chat/fake","unknown_member":{"b":1,"a":[1e3, 1.50,-0]},\r\n "messages":[{"role":"user","content":"\\u0068ello \\/ \xc3\xbc","x":null}] ,"max_tokens":77}\n')
        got = Asking(self.port, "POST", "/v1/chat/completions", odd, key_headers("chat", self.token)).end()
        self.assertEqual(got.status, 200, got)
        entry = self.upstream.entries()[-1]
        self.assertEqual(self.upstream.body(entry), odd.replace(b'"chat/fake"', b'"fake"'))
        direct = Asking(self.upstream.port, "POST", "/v1/chat/completions", self.upstream.body(entry), key_headers("chat", "key-of-the-provider")).end()
        self.assertEqual(got.body, direct.body.replace(self.upstream.entries()[-1]["id"].encode(), entry["id"].encode()))

    def test_a_stream_of_the_same_wire_is_forwarded_untouched(self):
        for wire in WIRES:
            with self.subTest(wire=wire):
                got = self.ask(wire, f"{wire}/fake", self.token, stream=True, cap=50)
                entry = self.upstream.entries()[-1]
                path, _ = request_of(wire, "fake", stream=True)
                direct = Asking(self.upstream.port, "POST", path, self.upstream.body(entry), key_headers(wire, "key-of-the-provider")).end()
                self.assertEqual(got.body, direct.body.replace(self.upstream.entries()[-1]["id"].encode(), entry["id"].encode()))

    def test_usage_that_a_client_did_not_ask_for_is_not_shown(self):
        path, body = request_of("chat", "chat/fake")
        got = Asking(self.port, "POST", path, json.dumps({**body, "stream": True}).encode(), key_headers("chat", self.token)).end()
        self.assertNotIn(b"usage", got.body)
        self.assertNotIn(b'"choices": []', got.body)
        self.assertTrue(self.upstream.entries()[-1]["reported"], "the provider was not asked for usage")
        self.assertEqual(self.counted(self.settled(rows=1)), self.served(self.upstream.entries()))

    def test_the_key_of_the_provider_is_not_the_clients(self):
        self.ask("chat", "messages/fake", self.token)
        self.assertEqual({e["key"] for e in self.upstream.entries()}, {hashlib.sha256(b"key-of-the-provider").hexdigest()})

    def test_an_event_reaches_the_client_when_it_was_sent(self):
        """Nothing is held back until the end of a stream."""
        asking = self.start_asking("chat", "messages/fake+silent=5+silent_ms=4000", self.token, stream=True)
        began = time.monotonic()
        asking.wait_for("Grüße".encode())
        self.assertLess(time.monotonic() - began, 4)
        asking.close()


class Misbehaviour(GatewayCase):
    """Whatever a provider does, the client gets a whole answer in its own wire, and the ledger has what was received."""
    seconds = 240
    daemon_env = {"NIGHTMILL_MODEL_FIRST_BYTE": "2s", "NIGHTMILL_MODEL_IDLE": "2s"}

    def setUp(self):
        super().setUp()
        self.token = self.key()
        self.count = 0

    def look(self, words, stream, client="chat", server="chat"):
        """Asks once, of a provider that has no past, and checks what every answer must be: (answer, text, error's words or None, entry)."""
        self.count += 1
        name = f"p{self.count}"
        self.provider(name, server)
        got = self.ask(client, f"{name}/fake+{words}" if words else f"{name}/fake", self.token, text=f"hello {name}", stream=stream)
        self.assertTrue(got.whole, f"{words}: {got}")
        got.body.decode("utf-8")
        if got.status != 200:
            return got, "", error_words(client, got.json()), (self.upstream.entries() or [None])[-1]
        text, stop, error = text_of(client, got)
        if error is None:
            self.assertIsNotNone(stop, f"{words}: a stream without an end and without an error: {got}")
        return got, text, error and error_words(client, error), self.upstream.entries()[-1]

    def each(self):
        """Wire of the client, wire of the provider, streamed or not."""
        for client, server in (("chat", "chat"), ("messages", "chat"), ("chat", "messages"), ("gemini", "responses"), ("responses", "gemini")):
            for stream in (False, True):
                yield {"client": client, "server": server, "stream": stream}

    def assert_refused(self, words, statuses, **how):
        with self.subTest(words=words, **how):
            got, _, error, entry = self.look(words, **how)
            self.assertIn(got.status, statuses, got)
            self.assertTrue(error, got)
        return got

    def assert_fine(self, words, **how):
        with self.subTest(words=words, **how):
            got, text, error, entry = self.look(words, **how)
            self.assertEqual((got.status, error), (200, None), got)
            self.assertIn("You said: hello", text)
        return entry

    def test_failures_before_the_first_byte(self):
        for how in self.each():
            for words in ("status=500", "status=503", "status=529", "error_200", "page", "redirect=302", "redirect=307", "cut=head", "status=408"):
                self.assert_refused(words, range(500, 530), **how)
            self.assert_refused("status=429+retry_after=7", (429,), **how)
            self.assert_refused("quota", (429, 402), **how)
            if how["stream"]:
                self.assert_refused("error_event=0", range(429, 530), **how)
            else:
                self.assert_refused("malformed", range(500, 530), **how)
                self.assert_refused("cut=40", range(500, 530), **how)
        self.assertFalse([e for e in self.upstream.entries() if e["path"] == "/v1/elsewhere"], "a redirect was followed")
        self.assertEqual(self.settled(), [])
        self.assert_healthy()

    def test_failures_in_the_middle(self):
        for how in self.each():
            for words in ("cut=3", "truncate=3", "close=3", "error_event=3", "malformed=3", "utf8=half") if how["stream"] else ():
                with self.subTest(words=words, **how):
                    got, text, error, entry = self.look(words, **how)
                    self.assertTrue(got.status != 200 or error, got)
        self.assert_healthy()

    def test_a_silent_stream_ends(self):
        for how in ({"client": "chat", "server": "chat"}, {"client": "messages", "server": "chat"}):
            got, text, error, entry = self.look("silent=3+silent_ms=20000", stream=True, **how)
            self.assertTrue(text and error, got)
            wait_for("the provider to see that nobody listens", 10, lambda: self.upstream.entries()[-1]["end"] == "gone")

    def test_slow_heads(self):
        self.assert_fine("head_ms=1000", stream=False)
        self.assert_fine("drip_ms=2", stream=True)
        self.assert_refused("head_ms=20000", (504,), stream=True)
        wait_for("the provider to see that nobody waits", 10, lambda: self.upstream.entries()[-1]["end"] == "gone")

    def test_odd_but_sound_answers(self):
        for how in self.each():
            for words in ("gzip", "http10", "split=1", "content_type=text/plain"):
                self.assert_fine(words, **how)
        rows = self.settled(rows=len(self.upstream.entries()))
        self.assertEqual(self.counted(rows), self.served(self.upstream.entries()))

    def test_huge_lines(self):
        for client in ("chat", "messages"):
            got, text, error, _ = self.look("huge=2000000", stream=True, client=client, server="chat")
            self.assertEqual((got.status, len(text), error), (200, 2000000, None))
        got, text, error, _ = self.look("huge=40000000", stream=True, client="chat", server="chat")
        self.assertTrue(got.status >= 500 or error, f"{got.status} {len(text)}")
        self.assert_healthy()

    def test_counts_reported_in_odd_ways(self):
        """Once, whatever the provider repeats; what was not reported is never counted as nothing."""
        for how in ({"client": "chat", "server": "chat"}, {"client": "messages", "server": "chat"}, {"client": "chat", "server": "messages"}, {"client": "chat", "server": "gemini"}):
            for words in ("usage=twice", "usage=early"):
                self.assert_fine(words, stream=True, **how)
        entries = self.upstream.entries()
        rows = self.settled(rows=len(entries))
        self.assertEqual(self.counted(rows), self.served(entries))
        self.assert_fine("usage=none", stream=True)
        self.assert_fine("usage=none", stream=False)
        time.sleep(0.5)
        self.assertEqual(self.counted(self.settled()), self.served(entries))

    def test_addresses_that_lead_nowhere(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            urls = {"refused": f"http://127.0.0.1:{closed.getsockname()[1]}", "no tls": f"https://127.0.0.1:{self.upstream.port}", "no name": "http://nothing.invalid"}
            for n, (what, url) in enumerate(urls.items()):
                with self.subTest(what):
                    self.provider(f"nowhere{n}", "chat", url)
                    got = self.ask("chat", f"nowhere{n}/fake", self.token)
                    self.assertIn(got.status, range(500, 530), got)
                    self.assertTrue(error_words("chat", got.json()))
        self.assertEqual(self.settled(), [])


class Names(GatewayCase):
    """A name server that never answers."""

    def setUp(self):
        self.silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.silent.close)
        try:
            self.silent.bind(("127.0.0.77", 53))
        except PermissionError:
            self.skipTest("a name server of one's own needs root")
        if not sandbox_works():
            self.skipTest("this machine does not let bubblewrap give the daemon a resolv.conf of its own")
        super().setUp()

    def start(self):
        settings = self.folder / "resolv.conf"
        settings.write_text("nameserver 127.0.0.77\noptions timeout:30 attempts:5\n", encoding="ascii")
        self.nm.wrapper = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", str(settings), os.path.realpath("/etc/resolv.conf")]
        super().start()

    daemon_env = {"NIGHTMILL_MODEL_FIRST_BYTE": "3s"}

    def test_a_name_that_is_never_found_holds_up_nobody(self):
        self.provider("lost", "chat", "http://models.example.org")
        self.provider("here", "chat")
        key = self.key()
        waiting = self.start_asking("chat", "lost/fake", key, seconds=60)
        leaving = self.start_asking("chat", "lost/fake", key, seconds=60)
        time.sleep(0.3)
        leaving.close()
        for _ in range(5):
            began = time.monotonic()
            self.assertEqual(self.ask("chat", "here/fake", key, seconds=20).status, 200)
            self.assertLess(time.monotonic() - began, 10)
        got = waiting.end()
        self.assertIn(got.status, range(500, 530), got)
        self.assertTrue(error_words("chat", got.json()))
        self.assertEqual(len(self.settled(rows=5)), 5)


class Routing(GatewayCase):
    """Which of several providers is asked."""

    def setUp(self):
        super().setUp()
        self.token = self.key()
        for name in ("first", "second"):
            self.provider(name, "chat")

    def asked(self):
        return [e["model"] for e in self.upstream.entries()]

    def test_the_next_of_a_chain_answers_when_the_first_fails(self):
        for words in ("status=500", "status=429", "cut=head", "error_200", "page"):
            name = "chain-" + re.sub(r"\W", "-", words)
            self.provider(name, "chat")
            self.tier(name + "-tier", f"{name}/fake+{words}", "second/fake")
            for stream in (False, True):
                with self.subTest(words=words, stream=stream):
                    got = self.ask("chat", name + "-tier", self.token, stream=stream)
                    self.assertEqual(got.status, 200, got)
                    self.assertIn("You said", text_of("chat", got)[0])
        entries = [e for e in self.upstream.entries() if e["reported"]]
        self.assertEqual(self.counted(self.settled(rows=len(entries))), self.served(entries))

    def test_after_the_first_byte_nobody_else_is_asked(self):
        self.tier("cut", "first/fake+cut=3+event_ms=100", "second/fake")
        got = self.ask("chat", "cut", self.token, stream=True)
        self.assertEqual(got.status, 200)
        self.assertTrue(text_of("chat", got)[2], got)
        self.assertEqual(self.asked(), ["fake+cut=3+event_ms=100"])

    def test_a_wrong_request_is_not_tried_elsewhere(self):
        self.tier("wrong", "first/fake+status=400", "second/fake")
        got = self.ask("chat", "wrong", self.token)
        self.assertEqual(got.status, 400, got)
        self.assertEqual(self.asked(), ["fake+status=400"])

    def test_a_provider_that_fails_rests(self):
        self.tier("rest", "first/fake+status=500", "second/fake")
        for _ in range(12):
            self.assertEqual(self.ask("chat", "rest", self.token).status, 200)
        self.assertLess(self.asked().count("fake+status=500"), 12)

    def test_retry_after_is_honoured(self):
        self.tier("wait", "first/fake+status=429+retry_after=600", "second/fake")
        for _ in range(4):
            self.assertEqual(self.ask("chat", "wait", self.token).status, 200)
        self.assertEqual(self.asked().count("fake+status=429+retry_after=600"), 1)

    def test_retry_after_reaches_a_client_that_has_no_other_provider(self):
        for name, words in {"seconds": "retry_after=7", "milliseconds": "retry_after_ms=6500", "words": "reset=7s"}.items():
            self.provider(name, "chat")
            got = self.ask("chat", f"{name}/fake+status=429+{words}", self.token)
            self.assertEqual(got.status, 429, got)
            self.assertIn(int(got.headers["retry-after"]), (6, 7), got)
        self.provider("google", "gemini")
        got = self.ask("messages", "google/fake+status=429+retry_info=45.84s", self.token)
        self.assertIn(int(got.headers["retry-after"]), (45, 46), got)


class Clients(GatewayCase):
    """Keys, their limits and what they may see; clients that leave."""

    def setUp(self):
        super().setUp()
        self.provider("chat", "chat")

    def seen(self, key):
        got = Asking(self.port, "GET", "/api/v1/requests", headers={"Authorization": f"Bearer {key}"}).end()
        self.assertEqual(got.status, 200, got)
        return got.json()["requests"]

    def test_a_key_sees_and_spends_for_its_own_project_alone(self):
        mine, theirs = self.key("mine", project="mine"), self.key("theirs", project="theirs")
        for key, count in ((mine, 1), (theirs, 2)):
            for _ in range(count):
                self.assertEqual(self.ask("chat", "chat/fake", key).status, 200)
        wait_for("the records", 10, lambda: (len(self.seen(mine)), len(self.seen(theirs))) == (1, 2))
        got = Asking(self.port, "GET", "/api/v1/requests?project=theirs", headers={"Authorization": f"Bearer {mine}"}).end()
        self.assertNotIn(b"theirs", got.body)
        got = self.ask("chat", "chat/fake", mine, headers={"X-Nightmill-Project": "theirs"})
        wait_for("one more record", 10, lambda: len(self.seen(mine)) == 2)
        self.assertEqual(len(self.seen(theirs)), 2)
        self.assertEqual(sorted(r["project"] for r in self.settled(rows=4)), ["mine", "mine", "theirs", "theirs"])
        for path in ("/api/v1/ledger", "/api/v1/ledger?project=theirs", "/api/v1/ledger?by=project", "/api/v1/ledger?by=key", "/api/v1/budgets", "/api/v1/ledger?format=csv"):
            got = Asking(self.port, "GET", path, headers={"Authorization": f"Bearer {mine}"}).end()
            self.assertNotIn(b"theirs", got.body, f"{path}: {got}")
        for method, path, body in (("PUT", "/api/v1/providers/x", {"kind": "compatible", "url": "http://127.0.0.1:1"}), ("DELETE", "/api/v1/providers/chat", None),
                                   ("POST", "/api/v1/keys", {"name": "more", "project": "theirs"}), ("PUT", "/api/v1/tiers", {"name": "A", "models": ["chat/fake"]}),
                                   ("POST", "/api/v1/prices", {"model": "fake", "input": "0", "output": "0"}), ("POST", "/api/v1/daemon/stop", None),
                                   ("PUT", "/api/v1/credentials", {KEY_VARIABLE: "another"}), ("GET", "/api/v1/tasks", None), ("GET", "/api/v1/keys", None)):
            got = Asking(self.port, method, path, json.dumps(body).encode() if body else b"", {"Authorization": f"Bearer {mine}"}).end()
            self.assertNotIn("theirs", got.body.decode(), f"{method} {path}: {got}")
            self.assertTrue(method == "GET" or got.status in (403, 404), f"{method} {path}: {got}")
        self.assertEqual(self.ask("chat", "chat/fake", theirs).status, 200)

    def test_by_the_commands_alone(self):
        """From nothing to a bill, as a person does it."""
        nm = self.nm
        nm.run("provider", "add", "mill", "--kind", "compatible", "--url", self.upstream.url, "--key-env", KEY_VARIABLE, code=0)
        nm.run("provider", "test", "mill", code=0)
        nm.run("model", "add", "small", "--provider", "mill", "--upstream", "fake", code=0)
        nm.run("tier", "set", "C", "small", code=0)
        nm.run("price", "set", "small", "--input", "3.00", "--output", "15.00", code=0)
        nm.run("budget", "set", "project", "shop", "--money", "1.00", code=0)
        key = nm.json("key", "create", "shop", "--project", "shop")["key"]
        self.assertEqual(text_of("messages", self.ask("messages", "C", key, text="hello"))[0], "Grüße 😀 You said: hello")
        entry = self.upstream.entries("fake")[-1]
        cost = decimal.Decimal(entry["usage"]["input"] * 3 + entry["usage"]["output"] * 15).scaleb(-6)
        row = wait_for("the row", 10, lambda: nm.json("ledger")["rows"])[0]
        self.assertEqual((decimal.Decimal(row["cost"]), row["project"], row["model"]), (cost, "shop", "small"))
        self.assertIn("shop", nm.run("ledger", "--by", "project", code=0).out)
        request = wait_for("the record", 10, lambda: nm.json("request", "ls")["requests"])[0]
        self.assertIn(request["id"], nm.run("request", "show", request["id"], code=0).out)
        budgets = nm.json("budget", "ls")["budgets"]
        self.assertEqual([(b["scope_id"], decimal.Decimal(b["spent"])) for b in budgets], [("shop", cost)])
        nm.run("key", "revoke", nm.json("key", "ls")["keys"][0]["id"], code=0)
        self.assertEqual(self.ask("chat", "C", key).status, 401)

    def test_an_answer_from_the_cache_costs_nothing_and_is_the_keys_own(self):
        self.nm.stop_daemon()
        self.nm.env["NIGHTMILL_GATEWAY_CACHE"] = "10m"
        self.start()
        mine, other = self.key("mine", project="mine"), self.key("other", project="other")
        for stream in (False, True):
            first, again = (self.ask("chat", "chat/fake", mine, text="once", stream=stream) for _ in range(2))
            self.assertEqual((first.status, again.status, again.body), (200, 200, first.body))
            self.assertNotEqual(first.headers.get("x-nightmill-cache"), again.headers.get("x-nightmill-cache"))
        self.assertEqual(len(self.upstream.entries()), 2)
        self.ask("chat", "chat/fake", other, text="once")
        self.ask("chat", "chat/fake", mine, text="another")
        self.assertEqual(len(self.upstream.entries()), 4)
        for _ in range(2):  # a failure is never remembered
            self.assertEqual(self.ask("chat", "chat/fake+status=400", mine).status, 400)
        self.assertEqual(len(self.upstream.entries()), 6)
        self.assertEqual(len(self.settled(rows=4)), 4)

    def test_a_revoked_key_is_refused_at_once(self):
        key = self.key("old")
        self.assertEqual(self.ask("chat", "chat/fake", key).status, 200)
        self.nm.run("key", "revoke", self.nm.json("key", "ls")["keys"][0]["id"], code=0)
        self.assertEqual(self.ask("chat", "chat/fake", key).status, 401)

    def test_requests_a_minute(self):
        key = self.key("slow", requests_per_minute=3)
        statuses = [self.ask(wire, "chat/fake", key).status for wire in ("chat", "messages", "gemini", "responses", "chat")]
        self.assertEqual(statuses, [200, 200, 200, 429, 429])
        got = self.ask("messages", "chat/fake", key)
        self.assertEqual((got.status, got.json()["error"]["type"]), (429, "rate_limit_error"), got)
        self.assertTrue(1 <= int(got.headers["retry-after"]) <= 60, got)

    def test_streams_at_once(self):
        key = self.key("narrow", streams=2)
        held = [self.start_asking("chat", "chat/fake+silent=2+silent_ms=20000", key, stream=True) for _ in range(2)]
        for asking in held:
            asking.wait_for(b"data:")
        self.assertEqual(self.ask("chat", "chat/fake", key, stream=True).status, 429)
        for asking in held:
            asking.close()
        wait_for("a place for another stream", 10, lambda: self.ask("chat", "chat/fake", key, stream=True).status == 200)

    def test_a_client_that_leaves_is_noticed(self):
        """In every phase; the provider's stream ends, or is drained to its counts, and the ledger has either the counts or a hold that is kept."""
        key = self.key()
        for words in ("head_ms=20000", "silent=2+silent_ms=20000", "event_ms=400"):
            with self.subTest(words):
                asking = self.start_asking("chat", f"chat/fake+{words}", key, stream=True)
                if not words.startswith("head"):
                    asking.wait_for(b"data:")
                wait_for("the request to arrive", 10, lambda: self.upstream.entries(f"fake+{words}"))
                asking.close()
                wait_for("the provider's side to end", 15, lambda: self.upstream.entries(f"fake+{words}")[-1]["end"])
        self.assert_healthy()

    def test_what_a_departed_client_cost_stands_in_the_books(self):
        """Where leaving stops the bill the provider is told and what was held stays; where it does not, the answer is read to its counts."""
        key = self.key()
        for stops in (True, False):
            with self.subTest(cancel_stops_bill=stops):
                name = f"leaving-{stops}".lower()
                self.provider(name, "chat", cancel_stops_bill=stops)
                model = f"fake+event_ms=150+served_as={name}"
                asking = self.start_asking("chat", f"{name}/{model}", key, stream=True)
                asking.wait_for(b"data:")
                asking.close()
                wait_for("the provider's side to end", 20, lambda: self.upstream.entries(model) and self.upstream.entries(model)[-1]["end"])
                entry = self.upstream.entries(model)[-1]
                self.assertEqual(entry["end"], "gone" if stops else "whole")
                wait_for("the hold's outcome", 10, lambda: self.rows("SELECT id FROM hold WHERE provider = ? AND state = 'kept' UNION SELECT hold_id FROM ledger WHERE provider = ?", name, name))
                self.assertEqual(len(self.rows("SELECT id FROM hold WHERE provider = ? AND state = 'kept'", name)), int(stops))
                self.assertEqual(self.rows("SELECT id FROM hold WHERE provider = ? AND state = 'open'", name), [])
                rows = self.rows("SELECT input, output FROM ledger WHERE provider = ?", name)
                self.assertEqual([(r["input"], r["output"]) for r in rows], [] if stops else [(entry["usage"]["input"], entry["usage"]["output"])])

    def test_what_nobody_knows_is_settled_by_the_providers_bill(self):
        """Usage that was not reported counts with its bound until a person says what was billed."""
        api(self.nm, "POST", "/api/v1/prices", model="chat/fake+usage=none", input="3", output="15")
        api(self.nm, "POST", "/api/v1/budgets", scope="project", scope_id="shop", money="10")
        key = self.key(project="shop")
        for _ in range(2):
            self.assertEqual(self.ask("chat", "chat/fake+usage=none", key).status, 200)
        spent = lambda: float(self.nm.json("budget", "ls")["budgets"][0]["spent"])
        first, second = self.nm.json("hold", "ls")["holds"]
        bound = float(first["amount"])
        self.assertEqual((first["state"], first["project"]), ("kept", "shop"))
        self.assertAlmostEqual(spent(), 2 * bound)
        self.nm.run("hold", "settle", str(first["id"]), code=2)  # with what?
        self.assertEqual(self.nm.json("hold", "settle", str(first["id"]), "--input", "1000", "--output", "200")["state"], "settled")
        self.assertAlmostEqual(spent(), bound + 0.003 + 0.003)
        self.assertEqual(self.nm.json("hold", "release", str(second["id"]))["state"], "released")
        self.assertAlmostEqual(spent(), 0.006)
        self.assertIn("only a kept one", self.nm.run("hold", "release", str(second["id"]), code=1).err)
        self.assertEqual([(r["input"], r["output"]) for r in self.rows("SELECT input, output FROM ledger")], [(1000, 200)])
        self.assertIn("None", self.nm.run("hold", "ls", code=0).err)
        status, _ = self.nm.api("POST", "/api/v1/holds/99999/release", {})
        self.assertEqual(status, 404)

    def test_a_reader_that_stops_holds_up_nobody(self):
        key = self.key()
        stuck = self.start_asking("chat", "chat/fake+huge=8000000", key, stream=True)
        stuck.wait_for(b"data:")
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.ask("chat", "chat/fake", key, stream=True).status)) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(30)
        self.assertEqual(answers, [200] * 8)
        stuck.close()


class Books(GatewayCase):
    """What requests cost becomes rows of the database many at a time, and is lost by no end of the server."""
    daemon_env = {"NIGHTMILL_GATEWAY_SYNC": "10000"}

    def setUp(self):
        super().setUp()
        self.provider("chat", "chat")

    def test_rows_come_later_and_survive_a_kill(self):
        key = self.key()
        for _ in range(5):
            self.assertEqual(self.ask("chat", "chat/fake", key).status, 200)
        self.assertEqual(self.rows_now("SELECT * FROM ledger"), [])
        self.nm.kill9("server")
        self.nm.wait_status()
        self.assertEqual(len(self.rows_now("SELECT * FROM ledger")), 5)
        self.assertEqual(self.counted(self.rows_now("SELECT * FROM ledger")), self.served(self.upstream.entries("fake")))
        self.assertEqual(self.rows_now("SELECT * FROM hold"), [])

    def test_who_asks_for_the_ledger_gets_all_of_it(self):
        self.assertEqual(self.ask("chat", "chat/fake", self.key()).status, 200)
        self.assertEqual(len(self.nm.json("ledger")["rows"]), 1)
        self.assertEqual(len(self.rows_now("SELECT * FROM ledger")), 1)


class BooksOnDisk(GatewayCase):
    """With gateway.sync 0 a request is on the disk before its client has the answer."""
    daemon_env = {"NIGHTMILL_GATEWAY_SYNC": "0"}

    def test_each_request_waits_for_the_disk(self):
        self.provider("chat", "chat")
        key = self.key()
        for n in range(1, 4):
            self.assertEqual(self.ask("chat", "chat/fake", key, stream=n == 2).status, 200)
            self.assertEqual(len(self.rows_now("SELECT * FROM ledger")), n)
