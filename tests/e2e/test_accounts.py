"""Users and logins through the real program: the setup link, sessions, roles, requests of other pages, lock-out, tokens, the audit log."""
import concurrent.futures
import http.client
import json
import re
import sqlite3
import ssl
import subprocess
import time

from gateway import Asking
from harness import Case, alive, script, wait_for
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK, plain_honest

PASSWORD = "correct horse battery"
OTHER = "another horse battery"
LINK = re.compile(r"http://127\.0\.0\.1:(\d+)/setup#(nmt_[0-9a-z]{52})")


class AccountsCase(Case):
    needs_sandbox = False
    seconds = 120

    def setUp(self):
        super().setUp()
        self.nm.run("daemon", "start", code=0)
        url = next(a["url"] for a in self.nm.wait_status()["addresses"] if a["listening"])
        self.port = int(url.rsplit(":", 1)[1])
        self.own = f"http://127.0.0.1:{self.port}"

    def call(self, method, path, body=None, cookie=None, bearer=None, page=True, **headers):
        """Over TCP, as the page of the daemon (its Origin) or as a program: what came."""
        head = {"Origin": self.own, "Sec-Fetch-Site": "same-origin"} if page else {}
        head |= {"Cookie": cookie} if cookie else {}
        head |= {"Authorization": f"Bearer {bearer}"} if bearer else {}
        head |= {k.replace("_", "-"): v for k, v in headers.items()}
        return Asking(self.port, method, path, json.dumps(body).encode() if body is not None else b"", head).end()

    def cookie(self, got):
        return got.headers["set-cookie"].split(";")[0]

    def owner(self, name="ada"):
        """Makes the owner by the link; the cookie."""
        token = LINK.search(self.nm.run("setup-link", code=0).out)[2]
        got = self.call("POST", "/api/v1/setup", {"token": token, "name": name, "password": PASSWORD})
        self.assertEqual(got.status, 201, got)
        return self.cookie(got)

    def person(self, name, *roles):
        """A user who has set a password by the link: the cookie. roles: everywhere, or (project, role)."""
        flags = [f for r in roles if isinstance(r, str) for f in ("--role", r)]
        token = LINK.search(self.nm.run("user", "add", name, *flags, code=0).out)[2]
        for project, role in (r for r in roles if not isinstance(r, str)):
            self.nm.run("user", "role", name, role, "--project", project, code=0)
        got = self.call("POST", "/api/v1/setup", {"token": token, "password": PASSWORD})
        self.assertEqual(got.status, 201, got)
        return self.cookie(got)

    def login(self, name="ada", password=PASSWORD, **more):
        return self.call("POST", "/api/v1/session", {"name": name, "password": password}, **more)


