"""What `./mill try` runs: the main job on the sample project with the scripted model, in a folder of its own.

  try.py PROGRAM

The road is the real one (daemon, HTTP, streaming, sandbox, checks, commit, bill); only the model's words come from the script of the sample, which is also what
`nightmill sample` answers from.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SAMPLE = HERE.parent.parent / "src" / "ops" / "sample"
SCRIPT = json.loads((SAMPLE / "script.json").read_text(encoding="utf-8"))
TASK, CHECK = SCRIPT["text"], SCRIPT["check"]


def say(text=""):
    print(text, flush=True)


def git(folder, *arguments):
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={"PATH": os.environ["PATH"], "HOME": str(folder.parent), "LANG": "C.UTF-8"}).stdout


def sample_repository(folder):
    repo = folder / "report"
    shutil.copytree(SAMPLE / "project", repo)
    git(repo, "init", "-q", "-b", "main")
    git(repo, "config", "user.name", "You")
    git(repo, "config", "user.email", "you@example.org")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "Report")
    return repo


def main(program):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="nightmill-try-"))
    folder.chmod(0o755)
    # Nothing of the user's own settings, keys or daemon takes part.
    env = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTMILL_") and name not in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")}
    env.update({"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), "NIGHTMILL_DATA_DIR": str(folder / "data"),
                # As root it would be below /etc; nothing of this is to stay.
                "NIGHTMILL_SEAL_KEY_FILE": str(folder / "config" / "seal.key"), "NIGHTMILL_MODEL_NAME": "scripted"})
    model = None
    try:
        repo = sample_repository(folder)
        model = subprocess.Popen([sys.executable, str(HERE / "model.py"), str(SAMPLE / "script.json")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        env["NIGHTMILL_MODEL_URL"] = f"http://127.0.0.1:{int(model.stdout.readline())}"

        def nightmill(*arguments):
            say(f"\n$ nightmill {' '.join(a if a.replace('-', '').replace('.', '').isalnum() else repr(a) for a in arguments)}")
            return subprocess.run([program, *arguments], cwd=repo, env=env, stdin=subprocess.DEVNULL).returncode

        say(f"\nThe model of this run is a script (src/ops/sample/script.json): its words are fixed, its first attempt is wrong on purpose. Everything else is real:\n"
            f"the daemon, HTTP on loopback with streamed answers, the sandbox, the checks, the commit and the bill, in {repo}.")
        nightmill("price", "set", "scripted", "--input", "3.00", "--output", "15.00", "--cache-read", "0.30")
        code = nightmill("run", TASK, "--check", CHECK, "--budget", "2.00")
        if code:
            say(f"\nThe run ended with exit status {code}; 'build/nightmill doctor' says what this machine lacks.")
            return code
        branch = git(repo, "for-each-ref", "--format=%(refname:short)", "refs/heads/nightmill").strip()
        say(f"\n$ git log -1 {branch}\n" + git(repo, "log", "-1", branch))
        say(f"$ git diff main {branch}\n" + git(repo, "diff", "main", branch))
        return 0
    finally:
        subprocess.run([program, "daemon", "stop"], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60)
        if model:
            model.kill()
            model.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    status = main(sys.argv[1])
    if status == 0:
        say("That was the script. With a real model, in a repository of yours (ANTHROPIC_API_KEY or OPENAI_API_KEY set, or NIGHTMILL_MODEL_URL for a server of your own):\n\n"
            f"    {sys.argv[1]} run \"{TASK}\" --check '{CHECK}' --budget 2.00\n")
    sys.exit(status)
