"""nightmill agent: agents found, installed, asked and tried out, with an npm and an agent of our own."""
import json
import os
import stat
import unittest

from harness import Case

# What the npm of the tests installs as pi: it does the real one's part of the wire, for good or ill.
PI = r'''#!/usr/bin/python3
import json, os, subprocess, sys, urllib.request
MODE = "@MODE@"
if "--version" in sys.argv:
    print("pi 0.74.2")
    sys.exit(0)
def say(**line):
    print(json.dumps(line), flush=True)
say(type="session", id="s-1")
if MODE == "lazy":
    say(type="agent_end", messages=[])
    sys.exit(0)
if MODE == "crash":
    os.kill(os.getpid(), 11)
if MODE == "fork" and os.fork() == 0:
    os.setsid()
    os.execv("/bin/sleep", ["sleep", "1000"])
if MODE == "curious":
    for url in ("http://telemetry.example/x?y=1", "https://telemetry.example/", "http://telemetry.example/again", "https://user:word@updates.example:8443/"):
        try:
            urllib.request.urlopen(url, timeout=10)
            sys.exit(9)
        except OSError as refusal:
            pass
models = json.load(open(os.environ["HOME"] + "/.pi/agent/models.json"))["providers"]["nightmill"]
messages = [{"role": "user", "content": sys.stdin.read()}]
tools = [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object", "properties": {"command": {"type": "string"}}}}}]
while True:
    body = {"model": sys.argv[sys.argv.index("--model") + 1], "messages": messages, "tools": tools}
    head = {"Authorization": "Bearer " + models["apiKey"], "Content-Type": "application/json"}
    answer = json.load(urllib.request.urlopen(urllib.request.Request(models["baseUrl"] + "/chat/completions", json.dumps(body).encode(), head)))
    message, usage = answer["choices"][0]["message"], answer["usage"]
    calls = message.get("tool_calls") or []
    content = [{"type": "text", "text": message["content"]}] if message.get("content") else []
    whole = {"role": "assistant", "content": content, "stopReason": "stop", "usage": {"input": usage["prompt_tokens"] + (MODE == "liar"), "output": usage["completion_tokens"], "cacheRead": 0, "cacheWrite": 0}}
    say(type="message_end", message=whole)
    messages.append(message)
    for call in calls:
        command = json.loads(call["function"]["arguments"])["command"]
        say(type="tool_execution_start", toolCallId=call["id"], toolName="bash", args={"command": command})
        done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True)
        say(type="tool_execution_end", toolCallId=call["id"], toolName="bash", result={"content": done.stdout}, isError=done.returncode != 0)
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": done.stdout or "(no output)"})
    say(type="turn_end", message=whole, toolResults=[])
    if not calls:
        break
say(type="agent_end", messages=[])
'''
NPM = r'''#!/bin/sh
set -e
mkdir -p node_modules/@earendil-works/pi-coding-agent node_modules/.bin
echo '{"version":"0.74.2"}' > node_modules/@earendil-works/pi-coding-agent/package.json
cp @PI@ node_modules/@earendil-works/pi-coding-agent/cli.js
chmod 755 node_modules/@earendil-works/pi-coding-agent/cli.js
ln -s ../@earendil-works/pi-coding-agent/cli.js node_modules/.bin/pi
echo added 1 package
'''


