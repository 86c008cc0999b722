"""Who may ask, whom is asked, with which key, at what price: keys, providers, models, tiers and prices through the real program."""
import json
import re
import shutil
import subprocess
import time

from gateway import KEY_VARIABLE, UPSTREAM_KEY, Asking, GatewayCase, Upstream

KEY = re.compile(r"^nm_[0-9a-z]{8}_[0-9a-z]{52}_[0-9a-z]{7}$")
OTHER_KEY = "another-key-of-the-provider"


class AccessCase(GatewayCase):
    def setUp(self):
        self.daemon_env = {"NIGHTMILL_SEAL_KEY_FILE": "/nonexistent"}
        super().setUp()

    def start(self):
        self.nm.env["NIGHTMILL_SEAL_KEY_FILE"] = str(self.folder / "sealing" / "seal.key")
        super().start()

    def key(self, name="test", **options):
        """A new user key's text, made by the command."""
        flags = [word for option, value in options.items() for word in (f"--{option}", str(value))]
        return self.nm.json("key", "create", name, *flags)["key"]

    def call(self, method, path, key=None, body=None, headers=None):
        """A request over TCP: (status, document)."""
        head = {**({"Authorization": f"Bearer {key}"} if key else {}), **(headers or {})}
        got = Asking(self.port, method, path, json.dumps(body).encode() if body is not None else b"", head).end()
        return got.status, json.loads(got.body) if got.body else None

    def assert_nowhere(self, secret, *outputs):
        """Not in what was printed, and in no file of the daemon."""
        for ended in outputs:
            self.assertNotIn(secret.encode(), ended.raw_out + ended.raw_err, str(ended.command))
        for file in [f for f in self.folder.rglob("*") if f.is_file() and not f.is_symlink()]:
            self.assertNotIn(secret.encode(), file.read_bytes(), str(file))


