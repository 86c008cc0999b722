"""How the installation is: what the API and `nightmill doctor` find is the same; the sandboxes that are open."""

from harness import Case, run, script, turn, wait_for
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK


class Health(Case):
    needs_sandbox = False
    seconds = 120

    def look(self, path="/api/v1/health?fresh=1"):
        status, document = self.nm.api("GET", path)
        self.assertEqual(status, 200, document)
        return document

    def test_the_same_findings_as_doctor(self):
        self.nm.run("daemon", "start", code=0)
        report = self.look()
        names = {c["name"] for c in report["components"]}
        self.assertLessEqual({"version", "clock", "sandbox", "git", "disk", "data", "database", "providers", "proxy", "runners", "addresses", "notifications", "settings"}, names)
        self.assertNotIn("machine", names, "the machine was looked at")
        grades = {f["grade"] for f in report["findings"]}
        self.assertLessEqual(grades, {"ok", "note", "warning", "failed"})
        self.assertEqual(report["verdict"], max(grades, key=["ok", "note", "warning", "failed"].index))
        self.assertTrue(report["words"].endswith("."))
        doctor = {(r["name"], r["grade"]) for r in self.nm.json("doctor", code=None)["rows"]}
        self.assertLessEqual({(f["name"], f["grade"]) for f in report["findings"]}, doctor)
        self.nm.run("daemon", "stop", code=0)
        alone = {r["name"] for r in self.nm.json("doctor", code=None)["rows"]}
        self.assertLessEqual({"git", "sandbox", "disk", "data folder"}, alone, "and without a daemon the machine is looked at all the same")

    def test_a_look_is_kept_for_a_moment(self):
        self.nm.run("daemon", "start", code=0)
        first = self.look("/api/v1/health")
        self.assertEqual(self.look("/api/v1/health")["checked_at"], first["checked_at"])

    def test_what_is_wrong_is_said(self):
        self.nm.run("daemon", "start", code=0, env={"NIGHTMILL_NOTIFY_PRIVATE": ""})
        self.assertEqual(self.nm.api("POST", "/api/v1/notifications/channels", {"kind": "webhook", "target": "https://127.0.0.1:1/", "levels": ["digest"]})[0], 201)
        self.nm.api("PUT", "/api/v1/settings/model.idle", {"value": "90s"})
        findings = {f["name"]: f for f in self.look()["findings"]}
        self.assertEqual(findings["stored settings"]["grade"], "note")
        self.assertIn("next start", findings["stored settings"]["evidence"])


class Sandboxes(Case):
    seconds = 120

    def test_open_ones(self):
        model = self.model(script([turn(run("sleep 30 & sleep 31 & touch /tmp/started; wait", timeout=60))]))
        repo = self.repo(PLAIN)
        process = self.nm.start("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=repo.path)
        task, last = self.nm.newest(), []

        def seen():
            rows = self.nm.api("GET", "/api/v1/sandboxes")[1]["sandboxes"]
            last[:] = rows
            return next((r for r in rows if r["task"] == task and r["open"] and r["pids"] >= 3 and model.requests()), None)

        try:
            row = wait_for("the sandbox", 20, seen)
        except AssertionError as e:
            raise AssertionError(f"{e}: {last}\n{self.nm.event_words(task)}") from None
        self.assertTrue(row["connected"])
        self.assertGreater(row["memory_bytes"], 0)
        self.assertGreater(row["memory_limit"], 0)
        self.nm.run("stop", task, code=0)
        process.wait(30)
        wait_for("its end", 20, lambda: not self.nm.api("GET", "/api/v1/sandboxes")[1]["sandboxes"])