class AgentCommand(Case):
    def setUp(self):
        super().setUp()
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        self.nm.env["PATH"] = f"{self.bin}:/usr/bin:/bin"

    def program(self, name, text):
        file = self.bin / name
        file.write_text(text, encoding="utf-8")
        file.chmod(0o755)
        return file

    def install(self, mode="good"):
        pi = self.folder / "pi"
        pi.write_text(PI.replace("@MODE@", mode), encoding="utf-8")
        self.program("npm", NPM.replace("@PI@", str(pi)))
        return self.nm.run("agent", "install", "pi", code=0)

    def agents(self):
        return {a["name"]: a for a in self.nm.json("agent", "ls")["agents"]}

    def tried(self, code=0):
        return self.nm.json("agent", "test", "pi", code=code, seconds=200)

    def test_install(self):
        self.assertFalse(self.agents()["pi"]["here"])
        self.assertEqual(self.agents()["command"]["origin"], "custom")
        ended = self.install()
        self.assertIn("0.74.2", ended.out)
        found = self.agents()["pi"]
        self.assertEqual((found["origin"], found["version"], found["pinned"]), ("installed", "0.74.2", "0.74.2"))
        self.assertEqual(stat.S_IMODE(os.stat(self.nm.data / "agents" / "pi").st_mode), 0o755)
        self.assertEqual(self.nm.json("agent", "probe", "pi")["agents"], [{"name": "pi", "works": True, "version": "0.74.2", "pinned": "0.74.2"}])
        self.assertEqual([p.name for p in (self.nm.data / "agents").iterdir() if p.name != ".lock"], ["pi"])

    def test_found_on_the_path(self):
        self.program("goose", "#!/bin/sh\necho goose 1.20.3\n")
        self.assertEqual(self.agents()["goose"]["origin"], "path")
        self.assertIn("goose", self.nm.run("agent", "probe", "goose", code=0).out)
        self.program("goose", "#!/bin/sh\necho '\x1b[31mbroken' >&2\nexit 4\n")
        ended = self.nm.run("agent", "probe", "goose", code=1)
        self.assertIn("does not start", ended.out)
        self.assert_clean_bytes(ended.raw_out, "probe")

    def test_words_of_refusals(self):
        self.assert_one_sentence(self.nm.run("agent", "probe", "pi", code=1), "pi is not here", "nightmill agent install pi")
        self.assert_one_sentence(self.nm.run("agent", "install", "codx", code=1), "no agent \"codx\"", "codex")
        self.assert_one_sentence(self.nm.run("agent", "install", "aider", code=2), "not an npm package", "pipx")
        self.assert_one_sentence(self.nm.run("agent", "test", "command", code=2), "no program of its own", "--agent command")
        self.program("npm", "#!/bin/sh\necho 'npm error code E404' >&2\nexit 1\n")
        ended = self.nm.run("agent", "install", "pi", code=1)
        self.assertIn("npm could not install", ended.err)
        self.assertFalse(self.agents()["pi"]["here"])

    def test_tried_out(self):
        self.install()
        found = self.tried()
        self.assertEqual({k: found[k] for k in ("good", "file_made", "outcome", "requests", "usage_equal", "processes_left", "session")},
                         {"good": True, "file_made": True, "outcome": "done", "requests": 2, "usage_equal": True, "processes_left": 0, "session": "s-1"})
        self.assertEqual((found["input_tokens"], found["output_tokens"]), (found["said_input_tokens"], found["said_output_tokens"]))
        self.assertIn("pi works", self.nm.run("agent", "test", "pi", code=0, seconds=200).out)
        self.assertEqual([p.name for p in (self.nm.data / "agents").iterdir() if p.name.startswith(".test")], [])

    def test_tried_out_and_found_wanting(self):
        for mode, want in (("lazy", {"outcome": "no_change", "requests": 0, "file_made": False}), ("crash", {"outcome": "died"}), ("liar", {"outcome": "done", "usage_equal": False})):
            self.install(mode)
            found = self.tried(code=1)
            self.assertFalse(found["good"])
            self.assertEqual({k: found[k] for k in want}, want, json.dumps(found))
        self.install("curious")
        self.assertEqual(self.tried()["hosts"], ["telemetry.example", "telemetry.example:443", "updates.example:8443"])
        self.install("fork")
        self.assertEqual(self.tried()["processes_left"], 1)  # and none is there now: see Case.clean


if __name__ == "__main__":
    unittest.main()
