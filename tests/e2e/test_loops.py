"""Several loops (server.loops): what is a limit of a key, a provider or a budget holds for all of them together; what is not a model request finds its way to the main loop with
its connection; and neither a restart nor an end loses what a client sent.
"""
import collections
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import threading
import time

import test_gateway_budget
from gateway import GatewayCase, key_headers, request_of
from harness import alive, wait_for

LOOPS = {"NIGHTMILL_SERVER_LOOPS": "3"}


def at_once(n, one):
    """one(0) ... one(n - 1), each in a thread; their results."""
    found, gate = [None] * n, threading.Barrier(n)

    def run(i):
        gate.wait()
        found[i] = one(i)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    return found


class LoopsCase(GatewayCase):
    daemon_env = LOOPS

    def setUp(self):
        super().setUp()
        self.provider("chat", "chat", cooldown_ms=0)

    def switches(self):
        """How often each of the server's threads for requests went to sleep: {name: count}."""
        found = {}
        for task in pathlib.Path("/proc", str(self.nm.wait_status()["pid"]), "task").iterdir():
            name = (task / "comm").read_text(encoding="ascii").strip()
            if name.startswith("loop "):
                found[name] = next(int(line.split()[1]) for line in (task / "status").read_text(encoding="ascii").splitlines() if line.startswith("voluntary_ctxt"))
        return found

    def model_request(self, connection, key, **more):
        path, body = request_of("chat", "chat/fake", **more)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **key_headers("chat", key)})
        answer = connection.getresponse()
        return answer.status, answer.read()


class Loops(LoopsCase):
    def test_connections_are_shared(self):
        before = self.switches()
        self.assertEqual(sorted(before), ["loop 2", "loop 3"])
        key = self.key()
        for _ in range(45):  # one after the other: each wakes its loop at least twice
            self.assertEqual(self.ask("chat", "chat/fake", key).status, 200)
        after = self.switches()
        for name in before:
            self.assertGreater(after[name] - before[name], 8, (before, after))  # its clock alone wakes it once a second
        self.assertEqual(len(self.settled(rows=45)), 45)

    def test_what_is_not_a_model_request_goes_to_the_main_loop(self):
        key, admin = self.key(), self.key("admin", access="admin")

        def one(i):
            """Whatever loop the connection came to: all kinds of requests in turns, also sent ahead."""
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            found = []
            for _ in range(2):
                found.append(self.model_request(connection, key, text="hello " * (1 + 2000 * (i % 3)))[0])
                connection.request("GET", "/health")
                answer = connection.getresponse()
                found.append((answer.status, json.loads(answer.read())["status"]))
                connection.request("GET", "/api/v1/models", headers={"Authorization": f"Bearer {admin}"})
                answer = connection.getresponse()
                answer.read()
                found.append(answer.status)
            found.append(self.model_request(connection, None)[0])
            connection.close()
            return found

        good = [200, (200, "ok"), 200] * 2 + [401]
        self.assertEqual([f for f in at_once(24, one) if f != good], [])

    def test_requests_sent_ahead_are_answered_in_their_order(self):
        key = self.key()
        path, body = request_of("chat", "chat/fake")
        raw = json.dumps(body).encode()
        model = f"POST {path} HTTP/1.1\r\nHost: localhost:{self.port}\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw
        health = f"GET /health HTTP/1.1\r\nHost: localhost:{self.port}\r\n".encode()

        def one(_):
            with socket.create_connection(("127.0.0.1", self.port), 30) as s:
                s.sendall(model + health + b"\r\n" + model + health + b"Connection: close\r\n\r\n")
                got = b""
                while data := s.recv(65536):
                    got += data
            return [word in part for part, word in zip(got.split(b"HTTP/1.1 200 OK")[1:], (b"choices", b'"ok"', b"choices", b'"ok"'))]

        self.assertEqual([f for f in at_once(12, one) if f != [True] * 4], [])

    def test_a_rate_is_the_keys_and_not_a_loops(self):
        key = self.key("slow", requests_per_minute=20)
        began = time.monotonic()
        ends = collections.Counter(got.status for got in at_once(90, lambda _: self.ask("chat", "chat/fake", key)))
        more = int((time.monotonic() - began) / 3) + 1  # what leaked meanwhile
        self.assertTrue(20 <= ends[200] <= 20 + more, ends)
        self.assertEqual(ends[200] + ends[429], 90)

    def test_places_at_a_provider_are_shared(self):
        self.provider("narrow", "chat", concurrency=2, queue=100)
        key, most, over = self.key(), [0], threading.Event()

        def watch():
            while not over.wait(0.02):
                most[0] = max(most[0], sum(e["end"] is None for e in self.upstream.entries()))

        watcher = threading.Thread(target=watch)
        watcher.start()
        ends = at_once(30, lambda i: self.ask("chat", "narrow/fake+head_ms=60", key, stream=i % 2 == 0).status)
        over.set()
        watcher.join()
        self.assertEqual(ends, [200] * 30)  # all that waited had their turn, whatever loop they were on
        self.assertEqual(most[0], 2)

    def test_who_leaves_a_queue_holds_up_nobody(self):
        self.provider("narrow", "chat", concurrency=1, queue=100)
        key = self.key()

        def one(i):
            asking = self.start_asking("chat", "narrow/fake+head_ms=40", key)
            if i % 2:
                time.sleep(0.02 * i)
                asking.close()
                return 200
            return asking.end().status

        self.assertEqual(at_once(24, one), [200] * 24)

    def test_certificates_are_every_loops(self):
        """TLS connections change loops too, and SIGHUP reaches all of them."""
        self.nm.stop_daemon()
        certificate, private = self.folder / "tls.pem", self.folder / "tls.key"

        def certify(name):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
                            "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", private, "-out", certificate], check=True, capture_output=True, timeout=30)
            private.chmod(0o600)

        certify("one")
        self.nm.env |= {"NIGHTMILL_SERVER_ADDRESS": "https://127.0.0.1:0", "NIGHTMILL_SERVER_TLS_CERTIFICATE": str(certificate), "NIGHTMILL_SERVER_TLS_KEY": str(private)}
        self.start()
        key = self.key()

        def one(_):
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=ssl.create_default_context(cafile=str(certificate)), timeout=30)
            found = []
            for _ in range(3):
                found.append(self.model_request(connection, key)[0])
                connection.request("GET", "/health")
                answer = connection.getresponse()
                answer.read()
                found.append(answer.status)
            connection.close()
            return found

        self.assertEqual([f for f in at_once(12, one) if f != [200] * 6], [])
        certify("two")
        os.kill(self.nm.status()["pid"], signal.SIGHUP)
        wait_for("the new certificate at every loop", 20, lambda: self.fresh(certificate))

    def fresh(self, certificate):
        """Whether nobody shows the former one any more."""
        context = ssl.create_default_context(cafile=str(certificate))

        def one(_):
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=30)
            try:
                connection.request("GET", "/health")
                return connection.getresponse().status
            except ssl.SSLCertVerificationError:
                return 0
            finally:
                connection.close()

        return at_once(12, one) == [200] * 12


