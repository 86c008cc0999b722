"""The interface under load: /health against nginx, lists of many tasks, the live stream, the page of a long task: a part of run.py.

Latency of the stream (load_stream.c) is counted from the end of the commit's fdatasync, which commit_clock.c tells out of the server, to the return of the call that read the event from a
viewer's TCP socket. What it took with the commit, from the time that the event bears, is told beside it.
"""
import json
import os
import pathlib
import re
import select
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time
import urllib.parse

import harness
from long_task import long_task
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK, plain_honest
from stream import Stream

TASKS = 100000
EVENTS = 200000  # of the long task
VIEWERS = 100
CROWD, STALLED = 1000, 10
NUMBER = re.compile(rb'{"n":(\d+),')  # an event; parsing all of it would cost this program more than the server


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def ms(seconds):
    return f"{seconds * 1000:.1f} ms"


def p99_of(text):
    """The 99th percentile that wrk --latency prints, in seconds."""
    found = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    return float(found[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1}[found[2]] if found else None


def bench_health(row, nm, folder):
    if not shutil.which("wrk") or not shutil.which("nginx"):
        row("api_health", "not measured", "", "needs wrk and nginx")
        return
    place = pathlib.Path(tempfile.mkdtemp(prefix="nginx-", dir=folder))
    place.chmod(0o755)
    (place / "health").write_text('{"status":"ok"}\n', encoding="ascii")
    port = 18000 + os.getpid() % 1000
    (place / "conf").write_text(f"""daemon off; worker_processes 1; pid {place}/pid; error_log {place}/error;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
  server {{ listen 127.0.0.1:{port}; root {place}; }} }}
""", encoding="ascii")
    nginx = subprocess.Popen(["nginx", "-p", str(place), "-c", str(place / "conf")], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    tails = {"ours": [], "nginx": []}
    try:
        time.sleep(0.5)
        own = nm.status()["addresses"][0]["url"]
        for _ in range(5):
            for which, url in (("ours", own), ("nginx", f"http://127.0.0.1:{port}")):
                done = subprocess.run(["wrk", "-t1", "-c64", "-d3s", "--latency", f"{url}/health"], capture_output=True, text=True, timeout=40)
                tail = p99_of(done.stdout)
                tails[which] += [tail] if tail is not None else []
    finally:
        nginx.terminate()
        nginx.wait(10)
    if tails["ours"] and tails["nginx"]:
        ratio = statistics.median(a / b for a, b in zip(tails["ours"], tails["nginx"]))
        row("api_health", f"{ratio:.2f} of nginx", "1.0", f"p99 with 64 connections, {ms(statistics.median(tails['ours']))} against {ms(statistics.median(tails['nginx']))} for a file by nginx, median of {len(tails['ours'])} in turns")


def times(nm, path, count):
    connection = harness.UnixConnection(str(nm.data / "run" / "nightmill.sock"), 60)
    found = []
    for _ in range(count):
        began = time.monotonic()
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        found.append(time.monotonic() - began)
        if answer.status != 200:
            raise AssertionError(f"{path}: {answer.status}")
    connection.close()
    return found


def bench_lists(row, nm):
    for name, path in (("api_first_page", "/api/v1/tasks?limit=50"), ("api_counts", "/api/v1/tasks/counts"), ("api_text", "/api/v1/tasks?text=" + urllib.parse.quote("word two")),
                       ("api_states", "/api/v1/tasks?state=done,failed"), ("api_agent", "/api/v1/tasks?agent=nobody")):
        found = times(nm, path, 200)
        row(name, ms(percentile(found, 0.95)), "10 ms" if name == "api_first_page" else "", f"p95 of {len(found)}, median {ms(statistics.median(found))}, {TASKS} tasks: GET {path}")


class Crowd:
    """Many viewers of one task, read by one poll loop; keeps of each the numbers that came."""

    def __init__(self, nm, task, count, **more):
        self.place, self.topic = str(nm.data / "run" / "nightmill.sock"), f"task:{task}"
        self.poll, self.streams, self.numbers, self.ended = select.epoll(), {}, {}, 0
        self.begun = None
        for _ in range(count):
            self.add([], **more)

    def add(self, numbers, **more):
        stream = Stream(self.place, **more)
        stream.subscribe(self.topic, since=numbers[-1] if numbers else self.begun)
        self.begun = self.begun or stream.until(lambda m: "subscribed" in m)[-1]["subscribed"]["now"]
        self.streams[stream.socket.fileno()] = stream
        self.numbers[stream.socket.fileno()] = numbers
        self.poll.register(stream.socket.fileno(), select.EPOLLIN)

    def again(self, fd):
        """One that the server gave up, because it took nothing for a minute, comes back with the last number that it has."""
        self.ended += 1
        self.poll.unregister(fd)
        self.streams.pop(fd).close()
        self.add(self.numbers.pop(fd))

    def read(self, seconds):
        for fd, _ in self.poll.poll(seconds):
            stream = self.streams[fd]
            try:
                stream._more()
            except (ConnectionError, OSError):
                self.again(fd)
                continue
            while (frame := stream._frame()) is not None:
                if frame[0] == 9:
                    stream.send_frame(10, frame[1])
                if frame[0] == 1 and (number := NUMBER.match(frame[1])):
                    self.numbers[fd].append(int(number[1]))

    def until(self, count, seconds):
        deadline = time.monotonic() + seconds
        while any(len(n) < count for n in self.numbers.values()) and time.monotonic() < deadline:
            self.read(0.05)

    def close(self):
        for stream in self.streams.values():
            stream.close()


def hint(nm, task, text):
    status, document = nm.api("POST", f"/api/v1/tasks/{task}/hint", {"text": text})
    if status != 200:
        raise AssertionError(f"{status} {document}")


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def bench_events(row, nm, task, program):
    """Five rounds, of which the one in the middle counts: neighbours on the machine hold all of it up from time to time."""
    if not program.exists():
        row("api_event", "not measured", "", "bench/load_stream is not built")
        return
    key = nm.json("key", "create", "bench", "--access", "use")["key"]
    port = nm.status()["addresses"][0]["url"].rsplit(":", 1)[1]
    rounds = []
    for _ in range(5):
        command = [str(program), port, f"Authorization: Bearer {key}\r\n", task, str(VIEWERS), "200", nm.env["BENCH_COMMIT_CLOCK"]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        if done.returncode:
            row("api_event", "failed", "", done.stderr.strip()[-300:])
            return
        words = done.stdout.split()
        rounds.append({name: float(value) for name, value in zip(words[::2], words[1::2])})
    tails = sorted(r["delay_p99"] / 1e6 for r in rounds)
    middle = {name: statistics.median(r[name] for r in rounds) / 1e6 for name in rounds[0]}
    row("api_event", ms(tails[2]), "10 ms",
        f"p99, median of {len(tails)} rounds of 200, {ms(tails[0])} to {ms(tails[-1])}; median {ms(middle['delay_p50'])}: from the commit to a viewer's socket, {VIEWERS} viewers, of which the first has it "
        f"{ms(middle['spread_p50'])} before the last; with the commit {ms(middle['whole_p50'])}, p99 {ms(middle['whole_p99'])}; {sum(r['lost'] for r in rounds):.0f} lost")


def bench_paint(row, nm, task):
    """The page of a task with very many events, in Chromium, nothing in its cache."""
    program = pathlib.Path(__file__).with_name("paint.mjs")
    if not shutil.which("node") or not (program.parent.parent / "ui" / "node_modules" / "playwright-core").exists() or not shutil.which("chromium"):
        row("api_paint", "not measured", "", "needs node, chromium and the packages of ui/")
        return
    url = nm.status()["addresses"][0]["url"]
    token = re.search(r"#(\S+)", nm.run("setup-link", code=0).out)[1]
    done = subprocess.run(["node", str(program), url, token, f"/tasks/{task}?tab=story", ".story-round[open] .story-steps li", "7"], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    if done.returncode:
        row("api_paint", "failed", "", done.stderr.strip()[-300:])
        return
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    painted = sorted(r["painted"] / 1000 for r in rounds)
    row("api_paint", ms(statistics.median(painted)), "1000 ms", f"Chromium, from the start of the navigation until the newest steps of a task with {EVENTS} events are painted; {ms(painted[0])} to {ms(painted[-1])} of {len(painted)}; "
        f"first contentful paint {ms(statistics.median(r['fcp'] for r in rounds) / 1000)}")


def bench_crowd(row, nm, task):
    pid = nm.status()["pid"]
    quick = Crowd(nm, task, CROWD - STALLED)
    empty = resident(pid)
    stalled = Crowd(nm, task, STALLED, receive=4096)
    text, events = "x" * 8000, 250
    for i in range(events):
        hint(nm, task, f"{i} {text}")
        quick.read(0)
    quick.until(events, 120)
    grown = resident(pid) - empty
    lost = sum(n != quick.numbers[next(iter(quick.numbers))] or len(n) < events for n in quick.numbers.values())
    stalled.until(events, 60)
    lost += sum(n != quick.numbers[next(iter(quick.numbers))] for n in stalled.numbers.values())
    row("api_crowd", f"{lost} with a loss", "0", f"of {CROWD} viewers of one task, {STALLED} of them stalled while {events} events of 8 kB came ({stalled.ended} were given up after a minute and came back); the server grew by {grown / 1048576:.1f} MB, the events in memory included")
    quick.close()
    stalled.close()


def bench(row, wanted, place_of, fill, build):
    if not wanted("api"):
        return
    with place_of() as place:
        nm = place.nm
        model = place.model(harness.script(plain_honest()))
        repo = harness.Repo(place.folder / "project", PLAIN)
        nm.run("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=repo.path, code=0, seconds=120)
        nm.run("daemon", "stop", code=0)
        fill(nm.data, TASKS, 3)
        database = sqlite3.connect(nm.data / "nightmill.db")
        database.execute("INSERT INTO task_search (rowid, heading, body) SELECT t.number, t.title, x.text FROM task t JOIN task_text x ON x.number = t.number WHERE t.number > 1")
        database.commit()
        database.close()
        long = long_task(nm.data, EVENTS)
        starts = []
        for _ in range(5):
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
            nm.run("daemon", "stop", code=0, seconds=60)
        row("api_start", ms(statistics.median(starts)), "200 ms", f"start to first answer, {TASKS} tasks with 3 events each and one with {EVENTS}, median of {len(starts)}, {ms(min(starts))} to {ms(max(starts))}")
        nm.run("daemon", "start", code=0)
        bench_lists(row, nm)
        bench_paint(row, nm, long)
        bench_health(row, nm, place.folder)
        model.close()
        place.model(harness.script([harness.turn(harness.write("file.txt", "one\ntwo\n"), wait_for="never")]))
        clock = place.folder / "commits"
        clock.write_bytes(bytes(1 << 14))
        nm.run("daemon", "stop", code=0, seconds=60)
        nm.env.update({"LD_PRELOAD": str(build / "bench" / "commit_clock.so"), "BENCH_COMMIT_CLOCK": str(clock)})
        nm.run("daemon", "start", code=0)
        nm.start("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=repo.path)
        task = harness.wait_for("a task at work", 30, lambda: next((t["id"] for t in nm.api("GET", "/api/v1/tasks?state=working")[1]["tasks"]), None))
        bench_events(row, nm, task, build / "bench" / "load_stream")
        bench_crowd(row, nm, task)
        nm.api("POST", f"/api/v1/tasks/{task}/stop", {})
