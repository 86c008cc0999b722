"""The audit log and the live stream held against the register of routes: what changes something, or shows a secret, leaves one row; what changes is told once."""
import json
import urllib.parse

from harness import UnixConnection, finish, run, script, turn, wait_for
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK
from stream import Stream
from test_accounts import PASSWORD, AccountsCase
from websocket import Refused, WebSocket

SHELL = "nightmill.terminal.v1"
HOOK = {"kind": "webhook", "target": "https://example.org/hook", "name": "hook"}
AGENT = {"agent": "codex"}
# Routes that are not asked here, and where they are.
ELSEWHERE = {
    "daemon_stop": "ends the daemon: test_accounts", "audit_accept": "test_audit of the unit tests", "setup_post": "test_accounts", "setup_link": "test_accounts",
    "session_post": "below", "session_delete": "below", "password_post": "below", "session_revoke": "below", "token_post": "test_accounts",
    "subscription_create": "test_notifications", "subscription_delete": "test_notifications", "approval_post": "test_questions", "task_approve": "test_questions",
    "task_deny": "test_questions", "short_approve": "an alias", "short_stop": "an alias", "short_task_create": "an alias", "hold_settle": "test_gateway_budget",
    "hold_release": "test_gateway_budget", "trial_create": "test_trials", "trial_stop": "test_trials", "trial_pause": "test_trials", "trial_resume": "test_trials",
    "proxy_post": "test_proxy", "proxy_delete": "test_proxy", "prices_import": "test_access", "task_undo": "test_job", "task_create": "test_tasks_api", "model_test": "test_access", "plan_make": "changes nothing: test_tasks_api", "sample_begin": "test_sample", "provider_test": "test_access",
}


class AuditCase(AccountsCase):
    def rows(self, after=0):
        got, before = [], None
        while True:
            page = self.nm.api("GET", f"/api/v1/audit?limit=1000{f'&before={before}' if before else ''}")[1]
            got += [r for r in page["entries"] if r["number"] > after]
            before = page["next"]
            if not before or page["entries"][-1]["number"] <= after:
                return got

    def newest(self):
        self.nm.api("GET", "/api/v1/audit?limit=1")  # the first reading of a sitting is a row itself
        return self.nm.api("GET", "/api/v1/audit?limit=1")[1]["entries"][0]["number"]

    def operations(self):
        document = self.nm.api("GET", "/api/openapi.json")[1]
        return {o["operationId"]: (method.upper(), path, o) for path, item in document["paths"].items() for method, o in item.items() if "x-audited" in o}

    def follow(self, *topics, cookie=None):
        stream = Stream(("127.0.0.1", self.port) if cookie else str(self.nm.data / "run" / "nightmill.sock"), headers={"Cookie": cookie, "Origin": self.own} if cookie else None)
        self.addCleanup(stream.close)
        stream.subscribe(*topics)
        stream.until(lambda m: "subscribed" in m)
        return stream


