"""Draws docs/pictures/rooms.svg and docs/pictures/subjects.svg from the imports of the source: `python -m
scripts.architecture_picture`.

It shows what tests/test_architecture.py reads, so a picture never disagrees with a law. What a room is for is the first
sentence of its package's docstring.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

from tests.support.house import PRODUCT, House, read_house
from tests.support.import_laws import device_level, hub_level
from tests.support.role_laws import role

ROOT = Path(__file__).parent.parent
PURPOSE = {"dashboard": "Templates, JavaScript, CSS and the texts of every page"}
"""Of folders that are no package."""
PICTURES = ROOT / "docs" / "pictures"
WIDTH = 860
LINE = 16
STYLE = (
    "<style>.g{fill:#f6f7f9}.b{fill:#fff;stroke:#76818f;stroke-width:1.2}.k{fill:#eef3f8;stroke:#c3ccd6}"
    ".t{fill:#141a22;font-weight:600}.n,.f{fill:#141a22}.m{fill:#4a5564}.d{fill:#0a5aa8}.u{fill:#b4372b}.s{stroke:#d8dee6}</style>"
)
INDENT = 132
BELOW = ("dashboard", "db", "texts", "archive", "protocol", "certs", "installer")
"""Rooms drawn under both processes, left to right."""

Lines = list[tuple[str, str]]
"""A CSS class and a text, one a line; a title (`t`) stands on the line of the text after it in a band."""
Layers = list[tuple[str, Lines]]
"""The layers of a process from the lowest to the highest, each with its label."""


def rooms(house: House) -> str:
    """Both processes with their layers, and what they stand on."""
    top = 64
    wide, narrow = 490, 320
    hub, hub_height = _process(20, top, wide, "hub", _hub(wide, house), house)
    device, device_height = _process(520, top, narrow, "device", _device(narrow, house), house)
    height = max(hub_height, device_height)
    frames = [_frame(20, top, wide, height), _frame(520, top, narrow, height)]
    low = top + height + 12
    drawn = [
        *_box(20, 12, wide, [("t", "run_hub.py"), ("m", _imports("run_hub", house))]),
        *_box(520, 12, narrow, [("t", "run_device.py"), ("m", _imports("run_device", house))]),
        *(*frames, *hub, *device),
    ]
    below = [room for room in (*BELOW, "demo") if any(module.room == room for module in house.modules.values())]
    width = (WIDTH - 40 - 10 * (len(below) - 1)) // len(below)
    texts = [
        [("t", room), *_wrapped("n", _purpose(room, house), width), *_wrapped("m", _imports(room, house), width)]
        for room in below
    ]
    height = max(map(len, texts)) * LINE + 10
    for place, lines in enumerate(texts):
        drawn += _box(20 + place * (width + 10), low, width, lines, height)
    return _svg(
        low + height + 14,
        "The rooms of MyRVM and their imports",
        "The hub and the agent side by side, each in layers that import downward only; below them what both stand on.",
        drawn,
    )


def _hub(width: int, house: House) -> Layers:
    names = _layers("hub", hub_level, 5, house)
    names[1] = set()
    lines = [_lines(each, "hub", width, house) for each in names]
    with_rules = sorted(
        {name.split(".")[1] for name in house.modules if name.startswith("hub.") and hub_level(name) == 1}
    )
    lines[1] = _wrapped("f", " ".join(with_rules), width - 20)
    return list(zip(("model", "rules of subjects", "kernel", "subjects, web, server", "wiring"), lines, strict=True))


def _device(width: int, house: House) -> Layers:
    names = _layers("device", device_level, 4, house)
    lines = [_lines(each, "device", width, house) for each in names]
    lines[0] = _wrapped("f", " ".join(sorted(names[0])), width - 20)
    return list(zip(("rules of subjects", "kernel, system, sensors", "subjects", "wiring"), lines, strict=True))


def subjects(house: House) -> str:
    """The row's files import files of the column. Sorted, so that a mark left of the diagonal is a circle."""
    graph = subject_graph(house)
    order = sorted_downward(graph)
    cell, left, top = 18, 190, 150
    drawn = []
    for place, name in enumerate(order):
        x, y = left + place * cell, top + place * cell
        drawn += [
            f'<text class="n" x="{left - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>',
            f'<text class="n" transform="translate({x + 13} {top - 8}) rotate(-60)">{escape(name)}</text>',
            f'<rect class="k" x="{x}" y="{y}" width="{cell}" height="{cell}"/>',
            f'<path class="s" d="M{left} {y}h{cell * len(order)}M{x} {top}v{cell * len(order)}"/>',
        ]
        for other in sorted(graph[name], key=order.index):
            column = order.index(other)
            kind = "d" if column > place else "u"
            drawn.append(f'<circle class="{kind}" cx="{left + column * cell + 9}" cy="{y + 9}" r="4.5"/>')
    return _svg(
        top + cell * len(order) + 20,
        "Which subject of the hub imports which",
        "A row's files import files of each column with a dot. Every subject imports only what stands below it.",
        drawn,
    )


