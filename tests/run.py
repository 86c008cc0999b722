"""Runs tests and counts them.

  run.py unit BUILD [NAME...]      the Check programs of a meson build folder
  run.py python FOLDER [NAME...]   every test method of FOLDER/test_*.py, each in a process of its own
  run.py fuzz BUILD                every fuzz target of a build folder on its seed corpus

A NAME keeps the tests that have it in their name. The counts go as one line "passed failed skipped" to the file given by
--tally. What a test printed is shown only when it failed. A Python test that takes longer than its class says
(attribute `seconds`, 120) is ended, first politely, so that it can clean up, and has failed.
"""
import argparse
import ast
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

SKIPPED = 77  # exit status of a test process that was skipped, as in meson
ROOT = pathlib.Path(__file__).resolve().parent.parent
print_lock = threading.Lock()


def say(text):
    with print_lock:
        print(text, flush=True)


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, passed=0, failed=0, skipped=0):
        with print_lock:
            self.passed += passed
            self.failed += failed
            self.skipped += skipped

    def end(self, tally):
        say(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped in this part")
        if tally:
            with open(tally, "a", encoding="ascii") as f:
                f.write(f"{self.passed} {self.failed} {self.skipped}\n")
        return 1 if self.failed else 0


# --- unit ---------------------------------------------------------------------------------------------------------------

CHECKS = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$", re.M)


def sanitizer_environment():
    env = dict(os.environ)
    env.setdefault("ASAN_OPTIONS", "abort_on_error=0:detect_stack_use_after_return=0")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
    return env


def run_unit(args):
    count = Count()
    listed = subprocess.run(["meson", "test", "-C", args.where, "--list"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    # "nightmill:base / json" or, without a suite, "json"
    names = [line.strip() for line in listed.stdout.splitlines() if " / " in line]
    wanted = [n for n in names if not args.names or any(w in n.split(":", 1)[-1].replace(" / ", "/") for w in args.names)]
    if not wanted:
        say("no unit test has such a name" if args.names else "no unit tests in " + args.where)
        count.add(failed=1 if args.names else 0)
        return count.end(args.tally)
    command = ["meson", "test", "-C", args.where, "--num-processes", str(args.jobs), "--print-errorlogs"]
    if args.names:
        command += ["--", *[n.rsplit(" / ", 1)[-1] for n in wanted]]
        command.remove("--")
    log = pathlib.Path(args.where, "meson-logs", "testlog.json")
    log.unlink(missing_ok=True)
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, env=sanitizer_environment())
    if not log.exists():
        say("meson left no test log: the tests could not be built")
        count.add(failed=1)
        return count.end(args.tally)
    seen = 0
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        test = json.loads(line)
        seen += 1
        suites = CHECKS.findall(test.get("stdout") or "")
        checks = sum(int(c) for c, _, _ in suites)
        bad = sum(int(f) + int(e) for _, f, e in suites)
        if test["result"] == "SKIP":
            count.add(skipped=max(1, checks))
        elif test["result"] in ("OK", "EXPECTEDFAIL"):
            count.add(passed=max(1, checks))
        else:  # a program that crashed counts once, however many of its checks were well
            count.add(passed=max(0, checks - bad), failed=max(1, bad))
    if ended.returncode and not count.failed:
        count.add(failed=1)
    if not seen:
        count.add(failed=1)
    return count.end(args.tally)


# --- python -------------------------------------------------------------------------------------------------------------

def tests_of(folder):
    """(module, class, method, seconds) of every test, in the order of the files, without importing them. A test belongs to the class that it is
    written in; what is inherited is not run again."""
    found = []
    for file in sorted(pathlib.Path(folder).glob("test_*.py")):
        given = {}  # class -> seconds
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.ClassDef):
                continue
            seconds = next((given[b.id] for b in node.bases if isinstance(b, ast.Name) and b.id in given), 120)
            for item in node.body:
                if isinstance(item, ast.Assign) and getattr(item.targets[0], "id", "") == "seconds":
                    seconds = ast.literal_eval(item.value)
            given[node.name] = seconds
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name.startswith("test"):
                    found.append((file.stem, node.name, item.name, seconds))
    return found


def end_group(process, seconds):
    """Ends a test's process group: asks first, then makes sure."""
    for sig, wait in ((signal.SIGTERM, seconds), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, sig)
        except ProcessLookupError:
            pass
        try:
            process.wait(wait)
            return
        except subprocess.TimeoutExpired:
            continue


def run_one(folder, test, count, scratch):
    module, cls, method, seconds = test
    name = f"{module.removeprefix('test_')}.{cls}.{method}"
    began = time.monotonic()
    with tempfile.TemporaryFile(dir=scratch) as out:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "run.py"), "one", str(folder), module, cls, method],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, env=sanitizer_environment())
        late = False
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            late = True
            end_group(process, 20)
        out.seek(0)
        text = out.read().decode("utf-8", "replace")
    took = time.monotonic() - began
    if not late and process.returncode == 0:
        count.add(passed=1)
        say(f"ok       {name}  {took:.1f} s" + ("".join("\n    " + line for line in text.splitlines()) if os.environ.get("NIGHTMILL_SHOW") else ""))
    elif not late and process.returncode == SKIPPED:
        count.add(skipped=1)
        reason = text.strip().splitlines()[-1] if text.strip() else "no reason given"
        say(f"skipped  {name}: {reason}")
    else:
        count.add(failed=1)
        why = f"took longer than {seconds} s" if late else f"exit status {process.returncode}"
        lines = text.rstrip().splitlines()
        if len(lines) > 200:
            lines = lines[:40] + [f"... {len(lines) - 200} lines left out ..."] + lines[-160:]
        shown = "\n".join("    " + line for line in lines)
        say(f"FAILED   {name}  {took:.1f} s ({why})\n{shown}")


