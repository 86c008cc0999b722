#!/usr/bin/env python3
"""Packs the built page (ui/dist) for the program: one file of gzip members behind each other, an assembler file that includes it, and a C table that says
what is where. Without a built page the table is empty and the program says at / how to get one. Output is written only when it changes, and the same input
gives the same bytes.

  embed.py DIST MODE DEPFILE BYTES.S TABLE.c        MODE: auto, enabled (a missing page is an error), disabled
"""
import gzip
import hashlib
import pathlib
import sys

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
         ".png": "image/png", ".ico": "image/x-icon", ".woff2": "font/woff2", ".json": "application/json", ".txt": "text/plain; charset=utf-8",
         ".webmanifest": "application/manifest+json"}
LEFT_OUT = {"manifest.json"}  # the build's own notes


def write(path, data):
    if not path.exists() or path.read_bytes() != data:
        path.write_bytes(data)


def main(dist, mode, depfile, assembler, table):
    dist, assembler, table = pathlib.Path(dist), pathlib.Path(assembler), pathlib.Path(table)
    files = sorted(f for f in dist.rglob("*") if f.is_file() and f.relative_to(dist).as_posix() not in LEFT_OUT) if mode != "disabled" and (dist / "index.html").exists() else []
    if mode == "enabled" and not files:
        sys.exit(f"there is no built page at {dist}: run 'npm ci && npm run build' in ui/, or ./mill build")
    packed, rows = b"", []
    for file in files:
        data = file.read_bytes()
        name = "/" + file.relative_to(dist).as_posix()
        if file.suffix not in TYPES:
            sys.exit(f"{name}: what type this is, src/ui/embed.py does not know")
        gz = gzip.compress(data, 9, mtime=0)
        rows.append('    {"%s", "%s", %d, %d, %d, "\\"%s\\"", %s},\n' % (name, TYPES[file.suffix], len(packed), len(gz), len(data), hashlib.sha256(data).hexdigest()[:20],
                                                                       "true" if name.startswith("/assets/") else "false"))
        packed += gz
    bytes_file = assembler.with_suffix(".bin")
    write(bytes_file, packed or b"\0")
    write(assembler, f"""/* The files of the page, packed: {hashlib.sha256(packed).hexdigest()} */
    .section .rodata
    .global page_bytes
    .balign 16
page_bytes:
    .incbin "{bytes_file.resolve()}"
    .section .note.GNU-stack, "", %progbits
""".encode())
    write(table, ('/* What the page consists of; made by src/ui/embed.py. */\n#include "ui/page_table.h"\n\nconst struct page_file page_files[] = {\n' + "".join(rows) +
                  "    {0},\n};\nconst size_t page_file_count = %d;\n" % len(files)).encode())
    # What a later build of the page changes: its files, and the folder when there was none.
    watched = [str(f) for f in files] + [str(dist if dist.is_dir() else dist.parent)]
    pathlib.Path(depfile).write_text(f"{assembler}: " + " ".join(w.replace(" ", "\\ ") for w in watched) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