def subject_graph(house: House) -> dict[str, set[str]]:
    """Subjects, their pages, the parts of web/ and the server, each with those that it imports."""
    graph: dict[str, set[str]] = {}
    for module in house.product():
        name = _subject(module.name)
        if name:
            graph.setdefault(name, set()).update(_subject(imported.name) for imported in module.imports)
    return {name: others & graph.keys() - {name, ""} for name, others in graph.items()}


def _subject(name: str) -> str:
    parts = name.split(".")
    if parts[0] != "hub" or hub_level(name) != 3 or len(parts) < 3:
        return ""
    if parts[1] == "web":
        return ".".join(parts[1:3])
    return f"{parts[1]} (pages)" if role(name) == "page" else parts[1]


def sorted_downward(graph: dict[str, set[str]]) -> list[str]:
    """Who imports stands before what it imports; of a circle, the one that fewest others import."""
    order: list[str] = []
    left = set(graph)
    while left:
        importers = {name: sum(name in graph[other] for other in left) for name in left}
        following = min(left, key=lambda name: (importers[name], name))
        order.append(following)
        left.remove(following)
    return order


def _layers(room: str, level_of: Callable[[str], int], count: int, house: House) -> list[set[str]]:
    """The names that stand in a process's folder, by level."""
    names: list[set[str]] = [set() for _ in range(count)]
    for name in house.modules:
        if name.startswith(f"{room}.") and level_of(name) >= 0:
            names[level_of(name)].add(name.split(".")[1])
    return names


def _lines(names: set[str], room: str, width: int, house: House) -> Lines:
    """Packages one a line with what they are for; files beside each other."""
    packages = sorted(name for name in names if house.modules[f"{room}.{name}"].path.name == "__init__.py")
    files = " ".join(sorted(names - set(packages) - {"__main__"}))
    lines: Lines = []
    for name in packages:
        lines += [("t", name), *(_wrapped("n", _purpose(f"{room}.{name}", house), width - INDENT) or [("n", "")])]
    return [*_wrapped("f", files, width - 20), *lines]


def _process(x: int, y: int, width: int, room: str, layers: Layers, house: House) -> tuple[list[str], int]:
    """The box of a process with a band for each layer, the wiring on top; and how high it is."""
    parts, down = [], y + 12
    for class_name, text in (("t", room), *_wrapped("n", _purpose(room, house), width), ("m", _imports(room, house))):
        parts.append(_text(x + 12, down + 8, class_name, text))
        down += LINE
    for label, lines in reversed(layers):
        drawn, rows = [], 0
        for class_name, text in lines:
            shift = INDENT if class_name == "n" else 22
            drawn.append(_text(x + shift, down + 38 + rows * LINE, class_name, text))
            rows += class_name != "t"
        height = rows * LINE + 34
        parts.append(f'<rect class="k" x="{x + 10}" y="{down + 4}" width="{width - 20}" height="{height - 4}" rx="5"/>')
        parts += [_text(x + 22, down + 20, "m", label), *drawn]
        down += height
    return parts, down - y + 10


def _frame(x: int, y: int, width: int, height: int) -> str:
    return f'<rect class="b" x="{x}" y="{y}" width="{width}" height="{height}" rx="8"/>'


def _box(x: int, y: int, width: int, lines: Lines, height: int | None = None) -> list[str]:
    texts = [_text(x + 10, y + 18 + place * LINE, *line) for place, line in enumerate(lines)]
    return [_frame(x, y, width, height or len(lines) * LINE + 10), *texts]


def _text(x: int, y: int, class_name: str, text: str) -> str:
    return f'<text class="{class_name}" x="{x}" y="{y}">{escape(text)}</text>'


def _wrapped(class_name: str, text: str, width: int) -> Lines:
    return [
        (class_name, line) for line in textwrap.wrap(text, max(10, int((width - 16) / 6.1)), break_on_hyphens=False)
    ]


def _purpose(package: str, house: House) -> str:
    """The first sentence of a package's docstring."""
    module = house.modules.get(package)
    docstring = ast.get_docstring(module.tree) if module is not None else PURPOSE.get(package)
    return " ".join((docstring or "").replace("`", "").split()).partition(". ")[0].partition("; ")[0].rstrip(".")


def _imports(room: str, house: House) -> str:
    found = {
        imported.name.partition(".")[0]
        for module in house.modules.values()
        if module.room == room
        for imported in module.imports
    }
    ours = [one for one in (*PRODUCT, "bootstrap") if one in found - {room}]
    return "imports " + (" ".join(ours) if ours else "nothing of ours")


def _svg(height: int, title: str, description: str, drawn: list[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="t d" '
        'font-family="system-ui,sans-serif" font-size="12">\n'
        f'<title id="t">{escape(title)}</title>\n<desc id="d">{escape(description)}</desc>\n{STYLE}\n'
        f'<rect class="g" width="{WIDTH}" height="{height}" rx="10"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def pictures(house: House) -> Iterator[tuple[Path, str]]:
    """Each file with what belongs into it now."""
    yield PICTURES / "rooms.svg", rooms(house)
    yield PICTURES / "subjects.svg", subjects(house)


if __name__ == "__main__":
    for path, text in pictures(read_house(ROOT)):
        path.write_text(text, encoding="utf-8")
