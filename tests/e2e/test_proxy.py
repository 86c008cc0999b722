"""The egress proxy with real programs against the outside of tests/fakes/outside.py: curl, git, npm, Node's fetch and Python go through it by its variables; what
must not pass does not, whatever it is called; every exchange has its row; a crash under load loses no row that was promised and opens nothing."""
import base64
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

from harness import ROOT, Case, script, wait_for
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK, plain_honest

sys.path.insert(0, str(ROOT / "tests" / "fakes"))
import outside  # noqa: E402  (beside the other fakes)

TOKEN = "value-of-the-token-5d1c"
API, GIT, PACKAGES, WWW = outside.HOSTS


class ProxyCase(Case):
    needs_sandbox = False
    settings = {}

    def setUp(self):
        super().setUp()
        self.out = outside.Outside(self.folder / "outside")
        self.addCleanup(self.out.close)
        p = self.out.ports
        allowed = [f"{host}:{p[server]}" for host in outside.HOSTS for server in ("good", "plain")] + [f"{API}:{p[bad]}" for bad in ("expired", "other", "self")]
        names = [*outside.HOSTS, "another.outside.test", "unknown.outside.test"]
        self.nm.env.update({"NIGHTMILL_EGRESS_HOSTS": ",".join(allowed), "NIGHTMILL_EGRESS_RESOLVE": ",".join(f"{n}=127.0.0.1" for n in names), "NIGHTMILL_EGRESS_UPSTREAM_CA": self.out.ca,
                            "NIGHTMILL_EGRESS_SECRETS": f"SERVICE_TOKEN={API}:{p['good']}/header+body", "SERVICE_TOKEN": TOKEN, "NIGHTMILL_TRAFFIC_KEEP": "full", **self.settings})
        self.nm.run("daemon", "start", code=0)
        self.opened()

    def opened(self, **more):
        status, self.proxy = self.nm.api("POST", "/api/v1/proxies", {"project": "shop", "secrets": True, **more})
        self.assertEqual(status, 200, self.proxy)
        self.port = int(self.proxy["url"].rsplit(":", 1)[1])
        given = dict(pair.split("=", 1) for pair in self.proxy["environment"])
        self.placeholder = given.get("SERVICE_TOKEN")
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.folder / "home"), "LANG": "C.UTF-8", **given}
        wait_for("the proxy's certificate", 20, lambda: os.path.exists(given["SSL_CERT_FILE"]))

    def do_run(self, *command, code=0, cwd=None, env=None, seconds=60):
        done = subprocess.run([str(c) for c in command], cwd=cwd or self.folder, env={**self.env, **(env or {})}, capture_output=True, timeout=seconds, stdin=subprocess.DEVNULL)
        if code is not None:
            self.assertEqual(done.returncode, code, f"{command}\n{done.stdout.decode(errors='replace')[-3000:]}\n{done.stderr.decode(errors='replace')[-3000:]}\n{self.nm.daemon_log()}")
        return done

    def curl(self, *words, code=0):
        return self.do_run("curl", "-sS", "-m", "30", *words, code=code).stdout.decode()

    def rows(self, count=None, **filters):
        """Rows, newest first, once there are so many."""
        query = urllib.parse.urlencode(filters)

        def look():
            status, answer = self.nm.api("GET", f"/api/v1/traffic?limit=1000&{query}")
            self.assertEqual(status, 200, answer)
            return answer["traffic"] if count is None or len(answer["traffic"]) >= count else None
        return wait_for(f"{count} rows {filters}", 20, look) if count else look()

    def row(self, **filters):
        return self.rows(1, **filters)[0]

    def raw(self, data, port=None, seconds=15):
        """All that comes back for these bytes."""
        with socket.create_connection(("127.0.0.1", port or self.port), seconds) as s:
            s.sendall(data)
            found = b""
            try:
                while (piece := s.recv(65536)):
                    found += piece
            except (ConnectionResetError, TimeoutError):
                pass
            return found

    def tls(self, host, name=None, port=None):
        """A connection to the host through CONNECT; name: what the TLS handshake asks for."""
        s = socket.create_connection(("127.0.0.1", self.port), 15)
        s.sendall(f"CONNECT {host}:{port or self.out.ports['good']} HTTP/1.1\r\nHost: {host}:{port or self.out.ports['good']}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            piece = s.recv(4096)
            if not piece:
                raise AssertionError(f"CONNECT was answered with {head!r}")
            head += piece
        if b" 200 " not in head.split(b"\r\n")[0]:
            s.close()
            raise AssertionError(f"CONNECT was answered with {head!r}")
        context = ssl.create_default_context(cafile=self.env["NODE_EXTRA_CA_CERTS"])
        if name and name != host:
            context.check_hostname = False
        return context.wrap_socket(s, server_hostname=name or host)


class Programs(ProxyCase):
    """Programs that know nothing of Nightmill, by its variables alone."""

    def test_curl(self):
        url = self.out.url(API, "/hello")
        self.assertEqual(self.curl(url), "hello from outside\n")
        self.assertEqual(self.curl(self.out.url(WWW, "/hello", "plain")), "hello from outside\n")
        row = self.row(host=API)
        self.assertEqual((row["verdict"], row["status"], row["method"], row["path"], row["scheme"], row["project"], row["phase"], row["bytes_down"], row["address"]),
                         ("allowed", 200, "GET", "/hello", "https", "shop", "work", 19, "127.0.0.1"))
        self.assertEqual(self.row(host=WWW)["scheme"], "http")
        # A body into which secrets would be put is read whole first, and has a limit; others have none.
        # Several requests of one connection, a body up, a large one down, one to the end of the connection, a hint before the answer, trailers.
        big = self.folder / "big"
        big.write_bytes(os.urandom(3 << 20))
        said = json.loads(self.curl("-T", big, self.out.url(WWW, "/echo")))
        self.assertEqual((said["bytes"], said["sha256"]), (3 << 20, hashlib.sha256(big.read_bytes()).hexdigest()))
        said = json.loads(self.curl("-T", big, "-H", "Transfer-Encoding: chunked", "-H", "Expect:", self.out.url(WWW, "/echo")))
        self.assertEqual(said["sha256"], hashlib.sha256(big.read_bytes()).hexdigest())
        self.assertEqual(len(self.curl(self.out.url(API, "/large"), self.out.url(API, "/large"))), 2 << 20)
        self.assertEqual(self.curl(self.out.url(API, "/until_close")), "until the end\n")
        self.assertEqual(self.curl("--http1.0", self.out.url(API, "/trailers")), "body")
        self.assertIn("at most 1 MiB", self.curl("-T", big, self.out.url(API, "/echo")))
        self.assertIn("103 ", self.curl("-i", self.out.url(API, "/interim")))
        self.assertIn("too large", self.curl("-T", big, self.out.url(WWW, "/early")))
        self.assertEqual(self.curl("-I", "--suppress-connect-headers", self.out.url(API, "/hello")).splitlines()[0], "HTTP/1.1 200 OK")
        # No redirection is followed by the proxy, and elsewhere is another matter.
        self.assertIn("302", self.curl("-o", "/dev/null", "-w", "%{http_code}", self.out.url(API, "/redirect")))

    def test_git(self):
        bare = self.repo(name="outside/git/shop.git", bare=True)
        bare.git("config", "http.receivepack", "true")
        work = self.repo({"a": "1\n"}, name="work")
        remote = self.out.url(GIT, "/git/shop.git")
        self.do_run("git", "push", "-q", remote, "main", cwd=work.path)
        self.assertEqual(bare.git("rev-parse", "main"), work.git("rev-parse", "HEAD"))
        large = {"large": base64.b64encode(os.urandom(3 << 20)).decode()}  # more than git sends with a length
        work.commit("Large", large)
        self.do_run("git", "push", "-q", remote, "main", cwd=work.path)
        self.do_run("git", "clone", "-q", remote, "copy")
        self.assertEqual((self.folder / "copy" / "large").read_text(), large["large"])
        work.commit("More", {"b": "2\n"})
        self.do_run("git", "push", "-q", remote, "main", cwd=work.path)
        self.do_run("git", "pull", "-q", cwd=self.folder / "copy")
        self.assertEqual((self.folder / "copy" / "b").read_text(), "2\n")
        self.assertTrue(any(r["path"].endswith("git-receive-pack") and r["bytes_up"] > 3 << 20 for r in self.rows(8, host=GIT)))

    def test_npm(self):
        if not shutil.which("npm"):
            self.skipTest("there is no npm here")
        project = self.folder / "npm"
        project.mkdir()
        (project / "package.json").write_text('{"name":"shop","version":"1.0.0"}', encoding="utf-8")
        self.do_run("npm", "install", "--no-audit", "--no-fund", "--registry", self.out.url(PACKAGES, "/npm/"), "small", cwd=project, seconds=120)
        self.assertEqual((project / "node_modules" / "small" / "index.js").read_text(), "module.exports = 42;\n")
        self.assertTrue(any(r["path"].endswith(".tgz") for r in self.rows(2, host=PACKAGES)))

    def test_node_fetch(self):
        """Node's own fetch looks at the variables from 22.21 and 24 on; before, a program must be told of the proxy."""
        if not shutil.which("node"):
            self.skipTest("there is no Node here")
        version = tuple(map(int, self.do_run("node", "--version").stdout.decode().strip().lstrip("v").split(".")[:2]))
        script = "fetch(process.argv[1]).then(r => r.text()).then(t => process.stdout.write(t), e => { console.error(String(e.cause || e)); process.exit(3); })"
        if version >= (24, 0) or (22, 21) <= version < (23, 0):
            self.assertEqual(self.do_run("node", "-e", script, self.out.url(API, "/hello")).stdout, b"hello from outside\n")
            return
        self.assertFalse(os.environ.get("NIGHTMILL_TEST_NODE_FETCH"), f"a Node that knows proxies was meant to be here, not {version}")
        # Without that, what it does is CONNECT by hand, as its proxy libraries do.
        by_hand = """
const http = require('http'), https = require('https'), u = new URL(process.argv[1]), p = new URL(process.env.HTTPS_PROXY);
http.request({host: p.hostname, port: p.port, method: 'CONNECT', path: u.host}).on('connect', (r, socket) => {
  https.get({host: u.hostname, path: u.pathname, socket, agent: false, servername: u.hostname, headers: {host: u.host}}, a => a.pipe(process.stdout));
}).end();"""
        self.assertEqual(self.do_run("node", "-e", by_hand, self.out.url(API, "/hello")).stdout, b"hello from outside\n")

    def test_python(self):
        script = "import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())"
        self.assertEqual(self.do_run(sys.executable, "-c", script, self.out.url(API, "/hello")).stdout, b"hello from outside\n")
        self.assertEqual(self.do_run(sys.executable, "-c", script, self.out.url(WWW, "/hello", "plain")).stdout, b"hello from outside\n")

    def test_websocket(self):
        with self.tls(API) as s:
            key = base64.b64encode(os.urandom(16)).decode()
            s.sendall(f"GET /socket HTTP/1.1\r\nHost: {API}:{self.out.ports['good']}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
            head = b""
            while b"\r\n\r\n" not in head:
                head += s.recv(4096)
            self.assertIn(b" 101 ", head.split(b"\r\n")[0])
            for number in range(3):
                frame = b"\x82\x85\0\0\0\0frame" + bytes([number])
                s.sendall(frame)
                got = b""
                while len(got) < len(frame):
                    got += s.recv(100)
                self.assertEqual(got, frame)
        self.assertEqual(self.row(host=API)["status"], 101)


class Passing(ProxyCase):
    def test_stream_without_delay(self):
        """Each event is there before the next one is let go."""
        with self.tls(API) as s:
            s.sendall(f"GET /stream HTTP/1.1\r\nHost: {API}:{self.out.ports['good']}\r\n\r\n".encode())
            seen = b""
            for number in range(3):
                self.out.gate.release()
                while b"data: %d\n\n" % number not in seen:
                    piece = s.recv(4096)
                    self.assertTrue(piece, seen)
                    seen += piece
                self.assertNotIn(b"data: %d\n\n" % (number + 1), seen)
            while not seen.endswith(b"0\r\n\r\n"):
                seen += s.recv(4096)
            # The connection is still good.
            s.sendall(f"GET /trailers HTTP/1.1\r\nHost: {API}:{self.out.ports['good']}\r\nTE: trailers\r\n\r\n".encode())
            seen = b""
            while not seen.endswith(b"\r\n0\r\nX-Sum: 42\r\n\r\n"):
                piece = s.recv(4096)
                self.assertTrue(piece, seen)
                seen += piece

    def test_wrong_certificates(self):
        for server, word in {"expired": "expired", "other": "mismatch", "self": "self-signed"}.items():
            done = self.do_run("curl", "-sS", "-m", "20", self.out.url(API, "/hello", server), code=56)
            self.assertIn(b"502", done.stderr)
            row = self.row(text=word)
            self.assertEqual((row["verdict"], row["status"], row["port"]), ("failed", 502, self.out.ports[server]))
        self.assertEqual(self.out.requests, [], "a server that cannot be believed gets no request")

    def test_broken_answers(self):
        self.curl(self.out.url(API, "/break"), code=None)
        self.assertEqual(self.row(text="middle")["verdict"], "failed")
        self.assertIn("exclude each other", self.curl(self.out.url(API, "/smuggle")))
        self.assertEqual(self.row(status=502)["verdict"], "failed")

    def test_rows_searched_shown_and_exported(self):
        self.curl("-d", "a needle in the body", "-H", "Authorization: Bearer sk-0123456789abcdef0123456789abcdef", self.out.url(API, "/echo") + "?api_key=0123456789abcdef0123")
        row = self.rows(1, text="needle")[0]
        self.assertEqual(self.rows(text="haystack"), [])
        self.assertNotIn("0123456789abcdef0123", row["path"])
        shown = self.nm.json("traffic", "show", row["number"])
        self.assertEqual(shown["request_body"], "a needle in the body")
        self.assertNotIn("sk-0123456789", json.dumps(shown))
        self.assertEqual(self.nm.run("traffic", "ls", "--host", API, code=0).out.count("\n"), 1)
        har = json.loads(self.nm.run("traffic", "export", "--har", "--texts", code=0).out)
        self.assertEqual((har["log"]["version"], har["log"]["entries"][0]["request"]["method"], har["log"]["entries"][0]["request"]["postData"]["text"]), ("1.2", "POST", "a needle in the body"))
        lines = [json.loads(line) for line in self.nm.run("traffic", "export", "--jsonl", code=0).out.splitlines()]
        self.assertEqual(lines[0]["number"], row["number"])
        self.nm.run("traffic", "export", "out.har", "--har", code=0)
        self.assertEqual(len(json.loads((self.folder / "out.har").read_text())["log"]["entries"]), 1)

    def test_bulk(self):
        """A server that is busy gets the rows later, once; what has arrived is not sent again."""
        for number in range(5):
            self.curl(self.out.url(API, f"/hello?n={number}"))
        self.rows(5)
        arrived, turns = {}, iter([429, "some", 200, 200, 200])

        class Bulk(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                lines = self.rfile.read(int(self.headers["Content-Length"])).decode().splitlines()
                names, turn = [json.loads(line)["index"]["_id"] for line in lines[::2]], next(turns)
                items = []
                for n, (name, document) in enumerate(zip(names, lines[1::2])):
                    refused = turn == "some" and n % 2
                    items.append({"index": {"_id": name, "status": 429 if refused else 201}})
                    if turn != 429 and not refused:
                        arrived.setdefault(name, []).append(json.loads(document))
                body = json.dumps({"errors": turn == "some", "items": items}).encode()
                self.send_response(429 if turn == 429 else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_words):
                pass
        server = http.server.HTTPServer(("127.0.0.1", 0), Bulk)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            ship = ("traffic", "export", "--elastic", f"http://127.0.0.1:{server.server_address[1]}", "--cursor", "cursor")
            self.assertEqual(self.nm.json(*ship)["rows"], 5)
            self.assertEqual({name: len(documents) for name, documents in arrived.items()}, {str(r["number"]): 1 for r in self.rows()})
            self.assertTrue(all("@timestamp" in d and d["host"] == API for documents in arrived.values() for d in documents))
            self.assertEqual(self.nm.json(*ship)["rows"], 0)
            self.curl(self.out.url(API, "/hello"))
            self.rows(6)
            self.assertEqual(self.nm.json(*ship)["rows"], 1)
        finally:
            server.shutdown()
            server.server_close()


class Refusing(ProxyCase):
    def assert_refused(self, answer, status=403):
        self.assertRegex(answer.split(b"\r\n")[0].decode(), rf"^HTTP/1\.1 {status} ")

    def test_hosts_that_nobody_allowed(self):
        port = self.out.ports["good"]
        self.assert_refused(self.raw(f"CONNECT unknown.outside.test:{port} HTTP/1.1\r\nHost: unknown.outside.test:{port}\r\n\r\n".encode()))
        row = self.row(host="unknown.outside.test")
        self.assertEqual((row["verdict"], row["status"]), ("denied", 403))
        self.assertIn("no rule allows", row["reason"])
        # Somebody allows it: at once, for who is there too. Somebody refuses it again.
        self.nm.run("traffic", "allow", f"unknown.outside.test:{port}", "--project", "shop", code=0)
        wait_for("the host to be allowed", 10, lambda: b" 403 " not in self.raw(f"CONNECT unknown.outside.test:{port} HTTP/1.1\r\nHost: unknown.outside.test:{port}\r\n\r\n".encode(), seconds=1).split(b"\r\n")[0])
        self.nm.run("traffic", "deny", f"unknown.outside.test:{port}", "--project", "shop", code=0)
        wait_for("the host to be refused", 10, lambda: b" 403 " in self.raw(f"CONNECT unknown.outside.test:{port} HTTP/1.1\r\nHost: unknown.outside.test:{port}\r\n\r\n".encode(), seconds=1).split(b"\r\n")[0])
        self.assertEqual(self.nm.json("traffic", "hosts")["hosts"][0]["verdict"], "deny")

    def test_names_that_differ(self):
        """CONNECT to one name with the TLS name of another, Host of a third: nothing gets through by another name than the one that was judged."""
        port = self.out.ports["good"]
        with self.assertRaises((ssl.SSLError, OSError)):
            self.tls(API, name=WWW).close()
        self.assertEqual(self.row(text="server name")["verdict"], "denied")
        for host in (f"{WWW}:{port}", "unknown.outside.test", f"{API}", f"{API}:{port + 1}", "", f"{API}:{port}, {WWW}", f"user@{API}:{port}"):
            with self.tls(API) as s:
                s.sendall(f"GET /hello HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                self.assert_refused(s.recv(4096), 400)
        with self.tls(API) as s:
            s.sendall(f"GET https://{WWW}/hello HTTP/1.1\r\nHost: {API}:{port}\r\n\r\n".encode())
            self.assert_refused(s.recv(4096), 400)
        plain = self.out.ports["plain"]
        self.assert_refused(self.raw(f"GET http://{WWW}:{plain}/hello HTTP/1.1\r\nHost: {API}:{plain}\r\n\r\n".encode()), 400)
        self.assert_refused(self.raw(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"), 400)
        self.assertEqual(self.out.requests, [])

    def test_spellings(self):
        """What no name is, is no way around the rules; what is the name, is the name."""
        port = self.out.ports["good"]
        for spelling in (f"{API}.", API.upper()):
            answer = self.raw(f"CONNECT {spelling}:{port} HTTP/1.1\r\nHost: {spelling}:{port}\r\n\r\n".encode(), seconds=2)
            self.assertIn(b" 200 ", answer.split(b"\r\n")[0])
        for spelling in ("127.0.0.1", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", f"{API}%00.evil.test", f"user@{API}", f"{API}@evil.test",
                         f"{API}\0", f"{API}..", f"evil.{API}", f"{API}.evil.test", "xn--pi-fka.outside.test", f"{API}#", f"{API}/"):
            answer = self.raw(f"CONNECT {spelling}:{port} HTTP/1.1\r\nHost: {spelling}:{port}\r\n\r\n".encode(), seconds=2)
            self.assertRegex(answer.split(b"\r\n")[0], rb" 40[03] ", spelling)
        self.assertEqual(self.out.requests, [])

    def test_private_addresses(self):
        """A name that somebody allowed but that leads inside is not dialled."""
        port = self.out.ports["plain"]
        self.nm.run("traffic", "allow", f"localhost:{port}", code=0)
        answer = wait_for("the rule", 10, lambda: (a := self.raw(f"GET http://localhost:{port}/hello HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n".encode())) and b"no rule" not in a and a)
        self.assert_refused(answer)
        self.assertIn(b"loopback", answer)
        self.assertEqual(self.out.requests, [])

    def test_what_cannot_be_read(self):
        """A tunnel is passed by rule alone, and said to be one; what is no TLS is not passed as TLS."""
        port = self.out.ports["good"]
        with socket.create_connection(("127.0.0.1", self.port), 10) as s:
            s.sendall(f"CONNECT {API}:{port} HTTP/1.1\r\nHost: {API}:{port}\r\n\r\n".encode())
            self.assertIn(b" 200 ", s.recv(4096))
            s.sendall(b"SSH-2.0-none\r\n")
            self.assertEqual(s.recv(4096)[:5] in (b"", b"HTTP/", b"\x15\x03\x01\x00\x02", b"\x15\x03\x03\x00\x02"), True)
        self.assertEqual(self.row(text="TLS failed")["verdict"], "failed")
        # A client that trusts another authority alone (pinned) fails, and its row says why.
        self.do_run("curl", "-sS", "-m", "20", "--cacert", self.out.ca, self.out.url(API, "/hello"), code=60)
        self.assertEqual(self.rows(2, text="TLS failed")[0]["verdict"], "failed")


class Tunnels(ProxyCase):
    @property
    def settings(self):
        return {"NIGHTMILL_EGRESS_TUNNEL": f"{WWW}:{self.out.ports['good']}"}

    def test_tunnel(self):
        answer = self.curl("--cacert", self.out.ca, self.out.url(WWW, "/hello"))
        self.assertEqual(answer, "hello from outside\n")
        row = self.row(host=WWW)
        self.assertEqual((row["verdict"], row["scheme"], row["path"]), ("tunnelled", "tcp", ""))
        self.assertGreater(row["bytes_down"], 500)


class Secrets(ProxyCase):
    def test_placeholder(self):
        """The value is put in for its host, in headers and bodies, and nowhere else."""
        place = self.placeholder
        self.curl("-H", f"Authorization: Bearer {place}", self.out.url(API, "/echo"))
        self.curl("-u", f"me:{place}", self.out.url(API, "/echo"))
        self.curl("-d", json.dumps({"token": place}), self.out.url(API, "/echo"))
        fields = [r[2].get("Authorization") for r in self.out.requests]
        self.assertEqual(fields[0], f"Bearer {TOKEN}")
        self.assertEqual(base64.b64decode(fields[1].split()[1]).decode(), f"me:{TOKEN}")
        self.assertEqual(json.loads(self.out.requests[2][3]), {"token": TOKEN})
        before = len(self.out.requests)
        encoded = base64.b64encode(f"xx{place}".encode()).decode()
        for words in (("-H", f"Authorization: Bearer {place}", self.out.url(WWW, "/echo")), ("-H", f"X-Key: {place}", self.out.url(API, "/echo", "plain")),
                      ("-d", place, self.out.url(WWW, "/echo")), ("-d", encoded, self.out.url(WWW, "/echo")), (self.out.url(API, f"/echo?key={place}"),),
                      ("-d", place.encode().hex(), self.out.url(WWW, "/echo")), ("-H", "Transfer-Encoding: chunked", "-d", place, self.out.url(WWW, "/echo"))):
            self.assertIn("placeholder of SERVICE_TOKEN", self.curl(*words))
        # A head may be on its way when a body raises the alarm; of the body nothing arrives.
        self.assertFalse(any(place in json.dumps(r[2]) + r[1] or r[3] for r in self.out.requests[before:]), self.out.requests[before:])
        self.assertEqual(len(self.rows(7, verdict="alarm")), 7)
        # The value is in no byte of the record.
        for kept in (self.nm.data / "nightmill.db", self.nm.data / "nightmill.db-wal"):
            if kept.exists():
                self.assertNotIn(TOKEN.encode(), kept.read_bytes())

    def test_a_listener_without_secrets_lends_none(self):
        self.opened(secrets=False)
        self.assertIsNone(self.placeholder)


class Asking(ProxyCase):
    """A host that nobody spoke of yet: the request waits for a person, a bounded time."""
    needs_sandbox = True
    settings = {"NIGHTMILL_EGRESS_UNKNOWN": "ask", "NIGHTMILL_EGRESS_ASK_WAIT": "20s"}

    def test_questions(self):
        self.model(script(plain_honest()))
        _, task = self.do(self.repo(PLAIN), PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        self.opened(task=task["id"])
        url = f"http://unknown.outside.test:{self.out.ports['plain']}/hello"

        def ask():
            waiting = subprocess.Popen(["curl", "-sS", "-m", "40", url], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
            approval = wait_for("the question", 15, lambda: (a := self.nm.api("GET", "/api/v1/approvals")[1]["approvals"]) and a[0])
            self.assertEqual((approval["gate"], approval["task"], approval["subject"]), ("egress", task["id"], f"GET unknown.outside.test:{self.out.ports['plain']}"))
            return waiting, approval["id"]
        waiting, approval = ask()
        self.nm.run("deny", approval, "not this one", code=0)
        self.assertIn(b"not this one", waiting.communicate(timeout=30)[0])
        self.assertEqual(self.row(host="unknown.outside.test")["verdict"], "denied")
        # Refused for as long as this listener is open; a new one asks again.
        self.opened(task=task["id"])
        waiting, approval = ask()
        self.nm.run("approve", approval, code=0)
        self.assertEqual(waiting.communicate(timeout=30)[0], b"hello from outside\n")
        self.assertEqual(self.curl(url), "hello from outside\n")
        self.assertEqual([h["said_by"] for h in self.nm.json("traffic", "hosts")["hosts"]], ["approval"])
        self.assertEqual([e["data"]["gate"] for e in self.nm.events(task["id"], "gate.waiting")], ["egress", "egress"])


class Crash(ProxyCase):
    def test_proxy_under_load(self):
        """Killed again and again under load: listeners stay, rows of what the server acknowledged stay, nothing leaves unseen."""
        stop, good = threading.Event(), []

        def load():
            while not stop.is_set():
                done = subprocess.run(["curl", "-s", "-m", "5", self.out.url(API, "/hello")], env=self.env, capture_output=True, stdin=subprocess.DEVNULL)
                if done.returncode == 0:
                    good.append(done.stdout)
        threads = [threading.Thread(target=load) for _ in range(3)]
        for t in threads:
            t.start()
        try:
            for _ in range(3):
                had = len(good)
                wait_for("requests to get through", 30, lambda: len(good) > had + 5)
                pid = wait_for("the proxy", 20, lambda: self.nm.api("GET", "/api/v1/proxies")[1]["pid"])
                os.kill(pid, signal.SIGKILL)
                wait_for("another proxy", 20, lambda: self.nm.api("GET", "/api/v1/proxies")[1]["pid"] not in (None, pid))
            had = len(good)
            wait_for("requests to get through", 30, lambda: len(good) > had + 5)
        finally:
            stop.set()
            for t in threads:
                t.join(20)
        self.assertEqual(set(good), {b"hello from outside\n"})
        arrived = len(self.out.requests)
        rows = wait_for("the rows", 10, lambda: (r := self.rows(verdict="allowed")) and r)
        self.assertLessEqual(len(rows), arrived)
        self.assertGreater(len(rows), 10)

    def test_server(self):
        """The server ends and comes again: the proxy goes on meanwhile, and its rows arrive afterwards, once."""
        self.curl(self.out.url(API, "/hello?n=before"))
        self.rows(1)
        self.nm.kill9("server")
        for number in range(5):
            self.assertEqual(self.curl(self.out.url(API, f"/hello?n={number}")), "hello from outside\n")
        self.nm.wait_status()
        paths = sorted(r["path"] for r in self.rows(6))
        self.assertEqual(paths, sorted(["/hello?n=before", *(f"/hello?n={n}" for n in range(5))]))


if __name__ == "__main__":
    import unittest
    unittest.main()