class FirstRun(AccountsCase):
    def test_the_link_works_once_and_only_before_there_is_an_owner(self):
        state = self.call("GET", "/api/v1/session").json()
        self.assertEqual((state["setup_needed"], state["user"], state["access"]), (True, None, "none"))
        former = LINK.search(self.nm.run("setup-link", code=0).out)[2]
        ended = self.nm.run("setup-link", code=0)
        self.assertIn(f"ssh -L {self.port}:127.0.0.1:{self.port} ", ended.err)
        token = LINK.search(ended.out)[2]
        for wrong in (former, token[:-1], token[:-1] + ("0" if token[-1] != "0" else "1"), "", "nmt_"):
            self.assertIn(self.call("POST", "/api/v1/setup", {"token": wrong, "name": "eve", "password": PASSWORD}).status, (400, 401), wrong)
        for bad in ({"name": "", "password": PASSWORD}, {"name": "a b", "password": PASSWORD}, {"name": "ada", "password": "short"}, {"name": "ada", "password": "a" * 20}):
            self.assertEqual(self.call("POST", "/api/v1/setup", {"token": token, **bad}).status, 400, bad)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:  # two browsers at the same time
            got = list(pool.map(lambda n: self.call("POST", "/api/v1/setup", {"token": token, "name": n, "password": PASSWORD}).status, ("ada", "eve", "mallory")))
        self.assertEqual(sorted(got), [201, 401, 401])
        self.assertEqual(self.call("POST", "/api/v1/setup", {"token": token, "name": "eve", "password": PASSWORD}).status, 401)
        self.assertIn("user reset", self.nm.run("setup-link", code=1).err)
        self.assertFalse(self.call("GET", "/api/v1/session").json()["setup_needed"])

    def test_serve_prints_the_link_and_is_the_daemon(self):
        self.nm.stop_daemon()
        process = self.nm.start("serve")
        found = wait_for("the link", 30, lambda: LINK.search(process.err.read_text()))
        self.assertEqual(self.nm.wait_status()["keeper_pid"], process.pid)
        self.port = int(found[1])
        self.own = f"http://127.0.0.1:{self.port}"
        self.assertEqual(self.call("POST", "/api/v1/setup", {"token": found[2], "name": "ada", "password": PASSWORD}).status, 201)
        again = self.nm.run("serve", code=0)
        self.assertIn("runs already", again.err)
        self.assertIn(self.own, again.err)
        self.assertNotIn("nmt_", again.err)
        process.terminate()
        self.assertEqual(process.wait(30), 0)

    def test_serve_takes_settings_and_a_page_for_its_start(self):
        self.nm.stop_daemon()
        page = self.folder / "page"
        page.mkdir()
        self.assertIn("index.html is missing", self.nm.run("serve", "--ui-dir", str(page), code=2).err)
        (page / "index.html").write_text("<!doctype html><title>Mine</title>", encoding="utf-8")
        process = self.nm.start("serve", "--ui-dir", "page", "--set", "tasks.parallel=5")
        found = wait_for("the address", 30, lambda: LINK.search(process.err.read_text()))
        self.port = int(found[1])
        self.own = f"http://127.0.0.1:{self.port}"
        self.assertIn(b"<title>Mine</title>", self.call("GET", "/tasks", Accept="text/html").body)
        self.assertEqual(self.nm.api("GET", "/api/v1/settings/tasks.parallel")[1]["value"], "5")
        late = self.nm.run("serve", "--ui-dir", str(page), code=1)
        self.assertIn("runs already", late.err)
        self.assertIn("daemon start", self.nm.run("daemon", "status", "--ui-dir", str(page), code=2).err)
        process.terminate()
        self.assertEqual(process.wait(30), 0)
        # For that start alone.
        self.nm.run("daemon", "start", code=0)
        self.assertEqual(self.nm.api("GET", "/api/v1/settings/tasks.parallel")[1]["origin"], "default")

    def test_secrets_are_in_no_file(self):
        cookie = self.owner()
        tokens = self.call("POST", "/api/v1/token", {"grant": "password", "name": "ada", "password": PASSWORD}, page=False).json()
        link = LINK.search(self.nm.run("user", "add", "bert", code=0).out)[2]
        self.nm.stop_daemon()
        for secret in (PASSWORD, cookie.split("=")[1], tokens["refresh_token"], tokens["access_token"], link):
            for file in [f for f in self.folder.rglob("*") if f.is_file() and not f.is_symlink()]:
                self.assertNotIn(secret.encode(), file.read_bytes(), str(file))


