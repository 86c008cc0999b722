"""The interface under load: /health against nginx, lists of many tasks, the live stream: a part of run.py.

Latency of the stream is counted from the time that an event bears, which is taken before its transaction is queued, to the return of the call that read it from a
viewer's socket; so it holds the commit with its fsync too, and the reading program's own work. What the commit alone took is told beside it: the same event's way to the
answer of the request that made it.
"""
import datetime
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
from projects import PLAIN, PLAIN_CHECK, PLAIN_TASK, plain_honest
from stream import Stream

TASKS = 100000
VIEWERS = 100
CROWD, STALLED = 1000, 10


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


def wall(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Crowd:
    """Many viewers of one task, read by one poll loop; keeps of each the numbers that came."""

    def __init__(self, nm, task, count, **more):
        self.place, self.topic = str(nm.data / "run" / "nightmill.sock"), f"task:{task}"
        self.poll, self.streams, self.numbers, self.delays, self.ended = select.epoll(), {}, {}, [], 0
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

    def read(self, seconds, parse=True):
        for fd, _ in self.poll.poll(seconds):
            stream = self.streams[fd]
            try:
                stream._more()
            except (ConnectionError, OSError):
                self.again(fd)
                continue
            now = time.time()
            while (frame := stream._frame()) is not None:
                if frame[0] == 9:
                    stream.send_frame(10, frame[1])
                message = json.loads(frame[1]) if frame[0] == 1 else {}
                if "n" in message:
                    self.numbers[fd].append(message["n"])
                    if parse and message["type"] == "hint.added":
                        self.delays.append(now - wall(message["time"]))

    def until(self, count, seconds):
        deadline = time.monotonic() + seconds
        while any(len(n) < count for n in self.numbers.values()) and time.monotonic() < deadline:
            self.read(0.05)

    def close(self):
        for stream in self.streams.values():
            stream.close()


def hint(nm, task, text):
    began = time.time()
    status, document = nm.api("POST", f"/api/v1/tasks/{task}/hint", {"text": text})
    if status != 200:
        raise AssertionError(f"{status} {document}")
    return time.time() - began


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def bench_stream(row, nm, task):
    crowd = Crowd(nm, task, VIEWERS)
    answers = []
    for i in range(200):
        answers.append(hint(nm, task, f"hint {i}"))
        wanted = i + 1
        deadline = time.monotonic() + 5
        while min(len(n) for n in crowd.numbers.values()) < wanted and time.monotonic() < deadline:
            crowd.read(0.01)
    row("api_event", ms(percentile(crowd.delays, 0.99)), "10 ms", f"p99 of {len(crowd.delays)}, median {ms(statistics.median(crowd.delays))}: an event's time to a viewer's socket, {VIEWERS} viewers; the answer of the request that made it took {ms(statistics.median(answers))}")
    crowd.close()
    time.sleep(1.5)
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


def bench(row, wanted, place_of, fill):
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
        row("api_start", ms(statistics.median(starts)), "200 ms", f"start to first answer, {TASKS} tasks with 3 events each, median of {len(starts)}, {ms(min(starts))} to {ms(max(starts))}")
        nm.run("daemon", "start", code=0)
        bench_lists(row, nm)
        bench_health(row, nm, place.folder)
        model.close()
        place.model(harness.script([harness.turn(harness.write("file.txt", "one\ntwo\n"), wait_for="never")]))
        nm.start("run", PLAIN_TASK, "--check", PLAIN_CHECK, cwd=repo.path)
        task = harness.wait_for("a task at work", 30, lambda: next((t["id"] for t in nm.api("GET", "/api/v1/tasks?state=working")[1]["tasks"]), None))
        bench_stream(row, nm, task)
        nm.api("POST", f"/api/v1/tasks/{task}/stop", {})
