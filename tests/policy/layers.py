"""Every include goes downward: a room may include itself, rooms of lower layers, and siblings that src/layers lists.

  layers.py [SOURCE_ROOT]     prints each line that does not keep to it; exit status 1 when there is one
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def read_layers(path):
    """room -> (layer, siblings)"""
    rooms = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split("#", 1)[0].split()
        if words:
            rooms[words[0]] = (int(words[1]), set(words[2:]))
    return rooms


def problems(root):
    src = pathlib.Path(root, "src")
    rooms = read_layers(src / "layers")
    found = []
    for folder in sorted(p for p in src.iterdir() if p.is_dir()):
        if folder.name not in rooms:
            found.append(f"{folder.relative_to(root)}: the room has no line in src/layers")
    for room, (_, siblings) in rooms.items():
        for sibling in siblings:
            if rooms.get(sibling, (None,))[0] != rooms[room][0]:
                found.append(f"src/layers: {sibling} is no sibling of {room}")
    for file in sorted(p for p in src.rglob("*") if p.suffix in (".c", ".h", ".def")):
        room = file.relative_to(src).parts[0]
        if room not in rooms:
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            name = match.group(1)
            at = f"{file.relative_to(root)}:{number}"
            if not (src / name).is_file():
                found.append(f"{at}: {line.strip()}: no such file below src/ (write the room before the name)")
                continue
            below = pathlib.PurePath(name).parts[0]
            layer, siblings = rooms[room]
            if below == room or rooms[below][0] < layer or below in siblings:
                continue
            word = "upward" if rooms[below][0] > layer else "a sibling that src/layers does not list"
            found.append(f"{at}: {line.strip()}: {word} ({room} is layer {layer}, {below} is layer {rooms[below][0]})")
    return found


if __name__ == "__main__":
    listed = problems(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent.parent))
    for problem in listed:
        print(problem)
    sys.exit(1 if listed else 0)