class Sessions(AccountsCase):
    def test_a_login_and_its_end(self):
        self.owner()
        got = self.login()
        self.assertEqual(got.status, 200, got)
        line = got.headers["set-cookie"]
        self.assertRegex(line, rf"^nightmill_{self.port}=nms_[0-9a-z]{{52}}; Path=/; HttpOnly; SameSite=Strict; Max-Age=\d+$")
        self.assertEqual((got.headers["x-content-type-options"], got.headers["cache-control"]), ("nosniff", "no-store"))
        cookie = self.cookie(got)
        self.assertEqual(self.call("GET", "/api/v1/session", cookie=cookie).json()["user"]["name"], "ada")
        self.assertEqual(self.call("GET", "/api/v1/status", cookie=cookie).status, 200)
        self.assertEqual(self.call("GET", "/api/v1/status").status, 401)
        self.assertEqual(self.call("GET", "/api/v1/status", cookie=cookie + "; " + cookie).status, 401)  # one was planted
        self.assertEqual(self.call("DELETE", "/api/v1/session", cookie=cookie).status, 204)
        self.assertEqual(self.call("GET", "/api/v1/status", cookie=cookie).status, 401)
        self.assertIsNone(self.call("GET", "/api/v1/session", cookie=cookie).json()["user"])

    def test_another_password_ends_other_sessions(self):
        first, second = self.owner(), None
        second = self.cookie(self.login())
        self.assertEqual(len(self.call("GET", "/api/v1/sessions", cookie=second).json()["sessions"]), 2)
        change = {"old": PASSWORD, "password": OTHER}
        self.assertEqual(self.call("POST", "/api/v1/password", {**change, "old": OTHER}, cookie=second).status, 403)
        self.assertEqual(self.call("POST", "/api/v1/password", change, cookie=second).status, 204)
        self.assertEqual(self.call("GET", "/api/v1/status", cookie=first).status, 401)
        self.assertEqual(self.call("GET", "/api/v1/status", cookie=second).status, 200)
        self.assertEqual(self.login().status, 401)
        self.assertEqual(self.login(password=OTHER).status, 200)

    def test_a_session_is_revoked_by_its_user_and_by_admins(self):
        ada, bert = self.owner(), self.person("bert", "viewer")
        mine = self.call("GET", "/api/v1/sessions", cookie=bert).json()["sessions"][0]["id"]
        hers = self.call("GET", "/api/v1/sessions", cookie=ada).json()["sessions"][0]["id"]
        self.assertEqual(self.call("DELETE", f"/api/v1/sessions/{hers}", cookie=bert).status, 404)
        users = {u["name"]: u["id"] for u in self.call("GET", "/api/v1/users", cookie=ada).json()["users"]}
        self.assertEqual(self.call("GET", f"/api/v1/sessions?user={users['ada']}", cookie=bert).status, 403)
        self.assertEqual(self.call("GET", f"/api/v1/sessions?user={users['bert']}", cookie=ada).json()["sessions"][0]["id"], mine)
        self.assertEqual(self.call("DELETE", f"/api/v1/sessions/{mine}", cookie=ada).status, 200)
        self.assertEqual(self.call("GET", "/api/v1/status", cookie=bert).status, 401)

    def test_sessions_outlive_the_daemon(self):
        cookie = self.owner()
        self.nm.kill9("server")
        wait_for("the server", 30, lambda: self.nm.status())
        got = wait_for("an answer", 20, lambda: self.call("GET", "/api/v1/session", cookie=cookie))
        self.assertEqual(got.json()["user"]["name"], "ada")


    def test_streams_end_with_their_login(self):
        self.owner()
        cookie = self.person("bert", "viewer")
        stream = Asking(self.port, "GET", "/api/v1/stream?topics=tasks", b"", {"Cookie": cookie, "Origin": self.own, "Accept": "text/event-stream"})
        stream.wait_for(b"hello")
        self.nm.run("user", "disable", "bert", code=0)
        got = stream.end()  # within its time: the server ends it
        self.assertEqual(got.status, 200)
        self.assertEqual(self.call("GET", "/api/v1/session", cookie=cookie).json()["user"], None)

    def test_certificates_are_users(self):
        """With server.client_ca a program is known by its certificate, when its subject is a user's."""
        self.nm.stop_daemon()
        pem = {name: self.certificate(name, issuer) for name, issuer in (("authority", None), ("localhost", "authority"), ("robot", "authority"), ("stranger", "authority"))}
        self.nm.env |= {"NIGHTMILL_SERVER_ADDRESS": "https://127.0.0.1:0", "NIGHTMILL_SERVER_TLS_CERTIFICATE": str(pem["localhost"][0]),
                        "NIGHTMILL_SERVER_TLS_KEY": str(pem["localhost"][1]), "NIGHTMILL_SERVER_CLIENT_CA": str(pem["authority"][0])}
        self.nm.run("daemon", "start", code=0)
        self.nm.run("user", "add", "robot", "--service", "--role", "viewer", "--certificate", "CN=robot", code=0)
        port = int(next(a["url"] for a in self.nm.wait_status()["addresses"] if a["listening"]).rsplit(":", 1)[1])

        def ask(name, method="GET", path="/api/v1/status"):
            context = ssl.create_default_context(cafile=str(pem["authority"][0]))
            if name:
                context.load_cert_chain(*map(str, pem[name]))
            connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=20)
            try:
                connection.request(method, path, None, {"Content-Type": "application/json"})
                return connection.getresponse().status
            finally:
                connection.close()

        self.assertEqual((ask("robot"), ask("stranger")), (200, 401))
        self.assertIn(("status", "denied"), [(r["action"], r["outcome"]) for r in self.nm.json("audit", "ls", "--limit", "5")["entries"]])
        # The same subject from another authority, and no certificate at all, do not get through the handshake.
        pem["forger"] = self.certificate("forger", None)
        (self.folder / "forged").mkdir()
        pem["forged"] = self.certificate("robot", "forger", self.folder / "forged")
        for name in ("forged", None):
            with self.assertRaises((OSError, http.client.HTTPException), msg=str(name)):
                ask(name)
        self.assertEqual(ask("robot", "POST", "/api/v1/daemon/stop"), 403)
        self.nm.run("user", "disable", "robot", code=0)
        self.assertEqual(ask("robot"), 401)

    def certificate(self, name, issuer, folder=None):
        pem, key = (folder or self.folder) / f"{name}.pem", (folder or self.folder) / f"{name}.key"
        signed_by = ["-CA", str(self.folder / f"{issuer}.pem"), "-CAkey", str(self.folder / f"{issuer}.key")] if issuer else []
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(pem), *signed_by],
                       check=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        key.chmod(0o600)
        return pem, key


