"""Templates are compiled once, however many first pages are asked for at once and however often a hub starts."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from jinja2 import DictLoader, Environment

from dashboard import pages


class Templates:
    """The first `get_template` waits; counts them by name."""

    def __init__(self) -> None:
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.compiled: list[str] = []

    def list_templates(self) -> list[str]:
        return ["one.html", "two.html"]

    def get_template(self, name: str) -> None:
        self.compiled.append(name)
        if len(self.compiled) == 1:
            self.entered.set()
            assert self.go_on.wait(20)


def test_first_pages_that_come_together_compile_once(monkeypatch: pytest.MonkeyPatch) -> None:
    templates = Templates()
    monkeypatch.setattr(pages, "environment", lambda: templates)
    pages._compile.cache_clear()
    try:
        first, second = (threading.Thread(target=pages.load) for _ in range(2))
        first.start()
        assert templates.entered.wait(20)
        second.start()
        second.join(0.5)  # it would be through by now, had it not to wait for the first
        assert not pages.ready()
        templates.go_on.set()
        for one in (first, second):
            one.join(20)
        assert templates.compiled == ["one.html", "two.html"]
        assert pages.ready()
    finally:
        pages._compile.cache_clear()


def compiled(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a process that begins compiles this template; what it renders is right."""
    environment = Environment(loader=DictLoader({"a.html": text}), bytecode_cache=pages.CompiledTemplates(folder))
    sources: list[str] = []
    compile_ = environment.compile

    def counted(source: str, *args: Any) -> Any:
        sources.append(source)
        return compile_(source, *args)

    monkeypatch.setattr(environment, "compile", counted)
    assert environment.get_template("a.html").render(x=1) == text.replace("{{ x }}", "1")
    return bool(sources)


def test_a_template_is_compiled_anew_only_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [compiled(tmp_path, text, monkeypatch) for text in ("{{ x }}a", "{{ x }}a", "{{ x }}b", "{{ x }}b")] == [
        True, False, True, False,
    ]  # fmt: skip
    (file,) = tmp_path.iterdir()
    monkeypatch.setattr(pages, "_OURS", "compiled in another way")
    assert compiled(tmp_path, "{{ x }}b", monkeypatch)
    for damage in (b"", b"nonsense", file.read_bytes()[:30], file.read_bytes()[:-9]):
        file.write_bytes(damage)
        assert compiled(tmp_path, "{{ x }}b", monkeypatch)
        assert not compiled(tmp_path, "{{ x }}b", monkeypatch)


def test_where_nothing_may_be_written_templates_are_compiled_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [compiled(tmp_path / "nowhere", "{{ x }}a", monkeypatch) for _ in range(2)] == [True, True]
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert [compiled(tmp_path, "{{ x }}a", monkeypatch) for _ in range(2)] == [True, True]
