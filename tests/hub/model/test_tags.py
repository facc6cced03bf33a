"""One spelling of a tag, whoever typed it."""

from __future__ import annotations

import pytest

from hub.model.machine import normalised_tag, tags_of, typed_tags


@pytest.mark.parametrize(
    ("given", "kept"),
    [("Mall", "mall"), ("  Jakarta \t Barat ", "jakarta barat"), ("Jose\u0301", "jos\u00e9"), ("\u0130", "i\u0307")],
)
def test_a_tag_has_one_spelling(given: str, kept: str) -> None:
    assert normalised_tag(given) == kept
    assert normalised_tag(kept) == kept


def test_each_tag_is_kept_once_and_in_order() -> None:
    assert tags_of(["Mall", "west", "mall", "east", " "]) == ("east", "mall", "west")
    assert tags_of([]) == ()


def test_commas_separate_what_somebody_types() -> None:
    assert typed_tags(" Mall, Jakarta  Barat,,") == ["mall", "jakarta barat"]
    assert typed_tags("") == []
