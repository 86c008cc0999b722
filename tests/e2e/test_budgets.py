"""Budgets on anything but a task's own limits, exchange rates, and the ledger: with runs of tasks, through the commands."""
import csv
import decimal
import io
import json
import urllib.parse

from harness import Case, script
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK, plain_honest
from test_limits import ENDLESS, TALKING_CHECK


class Budgets(Case):
    seconds = 180

    def budget(self, *flags, code=0):
        ended = self.nm.run("budget", *flags, "--json", code=code)
        return json.loads(ended.out)["data"] if code == 0 else ended

    def test_a_project_pauses_at_its_budget_and_goes_on_when_it_is_raised(self):
        model = self.model(ENDLESS)
        rates = self.price(input="1000", output="1000", cache_read="1000", cache_write="1000", cache_write_1h="1000")
        repo = self.repo(PLAIN)
        made = self.budget("set", "project", str(repo.path), "--money", "20", "--window", "month", "--zone", "Europe/Berlin", "--soft", "50")
        self.assertEqual((made["money"], made["spent"], made["currency"], made["window"], made["pause"]), ("20.00", "0.00", "USD", "month", True))
        ended, task = self.do(repo, PLAIN_TASK, "--check", TALKING_CHECK, "--iterations", "40", code=8)
        self.assert_state(task, "paused", "limit_budget")
        self.assertIn(f"budget {made['id']}", task["words"] + ended.out + ended.err)
        used = self.budget("ls")["budgets"][0]
        self.assertLessEqual(decimal.Decimal(used["spent"]) + decimal.Decimal(used["held"]), 20)
        self.assert_money(used["spent"], self.cost(model.answers(), rates))
        before = len(model.answers())
        self.assertEqual(self.budget("raise", str(made["id"]), "--money", "20")["money"], "40.00")
        self.nm.wait_state(task["id"], ("paused", "needs_you"))  # it went on by itself
        self.assertGreater(len(model.answers()), before)
        self.nm.stop_daemon()  # the next start counts the same from the rows
        again = self.budget("ls", "project", str(repo.path))["budgets"][0]
        self.assertEqual(again["held"], "0.00")
        self.assert_money(again["spent"], self.cost(model.answers(), rates))
        self.nm.run("budget", "rm", str(made["id"]), code=0)
        self.assertEqual(self.budget("ls")["budgets"], [])
        self.assert_one_sentence(self.budget("raise", str(made["id"]), "--money", "1", code=1), "no budget", "budget ls")

    def test_a_budget_of_everything(self):
        model = self.model(script(plain_honest()))
        rates = self.price()
        repo = self.repo(PLAIN)
        self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        made = self.budget("set", "all", "--money", "500", "--window", "month")  # what was spent before counts
        self.assertEqual((made["scope"], made["scope_id"], made["money"]), ("all", "all", "500.00"))
        self.assert_money(made["spent"], self.cost(model.answers(), rates))
        self.do(self.repo(PLAIN, name="second"), PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        for _ in range(2):  # and after a restart, from the rows
            self.assert_money(self.budget("ls", "all")["budgets"][0]["spent"], self.cost(model.answers(), rates))
            self.nm.stop_daemon()
        self.assertIn("all\t", self.nm.run("budget", "ls", code=0).out)

    def test_a_budget_in_another_currency_needs_a_rate(self):
        model = self.model(script(plain_honest()))
        rates = self.price()
        repo = self.repo(PLAIN)
        self.budget("set", "project", str(repo.path), "--money", "50", "--currency", "EUR")
        ended = self.nm.run("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=repo.path)
        self.assertNotEqual(ended.code, 0, ended)
        self.assertEqual(model.requests(), [])
        self.assertIn("nightmill rate set USD EUR", ended.out + ended.err)
        self.nm.run("rate", "set", "EUR", "USD", "1.25", "--source", "the test", code=0)
        self.nm.run("resume", self.nm.newest(), code=0)
        self.nm.wait_state(self.nm.newest(), "done")
        spent = decimal.Decimal(self.budget("ls")["budgets"][0]["spent"])
        exact = decimal.Decimal(self.cost(model.answers(), rates)).scaleb(-12) / decimal.Decimal("1.25")
        self.assertLessEqual(exact, spent)
        self.assertLess(spent - exact, decimal.Decimal("0.0000000001"))
        self.assertIn("1.25", self.nm.run("rate", "ls", code=0).out)

    def test_a_budget_that_refuses_asks_a_person(self):
        model = self.model(script(plain_honest()))
        self.price(input="1000", output="1000")
        repo = self.repo(PLAIN)
        made = self.budget("set", "agent", "nightmill", "--money", "0.10", "--refuse")
        ended, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=7)
        self.assert_state(task, "needs_you", "budget")
        self.assertIn("nightmill budget raise", task["words"])
        self.assertEqual(model.requests(), [])
        self.budget("raise", str(made["id"]), "--money", "100")
        self.assert_state(self.nm.task(task["id"]), "needs_you", "budget")
        self.nm.run("resume", task["id"], code=0)
        self.nm.wait_state(task["id"], "done")

    def test_the_ledger_adds_up(self):
        model = self.model(script(plain_honest()))
        rates = self.price()
        repo = self.repo(PLAIN)
        _, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, code=0)
        want = self.cost(model.answers(), rates)
        rows = list(csv.DictReader(io.StringIO(self.nm.run("ledger", "--csv", code=0).out)))
        self.assertEqual(len(rows), len(model.answers()))
        self.assertEqual({(r["task"], r["project"], r["model"]) for r in rows}, {(task["id"], str(repo.path), "scripted")})
        self.assert_money(str(sum(decimal.Decimal(r["cost"]) for r in rows)), want)
        for by, name in (("project", str(repo.path)), ("task", task["id"]), ("model", "scripted"), ("total", ""), ("day", None), ("key", "")):
            groups = json.loads(self.nm.run("ledger", "--by", by, "--last", "2d", "--json", code=0).out)["data"]["groups"]
            self.assert_money(str(sum(decimal.Decimal(g["cost"]) for g in groups)), want)
            self.assertEqual(sum(g["requests"] for g in groups), len(rows))
            self.assertEqual({g["primary"] for g in groups}, {"USD"})
            if name is not None:
                self.assertEqual([g[by] for g in groups], [name])
        self.assertIn("scripted", self.nm.run("ledger", "--by", "model", code=0).out)
        status, answer = self.nm.api("GET", f"/api/v1/ledger?project={urllib.parse.quote('/nowhere', safe='')}")
        self.assertEqual((status, answer["rows"], answer["next"]), (200, [], None))
        page = self.nm.api("GET", "/api/v1/ledger?limit=1")[1]
        self.assertEqual(len(page["rows"]), 1)
        if len(rows) > 1:
            self.assertLess(self.nm.api("GET", f"/api/v1/ledger?limit=1&before={page['next']}")[1]["rows"][0]["number"], page["rows"][0]["number"])

    def test_nonsense_is_refused_in_one_sentence(self):
        self.nm.run("daemon", "start", code=0)
        self.assert_one_sentence(self.nm.run("budget", "set", "planet", "earth", "--money", "1"), "scope", "organisation")
        self.assert_one_sentence(self.nm.run("budget", "set", "user", "ann", "--money", "1", "--zone", "../../etc/passwd"), "time zone")
        self.assert_one_sentence(self.nm.run("budget", "set", "user", "ann"), "--money")
        self.assert_one_sentence(self.nm.run("budget", "set", "user", "ann", "--money", "1", "--tell-only"), "soft")
        self.assert_one_sentence(self.nm.run("rate", "set", "EUR", "EUR", "2"), "two currencies")
        self.assert_one_sentence(self.nm.run("rate", "set", "EUR", "USD", "0"), "above 0")
        for body in ({}, {"scope": "user"}, {"scope": "user", "scope_id": "ann", "money": 5}, {"scope": "user", "scope_id": "a\nb", "money": "5"}, [1]):
            self.assertEqual(self.nm.api("POST", "/api/v1/budgets", body)[0], 400, body)
        self.assertEqual(self.nm.api("GET", "/api/v1/ledger?by=moon")[0], 400)
        self.assertEqual(self.nm.api("GET", "/api/v1/ledger?zone=Mars%2FBase")[0], 404)
