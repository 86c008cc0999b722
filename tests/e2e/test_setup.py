"""What setup commands make is there for the agent and the checks, is made once, and its failure is an end of its own; what a run writes to disk has a limit."""
import json

from harness import Case, finish, run, script, turn, write

FILES = {
    "need.lock": "1\n",
    "requirements.txt": "one==1\n",
    "file.txt": "one\n",
    ".gitignore": "deps/\n",
    "check.sh": "grep -qx dependency deps/lib && grep -qx two file.txt && ! touch deps/x 2>/dev/null\n",
    "nightmill.yaml": "setup: ['mkdir deps && echo dependency >deps/lib && echo ran >>deps/count']\nchecks:\n  lines: sh check.sh\n",
}
TASK = "Add a line with the word two to file.txt"
RIGHT = write("file.txt", "one\ntwo\n")


class SetupLayers(Case):
    seconds = 240

    def test_agent_and_checks_stand_on_it(self):
        self.model(script([turn(run("cat deps/lib deps/count; rm -rf deps; echo lie >deps/lib; cat deps/lib")), turn(RIGHT), turn(finish("Added."))],
                          [turn(RIGHT), turn(finish("Added."))]))
        repo = self.repo(FILES)
        before = repo.state()
        _, task = self.do(repo, TASK, code=0)
        self.assert_state(task, "done")
        events = self.nm.events(task["id"])
        ready = [e["data"] for e in events if e["type"] == "setup.ready"]
        self.assertEqual([(r["made"], r["paths"]) for r in ready], [(True, ["/workspace/deps"])])
        self.assertEqual([e["data"]["exit_code"] for e in events if e["type"] == "setup.finished"], [0])
        said = json.dumps([e["data"] for e in events if e["type"] == "tool.finished"])
        self.assertIn("dependency\\nran\\n", said)
        self.assertIn("Read-only file system", said)
        self.assertEqual(sorted(repo.files(task["branch"])), sorted(FILES))
        repo.git("branch", "-q", "-D", task["branch"])
        self.assertEqual(repo.state(), before)
        # The second task finds it.
        _, second = self.do(repo, TASK, code=0)
        self.assert_state(second, "done")
        again = [e for e in self.nm.events(second["id"]) if e["type"].startswith("setup.")]
        self.assertEqual([(e["type"], e["data"]["made"]) for e in again], [("setup.ready", False)])
        self.assertEqual(again[0]["data"]["key"], ready[0]["key"])
        # A verdict by hand stands on it too.
        self.nm.run("verify", second["commit"], cwd=repo.path, code=0)

    def test_failure_is_told_and_tried_again(self):
        self.model(script([turn(RIGHT), turn(finish("Added."))]))
        repo = self.repo({**FILES, "nightmill.yaml": "setup: ['echo unhappy; exit 4']\nchecks:\n  lines: sh check.sh\n"})
        ended, task = self.do(repo, TASK)
        self.assert_state(task, "needs_you", "setup")
        self.assertIn("exit status 4", task["words"])
        self.assertIn("unhappy", ended.out)
        self.assertNotEqual(ended.code, 0)
        self.assertEqual([e["type"] for e in self.nm.events(task["id"]) if e["type"] in ("iteration.started", "setup.ready")], [])

    def test_without_network_says_so(self):
        self.model(script([turn(RIGHT), turn(finish("Added."))]))
        repo = self.repo({**FILES, "nightmill.yaml": "setup: ['getent hosts example.org || { echo Could not resolve host: example.org; false; }']\nchecks:\n  lines: sh check.sh\n"})
        _, task = self.do(repo, TASK)
        self.assert_state(task, "needs_you", "setup")
        self.assertIn("network", task["words"])

    def test_filling_the_disk_pauses(self):
        self.model(script([turn(run("head -c 200M /dev/zero >big; sleep 30")), turn(RIGHT), turn(finish("Added."))]))
        self.nm.env["NIGHTMILL_SANDBOX_DISK"] = "64M"
        repo = self.repo({"file.txt": "one\n", "check.sh": "grep -qx two file.txt\n"})
        _, task = self.do(repo, TASK, "--check", "sh check.sh")
        self.assert_state(task, "paused", "limit_disk")
        self.assertIn("64.0 MiB", task["words"])

    def test_a_check_that_fills_the_disk_is_red(self):
        self.model(script([turn(RIGHT), turn(finish("Added."))]))
        self.nm.env["NIGHTMILL_SANDBOX_DISK"] = "64M"
        repo = self.repo({"file.txt": "one\n"})
        _, task = self.do(repo, TASK, "--check", "head -c 200M /dev/zero >big; sleep 30", "--iterations", "1")
        self.assert_state(task, "paused", "limit_iterations")
        runs = [r for e in self.nm.events(task["id"]) if e["type"] == "verdict" for r in e["data"]["verdict"]["runs"]]
        self.assertTrue(runs and runs[0]["disk_limit"], runs)
