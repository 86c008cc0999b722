"""Measures Nightmill and prints one table: figure, median, goal, remark. Asserts nothing.

  run.py BUILD [NAME...]     BUILD: the build folder; NAME: only rows with that in their name

What is compared is measured in turns in the same minute, because the machine and its neighbours change from second to second.
"""
import datetime
import http.client
import json
import os
import pathlib
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
BUILD = pathlib.Path(sys.argv[1]).resolve()
os.environ["NIGHTMILL_PROGRAM"] = str(BUILD / "nightmill")
import harness  # noqa: E402  (after the program is named)
import bench_api  # noqa: E402
import bench_gateway  # noqa: E402
import bench_proxy as egress  # noqa: E402
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK, plain_honest, plain_wrong  # noqa: E402

TASKS = 10000
rows = []


def row(name, value, goal, remark=""):
    rows.append((name, value, goal, remark))
    print(f"  {name}: {value}  {remark}", flush=True)


def ms(seconds):
    return f"{seconds * 1000:.1f} ms"


def spread(values):
    values = sorted(values)
    return f"median of {len(values)}, {ms(values[0])} to {ms(values[-1])}"


class Place:
    """A folder with the program in it and everything ended afterwards."""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nightmill-bench-", dir="/var/tmp"))
        self.folder.chmod(0o755)
        self.nm = harness.Nightmill(self.folder)
        self.models = []
        return self

    def model(self, plan, **more):
        model = harness.Model(self.folder, plan, **more)
        self.models.append(model)
        self.nm.env["NIGHTMILL_MODEL_URL"] = model.url
        return model

    def __exit__(self, *_):
        self.nm.stop_daemon()
        for process in self.nm.started:
            process.wait(20)
        for model in self.models:
            model.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def fill(data, count, most=None):
    """Copies the one task of a database until there are `count`, each with its events (the first `most` of them)."""
    database = sqlite3.connect(data / "nightmill.db")
    columns = [r[1] for r in database.execute("PRAGMA table_info(task)")]
    texts = [r[1] for r in database.execute("PRAGMA table_info(task_text)")]
    task = dict(zip(columns, database.execute("SELECT * FROM task LIMIT 1").fetchone()))
    text = dict(zip(texts, database.execute("SELECT * FROM task_text LIMIT 1").fetchone()))
    events = database.execute("SELECT number, time_ns, type, actor, data, origin FROM event WHERE task_id = ?", (task["id"],)).fetchall()[:most]
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    for n in range(count - 1):
        number, name = task["number"] + 1 + n, "z" + "".join(alphabet[(n >> shift) & 31] for shift in (25, 20, 15, 10, 5, 0))
        database.execute(f"INSERT INTO task ({','.join(columns)}) VALUES ({','.join('?' * len(columns))})", [{**task, "number": number, "id": name}[c] for c in columns])
        database.execute(f"INSERT INTO task_text ({','.join(texts)}) VALUES ({','.join('?' * len(texts))})", [{**text, "number": number}[c] for c in texts])
        database.executemany("INSERT INTO event (task_id, number, time_ns, type, actor, data, origin) VALUES (?,?,?,?,?,?,?)", [(name, *e) for e in events])
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return len(events)


def memory(pid):
    """(resident, private) KiB: all pages, and those that no other process shares."""
    resident = private = 0
    for line in pathlib.Path("/proc", str(pid), "smaps_rollup").read_text(encoding="ascii").splitlines():
        words = line.split()
        if words[0] == "Rss:":
            resident = int(words[1])
        elif words[0] in ("Private_Clean:", "Private_Dirty:"):
            private += int(words[1])
    return resident, private


def megabytes(kib):
    return f"{kib / 1024:.1f} MB"


