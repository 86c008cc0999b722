"""Tasks over the interface: lists and counts, iterations, checks with their proof, changes, log, files, cost, answers; hostile bytes are data."""
import json
import os
import urllib.parse

from harness import Case, UnixConnection, finish, run, script, turn, wait_for, write
from projects import CALC, NEW_TEST, PLAIN, PLAIN_CHECK, PLAIN_TASK, TASK, UNITTEST, plain_honest, plain_wrong, second_try

HOSTILE = "printf '<script>alert(1)</script>\\n\\033[31mred\\033[0m \\033]0;title\\007x\\033[2J\\n10%%\\r20%%\\r100%%\\n\\342\\200\\256bidi\\nnul\\000here\\n\\377\\376bad\\n'; head -c 10000000 /dev/zero | tr '\\0' y; echo; echo end"


class Tasks(Case):
    def call(self, method, path, body=None, headers=None):
        """(status, headers, document or bytes)"""
        connection = UnixConnection(str(self.nm.data / "run" / "nightmill.sock"), 60)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {**({"Content-Type": "application/json"} if body is not None else {}), **(headers or {})})
            answer = connection.getresponse()
            raw = answer.read()
            found = dict(answer.getheaders())
            return answer.status, found, json.loads(raw) if raw and "json" in found.get("Content-Type", "") and "jsonl" not in found["Content-Type"] else raw
        finally:
            connection.close()

    def get(self, path, /, **query):
        status, _, document = self.call("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))
        self.assertEqual(status, 200, (path, document))
        return document

    def problem(self, status, method, path, body=None, headers=None):
        found, fields, document = self.call(method, path, body, headers)
        self.assertEqual((found, fields["Content-Type"]), (status, "application/problem+json"), (path, document))
        self.assertTrue(document["title"])
        return document

    def done(self, *iterations, files=CALC, text=TASK, check=UNITTEST, code=0):
        self.model(script(*iterations))
        self.repository = self.repo(files)
        self.do(self.repository, text, "--check", check, code=code)
        return self.nm.newest()

    def test_iterations_checks_changes_cost(self):
        task = self.done(*second_try())
        place = f"/api/v1/tasks/{task}"
        one, two = self.get(place + "/iterations")["iterations"]
        self.assertEqual([i["iteration"] for i in (one, two)], [1, 2])
        self.assertEqual((one["outcome"], two["outcome"]), ("red", "proven"))
        self.assertEqual((one["checks_passed"], one["checks_failed"], two["checks_passed"], two["checks_failed"]), (0, 1, 1, 0))
        self.assertEqual((one["same_failure"], two["same_failure"]), (1, 0))
        self.assertGreater(one["tests_failed"], 0)
        self.assertTrue(one["commit"] and two["commit"] and one["ended_at"] <= two["ended_at"])
        self.assertGreaterEqual(two["log_line"], one["log_line"] + 1)
        checks = self.get(place + "/checks")
        self.assertEqual([h["status"] for h in checks["checks"][0]["history"]], ["failed", "passed"])
        self.assertEqual([v["outcome"] for v in checks["verdicts"]], ["red", "proven"])
        proof = checks["verdicts"][1]
        self.assertEqual((proof["proof"], proof["canary"]), ("red_before_green", "trusted"))
        self.assertIn("red", {r["kind"] for r in proof["runs"]})
        self.assertNotIn("tail", proof["runs"][0])
        self.assertIn("tail", self.get(place + "/checks", iteration=1)["verdicts"][0]["runs"][0])
        # The whole, an iteration against the base, and what only the second one did.
        whole = self.get(place + "/changes")
        self.assertEqual([(f["path"], f["status"]) for f in whole["files"]], [("calc.py", "modified"), ("test_double.py", "added")])
        self.assertEqual((whole["files_count"], whole["iteration"], whole["truncated"]), (2, None, False))
        self.assertEqual([f["path"] for f in self.get(place + "/changes", iteration=2, **{"from": 1})["files"]], ["calc.py"])
        hunk = self.get(place + "/changes/file", path="calc.py", iteration=2, **{"from": 1})["hunks"][0]
        self.assertEqual([(k["kind"], k["text"]) for k in hunk["lines"] if k["kind"] != " "], [("-", "    return a + a + 1"), ("+", "    return a + a")])
        self.problem(404, "GET", place + "/changes/file?path=README.md")
        self.problem(400, "GET", place + "/changes/file?path=../calc.py")
        self.problem(404, "GET", place + "/changes?iteration=9")
        cost = self.get(place + "/cost")
        self.assertEqual([i["iteration"] for i in cost["by_iteration"]], [1, 2])
        self.assertEqual(sum(i["requests"] for i in cost["by_iteration"]), sum(m["requests"] for m in cost["by_model"]))
        self.assertEqual(len(cost["line"]), sum(i["requests"] for i in cost["by_iteration"]))
        # As described, too.
        description = self.get("/api/openapi.json")["paths"]
        for path in ("iterations", "checks", "changes", "changes/file", "log", "log/search", "log/sections", "log/steps", "files", "file", "cost"):
            self.assertIn("get", description["/api/v1/tasks/{id}/" + path], path)

    def test_log_of_hostile_output(self):
        task = self.done([turn(run(HOSTILE)), *plain_honest()], files=PLAIN, text=PLAIN_TASK, check=PLAIN_CHECK)
        place = f"/api/v1/tasks/{task}/log"
        log = self.get(place, count=5000)
        self.assertTrue(log["complete"])
        self.assertEqual([line["n"] for line in log["lines"]], list(range(1, log["total"] + 1)))
        texts = [line["text"] for line in log["lines"]]
        at = next(i for i, t in enumerate(texts) if t == "<script>alert(1)</script>")
        self.assertEqual(texts[at + 1:at + 6], ["\x1b[31mred\x1b[0m x", "100%", "\ufffdbidi", "nul\u2400here", "\ufffd\ufffdbad"])
        long_line = log["lines"][at + 6]
        self.assertEqual(set(long_line["text"]), {"y"})
        self.assertEqual(len(long_line["text"]) + long_line["cut"], 10000000)
        self.assertEqual(texts[at + 7], "end")
        self.assertEqual(log["lines"][at]["kind"], "tool")
        for text in texts:
            self.assertNotRegex(text.replace("\x1b[31m", "").replace("\x1b[0m", ""), r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
        # Windows, from the end too; sections; search with true totals.
        self.assertEqual([line["text"] for line in self.get(place, count=3, **{"from": at + 1})["lines"]], texts[at:at + 3])
        tail = self.get(place, **{"from": -5})
        self.assertEqual([line["text"] for line in tail["lines"]], texts[-5:])
        self.assertEqual(self.get(place, **{"from": log["total"] + 50})["lines"], [])
        first = self.get(place, iteration=1)
        self.assertEqual((first["from"], first["lines"][0]["text"]), (first["iteration_range"]["from"], texts[first["from"] - 1]))
        sections = self.get(place + "/sections")
        self.assertEqual(sum(s["lines"] for s in sections["sections"]), log["total"] - sections["sections"][0]["line"] + 1)
        # Steps: the command with all of its output, how it ended, and the checks; each has its title as its first line.
        steps = self.get(place + "/steps")
        mine = next(s for s in steps["steps"] if s["line"] <= at + 1 < s["line"] + s["lines"])
        self.assertEqual((mine["kind"], mine["ended"], mine["failed"], mine["exit_code"]), ("tool", True, False, 0))
        self.assertGreaterEqual(mine["ms"], 0)
        self.assertTrue(texts[mine["line"] - 1].startswith("run: "))
        self.assertEqual(texts[mine["line"] + mine["lines"] - 2], "exit code 0")
        checks = [s for s in steps["steps"] if s["kind"] == "check"]
        self.assertTrue(checks and all(s["ended"] and not s["failed"] and s["exit_code"] is not None for s in checks), checks)
        second = self.get(place + "/steps", count=1, **{"from": 1})
        self.assertEqual((second["steps"], second["next"], second["total"]), (steps["steps"][1:2], 2, len(steps["steps"])))
        self.assertEqual(self.get(place + "/steps", iteration=1)["total"], sum(s["iteration"] == 1 for s in steps["steps"]))
        self.assertEqual(self.get(place + "/sections", event=mine["event"], count=1)["sections"][0]["line"], mine["line"])
        self.assertEqual(self.get(place + "/search", q="script>alert", first=at + 2)["total"] + self.get(place + "/search", q="script>alert", last=at + 1)["total"],
                         self.get(place + "/search", q="script>alert")["total"])
        found = self.get(place + "/search", q="SCRIPT>alert")
        self.assertEqual((found["matches"][-1]["line"], found["total"]), (at + 1, sum("script>alert" in t.lower() for t in texts)))
        self.assertEqual(self.get(place + "/search", q="SCRIPT>alert", case=1)["total"], 0)
        self.assertEqual(self.get(place + "/search", q="e", limit=2)["total"], sum("e" in t.lower() for t in texts))
        self.problem(400, "GET", place + "/search")
        self.problem(400, "GET", place + "?from=x")
        self.problem(404, "GET", place + "?iteration=7")
        status, fields, raw = self.call("GET", place + "/raw")
        self.assertEqual((status, fields["Content-Type"]), (200, "text/plain; charset=utf-8"))
        self.assertIn("attachment", fields["Content-Disposition"])
        self.assertEqual(raw.count(b"\n"), log["total"])
        self.problem(404, "GET", "/api/v1/tasks/zzzzzzz/log")
        self.problem(404, "GET", "/api/v1/tasks/zzzzzzz/log/raw")

    def test_log_while_it_runs(self):
        self.model(script([turn(run("for i in 1 2 3; do echo line $i; done; while [ ! -e go ]; do sleep 0.1; done; echo after")), *plain_honest()]))
        repository = self.repo(PLAIN)
        self.nm.start("run", "--check", PLAIN_CHECK, PLAIN_TASK, cwd=repository.path)
        task = self.nm.newest()
        place = f"/api/v1/tasks/{task}/log"
        wait_for("lines of a running command", 30, lambda: self.get(place + "/search", q="line 3")["total"] == 1)
        before = [line["text"] for line in self.get(place, count=1000)["lines"]]
        self.assertNotIn("after", before)
        work = os.path.join(self.nm.task(task)["folder"], "work")
        with open(os.path.join(work, "go"), "w", encoding="ascii"):
            pass
        self.nm.wait_state(task, "done")
        after = [line["text"] for line in self.get(place, count=1000)["lines"]]
        self.assertEqual(after[:len(before)], before)  # a number stays that of its line
        self.assertIn("after", after)

    def test_files_stay_beneath(self):
        task = self.done([turn(run("ln -s / root; ln -s /etc/passwd pw; ln -s file.txt inside; mkdir -p sub/deep; echo x > sub/deep/a; printf '\\0\\1' > bin; mkfifo pipe")), *plain_honest()],
                         files=PLAIN, text=PLAIN_TASK, check=PLAIN_CHECK)
        place = f"/api/v1/tasks/{task}"
        entries = {e["name"]: e for e in self.get(place + "/files")["entries"]}
        self.assertEqual((entries["file.txt"]["kind"], entries["sub"]["kind"], entries["pw"]["kind"], entries["pipe"]["kind"]), ("file", "folder", "link", "other"))
        self.assertEqual([e["name"] for e in self.get(place + "/files", path="sub")["entries"]], ["deep"])
        self.assertEqual(self.get(place + "/file", path="file.txt")["text"], "one\ntwo\n")
        self.assertEqual(self.get(place + "/file", path="inside")["text"], "one\ntwo\n")
        self.assertEqual((self.get(place + "/file", path="bin")["binary"], self.get(place + "/file", path="bin")["text"]), (True, None))
        for path in ("../journal", "/etc/passwd", "sub/../../journal", "a\nb", "./file.txt"):
            self.problem(400, "GET", place + "/file?" + urllib.parse.urlencode({"path": path}))
        for path in ("pw", "root/etc/passwd", "pipe", "nothing", "sub"):
            status, _, document = self.call("GET", place + "/file?" + urllib.parse.urlencode({"path": path}))
            self.assertIn(status, (400, 403, 404), (path, document))
        self.assertIn(self.call("GET", place + "/files?path=root")[0], (400, 403, 404))
        self.problem(404, "GET", place + "/files?path=nothing")
        # As it was after an iteration, and at the base.
        self.assertEqual(self.get(place + "/file", path="file.txt", iteration=1)["text"], "one\ntwo\n")
        base = self.get(place + "/changes")["base"]
        self.assertEqual(self.get(place + "/file", path="file.txt", commit=base)["text"], "one\n")
        self.assertEqual([e["name"] for e in self.get(place + "/files", commit=base)["entries"]], ["check.sh", "file.txt"])
        self.assertEqual([(e["name"], e["kind"]) for e in self.get(place + "/files", iteration=1, path="sub")["entries"]], [("deep", "folder")])
        self.problem(400, "GET", place + "/files?commit=--help")
        status, fields, raw = self.call("GET", place + "/file/raw?path=bin")
        self.assertEqual((status, raw, fields["Content-Type"]), (200, b"\0\1", "application/octet-stream"))
        self.assertIn("attachment", fields["Content-Disposition"])
        self.problem(404, "GET", place + "/file/raw?path=nothing")

    def test_lists_counts_and_tags(self):
        first = self.done(plain_wrong(), plain_wrong("four"), plain_honest(), files=PLAIN, text=PLAIN_TASK, check=PLAIN_CHECK)
        spec = self.nm.task(first)["spec"]
        ids = [first]
        for text in ("Mend the Zebra crossing", "Mend the bridge", "Übergang prüfen"):
            status, _, made = self.call("POST", "/api/v1/tasks", {**spec, "text": text})
            self.assertEqual(status, 201, made)
            ids.append(made["id"])
            self.nm.wait_state(made["id"], ("done", "unproven", "failed", "needs_you", "paused", "stopped"))
            self.call("POST", f"/api/v1/tasks/{made['id']}/stop", {})
        listed = self.get("/api/v1/tasks")["tasks"]
        self.assertEqual([t["id"] for t in listed], ids[::-1])
        self.assertEqual(listed[0]["cost"]["currency"], listed[0]["limits"]["currency"])
        for text, want in (("zebra", [ids[1]]), ("MEND THE", [ids[2], ids[1]]), ("übergang", [ids[3]]), (ids[2], [ids[2]]), ("br", [ids[2], ids[1]]), ("nowhere", []), ('"; DROP', []), ("mend*", [])):
            self.assertEqual([t["id"] for t in self.get("/api/v1/tasks", text=text)["tasks"]], want, text)
            self.assertEqual(self.get("/api/v1/tasks/counts", text=text)["all"], len(want), text)
        counts = self.get("/api/v1/tasks/counts")
        self.assertEqual(counts["all"], len(ids))
        states = {}
        for t in listed:
            states[t["state"]] = states.get(t["state"], 0) + 1
        self.assertEqual({k: v for k, v in counts["states"].items() if v}, states)
        both = ",".join(sorted(states))
        self.assertEqual([t["id"] for t in self.get("/api/v1/tasks", state=both)["tasks"]], ids[::-1])
        self.assertEqual([t["id"] for t in self.get("/api/v1/tasks", state=both, limit=2, before=listed[1]["number"])["tasks"]], ids[::-1][2:4])
        self.assertEqual(len(self.get("/api/v1/tasks", agent=listed[0]["agent"])["tasks"]), len(ids))
        self.assertEqual(self.get("/api/v1/tasks", agent="nobody")["tasks"], [])
        self.problem(400, "GET", "/api/v1/tasks?state=done,sleeping")
        # Entity tags.
        status, fields, _ = self.call("GET", f"/api/v1/tasks/{first}")
        again, _, body = self.call("GET", f"/api/v1/tasks/{first}", headers={"If-None-Match": fields["ETag"]})
        self.assertEqual((status, again, body), (200, 304, b""))
        self.assertEqual(self.call("GET", f"/api/v1/tasks/{first}", headers={"If-None-Match": '"other"'})[0], 200)
        # The short forms, and figures.
        self.assertEqual(self.get(f"/tasks/{first}")["id"], first)
        self.assertEqual(self.get("/stats"), self.get("/api/v1/stats"))
        self.assertEqual(self.get("/stats")["tasks"]["all"], len(ids))
        self.assertGreater(self.get("/stats")["last_event"], 10)

    def test_created_once(self):
        first = self.done(plain_honest(), files=PLAIN, text=PLAIN_TASK, check=PLAIN_CHECK)
        spec = {**self.nm.task(first)["spec"], "text": "Again"}
        headers = {"Idempotency-Key": "abc-1"}
        status, fields, made = self.call("POST", "/api/v1/tasks", spec, headers)
        self.assertEqual((status, fields.get("Idempotency-Replayed")), (201, None), made)
        status, fields, again = self.call("POST", "/api/v1/tasks", spec, headers)
        self.assertEqual((status, fields.get("Idempotency-Replayed"), again["id"]), (201, "true", made["id"]))
        self.problem(422, "POST", "/api/v1/tasks", {**spec, "text": "Other"}, headers)
        self.problem(400, "POST", "/api/v1/tasks", spec, {"Idempotency-Key": "x" * 300})
        # What was refused leaves its key free.
        self.assertNotEqual(self.call("POST", "/api/v1/tasks", {"text": ""}, {"Idempotency-Key": "abc-2"})[0], 201)
        status, _, other = self.call("POST", "/api/v1/tasks", spec, {"Idempotency-Key": "abc-2"})
        self.assertEqual(status, 201)
        self.assertEqual(len(self.get("/api/v1/tasks")["tasks"]), 3)
        self.nm.kill9("server")
        self.nm.wait_status()
        status, fields, again = self.call("POST", "/api/v1/tasks", spec, headers)
        self.assertEqual((status, fields.get("Idempotency-Replayed"), again["id"]), (201, "true", made["id"]))
        for task in (made["id"], other["id"]):
            self.call("POST", f"/api/v1/tasks/{task}/stop", {})

    def test_answer_and_pause_everything(self):
        self.model(script(plain_honest()))
        repository = self.repo(PLAIN)
        self.nm.start("run", "--approve", "commit", "--check", PLAIN_CHECK, PLAIN_TASK, cwd=repository.path)
        task = self.nm.newest()
        self.nm.wait_state(task, "needs_you")
        status, _, answered = self.call("POST", f"/tasks/{task}/approve", {"answer": "fine"})
        self.assertEqual((status, answered["outcome"], answered["answer"]), (200, "approved", "fine"))
        self.nm.wait_state(task, "done")
        self.problem(409, "POST", f"/api/v1/tasks/{task}/approve", {})
        self.problem(409, "POST", f"/api/v1/tasks/{task}/deny", {})
        self.problem(404, "POST", "/api/v1/tasks/zzzzzzz/deny", {})
        self.model(script([turn(*plain_honest()[0]["tools"], wait_for="go"), *plain_honest()[1:]]))
        self.nm.start("run", "--check", PLAIN_CHECK, PLAIN_TASK, cwd=repository.path)
        second = wait_for("a second task", 20, lambda: next((t["id"] for t in self.nm.tasks() if t["id"] != task), None))
        self.nm.wait_state(second, "working")
        status, _, paused = self.call("POST", "/api/v1/tasks/pause_all", {})
        self.assertEqual((status, paused["tasks"]), (200, [second]))
        self.nm.wait_state(second, "paused")
        status, _, resumed = self.call("POST", "/api/v1/tasks/resume_all", {})
        self.assertEqual((status, resumed["tasks"]), (200, [second]))
        self.call("POST", f"/api/v1/tasks/{second}/stop", {})
        self.nm.wait_state(second, "stopped")


if __name__ == "__main__":
    import unittest

    unittest.main()
