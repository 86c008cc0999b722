"""The gateway through the real program: who may ask, translation between wires, what happens when a provider misbehaves."""
from gateway import Asking, GatewayCase


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
