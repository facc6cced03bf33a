"""Opens the data for a command: the hub's Changes and commit, without its memory; settings or a database that refuse
end the command."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from certs.secret_file import MOST, SecretFileError, read_secret
from db import errors
from db.engine.ownership import InUse, Owner, address_of_holder, own_folder
from db.engine.store import Store, open_store
from hub.cli.flags import DATA_FLAGS, SERVE_FLAGS
from hub.cli.output import CliError, Exit, sentence, sentence_or
from hub.kernel.commits import commit_alone
from hub.model import credentials
from hub.model.changes import Change
from hub.model.machine import MAX_TAGS_OF_USER, normalised_tag
from hub.people import rules
from hub.settings import Settings, SettingsError
from hub.web.http import validation
from protocol.zones import is_zone

_KEYS = {"data folder": "folder", "database": "database"}
CHECKOUT = Path(__file__).resolve().parents[2]


class OpenData:
    def __init__(self, store: Store) -> None:
        self.store = store

    async def commit(self, *changes: Change) -> list[Change]:
        """In one transaction; returns them with their stored ids. Raises db.errors.Conflict."""
        return await commit_alone(self.store, changes)


def settings_of(wanted: argparse.Namespace, **more: object) -> Settings:
    given = {name: getattr(wanted, name, None) for name in (*DATA_FLAGS, *SERVE_FLAGS)} | more
    if given["data_dir"] is None and not os.environ.get("RVM_DATA_DIR"):
        given["data_dir"] = CHECKOUT / "data"
    try:
        return Settings.load(given, os.environ)
    except SettingsError as error:
        why, fix = (sentence_of_setting(sentence, error.values) for sentence in error.sentences)
        raise CliError(Exit.CONFIGURATION, "settings", f"{error.name}: {why}", fix) from error


def sentence_of_setting(sentence: str, values: Mapping[str, object]) -> str:
    return sentence_or(f"setting: {sentence}", sentence, **values)


@contextlib.asynccontextmanager
async def open_data(settings: Settings, *, create: bool, serving: bool = False) -> AsyncIterator[OpenData]:
    """`create`: a data folder may be made. `serving`: this process will be the hub."""
    make_folders(settings, create=create)
    owner = Owner.here() if serving else None
    async with contextlib.AsyncExitStack() as stack:
        with refusals(), _unwritable(settings.data_dir):
            if owner is not None:
                await stack.enter_async_context(own_folder(settings.data_dir, owner))
            store = await open_store(settings.database_url, owner)
        stack.push_async_callback(store.close)
        with refusals():
            yield OpenData(store)


def make_folders(settings: Settings, *, create: bool) -> None:
    """Refuses a missing SQLite file, or a missing folder of its own."""
    file = sqlite_file(settings)
    if file is not None and not file.exists():
        has_room = file.parent == settings.data_dir or file.parent.is_dir()
        if not (create and has_room):
            missing = sentence("database.missing", path=file)
            raise CliError(Exit.CONFIGURATION, "no_database", missing, sentence("database.missing.fix"))
    with _unwritable(settings.data_dir):
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(settings.data_dir, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13))


@contextlib.contextmanager
def _unwritable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        shown = sentence("data.unwritable", path=error.filename or folder, why=error.strerror)
        raise CliError(Exit.CONFIGURATION, "data_unwritable", shown, sentence("data.unwritable.fix")) from error


def sqlite_file(settings: Settings) -> Path | None:
    url = settings.database_url
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    try:
        yield
    except InUse as error:
        raise CliError(
            Exit.CONFLICT, "in_use",
            sentence(f"in_use.{_KEYS[error.resource]}", where=error.where, holder=_holder(error)),
            sentence(f"in_use.{_KEYS[error.resource]}.fix"),
        ) from error  # fmt: skip
    except errors.Unsuitable as error:
        unfit = f"database.unfit.{error.code}"
        raise CliError(
            Exit.CONFIGURATION,
            f"database_{error.code}",
            sentence(unfit, **error.facts),
            sentence(f"{unfit}.fix", **error.facts),
        ) from error
    except errors.Unavailable as error:
        raise CliError(
            Exit.UNREACHABLE,
            "database_unavailable",
            sentence("database.away", why=error),
            sentence("database.away.fix"),
        ) from error
    except errors.Conflict as error:
        raise CliError(Exit.CONFLICT, "conflict", sentence("database.refused", why=error)) from error
    except errors.StoreError as error:
        raise CliError(Exit.FAILED, "database_refused", sentence("database.refused", why=error)) from error


def _holder(error: InUse) -> str:
    holder = error.holder
    if holder is None:
        return sentence("in_use.unknown")
    return sentence("in_use.holder", pid=holder.pid, host=holder.host, since=f"{holder.since:%Y-%m-%d %H:%M:%S}")


def base_url(settings: Settings) -> str:
    """How browsers reach the hub that has the data; while none has, as far as settings show."""
    if settings.public_address:
        return settings.public_address
    if (running := address_of_holder(settings.data_dir)) is not None:
        return running
    host = settings.host if settings.host not in ("", "0.0.0.0", "::") else "127.0.0.1"  # noqa: S104 - a look-up
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls else 'http'}://{shown}:{settings.port}{settings.base_path}"


def now() -> datetime:
    return datetime.now(timezone.utc)


def clock_time(moment: datetime) -> str:
    """By the terminal's clock, which it names: a link is sent on to other places."""
    return moment.astimezone().strftime("%H:%M %Z")


def date_time(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M %Z")


def name(text: str) -> str:
    return _checked(text.strip(), validation.Title, "name.bad")


def location(text: str | None) -> str | None:
    return None if text is None else _checked(text.strip(), validation.Note, "name.bad")


def note(text: str) -> str:
    return _checked(text.strip(), validation.Note, "note.bad")


def tags_of_user(given: list[str]) -> frozenset[str]:
    found = frozenset(_checked(normalised_tag(tag), validation.Tag, "tag.bad") for tag in given)
    if len(found) > MAX_TAGS_OF_USER:
        raise CliError(Exit.USAGE, "too_many_tags", sentence("tags.many", most=MAX_TAGS_OF_USER))
    return found


def device_id(text: str | None) -> str | None:
    return None if text is None else _checked(text, validation.DeviceId, "device_id.bad")


def email(text: str) -> str:
    return _checked(rules.normal_email(text), validation.Email, "email.bad")


def timezone_of(text: str | None) -> str | None:
    """`site`: where the machine stands, which is None."""
    if text in (None, "site"):
        return None
    if not is_zone(text):
        raise CliError(Exit.USAGE, "timezone_bad", sentence("timezone.bad", zone=text), sentence("timezone.bad.fix"))
    return text


def password(text: str, address: str) -> str:
    fault = credentials.password_fault(text, address)
    if fault is not None:
        message = sentence(f"password.{fault}", least=credentials.MIN_PASSWORD, most=credentials.MAX_PASSWORD)
        raise CliError(Exit.CONFIGURATION, f"password_{fault}", message, sentence("password.fix"))
    return text


def password_from(source: str, address: str) -> str:
    if source == "-":
        return password(sys.stdin.readline().rstrip("\r\n"), address)
    return password(secret_in(Path(source)), address)


def secret_in(path: Path) -> str:
    with refused_secrets():
        return read_secret(path)


@contextlib.contextmanager
def refused_secrets() -> Iterator[None]:
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
