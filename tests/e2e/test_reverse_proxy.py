"""Behind a real nginx with the configuration of docs/accounts.md: whose address it is, cookies of https, WebSockets; and nobody else is believed."""
import http.client
import json
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import unittest

from harness import ROOT, wait_for
from test_accounts import LINK, PASSWORD, AccountsCase

NAME = "mill.example.org"
OWNER, THIEF, GUEST = "127.0.0.3", "127.0.0.66", "127.0.0.9"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@unittest.skipUnless(shutil.which("nginx") or pathlib.Path("/usr/sbin/nginx").exists(), "no nginx here")
class Nginx(AccountsCase):
    def setUp(self):
        super().setUp()
        self.nm.stop_daemon()
        self.outside, inside = free_port(), free_port()
        self.nm.env |= {"NIGHTMILL_SERVER_ADDRESS": f"127.0.0.1:{inside}", "NIGHTMILL_SERVER_HOSTS": f"{NAME}:{self.outside}", "NIGHTMILL_SERVER_PROXIES": "127.0.0.1"}
        self.nm.run("daemon", "start", code=0)
        self.nm.wait_status()
        self.inside = inside
        self.pem, key = self.folder / "mill.pem", self.folder / "mill.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={NAME}",
                        "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", str(key), "-out", str(self.pem)], check=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        page = (ROOT / "docs" / "accounts.md").read_text(encoding="utf-8")
        server = re.search(r"```nginx\n(.*?)```", page, re.S)[1]
        for told, here in (("listen 443 ssl", f"listen 127.0.0.1:{self.outside} ssl"), ("http://127.0.0.1:8098", f"http://127.0.0.1:{inside}"),
                           (f"/etc/ssl/{NAME}.pem", str(self.pem)), (f"/etc/ssl/{NAME}.key", str(key))):
            self.assertIn(told, server)
            server = server.replace(told, here)
        place = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        paths = "\n".join(f"{what}_temp_path {place}/{what};" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (place / "nginx.conf").write_text(f"daemon off; master_process off; pid {place}/pid; error_log {place}/error; events {{}}\nhttp {{ access_log off; {paths}\n{server}}}\n")
        nginx = subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(place / "nginx.conf"), "-e", str(place / "error")], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(nginx.wait, 20)
        self.addCleanup(nginx.terminate)
        wait_for("nginx", 20, self.is_there)

    def is_there(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.outside)) == 0

    def secure(self, client):
        raw = socket.create_connection(("127.0.0.1", self.outside), 20, source_address=(client, 0))
        return ssl.create_default_context(cafile=str(self.pem)).wrap_socket(raw, server_hostname=NAME)

    def ask(self, client, method, path, body=None, cookie=None, **headers):
        """As a browser at the address `client`, by the proxy: (status, headers, document)."""
        connection = http.client.HTTPConnection(NAME, self.outside, timeout=20)
        connection.sock = self.secure(client)
        place = f"{NAME}:{self.outside}"
        head = {"Host": place, "Origin": f"https://{place}", "Content-Type": "application/json", **({"Cookie": cookie} if cookie else {}), **headers}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), head)
            answer = connection.getresponse()
            raw = answer.read()
            return answer.status, answer.headers, json.loads(raw) if raw else None
        finally:
            connection.close()

    def straight(self, client, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.inside, timeout=20, source_address=(client, 0))
        try:
            connection.request("POST", "/api/v1/session", json.dumps({"name": "ada", "password": "wrong horse battery"}), {"Content-Type": "application/json", **headers})
            return connection.getresponse().status
        finally:
            connection.close()

    def addresses(self, n):
        return [r["address"] for r in self.nm.json("audit", "ls", "--outcome", "denied", "--limit", str(n))["entries"]]

    def test_each_client_has_its_own_address(self):
        token = LINK.search(self.nm.run("setup-link", code=0).out)[2]
        status, headers, _ = self.ask(OWNER, "POST", "/api/v1/setup", {"token": token, "name": "ada", "password": PASSWORD})
        self.assertEqual(status, 201)
        line = headers["Set-Cookie"]
        self.assertRegex(line, rf"^__Host-nightmill_{self.outside}=nms_\w+; .*; Secure$")
        cookie = line.split(";")[0]
        self.assertEqual(self.ask(OWNER, "GET", "/api/v1/status", cookie=cookie)[0], 200)
        # A thief at another address locks out nobody but himself, whatever he says of himself.
        wrong = {"name": "ada", "password": "wrong horse battery"}
        seen = [self.ask(THIEF, "POST", "/api/v1/session", wrong, **{"X-Forwarded-For": "nobody" if n % 2 else OWNER, "Forwarded": f"for={OWNER}"})[0] for n in range(8)]
        self.assertEqual((seen[:5], seen[-1]), ([401] * 5, 429))
        self.assertEqual(self.ask(THIEF, "POST", "/api/v1/session", {"name": "ada", "password": PASSWORD})[0], 429)
        status, _, session = self.ask(OWNER, "POST", "/api/v1/session", {"name": "ada", "password": PASSWORD})
        self.assertEqual((status, session["user"]["name"]), (200, "ada"))
        self.assertEqual(set(self.addresses(5)), {THIEF})
        self.assertEqual({s["address"] for s in self.ask(OWNER, "GET", "/api/v1/sessions", cookie=cookie)[2]["sessions"]}, {OWNER})
        self.assertIn(OWNER, self.nm.run("user", "sessions", "ada", code=0).out)
        # Who is no named proxy is not believed; a named one is.
        self.assertEqual(self.straight(GUEST, **{"X-Forwarded-For": OWNER}), 401)
        self.assertEqual(self.addresses(1), [GUEST])
        self.assertEqual(self.straight("127.0.0.1", **{"X-Forwarded-For": "203.0.113.7, 203.0.113.8"}), 401)
        self.assertEqual(self.addresses(1), ["203.0.113.8"])
        # Other pages, and the stream as a WebSocket.
        self.assertEqual(self.ask(OWNER, "POST", "/api/v1/daemon/stop", {}, cookie=cookie, Origin=f"http://{NAME}:{self.outside}")[0], 403)
        self.assertEqual(self.upgrade(cookie, f"https://{NAME}:{self.outside}")[:13], b"HTTP/1.1 101 ")
        self.assertEqual(self.upgrade(cookie, "https://evil.example")[:13], b"HTTP/1.1 403 ")

    def upgrade(self, cookie, origin):
        lines = {"Host": f"{NAME}:{self.outside}", "Origin": origin, "Cookie": cookie, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                 "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "nightmill.stream.v1"}
        with self.secure(OWNER) as s:
            s.sendall(("GET /api/v1/stream HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n").encode())
            got = b""
            while b"\r\n\r\n" not in got or (got.startswith(b"HTTP/1.1 101") and b"hello" not in got):
                got += s.recv(1 << 16)
            return got