class Keys(AccessCase):
    def test_a_key_opens_what_it_says_and_nothing_else(self):
        made = self.nm.json("key", "create", "laptop", "--access", "read")
        self.assertRegex(made["key"], KEY)
        self.assertEqual(self.call("GET", "/api/v1/models", made["key"])[0], 200)
        for header in ("x-api-key", "x-goog-api-key"):
            self.assertEqual(self.call("GET", "/api/v1/models", headers={header: made["key"]})[0], 200, header)
        status, problem = self.call("PUT", "/api/v1/tiers", made["key"], {"name": "A", "models": ["x"]})
        self.assertEqual((status, problem["code"]), (403, "denied"), problem)
        self.assertEqual(self.call("GET", "/api/v1/keys", made["key"])[0], 403)
        self.assertEqual(self.call("GET", "/api/v1/providers", made["key"])[0], 403)
        self.assertEqual(self.call("POST", "/api/v1/daemon/stop", made["key"])[0], 403)
        self.assertEqual(self.call("GET", "/api/v1/nothing/here", made["key"])[0], 404)
        self.assertEqual(self.call("GET", "/api/v1/models")[0], 401)
        self.assertEqual(self.call("GET", "/health")[0], 200)

    def test_words_for_each_way_to_be_wrong(self):
        key = self.key()
        middle = 20
        typo = key[:middle] + ("0" if key[middle] != "0" else "1") + key[middle + 1:]
        unknown = self.key("gone")
        self.nm.run("key", "revoke", unknown[:11], code=0)
        for wrong, words in ((typo, "mistyped"), (key[:-3], "mistyped"), ("sk-other", "no key of Nightmill"), (unknown, "revoked")):
            status, problem = self.call("GET", "/api/v1/models", wrong)
            self.assertEqual(status, 401, wrong)
            self.assertIn(words, problem["title"])
            self.assertNotIn(wrong[-12:], json.dumps(problem))

    def test_revoking_holds_from_the_next_request(self):
        made = self.nm.json("key", "create", "laptop")
        for _ in range(3):
            self.assertEqual(self.call("GET", "/api/v1/models", made["key"])[0], 200)
        self.assertEqual(self.nm.json("key", "revoke", made["id"])["state"], "revoked")
        self.assertEqual(self.call("GET", "/api/v1/models", made["key"])[0], 401)
        self.nm.run("key", "revoke", made["id"], code=0)
        self.assertIn("key ls", self.nm.run("key", "revoke", "nm_00000000", code=1).err)

    def test_a_key_expires(self):
        key = self.key("short", expires="1s")
        self.assertEqual(self.call("GET", "/api/v1/models", key)[0], 200)
        time.sleep(1.1)
        status, problem = self.call("GET", "/api/v1/models", key)
        self.assertEqual(status, 401)
        self.assertIn("expired", problem["title"])

    def test_a_key_is_shown_once_and_stored_as_a_hash(self):
        ended = self.nm.run("key", "create", "laptop", code=0)
        key = ended.out.strip()
        self.assertRegex(key, KEY)
        self.assertEqual(self.call("GET", "/api/v1/models", key)[0], 200)
        listed = self.nm.run("key", "ls", code=0)
        self.assertIn(key[:11], listed.out)
        self.assertEqual([k["state"] for k in self.nm.json("key", "ls")["keys"]], ["active"])
        self.nm.stop_daemon()
        self.assert_nowhere(key, listed)
        self.assert_nowhere(key.split("_")[2])
        self.start()
        self.assertEqual(self.call("GET", "/api/v1/models", key)[0], 200)

    def test_a_project_sees_and_makes_its_own_keys_alone(self):
        admin = self.key("shop-admin", access="admin", project="shop", model="claude-*")
        other = self.nm.json("key", "create", "other", "--project", "mill")
        status, made = self.call("POST", "/api/v1/keys", admin, {"name": "till"})
        self.assertEqual(status, 201, made)
        self.assertEqual((made["project"], made["models"], made["access"]), ("shop", ["claude-*"], "use"))
        self.assertEqual({k["name"] for k in self.call("GET", "/api/v1/keys", admin)[1]["keys"]}, {"shop-admin", "till"})
        self.assertEqual({k["name"] for k in self.call("GET", "/api/v1/keys?project=mill", admin)[1]["keys"]}, {"shop-admin", "till"})
        self.assertEqual(self.call("DELETE", f"/api/v1/keys/{other['id']}", admin)[0], 404)
        self.assertEqual(self.call("DELETE", f"/api/v1/keys/{other['prefix']}", admin)[0], 404)
        self.assertEqual(self.call("POST", "/api/v1/keys", admin, {"name": "x", "project": "mill"})[0], 403)
        for models in (["*"], ["gpt-5"], ["claude-x", "gpt-5"]):
            self.assertEqual(self.call("POST", "/api/v1/keys", admin, {"name": "x", "models": models})[0], 403, models)
        self.assertEqual(self.call("POST", "/api/v1/keys", admin, {"name": "x", "models": ["claude-haiku-*"]})[0], 201)
        self.assertEqual(self.call("GET", "/api/v1/tasks", admin)[1]["tasks"], [])  # of its own project alone
        self.assertEqual(self.call("GET", "/api/v1/tasks", self.key("boss", access="admin"))[0], 200)
        self.assertEqual(self.nm.json("key", "ls", "--project", "mill")["keys"][0]["id"], other["id"])

    def test_last_use_is_told(self):
        made = self.nm.json("key", "create", "laptop")
        self.assertIsNone(self.nm.json("key", "ls")["keys"][0]["last_used_at"])
        self.call("GET", "/api/v1/models", made["key"])
        deadline = time.monotonic() + 10
        while not self.nm.json("key", "ls")["keys"][0]["last_used_at"]:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def test_wrong_input_names_the_field(self):
        status, problem = self.nm.api("POST", "/api/v1/keys", {"name": "x", "acess": "use"})
        self.assertEqual(status, 400)
        self.assertIn("acess", problem["title"])
        self.assertEqual(self.nm.api("POST", "/api/v1/keys", {"name": "x", "access": "owner"})[0], 400)
        self.assertEqual(self.nm.api("POST", "/api/v1/keys", {"name": "a\nb"})[0], 400)
        self.assertEqual(self.nm.run("key", "create", "x", "--access", "owner").code, 2)


