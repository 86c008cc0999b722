"""The gateway against nginx, both in front of the same model server (bench/upstream.c): a part of run.py.

Targets, visited in turns within each round: the server itself, nginx as a proxy, nginx that also writes each request's body to a log, Nightmill with a key, a price, budgets of several
scopes and its ledger. What is told are medians over the rounds of figures taken within one round; ratios and "added" compare targets of the same round. CPU is that of the proxy's
process alone. Each round begins with fresh proxies.
"""
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

import gateway
import harness

CONNECTIONS = (1, 32, 256)
SCOPES = ("organisation", "project", "user")
PROMPT = "Say what this program does, in a sentence or two. " * 17  # about 1 KB of request
TICK = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    """Seconds of processor time of a process with all its threads."""
    words = pathlib.Path("/proc", str(pid), "stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / TICK


def resident(pid):
    return next(int(line.split()[1]) for line in pathlib.Path("/proc", str(pid), "status").read_text(encoding="ascii").splitlines() if line.startswith("VmRSS:")) / 1024


class Server:
    """bench/upstream: the model server."""
    name = "direct"
    headers = {}

    def __init__(self, build, _folder, _upstream):
        self.process = subprocess.Popen([str(build / "bench" / "upstream")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])
        self.pid = self.process.pid

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Nginx:
    name = "nginx"
    log = "access_log off;"
    headers = {}

    def __init__(self, _build, folder, upstream):
        place = pathlib.Path(tempfile.mkdtemp(dir=folder))
        with socket.socket() as any_free:
            any_free.bind(("127.0.0.1", 0))
            self.port = any_free.getsockname()[1]
        (place / "nginx.conf").write_text(f"""daemon off; worker_processes 1; pid {place}/pid; error_log {place}/error;
events {{ worker_connections 2048; }}
http {{
  log_format bodies escape=json '{{"time":"$msec","status":$status,"sent":$bytes_sent,"took":$request_time,"request":"$request_body"}}';
  {self.log.format(place=place)}
  keepalive_requests 1000000000; client_body_in_single_buffer on; client_body_buffer_size 1m; client_max_body_size 64m;
  client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
  upstream models {{ server 127.0.0.1:{upstream.port}; keepalive 512; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{self.port} backlog=1024;
    location / {{ proxy_pass http://models; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }} }}
}}
""", encoding="ascii")
        self.process = subprocess.Popen(["nginx", "-p", str(place), "-c", str(place / "nginx.conf")], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        workers = harness.wait_for("nginx's worker", 10, lambda: [pid for pid, _ in harness.descendants(self.process.pid)] if (place / "pid").exists() else [])
        self.pid = workers[0]

    def close(self):
        self.process.terminate()
        self.process.wait(10)


class NginxLog(Nginx):
    name = "nginx + log"
    log = "access_log {place}/requests bodies;"


class Nightmill:
    """The daemon as a user has it: admission under budgets of several scopes, every request in the durable ledger."""
    name = "nightmill"
    loops = 1

    def __init__(self, _build, folder, upstream):
        self.nm = harness.Nightmill(tempfile.mkdtemp(dir=folder), {gateway.KEY_VARIABLE: gateway.UPSTREAM_KEY, "NIGHTMILL_SERVER_ADDRESS": "127.0.0.1:0",
                                                                   "NIGHTMILL_SERVER_LOOPS": str(self.loops)})
        self.nm.run("daemon", "start", code=0)
        self.port = gateway.gateway_port(self.nm)
        gateway.provider_put(self.nm, "bench", "chat", f"http://127.0.0.1:{upstream.port}")
        gateway.model_add(self.nm, "bench", "bench", "bench")
        gateway.api(self.nm, "POST", "/api/v1/prices", model="bench", input="3", output="15", cache_read="0.3")
        token = gateway.key_create(self.nm, "bench", **{scope: "bench" for scope in SCOPES})
        for scope in SCOPES:
            gateway.api(self.nm, "POST", "/api/v1/budgets", scope=scope, scope_id="bench", money="1000000", window="month")
        self.headers = {"Authorization": f"Bearer {token}"}
        self.pid = self.nm.status()["pid"]

    def close(self):
        self.nm.stop_daemon()


class NightmillLoops(Nightmill):
    """The same with two loops; worth something where there are more processors than those of the load and the model server."""
    name = "nightmill x 2"
    loops = 2


class Load:
    """One target under load."""

    def __init__(self, build, folder, target, upstream):
        self.build, self.folder, self.target, self.upstream = build, folder, target, upstream

    def body(self, words, **more):
        return json.dumps({"model": "bench", "max_tokens": 400, "messages": [{"role": "user", "content": f"{words} {PROMPT}"}], **more}, separators=(",", ":"))

    def documents(self, connections, seconds):
        """{rate, p50 us, cpu us a request} of plain answers by wrk."""
        script = pathlib.Path(self.folder, "post.lua")
        headers = "".join(f'wrk.headers["{k}"]="{v}"\n' for k, v in {"Content-Type": "application/json", **self.target.headers}.items())
        script.write_text(f'wrk.method="POST"\nwrk.body={json.dumps(self.body("plain"))}\n{headers}', encoding="utf-8")
        began = cpu(self.target.pid)
        done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), f"http://127.0.0.1:{self.target.port}/v1/chat/completions"],
                              capture_output=True, text=True, timeout=seconds + 60)
        used = cpu(self.target.pid) - began
        count = int(re.search(r"(\d+) requests in", done.stdout)[1])
        bad = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", done.stdout))) + sum(int(n) for line in re.findall(r"Socket errors: (.*)", done.stdout) for n in re.findall(r"\d+", line))
        p50, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", done.stdout).groups()
        return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1]), "p50": float(p50) * {"us": 1, "ms": 1000, "s": 1e6}[unit], "cpu": used / max(1, count) * 1e6, "bad": bad,
                "memory": resident(self.target.pid)}

    def streams(self, words, streams, seconds):
        """What load_events prints, and {cpu us an event}."""
        body = self.body(words, stream=True, stream_options={"include_usage": True})
        head = {"Host": f"127.0.0.1:{self.target.port}", "Content-Type": "application/json", "Content-Length": len(body.encode()), **self.target.headers}
        request = pathlib.Path(self.folder, "request")
        request.write_bytes(("POST /v1/chat/completions HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in head.items()) + "\r\n" + body).encode())
        began = cpu(self.target.pid)
        done = subprocess.run([str(self.build / "bench" / "load_events"), str(self.target.port), str(streams), str(seconds), str(request)], capture_output=True, text=True, timeout=120)
        used = cpu(self.target.pid) - began
        words = done.stdout.split()
        found = {k: float(v) for k, v in zip(words[::2], words[1::2])}
        return {**found, "cpu": used / max(1, found.get("events", 0)) * 1e6}


def one_round(build, folder, order, seconds):
    """{target: {cell: figures}}"""
    found = {}
    upstream = Server(build, folder, None)
    targets = []
    try:
        for make in order:
            targets.append(upstream if make is Server else make(build, folder, upstream))
        for cell in ("idle", *CONNECTIONS, "first", "flat", "paced"):
            for target in targets:
                load = Load(build, folder, target, upstream)
                figures = ({"memory": resident(target.pid)} if cell == "idle" else load.documents(cell, seconds) if isinstance(cell, int) else
                           load.streams("events=5", 1, seconds / 2) if cell == "first" else load.streams("events=200", 100, seconds) if cell == "flat" else
                           load.streams("events=100 pace=20", 100, 0.1))
                found.setdefault(target.name, {})[cell] = figures
    finally:
        for target in targets:
            if target is not upstream:
                target.close()
        upstream.close()
    return found


def table(head, lines):
    widths = [max(len(row[i]) for row in [head, *lines]) for i in range(len(head))]
    for row_ in [head, *lines]:
        print("  " + "  ".join(text.ljust(w) if i == 0 else text.rjust(w) for i, (text, w) in enumerate(zip(row_, widths))), flush=True)


def show(rounds, names):
    def median(name, cell, figure):
        return statistics.median(r[name][cell][figure] for r in rounds)

    def added(name, cell, figure):
        return statistics.median(r[name][cell][figure] - r["direct"][cell][figure] for r in rounds)

    print(f"\nPlain answers (wrk, one thread, medians of {len(rounds)} rounds)")
    table(["target", *[f"{c} conn: req/s" for c in CONNECTIONS], *[f"CPU us, {c}" for c in CONNECTIONS], "added p50 us, 1", "RSS MB idle", "at 256", "failed"],
          [[n, *[f"{median(n, c, 'rate'):.0f}" for c in CONNECTIONS], *[f"{median(n, c, 'cpu'):.1f}" for c in CONNECTIONS], f"{added(n, 1, 'p50'):.0f}",
            f"{median(n, 'idle', 'memory'):.1f}", f"{median(n, 256, 'memory'):.1f}", f"{sum(r[n][c]['bad'] for r in rounds for c in CONNECTIONS)}"] for n in names])
    print("\nStreams (one of 5 events; 100 of 200 events flat out; 100 of 100 events, one each 20 ms)")
    table(["target", "one: first us", "added us", "flat: events/s", "CPU us/event", "paced: delay p50 us", "added us", "CPU us/event", "bad"],
          [[n, f"{median(n, 'first', 'ttfb_p50'):.0f}", f"{added(n, 'first', 'ttfb_p50'):.0f}", f"{statistics.median(r[n]['flat']['events'] / r[n]['flat']['seconds'] for r in rounds):.0f}",
            f"{median(n, 'flat', 'cpu'):.2f}", f"{median(n, 'paced', 'delay_p50'):.0f}", f"{added(n, 'paced', 'delay_p50'):.0f}", f"{median(n, 'paced', 'cpu'):.1f}",
            f"{sum(r[n][c]['bad'] for r in rounds for c in ('first', 'flat', 'paced')):.0f}"] for n in names])
    print()


def measure(build, row, rounds=5, seconds=2):
    """Rows for the table of run.py. `row(name, value, goal, remark)` tells one."""
    for tool in ("wrk", "nginx"):
        if not shutil.which(tool):
            row("gateway", "not measured", "", f"needs {tool}")
            return
    makers = [Server, Nginx, NginxLog, Nightmill, NightmillLoops]
    found = []
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        for n in range(rounds):
            began = time.monotonic()
            found.append(one_round(build, folder, makers[n % len(makers):] + makers[:n % len(makers)], seconds))
            print(f"  round {n + 1} of {rounds}: {time.monotonic() - began:.0f} s", flush=True)
    show(found, [m.name for m in makers])

    def ratio(cell, figure, other="nginx + log"):
        values = sorted(r["nightmill"][cell][figure] / max(1e-9, r[other][cell][figure]) for r in found)
        return statistics.median(values), f"rounds {values[0]:.2f} to {values[-1]:.2f}"

    def own(cell, figure):
        return statistics.median(r["nightmill"][cell][figure] for r in found)

    value, spread = ratio(32, "cpu")
    row("gateway_cpu", f"{value:.2f} of nginx + log", "1.00 at most", f"{own(32, 'cpu'):.1f} us a request at 32 connections; {spread}")
    for c in CONNECTIONS:
        value, spread = ratio(c, "rate")
        row(f"gateway_rate_{c}", f"{value:.2f} of nginx + log", "1.00 at least", f"{own(c, 'rate'):.0f} requests a second; {spread}")
    values = sorted(r["nightmill x 2"][256]["rate"] / max(1e-9, r["nightmill"][256]["rate"]) for r in found)
    row("gateway_loops", f"{statistics.median(values):.2f} of one loop", "", f"requests a second at 256 connections with two loops; rounds {values[0]:.2f} to {values[-1]:.2f}")
    pairs = [(r["nightmill"]["first"]["ttfb_p50"] - r["direct"]["first"]["ttfb_p50"], r["nginx"]["first"]["ttfb_p50"] - r["direct"]["first"]["ttfb_p50"]) for r in found]
    value = statistics.median(a / max(1, b) for a, b in pairs)
    row("gateway_first_event", f"{value:.2f} of nginx", "2.00 at most", f"added {statistics.median(a for a, _ in pairs):.0f} us against {statistics.median(b for _, b in pairs):.0f} us, one stream")
    for cell, goal in (("flat", "2 us or nginx"), ("paced", "22 us or nginx")):
        value, spread = ratio(cell, "cpu", "nginx")
        row(f"gateway_event_{cell}", f"{own(cell, 'cpu'):.2f} us", goal, f"CPU an event, {value:.2f} of nginx; {spread}")
    row("gateway_memory", f"{own(256, 'memory'):.1f} MB", "30 MB", f"resident after 256 connections; idle {own('idle', 'memory'):.1f} MB")
