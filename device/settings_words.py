"""A configuration error as a sentence: what is wrong, where, and what to write instead."""

from __future__ import annotations

from device.settings import SettingsError
from texts.catalogue import Texts


def settings_sentence(error: SettingsError, texts: Texts) -> str:
    """The sentence in the language of `texts`."""
    values = dict(error.values)
    if error.code == "unknown_key":
        nearest = values.get("nearest")
        values["hint"] = texts("nearest_key", nearest=repr(nearest)) if nearest else ""
        values["key"] = repr(error.key)
    sentence = texts(error.code, **values)
    return f"{values['file']}: {sentence}" if error.code.startswith("config_") else sentence