class Providers(AccessCase):
    def test_a_sealed_key_is_used_rotated_and_never_shown(self):
        url = ("--url", self.upstream.url)
        outputs = [self.nm.run("provider", "add", "openai", *url, "--key-stdin", stdin=f"{UPSTREAM_KEY}\n".encode(), code=0)]
        tested = self.nm.json("provider", "test", "openai")
        self.assertIn("fake", " ".join(tested["models"]))
        self.assertGreaterEqual(tested["latency_ms"], 0)
        outputs.append(self.nm.run("provider", "add", "openai", "--key-stdin", stdin=f"{OTHER_KEY}\n".encode(), code=0))
        refused = self.nm.run("provider", "test", "openai", code=1)
        self.assertIn("401", refused.err)
        self.assertIn("nightmill provider add openai --key-stdin", refused.err)
        outputs += [refused, self.nm.run("provider", "add", "openai", "--key-stdin", stdin=UPSTREAM_KEY.encode(), code=0)]
        self.nm.run("provider", "test", "openai", code=0)
        self.nm.run("daemon", "stop", code=0)
        self.start()
        outputs += [self.nm.run("provider", "test", "openai", code=0), self.nm.run("provider", "ls", code=0), self.nm.run("provider", "ls", "--json", code=0)]
        row = self.nm.json("provider", "ls")["providers"][0]
        self.assertEqual((row["key"], row["url"]), ({"reference": "sealed:openai", "known": True}, self.upstream.url))
        self.assertEqual((self.folder / "sealing" / "seal.key").stat().st_mode & 0o777, 0o600)
        self.nm.stop_daemon()
        for secret in (UPSTREAM_KEY, OTHER_KEY):
            self.assert_nowhere(secret, *outputs)

    def test_without_the_key_file_a_sealed_key_does_not_open(self):
        self.nm.run("provider", "add", "openai", "--url", self.upstream.url, "--key-stdin", stdin=UPSTREAM_KEY.encode(), code=0)
        self.nm.stop_daemon()
        (self.folder / "sealing" / "seal.key").rename(self.folder / "sealing" / "away")
        self.start()
        self.assertIn("does not open", self.nm.run("provider", "test", "openai", code=1).err)
        self.assertFalse(self.nm.json("provider", "ls")["providers"][0]["key"]["known"])
        self.assertEqual(self.nm.run("provider", "add", "groq", "--key-stdin", stdin=b"x-another-one").code, 1)  # a new key file would lock the old box for good

    def test_a_key_in_a_file_is_checked_at_each_use(self):
        file = self.folder / "key.txt"
        file.write_text(UPSTREAM_KEY + "\n")
        file.chmod(0o600)
        self.nm.run("provider", "add", "openai", "--url", self.upstream.url, "--key-file", "key.txt", code=0)
        self.nm.run("provider", "test", "openai", code=0)
        file.write_text(OTHER_KEY + "\n")
        self.assertIn("401", self.nm.run("provider", "test", "openai", code=1).err)
        file.write_text(UPSTREAM_KEY + "\n")
        file.chmod(0o644)
        self.assertIn("chmod 600", self.nm.run("provider", "test", "openai", code=1).err)

    def test_a_known_variable_makes_a_provider(self):
        self.assertEqual(self.nm.json("provider", "ls")["providers"], [])
        rows = self.nm.json("provider", "ls", env={"DEEPSEEK_API_KEY": UPSTREAM_KEY})["providers"]
        self.assertEqual([(r["id"], r["implicit"], r["key"]["reference"]) for r in rows], [("deepseek", True, "env:DEEPSEEK_API_KEY")])
        self.nm.run("provider", "add", "deepseek", "--url", self.upstream.url, code=0)
        self.nm.run("provider", "test", "deepseek", code=0)
        self.nm.kill9("server")
        self.nm.wait_status()
        self.nm.run("provider", "test", "deepseek", code=0)  # the keeper kept the variable

    def test_every_dialect_is_tried_with_its_own_headers(self):
        for wire in ("chat", "openai", "responses", "messages", "gemini"):
            self.provider(wire, wire)
            self.nm.run("provider", "test", wire, code=0)
            result = self.nm.json("model", "test", f"{wire}/fake")["results"][0]
            self.assertTrue(result["ok"], result)
        metered = self.rows("SELECT provider FROM ledger ORDER BY hold_id")
        self.assertEqual([r["provider"] for r in metered], ["chat", "openai", "responses", "messages", "gemini"], "trying a model costs tokens too")
        self.nm.run("daemon", "stop", code=0)  # a daemon that is started with the variable in its environment has it
        self.start()
        self.nm.run("model", "test", "messages/fake", code=0, env={KEY_VARIABLE: ""})

    def test_what_fails_is_told_with_the_next_step(self):
        self.nm.run("provider", "add", "gone", "--kind", "vllm", "--url", "http://127.0.0.1:1", code=0)
        ended = self.nm.run("provider", "test", "gone", code=1)
        self.assertIn("cannot be reached at http://127.0.0.1:1", ended.err)
        self.assertIn("--url", ended.err)
        self.provider("chat", "chat")
        for model, words in (("chat/fake+status=404", "404"), ("chat/fake+status=429+retry_after=2", "429"), ("chat/fake+page=true", "belong together")):
            ended = self.nm.run("model", "test", model, code=1)
            self.assertIn(words, ended.out, model)
        self.assertIn("provider ls", self.nm.run("provider", "test", "nobody", code=1).err)
        self.assertIn("--kind", self.nm.run("provider", "add", "mine", "--url", self.upstream.url, code=2).err)
        self.assertIn("--url", self.nm.run("provider", "add", "mine", "--kind", "compatible", code=2).err)
        self.assertEqual(self.nm.run("provider", "add", "mine", "--kind", "vllm", "--header", "Host: evil").code, 2)
        self.assertEqual(self.nm.run("provider", "add", "mine", "--kind", "vllm", "--url", "http://a:b@c").code, 2)
        self.assertEqual(self.nm.run("provider", "add", "../x", "--kind", "vllm").code, 2)
        self.assertEqual(self.nm.api("PUT", "/api/v1/providers/mine", {"kind": "vllm", "headers": {"X": "a\r\nY: b"}})[0], 400)

    def test_add_changes_only_what_is_given(self):
        self.provider("box", "chat", concurrency=3)
        self.nm.run("provider", "add", "box", "--weight", "7", "--header", "X-Team: mill", code=0)
        row = self.nm.json("provider", "ls")["providers"][0]
        self.assertEqual((row["concurrency"], row["weight"], row["url"], row["headers"], row["enabled"]), (3, 7, self.upstream.url, {"X-Team": "mill"}, True))
        self.nm.run("provider", "add", "box", "--disable", code=0)
        self.assertIn("switched off", self.nm.run("model", "test", "box/fake", code=9).err)
        self.nm.run("provider", "rm", "box", code=0)
        self.assertEqual(self.nm.json("provider", "ls")["providers"], [])

    def test_a_service_account_is_exchanged_for_a_token(self):
        if not shutil.which("openssl"):
            self.skipTest("no openssl here")
        key = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], capture_output=True, text=True, check=True).stdout
        google = Upstream("--models", "gemini-fake,claude-fake")
        self.models.append(google)
        account = {"type": "service_account", "project_id": "mill-42", "private_key_id": "k1", "private_key": key, "client_email": "mill@example.org", "token_uri": google.url + "/token"}
        file = self.folder / "account.json"
        file.write_text(json.dumps(account))
        file.chmod(0o600)
        self.nm.run("provider", "add", "vertex", "--url", google.url, "--key-file", file, code=0)
        for model in ("gemini-fake", "claude-fake"):
            ended = self.nm.run("model", "test", f"vertex/{model}")
            self.assertEqual(ended.code, 0, f"{ended}\n{google.entries()}")
        self.assertEqual(len([e for e in google.entries() if e["path"].startswith("/v1/projects/mill-42/locations/global/publishers/")]), 2)


