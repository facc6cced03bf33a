"""How much of the files below a prefix coverage saw run, from its JSON report."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any


def share_run(files: dict[str, Any], prefix: str) -> float:
    """Percent of the lines and branches of the files below `prefix`; 0 for no files."""
    counts = [entry["summary"] for name, entry in files.items() if is_below(name, prefix)]
    run = sum(count["covered_lines"] + count["covered_branches"] for count in counts)
    there = sum(count["num_statements"] + count["num_branches"] for count in counts)
    return 100.0 * run / there if there else 0.0


def is_below(name: str, prefix: str) -> bool:
    """`prefix`: how a path begins, or a pattern for a folder or file such as `hub/*/rules`."""
    return name.startswith(prefix) or fnmatch(name, prefix + "/*.py") or fnmatch(name, prefix + ".py")


def not_run(files: dict[str, Any], prefix: str) -> list[str]:
    """The files that lack most, each with its lines and branches."""
    lacking = [
        (len(entry["missing_lines"]) + len(entry["missing_branches"]), name, entry)
        for name, entry in files.items()
        if is_below(name, prefix) and (entry["missing_lines"] or entry["missing_branches"])
    ]
    return [
        f"{name}: lines {entry['missing_lines'][:8]}, branches {entry['missing_branches'][:8]}"
        for _, name, entry in sorted(lacking, key=lambda one: -one[0])
    ]
