#!/usr/bin/env python3
"""Packs the sample (sample.h) for the program: the files of its project, and what its model answers as a recording (gateway/recording.h) whose answers are
given in order. The same input gives the same bytes.

  embed.py FOLDER OUT.c
"""
import json
import pathlib
import sys


def literal(text):
    """A C string, a line of the text each."""
    lines = text.splitlines(keepends=True) or [""]
    return "\n".join('        "' + "".join(c if 32 <= ord(c) < 127 and c not in '"\\?' else "\\%03o" % b for c in line for b in c.encode()) + '"' for line in lines)


def answer(turn, number):
    """A streamed answer of OpenAI's Chat Completions, in one piece."""
    calls = [{"index": i, "id": f"call_{number}_{i}", "type": "function", "function": {"name": t["name"], "arguments": json.dumps(t["args"])}} for i, t in enumerate(turn["tools"])]
    chunk = {"id": f"sample-{number}", "object": "chat.completion.chunk", "created": 0, "model": "sample"}
    pieces = [{**chunk, "choices": [{"index": 0, "delta": {"role": "assistant", "content": turn["text"], "tool_calls": calls}, "finish_reason": None}]},
              {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}]
    return "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces) + "data: [DONE]\n\n"


def recording(script):
    lines = [{"nightmill": "recording", "version": 1, "order": True, "model": {"wire": "chat", "name": "sample"}}]
    turns = [turn for iteration in script["conversations"][0]["iterations"] for turn in iteration]
    lines += [{"request": "0" * 64, "dialect": "chat", "status": 200, "content_type": "text/event-stream", "body": answer(turn, n)} for n, turn in enumerate(turns)]
    return "".join(json.dumps(line) + "\n" for line in lines)


def main(folder, out):
    folder = pathlib.Path(folder)
    script = json.loads((folder / "script.json").read_text(encoding="utf-8"))
    project = folder / "project"
    rows = []
    for file in sorted(f for f in project.rglob("*") if f.is_file()):
        rows.append('    {"%s",\n%s},\n' % (file.relative_to(project).as_posix(), literal(file.read_text(encoding="utf-8"))))
    text = ('/* Made by src/ops/sample/embed.py. */\n#include "ops/sample_files.h"\n\nconst struct sample_file sample_files[] = {\n' + "".join(rows) + "    {0},\n};\n"
            + "const char sample_recording[] =\n" + literal(recording(script)) + ";\n"
            + "const char sample_text[] =\n" + literal(script["text"]) + ";\nconst char sample_check[] =\n" + literal(script["check"]) + ";\n")
    pathlib.Path(out).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