class Register(AuditCase):
    needs_sandbox = True
    seconds = 240

    def waiting_task(self):
        model = self.model(script([turn(run("echo hello"), wait_for="go"), turn(finish("Added the line."))]))
        self.nm.start("run", "--check", PLAIN_CHECK, PLAIN_TASK, cwd=self.repo(PLAIN).path)
        task = self.nm.newest()
        self.nm.wait_state(task, "working")
        wait_for("the agent's question", 20, model.requests)
        return task

    def steps(self, task):
        """(route, id, query, body) in an order in which each of them succeeds; an id may be the answer to an earlier one."""
        key, user, channel, budget = ({} for _ in range(4))
        return [
            ("credentials_put", None, "", {"SOME_KEY": "a-secret-value-1"}, None),
            ("setting_put", "tasks.parallel", "", {"value": "3"}, None), ("setting_reset", "tasks.parallel", "", None, None),
            ("settings_revert", None, "", {"id": "1"}, None),
            ("channel_create", None, "", HOOK, channel), ("channel_put", channel, "", {"name": "other"}, None), ("channel_test", channel, "", {}, None),
            ("channel_delete", channel, "", None, None),
            ("user_create", None, "", {"name": "bert", "role": "viewer"}, user), ("user_patch", user, "", {"role": "member"}, None),
            ("user_role_set", user, "", {"project": "/x", "role": "admin"}, None), ("user_reset", user, "", {}, None), ("user_delete", user, "", None, None),
            ("key_create", None, "", {"name": "laptop"}, key), ("key_revoke", key, "", None, None),
            ("budget_post", None, "", {"scope": "project", "scope_id": "/x", "window": "day", "money": "5.00"}, budget),
            ("budget_raise", budget, "", {"money": "1.00"}, None), ("budget_delete", budget, "", None, None),
            ("rate_post", None, "", {"from": "EUR", "to": "USD", "rate": "1.1"}, None),
            ("price_post", None, "", {"model": "m", "input": "1", "output": "2"}, None),
            ("provider_set", "box", "", {"kind": "vllm", "url": "http://127.0.0.1:1", "key": "a-secret-value-2"}, None),
            ("model_post", None, "", {"id": "small", "provider": "box"}, None), ("tier_put", None, "", {"name": "A", "models": ["small"]}, None),
            ("tier_put", None, "", {"name": "A", "models": []}, None), ("model_delete", None, "?id=small", None, None), ("provider_delete", "box", "", None, None),
            ("agent_put", "helper", "", AGENT, None), ("agent_delete", "helper", "", None, None),
            ("record_policy_put", None, "", {"project": "/x", "keep": "none"}, None), ("record_policy_delete", None, "?project=/x", None, None),
            ("egress_host_put", None, "", {"host": "example.org", "verdict": "allow"}, None), ("egress_host_delete", None, "?host=example.org", None, None),
            ("task_hint", task, "", {"text": "x"}, None), ("task_pause", task, "", {}, None), ("task_resume", task, "", {}, None), ("tasks_pause_all", None, "", {}, None),
            ("tasks_resume_all", None, "", {}, None), ("task_stop", task, "", {}, None),
        ]

    def ask(self, operation, name, query, body):
        method, path, _ = operation
        path = path.replace("{id}", urllib.parse.quote(name or "", safe="")) + query
        return self.nm.api(method, path, body)

    def test_every_change_leaves_one_row_and_is_told(self):
        task = self.waiting_task()
        operations, stream, told = self.operations(), self.follow("access", "models", "notifications", "money", "system", "settings"), {}
        steps = self.steps(task)
        asked = {s[0] for s in steps}
        changes = {name for name, (method, _, _) in operations.items() if method != "GET"}
        self.assertEqual(changes - asked - set(ELSEWHERE), set(), "a route that changes something and is not asked")
        self.assertEqual((asked | set(ELSEWHERE)) - changes, set(), "a route that is no more")
        for name, thing, query, body, keep in steps:
            if name == "settings_revert":
                body = {"id": next(c["id"] for c in self.nm.api("GET", "/api/v1/settings/history")[1]["changes"])}
            before = self.newest()
            status, answer = self.ask(operations[name], thing["id"] if isinstance(thing, dict) else thing, query, body)
            if name in ("task_pause", "tasks_pause_all"):
                self.nm.wait_state(task, "paused")
            self.assertIn(status, (200, 201, 202, 204), f"{name}: {answer}")
            if keep is not None:
                keep["id"] = str(answer["id"])
            rows = self.rows(before)
            self.assertEqual([(r["action"], r["outcome"]) for r in rows], [(name, "done")], f"{name}: {rows}")
            self.assertEqual((rows[0]["actor"], rows[0]["actor_kind"], rows[0]["address"]), ("owner", "socket", ""))
            tells = operations[name][2].get("x-tells")
            if tells:
                seen = stream.until(lambda m: m.get("type") == f"{tells}.changed" and m["data"]["action"] == name)
                self.assertEqual(len([m for m in seen if m.get("data", {}).get("action") == name]), 1, name)
                told[name] = seen[-1]
        self.assertEqual((told["budget_post"]["topic"], told["budget_post"]["data"]["project"]), ("money", "/x"))
        self.assertEqual(told["provider_set"]["data"]["id"], "box")
        everything = json.dumps(self.rows()) + json.dumps(list(told.values()))
        for secret in ("a-secret-value", "nm_", "nmt_", "whsec_", "example.org/hook"):
            self.assertNotIn(secret, everything)
        self.assertTrue(self.nm.json("audit", "verify")["ok"])

    def raw(self, path, **headers):
        connection = UnixConnection(str(self.nm.data / "run" / "nightmill.sock"), 20)
        try:
            connection.request("GET", path, None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def test_every_reading_of_a_secret_leaves_one_row(self):
        self.nm.stop_daemon()
        self.nm.env["NIGHTMILL_RECORD_KEEP"] = "full"
        self.model(script([turn(run("echo hello; echo two >> file.txt")), turn(finish("Added the line."))]))
        _, task = self.do(self.repo(PLAIN), PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        request = self.nm.json("request", "ls")["requests"][0]["id"]
        operations = self.operations()
        reads = {name for name, (method, _, o) in operations.items() if method == "GET" and o["x-audited"]}
        self.assertEqual(reads, {"request_show", "traffic_list", "traffic_show", "task_log_raw", "task_terminal", "audit_list"})
        for name, thing, query in (("request_show", request, "?body=1000"), ("task_log_raw", task["id"], ""), ("traffic_list", None, "?texts=true")):
            before = self.newest()
            status, _ = self.raw(operations[name][1].replace("{id}", thing or "") + query)
            self.assertEqual(status, 200, name)
            rows = self.rows(before)
            self.assertEqual([(r["action"], r["object"], r["outcome"], r["after"]) for r in rows], [(name, thing or "", "done", query[1:])], rows)
        before = self.newest()
        self.assertEqual(self.raw("/api/v1/traffic")[0], 200)  # without what was sent: no secret
        self.nm.json("request", "ls")
        self.nm.json("log", task["id"])
        self.assertEqual(self.rows(before), [])
        # The log of the log: the first reading of a sitting.
        self.port = int(next(a["url"] for a in self.nm.wait_status()["addresses"] if a["listening"]).rsplit(":", 1)[1])
        self.own = f"http://127.0.0.1:{self.port}"
        cookie = self.owner()
        before = self.newest()
        for _ in range(3):
            self.assertEqual(self.call("GET", "/api/v1/audit?limit=5", cookie=cookie).status, 200)
        self.assertEqual([(r["actor"], r["action"]) for r in self.rows(before)], [("ada", "audit_list")])
        self.terminal(task["id"], cookie)

    def terminal(self, task, cookie):
        before = self.newest()
        place, headers = ("127.0.0.1", self.port), {"Cookie": cookie, "Origin": self.own}
        ws = WebSocket(place, f"/api/v1/tasks/{task}/terminal?session=1", SHELL, headers)
        opened = wait_for("the row", 20, lambda: self.rows(before))
        self.assertEqual([(r["actor"], r["actor_kind"], r["address"], r["action"], r["object"], r["outcome"], r["after"]) for r in opened],
                         [("ada", "session", "127.0.0.1", "task_terminal", task, "done", "session=1")])
        ws.close()
        rows = wait_for("the row of the end", 20, lambda: len(self.rows(before)) > 1 and self.rows(before))
        self.assertEqual([(r["action"], r["object"], r["outcome"]) for r in rows], [("task_terminal", task, "closed"), ("task_terminal", task, "done")])
        self.assertEqual(json.loads(rows[0]["after"])["session"], "1")
        guest = self.person("gus", ("/elsewhere", "member"))
        before = self.newest()
        with self.assertRaises(Refused) as refused:
            WebSocket(place, f"/api/v1/tasks/{task}/terminal", SHELL, {"Cookie": guest, "Origin": self.own})
        self.assertEqual(refused.exception.status, 404)
        rows = wait_for("the refusal", 20, lambda: self.rows(before))
        self.assertEqual([(r["actor"], r["action"], r["outcome"]) for r in rows], [("gus", "task_terminal", "denied")])


class Refusals(AuditCase):
    def test_refusals_are_written_down_and_a_flood_is_not(self):
        self.owner()
        viewer = self.person("vera", "viewer")
        before = self.newest()
        self.assertEqual(self.call("GET", "/api/v1/users", cookie=viewer).status, 403)
        self.assertEqual(self.call("POST", "/api/v1/users", {"name": "eve"}, cookie=viewer).status, 403)
        self.assertEqual(self.call("GET", "/api/v1/users", bearer="nm_" + "0" * 40, page=False).status, 401)
        self.assertEqual(self.call("POST", "/api/v1/users", {"name": "eve"}, cookie=viewer, page=False, Origin="http://evil.example").status, 403)
        want = {("vera", "users_list", "denied"), ("vera", "user_create", "denied")}
        wait_for("the rows", 20, lambda: want <= {(r["actor"], r["action"], r["outcome"]) for r in self.rows(before)})
        before = self.newest()
        for _ in range(60):
            self.call("GET", "/api/v1/users", cookie=viewer)
        rows = wait_for("the count", 30, lambda: (rows := self.rows(before)) and any(r["action"] == "refusals" for r in rows) and rows)
        written = [r for r in rows if r["action"] == "users_list"]
        self.assertLess(len(written), 25)
        skipped = sum(json.loads(r["after"])["not_written"] for r in rows if r["action"] == "refusals")
        self.assertGreater(skipped, 0)
        self.assertTrue(self.nm.json("audit", "verify")["ok"])

    def test_logins_are_written_down_and_told_to_admins_and_their_user(self):
        owner, bert, vera = self.owner(), self.person("bert", "viewer"), self.person("vera", "viewer")
        streams = [self.follow("access", cookie=c) for c in (owner, bert, vera)]
        before = self.newest()
        second = self.cookie(self.login("bert"))
        self.assertEqual(self.login("bert", "wrong horse battery").status, 401)
        self.assertEqual(self.call("POST", "/api/v1/password", {"old": PASSWORD, "password": PASSWORD + "2"}, cookie=second).status, 204)
        self.assertEqual(self.call("DELETE", "/api/v1/session", cookie=second).status, 204)
        rows = [(r["actor"], r["action"], r["outcome"]) for r in reversed(self.rows(before))]
        self.assertEqual(rows, [("bert", "session_post", "done"), ("bert", "session_post", "denied"), ("bert", "password_post", "done"), ("bert", "session_delete", "done")])
        self.nm.run("key", "create", "last", code=0)
        seen = [streams[0].until(lambda m: m.get("type") == "key.changed")]
        self.assertEqual([m["data"]["action"] for m in seen[0] if "n" in m], ["session_post", "password_post", "session_delete", "key_create"])
        own = streams[1].until(lambda m: m.get("data", {}).get("action") == "session_delete")
        self.assertEqual({m["data"]["user"] for m in own if "n" in m}, {own[-1]["data"]["user"]})
        self.assertIsNone(streams[2].receive(1))

    def test_who_sees_one_project_is_told_of_no_other(self):
        self.owner()
        guest = self.person("gus", ("/a", "viewer"))
        stream = self.follow("access", "models", "money", cookie=guest)
        self.nm.api("POST", "/api/v1/budgets", {"scope": "project", "scope_id": "/b", "window": "day", "money": "5.00"})
        self.nm.api("POST", "/api/v1/budgets", {"scope": "global", "window": "day", "money": "5.00"})
        self.nm.api("POST", "/api/v1/users", {"name": "eve"})
        self.nm.api("PUT", "/api/v1/providers/box", {"kind": "vllm", "url": "http://127.0.0.1:1"})
        self.nm.api("POST", "/api/v1/keys", {"name": "k", "project": "/b"})
        self.nm.api("POST", "/api/v1/budgets", {"scope": "project", "scope_id": "/a", "window": "day", "money": "5.00"})
        seen = [m for m in stream.until(lambda m: m.get("data", {}).get("project") == "/a") if "n" in m]
        self.assertEqual([m["data"]["project"] for m in seen], ["/a"], seen)
        stream.subscribe("notifications")
        self.assertIn("whole installation", stream.until(lambda m: "error" in m)[-1]["error"]["words"])
