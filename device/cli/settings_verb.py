"""Shows effective settings with their origin, or one value; and their errors. With or without a running agent."""

from __future__ import annotations

import argparse
import json

from device.cli.exit_codes import OK, WRONG_USAGE, Complain
from device.settings import AgentSettings, AgentSettingsError
from device.settings.keeper import effective_settings
from texts.catalogue import Texts


def settings_sentence(error: AgentSettingsError, texts: Texts) -> str:
    values = dict(error.values)
    if error.code == "unknown_key":
        nearest = values.get("nearest")
        values["hint"] = texts("nearest_key", nearest=repr(nearest)) if nearest else ""
        values["key"] = repr(error.key)
    sentence = texts(error.code, **values)
    return f"{values['file']}: {sentence}" if error.code.startswith("config_") else sentence


def add_settings_arguments(action: argparse.ArgumentParser, texts: Texts) -> None:
    action.add_argument("key", nargs="?", metavar="KEY", help=texts("cli_settings_key"))


def settings(own: AgentSettings, texts: Texts, arguments: argparse.Namespace, complain: Complain) -> int:
    """The machine's key is never among them."""
    now = effective_settings(own)
    if arguments.key is None:
        if arguments.json:
            print(json.dumps({key: {"value": now.values[key], "origin": now.origins[key]} for key in now.values}))
            return OK
        width = max(map(len, now.values))
        for key, value in now.values.items():
            print(f"{key:<{width}}  {json.dumps(value, ensure_ascii=False)}  ({now.origins[key]})")
        return OK
    key = arguments.key.replace("-", "_")
    if key not in now.values:
        return complain("no_such_key", WRONG_USAGE, texts("no_such_key", key=repr(key)))
    value = now.values[key]
    print(json.dumps(value) if arguments.json or not isinstance(value, str) else value)
    return OK
