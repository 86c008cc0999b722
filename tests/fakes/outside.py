"""The outside as the egress proxy meets it: web servers over TLS with right and wrong certificates, a git server, a registry of packages, streams, WebSocket.

Everything listens on 127.0.0.1; hosts get there by the setting egress.resolve. Each request that arrives is kept in `requests`: (method, path, fields, body).
"""
import base64
import hashlib
import http.server
import io
import json
import os
import socket
import ssl
import subprocess
import tarfile
import threading

HOSTS = ("api.outside.test", "git.outside.test", "packages.outside.test", "www.outside.test")
WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


def openssl(folder, *words):
    subprocess.run(["openssl", *map(str, words)], cwd=folder, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)


def certificates(folder):
    """ca.pem, and by name a pair of files: good, expired, other (another name), self (signed by itself)."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=The outside's authority")
    names = {"good": HOSTS, "expired": HOSTS, "other": ("another.outside.test",)}
    for name, hosts in names.items():
        openssl(folder, "req", "-new", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={hosts[0]}")
        (folder / f"{name}.ext").write_text("subjectAltName=" + ",".join(f"DNS:{h}" for h in hosts) + ",IP:127.0.0.1\n" if name != "other" else f"subjectAltName=DNS:{hosts[0]}\n", encoding="ascii")
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.pem",
                "-days", "-1" if name == "expired" else "30", "-extfile", f"{name}.ext")
    openssl(folder, "req", "-x509", *key, "-keyout", "self.key", "-out", "self.pem", "-days", "30", "-subj", f"/CN={HOSTS[0]}", "-addext", f"subjectAltName=DNS:{HOSTS[0]}")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def setup(self):
        self.request.settimeout(30)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.server.tls:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self):
        try:
            super().finish()
            if self.server.tls:
                self.request.unwrap()  # closes in order, as servers should
        except (OSError, ValueError):
            pass

    def log_message(self, *_words):
        pass

    def body(self):
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        found = b""
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            if not size:
                break
            found += self.rfile.read(size)
            self.rfile.readline()
        self.trailers = []
        while (line := self.rfile.readline().strip()):
            self.trailers.append(line.decode())
        return found

    def answer(self, status, body=b"", kind="text/plain", **fields):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def serve(self):
        path = self.path.split("?")[0]
        outside = self.server.outside
        self.trailers = []
        if path == "/early":  # answers before the body is read, and then lets it come for a while, as servers do, so that the answer is not reset
            self.answer(413, b"too large\n", Connection="close")
            try:
                self.request.settimeout(2)
                while self.rfile.read1(65536):
                    pass
            except OSError:
                pass
            self.close_connection = True
            return None
        if self.headers.get("expect") == "100-continue":
            pass  # the library has answered already
        body = self.body()
        outside.requests.append((self.command, self.path, dict(self.headers.items()), body))
        if path.startswith("/git/"):
            return self.git(path, body)
        if path.startswith("/npm/"):
            return self.npm(path)
        page = getattr(self, "page_" + path.strip("/").split("/")[0], None)
        return page(body) if page else self.answer(404, b"nothing here\n")

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = serve

    def page_hello(self, _body):
        self.answer(200, b"" if self.command == "HEAD" else b"hello from outside\n")

    def page_echo(self, body):
        said = {"method": self.command, "path": self.path, "fields": dict(self.headers.items()), "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest(), "trailers": self.trailers}
        self.answer(200, json.dumps(said).encode(), "application/json")

    def page_large(self, _body):
        self.answer(200, b"0123456789abcdef" * (1 << 16))  # 1 MiB

    def page_until_close(self, _body):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nuntil the end\n")
        self.close_connection = True

    def page_redirect(self, _body):
        self.answer(302, b"", Location="https://elsewhere.test/")

    def page_interim(self, _body):
        self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
        self.answer(200, b"after the hint\n")

    def page_trailers(self, _body):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 42\r\n\r\n")

    def page_stream(self, _body):
        """Events, one for each time that the test lets one go."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(3):
            if not self.server.outside.gate.acquire(timeout=20):
                return
            self.chunk(b"data: %d\n\n" % number)
        self.wfile.write(b"0\r\n\r\n")

    def page_break(self, _body):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        self.close_connection = True

    def page_smuggle(self, _body):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        self.close_connection = True

    def page_socket(self, _body):
        accept = base64.b64encode(hashlib.sha1((self.headers["Sec-WebSocket-Key"] + WEBSOCKET).encode()).digest()).decode()
        self.wfile.write(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        while True:  # echoes bytes: frames are the client's business
            data = self.request.recv(4096)
            if not data:
                break
            self.request.sendall(data)
        self.close_connection = True

    def git(self, path, body):
        """git's own server program by CGI (git-http-backend(1))."""
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.server.outside.folder / "git"), "GIT_HTTP_EXPORT_ALL": "1", "REMOTE_USER": "ada", "REQUEST_METHOD": self.command,
               "PATH_INFO": path[4:], "QUERY_STRING": self.path.partition("?")[2], "CONTENT_TYPE": self.headers.get("content-type", ""), "CONTENT_LENGTH": str(len(body)),
               "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""), "GIT_PROTOCOL": self.headers.get("git-protocol", ""), "HOME": str(self.server.outside.folder)}
        done = subprocess.run(["git", "-c", "safe.directory=*", "http-backend"], input=body, env=env, capture_output=True, timeout=60)
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(fields.pop("Status", "200 OK").split()[0])
        self.answer(status, rest, fields.pop("Content-Type", "text/plain"))

    def npm(self, path):
        outside = self.server.outside
        if path.endswith(".tgz"):
            return self.answer(200, outside.package, "application/octet-stream")
        dist = {"tarball": f"https://packages.outside.test:{outside.ports['good']}/npm/small/-/small-1.0.0.tgz", "shasum": hashlib.sha1(outside.package).hexdigest(),
                "integrity": "sha512-" + base64.b64encode(hashlib.sha512(outside.package).digest()).decode()}
        version = {"name": "small", "version": "1.0.0", "dist": dist}
        return self.answer(200, json.dumps({"name": "small", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}).encode(), "application/json")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_words):
        pass  # clients leave: that is what the tests are about


def package():
    """A package as npm's tarballs are."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in {"package/package.json": json.dumps({"name": "small", "version": "1.0.0", "main": "index.js"}), "package/index.js": "module.exports = 42;\n"}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


class Outside:
    def __init__(self, folder):
        self.folder, self.requests, self.gate, self.package = folder, [], threading.Semaphore(0), package()
        self.folder.mkdir(parents=True, exist_ok=True)
        certificates(self.folder)
        (self.folder / "git").mkdir()
        self.servers, self.ports = [], {}
        for name in ("good", "expired", "other", "self", "plain"):
            server = Server(("127.0.0.1", 0), Handler)
            server.outside, server.tls = self, None
            if name != "plain":
                server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                server.tls.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            self.servers.append(server)
            self.ports[name] = server.server_address[1]
        self.ca = str(self.folder / "ca.pem")

    def url(self, host, path, server="good"):
        return f"{'http' if server == 'plain' else 'https'}://{host}:{self.ports[server]}{path}"

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
