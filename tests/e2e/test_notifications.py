"""Being told: what happens to a task reaches webhooks, mailboxes and browsers, at least once, signed, and without telling more than it should."""
import base64
import contextlib
import decimal
import email
import hashlib
import hmac
import json
import pathlib
import re
import sqlite3
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from fakes.receivers import Mail, Receiver  # noqa: E402
from gateway import GatewayCase  # noqa: E402
from harness import Case, script, wait_for  # noqa: E402
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK, plain_honest, plain_wrong  # noqa: E402

CHANNELS = "/api/v1/notifications/channels"
# Keys of a subscription: those of the example of RFC 8291, section 5.
KEYS = {"p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4", "auth": "BTBZMqHH6r4Tts7J_aSIgg"}


class Told(Case):
    needs_sandbox = False
    seconds = 180

    def setUp(self):
        super().setUp()
        self.receiver = Receiver()
        self.addCleanup(self.receiver.close)

    def start(self, **env):
        self.nm.run("daemon", "start", code=0, env={"NIGHTMILL_NOTIFY_PRIVATE": "127.0.0.0/8", **env})

    def ask(self, method, path, body=None, want=200):
        status, document = self.nm.api(method, path, body)
        self.assertEqual(status, want, f"{method} {path}: {document}")
        return document

    def webhook(self, url=None, **more):
        return self.ask("POST", CHANNELS, {"kind": "webhook", "target": url or self.receiver.url + "/hook", "name": "hook", **more}, want=201)

    def notices(self):
        return self.ask("GET", "/api/v1/notifications")["notifications"]

    def arrived(self, n, seconds=20):
        wait_for(f"{n} requests", seconds, lambda: len(self.receiver.requests) >= n)
        return self.receiver.requests

    def assert_signed(self, request, secret):
        _, fields, body = request
        signed = b".".join((fields["webhook-id"].encode(), fields["webhook-timestamp"].encode(), body))
        mac = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
        self.assertEqual(fields["webhook-signature"], "v1," + base64.b64encode(mac).decode())
        self.assertLess(abs(int(fields["webhook-timestamp"]) - time.time()), 300)


