"""Real coding agents at work: each that is installed is tried by `nightmill agent test`, then driven by `nightmill run --agent` through the gateway to the provider for tests.

  run.py [--tally FILE] [NAME...]     NAME: only tests of that agent, or with that word in their name

Agents are taken from the folder in NIGHTMILL_TEST_AGENTS, else from where `nightmill agent install` puts them for this user. Those that are not there are skipped with a sentence.
"""
import argparse
import os
import pathlib
import signal
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from gateway import Upstream  # noqa: E402
from harness import Case, descendants, wait_for  # noqa: E402

AGENTS = ("codex", "claude", "opencode", "gemini", "qwen", "continue", "pi", "copilot", "cline")
NO_TOKENS = ("continue", "copilot")  # report none
LEAVES = {"cline": 1}                # processes that it leaves running at its end, by its own design
# The shell tool of each, and its arguments.
TOOLS = {"codex": ("exec_command", lambda c: {"cmd": c}), "claude": ("Bash", lambda c: {"command": c, "description": "w"}), "opencode": ("bash", lambda c: {"command": c, "description": "w"}),
         "gemini": ("run_shell_command", lambda c: {"command": c}), "qwen": ("run_shell_command", lambda c: {"command": c, "is_background": False}), "continue": ("Bash", lambda c: {"command": c}),
         "pi": ("bash", lambda c: {"command": c}), "copilot": ("bash", lambda c: {"command": c, "description": "w"}), "cline": ("run_commands", lambda c: {"commands": [c]})}
RIGHT = "printf 'hello\\n' > hello.txt"
SECOND = "if [ -e hello.txt ]; then printf 'hello\\n' > hello.txt; else printf 'wrong\\n' > hello.txt; fi"
CHECK = "grep -qx hello hello.txt"
TASK = "Write a file hello.txt that holds one line: hello"


def installed_in():
    if os.environ.get("NIGHTMILL_TEST_AGENTS"):
        return pathlib.Path(os.environ["NIGHTMILL_TEST_AGENTS"])
    if os.geteuid() == 0:
        return pathlib.Path("/var/lib/nightmill/agents")
    return pathlib.Path(os.environ.get("XDG_DATA_HOME") or pathlib.Path.home() / ".local" / "share") / "nightmill" / "agents"


