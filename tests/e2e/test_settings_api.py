"""Settings over the API and the command line: who wins, what is refused, conflicts, history, and that every part of the program sees the same value."""
import http.client
import json
import subprocess

from harness import Case, UnixConnection, script, wait_for
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK, plain_honest, plain_wrong


class Settings(Case):
    needs_sandbox = False
    seconds = 180

    def ask(self, method, path, body=None, **headers):
        """(status, document, ETag)."""
        connection = UnixConnection(str(self.nm.data / "run" / "nightmill.sock"), 20)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json", **given})
            answer = connection.getresponse()
            raw = answer.read()
            return answer.status, json.loads(raw) if raw else None, answer.headers["ETag"]
        finally:
            connection.close()

    def row(self, name):
        status, row, _ = self.ask("GET", f"/api/v1/settings/{name}")
        self.assertEqual(status, 200, row)
        return row

    def restart(self, env=None):
        self.nm.run("daemon", "stop", code=0)
        self.nm.run("daemon", "start", code=0, env=env)

    def test_every_row_says_all(self):
        self.nm.run("daemon", "start", code=0)
        status, page, _ = self.ask("GET", "/api/v1/settings")
        self.assertEqual(status, 200)
        names = [r["name"] for r in page["settings"]]
        self.assertEqual(sorted(names), sorted(r["name"] for r in self.nm.json("config", "show")))
        groups = {g["name"] for g in page["groups"]}
        for row in page["settings"]:
            self.assertIn(row["group"], groups, row)
            self.assertIn(row["applies"], ("at once", "next task", "daemon start"), row)
            self.assertTrue(row["help"], row)
            if row["type"] in ("number", "duration", "size", "money"):
                self.assertIsNotNone(row["least"], row)
            if row["type"] == "choice":
                self.assertIn(row["value"], row["choices"], row)
            if row["type"] == "secret":
                self.assertIsNone(row["value"], row)
        self.assertFalse(page["restart_needed"])
        self.assertEqual(self.row("data.dir")["origin"], "environment")

    def test_the_file_is_checked_before_the_next_start(self):
        file = self.folder / "mine.yaml"
        file.write_text("tasks:\n  parallel: 3\n", encoding="utf-8")
        self.nm.env["NIGHTMILL_CONFIG"] = str(file)
        self.nm.run("daemon", "start", code=0)
        _, before, _ = self.ask("GET", "/api/v1/settings/check")
        self.assertEqual(before, {"file": str(file), "file_exists": True, "problems": []})
        file.write_text("tasks:\n  parallel: 9000\nnonsense: 1\n", encoding="utf-8")
        status, after, _ = self.ask("GET", "/api/v1/settings/check")
        self.assertEqual((status, after["file_exists"], len(after["problems"])), (200, True, 2), after)
        self.assertEqual(after["problems"], [line for line in self.nm.run("config", "check", code=2).err.splitlines() if line])
        file.write_text("", encoding="utf-8")

    def test_a_value_is_judged_set_seen_everywhere_and_taken_back(self):
        self.nm.run("daemon", "start", code=0)
        before = self.row("limits.turns")
        self.assertEqual((before["value"], before["origin"], before["version"], before["number"]), ("60", "default", 0, 60))
        for wrong in ("0", "many", "10001", "", None, [1], {"a": 1}):
            status, problem, _ = self.ask("PUT", "/api/v1/settings/limits.turns", {"value": wrong})
            self.assertEqual(status, 400, (wrong, problem))
        self.assertEqual(self.row("limits.turns"), before)
        for name, wrong in (("money.zone", "Nowhere/Town"), ("egress.hosts", "exa mple.org"), ("egress.private", "10.0.0.0/99"), ("egress.resolve", "name"),
                            ("egress.secrets", "x"), ("egress.upstream_ca", "/nonexistent.pem"), ("model.url", "ftp://x"), ("agent.folder", "/nonexistent")):
            status, problem, _ = self.ask("PUT", f"/api/v1/settings/{name}", {"value": wrong})
            self.assertEqual((status, problem["title"].startswith(name)), (400, True), (name, problem))
        status, row, tag = self.ask("PUT", "/api/v1/settings/limits.turns", {"value": 80})
        self.assertEqual((status, row["value"], row["origin"], row["set_by"], tag), (200, "80", "set", "owner", f'"{row["version"]}"'))
        # the command line, with the daemon and without it
        for _ in range(2):
            shown = self.nm.json("config", "show", "limits.turns")[0]
            self.assertEqual(shown["value"], "80")
            self.assertIn("by owner", shown["origin"])
            self.nm.run("daemon", "stop", code=0)
        # file and environment win, and lock it
        self.nm.run("daemon", "start", code=0, env={"NIGHTMILL_LIMITS_TURNS": "70"})
        row = self.row("limits.turns")
        self.assertEqual((row["value"], row["origin"], row["locked"], row["set_value"]), ("70", "environment", True, "80"))
        self.assertIn("NIGHTMILL_LIMITS_TURNS", row["locked_reason"])
        status, problem, _ = self.ask("PUT", "/api/v1/settings/limits.turns", {"value": 90})
        self.assertEqual((status, problem["code"]), (409, "conflict"))
        self.restart()
        self.assertEqual(self.row("limits.turns")["value"], "80")
        self.nm.run("config", "unset", "limits.turns", code=0)
        self.assertEqual((self.row("limits.turns")["value"], self.row("limits.turns")["origin"]), ("60", "default"))
        self.assertEqual(self.nm.json("config", "show", "limits.turns")[0]["origin"], "default")

    def test_rows_of_the_start_are_locked(self):
        self.nm.run("daemon", "start", code=0)
        for name in ("data.dir", "seal.key_file", "server.tls_certificate"):
            self.assertTrue(self.row(name)["locked"], name)
            self.assertEqual(self.ask("PUT", f"/api/v1/settings/{name}", {"value": "/tmp/x"})[0], 409, name)
        self.assertEqual(self.ask("PUT", "/api/v1/settings/limits.turn", {"value": 1})[0], 404)

    def test_two_people_at_one_setting(self):
        self.nm.run("daemon", "start", code=0)
        _, _, seen = self.ask("GET", "/api/v1/settings/limits.turns")
        status, first, _ = self.ask("PUT", "/api/v1/settings/limits.turns", {"value": "61"}, If_Match=seen)
        self.assertEqual(status, 200)
        status, problem, _ = self.ask("PUT", "/api/v1/settings/limits.turns", {"value": "62"}, If_Match=seen)
        self.assertEqual((status, problem["code"]), (412, "conflict"))
        self.assertIn("61 by owner", problem["title"])
        self.assertEqual(self.row("limits.turns")["value"], "61", "nothing is lost")
        self.assertEqual(self.ask("DELETE", "/api/v1/settings/limits.turns", If_Match=seen)[0], 412)
        self.assertEqual(self.ask("PUT", "/api/v1/settings/limits.turns", {"value": "62"}, If_Match="nonsense")[0], 412)
        self.assertEqual(self.ask("PUT", "/api/v1/settings/limits.turns", {"value": "62"}, If_Match=f'"{first["version"]}"')[0], 200)
        self.assertEqual(self.ask("PUT", "/api/v1/settings/limits.turns", {"value": "62"})[1]["version"], self.row("limits.turns")["version"], "the same value is no change")

    def test_history_and_revert(self):
        self.nm.run("config", "set", "limits.turns", "70", code=0)
        self.nm.run("config", "set", "limits.turns", "80", code=0)
        self.nm.run("config", "set", "check.feedback", "8k", code=0)
        changes = self.ask("GET", "/api/v1/settings/history?name=limits.turns")[1]["changes"]
        self.assertEqual([(c["from"], c["to"], c["by"]) for c in changes], [("70", "80", "owner"), (None, "70", "owner")])
        ended = self.nm.run("config", "history")
        self.assertEqual(ended.out.count("\n"), 3, ended)
        self.assertEqual(self.ask("POST", "/api/v1/settings/revert", {"id": changes[1]["id"]})[0], 409, "a newer change would be lost")
        self.nm.run("config", "revert", changes[0]["id"], code=0)
        self.assertEqual(self.row("limits.turns")["value"], "70")
        newest = self.ask("GET", "/api/v1/settings/history?limit=1")[1]
        self.assertEqual((newest["changes"][0]["reverts"], newest["next"]), (changes[0]["id"], newest["changes"][0]["id"]))
        version = self.row("limits.turns")["version"]
        status, row, _ = self.ask("POST", "/api/v1/settings/revert", {"id": changes[1]["id"]}, If_Match=f'"{version}"')
        self.assertEqual((status, row["value"], row["origin"]), (200, "60", "default"))
        self.assertEqual(self.ask("POST", "/api/v1/settings/revert", {"id": 99999})[0], 404)

    def test_at_once_pending_and_what_the_copy_says_after_a_crash(self):
        self.nm.run("daemon", "start", code=0)
        self.assertFalse(self.ask("PUT", "/api/v1/settings/money.zone", {"value": "Europe/Berlin"})[1]["pending"])
        self.assertEqual(self.ask("GET", "/api/v1/ledger?by=day")[1]["zone"], "Europe/Berlin", "at once")
        row = self.ask("PUT", "/api/v1/settings/model.idle", {"value": "90s"})[1]
        self.assertEqual((row["value"], row["pending"], row["running"]), ("1m30s", True, "5m"))
        self.assertTrue(self.ask("GET", "/api/v1/settings")[1]["restart_needed"])
        copy = self.nm.data / "settings.json"
        self.assertEqual(copy.stat().st_mode & 0o777, 0o600)
        copy.write_text("no JSON")  # as if the machine had gone down between the database and the copy
        self.nm.kill9("server")
        wait_for("the next server", 20, lambda: self.nm.status())
        self.assertEqual(self.row("model.idle")["pending"], False)
        self.assertEqual(json.loads(copy.read_text())["model.idle"]["value"], "1m30s")
        self.assertEqual(self.nm.json("config", "show", "model.idle")[0]["value"], "1m30s")

    def test_a_stored_value_that_means_nothing_any_more_keeps_nobody_from_working(self):
        authority = self.folder / "ca.pem"
        self.nm.run("daemon", "start", code=0)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=x", "-keyout",
                        str(self.folder / "ca.key"), "-out", str(authority)], check=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        self.assertEqual(self.ask("PUT", "/api/v1/settings/egress.upstream_ca", {"value": str(authority)})[0], 200)
        authority.unlink()
        self.restart()
        self.assertEqual((self.row("egress.upstream_ca")["value"], self.row("egress.upstream_ca")["set_value"]), ("", str(authority)))


class SettingsOfATask(Case):
    seconds = 120

    def test_the_next_task_has_it(self):
        self.model(script(plain_wrong("three"), plain_wrong("four"), plain_honest()))
        repo = self.repo(PLAIN)
        self.nm.run("config", "set", "limits.adaptive", "false", code=0)
        self.nm.run("config", "set", "limits.iterations_medium", "2", code=0)
        ended, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=8)
        self.assert_state(task, "paused", "limit_iterations")
        self.assertEqual(task["spec"]["settings"]["limits.iterations_medium"], 2)
        bare = {k: v for k, v in task["spec"].items() if k != "settings"}
        status, other = self.nm.api("POST", "/api/v1/tasks", bare)
        self.assertEqual(status, 201, other)
        self.assertEqual(self.nm.task(other["id"])["spec"]["settings"], task["spec"]["settings"], "a spec without settings has the server's")
        self.nm.run("stop", other["id"], code=0)
        self.assertEqual([k for k in task["spec"]["settings"] if "password" in k], [], "no secrets in what a runner gets")
