"""Writes the C file that holds a program's bytes: init_image.py PROGRAM OUTPUT (see init_image.h)."""
import os
import sys

NAME = "nightmill_init_image"
program, output = os.path.abspath(sys.argv[1]), sys.argv[2]
lines = [".pushsection .rodata", ".balign 16", f".global {NAME}", f"{NAME}:", f'.incbin \\"{program}\\"',
         f".global {NAME}_end", f"{NAME}_end:", ".byte 0", ".popsection"]
with open(output, "w", encoding="utf-8") as out:
    out.write('#include "sandbox/init_image.h"\n__asm__(\n')
    out.writelines(f'    "{line}\\n"\n' for line in lines)
    out.write(");\n")