class Channels(Told):
    def test_a_webhook_is_made_tested_changed_and_removed(self):
        self.start()
        made = self.webhook(levels=["now"])
        self.assertTrue(made["secret"].startswith("whsec_"))
        listed = self.ask("GET", CHANNELS)["channels"]
        self.assertEqual([(c["id"], c["levels"], "secret" in c) for c in listed], [(made["id"], ["now"], False)])
        self.assertEqual(listed[0]["target"], "http://127.0.0.1/...", "whoever knows the address may write there")
        result = self.ask("POST", f"{CHANNELS}/{made['id']}/test")
        self.assertEqual((result["ok"], result["status"]), (True, 204))
        self.assert_signed(self.receiver.requests[0], made["secret"])
        body = json.loads(self.receiver.requests[0][2])
        self.assertEqual((body["type"], body["id"]), ("test", self.receiver.requests[0][1]["webhook-id"]))
        self.receiver.answers = [500, (302, {"Location": self.receiver.url + "/elsewhere"})]
        result = self.ask("POST", f"{CHANNELS}/{made['id']}/test")
        self.assertEqual((result["ok"], result["status"], "500" in result["words"]), (False, 500, True))
        self.assertEqual(self.ask("POST", f"{CHANNELS}/{made['id']}/test")["status"], 302, "redirects are not followed")
        self.assertEqual([r[0] for r in self.receiver.requests], ["/hook"] * 3)
        self.assertEqual(self.ask("PUT", f"{CHANNELS}/{made['id']}", {"enabled": False, "levels": ["done", "digest"]})["enabled"], False)
        self.ask("DELETE", f"{CHANNELS}/{made['id']}")
        self.assertEqual(self.ask("GET", CHANNELS)["channels"], [])
        self.ask("POST", f"{CHANNELS}/{made['id']}/test", want=404)

    def test_what_is_refused(self):
        self.nm.run("daemon", "start", code=0)  # no private address is allowed
        for body in ({"kind": "webhook", "target": "ftp://example.org"}, {"kind": "email", "target": "nobody"}, {"kind": "pigeon", "target": "x"},
                     {"kind": "email", "target": "a@example.org\r\nBcc: b@example.org"}, {"kind": "webhook", "target": "https://a.example", "levels": ["loud"]},
                     {"kind": "webhook", "target": "https://a.example", "levels": []}, {"kind": "webhook", "target": "https://a.example", "secret": "short"}):
            self.ask("POST", CHANNELS, body, want=400)
        for target in (self.receiver.url, self.receiver.url.replace("127.0.0.1", "localhost"), self.receiver.url.replace("127.0.0.1", "0x7f.1"), self.receiver.url.replace("127.0.0.1", "2130706433"),
                       self.receiver.url.replace("127.0.0.1", "[::ffff:127.0.0.1]"), "http://169.254.169.254/latest/meta-data", "http://10.0.0.1/"):
            status, made = self.nm.api("POST", CHANNELS, {"kind": "webhook", "target": target})
            if status == 201:
                result = self.ask("POST", f"{CHANNELS}/{made['id']}/test")
                self.assertFalse(result["ok"], (target, result))
        self.assertEqual(self.receiver.requests, [], "nothing was asked of this machine")
        for body in ({"endpoint": "https://push.example/x", "keys": {"p256dh": "AAAA", "auth": KEYS["auth"]}}, {"endpoint": "https://push.example/x"}, {"endpoint": "x", "keys": KEYS}):
            self.ask("POST", "/api/v1/notifications/subscriptions", body, want=400)

    def test_the_command_line(self):
        self.start()
        ended = self.nm.run("notify", "add", "webhook", self.receiver.url + "/cli", "--level", "now", "--name", "chat", code=0)
        channel, secret = ended.out.split()
        self.assertIn("chat", self.nm.run("notify", "ls", code=0).out)
        self.nm.run("notify", "test", channel, code=0)
        self.assert_signed(self.receiver.requests[0], secret)
        self.receiver.status = 403
        self.assertIn("403", self.nm.run("notify", "test", channel, code=1).out)
        self.nm.run("notify", "log", code=0)
        self.nm.run("notify", "rm", channel, code=0)
        self.assertEqual(self.nm.json("notify", "ls")["channels"], [])

    def test_mail(self):
        server = Mail(self.folder, "ada", "correct-horse")
        self.addCleanup(server.close)
        self.start()
        channel = self.ask("POST", CHANNELS, {"kind": "email", "target": "ada@example.org"}, want=201)
        test = f"{CHANNELS}/{channel['id']}/test"
        self.assertIn("no mail server", self.ask("POST", test)["words"])
        for name, value in (("notify.smtp_server", server.place), ("notify.smtp_from", "mill@example.org"), ("notify.smtp_user", "ada"), ("notify.smtp_password", "wrong-password")):
            row = self.ask("PUT", f"/api/v1/settings/{name}", {"value": value})
        self.assertEqual((row["value"], row["is_set"], row["type"]), (None, True, "secret"))
        result = self.ask("POST", test)
        self.assertEqual((result["ok"], "TLS" in result["words"]), (False, True), "the certificate is nobody's that is known")
        self.ask("PUT", "/api/v1/settings/notify.smtp_ca", {"value": str(server.authority)})
        result = self.ask("POST", test)
        self.assertEqual((result["ok"], "password" in result["words"]), (False, True), result)
        self.nm.run("config", "set", "notify.smtp_password", "-", stdin=b"correct-horse\n", code=0)
        result = self.ask("POST", test)
        self.assertTrue(result["ok"], result)
        sender, to, data, user, encrypted = server.mails[0]
        self.assertEqual((sender, to, user, encrypted), ("<mill@example.org>", ["<ada@example.org>"], "ada", True))
        message = email.message_from_bytes(data)
        self.assertEqual((message["From"], message["To"], message["Auto-Submitted"]), ("Nightmill <mill@example.org>", "<ada@example.org>", "auto-generated"))
        self.assertIn("test", message.get_payload(decode=True).decode())
        server.replies = ["451 later", "550 never"]
        self.assertEqual([self.ask("POST", test)["status"] for _ in range(2)], [451, 550])
        history = json.dumps(self.ask("GET", "/api/v1/settings/history"))
        for place in (history, self.nm.daemon_log(), (self.nm.data / "settings.json").read_text(), json.dumps(self.ask("GET", "/api/v1/settings"))):
            self.assertNotIn("correct-horse", place)
        for file in self.nm.data.glob("nightmill.db*"):
            self.assertNotIn(b"correct-horse", file.read_bytes())

    def test_mail_without_the_encryption_that_is_asked_for_is_not_sent(self):
        server = Mail()
        self.addCleanup(server.close)
        self.start()
        channel = self.ask("POST", CHANNELS, {"kind": "email", "target": "ada@example.org"}, want=201)
        for name, value in (("notify.smtp_server", server.place), ("notify.smtp_from", "mill@example.org")):
            self.ask("PUT", f"/api/v1/settings/{name}", {"value": value})
        self.assertFalse(self.ask("POST", f"{CHANNELS}/{channel['id']}/test")["ok"])
        self.assertEqual([w for w in server.lines if w.startswith("MAIL")], [])
        self.ask("PUT", "/api/v1/settings/notify.smtp_tls", {"value": "none"})
        self.assertTrue(self.ask("POST", f"{CHANNELS}/{channel['id']}/test")["ok"])

    def test_browsers(self):
        self.start(NIGHTMILL_NOTIFY_CONTACT="ops@example.org")
        key = self.ask("GET", "/api/v1/notifications/push_key")["key"]
        self.assertEqual(len(base64.urlsafe_b64decode(key + "==")), 65)
        endpoint = self.receiver.url + "/push/abc"
        first = self.ask("POST", "/api/v1/notifications/subscriptions", {"endpoint": endpoint, "keys": KEYS, "device": "phone", "expirationTime": None}, want=201)
        again = self.ask("POST", "/api/v1/notifications/subscriptions", {"endpoint": endpoint, "keys": KEYS, "device": "phone"})
        self.assertEqual(first["id"], again["id"])
        self.receiver.answers = [201]
        self.assertTrue(self.ask("POST", f"{CHANNELS}/{first['id']}/test")["ok"])
        _, fields, body = self.receiver.requests[0]
        self.assertEqual((fields["content-encoding"], fields["urgency"], len(body) > 100), ("aes128gcm", "high", True))
        self.assertIn(f"k={key}", fields["authorization"])
        claims = fields["authorization"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        self.assertEqual((claims["aud"], claims["sub"]), (self.receiver.url, "mailto:ops@example.org"))
        self.nm.run("daemon", "stop", code=0)
        self.start()
        self.assertEqual(self.ask("GET", "/api/v1/notifications/push_key")["key"], key, "another key would make all subscriptions void")
        self.ask("DELETE", "/api/v1/notifications/subscriptions", {"endpoint": endpoint})
        self.assertEqual(self.ask("GET", CHANNELS)["channels"], [])


class Programs(GatewayCase):
    def test_a_budget_that_refuses_a_program_is_told_once(self):
        self.provider("chat", "chat")
        self.price("chat/fake", input="3", output="1000")
        self.nm.run("budget", "set", "project", "mill", "--money", "0.02", code=0)
        key = self.key(project="mill")
        seen = [self.ask("chat", "chat/fake", key, cap=10).status for _ in range(30)]
        self.assertEqual((seen[0], seen[-2:]), (200, [402, 402]))
        told = wait_for("the notice", 20, lambda: self.nm.api("GET", "/api/v1/notifications")[1]["notifications"])
        self.assertEqual([(n["level"], n["kind"], n["task"]) for n in told], [("now", "budget", None)], told)
        self.assertRegex(told[0]["words"], r"^budget 1 \(project, total\) is reached, \$0\.0[0-9]+ of \$0\.02 are spent: requests are refused$")
        self.nm.run("budget", "raise", "1", "--money", "0.0001", code=0)
        for _ in range(5):
            self.ask("chat", "chat/fake", key, cap=10)
        wait_for("the second notice", 20, lambda: len(self.nm.api("GET", "/api/v1/notifications")[1]["notifications"]) == 2)


class Tasks(Told):
    needs_sandbox = True
    seconds = 240

    def run_task(self, *plans, code, flags=()):
        self.model(script(*plans))
        return self.do(self.repo(PLAIN), PLAIN_TASK, "--check", PLAIN_CHECK, *flags, code=code)[1]

    def test_done_and_needs_you(self):
        self.start()
        now, done = self.webhook(levels=["now"]), self.webhook(self.receiver.url + "/done", levels=["done"])
        gone = self.ask("POST", "/api/v1/notifications/subscriptions", {"endpoint": self.receiver.url + "/gone", "keys": KEYS}, want=201)
        self.receiver.paths = {"/gone": 410}
        self.ask("PUT", f"{CHANNELS}/{now['id']}", {"enabled": False})
        task = self.run_task(plain_honest(), code=0)
        wait_for("the browser to be forgotten", 20, lambda: gone["id"] not in [c["id"] for c in self.ask("GET", CHANNELS)["channels"]])
        requests = [r for r in self.arrived(2) if r[0] == "/done"]
        self.assertEqual(len(requests), 1)
        wait_for("the marks", 20, lambda: sorted(d["state"] for d in self.notices()[0]["deliveries"]) == ["dropped", "sent"])
        self.assert_signed(requests[0], done["secret"])
        body = json.loads(requests[0][2])
        self.assertEqual((body["type"], body["level"], body["task"], body["words"]), ("task.done", "done", task["id"], f"task {task['id']} is done"))
        self.ask("PUT", f"{CHANNELS}/{now['id']}", {"enabled": True})
        self.receiver.requests.clear()
        task = self.run_task(plain_wrong("three"), plain_wrong("four"), plain_honest(), code=8, flags=("--iterations", "1"))
        request = self.arrived(1)[0]
        self.assertEqual((request[0], json.loads(request[2])["type"]), ("/hook", "task.needs_you"))
        self.assertIn("limit", json.loads(request[2])["words"])
        notice = self.notices()[0]
        self.assertEqual((notice["level"], notice["kind"], notice["task"]), ("now", "limit", task["id"]))
        wait_for("the mark", 20, lambda: self.notices()[0]["deliveries"][0]["state"] == "sent")

    def test_a_receiver_that_is_down_and_a_crash_between_sending_and_marking(self):
        once = self.folder / "crashed"
        self.start(NIGHTMILL_TEST_CRASH="notify:2", NIGHTMILL_TEST_CRASH_ONCE=str(once))
        hook = self.webhook()
        self.receiver.answers = [503]
        task = self.run_task(plain_honest(), code=0)
        self.arrived(1)
        waiting = wait_for("the failed try", 20, lambda: next((d for d in self.notices()[0]["deliveries"] if d["attempts"] == 1), None))
        self.assertEqual((waiting["state"], waiting["status"]), ("waiting", 503))
        requests = self.arrived(3, 60)  # after 5 s again, then the server is killed before the mark: its successor sends once more
        self.assertTrue(once.exists(), "it was killed there")
        wait_for("the mark", 30, lambda: self.nm.status() and self.notices()[0]["deliveries"][0]["state"] == "sent")
        self.assertEqual(len({r[1]["webhook-id"] for r in requests}), 1, "receivers know repetitions by the id")
        self.assertEqual(len({r[2] for r in requests}), 1)
        for request in requests:
            self.assert_signed(request, hook["secret"])
        self.assertEqual(len(self.receiver.requests), 3, "and it is not sent after the mark")
        self.assertEqual(self.notices()[0]["task"], task["id"])

    def test_the_digest_of_the_day(self):
        self.start(NIGHTMILL_NOTIFY_DIGEST_AT="00:00")
        self.webhook(levels=["digest"])
        self.price()
        self.run_task(plain_honest(), code=0)
        database = self.nm.data / "nightmill.db"

        def made():
            with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as c:
                return c.execute("SELECT level FROM notice WHERE kind = 'digest'").fetchall()

        self.assertEqual(wait_for("the first day's mark", 30, made), [(0,)], "the first day has nothing before it")
        self.nm.run("daemon", "stop", code=0)
        with contextlib.closing(sqlite3.connect(database)) as c, c:
            c.execute("UPDATE notice SET time_ns = time_ns - 86400000000000, key = 'yesterday' WHERE kind = 'digest'")
        self.start(NIGHTMILL_NOTIFY_DIGEST_AT="00:00")
        body = json.loads(self.arrived(1, 30)[0][2])
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as c:
            spent = decimal.Decimal(c.execute("SELECT sum(cost) FROM ledger").fetchone()[0]).scaleb(-12)
        self.assertEqual(body["type"], "digest")
        found = re.fullmatch(r"tasks: 1 done; spent: \$([0-9.]+) in project", body["words"])
        self.assertTrue(found, body["words"])
        self.assertGreater(spent, 0)
        self.assertLess(abs(decimal.Decimal(found[1]) - spent), decimal.Decimal("0.01"))
        self.nm.run("daemon", "stop", code=0)
        self.start(NIGHTMILL_NOTIFY_DIGEST_AT="00:00")
        time.sleep(3)  # long enough for the look that the daemon takes when it begins
        self.assertEqual(len(self.receiver.requests), 1, "once a day")
