"""The daemon's TCP addresses: who may ask what there, TLS and client certificates, and that the daemon does not depend on them."""
import http.client
import os
import signal
import socket
import ssl
import subprocess
from urllib.parse import urlsplit

from harness import Case, wait_for


class Addresses(Case):
    needs_sandbox = False
    seconds = 120

    def address(self, scheme="http"):
        """Host and port of the first address of that scheme."""
        for row in self.nm.wait_status()["addresses"]:
            if row["listening"] and row["url"].startswith(scheme + "://"):
                parts = urlsplit(row["url"])
                return parts.hostname, parts.port
        self.fail(f"no {scheme} address: {self.nm.status()['addresses']}")

    def ask(self, path, headers=None, method="GET", tls=None, body=None):
        """(status, body, headers) over TCP; tls: a context."""
        host, port = self.address("https" if tls else "http")
        connection = http.client.HTTPSConnection(host, port, context=tls, timeout=20) if tls else http.client.HTTPConnection(host, port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def certificate(self, name, issuer=None):
        """PEM files of a certificate and its key, signed by another one or by itself."""
        pem, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        signed_by = ["-CA", str(self.folder / f"{issuer}.pem"), "-CAkey", str(self.folder / f"{issuer}.key")] if issuer else []
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(pem), *signed_by],
                       check=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        key.chmod(0o600)
        return pem, key

    def test_strangers_learn_only_that_it_lives(self):
        self.nm.run("daemon", "start", code=0)
        self.assertEqual(self.ask("/health")[:2], (200, '{"status":"ok"}'))
        self.assertEqual(self.ask("/ready")[:2], (200, '{"status":"ready"}'))
        for method, path in (("GET", "/api/v1/status"), ("GET", "/api/v1/tasks"), ("POST", "/api/v1/daemon/stop"), ("POST", "/v1/chat/completions"), ("GET", "/nothing"), ("POST", "/health")):
            status, body, headers = self.ask(path, method=method)
            self.assertEqual((status, headers["WWW-Authenticate"]), (401, "Bearer"), f"{method} {path}: {body}")
        self.assertTrue(self.nm.status(), "it was stopped by a stranger")
        _, port = self.address()
        for length, headers, expected in ((1 << 20, {}, 413), (1 << 20, {"Authorization": "Bearer x"}, 401), (1000, {}, 401)):
            self.assertEqual(self.ask("/v1/chat/completions", headers, "POST", body=b"x" * length)[0], expected)
        for headers in ({"Host": "evil.example"}, {"Host": f"evil.example:{port}"}, {"Host": "localhost"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
            self.assertEqual(self.ask("/health", headers)[0], 403, headers)
        self.assertEqual(self.ask("/health", {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"})[0], 200)

    def test_the_port_is_kept_when_the_server_ends(self):
        self.nm.run("daemon", "start", code=0)
        before = self.address()
        self.nm.kill9("server")
        wait_for("the next server", 20, self.nm.status)
        self.assertEqual(self.address(), before)
        self.assertEqual(self.ask("/health")[0], 200)
        ended = self.nm.run("daemon", "status", code=0)
        self.assertIn(f"http://127.0.0.1:{before[1]}", ended.out)

    def test_a_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            self.nm.env["NIGHTMILL_SERVER_ADDRESS"] = f"127.0.0.1:{port},127.0.0.1:0"
            self.nm.run("daemon", "start", code=0)
            words = f"another program listens at 127.0.0.1:{port}"
            for command in (("daemon", "status"), ("doctor",)):
                self.assertIn(words, self.nm.run(*command).out)
            self.assertIn(words, self.nm.daemon_log())
            first, second = self.nm.status()["addresses"]
            self.assertEqual((first["listening"], second["listening"]), (False, True))
        self.nm.kill9("server")  # the other one is gone: the next server has the address
        wait_for("the address", 20, lambda: (self.nm.status() or {"addresses": [{"listening": False}]})["addresses"][0]["listening"])
        self.assertEqual(self.address(), ("127.0.0.1", port))

    def test_none(self):
        self.nm.env["NIGHTMILL_SERVER_ADDRESS"] = "off"
        self.nm.run("daemon", "start", code=0)
        self.assertEqual(self.nm.status()["addresses"], [])

    def test_addresses_that_are_refused(self):
        pem, key = self.certificate("server")
        for address, more, words in (("0.0.0.0:0", {}, "not allowed without TLS"), ("127.0.0.1:0,[::]:0", {}, "not allowed without TLS"), ("https://127.0.0.1:0", {}, "needs a certificate"),
                                     ("http://0.0.0.0:0", {"NIGHTMILL_SERVER_TLS_CERTIFICATE": str(pem), "NIGHTMILL_SERVER_TLS_KEY": str(key)}, "not allowed without TLS"),
                                     ("127.0.0.1:0", {"NIGHTMILL_SERVER_TLS_CERTIFICATE": str(pem)}, "belong together"), ("127.0.0.1", {}, "no address")):
            ended = self.nm.run("daemon", "start", env={"NIGHTMILL_SERVER_ADDRESS": address, **more})
            self.assertNotEqual(ended.code, 0, address)
            self.assertIn(words, ended.err, address)
            self.assertIsNone(self.nm.status(), address)

    def test_tls(self):
        pem, key = self.certificate("server")
        self.nm.env |= {"NIGHTMILL_SERVER_ADDRESS": "127.0.0.1:0,http://127.0.0.1:0", "NIGHTMILL_SERVER_TLS_CERTIFICATE": str(pem), "NIGHTMILL_SERVER_TLS_KEY": str(key)}
        self.nm.run("daemon", "start", code=0)
        old = ssl.create_default_context(cafile=pem)
        self.assertEqual(self.ask("/health", tls=old)[0], 200)
        self.assertEqual(self.ask("/health")[0], 200)
        self.assertEqual(self.ask("/api/v1/status", tls=old)[0], 401)
        self.assertIn("https://127.0.0.1:", self.nm.run("daemon", "status", code=0).out)
        self.certificate("server")  # the same files anew
        os.kill(self.nm.status()["keeper_pid"], signal.SIGHUP)
        new = ssl.create_default_context(cafile=pem)
        wait_for("the new certificate", 20, lambda: self.trusts(new))
        with self.assertRaises(ssl.SSLError):
            self.ask("/health", tls=old)

    def trusts(self, context):
        try:
            return self.ask("/health", tls=context)[0] == 200
        except ssl.SSLError:
            return False

    def test_client_certificates(self):
        self.certificate("authority")
        pem, key = self.certificate("server")
        self.certificate("stranger")
        friend = self.certificate("friend", issuer="authority") if self.openssl_signs() else self.certificate("authority")
        self.nm.env |= {"NIGHTMILL_SERVER_TLS_CERTIFICATE": str(pem), "NIGHTMILL_SERVER_TLS_KEY": str(key), "NIGHTMILL_SERVER_CLIENT_CA": str(self.folder / "authority.pem")}
        self.nm.run("daemon", "start", code=0)
        for shown, good in ((None, False), ((self.folder / "stranger.pem", self.folder / "stranger.key"), False), (friend, True)):
            context = ssl.create_default_context(cafile=pem)
            if shown:
                context.load_cert_chain(*shown)
            try:
                self.assertEqual((self.ask("/health", tls=context)[0], good), (200, True))
            except (OSError, http.client.HTTPException):  # an alert, or the end of the connection
                self.assertFalse(good)

    def openssl_signs(self):
        """Whether `openssl req -x509` takes an issuer, which it does from 3.0 on."""
        words = subprocess.run(["openssl", "req", "-help"], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
        return "-CAkey" in words.stdout + words.stderr

    def test_a_certificate_that_is_missing(self):
        self.nm.env |= {"NIGHTMILL_SERVER_TLS_CERTIFICATE": str(self.folder / "none.pem"), "NIGHTMILL_SERVER_TLS_KEY": str(self.folder / "none.key")}
        self.nm.run("daemon", "start", code=0)
        self.assertIn("none.pem", self.nm.run("daemon", "status", code=0).out)
        self.assertFalse(self.nm.status()["addresses"][0]["listening"])