class Models(AccessCase):
    def test_models_and_tiers(self):
        self.provider("one", "chat")
        self.provider("two", "messages")
        for provider in ("one", "two"):
            self.nm.run("model", "add", "fake-model", "--provider", provider, "--upstream", "fake", "--context", 1000, "--abilities", "tools,json", code=0)
        rows = self.nm.json("model", "ls")["models"]
        self.assertEqual([(r["provider"], r["abilities"], r["context"], r["price"]) for r in rows], [("one", ["tools", "json"], 1000, None), ("two", ["tools", "json"], 1000, None)])
        self.assertEqual([r["provider"] for r in self.nm.json("model", "test", "fake-model")["results"]], ["one", "two"])
        self.nm.run("tier", "set", "A", "fake-model", "one/fake+stop=length", code=0)
        self.nm.run("tier", "set", "A", "--thinking", "two/fake", code=0)
        self.assertEqual([r["upstream"] for r in self.nm.json("model", "test", "A")["results"]], ["fake", "fake", "fake+stop=length"])
        self.assertEqual([r["provider"] for r in self.nm.json("model", "test", "A", "--thinking")["results"]], ["two"])
        self.assertEqual([(t["name"], t["mode"], t["models"]) for t in self.nm.json("tier", "ls")["tiers"]], [("A", "normal", ["fake-model", "one/fake+stop=length"]), ("A", "thinking", ["two/fake"])])
        self.nm.run("tier", "set", "A", "--thinking", code=0)
        self.assertEqual(len(self.nm.json("tier", "ls")["tiers"]), 1)
        self.assertIn("did you mean fake-model", self.nm.run("model", "test", "fake-modl", code=1).err)
        self.assertIn("model rm", self.nm.run("provider", "rm", "one", code=1).err)
        self.nm.run("model", "rm", "fake-model", "--provider", "one", code=0)
        self.nm.run("provider", "rm", "one", code=0)
        self.assertIn("no provider", self.nm.run("model", "add", "x", "--provider", "one", code=1).err)

    def test_the_environment_overrides_tiers(self):
        self.nm.stop_daemon()
        self.nm.env |= {"TIER_A_MODEL": "one/a, one/b", "NIGHTMILL_TIER_B_MODEL": "one/c"}
        self.start()
        self.nm.run("tier", "set", "A", "one/row", code=0)
        self.assertEqual([(t["name"], t["models"], t["origin"]) for t in self.nm.json("tier", "ls")["tiers"]], [("A", ["one/a", "one/b"], "setting"), ("B", ["one/c"], "setting")])

    def test_a_key_sees_the_models_that_it_may_ask(self):
        self.provider("one", "chat")
        for name in ("small", "large"):
            self.nm.run("model", "add", name, "--provider", "one", code=0)
        self.nm.run("tier", "set", "A", "large", code=0)
        key = self.key("narrow", model="small")
        self.assertEqual([m["id"] for m in self.call("GET", "/api/v1/models", key)[1]["models"]], ["small"])
        self.assertEqual(self.call("GET", "/api/v1/tiers", key)[1]["tiers"], [])


