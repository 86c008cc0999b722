"""Named agents: configurations in versions that a task records; what a project says about its agents; MCP servers handed to them."""
import json
import unittest

from harness import CANARY_KEY, ROOT, Repo, script
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK, plain_honest
from test_agents import RIGHT, Foreign


class Named(Foreign):
    seconds = 200

    def setUp(self):
        super().setUp()
        self.fakes = ROOT / "tests" / "fakes"
        self.scripted = self.model(script(RIGHT), key=CANARY_KEY, models="scripted,other")
        self.nm.env["NIGHTMILL_MODEL_KEY"] = CANARY_KEY

    def name(self, name, *words, **more):
        return self.nm.run("agent", "set", name, "--base", "command", "--command", f"/usr/bin/python3 {self.fakes}/agent.py told", "--folder", str(self.fakes), "--output", "lines",
                           *[w for word in words for w in ("--arg", word)], *more.get("flags", ()), code=more.get("code", 0))

    def begin(self, *flags, files=PLAIN, name="project", env=None):
        repo = self.repo(files, name=name)
        return self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, *flags, code=0, env=env)

    def test_versions(self):
        told = self.folder / "told.md"
        told.write_text("Write the careful line.\n", encoding="utf-8")
        self.assertIn("careful, version 1", self.name("careful", "--one").out)
        self.assertIn("careful, version 1", self.name("careful", "--one").out)  # nothing new
        _, first = self.begin("--agent", "careful")
        self.assert_state(first, "done")
        self.assertEqual((first["agent"], first["configuration"]), ("command", "careful@1"))
        self.assertIn("ARGUMENTS --one", self.said(first))
        self.assertIn("careful, version 2", self.name("careful", "--two", flags=("--instructions", str(told), "--model", "other")).out)
        ended, second = self.begin("--agent", "careful", name="second", files={**PLAIN, "nightmill.yaml": "agent: {instructions: The house rule., arguments: [--house]}\n"})
        self.assertEqual(second["configuration"], "careful@2")
        self.assertIn("ARGUMENTS --house --two", self.said(second))
        self.assertIn("MODEL other", self.said(second))
        self.assertIn("agent careful, version 2: command", ended.err)
        prompt = self.scripted.body(self.scripted.requests()[-1])["messages"][0]["content"]
        self.assertIn("The house rule.\n\nWrite the careful line.", prompt)
        # Side by side, and what each version was.
        records = self.nm.json("agent", "compare", "--by", "version")["records"]
        self.assertEqual({(r["agent"], r["version"], r["done"]) for r in records}, {("command", "careful@1", 1), ("command", "careful@2", 1)})
        shown = self.nm.run("agent", "show", "careful", code=0).out
        self.assertLess(shown.index("careful, version 2"), shown.index("careful, version 1"))
        self.assertIn("careful", self.nm.run("agent", "ls", code=0).out)
        # Removed: found by no name, kept for the record, and its numbers go on.
        self.nm.run("agent", "rm", "careful", code=0)
        self.assert_one_sentence(self.nm.run("run", PLAIN_TASK, "--agent", "careful", "--check", "true", cwd=self.folder / "project"), "no agent careful")
        self.assertIn("careful, version 3", self.name("careful", "--one").out)

    def test_a_project_names_its_own(self):
        yaml = "agents:\n  quick: {agent: command, model: other, instructions: Be quick., arguments: [--quick]}\nagent: {name: quick}\n"
        env = {"NIGHTMILL_AGENT_COMMAND": f"/usr/bin/python3 {self.fakes}/agent.py told"}
        ended, task = self.begin(files={**PLAIN, "nightmill.yaml": yaml}, env=env)
        self.assert_state(task, "done")
        self.assertEqual(task["configuration"], "quick@1")
        self.assertIn("agent quick: nightmill.yaml", ended.err)
        self.assertIn("MODEL other", self.said(task))
        repo = self.repo_at("project")
        repo.commit("Otherwise", {"nightmill.yaml": yaml.replace("Be quick.", "Be quicker.")})
        _, again = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=0, env=env)
        self.assertEqual(again["configuration"], "quick@2")
        # The operator's own of that name comes first.
        self.name("quick", "--operator")
        _, third = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=0, env=env)
        self.assertIn("ARGUMENTS --operator", self.said(third))

    def repo_at(self, name):
        repo = Repo.__new__(Repo)
        repo.path = self.folder / name
        return repo

    def test_by_tier(self):
        self.nm.run("daemon", "start", code=0)
        self.nm.run("tier", "set", "B", "scripted")
        self.name("tiered", "--tiered")
        spec = self.nm.json("config", "show", "agent.tier_b", env={"NIGHTMILL_AGENT_TIER_B": "tiered"})
        self.assertIn("NIGHTMILL_AGENT_TIER_B", json.dumps(spec))
        repo = self.repo(PLAIN)
        ended, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, "--model", "B", env={"NIGHTMILL_AGENT_TIER_B": "tiered"})
        self.assertIn("agent tiered: agent.tier_b (environment NIGHTMILL_AGENT_TIER_B)", ended.err)
        self.assertEqual(task["configuration"], "tiered@1")

    def test_refused(self):
        for arguments, words in ((("codex", "--base", "builtin"), "already"), (("a b", "--base", "builtin"), "letters, digits"), (("x",), "which agent"), (("x", "--base", "nobody"), "which agent it is"),
                                 (("x", "--base", "codex", "--all"), "belongs to")):
            ended = self.nm.run("agent", "set", *arguments)
            self.assertNotEqual(ended.code, 0, ended)
            self.assert_one_sentence(ended, words)

    def test_race_of_named_ones(self):
        self.name("one", "--one")
        self.name("two", "--two")
        repo = self.repo(PLAIN)
        self.nm.run("run", PLAIN_TASK, "--race", "one,two:other", "--best", "--check", PLAIN_CHECK, cwd=repo.path, code=0, seconds=120)
        trial = self.nm.api("GET", "/api/v1/trials")[1]["trials"][0]
        self.assertEqual([(a["configuration"], a["model"]["name"]) for a in trial["attempts"]], [("one@1", "scripted"), ("two@1", "other")])


