"""The egress proxy against nginx, both TLS to TLS in front of the same server: a part of run.py.

The server is an nginx that answers 1 KB over TLS. Targets, visited in turns within each round: the server itself; nginx as a proxy with TLS on both sides, keep-alive
to the server and an access log; Nightmill's egress proxy with a rule for the host, every exchange recorded with its fields (traffic.keep=metadata); mitmproxy where it is installed.
Told are medians over the rounds of figures taken within one round. CPU is that of the process that passes the bytes on; for Nightmill also together with the server,
which writes the rows.
"""
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import harness
from bench_gateway import cpu

sys.path.insert(0, str(harness.ROOT / "tests" / "fakes"))
import outside  # noqa: E402

HOST = outside.HOSTS[0]
ROUNDS = 5
SECONDS = 3


def free_port():
    with socket.socket() as any_free:
        any_free.bind(("127.0.0.1", 0))
        return any_free.getsockname()[1]


class Nginx:
    """As the server, or in front of it."""

    def __init__(self, folder, certificates, behind=None):
        place = pathlib.Path(tempfile.mkdtemp(dir=folder))
        self.port = free_port()
        log = f"access_log {place}/requests combined;" if behind else "access_log off;"
        where = (f"proxy_pass https://servers; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host {HOST}:{behind}; proxy_buffering off; proxy_ssl_verify on; "
                 f"proxy_ssl_trusted_certificate {certificates}/ca.pem; proxy_ssl_name {HOST}; proxy_ssl_server_name on;" if behind else f"return 200 \"{'x' * 1024}\";")
        upstream = f"upstream servers {{ server 127.0.0.1:{behind}; keepalive 512; keepalive_requests 1000000000; }}" if behind else ""
        (place / "nginx.conf").write_text(f"""daemon off; worker_processes 1; pid {place}/pid; error_log {place}/error;
events {{ worker_connections 2048; }}
http {{ {log} keepalive_requests 1000000000; ssl_session_tickets off;
  client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
  {upstream}
  server {{ listen 127.0.0.1:{self.port} ssl backlog=1024; ssl_certificate {certificates}/good.pem; ssl_certificate_key {certificates}/good.key; location / {{ {where} }} }}
}}
""", encoding="ascii")
        self.process = subprocess.Popen(["nginx", "-p", str(place), "-c", str(place / "nginx.conf")], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        workers = harness.wait_for("nginx's worker", 10, lambda: [pid for pid, _ in harness.descendants(self.process.pid)] if (place / "pid").exists() else [])
        self.pids = {"": workers[0]}
        self.connect, self.ca = "-", f"{certificates}/ca.pem"

    def close(self):
        self.process.terminate()
        self.process.wait(10)


class Nightmill:
    def __init__(self, folder, certificates, behind):
        env = {"NIGHTMILL_EGRESS_HOSTS": f"{HOST}:{behind}", "NIGHTMILL_EGRESS_RESOLVE": f"{HOST}=127.0.0.1", "NIGHTMILL_EGRESS_UPSTREAM_CA": f"{certificates}/ca.pem", "NIGHTMILL_SERVER_ADDRESS": "off"}
        self.nm = harness.Nightmill(tempfile.mkdtemp(dir=folder), env)
        self.nm.run("daemon", "start", code=0)
        opened = self.nm.api("POST", "/api/v1/proxies", {"project": "bench"})[1]
        self.port = int(opened["url"].rsplit(":", 1)[1])
        proxy = harness.wait_for("the proxy", 20, lambda: self.nm.api("GET", "/api/v1/proxies")[1]["pid"])
        self.pids = {"": proxy, "with the server": self.nm.status()["pid"]}
        self.connect, self.ca = f"{HOST}:{behind}", str(self.nm.data / "egress" / "ca.pem")

    def rows(self):
        return self.nm.api("GET", "/api/v1/traffic?limit=1")[1]["traffic"][0]["number"]

    def close(self):
        self.nm.stop_daemon()


class Mitmproxy:
    def __init__(self, folder, certificates, behind):
        place = pathlib.Path(tempfile.mkdtemp(dir=folder))
        self.port = free_port()
        (place / "hosts.py").write_text(f"def server_connect(data):\n    data.server.address = ('127.0.0.1', {behind})\n", encoding="ascii")
        self.process = subprocess.Popen(["mitmdump", "-q", "--set", f"confdir={place}", "--set", f"ssl_verify_upstream_trusted_ca={certificates}/ca.pem", "-s", str(place / "hosts.py"), "-w", str(place / "flows"),
                                         "--listen-host", "127.0.0.1", "-p", str(self.port)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_for("mitmproxy", 30, lambda: (place / "mitmproxy-ca-cert.pem").exists())
        time.sleep(1)
        self.pids, self.connect, self.ca = {"": self.process.pid}, f"{HOST}:{behind}", str(place / "mitmproxy-ca-cert.pem")

    def close(self):
        self.process.terminate()
        self.process.wait(20)


def measure(build, target, connections, seconds):
    """{requests, median_us, cpu: {"": us a request, ...}}"""
    began = {name: cpu(pid) for name, pid in target.pids.items()}
    done = subprocess.run([str(build / "bench" / "load_tls"), str(target.port), target.connect, target.ca, HOST, "/", str(connections), str(seconds)], capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode:
        raise SystemExit(f"load_tls: {done.stderr}")
    time.sleep(0.3)  # the rows of the end
    figures = json.loads(done.stdout)
    used = {name: cpu(pid) - began[name] for name, pid in target.pids.items()}
    figures["cpu"] = {"": used[""] / figures["requests"] * 1e6, "all": sum(used.values()) / figures["requests"] * 1e6}
    return figures


def run(build, row, folder):
    if not shutil.which("nginx"):
        row("egress proxy", "not measured", "", "there is no nginx here")
        return
    certificates = folder / "outside"
    certificates.mkdir()
    outside.certificates(certificates)
    server = Nginx(folder, certificates)
    targets = {"direct": server, "nginx": Nginx(folder, certificates, server.port), "nightmill": Nightmill(folder, certificates, server.port)}
    if shutil.which("mitmdump"):
        targets["mitmproxy"] = Mitmproxy(folder, certificates, server.port)
    try:
        found = {name: [] for name in targets}
        first = {name: [] for name in targets}
        for _ in range(ROUNDS):
            for name, target in targets.items():
                found[name].append(measure(build, target, 32, SECONDS if name != "direct" else 1))
                first[name].append(measure(build, target, 1, 1)["median_us"])

        def median(name, of):
            return statistics.median(of(f) for f in found[name])
        ratio = statistics.median(a["cpu"][""] / b["cpu"][""] for a, b in zip(found["nightmill"], found["nginx"]))
        whole = statistics.median(a["cpu"]["all"] / b["cpu"][""] for a, b in zip(found["nightmill"], found["nginx"]))
        others = f"; mitmproxy {median('mitmproxy', lambda f: f['cpu']['']):.0f} us" if "mitmproxy" in targets else "; mitmproxy is not installed"
        row("egress proxy, TLS to TLS, CPU per request at 32 connections", f"{ratio:.2f} of nginx", "1.2 of nginx",
            f"{median('nightmill', lambda f: f['cpu']['']):.0f} us, nginx {median('nginx', lambda f: f['cpu']['']):.0f} us{others}")
        row("egress proxy, together with the server that writes the rows", f"{whole:.2f} of nginx", "", f"{median('nightmill', lambda f: f['cpu']['all']):.0f} us, every row durable")
        row("egress proxy, requests per second at 32 connections", f"{median('nightmill', lambda f: f['requests'] / f['seconds']):.0f}", "", f"nginx {median('nginx', lambda f: f['requests'] / f['seconds']):.0f}")
        added = statistics.median(a - b for a, b in zip(first["nightmill"], first["direct"]))
        row("egress proxy, first byte of an answer, added", f"{added / 1000:.3f} ms", "under 1 ms",
            f"nginx {statistics.median(a - b for a, b in zip(first['nginx'], first['direct'])) / 1000:.3f} ms; direct {statistics.median(first['direct']) / 1000:.3f} ms")
        failures = sum(f["failures"] for name in targets for f in found[name])
        row("egress proxy, requests that failed, rows written", f"{failures}, {targets['nightmill'].rows()}", "0", "")
    finally:
        for target in targets.values():
            target.close()
