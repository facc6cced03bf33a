"""`backup show FILE`: what an archive holds, read without a hub and without unpacking it."""

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
from device.cli.restore_verb import FAILED, Complain, printable, sentence
from texts.catalogue import Texts

_KINDS: Final = {"file": "-", "dir": "d", "symlink": "l", "hardlink": "h"}


def add_backup_arguments(action: argparse.ArgumentParser, texts: Texts) -> None:
    verbs = action.add_subparsers(dest="backup", metavar="show", required=True)
    show = verbs.add_parser("show", help=texts("cli_backup_show"), description=texts("cli_backup_show"))
    show.add_argument("file", type=Path, metavar="FILE", help=texts("cli_backup_file"))
    show.add_argument("--identity", type=Path, metavar="FILE", help=texts("cli_restore_identity"))
    show.add_argument("--files", action="store_true", help=texts("cli_backup_files"))
    show.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=texts("cli_json"))


def backup(texts: Texts, arguments: argparse.Namespace, complain: Complain) -> int:
    """Reads the file to its end: what is shown is whole, though its contents were not compared."""
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
    return 0


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