class Mcp(Foreign):
    def project(self, env=""):
        return {**PLAIN, "tools/echo.py": (self.fakes / "mcp_server.py").read_text(encoding="utf-8"),
                "nightmill.yaml": "mcp:\n  echo: {command: /usr/bin/python3, args: [/workspace/tools/echo.py, --quiet]" + env + "}\n"}

    def setUp(self):
        super().setUp()
        self.fakes = ROOT / "tests" / "fakes"

    def test_handed_over(self):
        _, task = self.agent("mcp", files=self.project(", env: {TOKEN: open}"), code=0)
        self.assert_state(task, "done")
        self.assertIn("MCP echo echo two open --quiet", self.said(task))

    def test_secrets_are_placeholders(self):
        env = {"NIGHTMILL_EGRESS_SECRETS": "DOCS_TOKEN=docs.example.org", "NIGHTMILL_EGRESS_HOSTS": "docs.example.org"}
        self.nm.env["DOCS_TOKEN"] = "the-real-token-5f1c9"
        _, task = self.agent("mcp", files=self.project(", env: {TOKEN: \"${DOCS_TOKEN}\"}"), code=0, env=env)
        self.assert_state(task, "done")
        said = next(text for text in self.said(task) if text.startswith("MCP echo"))
        self.assertNotIn("the-real-token-5f1c9", said)
        self.assertNotIn("${", said)
        self.assertNotIn(" - ", said)

    def test_a_secret_that_is_not_lent(self):
        ended, task = self.agent("mcp", files=self.project(", env: {TOKEN: \"${DOCS_TOKEN}\"}"))
        self.assert_state(task, "needs_you", "agent")
        self.assertIn("${DOCS_TOKEN}", task["words"])

    def test_the_built_in_agent_has_no_use_for_them(self):
        self.model(script(plain_honest()))
        repo = self.repo(self.project())
        ended, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        self.assert_state(task, "done")
        self.assertIn("has no use for MCP servers", ended.err)


if __name__ == "__main__":
    unittest.main()
