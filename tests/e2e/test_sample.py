"""The sample task: proven from an empty folder, without a key, a network or any file of the source tree."""
import os
import pathlib
import shutil
import subprocess

from harness import Case, UnixConnection

EMPTY = {"PATH": "/usr/bin:/bin", "NIGHTMILL_MODEL_URL": "", "NIGHTMILL_MODEL_NAME": ""}


class Sample(Case):
    def setUp(self):
        super().setUp()
        self.nm.env.update(EMPTY)
        for name in ("NIGHTMILL_MODEL_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
            self.nm.env.pop(name, None)

    def verdict(self, task):
        verdict = self.nm.events(task, "verdict")[-1]["data"]["verdict"]
        self.assertEqual((verdict["outcome"], verdict["canary"]), ("proven", "trusted"), verdict)
        return verdict

    def git(self, repo, *arguments):
        return subprocess.run(["git", "-c", "safe.directory=*", *arguments], cwd=repo, check=True, capture_output=True, text=True).stdout

    def test_red_then_green_then_proven(self):
        ended = self.nm.run("sample", code=0)
        task = self.nm.task(self.nm.newest())
        self.assert_state(task, "done")
        self.assertEqual(task["iteration"], 2)
        outcomes = [e["data"]["verdict"]["outcome"] for e in self.nm.events(task["id"], "verdict")]
        self.assertEqual(outcomes, ["red", "proven"])
        self.assertIn("red at base, green now", self.verdict(task["id"])["proof_words"])
        self.assertIn("proven", ended.out + ended.err)
        # Asked five times, and nothing is owed to anybody.
        self.assertEqual([(row["provider"], row["cost"]) for row in self.nm.api("GET", f"/api/v1/ledger?task={task['id']}")[1]["rows"]], [("replay", "0.00")] * 5)
        # The project is there to look at, clean, with the result as a branch that does what was asked.
        repo = pathlib.Path(task["repo"])
        self.assertEqual(repo, self.nm.data / "sample" / "report")
        self.assertEqual(self.git(repo, "status", "--porcelain"), "")
        self.git(repo, "checkout", "-q", task["branch"])
        self.assertEqual(subprocess.run(["sh", "report.sh", "--json", "sales.csv"], cwd=repo, capture_output=True, text=True, check=True).stdout,
                         '{"tea":{"pieces":5,"cents":1750},"cups":{"pieces":2,"cents":900}}\n')
        self.git(repo, "checkout", "-q", "main")
        # The same as a patch over HTTP: it fits the base, and gives the tree that was delivered.
        connection = UnixConnection(str(self.nm.data / "run" / "nightmill.sock"), 20)
        connection.request("GET", f"/api/v1/tasks/{task['id']}/changes/raw")
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.getheader("Content-Type")), (200, "text/x-diff; charset=utf-8"))
        (self.folder / "it.patch").write_bytes(answer.read())
        connection.close()
        self.git(repo, "apply", "--index", str(self.folder / "it.patch"))
        self.assertEqual(self.git(repo, "write-tree"), self.git(repo, "rev-parse", f"{task['branch']}^{{tree}}"))
        self.git(repo, "reset", "-q", "--hard")
        self.another(repo)

    def another(self, repo):
        """What people changed stays theirs. A copy of the program alone does it too, also for who set up another agent and a model that is not there."""
        (repo / "README.md").write_text("Mine.\n", encoding="utf-8")
        self.nm.stop_daemon()
        alone = self.folder / "bin" / "nightmill"
        alone.parent.mkdir()
        shutil.copy2(os.environ["NIGHTMILL_PROGRAM"], alone)
        self.nm.env.update({"NIGHTMILL_AGENT_NAME": "codex", "NIGHTMILL_MODEL_NAME": "not-there"})
        done = subprocess.run([str(alone), "sample", "--json"], cwd=self.folder, env=self.nm.env, capture_output=True, text=True, timeout=100, stdin=subprocess.DEVNULL, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.verdict(self.nm.newest())
        self.assertEqual(self.nm.task(self.nm.newest())["repo"], f"{repo}-2")
        self.assertEqual((repo / "README.md").read_text(encoding="utf-8"), "Mine.\n")

    def test_the_server_dies_in_the_middle(self):
        """Answers go on where the ledger says, not from the first."""
        task = self.nm.run("sample", "--detach", code=0).out.strip()
        self.nm.kill9("server")
        self.assertEqual(self.nm.wait_state(task, ("done",), 90)["iteration"], 2)
        self.verdict(task)
