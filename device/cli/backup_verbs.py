"""`backup start|status|sources|show`: asks the hub for a backup and for the newest one's state; shows what backups
read, and what an archive holds without unpacking it (both without a hub)."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import msgspec

from archive import age
from archive.errors import WRITE_FAILED, ArchiveError
from archive.manifest import Deleted, Entry
from archive.unpack import Unpacked, read_file, unpack
from device.api_client import ApiClient
from device.backups.sources import default_sources
from device.cli.exit_codes import FAILED, OK, Complain
from device.cli.hub_answer import answer_of
from device.cli.restore_verb import printable, sentence
from device.settings import AgentSettings
from device.settings.backup_values import backup_sources
from texts.catalogue import Texts

_KINDS: Final = {"file": "-", "dir": "d", "symlink": "l", "hardlink": "h"}


def add_backup_arguments(action: argparse.ArgumentParser, texts: Texts) -> None:
    verbs = action.add_subparsers(dest="backup", metavar="start | status | sources | show", required=True)
    for name in ("start", "status", "sources"):
        verb = verbs.add_parser(
            name, help=texts(f"cli_backup_{name}"), description=texts(f"cli_backup_{name}")
        )  # fmt: skip
        verb.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help=texts("cli_config"))
        verb.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=texts("cli_json"))
        if name == "start":
            verb.add_argument("--full", action="store_true", help=texts("cli_backup_full"))
    show = verbs.add_parser("show", help=texts("cli_backup_show"), description=texts("cli_backup_show"))
    show.add_argument("file", type=Path, metavar="FILE", help=texts("cli_backup_file"))
    show.add_argument("--identity", type=Path, metavar="FILE", help=texts("cli_restore_identity"))
    show.add_argument("--files", action="store_true", help=texts("cli_backup_files"))
    show.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=texts("cli_json"))


def backup(settings: AgentSettings, texts: Texts, arguments: argparse.Namespace, complain: Complain) -> int:
    """The hub's answer, or what backups read, on standard output."""
    if arguments.backup == "sources":
        return _sources(settings, texts, arguments, complain)
    data = answer_of(lambda client: _asked(client, arguments), settings, texts, complain, "backup_unreachable")
    if isinstance(data, int):
        return data
    if arguments.json:
        print(json.dumps(data))
    elif arguments.backup == "start":
        print(texts("backup_asked", id=data.get("backup_id", "?")))
    elif data.get("backup_id") is None:
        print(texts("backup_none"))
    else:
        print(texts(
            "backup_newest", id=data["backup_id"], kind=data.get("backup_type"), at=data.get("created_at"),
            state=data.get("upload_status"), size=data.get("file_size") or data.get("uploaded_bytes") or 0,
        ))  # fmt: skip
    return OK


def _asked(client: ApiClient, arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.backup == "start":
        return client.start_backup("full" if arguments.full else "incremental")
    return client.backup_status()


def _sources(settings: AgentSettings, texts: Texts, arguments: argparse.Namespace, complain: Complain) -> int:
    """By class; missing folders are named."""
    named = backup_sources(settings.values["backup_sources"])
    found = named or default_sources(agent_file=settings.config_file)
    if not found:
        return complain("no_backup_sources", FAILED, texts("no_backup_sources"))
    shown = [
        {"name": name, "class": source.data_class, "path": source.path, "exists": Path(source.path).exists(),
         "is_default": not named}
        for name, source in sorted(found.items())
    ]  # fmt: skip
    if arguments.json:
        print(json.dumps(shown))
        return OK
    for one in shown:
        line = texts("show_source", name=one["name"], kind=one["class"], root=printable(str(one["path"])))
        print(line if one["exists"] else texts("source_absent", line=line))
    return OK


def show(texts: Texts, arguments: argparse.Namespace, complain: Complain) -> int:
    """Reads to the end: the list is whole, contents are not compared."""
    try:
        identities = age.read_identities(arguments.identity) if arguments.identity else ()
        with tempfile.TemporaryDirectory(prefix="myrvm-show-") as folder, arguments.file.open("rb", buffering=0) as raw:
            manifest = Path(folder) / "manifest.jsonl"
            found = unpack(raw, None, manifest, identities=identities)
            lines = (line for line in read_file(manifest) if isinstance(line, (Entry, Deleted)))
            _show(found, lines, texts, arguments)
    except ArchiveError as error:
        return complain(error.code, FAILED, sentence(error, texts, [arguments.file]))
    except OSError as error:
        where, why = error.filename or arguments.file, error.strerror or error
        return complain(WRITE_FAILED, FAILED, texts("restore_unwritable", path=where, why=why))
    return OK


def _show(found: Unpacked, lines: Iterator[Entry | Deleted], texts: Texts, arguments: argparse.Namespace) -> None:
    if arguments.json:
        members: dict[str, Any] = {
            "header": msgspec.to_builtins(found.header), "totals": msgspec.to_builtins(found.totals),
            "sha256": found.sha256, "size": found.size,
        }  # fmt: skip
        for line in (members["header"], members["totals"]):
            line.pop("t")
        print(json.dumps(members))
        if arguments.files:
            for entry in lines:
                print(json.dumps(msgspec.to_builtins(entry)))
        return
    header, totals = found.header, found.totals
    print(texts(
        f"show_{header.backup_type}", id=header.backup_id, machine=printable(header.device_id),
        at=printable(header.created_at), chain=", ".join(map(str, header.chain)),
    ))  # fmt: skip
    print(texts("show_totals", count=totals.files, bytes=totals.bytes, deleted=totals.deleted, sha256=found.sha256))
    for name, source in header.sources.items():
        print(texts("show_source", name=name, kind=source.class_, root=printable(source.root)))
    if arguments.files:
        for entry in lines:
            print(_line(entry))


def _line(entry: Entry | Deleted) -> str:
    path = printable(entry.path)
    if isinstance(entry, Deleted):
        return f"D {'':>14} {'':19} {path}"
    at = (
        datetime.fromtimestamp(entry.mtime_ns // 10**9, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        if entry.mtime_ns
        else ""
    )
    link = f" -> {printable(entry.link)}" if entry.link else ""
    return f"{_KINDS[entry.kind]} {entry.size:>14} {at:19} {path}{link}{f' [{entry.mark}]' if entry.mark else ''}"
