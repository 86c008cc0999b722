#!/usr/bin/env python3
"""The tests of the page: node's test runner over tests/*.test.mjs, against the program named by NIGHTMILL_PROGRAM.

  run.py [--tally FILE] [NAME...]       only files with NAME in their name

Counts (passed failed skipped) are added to FILE. Without Node.js, npm's packages or Chromium they are skipped, and a sentence says why.
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def missing():
    if not shutil.which("node"):
        return "there is no Node.js here (apt-get install nodejs npm)"
    if not (HERE.parent / "node_modules" / "playwright-core").exists():
        return "the packages of ui/ are not installed (./mill build does it)"
    if not (HERE.parent / "dist" / "index.html").exists():
        return "the page is not built (./mill build does it)"
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser")):
        return "there is no Chromium here (apt-get install chromium)"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tally")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    files = sorted(f for f in HERE.glob("*.test.mjs") if not options.names or any(name in f.name for name in options.names))
    why = missing()
    if why:
        print(f"ui: skipped: {why}")
        counts = (0, 0, 1)
    else:
        run = subprocess.run(["node", "--test", "--test-concurrency=2", "--test-reporter=spec", *map(str, files)], cwd=HERE.parent, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, check=False)
        print(run.stdout)
        said = {name: int(number) for name, number in re.findall(r"^\W*(pass|fail|cancelled|skipped) (\d+)$", run.stdout, re.MULTILINE)}
        counts = (said.get("pass", 0), said.get("fail", 0) + said.get("cancelled", 0), said.get("skipped", 0))
        if run.returncode and not counts[1]:
            counts = (counts[0], 1, counts[2])
    if options.tally:
        with open(options.tally, "a", encoding="utf-8") as f:
            f.write("%d %d %d\n" % counts)
    return 1 if counts[1] else 0


if __name__ == "__main__":
    sys.exit(main())
