#!/usr/bin/env python3
"""Writes the migrations given as files NNNN_name.sql into a C file. Numbers must run from 1 without gaps.

Usage: embed_migrations.py OUTPUT FILE..."""
import os
import re
import sys


def literal(line):
    text = line.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?")
    return '     "' + text + '\\n"'


def main():
    output, files = sys.argv[1], sorted(sys.argv[2:], key=os.path.basename)
    entries = []
    for at, path in enumerate(files, 1):
        match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", os.path.basename(path))
        if not match or int(match.group(1)) != at:
            sys.exit(f"{path}: expected {at:04d}_name.sql")
        with open(path, encoding="ascii") as file:
            lines = [literal(line) for line in file.read().splitlines()]
        entries.append(f'    {{{at}, "{match.group(2)}",\n' + "\n".join(lines) + "},\n")
    with open(output, "w", encoding="ascii") as file:
        file.write("/* Made by embed_migrations.py. */\n")
        file.write('#include "db/db.h"\n\n')
        file.write("static const struct db_migration list[] = {\n" + "".join(entries) + "};\n\n")
        file.write("const struct db_migration *db_migrations(size_t *ret_n)\n{\n")
        file.write("    *ret_n = sizeof(list) / sizeof(list[0]);\n    return list;\n}\n")


main()
