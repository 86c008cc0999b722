"""What the daemon says about itself: the description of its interface holds for its answers, and figures are readable by Prometheus."""
import json
import re
import socket

from harness import Case, UnixConnection, script, wait_for
from projects import CALC_RED, PLAIN, PLAIN_CHECK, PLAIN_TASK, TASK, UNITTEST, plain_honest, second_try

# What is read from a stream or a WebSocket has tests of its own (test_stream.py, test_terminal.py), and clients' dialects have theirs.
# Lists that show something only in passing, or only when something is wrong.
MAY_BE_EMPTY = {"/api/v1/settings/{id}", "/api/v1/users/{id}", "/api/v1/tasks/{id}/terminals", "/api/v1/audit/verify", "/api/v1/settings/check", "/api/v1/holds"}
STREAMS = {"/api/v1/stream", "/api/v1/tasks/{id}/terminal", "/v1/models", "/v1beta/models"}


class Interface(Case):
    def raw(self, path):
        connection = UnixConnection(str(self.nm.data / "run" / "nightmill.sock"), 20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type"), answer.read()
        finally:
            connection.close()

    def matches(self, value, schema, where):
        """Checks a value against the few words of JSON Schema that the description uses."""
        if "$ref" in schema:
            return self.matches(value, self.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], where)
        if "enum" in schema:
            self.assertIn(value, schema["enum"], where)
        if "anyOf" in schema:
            return None if value is None else self.matches(value, schema["anyOf"][0], where)
        kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "null": type(None)}
        types = schema.get("type", [])
        types = [types] if isinstance(types, str) else types
        if types:
            self.assertTrue(any(isinstance(value, kinds[t]) and (t != "integer" or not isinstance(value, bool)) for t in types), f"{where}: {value!r} is no {types}")
        if value is None:
            return None
        if schema.get("format") == "date-time":
            self.assertRegex(value, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", where)
        if schema.get("format") == "decimal":
            self.assertRegex(value, r"^-?\d+(\.\d+)?$", where)
        if isinstance(value, list) and "items" in schema:
            for number, item in enumerate(value):
                self.matches(item, schema["items"], f"{where}[{number}]")
        if isinstance(value, dict) and "properties" in schema:
            for name in schema["required"]:
                self.assertIn(name, value, where)
            for name, member in value.items():
                self.assertIn(name, schema["properties"], f"{where} says nothing of {name}")
                self.matches(member, schema["properties"][name], f"{where}.{name}")
        return None

    def holds(self, pattern, name="", query=""):
        """The answer of a route is as described: the whole of it, or each of its lines."""
        path = pattern.replace("{id}", name) + query
        status, kind, body = self.raw(path)
        self.assertEqual(status, 200, (path, body))
        [(media, content)] = self.document["paths"][pattern]["get"]["responses"]["2XX"]["content"].items()
        self.assertEqual(kind.split(";")[0], media, path)
        if "schema" in content:
            for text in body.splitlines() if media == "application/jsonl" else [body]:
                self.matches(json.loads(text), content["schema"], path)
        self.answers[pattern] = body

    def made(self, path, body, status=201):
        got, thing = self.nm.api("POST", path, body)
        self.assertEqual(got, status, thing)
        return thing

    def filled(self):
        """Something of everything that can be read: names by which they are asked for."""
        task = self.do(self.repo(CALC_RED), TASK, "--check", UNITTEST, "--allow-check-changes", "test_double.py", code=0)[1]["id"]
        spec = json.loads(self.raw(f"/api/v1/tasks/{task}")[2])["spec"]
        trial = self.made("/api/v1/trials", {"rule": "first", "attempts": [spec, spec]})["id"]
        self.nm.run("price", "set", "scripted", "--input", "1", "--output", "2", code=0)
        self.made("/api/v1/budgets", {"scope": "all", "window": "month", "money": "50.00", "currency": "USD"})
        self.made("/api/v1/rates", {"from": "USD", "to": "EUR", "rate": "0.9"})
        self.made("/api/v1/keys", {"name": "reader", "access": "read"})
        self.assertEqual(self.nm.api("PUT", "/api/v1/providers/spare", {"kind": "compatible", "url": "http://127.0.0.1:9/v1"})[0], 201)
        self.made("/api/v1/models", {"id": "other", "provider": "spare"})
        self.made("/api/v1/notifications/channels", {"kind": "webhook", "target": "http://127.0.0.1:9/hook"})
        self.assertEqual(self.nm.api("PUT", "/api/v1/settings/tasks.parallel", {"value": "7"})[0], 200)
        self.assertEqual(self.nm.api("PUT", "/api/v1/tiers", {"name": "quick", "models": ["other"]})[0], 200)
        self.assertEqual(self.nm.api("PUT", "/api/v1/egress_hosts", {"host": "example.org", "verdict": "deny"})[0], 200)
        self.assertEqual(self.nm.api("PUT", "/api/v1/record_policies", {"project": "/srv/shop", "keep": "full"})[0], 200)
        proxy = self.made("/api/v1/proxies", {"project": "shop"}, 200)
        with socket.create_connection(("127.0.0.1", int(proxy["url"].rsplit(":", 1)[1])), 20) as one:
            one.sendall(b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n")
            while one.recv(4096):
                pass
        row = wait_for("the row of the exchange", 20, lambda: (rows := self.nm.api("GET", "/api/v1/traffic")[1]["traffic"]) and rows[0])
        user = self.made("/api/v1/users", {"name": "ada", "role": "member"})
        self.made("/api/v1/setup", {"token": user["setup"]["token"], "password": "correct horse battery"})
        user = user["id"]
        self.assertIn(self.nm.api("PUT", "/api/v1/agents/careful", {"agent": "builtin", "instructions": "Look twice."})[0], (200, 201))
        asking = self.do(self.repo(PLAIN, name="asking"), PLAIN_TASK, "--check", PLAIN_CHECK, "--approve", "plan", "--detach", code=0)[1]["id"]
        self.assert_state(self.nm.wait_state(asking, ("needs_you",)), "needs_you", "approval")
        request = self.nm.api("GET", "/api/v1/requests")[1]["requests"][0]["id"]
        return {"tasks": task, "trials": trial, "traffic": str(row["number"]), "users": user, "requests": request, "settings": "tasks.parallel"}

    def test_answers_are_as_described(self):
        """Every route that is read, with something to read."""
        self.model(script(*second_try()))
        names = self.filled()
        self.document = json.loads(self.raw("/api/openapi.json")[2])
        self.assertEqual(self.document["openapi"], "3.1.0")
        self.answers = {}
        asked = {"/api/v1/tasks/{id}/changes/file": ["?path=calc.py"], "/api/v1/tasks/{id}/file": ["?path=calc.py&iteration=1"], "/api/v1/tasks/{id}/file/raw": ["?path=calc.py&iteration=1"],
                 "/api/v1/tasks/{id}/files": ["?iteration=1"], "/api/v1/tasks/{id}/checks": ["", "?iteration=1"], "/api/v1/tasks/{id}/log/search": ["?q=add"], "/api/v1/tasks/{id}/log": ["?iteration=1"],
                 "/api/v1/ledger": [""] + [f"?by={by}" for by in ("organisation", "project", "task", "agent", "model", "key", "user", "provider", "day", "total")],
                 "/api/v1/sessions": ["", f"?user={names['users']}"], "/api/v1/agents/record": ["", "?by=model"], "/api/v1/traffic": ["", "?texts=true"], "/api/v1/requests/{id}": ["", "?body=0"]}
        for pattern, item in self.document["paths"].items():
            if "get" not in item or pattern in STREAMS:
                continue
            name = names[pattern.split("/{id}")[0].rsplit("/", 1)[1]] if "{id}" in pattern else ""
            for query in asked.get(pattern, [""]):
                self.holds(pattern, name, query)
        # Nothing passes by being empty.
        empty = set()
        for pattern, body in self.answers.items():
            lists = [v for v in json.loads(body).values() if isinstance(v, list)] if body[:1] == b"{" and not pattern.endswith("/events") else []
            if lists and not any(lists):
                empty.add(pattern)
        self.assertEqual(empty, MAY_BE_EMPTY)

    def schema_lint(self, schema, where):
        if "$ref" in schema:
            self.assertEqual(set(schema), {"$ref"}, where)
            self.assertTrue(schema["$ref"].startswith("#/components/schemas/"), where)
            self.assertIn(schema["$ref"].rsplit("/", 1)[1], self.document["components"]["schemas"], where)
            return
        for types in (schema.get("type", []),):
            for one in [types] if isinstance(types, str) else types:
                self.assertIn(one, ("string", "integer", "number", "boolean", "array", "object", "null"), where)
        self.assertEqual("items" in schema, "array" in schema.get("type", []), where)
        self.assertLessEqual(set(schema.get("required", ())), set(schema.get("properties", ())), where)
        for name, member in schema.get("properties", {}).items():
            self.assertRegex(name, r"^[A-Za-z_][A-Za-z0-9_]*$", where)
            self.schema_lint(member, f"{where}.{name}")
        for name in ("items", "additionalProperties"):
            if isinstance(schema.get(name), dict):
                self.schema_lint(schema[name], f"{where}.{name}")
        for member in schema.get("anyOf", ()):
            self.schema_lint(member, where)

    def test_the_program_says_the_same_without_a_daemon(self):
        said = self.nm.run("api-description", code=0)
        self.assertFalse((self.nm.data / "run" / "nightmill.sock").exists())
        self.assertEqual(self.nm.json("api-description"), json.loads(said.out))
        self.nm.run("daemon", "start", code=0)
        self.assertEqual(json.loads(self.raw("/api/openapi.json")[2]), json.loads(said.out))

    def test_description_is_well_formed(self):
        """What a linter of OpenAPI 3.1 asks for, so that generators of clients can read it."""
        self.nm.run("ls", code=0)
        self.document = json.loads(self.raw("/api/openapi.json")[2])
        self.assertLessEqual({"openapi", "info", "paths", "components"}, set(self.document))
        self.assertLessEqual({"title", "version", "license", "description"}, set(self.document["info"]))
        names, used = set(), set()
        for path, item in self.document["paths"].items():
            self.assertRegex(path, r"^/[A-Za-z0-9_{}/:.-]*$")
            for method, operation in item.items():
                where = f"{method} {path}"
                self.assertIn(method, ("get", "put", "post", "delete", "patch"), where)
                self.assertNotIn(operation["operationId"], names, where)
                names.add(operation["operationId"])
                self.assertTrue(operation["summary"], where)
                self.assertTrue(operation["responses"], where)
                self.assertIn("security", operation, where)
                parameters = operation["parameters"]
                self.assertEqual(len({(p["in"], p["name"]) for p in parameters}), len(parameters), where)
                self.assertEqual(sorted(p["name"] for p in parameters if p["in"] == "path"), sorted(re.findall(r"{(\w+)}", path)), where)
                for parameter in parameters:
                    self.assertTrue(parameter["description"], where)
                    self.assertEqual(parameter["required"], parameter["in"] == "path", where)
                    self.schema_lint(parameter["schema"], where)
                if method == "get":
                    self.assertNotIn("requestBody", operation, where)
                bodies = [operation[k] for k in ("requestBody",) if k in operation] + list(operation["responses"].values())
                for body in bodies:
                    for content in body.get("content", {}).values():
                        self.schema_lint(content.get("schema", {}), where)
                used |= set(re.findall(r"#/components/schemas/(\w+)", json.dumps(operation)))
        known = self.document["components"]["schemas"]
        for name, schema in known.items():
            self.assertTrue(schema["description"], name)
            self.schema_lint(schema, name)
        for _ in known:  # what others are made of is used too
            used |= {n for one in list(used) for n in re.findall(r"#/components/schemas/(\w+)", json.dumps(known[one]))}
        self.assertEqual(set(known) - used - {"Problem"}, set())

    def test_figures_are_prometheus(self):
        self.nm.run("ls", code=0)
        status, kind, body = self.raw("/metrics")
        self.assertEqual((status, kind), (200, "text/plain; version=0.0.4; charset=utf-8"))
        types = {}
        for line in body.decode().splitlines():
            if line.startswith("# TYPE "):
                _, _, name, what = line.split(" ")
                self.assertNotIn(name, types)
                types[name] = what
            elif not line.startswith("# HELP "):
                found = re.fullmatch(r'(nightmill_[a-z_]+)(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?\d+(\.\d+)?', line)
                self.assertTrue(found, line)
        self.assertEqual(types["nightmill_requests_total"], "counter")
        self.assertIn(b"nightmill_requests_active 0\n", body)

    def test_policies_of_projects(self):
        self.nm.run("ls", code=0)
        shop = "/home/ada/my shop"
        self.assertIn("metadata", self.nm.run("request", "policy", code=0).out)
        self.nm.run("request", "policy", shop, "--keep", "full", "--days-bodies", "3", code=0)
        policies = self.nm.json("request", "policy")
        self.assertEqual([(p["project"], p["keep"], p["days_bodies"]) for p in policies["projects"]], [(shop, "full", 3)])
        self.nm.run("request", "policy", shop, "--keep", "standard", code=0)
        self.assertEqual(self.nm.json("request", "policy")["projects"], [])
        self.assertNotEqual(self.nm.run("request", "policy", "--keep", "full").code, 0)
        self.assertNotEqual(self.nm.run("request", "show", "nothere").code, 0)
        self.assertEqual(self.nm.run("request", "ls", code=0).out, "")