class OtherPages(AccountsCase):
    def test_pages_of_other_places_change_nothing(self):
        cookie = self.owner()
        foreign = ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": f"http://localhost:{self.port}"}, {"Origin": "http://127.0.0.1:1"},
                   {"Origin": self.own + ".evil.example"}, {"Origin": self.own, "Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {},
                   {"Origin": self.own, "Content-Type": "text/plain"}, {"Origin": self.own, "Content-Type": "application/x-www-form-urlencoded"})
        for headers in foreign:
            for method, path in (("POST", "/api/v1/daemon/stop"), ("POST", "/api/v1/users"), ("DELETE", "/api/v1/session"), ("PUT", "/api/v1/tiers")):
                got = self.call(method, path, {"name": "eve"}, cookie=cookie, page=False, **headers)
                self.assertEqual(got.status, 403, f"{method} {path} {headers}: {got}")
            login = self.call("POST", "/api/v1/session", {"name": "ada", "password": PASSWORD}, page=False, **headers)
            self.assertEqual(login.status, 200 if not headers else 403, headers)  # a program without Origin may
        self.assertTrue(self.nm.status())
        self.assertEqual(self.call("GET", "/api/v1/status", cookie=cookie).status, 200)
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        for headers in ({}, {"Origin": "http://evil.example"}, {"Origin": f"http://localhost:{self.port}"}):
            for path in ("/api/v1/stream", "/api/v1/tasks/0000000/terminal"):
                asking = Asking(self.port, "GET", path, b"", {"Cookie": cookie, **upgrade, **headers})
                asking.wait_for(b"\r\n\r\n")  # the connection may stay open
                asking.close()
                self.assertTrue(asking.raw.startswith(b"HTTP/1.1 403 "), f"{path} {headers}: {asking.raw[:200]!r}")
        asking = Asking(self.port, "GET", "/api/v1/stream", b"", {"Cookie": cookie, **upgrade, "Origin": self.own, "Sec-WebSocket-Protocol": "nightmill.stream.v1"})
        asking.wait_for(b"\r\n\r\n")
        asking.close()
        self.assertTrue(asking.raw.startswith(b"HTTP/1.1 101 "), asking.raw[:200])