class Agent:
    """The tests of one agent; a class below is made of it for each."""
    agent = None

    def setUp(self):
        folder = installed_in() / self.agent
        if not (folder / "node_modules").is_dir():
            self.skipTest(f"{self.agent} is not installed ('nightmill agent install {self.agent}'; it would be in {folder})")
        super().setUp()
        self.nm.data.mkdir(mode=0o700)
        (self.nm.data / "agents").mkdir(mode=0o755)
        (self.nm.data / "agents" / self.agent).symlink_to(folder.resolve())
        self.nm.env.update({"NIGHTMILL_RETRY_FIRST": "1", "NIGHTMILL_RETRY_MOST": "1", "NIGHTMILL_AGENT_GRACE": "1", "NIGHTMILL_AGENT_TIME": "120"})

    def provider(self, command, **more):
        """The provider for tests, which asks for that command once in every iteration."""
        name = "gemini-2.5-pro" if self.agent == "gemini" else "fake"
        self.upstream = Upstream("--models", f"{name},gemini-2.5-flash,gemini-2.5-flash-lite")
        self.models.append(self.upstream)
        tool, arguments = TOOLS[self.agent]
        self.upstream.behave(script={"each": [{"name": tool, "args": arguments(command)}]}, **more)
        self.nm.env.update({"NIGHTMILL_MODEL_URL": self.upstream.url, "NIGHTMILL_MODEL_NAME": name, "NIGHTMILL_MODEL_KEY": "any"})

    def project(self):
        self.repo_ = self.repo({"README": "nothing yet\n"})
        self.before = self.repo_.state()
        return self.repo_

    def go(self, *flags):
        return self.do(self.project(), TASK, "--agent", self.agent, "--check", CHECK, *flags, seconds=400)

    def finished(self, task):
        return [e["data"] for e in self.nm.events(task["id"], "agent.finished")]

    def assert_counted(self, task):
        """Every answer of the provider is a row of the ledger, with the same tokens."""
        served = sorted((e["usage"]["input"] + e["usage"]["cache_read"], e["usage"]["output"]) for e in self.upstream.entries() if e["end"] == "whole" and e["usage"])
        counted = sorted((r["input"] + r["cache_read"], r["output"]) for r in self.nm.ledger(task["id"])["rows"])
        self.assertEqual(counted, served)

    def test_test(self):
        """The self-test of the product."""
        found = self.nm.json("agent", "test", self.agent, seconds=200)
        self.assertTrue(found["good"] and found["file_made"], found)
        self.assertEqual(found["outcome"], "done")
        self.assertEqual(found["requests"], 2)
        self.assertEqual((found["usage_known"], found["usage_equal"]), (self.agent not in NO_TOKENS,) * 2, found)
        self.assertLessEqual(found["processes_left"], LEAVES.get(self.agent, 0))
        print(f"{self.agent}: {found['elapsed_ms']} ms, first request after {found['first_request_ms']} ms", flush=True)

    def test_hello_repaired_in_the_second_iteration(self):
        self.provider(SECOND)
        _, task = self.go()
        self.assert_state(task, "done")
        self.assertEqual(task["iteration"], 2)
        self.assertEqual(self.repo_.show(task["branch"], "hello.txt"), "hello")
        for end in self.finished(task):
            self.assertEqual(end["end"], "done", end)
            self.assertLessEqual(end["left"], LEAVES.get(self.agent, 0))
        started = [e["data"]["resumed"] for e in self.nm.events(task["id"], "agent.started")]
        self.assertEqual(started, [False, self.agent != "cline"])
        self.assert_counted(task)

    def test_mcp_servers_of_the_project(self):
        """The agent starts the server that it was handed, in its sandbox, and asks it for its tools."""
        if self.agent == "pi":
            self.skipTest("pi has no MCP built in")
        if self.agent == "codex":
            self.skipTest("codex offers the tools of servers in namespaces, which only a provider that speaks Responses takes")
        self.provider(RIGHT)
        server = (ROOT / "tests" / "fakes" / "mcp_server.py").read_text(encoding="utf-8")
        files = {"tools/echo.py": server, "nightmill.yaml": "mcp:\n  ev: {command: /usr/bin/python3, args: [/workspace/tools/echo.py], env: {MARK: /workspace/asked.txt}}\n"}
        self.repo_ = self.repo({"README": "nothing yet\n", **files})
        _, task = self.do(self.repo_, TASK, "--agent", self.agent, "--check", f"{CHECK} && grep -qx tools/list asked.txt", "--iterations", "1", seconds=400)
        self.assert_state(task, "done")

    def test_stopped_in_the_middle(self):
        self.provider(RIGHT, event_ms=30000)
        ended = self.nm.run("run", TASK, "--agent", self.agent, "--check", CHECK, "--detach", cwd=self.project().path, code=0)
        task = ended.out.strip()
        wait_for("a request", 90, lambda: any(e["model"] for e in self.upstream.entries()))
        time.sleep(1)
        self.nm.run("stop", task, code=0)
        self.nm.wait_state(task, "stopped", 60)
        wait_for("no process left", 20, lambda: not [line for _, line in descendants(os.getpid(), {self.upstream.process.pid}) if "bwrap" in line])
        self.assert_nothing_delivered(self.repo_, self.before)

    def test_wrong_key(self):
        self.provider(RIGHT)
        self.upstream.behave(status=401)
        _, task = self.go("--iterations", "1")
        self.assertIn(task["state"], ("needs_you", "paused"), task)
        self.assert_nothing_delivered(self.repo_, self.before)

    def test_provider_fails_and_is_full(self):
        self.provider(RIGHT)
        self.upstream.behave(status=500, times=1)
        self.upstream.behave(status=429, retry_after="1", times=1)
        _, task = self.go()
        self.assert_state(task, "done")
        self.assertEqual([e["end"] for e in self.finished(task)], ["done"])


for _name in AGENTS:
    _class = _name.capitalize()
    globals()[_class] = type(_class, (Agent, Case), {"agent": _name, "__module__": __name__})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--tally")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    suite = unittest.TestSuite()
    for name in AGENTS:
        for test in unittest.defaultTestLoader.loadTestsFromTestCase(globals()[name.capitalize()]):
            if not args.names or any(word == name if word in AGENTS else word in test.id() for word in args.names):
                suite.addTest(test)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    failed = len(result.failures) + len(result.errors)
    for why in sorted({reason for _, reason in result.skipped}):
        print(f"skipped: {why}")
    if args.tally:
        with open(args.tally, "a", encoding="ascii") as f:
            f.write(f"{result.testsRun - failed - len(result.skipped)} {failed} {len(result.skipped)}\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
