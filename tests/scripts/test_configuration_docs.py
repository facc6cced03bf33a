"""docs/configuration.md is what the tables say today, and leaves no key out."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.settings.table import KEYS
from scripts import configuration_docs


def test_the_page_is_up_to_date() -> None:
    assert configuration_docs.main(["--check"]) == 0, "run: python -m scripts.configuration_docs"


def test_every_key_has_a_row_and_no_row_is_left_of_a_key_that_is_gone() -> None:
    page = configuration_docs.page()
    assert all(page.count(f"| `{key}` |") == 1 for key in KEYS)
    assert set(configuration_docs.MEANING) == set(KEYS)


def test_a_stale_page_is_noticed_and_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration_docs, "PAGE", tmp_path / "configuration.md")
    assert configuration_docs.main(["--check"]) == 1
    assert configuration_docs.main([]) == 0
    assert configuration_docs.main(["--check"]) == 0
