"""Rules for the source files themselves."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import layers

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# What must not stand in the tree. Written in pieces, so that this file keeps to it too.
FORBIDDEN = {
    "a path of a build machine": re.compile(r"(?<![A-Za-z0-9_.-])/work/" + r"(main|shared|steering|\.)|/far" + r"m/|/tmp/bash" + r"_jobs"),
    "an unfinished mark": re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b"),
    "the host of a package registry": re.compile(r"(registry\.npm" + r"js\.org|deb\.deb" + r"ian\.org|pypi\." + r"org|proxy\.golang" + r"\.org|index\.crates" + r"\.io)"),
    "a private key": re.compile(r"BEGIN [A-Z ]*PRIVATE" + r" KEY"),
    "something that looks like a provider's key": re.compile(r"\bsk-(ant-|proj-)" + r"[A-Za-z0-9_-]{20,}"),
}
SKIP = {".git", "__pycache__", "node_modules", "dist", "generated"}  # the last three: what npm fetched and made below ui/


def tree_files():
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(f for f in folders if f not in SKIP and not (folder == str(ROOT) and f.startswith("build")))
        for name in sorted(names):
            if not (folder == str(ROOT) and name.startswith("build") and name.endswith(".log")) and not name.endswith(".pyc"):
                yield pathlib.Path(folder, name)


def text_files(*suffixes):
    for file in tree_files():
        if suffixes and file.suffix not in suffixes:
            continue
        data = file.read_bytes()
        if b"\0" in data[:8000]:
            continue
        try:
            yield file, data.decode("utf-8")
        except UnicodeDecodeError:
            continue


class Sources(unittest.TestCase):
    def none(self, problems):
        self.assertEqual(problems, [], "\n" + "\n".join(map(str, problems)))

    def test_includes_go_downward(self):
        self.none(layers.problems(ROOT))

    def test_the_layer_check_finds_an_upward_include(self):
        with tempfile.TemporaryDirectory() as d:
            for name, text in {"src/layers": "low 0\nhigh 1 beside\nbeside 1\nother 1\n", "src/low/a.h": "#pragma once\n#include \"high/b.h\"\n",
                               "src/high/b.h": "#include \"low/a.h\"\n#include \"beside/c.h\"\n#include \"other/d.h\"\n", "src/beside/c.h": "", "src/other/d.h": ""}.items():
                pathlib.Path(d, name).parent.mkdir(parents=True, exist_ok=True)
                pathlib.Path(d, name).write_text(text, encoding="utf-8")
            found = layers.problems(d)
        self.assertEqual(len(found), 2, found)
        self.assertIn("src/low/a.h:2", found[1])
        self.assertIn("src/high/b.h:3", found[0])

    def test_no_forbidden_words(self):
        found = []
        for file, text in text_files():
            for number, line in enumerate(text.splitlines(), 1):
                found += [f"{file.relative_to(ROOT)}:{number}: {what}: {line.strip()[:120]}" for what, words in FORBIDDEN.items() if words.search(line)]
        self.none(found)

    def test_files_open_with_their_purpose(self):
        found = []
        for file, text in text_files(".c", ".h", ".py", ".def"):
            start = text.lstrip()
            if file.suffix == ".py" and start.startswith("#!"):
                start = start.split("\n", 1)[-1].lstrip()
            opens = ("/*",) if file.suffix != ".py" else ('"""', "#")
            if text.strip() and not start.startswith(opens):
                found.append(f"{file.relative_to(ROOT)}: opens without a comment that says what it is for")
        self.none(found)

    def test_sql_migrations_open_with_their_purpose(self):
        self.none([f"{f.relative_to(ROOT)}: no comment at the top" for f, text in text_files(".sql") if not text.lstrip().startswith(("--", "/*"))])

    def test_rooms_have_telling_names(self):
        vague = {"core", "common", "util", "utils", "misc", "helpers", "manager"}
        self.none([str(p.relative_to(ROOT)) for p in (ROOT / "src").rglob("*") if p.stem in vague])

    def test_file_names_are_plain(self):
        self.none([str(p.relative_to(ROOT)) for p in tree_files() if not re.fullmatch(r"[A-Za-z0-9._/-]+", str(p.relative_to(ROOT)))])

    def test_every_unit_test_is_listed(self):
        """A test file that its meson.build does not name would never run."""
        found = []
        for folder in sorted((ROOT / "tests" / "unit").iterdir()):
            build = (folder / "meson.build").read_text(encoding="utf-8") if (folder / "meson.build").is_file() else ""
            for file in sorted(folder.glob("test_*.c")):
                if f"'{file.stem.removeprefix('test_')}'" not in build:
                    found.append(str(file.relative_to(ROOT)))
        self.none(found)

    def test_every_source_is_built(self):
        found = []
        for folder in sorted(p for p in (ROOT / "src").iterdir() if p.is_dir()):
            build = (folder / "meson.build").read_text(encoding="utf-8")
            found += [str(f.relative_to(ROOT)) for f in sorted(folder.rglob("*.c")) if f.relative_to(folder).as_posix() not in build]
        self.none(found)

    def test_every_fuzz_target_is_built(self):
        build = (ROOT / "tests" / "fuzz" / "meson.build").read_text(encoding="utf-8")
        self.none([f.name for f in (ROOT / "tests" / "fuzz").glob("fuzz_*.c") if f"'{f.stem.removeprefix('fuzz_')}'" not in build])


class Headers(unittest.TestCase):
    seconds = 240

    def test_headers_compile_alone(self):
        headers = sorted((ROOT / "src").rglob("*.h"))
        self.assertGreater(len(headers), 10)
        flags = subprocess.run(["pkg-config", "--cflags", "talloc", "libuv", "libcurl", "sqlite3", "libseccomp", "yaml-0.1", "libcrypto"], capture_output=True, text=True,
                               check=True).stdout.split()
        found = []
        for header in headers:
            text = header.read_text(encoding="utf-8")
            name = header.relative_to(ROOT / "src")
            if text.count("#pragma once") != 1:
                found.append(f"{name}: #pragma once stands {text.count('#pragma once')} times")
            done = subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", str(ROOT / "src"), *flags, "-x", "c", "-"],
                                  input=f'#include "{name}"\n', capture_output=True, text=True)
            if done.returncode:
                found.append(f"{name} does not compile alone:\n{done.stderr[:800]}")
        self.assertEqual(found, [], "\n" + "\n".join(found))
