"""Templates are compiled once, however many first pages are asked for at once."""

from __future__ import annotations

import threading

import pytest

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