class Lockout(AccountsCase):
    def test_wrong_names_and_wrong_passwords_look_the_same(self):
        self.owner()
        self.nm.run("user", "add", "builder", "--service", code=0)
        answers = {(g.status, g.body) for g in (self.login("ada", "wrong horse battery"), self.login("nobody", PASSWORD), self.login("builder", PASSWORD), self.login("x" * 900, PASSWORD))}
        self.assertEqual(len(answers), 1, answers)

    def test_failures_wait_and_the_socket_does_not(self):
        cookie = self.owner()
        seen = [self.login("ada", "wrong horse battery").status for _ in range(8)]
        self.assertEqual(seen[:5], [401] * 5)
        self.assertIn(429, seen)
        got = self.login()
        self.assertEqual(got.status, 429)
        self.assertGreaterEqual(int(got.headers["retry-after"]), 1)
        self.assertEqual(self.call("GET", "/api/v1/status", cookie=cookie).status, 200)  # who is in stays in
        self.assertEqual(self.login("bert", "wrong horse battery").status, 401)  # another pair
        self.assertTrue(LINK.search(self.nm.run("user", "reset", "ada", code=0).out))
        self.assertEqual(self.nm.api("POST", "/api/v1/session", {"name": "ada", "password": PASSWORD})[0], 200)


class Roles(AccountsCase):
    needs_sandbox = True

    def test_roles_and_projects(self):
        self.model(script(plain_honest(), plain_honest()))
        repos = [self.repo(PLAIN, name=n) for n in ("shop", "mill")]
        tasks = [self.do(r, PLAIN_TASK, "--check", PLAIN_CHECK, code=0)[1]["id"] for r in repos]
        owner = self.owner()
        viewer, member = self.person("vera", "viewer"), self.person("max", (str(repos[0].path), "member"))
        guest = self.person("gus", (str(repos[0].path), "viewer"))
        names = lambda cookie: {t["id"] for t in self.call("GET", "/api/v1/tasks", cookie=cookie).json()["tasks"]}
        self.assertEqual((names(owner), names(viewer), names(member), names(guest)), (set(tasks), set(tasks), {tasks[0]}, {tasks[0]}))
        for rest in ("", "/events", "/ledger", "/iterations", "/checks", "/changes", "/log", "/files", "/cost"):
            self.assertEqual(self.call("GET", f"/api/v1/tasks/{tasks[0]}{rest}", cookie=member).status, 200, rest)
            self.assertEqual(self.call("GET", f"/api/v1/tasks/{tasks[1]}{rest}", cookie=member).status, 404, rest)
            self.assertEqual(self.call("GET", f"/api/v1/tasks/{tasks[1]}{rest}", cookie=viewer).status, 200, rest)
        missing = self.call("POST", "/api/v1/tasks/0000000/pause", {}, cookie=member).json()
        foreign = self.call("POST", f"/api/v1/tasks/{tasks[1]}/pause", {}, cookie=member).json()
        self.assertEqual({**foreign, "title": foreign["title"].replace(tasks[1], "0000000")}, missing)
        for cookie, status in ((viewer, 403), (guest, 403)):
            for verb in ("stop", "pause", "resume", "hint", "undo"):
                self.assertEqual(self.call("POST", f"/api/v1/tasks/{tasks[0]}/{verb}", {"text": "x"}, cookie=cookie).status, status, verb)
        self.assertEqual(self.call("POST", f"/api/v1/tasks/{tasks[0]}/undo", {}, cookie=member).status, 200)
        for path in ("/api/v1/users", "/api/v1/audit", "/api/v1/keys"):
            self.assertEqual([self.call("GET", path, cookie=c).status for c in (owner, viewer, member, guest)], [200, 403, 403, 403], path)
        self.nm.run("user", "role", "max", "none", "--project", repos[0].path, code=0)  # gone with the next request
        self.assertEqual(self.call("GET", f"/api/v1/tasks/{tasks[0]}", cookie=member).status, 403)

    def test_no_change_is_open_to_viewers(self):
        """Every route of the description that changes something, asked by a viewer and by nobody."""
        owner, viewer = self.owner(), self.person("vera", "viewer")
        document = self.call("GET", "/api/openapi.json", cookie=owner).json()
        own = {"/api/v1/session", "/api/v1/password", "/api/v1/setup", "/api/v1/token", "/api/v1/sessions/{id}"}
        count = 0
        for path, item in document["paths"].items():
            for method in item:
                if method == "get" or path in own or not path.startswith("/api/") or "subscriptions" in path:
                    continue
                count += 1
                where = path.replace("{id}", "0000000")
                self.assertEqual(self.call(method.upper(), where, {}).status, 401, f"{method} {path}")
                self.assertEqual(self.call(method.upper(), where, {}, cookie=viewer).status, 403, f"{method} {path}")
        self.assertGreater(count, 30)
        self.assertTrue(alive(self.nm.status()["pid"]))

    def test_admins_do_not_become_owners(self):
        self.owner()
        admin = self.person("bert", "admin")
        self.assertEqual(self.call("PATCH", "/api/v1/users/bert", {"role": "owner"}, cookie=admin).status, 403)
        self.assertEqual(self.call("PATCH", "/api/v1/users/ada", {"disabled": True}, cookie=admin).status, 403)
        self.assertEqual(self.call("POST", "/api/v1/users/ada/reset", {}, cookie=admin).status, 403)
        self.assertEqual(self.call("DELETE", "/api/v1/users/ada", cookie=admin, X_Nightmill="1").status, 403)
        self.assertEqual(self.call("POST", "/api/v1/users", {"name": "eve", "role": "owner"}, cookie=admin).status, 403)
        self.assertEqual(self.call("POST", "/api/v1/users", {"name": "eve", "role": "member"}, cookie=admin).status, 201)
        self.assertEqual(self.call("POST", "/api/v1/keys", {"name": "k", "account": "ada", "access": "admin"}, cookie=admin).status, 403)
        self.assertEqual(self.call("POST", "/api/v1/daemon/stop", {}, cookie=admin).status, 403)
        self.assertIn("last owner", self.nm.run("user", "rm", "ada", code=1).err)
        self.assertIn("last owner", self.nm.run("user", "role", "ada", "admin", code=1).err)


