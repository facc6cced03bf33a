"""Checks what a person typed by the kinds that check the API's bodies."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from certs.secret_file import MOST, SecretFileError, read_secret
from hub.cli.output import CliError, Exit, sentence
from hub.people import rules
from hub.web.http import validation


def name(text: str) -> str:
    return _checked(text.strip(), validation.Title, "name.bad")


def location(text: str | None) -> str | None:
    return None if text is None else _checked(text.strip(), validation.Note, "name.bad")


def device_id(text: str | None) -> str | None:
    return None if text is None else _checked(text, validation.DeviceId, "device_id.bad")


def email(text: str) -> str:
    return _checked(rules.normal_email(text), validation.Email, "email.bad")


def password(text: str, address: str) -> str:
    fault = rules.password_fault(text, address)
    if fault is not None:
        message = sentence(f"password.{fault}", least=rules.MIN_PASSWORD, most=rules.MAX_PASSWORD)
        raise CliError(Exit.CONFIGURATION, f"password_{fault}", message, sentence("password.fix"))
    return text


def password_from(source: str, address: str) -> str:
    """From a file or, with `-`, from one line of standard input."""
    if source == "-":
        return password(sys.stdin.readline().rstrip("\r\n"), address)
    return password(secret_in(Path(source)), address)


def secret_in(path: Path) -> str:
    with refused_secrets():
        return read_secret(path)


@contextlib.contextmanager
def refused_secrets() -> Iterator[None]:
    """A file with a secret that cannot be used ends the command, with the fix."""
    try:
        yield
    except SecretFileError as wrong:
        words = {"path": wrong.path, "why": wrong.why, "most": MOST}
        raise CliError(
            Exit.CONFIGURATION, f"secret_{wrong.code}", sentence(f"secret.{wrong.code}", **words),
            sentence(f"secret.{wrong.code}.fix", **words),
        ) from wrong  # fmt: skip


def _checked(text: str, kind: Any, key: str) -> str:
    try:
        return str(msgspec.convert(text, kind))
    except msgspec.ValidationError as error:
        raise CliError(Exit.USAGE, key.replace(".", "_"), sentence(key, **{key.partition(".")[0]: text})) from error
