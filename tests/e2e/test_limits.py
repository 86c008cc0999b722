"""Limits are pauses that can be raised and resumed in the same run."""
import decimal

from harness import Case, finish, run, script, turn, write
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK, plain_honest, plain_wrong


WORDS = ["apple", "bread", "cheese", "dates", "eggs", "figs", "grapes", "honey", "ice", "jam", "kale", "lemon", "mint", "nuts", "oats", "peas", "quince", "rice", "salt", "tea"]
# Fails in another way each time, so that only the limit can end it.
ENDLESS = script(*[[turn(write("file.txt", f"one\n{word}\n")), turn(finish())] for word in WORDS])
TALKING_CHECK = f"cat file.txt; {PLAIN_CHECK}"


class Limits(Case):
    seconds = 180

    def test_iterations(self):
        self.model(script(plain_wrong("three"), plain_wrong("four"), plain_honest()))
        repo = self.repo(PLAIN)
        ended, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, "--iterations", "2", code=8)
        self.assert_state(task, "paused", "limit_iterations")
        self.assertEqual((task["iteration"], task["iteration_limit"]), (2, 2))
        self.assertIn("resume", ended.out + ended.err)
        self.nm.run("resume", task["id"], "--iterations", "5", code=0)
        task = self.nm.wait_state(task["id"], "done")
        self.assertEqual(task["iteration"], 3)
        self.assertEqual(repo.show(task["branch"], "file.txt"), "one\ntwo")

    def test_money(self):
        model = self.model(ENDLESS)
        rates = self.price(input="1000", output="1000", cache_read="1000", cache_write="1000", cache_write_1h="1000")
        repo = self.repo(PLAIN)
        ended, task = self.do(repo, PLAIN_TASK, "--check", TALKING_CHECK, "--budget", "20", "--iterations", "40", code=8)
        self.assert_state(task, "paused", "limit_money")
        # Never above the limit, not even by held money.
        spent = self.nm.ledger(task["id"])["spent"]
        self.assertLessEqual(decimal.Decimal(spent["settled"]) + decimal.Decimal(spent["held"]), 20)
        self.assert_money(spent["settled"], self.cost(model.answers(), rates))
        self.assertIn("resume", ended.out + ended.err)
        before = len(model.answers())
        self.nm.run("resume", task["id"], "--budget", "40", code=0)
        self.nm.wait_state(task["id"], ("paused", "needs_you"))
        self.assertGreater(len(model.answers()), before)
        spent = self.nm.ledger(task["id"])["spent"]
        self.assertLessEqual(decimal.Decimal(spent["settled"]) + decimal.Decimal(spent["held"]), 40)
        self.assert_money(spent["settled"], self.cost(model.answers(), rates))

    def test_budget_nothing_admits_no_request(self):
        model = self.model(script(plain_honest()))
        self.price()
        repo = self.repo(PLAIN)
        ended = self.nm.run("run", PLAIN_TASK, "--check", PLAIN_CHECK, "--budget", "0", cwd=repo.path)
        self.assertIn(ended.code, (2, 8), ended)
        self.assertEqual(model.requests(), [])
        self.assert_one_sentence(ended, "budget")

    def test_unknown_price_under_a_budget_is_refused(self):
        model = self.model(script(plain_honest()))
        repo = self.repo(PLAIN)
        ended = self.nm.run("run", PLAIN_TASK, "--check", PLAIN_CHECK, "--budget", "1.00", cwd=repo.path, env={"NIGHTMILL_MODEL_KEY": "k-paid-service"})
        self.assertNotEqual(ended.code, 0, ended)
        self.assertEqual(model.requests(), [])
        self.assert_one_sentence(ended, "price")

    def test_tokens(self):
        model = self.model(ENDLESS)
        repo = self.repo(PLAIN)
        _, task = self.do(repo, PLAIN_TASK, "--check", TALKING_CHECK, "--tokens", "40000", "--iterations", "40", code=8)
        self.assert_state(task, "paused", "limit_tokens")
        used = sum(a["usage"]["input"] + a["usage"]["cache_read"] + a["usage"]["output"] for a in model.answers())
        self.assertLessEqual(used, 40000)
        before = len(model.answers())
        self.nm.run("resume", task["id"], "--tokens", "80000", code=0)
        self.nm.wait_state(task["id"], ("paused", "needs_you"))
        self.assertGreater(len(model.answers()), before)

    def test_time(self):
        model = self.model(script([turn(run("sleep 1")), turn(write("file.txt", "one\ntwo\n"), wait_for="go"), turn(finish())]))
        repo = self.repo(PLAIN)
        _, task = self.do(repo, PLAIN_TASK, "--check", PLAIN_CHECK, "--time", "2", code=8)
        self.assert_state(task, "paused", "limit_time")
        model.open_gate("go")
        self.nm.run("resume", task["id"], "--time", "600", code=0)
        task = self.nm.wait_state(task["id"], "done")
        self.assertEqual(task["iteration"], 1)

    def test_the_chosen_limit_and_why_are_shown(self):
        """10, 30, 50 by the score of the text: +2 for implement or create, +1 over 200 characters, +1 for tests; x (1 + score/2)."""
        self.model(script(plain_honest()))
        repo = self.repo(PLAIN)
        text = "Implement the second line and create tests for it"
        ended, task = self.do(repo, text, "--check", PLAIN_CHECK, code=0)
        self.assertEqual(task["limits"]["iterations"], 75)  # medium, score 3: 30 x 2.5
        self.assertIn("75", ended.out + ended.err)
        ended, task = self.do(repo, "Put two into file.txt", "--check", PLAIN_CHECK, code=0)
        self.assertEqual(task["limits"]["iterations"], 10)
        ended, task = self.do(repo, text, "--check", PLAIN_CHECK, code=0, env={"NIGHTMILL_LIMITS_ADAPTIVE": "false"})
        self.assertEqual(task["limits"]["iterations"], 30)
