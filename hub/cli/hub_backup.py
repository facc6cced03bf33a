"""`backup` and `restore`: the hub's own database, settings and index of objects in one file. Objects themselves stay
where they are."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from dashboard import formats
from db.backup_records import BackupRow, RestoreRow
from db.engine.dump import DatabaseSnapshot, ReferredObject, open_snapshot
from db.engine.load import open_load
from db.engine.migrate import versions
from db.engine.ownership import Owner, own_folder
from db.engine.row_text import CopiedTable, copied_tables
from db.engine.store import dialect_of
from db.errors import NotEmpty, OtherVersion
from hub.cli import output
from hub.cli.backup_file import (
    FORMAT,
    OBJECTS,
    SETTINGS,
    BackupFileError,
    BackupManifest,
    BackupReader,
    BackupWriter,
    TableMember,
    new_file,
    scratch_folder,
    table_member,
)  # fmt: skip
from hub.cli.data import make_folders, now, open_data, refusals, settings_of, sqlite_file
from hub.cli.output import CliError, Exit, language, sentence
from hub.kernel.objects.place import ObjectsError
from hub.kernel.objects.store import open_objects
from hub.model import actors
from hub.model.changes import EventHappened
from hub.settings import LAST_BACKUP, Settings
from protocol.version import PRODUCT_VERSION

LEFT_OUT: Final = frozenset({"enrolment_codes", "sessions", "sign_in_links", "sign_in_failures"})
"""Ended sessions and used links must not come back."""
SPARE_BYTES: Final = 64 * 1024 * 1024
GAP_AT_LEAST: Final = 1000
"""For a clock set back meanwhile; else one a second is more than a hub gives."""
GAP_AT_MOST: Final = 10_000_000
"""For one that was years wrong: the ids are 31 bits."""
_OF_THIS_COMPUTER: Final = frozenset({"data_dir", "database_url", "warnings"})
_SHOWN: Final = 3


async def back_up(wanted: argparse.Namespace) -> None:
    settings, path = settings_of(wanted), _path(wanted)
    _must_be_new(path)
    make_folders(settings, create=False)
    with _refused(path), scratch_folder(path.parent) as scratch:
        _must_have_room(path.parent, sqlite_file(settings))
        async with open_snapshot(settings.database_url, scratch) as snapshot:
            with new_file(path, scratch) as file:
                manifest = await _write(BackupWriter(file, int(now().timestamp())), snapshot, settings)
    size = path.stat().st_size
    shown = {
        "file": str(path), "bytes": size, "rows": manifest.rows, "objects": manifest.objects,
        "schema": manifest.schema, "made_at": manifest.made_at, "waiting_recordings": _waiting(settings),
    }  # fmt: skip
    await _note(settings, shown)
    output.answer(wanted.json, shown, sentence("hub_backup.made", **shown | {"size": _bytes(size)}))
    if shown["waiting_recordings"]:
        output.note(sentence("hub_backup.waiting", count=shown["waiting_recordings"]))


def _path(wanted: argparse.Namespace) -> Path:
    return Path(wanted.file).expanduser().absolute()


async def _write(writer: BackupWriter, snapshot: DatabaseSnapshot, settings: Settings) -> BackupManifest:
    writer.plain(SETTINGS, json.dumps(_open_settings(settings), indent=2).encode())
    tables = []
    for table in copied_tables(LEFT_OUT):
        with writer.compressed(table_member(table.name)) as member:
            rows = await snapshot.copy(table, member.write)
        tables.append(TableMember(table.name, table.columns, rows))
    objects = await snapshot.objects()
    with writer.compressed(OBJECTS) as member:
        for each in objects:
            member.write(json.dumps(each._asdict()).encode() + b"\n")
    manifest = BackupManifest(
        format=FORMAT, product=PRODUCT_VERSION, schema=versions()[-1], database=dialect_of(settings.database_url),
        host=socket.gethostname(), made_at=str(output.instant(now())), tables=tuple(tables),
        last_ids=await snapshot.last_ids(), objects=len(objects), members=dict(writer.members),
    )  # fmt: skip
    writer.finish(manifest)
    return manifest


def _open_settings(settings: Settings) -> dict[str, Any]:
    shown = {each.name: getattr(settings, each.name) for each in fields(settings) if each.repr}
    return {name: str(value) if isinstance(value, Path) else value for name, value in shown.items()}


async def _note(settings: Settings, shown: dict[str, Any]) -> None:
    """For the audit log, because the copy holds the keys of people and machines; and for `doctor`. The backup stays,
    whatever comes of this."""
    params = {"rows": shown["rows"], "size": shown["bytes"]}
    try:
        async with open_data(settings, create=False) as opened:
            await opened.commit(EventHappened(at=now(), code="hub.backed_up", actor=actors.SYSTEM, params=params))
        note = settings.data_dir / LAST_BACKUP
        note.unlink(missing_ok=True)  # It may be of another user
        with os.fdopen(os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump({"made_at": shown["made_at"], "file": shown["file"], "bytes": shown["bytes"]}, file)
    except (CliError, OSError) as error:
        output.note(sentence("hub_backup.not_noted", why=error))


def _waiting(settings: Settings) -> int:
    return len(list((settings.data_dir / "recordings").glob("*.cast")))


def _must_be_new(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise CliError(
            Exit.CONFLICT, "file_exists", sentence("hub_backup.exists", path=path), sentence("hub_backup.exists.fix")
        )


def _must_have_room(folder: Path, database: Path | None) -> None:
    """Of an SQLite copy and what is made of it; PostgreSQL's size is unknown."""
    needed = SPARE_BYTES + (0 if database is None else 2 * database.stat().st_size)
    free = shutil.disk_usage(folder).free
    if free < needed:
        shown = sentence("hub_backup.no_room", needed=_bytes(needed), path=folder, free=_bytes(free))
        raise CliError(Exit.FAILED, "no_room", shown, sentence("hub_backup.no_room.fix"))