def run_python(args):
    count = Count()
    tests = [t for t in tests_of(args.where) if not args.names or any(n in f"{t[0]}.{t[1]}.{t[2]}" for n in args.names)]
    if not tests:
        say("no test has such a name")
        count.add(failed=1)
        return count.end(args.tally)
    # The longest first, so that the last one to end does not end alone.
    tests.sort(key=lambda t: -t[3])
    scratch = tempfile.mkdtemp(prefix="nightmill-tests-")
    try:
        with concurrent.futures.ThreadPoolExecutor(max_workers=args.jobs) as pool:
            for future in [pool.submit(run_one, args.where, t, count, scratch) for t in tests]:
                future.result()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return count.end(args.tally)


def run_single(folder, module, cls, method):
    """In the process of one test."""
    import importlib
    import unittest

    def stop(_signal, _frame):
        raise SystemExit("ended: it took too long")

    signal.signal(signal.SIGTERM, stop)
    sys.path.insert(0, str(ROOT / "tests"))
    sys.path.insert(0, folder)
    case = getattr(importlib.import_module(module), cls)(method)
    result = unittest.TestResult()
    case.run(result)
    for _, trace in result.errors + result.failures:
        print(trace)
    if result.errors or result.failures:
        return 1
    if result.skipped:
        print(result.skipped[0][1])
        return SKIPPED
    return 0 if result.testsRun == 1 else 1


# --- fuzz ---------------------------------------------------------------------------------------------------------------

def run_fuzz(args):
    """With --runs a count-bounded pass (a test); with --seconds a search."""
    count = Count()
    targets = sorted(p for p in pathlib.Path(args.where).glob("tests/fuzz/fuzz_*") if p.is_file() and os.access(p, os.X_OK))
    if not targets:
        targets = sorted(p for p in pathlib.Path(args.where).glob("fuzz_*") if p.is_file() and os.access(p, os.X_OK))
    if not targets:
        say("no fuzz targets in " + args.where)
        count.add(failed=1)
        return count.end(args.tally)

    def one(target):
        seeds = ROOT / "tests" / "fuzz" / "corpus" / target.name.removeprefix("fuzz_")
        found = pathlib.Path(args.where, "found", target.name)
        found.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as fresh:
            corpus = str(pathlib.Path(args.where, "corpus", target.name)) if args.seconds else fresh
            os.makedirs(corpus, exist_ok=True)
            bound = [f"-max_total_time={args.seconds}"] if args.seconds else [f"-runs={args.runs}", "-seed=1", "-max_total_time=60"]
            command = [str(target), *bound, "-rss_limit_mb=2048", "-timeout=20", "-verbosity=0", "-print_final_stats=1",
                       f"-artifact_prefix={found}/", corpus] + ([str(seeds)] if seeds.is_dir() else [])
            ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   env=sanitizer_environment(), timeout=(args.seconds or 60) * 3 + 60)
        text = ended.stdout.decode("utf-8", "replace")
        units = re.search(r"stat::number_of_executed_units:\s*(\d+)", text)
        if ended.returncode == 0:
            count.add(passed=1)
            say(f"ok       {target.name}  {units.group(1) if units else '?'} inputs")
        else:
            count.add(failed=1)
            say(f"FAILED   {target.name} (exit status {ended.returncode}; the input is in {found})\n" + "\n".join("    " + l for l in text.splitlines()[-60:]))

    with concurrent.futures.ThreadPoolExecutor(max_workers=args.jobs) as pool:
        for future in [pool.submit(one, t) for t in targets]:
            future.result()
    return count.end(args.tally)


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "one":
        sys.exit(run_single(*sys.argv[2:6]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("unit", "python", "fuzz"))
    parser.add_argument("where")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--tally")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=0)
    args = parser.parse_args()
    sys.exit({"unit": run_unit, "python": run_python, "fuzz": run_fuzz}[args.kind](args))


if __name__ == "__main__":
    main()
