"""What an agent of the Agent Client Protocol asks a person: an approval, answered once, whatever is killed meanwhile."""
import sqlite3
import unittest

from harness import CANARY_KEY, RESTING, alive, script, turn, wait_for
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK
from test_agents import Foreign

ASK = {"NIGHTMILL_AGENT_APPROVAL": "ask"}


class Question(Foreign):
    seconds = 200

    def ask(self, *words, flags=(), env=None):
        """A task whose agent has asked: its id."""
        self.scripted = self.model(script([turn(text="I write it.")]), key=CANARY_KEY)
        self.nm.env.update({"NIGHTMILL_MODEL_KEY": CANARY_KEY, "NIGHTMILL_AGENT_NAME": "acp"})
        self.repo_ = self.repo(PLAIN)
        ended = self.nm.run("run", PLAIN_TASK, "--agent", "acp", "--check", PLAIN_CHECK, "--detach", *flags, cwd=self.repo_.path, code=0,
                            env={**self.deed("acp", *words), **ASK, **(env or {})})
        task = ended.out.strip()
        self.nm.wait_state(task, "needs_you")
        return task

    def waiting(self, task, seconds=40):
        """The approval that waits, once there is one."""
        return wait_for("a question", seconds, lambda: next((a for a in self.nm.api("GET", "/api/v1/approvals")[1]["approvals"] if a["task"] == task), None))

    def heard_answers(self, task):
        return [text for text in self.said(task) if text.startswith("HEARD")]

    def test_approved(self):
        task = self.ask("2")
        approval = self.waiting(task)
        self.assertEqual(approval["gate"], "agent")
        for words in ("write file.txt", "command: printf 'two' >> file.txt", "file.txt\n-one\n+one\n+two\n"):
            self.assertIn(words, approval["subject"])
        worked = self.nm.task(task)["worked_s"]
        shown = self.nm.run("show", task, code=0).out
        self.assertIn(f"nightmill approve {approval['id']}", shown)
        self.nm.run("approve", approval["id"], code=0)
        second = wait_for("the second question", 30, lambda: [a for a in self.nm.task(task)["approvals"] if a["outcome"] == "waiting"])[0]
        self.assertIn("command: true 1", second["subject"])
        self.nm.run("approve", second["id"], code=0)
        done = self.nm.wait_state(task, "done")
        self.assertEqual(len(self.heard_answers(task)), 2)
        self.assertEqual([e["data"]["outcome"] for e in self.nm.events(task, "agent.answered")], ["approved", "approved"])
        self.assertLess(done["worked_s"] - worked, 60)
        self.assertEqual(len(self.nm.events(task, "runner.started")), 1)  # the agent waited, and so did its runner

    def test_refused(self):
        task = self.ask(flags=("--iterations", "1"))
        self.nm.run("deny", self.waiting(task)["id"], "not this way", code=0)
        paused = self.nm.wait_state(task, RESTING)
        self.assertEqual(self.finished(task)[0]["end"], "refused", paused)
        self.assertIn("'no'", self.heard_answers(task)[0])

    def test_expired_is_refused(self):
        task = self.ask(flags=("--iterations", "1"))
        with sqlite3.connect(self.nm.data / "nightmill.db", timeout=20) as db:  # its time is over
            db.execute("UPDATE approval SET expires_ns = 1 WHERE task_id = ?", (task,))
        db.close()
        wait_for("the refusal", 60, lambda: self.finished(task))
        self.assertEqual(self.finished(task)[0]["end"], "refused")
        self.assertEqual([a["outcome"] for a in self.nm.task(task)["approvals"]], ["expired"])

    def test_stopped_while_it_waits(self):
        task = self.ask()
        self.nm.run("stop", task, code=0)
        self.nm.wait_state(task, "stopped")
        wait_for("the end of its runner", 20, lambda: not self.inside())
        self.assertEqual(self.nm.api("GET", "/api/v1/approvals")[1]["approvals"], [])
        self.assertEqual(self.heard_answers(task), [])

    def test_another_task_takes_its_place(self):
        self.nm.env["NIGHTMILL_TASKS_PARALLEL"] = "1"
        task = self.ask()
        other = self.nm.run("run", PLAIN_TASK, "--agent", "command", "--check", PLAIN_CHECK, "--iterations", "1", "--detach", cwd=self.repo_.path, code=0, env=self.deed("nothing")).out.strip()
        self.nm.wait_state(other, RESTING)
        self.nm.run("approve", self.waiting(task)["id"], code=0)
        self.nm.wait_state(task, "done")

    def test_runner_killed(self):
        task = self.ask()
        approval = self.waiting(task)
        self.nm.kill9("runner", task)
        wait_for("the end of the agent", 20, lambda: not self.inside())
        self.nm.run("approve", approval["id"], code=0)
        self.nm.wait_state(task, "done")
        # The agent asked again, the same: the answer that was given counted, once, and nobody was asked twice.
        self.assertEqual([a["outcome"] for a in self.nm.task(task)["approvals"]], ["approved"])
        self.assertEqual(len(self.nm.events(task, "agent.answered")), 1)
        self.assertEqual(len(self.heard_answers(task)), 1)

    def test_runner_killed_after_an_answer(self):
        task = self.ask("2")
        self.nm.run("approve", self.waiting(task)["id"], code=0)
        wait_for("the second question", 30, lambda: [a for a in self.nm.task(task)["approvals"] if a["outcome"] == "waiting"])
        self.nm.kill9("runner", task)
        self.nm.run("approve", self.waiting(task)["id"], code=0)
        # The first answer was heard by an agent that is no more: it is not used again.
        first = wait_for("the first question anew", 40, lambda: [a for a in self.nm.task(task)["approvals"] if a["outcome"] == "waiting"])[0]
        self.assertIn("write file.txt", first["subject"])
        self.nm.run("approve", first["id"], code=0)
        self.nm.wait_state(task, "done")
        sequences = [e["data"]["sequence"] for e in self.nm.events(task, "agent.answered")]
        self.assertEqual(len(sequences), len(set(sequences)))
        self.assertEqual(len(sequences), 3)

    def test_server_killed(self):
        task = self.ask()
        approval = self.waiting(task)
        runner = next(r["pid"] for r in self.nm.wait_status()["runners"] if r["task"] == task)
        self.nm.kill9("server")
        self.nm.wait_status(40)
        self.assertTrue(alive(runner))
        self.nm.run("approve", approval["id"], code=0)
        self.nm.wait_state(task, "done")
        self.assertEqual(len(self.heard_answers(task)), 1)


if __name__ == "__main__":
    unittest.main()
