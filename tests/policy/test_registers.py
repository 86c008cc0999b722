"""Declared once, derived everywhere: each descriptor file has its line in its register, and each register is documented."""
import hashlib
import json
import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SRC = ROOT / "src"
PROGRAM = os.environ.get("NIGHTMILL_PROGRAM", str(ROOT / "build" / "nightmill"))
MIGRATIONS = SRC / "db" / "migrations"


def lines_of(register, macro):
    text = re.sub(r"/\*.*?\*/", "", (SRC / register).read_text(encoding="utf-8"), flags=re.S)
    return re.findall(rf"^{macro}\(\s*\"?([a-z0-9_.-]+)\"?", text, re.M)


def program(*arguments):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                          env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", "NIGHTMILL_DATA_DIR": "/nonexistent/data"})
    if done.returncode:
        raise AssertionError(f"{arguments}: {done.stderr}")
    return done.stdout


class Registers(unittest.TestCase):
    def same(self, files, lines, where):
        self.assertEqual(sorted(files), sorted(lines), f"{where}: the files and the lines of the register differ")
        self.assertEqual(len(lines), len(set(lines)), f"{where}: a line stands twice")

    def test_check_runners(self):
        self.same([f.stem.removeprefix("runner_") for f in (SRC / "verify").glob("runner_*.c")], lines_of("verify/runners.def", "RUNNER"), "src/verify/runners.def")

    def test_commands(self):
        self.same([f.stem.removeprefix("cmd_") for f in (SRC / "cli").glob("cmd_*.c")], lines_of("cli/commands.def", "COMMAND"), "src/cli/commands.def")

    def test_tools_of_the_agent(self):
        self.same([f.stem.removeprefix("tool_") for f in (SRC / "agent").glob("tool_*.c")], lines_of("agent/tools.def", "TOOL"), "src/agent/tools.def")

    def test_agent_backends(self):
        self.same([f.stem.removeprefix("backend_") for f in (SRC / "agent").glob("backend_*.c")], lines_of("agent/backends.def", "BACKEND"), "src/agent/backends.def")

    def test_providers(self):
        self.same([f.stem.removeprefix("provider_") for f in (SRC / "gateway").glob("provider_*.c")], lines_of("gateway/providers.def", "PROVIDER"), "src/gateway/providers.def")

    def test_settings_that_are_used_exist(self):
        """A getter with an unknown name is a broken invariant at run time; here it is one at test time."""
        names = set(lines_of("conf/settings.def", "SETTING"))
        self.assertGreater(len(names), 20)
        wrong = []
        for file in sorted(SRC.rglob("*.c")):
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                for used in re.findall(r"\bsetting_(?:int|bool|text)\([^\"()]*\"([a-z_.]+)\"", line):
                    if used not in names:
                        wrong.append(f"{file.relative_to(ROOT)}:{number}: {used}")
        self.assertEqual(wrong, [])

    def test_sections_of_settings_have_their_group(self):
        """Name, type, range, when it applies and help are columns; the group comes from groups.def."""
        groups, pairs = [], []
        for line in (SRC / "conf" / "groups.def").read_text(encoding="utf-8").splitlines():
            groups += re.findall(r'^GROUP\("([a-z]+)"', line)
            pairs += re.findall(r'^SECTION\("([a-z_]+)", "([a-z]+)"\)', line)
        used = {name.split(".")[0] for name in lines_of("conf/settings.def", "SETTING")}
        self.assertEqual(sorted(used - {s for s, _ in pairs}), [], "src/conf/groups.def: sections without a line")
        self.assertEqual(len(pairs), len({s for s, _ in pairs}), "a section stands twice")
        self.assertEqual([g for _, g in pairs if g not in groups], [])

    def test_settings_are_used(self):
        names = lines_of("conf/settings.def", "SETTING")
        text = "".join(f.read_text(encoding="utf-8") for f in SRC.rglob("*.c"))
        self.assertEqual([n for n in names if f'"{n}"' not in text], [])

    def test_routes_are_documented(self):
        """Every route of the code has a row in api.md and the other way round."""
        documented = set(re.findall(r"^\| (?:GET|POST|PUT|DELETE) (/[^ |,]*)", (SRC / "api" / "api.md").read_text(encoding="utf-8"), re.M))
        self.assertGreater(len(documented), 10)
        code = "".join(f.read_text(encoding="utf-8") for room in ("api", "llm") for f in (SRC / room).glob("*.c"))
        fixed = {re.sub(r"/ID\b.*", "", d) for d in documented}
        self.assertEqual([d for d in sorted(fixed) if f'"{d}' not in code], [])


