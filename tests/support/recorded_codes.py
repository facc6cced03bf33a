"""Every code that the hub's source can put into the record, found by reading the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

HUB = Path(__file__).parents[2] / "hub"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class UnreadableCodeError(Exception):
    """A code that is put together in a way this reading does not follow: write it out, or teach it here."""


def codes_in_the_source(folder: Path = HUB) -> dict[str, list[str]]:
    """By code, the places that record it."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for code, line in _recorded(tree, path.name):
            found.setdefault(code, []).append(f"{path.relative_to(folder.parent)}:{line}")
    return found


def _recorded(tree: ast.Module, where: str) -> Iterator[tuple[str, int]]:
    for call in _calls(tree, "EventHappened"):
        given = next((keyword.value for keyword in call.keywords if keyword.arg == "code"), None)
        if given is None:
            if any(keyword.arg is None for keyword in call.keywords):
                continue  # EventHappened(**row): read back from the record
            raise UnreadableCodeError(f"{where}:{call.lineno}")
        for code in _values(tree, given, call, where):
            yield code, call.lineno


def _values(tree: ast.Module, given: ast.expr, call: ast.AST, where: str) -> Iterator[str]:
    """What an expression can be: a text, either of two, a name of one, or a parameter as its callers here give it."""
    if isinstance(given, ast.Constant) and isinstance(given.value, str):
        yield given.value
    elif isinstance(given, ast.IfExp):
        yield from _values(tree, given.body, call, where)
        yield from _values(tree, given.orelse, call, where)
    elif isinstance(given, ast.Name):
        function = _function_around(tree, call)
        assigned = [
            node.value
            for node in (*(ast.walk(function) if function else ()), *tree.body)
            if isinstance(node, ast.Assign) and any(ast.unparse(t) == given.id for t in node.targets)
        ]
        for value in assigned:
            yield from _values(tree, value, call, where)
        if not assigned:
            yield from _from_callers(tree, given.id, function, where)
    else:
        raise UnreadableCodeError(f"{where}: {ast.unparse(given)}")


def _from_callers(
    tree: ast.Module, name: str, function: ast.FunctionDef | ast.AsyncFunctionDef | None, where: str
) -> Iterator[str]:
    names = [arg.arg for arg in (*function.args.args, *function.args.kwonlyargs)] if function else []
    if function is None or name not in names:
        raise UnreadableCodeError(f"{where}: {name}")
    place = names.index(name) - (1 if names[:1] == ["self"] else 0)
    calls = list(_calls(tree, function.name))
    if not calls:
        raise UnreadableCodeError(f"{where}: nobody in this file calls {function.name}")
    for call in calls:
        named = [keyword.value for keyword in call.keywords if keyword.arg == name]
        yield from _values(tree, named[0] if named else call.args[place], call, where)


def _calls(tree: ast.Module, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name:
            yield node


def _function_around(tree: ast.Module, inner: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    around = [node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS) and inner in set(ast.walk(node))]
    return around[-1] if around else None