class Tokens(AccountsCase):
    def token(self, **body):
        return self.call("POST", "/api/v1/token", body, page=False)

    def test_refresh_rotates_and_theft_ends_the_family(self):
        self.owner()
        first = self.token(grant="password", name="ada", password=PASSWORD).json()
        self.assertEqual((first["token_type"], first["expires_in"]), ("Bearer", 600))
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            got = list(pool.map(lambda _: self.token(grant="refresh", refresh_token=first["refresh_token"]), range(50)))
        self.assertEqual({g.status for g in got}, {200})
        self.assertEqual(len({g.json()["refresh_token"] for g in got}), 1)
        next_one = got[0].json()
        self.assertEqual(self.call("GET", "/api/v1/status", bearer=next_one["access_token"], page=False).status, 200)
        with sqlite3.connect(self.nm.data / "nightmill.db", timeout=20) as db:  # the grace is over
            db.execute("UPDATE refresh_token SET used_ns = used_ns - 60000000000 WHERE used_ns > 0")
        stolen = self.token(grant="refresh", refresh_token=first["refresh_token"])
        self.assertEqual(stolen.status, 401)
        self.assertIn("used before", stolen.json()["title"])
        self.assertEqual(self.call("GET", "/api/v1/status", bearer=next_one["access_token"], page=False).status, 401)
        self.assertEqual(self.token(grant="refresh", refresh_token=next_one["refresh_token"]).status, 401)
        self.assertIn("token_post", self.nm.run("audit", "ls", "--outcome", "denied", code=0).out)

    def test_service_accounts(self):
        self.owner()
        self.nm.run("user", "add", "builder", "--service", "--role", "member", code=0)
        key = self.nm.json("key", "create", "ci", "--account", "builder", "--access", "admin")["key"]
        self.assertEqual(self.call("GET", "/api/v1/session", bearer=key, page=False).json()["access"], "use")  # no more than its user
        self.assertEqual(self.call("GET", "/api/v1/keys", bearer=key, page=False).status, 403)
        access = self.token(grant="key", key=key).json()
        self.assertIsNone(access["refresh_token"])
        self.assertEqual(self.call("GET", "/api/v1/models", bearer=access["access_token"], page=False).status, 200)
        self.nm.run("user", "disable", "builder", code=0)
        self.assertEqual(self.call("GET", "/api/v1/models", bearer=key, page=False).status, 401)
        self.assertEqual(self.call("GET", "/api/v1/models", bearer=access["access_token"], page=False).status, 401)
        self.nm.run("user", "enable", "builder", code=0)
        self.assertEqual(self.call("GET", "/api/v1/models", bearer=key, page=False).status, 200)
        self.nm.run("user", "rm", "builder", code=0)
        self.assertEqual(self.call("GET", "/api/v1/models", bearer=key, page=False).status, 401)