class Prices(AccessCase):
    def file(self, **models):
        where = self.folder / "prices.json"
        rows = {name: {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": rate[0], "output_cost_per_token": rate[1]} for name, rate in models.items()}
        where.write_text(json.dumps(rows))
        return where

    def input_of(self, model):
        return self.nm.json("price", "ls", model)["prices"][0]["input"]

    def test_by_hand(self):
        self.nm.run("price", "set", "my-model", "--input", "3.00", "--output", "15.00", "--cache-read", "0.30", "--currency", "EUR", code=0)
        row = self.nm.json("price", "ls", "my-model")["prices"][0]
        self.assertEqual((row["input"], row["output"], row["cache_read"], row["cache_write"], row["currency"]), ("3.00", "15.00", "0.30", "3.00", "EUR"))
        self.nm.run("price", "set", "my-model", "--input", "4.00", "--output", "15.00", code=0)
        self.assertEqual(self.input_of("my-model"), "4.00")
        self.assertEqual(len(self.nm.json("price", "ls", "my-model", "--all")["prices"]), 2)
        self.assertIn("--input and --output", self.nm.run("price", "set", "my-model", code=2).err)
        self.assertEqual(self.nm.run("config", "price", "my-model", "--input", "1").code, 2)  # one way only

    def test_importing_tells_what_changed_and_can_be_repeated(self):
        file = self.file(a=(3e-06, 1.5e-05), b=(1.5e-07, 6e-07))
        dry = self.nm.json("price", "import", file, "--dry-run")
        self.assertEqual((dry["counts"]["new"], dry["dry_run"]), (2, True))
        self.assertEqual(self.nm.json("price", "ls", "a")["prices"], [])
        done = self.nm.json("price", "import", file)
        digest = subprocess.run(["sha256sum", str(file)], capture_output=True, text=True, check=True).stdout.split()[0]
        self.assertEqual((done["counts"]["new"], done["source"]), (2, f"litellm prices.json sha256:{digest}"))
        self.assertEqual((self.input_of("a"), self.input_of("b")), ("3.00", "0.15"))
        again = self.nm.json("price", "import", file)
        self.assertEqual((again["counts"]["unchanged"], again["changes"]), (2, []))
        self.nm.run("price", "import", self.file(a=(4e-06, 1.5e-05), b=(1.5e-07, 6e-07)), code=0)
        self.assertEqual(self.input_of("a"), "4.00")
        self.assertEqual(self.nm.json("price", "ls", "a", "--all")["prices"][-1]["input"], "3.00")  # what it was

    def test_absurd_jumps_need_force(self):
        self.nm.run("price", "import", self.file(a=(3e-06, 1.5e-05)), code=0)
        file = self.file(a=(3e-05, 1.5e-05), b=(1e-06, 1e-06))
        ended = self.nm.run("price", "import", file, code=1)
        self.assertIn("input was 3.00 and would be 30.00", ended.out)
        self.assertIn("--force", ended.err)
        self.assertEqual((self.input_of("a"), self.input_of("b")), ("3.00", "1.00"))
        self.nm.run("price", "import", file, "--force", code=0)
        self.assertEqual(self.input_of("a"), "30.00")

    def test_prices_set_by_hand_stay(self):
        self.nm.run("price", "set", "a", "--input", "2.50", "--output", "9", code=0)
        self.assertEqual(self.nm.json("price", "import", self.file(a=(3e-06, 1e-05)))["counts"]["by_hand"], 1)
        self.assertEqual(self.input_of("a"), "2.50")

    def test_other_files_are_refused_in_a_sentence(self):
        for name, text in {"empty": "", "words": "not json", "other": "{\"a\": 1}"}.items():
            where = self.folder / name
            where.write_text(text)
            ended = self.nm.run("price", "import", where, code=2)
            self.assertLess(len(ended.err.splitlines()), 5, ended.err)
        self.assertEqual(self.nm.run("price", "import", self.folder / "missing").code, 1)
