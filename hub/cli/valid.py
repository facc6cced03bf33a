"""What a person typed, checked by the very kinds that check the API's bodies."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

import msgspec

from hub.cli.exit_codes import CliError, Exit
from hub.cli.language import say
from hub.cli.output import note
from hub.core import sign_in
from hub.web.api_v2 import kinds


def name(text: str) -> str:
    return _checked(text.strip(), kinds.Title, "name.bad")


def location(text: str | None) -> str | None:
    return None if text is None else _checked(text.strip(), kinds.Note, "name.bad")


def device_id(text: str | None) -> str | None:
    return None if text is None else _checked(text, kinds.DeviceId, "device_id.bad")


def email(text: str) -> str:
    """As it is stored."""
    return _checked(sign_in.normal_email(text), kinds.Email, "email.bad")


def password(text: str, address: str) -> str:
    fault = sign_in.password_fault(text, address)
    if fault is not None:
        message = say(f"password.{fault}", least=sign_in.MIN_PASSWORD, most=sign_in.MAX_PASSWORD)
        raise CliError(Exit.CONFIGURATION, f"password_{fault}", message, say("password.fix"))
    return text


def password_from(source: str, address: str) -> str:
    """From a file (with a warning if others can read it) or, with `-`, from one line of standard input."""
    if source == "-":
        return password(sys.stdin.readline().rstrip("\r\n"), address)
    path = Path(source)
    try:
        if is_exposed(path):
            note(say("start.readable", path=path))
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise CliError(
            Exit.CONFIGURATION, "password_unreadable", say("password.unreadable", path=path, why=error),
            say("password.unreadable.fix"),
        ) from error  # fmt: skip
    return password(text.rstrip("\r\n"), address)


def is_exposed(path: Path) -> bool:
    """Whether others than the owner may read it. What is not a plain file (a pipe) is nobody else's."""
    mode = os.stat(path).st_mode  # noqa: PTH116 - follows links like the reading does
    return stat.S_ISREG(mode) and bool(mode & 0o077)


def _checked(text: str, kind: Any, key: str) -> str:
    try:
        return str(msgspec.convert(text, kind))
    except msgspec.ValidationError as error:
        raise CliError(Exit.USAGE, key.replace(".", "_"), say(key, **{key.partition(".")[0]: text})) from error
