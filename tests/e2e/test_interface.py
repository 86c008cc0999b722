"""What the daemon says about itself: the description of its interface holds for its answers, and figures are readable by Prometheus."""
import json
import re

from harness import Case, UnixConnection, script
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK, plain_honest


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

    def holds(self, path, pattern=None, parameters=""):
        """The answer of a route is as described."""
        status, kind, body = self.raw(path + parameters)
        self.assertEqual((status, kind), (200, "application/json"), body)
        operation = self.document["paths"][pattern or path]["get"]
        self.matches(json.loads(body), operation["responses"]["2XX"]["content"]["application/json"]["schema"], path)
        return json.loads(body)

    def test_answers_are_as_described(self):
        self.model(script(plain_honest()))
        task = self.do(self.repo(PLAIN), PLAIN_TASK, "--check", PLAIN_CHECK, code=0)[1]["id"]
        self.document = json.loads(self.raw("/api/openapi.json")[2])
        self.assertEqual(self.document["openapi"], "3.1.0")
        for path in ("/health", "/ready", "/api/v1/status", "/api/v1/tasks", "/api/v1/approvals", "/api/v1/requests", "/api/v1/record_policies"):
            self.holds(path)
        for rest in ("", "/ledger"):
            self.holds(f"/api/v1/tasks/{task}{rest}", "/api/v1/tasks/{id}" + rest)
        for path, item in self.document["paths"].items():  # what else can be read without naming a thing
            if path.startswith("/api/v1/") and "{" not in path and "application/json" in item.get("get", {}).get("responses", {}).get("2XX", {}).get("content", ()):
                self.holds(path)

    def schema_lint(self, schema, where):
        if "$ref" in schema:
            self.assertEqual(set(schema), {"$ref"}, where)
            self.assertTrue(schema["$ref"].startswith("#/components/schemas/"), where)
            self.assertIn(schema["$ref"].rsplit("/", 1)[1], self.document["components"]["schemas"], where)
            return
        for types in (schema.get("type", []),):
            for one in [types] if isinstance(types, str) else types:
                self.assertIn(one, ("string", "integer", "number", "boolean", "array", "object", "null"), where)
        self.assertEqual("items" in schema, schema.get("type") == "array", where)
        self.assertLessEqual(set(schema.get("required", ())), set(schema.get("properties", ())), where)
        for name, member in schema.get("properties", {}).items():
            self.assertRegex(name, r"^[A-Za-z_][A-Za-z0-9_]*$", where)
            self.schema_lint(member, f"{where}.{name}")
        for name in ("items", "additionalProperties"):
            if isinstance(schema.get(name), dict):
                self.schema_lint(schema[name], f"{where}.{name}")
        for member in schema.get("anyOf", ()):
            self.schema_lint(member, where)

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