class Audit(AccountsCase):
    def rows(self, *arguments):
        return self.nm.json("audit", "ls", *arguments)["entries"]

    def test_what_was_done_is_written_down(self):
        cookie = self.owner()
        self.nm.run("key", "create", "laptop", code=0)
        self.call("PUT", "/api/v1/credentials", {"SECRET_KEY": "do-not-keep-this"}, cookie=cookie)
        self.login("ada", "wrong horse battery")
        self.call("POST", "/api/v1/daemon/stop", {}, bearer=self.nm.json("key", "create", "reader", "--access", "read")["key"], page=False)
        seen = [(r["actor"], r["action"], r["object"], r["outcome"]) for r in reversed(self.rows())]
        for row in (("link", "setup_post", "ada", "done"), ("owner", "key_create", "laptop", "done"), ("ada", "credentials_put", "", "done"),
                    ("ada", "session_post", "ada", "denied"), ("reader", "daemon_stop", "", "denied")):
            self.assertIn(row, seen)
        self.assertEqual(self.rows("--action", "key_create", "--limit", "1")[0]["after"], '{"name":"reader","access":"read"}')
        exported = self.nm.run("audit", "export", code=0).out
        self.assertEqual(len(exported.splitlines()), self.nm.json("audit", "verify")["rows"])
        for secret in ("do-not-keep-this", PASSWORD, "wrong horse", "nms_", "nmt_", "nm_"):
            self.assertNotIn(secret, exported)

    def test_a_changed_log_is_found_and_where(self):
        self.owner()
        for i in range(5):
            self.nm.run("key", "create", f"key{i}", code=0)
        self.assertIn("as they were written", self.nm.run("audit", "verify", code=0).out)
        self.nm.stop_daemon()
        with sqlite3.connect(self.nm.data / "nightmill.db") as db:
            number = db.execute("SELECT number FROM audit WHERE object = 'key2'").fetchone()[0]
            db.execute("UPDATE audit SET object = 'key9' WHERE number = ?", (number,))
        ended = self.nm.run("audit", "verify", code=1)
        self.assertIn(f"row {number}: changed", ended.out)
        self.nm.stop_daemon()
        with sqlite3.connect(self.nm.data / "nightmill.db") as db:
            db.execute("UPDATE audit SET object = 'key2' WHERE number = ?", (number,))
            db.execute("DELETE FROM audit WHERE number > ?", (number,))
        self.assertIn("cut", self.nm.run("audit", "verify", code=1).out)

    def test_a_killed_server_is_no_tampering(self):
        self.owner()
        for i in range(3):
            self.nm.run("key", "create", f"key{i}", code=0)
            self.nm.kill9("server")
            wait_for("the server", 30, lambda: self.nm.status())
        time.sleep(0.1)
        self.nm.run("audit", "verify", code=0)
