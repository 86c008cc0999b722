"""Two people at the same thing: nobody's change is lost; and what a page may show is what the server would allow."""
from test_accounts import PASSWORD, AccountsCase


class Edits(AccountsCase):
    def setUp(self):
        super().setUp()
        self.ada, self.bert = self.owner(), self.person("bert", "admin")

    def put(self, cookie, method, path, body, version, status):
        got = self.call(method, path, body, cookie=cookie, If_Match=f'"{version}"', Content_Type="application/json")
        self.assertEqual(got.status, status, f"{method} {path} {body}: {got}")
        return got

    def both(self, path, read, changes, method, kept):
        """Both have read it; the first changes it, the second is told and has changed nothing, looks again and changes it."""
        version = read()["version"]
        first, second = changes
        self.put(self.ada, method, path, first, version, 200)
        refused = self.put(self.bert, method, path, second, version, 412)
        self.assertEqual((refused.json()["code"], refused.headers["etag"].strip('"')), ("conflict", read()["version"]))
        self.assertIn("somebody else", refused.json()["title"])
        self.assertEqual(kept(read()), first)
        self.put(self.bert, method, path, second, read()["version"], 200)
        self.assertEqual(kept(read()), second)
        self.put(self.bert, method, path, second, "0" * 16, 412)

    def one(self, path, name, key, value):
        return next(x for x in self.call("GET", path, cookie=self.ada).json()[name] if x[key] == value)

    def test_two_people_do_not_overwrite_each_other(self):
        made = self.call("POST", "/api/v1/users", {"name": "gus", "role": "viewer"}, cookie=self.ada).json()
        path = f"/api/v1/users/{made['id']}"
        self.both(path, lambda: self.call("GET", path, cookie=self.ada).json(), ({"role": "member"}, {"role": "admin"}), "PATCH", lambda u: {"role": u["role"]})
        before = self.one("/api/v1/users", "users", "name", "gus")["version"]
        self.put(self.ada, "PUT", path + "/roles", {"project": "/x", "role": "viewer"}, before, 200)
        self.put(self.bert, "DELETE", path, None, before, 412)
        hook = self.call("POST", "/api/v1/notifications/channels", {"kind": "webhook", "target": "https://example.org/h"}, cookie=self.ada).json()
        self.both(f"/api/v1/notifications/channels/{hook['id']}", lambda: self.one("/api/v1/notifications/channels", "channels", "id", hook["id"]),
                  ({"name": "one", "enabled": False}, {"name": "two", "enabled": True}), "PUT", lambda h: {"name": h["name"], "enabled": h["enabled"]})
        self.put(self.ada, "PUT", "/api/v1/providers/box", {"kind": "vllm", "url": "http://127.0.0.1:1"}, "new", 201)
        self.put(self.bert, "PUT", "/api/v1/providers/box", {"kind": "vllm", "url": "http://127.0.0.1:2"}, "new", 412)
        self.both("/api/v1/providers/box", lambda: self.one("/api/v1/providers", "providers", "id", "box"), ({"weight": 7}, {"weight": 9}), "PUT", lambda p: {"weight": p["weight"]})
        wanted = {"scope": "project", "scope_id": "/x", "window": "day"}
        self.put(self.ada, "POST", "/api/v1/budgets", {**wanted, "money": "5.00"}, "new", 201)
        version = self.one("/api/v1/budgets", "budgets", "scope_id", "/x")["version"]
        self.put(self.ada, "POST", "/api/v1/budgets", {**wanted, "money": "6.00"}, version, 201)
        self.put(self.bert, "POST", "/api/v1/budgets", {**wanted, "money": "7.00"}, version, 412)
        budget = self.one("/api/v1/budgets", "budgets", "scope_id", "/x")
        self.assertEqual(budget["money"], "6.00")
        self.put(self.bert, "POST", f"/api/v1/budgets/{budget['id']}/raise", {"money": "1.00"}, version, 412)
        self.put(self.bert, "POST", f"/api/v1/budgets/{budget['id']}/raise", {"money": "1.00"}, budget["version"], 200)
        self.put(self.bert, "DELETE", f"/api/v1/budgets/{budget['id']}", None, budget["version"], 412)

    def test_a_secret_is_not_given_twice(self):
        for path, body in (("/api/v1/keys", {"name": "ci"}), ("/api/v1/notifications/channels", {"kind": "webhook", "target": "https://example.org/h"})):
            first = self.call("POST", path, body, cookie=self.ada, Idempotency_Key=f"once-{len(path)}")
            self.assertEqual(first.status, 201, first)
            again = self.call("POST", path, body, cookie=self.ada, Idempotency_Key=f"once-{len(path)}")
            self.assertEqual((again.status, again.json()["code"]), (409, "conflict"))
            self.assertNotIn((first.json().get("key") or first.json()["secret"]).encode(), again.body)
            self.assertEqual(self.call("POST", path, {**body, "name": "other"}, cookie=self.ada, Idempotency_Key=f"once-{len(path)}").status, 422)
        self.assertEqual([k["name"] for k in self.call("GET", "/api/v1/keys", cookie=self.ada).json()["keys"]], ["ci"])
        secret = first.json()["secret"]
        self.nm.stop_daemon()
        self.assertNotIn(secret.encode(), b"".join(f.read_bytes() for f in self.nm.data.glob("nightmill.db*")))

    def test_what_a_session_may_is_what_is_answered(self):
        """Each route that only reads and names no thing: allowed by the session's list exactly when it is not refused."""
        guest = self.person("gus", ("/x", "viewer"))
        operations = self.call("GET", "/api/openapi.json", cookie=self.ada).json()["paths"]
        for name, cookie in (("bert", self.bert), ("vera", self.person("vera", "viewer")), ("gus", guest)):
            may = self.call("GET", "/api/v1/session", cookie=cookie).json()["may"]
            self.assertNotIn("daemon_stop", may)
            for path, item in operations.items():
                operation = item.get("get", {}).get("operationId")
                if not path.startswith("/api/v1/") or "{" in path or operation in (None, "stream"):
                    continue
                status = self.call("GET", path, cookie=cookie).status
                self.assertEqual(status == 403, operation not in may, f"{name} {operation}: {status}")
        self.assertEqual(self.call("GET", "/api/v1/session").json()["may"].count("task_create"), 0)