def bench_daemon(wanted):
    """Start, lists and memory with many stored tasks."""
    if not wanted("daemon_start", "ls", "memory_daemon"):
        return
    with Place() as place:
        nm = place.nm
        place.model(harness.script(plain_honest()))
        repo = harness.Repo(place.folder / "project", PLAIN)
        nm.run("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=repo.path, code=0, seconds=120)
        nm.run("daemon", "stop", code=0)
        events = fill(nm.data, TASKS)
        remark = f"{TASKS} tasks with {events} events each"
        starts = []
        for _ in range(9):
            began = time.monotonic()
            process = subprocess.Popen(nm.command("daemon", "start"), env=nm.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while True:
                try:
                    if nm.api("GET", "/health")[0] == 200:
                        break
                except OSError:
                    time.sleep(0.0005)
            starts.append(time.monotonic() - began)
            process.wait(30)
            nm.run("daemon", "stop", code=0)
        row("daemon_start", ms(statistics.median(starts)), "100 ms", f"start to first answer; {remark}; {spread(starts)}")
        nm.run("daemon", "start", code=0)
        whole, inside = [], []
        for _ in range(25):
            began = time.monotonic()
            nm.run("ls", code=0)
            whole.append(time.monotonic() - began)
            began = time.monotonic()
            nm.api("GET", "/api/v1/tasks?limit=50")
            inside.append(time.monotonic() - began)
        row("ls", ms(statistics.median(whole)), "50 ms", f"the command from start to end; {spread(whole)}; the daemon's part {ms(statistics.median(inside))}")
        time.sleep(2)
        status = nm.status()
        server, keeper = memory(status["pid"]), memory(status["keeper_pid"])
        row("memory_daemon", megabytes(server[0]), "20 MB", f"resident, server, idle, {remark} (private {megabytes(server[1])}); keeper {megabytes(keeper[0])} (private {megabytes(keeper[1])})")


def bench_iterations(wanted):
    """The engine's own time, as the runner counts it, and the memory of a runner."""
    if not wanted("engine_per_iteration", "memory_runner", "run_whole"):
        return
    with Place() as place:
        nm = place.nm
        engine, whole, resident = [], [], []
        for n in range(5):
            nm.stop_daemon()
            model = place.model(harness.script(plain_wrong("three"), plain_wrong("four"), [harness.turn(harness.write("file.txt", "one\ntwo\n"), wait_for="go"), harness.turn(harness.finish())]))
            repo = harness.Repo(place.folder / f"project-{n}", PLAIN)
            nm.run("daemon", "start", code=0)
            began = time.monotonic()
            command = nm.start("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=repo.path)
            harness.wait_for("the third iteration", 60, lambda: any(r.get("iteration") == 3 for r in model.requests()))
            waited = time.monotonic()
            resident += [memory(r["pid"]) for r in nm.status()["runners"]]
            waited = time.monotonic() - waited
            model.open_gate("go")
            command.wait(60)
            whole.append(time.monotonic() - began - waited)
            task = nm.newest()
            engine += [e["data"]["engine_ms"] / 1000 for e in nm.events(task, "iteration.finished")]
        row("engine_per_iteration", ms(statistics.median(engine)), "100 ms", f"neither model nor check nor commands; {spread(engine)}")
        row("run_whole", ms(statistics.median(whole)), "", f"`nightmill run`, three iterations with a script and a check of no cost; {spread(whole)}")
        row("memory_runner", megabytes(statistics.median(r for r, _ in resident)), "10 MB", f"resident, waiting for a model (private {megabytes(statistics.median(p for _, p in resident))})")


def bench_call(wanted):
    """One small request through the gateway against the same straight to the model server."""
    if not wanted("call_latency"):
        return
    with Place() as place:
        nm = place.nm
        model = place.model(harness.script([harness.turn(harness.finish(), wait_for="go")]))
        repo = harness.Repo(place.folder / "project", PLAIN)
        command = nm.start("run", PLAIN_TASK, "--check", PLAIN_CHECK, "--iterations", "1", cwd=repo.path)
        task = nm.newest()
        harness.wait_for("the first request", 60, model.requests)
        token = (nm.data / "tasks" / task / "token").read_text(encoding="ascii").strip()
        body = json.dumps({"model": "scripted", "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]})
        direct = http.client.HTTPConnection("127.0.0.1", model.port, timeout=20)
        through = harness.UnixConnection(str(nm.data / "run" / "nightmill.sock"), 20)

        def ask(connection, number):
            began = time.monotonic()
            connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json", "Authorization": f"Bearer {token}", "X-Nightmill-Call": f"bench-{number}", "X-Nightmill-Iteration": "1"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status} {text[:300]!r}")
            return time.monotonic() - began

        times = {"direct": [], "through": []}
        for number in range(200):
            times["direct"].append(ask(direct, number))
            times["through"].append(ask(through, number))
        plain, gateway = statistics.median(times["direct"]), statistics.median(times["through"])
        row("call_latency", ms(gateway - plain), "", f"added to a request of {ms(plain)}: admission, two durable writes, streaming; median of 200 each, in turns")
        nm.run("stop", task)
        model.open_gate("go")
        command.wait(30)


def hello_bare(place, model, deed, n):
    """Somebody else's agent by itself: seconds from its start to its end."""
    repo = harness.Repo(place.folder / f"bare-{n}", PLAIN)
    home = place.folder / f"home-{n}"
    home.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "OPENAI_BASE_URL": f"{model.url}/v1", "OPENAI_API_KEY": "x", "NIGHTMILL_MODEL": "scripted"}
    began = time.monotonic()
    subprocess.run(deed, cwd=repo.path, env=env, input=PLAIN_TASK.encode(), stdout=subprocess.DEVNULL, check=True, timeout=60)
    return time.monotonic() - began


def event_seconds(nm, task, kind):
    stamp = nm.events(task, kind)[-1]["time"]
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def bench_hello(wanted):
    """A small task of somebody else's agent: through Nightmill, with its verdict and delivery, against the agent alone."""
    if not wanted("sandbox_hello"):
        return
    with Place() as place:
        nm, agent = place.nm, ROOT / "tests" / "fakes" / "agent.py"
        deed = ["/usr/bin/python3", str(agent), "work"]
        nm.env.update({"NIGHTMILL_AGENT_FOLDER": str(agent.parent), "NIGHTMILL_AGENT_OUTPUT": "lines", "NIGHTMILL_AGENT_COMMAND": " ".join(deed)})
        model = place.model(harness.script(plain_honest()))
        nm.run("daemon", "start", code=0)
        bare, parts = [], []
        for n in range(9):
            bare.append(hello_bare(place, model, deed, n))
            repo = harness.Repo(place.folder / f"project-{n}", PLAIN)
            nm.run("run", PLAIN_TASK, "--agent", "command", "--check", PLAIN_CHECK, cwd=repo.path, code=0, seconds=120)
            task = nm.newest()
            times = [event_seconds(nm, task, kind) for kind in ("task.created", "agent.started", "agent.finished", "delivered")]
            parts.append([b - a for a, b in zip(times, times[1:])])
        before, inside, after = (statistics.median(p) for p in zip(*parts))
        alone = statistics.median(bare)
        added = [sum(p) - alone for p in parts]
        row("sandbox_hello_added", ms(statistics.median(added)), "150 ms",
            f"from the task to its delivery, over {ms(alone)} of the agent alone; {ms(before)} until it starts, {ms(inside - alone)} while it works, {ms(after)} for verdict and delivery; {spread(added)}")


def bench_proxy(wanted):
    """The gateway as a proxy, and the egress proxy, against nginx."""
    if wanted("gateway"):
        bench_gateway.measure(BUILD, row)
    if wanted("proxy"):
        with Place() as place:
            egress.run(BUILD, row, place.folder)


def bench_programs(wanted):
    """The measuring programs of the rooms: lines of name, value, unit, remark."""
    goals = {"events_durable_batch": "20000 per s", "budget_reserve_settle": "1000 ns", "sandbox_ready": "10 ms", "workspace_spare": "20 ms", "workspace_spare_other": "20 ms"}
    for program in sorted(BUILD.glob("bench/bench_*")):
        if program.is_dir() or not os.access(program, os.X_OK) or program.name == "bench_http" or not wanted(program.name, *(["workspace of a sandbox"] if program.name == "bench_repo" else [])):
            continue
        done = subprocess.run([str(program)], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
        if done.returncode:
            row(program.name, "failed", "", done.stderr.strip()[-300:])
        for line in done.stdout.splitlines():
            words = line.split("\t")
            if len(words) >= 3:
                row(words[0], f"{words[1]} {words[2]}", goals.get(words[0], ""), words[3] if len(words) > 3 else "")
            elif line.strip():
                row(program.name, line.strip(), "")


def http_memory(program):
    goals = {"http_stalled": "1 MB each", "http_idle_sse": "100 MB", "http_idle_ws": "100 MB"}
    done = subprocess.run([str(program), "memory"], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
    if done.returncode:
        row("http memory", "failed", "", done.stderr.strip()[-300:])
    for words in (line.split("\t") for line in done.stdout.splitlines()):
        row(words[0], f"{words[1]} {words[2]}", goals.get(words[0], ""), words[3])


def http_against_nginx(program, name, certificate):
    """Requests a second of both, one thread each, in turns. certificate: PEM files of it and its key, or none."""
    scheme, tls = ("https", "ssl") if certificate else ("http", "")
    ours = subprocess.Popen([str(program), "0", *certificate], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    port = int(ours.stdout.readline().split()[1])
    other_port = port + 1 if port < 65000 else port - 1
    with tempfile.TemporaryDirectory() as folder:
        configuration = pathlib.Path(folder, "nginx.conf")
        files = f"ssl_certificate {certificate[0]}; ssl_certificate_key {certificate[1]};" if certificate else ""
        configuration.write_text(f"""daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{other_port} {tls}; {files} location /health {{ default_type application/json; return 200 '{{"status":"ok"}}\\n'; }} }} }}
""", encoding="ascii")
        nginx = subprocess.Popen(["nginx", "-p", folder, "-c", str(configuration)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            rates = {"ours": [], "nginx": []}
            for _ in range(5):
                for which, at in (("ours", port), ("nginx", other_port)):
                    done = subprocess.run(["wrk", "-t1", "-c64", "-d2s", f"{scheme}://127.0.0.1:{at}/health"], capture_output=True, text=True, timeout=30)
                    rates[which] += [float(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("Requests/sec")]
            if rates["ours"] and rates["nginx"]:
                own, other = statistics.median(rates["ours"]), statistics.median(rates["nginx"])
                row(name, f"{own / other:.2f} of nginx", "", f"{own:.0f} against {other:.0f} requests a second, one thread each, 64 connections, median of {len(rates['ours'])} in turns")
        finally:
            ours.stdin.close()
            ours.wait(10)
            nginx.terminate()
            nginx.wait(10)


def bench_http(wanted):
    """Our HTTP layer: the memory of its connections, and its pace against nginx by wrk."""
    program = BUILD / "bench" / "bench_http"
    if not wanted("http") or not program.exists():
        return
    http_memory(program)
    if not shutil.which("wrk") or not shutil.which("nginx"):
        row("http", "not measured", "", "needs wrk and nginx")
        return
    http_against_nginx(program, "http", ())
    with tempfile.TemporaryDirectory() as folder:
        files = (f"{folder}/certificate.pem", f"{folder}/key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-keyout", files[1], "-out", files[0]], check=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        pathlib.Path(files[1]).chmod(0o600)
        http_against_nginx(program, "https", files)


def bench_interface(wanted):
    """The interface and the live stream."""
    bench_api.bench(row, wanted, Place, fill, BUILD)


def main():
    names = sys.argv[2:]

    def wanted(*these):
        return not names or any(n in t for n in names for t in these)

    for part in (bench_daemon, bench_iterations, bench_call, bench_hello, bench_proxy, bench_programs, bench_http, bench_interface):
        print(f"{part.__name__.removeprefix('bench_')} ...", flush=True)
        part(wanted)
    width = max((len(r[0]) for r in rows), default=0)
    print(f"\n{'figure'.ljust(width)}  {'measured'.ljust(16)}  {'goal'.ljust(12)}  remark")
    for name, value, goal, remark in rows:
        print(f"{name.ljust(width)}  {value.ljust(16)}  {goal.ljust(12)}  {remark}")


if __name__ == "__main__":
    main()