class Migrations(unittest.TestCase):
    """A migration that was released is never changed: its hash stands in migrations.sha256, one line a file."""

    def test_unchanged(self):
        listed = dict(reversed(line.split()) for line in (ROOT / "tests" / "policy" / "migrations.sha256").read_text(encoding="ascii").splitlines() if line.strip())
        files = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in MIGRATIONS.glob("*.sql")}
        self.assertEqual({n: h for n, h in files.items() if n in listed}, listed, "a released migration was changed or removed: put it back and write a new one")
        self.assertEqual(sorted(set(files) - set(listed)), [], "a migration without its line in tests/policy/migrations.sha256")

    def test_numbered_without_gaps(self):
        names = sorted(f.name for f in MIGRATIONS.glob("*.sql"))
        self.assertEqual([int(n.split("_")[0]) for n in names], list(range(1, len(names) + 1)), names)


class Documents(unittest.TestCase):
    def tables_are_in_the_readme(self, *arguments):
        """The tables of the README are the program's own."""
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        tables = re.findall(r"^\|.*\|\n(?:\|.*\|\n)+", program(*arguments), re.M)
        self.assertGreater(len(tables), 0)
        for table in tables:
            self.assertIn(table.strip(), readme, f"README.md: put in the table that `build/nightmill {' '.join(arguments)}` prints")

    def test_settings_tables(self):
        self.tables_are_in_the_readme("help", "--settings")

    def test_commands_tables(self):
        self.tables_are_in_the_readme("help", "--markdown")

    def test_commands_are_in_the_tour(self):
        text = (ROOT / "README.md").read_text(encoding="utf-8") + (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
        self.assertEqual([c for c in lines_of("cli/commands.def", "COMMAND") if f"nightmill {c.replace('_', '-')}" not in text], [])

    def test_commands_have_their_routes(self):
        """api.md says of each command, verb by verb, which route does it (or why none): all of them, and no route that is not there."""
        text = (SRC / "api" / "api.md").read_text(encoding="utf-8").split("## What the commands do, over HTTP")[1].split("\n## ")[0]
        paths = json.loads(program("api-description"))["paths"]
        described, wrong = [], []
        for left, right in re.findall(r"^\| ([a-z].*?) \| (.*) \|$", text, re.M)[1:]:
            words = left.split(", ")
            command = words[0].split(" ")[0]
            described += [word if " " in word or " " not in words[0] else f"{command} {word}" for word in words]
            named = re.findall(r"\b(GET|POST|PUT|PATCH|DELETE) (/[\w/]+(?:\.json)?)", right)
            wrong += [f"{left}: {m} {p}" for m, p in named if m.lower() not in paths.get(re.sub(r"/ID\b", "/{id}", p), {})]
            if not named and not re.match(r"none: |the start of the daemon", right):
                wrong.append(f"{left}: neither a route nor a reason")
        self.assertEqual(wrong, [])
        real = []
        for command in json.loads(program("help", "--json"))["data"]["commands"]:
            verbs = [a["choices"].split("|") for a in command["arguments"] if a.get("choices") and a["name"] == "VERB"]
            real += [f"{command['name']} {verb}" for verb in verbs[0]] if verbs else [command["name"]]
        self.assertEqual(sorted(described), sorted(real))

    def test_rooms_are_in_the_tour(self):
        tour = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
        self.assertEqual([p.name for p in sorted(SRC.iterdir()) if p.is_dir() and f"src/{p.name}" not in tour], [])

    def test_links_lead_somewhere(self):
        broken = []
        for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *SRC.rglob("*.md")]:
            for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
                if "://" not in target and not (document.parent / target).exists():
                    broken.append(f"{document.relative_to(ROOT)}: {target}")
        self.assertEqual(broken, [])

    def test_paths_in_documents_exist(self):
        broken = []
        for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
            for path in re.findall(r"`((?:src|tests|bench|docs)/[A-Za-z0-9_./-]+)`", document.read_text(encoding="utf-8")):
                if not re.search("NAME|NNNN", path) and not (ROOT / path).exists():  # those stand for a name of one's own
                    broken.append(f"{document.relative_to(ROOT)}: {path}")
        self.assertEqual(broken, [])

    def test_help_man_and_completions_come_out(self):
        for arguments, word in ((("help", "--man"), ".TH"), (("help", "--completion", "bash"), "complete"), (("help", "--completion", "zsh"), "#compdef"), (("help", "--completion", "fish"), "complete -c nightmill")):
            text = program(*arguments)
            self.assertIn(word, text)
            self.assertEqual([c for c in lines_of("cli/commands.def", "COMMAND") if c.replace('_', '-') not in text.replace("\\-", "-")], [], arguments)

    def test_man_page_has_no_warnings(self):
        if subprocess.run(["which", "groff"], capture_output=True).returncode:
            self.skipTest("no groff here")
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z"], input=program("help", "--man"), capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