class LoopsCache(LoopsCase):
    daemon_env = {**LOOPS, "NIGHTMILL_GATEWAY_CACHE": "10m"}

    def test_an_answer_is_kept_for_all_loops(self):
        key = self.key(project="mine")
        self.assertEqual(self.ask("chat", "chat/fake", key, text="once").status, 200)
        got = at_once(30, lambda _: self.ask("chat", "chat/fake", key, text="once"))
        self.assertEqual([g.headers.get("x-nightmill-cache") for g in got], ["hit"] * 30)
        self.assertEqual(len(self.upstream.entries()), 1)


class LoopsEnd(LoopsCase):
    def test_a_restart_drops_no_connection(self):
        """Connections that came while there was no server are answered by the next one, at every loop."""
        key, pid = self.key(), self.nm.status()["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_for("the end of the server", 10, lambda: not alive(pid))
        self.assertEqual([got.status for got in at_once(40, lambda _: self.ask("chat", "chat/fake", key))], [200] * 40)

    def test_an_end_waits_for_answers(self):
        key = self.key()
        asking = [self.start_asking("chat", "chat/fake+head_ms=1200", key, stream=i % 2 == 0) for i in range(18)]
        wait_for("all of them at the provider", 10, lambda: len(self.upstream.entries()) == 18)
        pid = self.nm.status()["pid"]
        self.nm.run("daemon", "stop", code=0)
        self.assertEqual([a.end().status for a in asking], [200] * 18)
        self.assertFalse(alive(pid))
        self.assertEqual(len(self.rows_now("SELECT * FROM ledger")), 18)

    def test_an_end_under_load_ends(self):
        key = self.key()
        over = threading.Event()

        def ask(_):
            while not over.is_set():
                try:
                    self.ask("chat", "chat/fake", key, stream=True)
                except OSError:
                    pass

        runner = threading.Thread(target=at_once, args=(12, ask))
        runner.start()
        wait_for("some answers", 10, lambda: len(self.upstream.entries()) > 50)
        pid = self.nm.status()["pid"]
        self.nm.run("daemon", "stop", code=0)
        over.set()
        runner.join()
        self.assertFalse(alive(pid))
        self.start()
        self.assertEqual(self.ask("chat", "chat/fake", key).status, 200)


class LoopsOverspend(test_gateway_budget.Overspend):
    daemon_env = LOOPS
    seconds = 150
    test_256_at_once = test_256_with_failures_cuts_and_clients_that_leave = test_256_while_the_server_is_killed = None

    def test_256_at_once_on_several_loops(self):
        test_gateway_budget.Overspend.test_256_at_once(self)

    def test_256_while_a_server_of_several_loops_is_killed(self):
        test_gateway_budget.Overspend.test_256_while_the_server_is_killed(self)
