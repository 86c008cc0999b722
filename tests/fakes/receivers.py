"""Where notifications arrive: a receiver of webhooks that is also a push service, and a mail server with STARTTLS and AUTH.

Both follow a script: what each next request or mail is answered with. Everything that came is kept. Only 127.0.0.1.
"""
import base64
import http.server
import socketserver
import ssl
import subprocess
import threading


class Receiver:
    """HTTP server: `answers` are statuses, or (status, fields), for the next requests; then `status`."""

    def __init__(self, status=204):
        self.requests, self.answers, self.status = [], [], status  # requests: (path, fields, body)
        self.paths = {}  # status by path, which goes before the others
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                answer = receiver.paths.get(self.path) or (receiver.answers.pop(0) if receiver.answers else receiver.status)
                status, fields = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(status)
                for name, value in fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Mail:
    """SMTP server: `mails` are (from, to, data, user, encrypted); `replies` are what the next DATA are answered with."""

    def __init__(self, folder=None, user=None, password=None):
        self.mails, self.replies, self.lines = [], [], []
        self.login = f"\0{user}\0{password}" if user else None
        self.tls = None
        if folder:
            self.authority = folder / "mail.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=mail", "-addext",
                            "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "mail.key"), "-out", str(self.authority)],
                           check=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(self.authority, folder / "mail.key")
        mail = self

        class Handler(socketserver.StreamRequestHandler):
            timeout = 30

            def say(self, line):
                self.wfile.write(line.encode() + b"\r\n")

            def line(self):
                text = self.rfile.readline().decode("utf-8", "replace").rstrip("\r\n")
                mail.lines.append(text.split(" ")[0] if text.upper().startswith("AUTH") else text)
                return text

            def hello(self):
                more = ([] if self.encrypted or not mail.tls else ["STARTTLS"]) + (["AUTH PLAIN"] if mail.login and (self.encrypted or not mail.tls) else [])
                words = ["fake"] + more
                for i, word in enumerate(words):
                    self.say(f"250{'-' if i + 1 < len(words) else ' '}{word}")

            def data(self, sender, to):
                self.say("354 go on")
                lines = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(line)
                reply = mail.replies.pop(0) if mail.replies else "250 taken"
                if reply.startswith("2"):
                    mail.mails.append((sender, to, b"".join(lines), self.user, self.encrypted))
                self.say(reply)

            def handle(self):
                self.encrypted, self.user, sender, to = False, None, None, []
                self.say("220 fake")
                while line := self.line():
                    word = line.upper()
                    if word.startswith(("EHLO", "HELO")):
                        self.hello()
                    elif word == "STARTTLS" and mail.tls:
                        self.say("220 begin")
                        try:
                            self.connection = mail.tls.wrap_socket(self.connection, server_side=True)
                        except (ssl.SSLError, OSError):
                            return
                        self.rfile, self.wfile, self.encrypted = self.connection.makefile("rb"), self.connection.makefile("wb", 0), True
                    elif word.startswith("AUTH PLAIN"):
                        given = base64.b64decode(line.split()[2] if len(line.split()) > 2 else self.challenge()).decode()
                        ok = given == mail.login
                        self.user = given.split("\0")[1] if ok else None
                        self.say("235 fine" if ok else "535 5.7.8 wrong user or password")
                    elif word.startswith("MAIL FROM:") and mail.login and not self.user:
                        self.say("530 who are you")
                    elif word.startswith("MAIL FROM:"):
                        sender = line[10:].strip()
                        self.say("250 fine")
                    elif word.startswith("RCPT TO:"):
                        to.append(line[8:].strip())
                        self.say("250 fine")
                    elif word == "DATA":
                        self.data(sender, to)
                        to = []
                    elif word == "QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("502 what")

            def finish(self):
                try:
                    super().finish()
                finally:
                    self.connection.close()

            def challenge(self):
                self.say("334 ")
                return self.line()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads = True, True

            def handle_error(self, *_words):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