async def restore(wanted: argparse.Namespace) -> None:
    """Compares the whole file first; then all or nothing."""
    settings, path = settings_of(wanted), _path(wanted)
    with _refused(path):
        reader = BackupReader(path)
        manifest = reader.manifest
        if manifest.schema not in versions():
            raise OtherVersion(manifest.schema, versions()[-1])
    shown: dict[str, Any] = {
        "file": str(path), "rows": manifest.rows, "objects": manifest.objects, "schema": manifest.schema,
        "made_at": manifest.made_at, "product": manifest.product, "host": output.clean(manifest.host),
    }  # fmt: skip
    if wanted.dry_run:
        shown |= {"restored": False, "settings": _other_settings(reader, settings)}
        output.answer(wanted.json, shown, sentence("hub_backup.whole", **shown))
        return
    make_folders(settings, create=True)
    with refusals(), _refused(path):
        await _fill(settings, reader)
    async with open_data(settings, create=False) as opened:
        params = {"rows": manifest.rows, "made_at": manifest.made_at}
        await opened.commit(EventHappened(at=now(), code="hub.restored", actor=actors.SYSTEM, params=params))
    missing = await _missing_objects(settings, reader)
    shown |= {"restored": True, "missing_objects": missing, "settings": _other_settings(reader, settings)}
    output.answer(wanted.json, shown, sentence("hub_backup.restored", **shown))
    _explain(settings, shown)


async def _fill(settings: Settings, reader: BackupReader) -> None:
    owner, manifest = Owner.here(), reader.manifest
    async with (
        own_folder(settings.data_dir, owner),
        open_load(settings.database_url, manifest.schema, owner) as load,
    ):
        for table in manifest.tables:
            with reader.compressed(table_member(table.name)) as lines:
                rows = await load.copy(CopiedTable(table.name, table.columns), lines)
            if rows != table.rows:
                raise BackupFileError("damaged", table.name)
        gap, names = _gap(manifest.made_at), {table.name for table in manifest.tables}
        restores = manifest.last_ids.get(RestoreRow.TABLE, 0)
        await load.keep_last_ids({**manifest.last_ids, RestoreRow.TABLE: restores + gap})
        if BackupRow.TABLE in names:
            await load.count_backups_from(gap)


