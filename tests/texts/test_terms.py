"""One word for one thing: no sentence of a catalogue has a term that docs/terms.md replaces."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest

from hub.routes import EVERYTHING
from protocol.configuration import SETTINGS

ROOT: Final = Path(__file__).parents[2]
CATALOGUES: Final = (
    "dashboard/locales", "device/locales", "hub/cli/locales", "hub/web/http/texts", "certs/locales",
    "installer/locales", "texts/locales",
)  # fmt: skip
PAPERS: Final = {"en": ("README.md", "docs/field_guide.md"), "id": ("README.id.md", "docs/panduan_lapangan.md")}
"""Read like a page, in both languages."""
HEADINGS: Final = {"en": "## English", "id": "## Bahasa Indonesia"}
CODE: Final = re.compile(r"\{\w*zone\w*\}|--[\w-]+|[\w-]+_[\w_]+|\S*(?:set|sync)-timezone\S*|`[^`]*`|https?://\S+")
"""Options, settings and commands: they keep their names."""


def terms(language: str) -> list[str]:
    """The right column of the language's table."""
    text = (ROOT / "docs/terms.md").read_text("utf-8").partition(HEADINGS[language])[2].partition("\n## ")[0]
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ")]
    return [term for row in rows for term in re.findall("`([^`]+)`", row[2])]


def replaced(sentence: str, language: str) -> list[str]:
    """The terms of the right column that the sentence has."""
    said = CODE.sub(" ", sentence)
    return [term for term in terms(language) if re.search(_pattern(term), said, re.IGNORECASE)]


def _pattern(term: str) -> str:
    end = "" if term.endswith("*") else r"(?!\w)"
    return rf"(?<!\w){re.escape(term.removesuffix('*'))}{end}"


@pytest.mark.parametrize("language", HEADINGS)
@pytest.mark.parametrize("folder", CATALOGUES)
def test_a_catalogue_keeps_to_the_terms(folder: str, language: str) -> None:
    sentences = json.loads((ROOT / folder / f"{language}.json").read_text("utf-8"))
    found = {
        f"{key}: {form}": terms
        for key, forms in sentences.items()
        for form in (forms.values() if isinstance(forms, dict) else [forms])
        if (terms := replaced(form, language))
    }
    assert not found, "docs/terms.md names another word for these"


@pytest.mark.parametrize(
    ("language", "paper"), [(language, paper) for language in PAPERS for paper in PAPERS[language]]
)
def test_a_paper_keeps_to_the_terms(language: str, paper: str) -> None:
    """Line by line; what stands in a link's address or a block of commands keeps its name."""
    text = re.sub(r"\]\([^)]*\)|```.*?```", " ", (ROOT / paper).read_text("utf-8"), flags=re.DOTALL)
    found = {line.strip(): terms for line in text.splitlines() if (terms := replaced(line, language))}
    assert not found, "docs/terms.md names another word for these"


def test_what_the_api_says_of_its_operations_keeps_to_the_terms() -> None:
    said = {(one.name, words) for one in EVERYTHING for words in (one.summary, one.description) if words}
    assert not {(name, words): terms for name, words in said if (terms := replaced(words, "en"))}


@pytest.mark.parametrize(
    ("language", "sentence", "term"),
    [
        ("en", "Timezone correct ({zone})", "timezone"),
        ("en", "the old one is dead", "is dead"),
        ("id", "Sambungan putus tanpa pamit", "pamit"),
        ("id", "Hapus saringannya", "saringan*"),
        ("id", "Sedikitnya {n} huruf", "{n} huruf"),
        ("id", "Koneksinya terputus", "koneksi*"),
        ("id", "Papan lain menunggu diterima", "papan"),
    ],
)
def test_a_replaced_term_is_found(language: str, sentence: str, term: str) -> None:
    assert term in replaced(sentence, language)


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "Set default_timezone, or: sudo timedatectl set-timezone {wanted}"),
        ("en", "{timezone} (TIMEZONE_API_URL)"),
        ("id", "pilih yang lain dengan --map-dir; pemetaan tetap"),
    ],
)
def test_names_of_settings_and_commands_are_no_terms(language: str, sentence: str) -> None:
    assert replaced(sentence, language) == []


@pytest.mark.parametrize("language", HEADINGS)
def test_a_sentence_that_names_a_setting_names_its_field_too(language: str) -> None:
    """Who has to change it looks for the title on the settings page, not for the key."""
    titles = json.loads((ROOT / CATALOGUES[0] / f"{language}.json").read_text("utf-8"))
    assert not {
        (folder, name, key)
        for folder in CATALOGUES
        for name, forms in json.loads((ROOT / folder / f"{language}.json").read_text("utf-8")).items()
        for form in (forms.values() if isinstance(forms, dict) else [forms])
        for key in SETTINGS
        if "_" in key and re.search(rf"(?<!\w){key}(?!\w)", form) and f"“{titles[f'set.{key}']}”" not in form
    }