def _gap(made_at: str) -> int:
    """Numbers of backups and restores that the hub may have given since its copy was made: they shall never mean
    another one."""
    passed = now() - datetime.strptime(made_at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    return GAP_AT_LEAST + min(max(0, int(passed.total_seconds())), GAP_AT_MOST)


async def _missing_objects(settings: Settings, reader: BackupReader) -> list[str] | None:
    """Keys that the database refers to and the store lacks; None: the store does not answer."""
    if not reader.manifest.objects:
        return []
    with reader.compressed(OBJECTS) as lines:
        referred = [ReferredObject(**json.loads(line)) for line in lines]
    try:
        there = set(await open_objects(settings).list(""))
    except ObjectsError:
        return None
    return [each.key for each in referred if each.key not in there]


def _other_settings(reader: BackupReader, settings: Settings) -> dict[str, Any]:
    here = json.loads(json.dumps(_open_settings(settings)))
    theirs = json.loads(reader.plain(SETTINGS))
    return {
        name: value
        for name, value in theirs.items()
        if name not in _OF_THIS_COMPUTER and name in here and here[name] != value and not _in_data(name, value, theirs)
    }


def _in_data(name: str, value: object, theirs: dict[str, Any]) -> bool:
    """Whether it is the default store in the data folder."""
    return name == "object_store" and value == str(Path(theirs["data_dir"]) / "objects")


def _explain(settings: Settings, shown: dict[str, Any]) -> None:
    missing, count = shown["missing_objects"], shown["objects"]
    if missing is None:
        output.note(sentence("hub_backup.objects.unknown", count=count, store=settings.object_store))
    elif missing:
        first = ", ".join(missing[:_SHOWN])
        output.note(sentence("hub_backup.objects.missing", missing=len(missing), count=count, first=first))
    if shown["settings"]:
        listed = ", ".join(f"{name} = {output.clean(value)}" for name, value in shown["settings"].items())
        output.note(sentence("hub_backup.settings", settings=listed))


def _bytes(count: int) -> str:
    return f"{formats.number(count / 1e6, language(), 1)} MB"


@contextlib.contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Ends the command when the file or its database refuses; InUse passes."""
    try:
        yield
    except BackupFileError as error:
        words = {"path": path, "member": output.clean(error.member)}
        raise CliError(
            Exit.CONFIGURATION, f"backup_{error.code}", sentence(f"hub_backup.{error.code}", **words),
            sentence(f"hub_backup.{error.code}.fix", **words),
        ) from error  # fmt: skip
    except OtherVersion as error:
        key = "older" if error.found < error.newest else "newer_schema"
        words = {"found": output.clean(error.found), "newest": error.newest}
        raise CliError(
            Exit.CONFIGURATION, f"schema_{key}", sentence(f"hub_backup.{key}", **words),
            sentence(f"hub_backup.{key}.fix", **words),
        ) from error  # fmt: skip
    except NotEmpty as error:
        shown = sentence("hub_backup.not_empty", where=error.where)
        raise CliError(Exit.CONFLICT, "not_empty", shown, sentence("hub_backup.not_empty.fix")) from error
    except (gzip.BadGzipFile, ValueError) as error:
        shown = sentence("hub_backup.damaged", path=path, member=type(error).__name__)
        raise CliError(Exit.CONFIGURATION, "backup_damaged", shown, sentence("hub_backup.damaged.fix")) from error
    except OSError as error:
        shown = sentence("hub_backup.unusable", path=error.filename or path, why=error.strerror or error)
        raise CliError(Exit.CONFIGURATION, "file_unusable", shown, sentence("hub_backup.unusable.fix")) from error
