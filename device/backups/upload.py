"""Archives and uploads one backup in the child process: scan, parts, completion. Goes on where a life was cut.

In the backups folder: `ID/task` (what was decided), `ID/checkpoint`, `ID/work` (lists), and `index`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from archive.errors import INTERRUPTED, ArchiveError
from archive.manifest import FORMAT, Compression, Header
from archive.plan import NoRoomError, Scan, Work
from archive.pump import Pump, Summary
from device.backups.control import Assignment, ChildFailedError, ChildReport, Control
from device.backups.index import DamagedIndexError, Indexes
from device.backups.rules import wanted_type
from device.backups.scan import NoSourcesError, scan
from device.backups.sender import PROGRESS_EVERY_S, HubBackup, PartSender, refuse
from device.backups.sources import AGENT, chosen, default_sources, place_of, without
from device.backups.transfer import HubAnswer
from device.kernel import state_file
from device.settings.backup_values import backup_sources
from protocol.kinds import BackupType
from protocol.version import PRODUCT_VERSION

ASK_LEAST_S: Final = 0.25
ASK_MOST_S: Final = 10.0
COMPLETED: Final = frozenset({"completed", "verified"})
PARENT_MISSING: Final = "parent_missing"
PARTS_MISSING: Final = "parts_missing"
"""A hub that was restored from a backup of its own knows of fewer parts than it had confirmed."""
SUFFIXES: Final = {"gzip": ".tar.gz", "zstd": ".tar.zst", "none": ".tar"}


class BackupArgs(msgspec.Struct, frozen=True, kw_only=True):
    """`sources` empty: what is found; `public_key`: an operator's age key, or empty; `secret`: never taken."""

    backup_type: BackupType
    include_images: bool
    include_logs: bool
    sources: dict[str, Any]
    agent_file: str | None
    compression: Compression
    public_key: str
    identity_file: str
    secret: tuple[str, ...] = ()
    chain_most: int
    read_all: bool
    workers: int
    created_at: str


class Task(msgspec.Struct, kw_only=True):
    """Decided at its begin: a later life keeps to it."""

    header: Header
    recipients: list[str] = []
    summary: dict[str, Any] | None = None


def run(assignment: Assignment, control: Control) -> dict[str, Any]:
    """Raises ChildFailedError."""
    try:
        return BackupUpload(assignment, control).run()
    except NoRoomError as full:
        raise ChildFailedError("disk_full", f"{full.needed} bytes are needed and {full.free} are free") from full
    except NoSourcesError as none:
        raise ChildFailedError("no_sources", f"none of the folders to back up is there: {none}") from none
    except ArchiveError as wrong:
        raise ChildFailedError(wrong.code, str(wrong)) from wrong
    except OSError as wrong:
        raise ChildFailedError("disk", f"{wrong.strerror or wrong}: {wrong.filename or assignment.folder}") from wrong


class _PartsGoneError(Exception):
    """The hub has not all that it had confirmed."""


class BackupUpload:
    def __init__(self, assignment: Assignment, control: Control) -> None:
        self._assignment = assignment
        self._control = control
        self._args = msgspec.convert(assignment.args, BackupArgs)
        self._folder = Path(assignment.folder) / str(assignment.backup_id)
        self._task = self._folder / "task"
        self._work = self._folder / "work"
        self._checkpoint = self._folder / "checkpoint"
        self._indexes = Indexes(Path(assignment.folder) / "index")
        self._hub = HubBackup(assignment, control)
        self._scanned_at = float("-inf")
        self._is_anew = False

    def run(self) -> dict[str, Any]:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        known = state_file.read_value(self._task, Task)
        if known is None:
            answer, task = self._begun()
        else:
            task, answer = known, self._hub.begin(announced(known.header))
            refuse(answer)
        if answer.data.get("upload_status") in COMPLETED:
            return self._completed(task, answer.data)
        if task.summary is None:
            task = self._sent(task, answer, goes_on=known is not None)
        try:
            return self._completed(task, self._finish(task.summary or {}))
        except _PartsGoneError:
            task = self._sent_anew()
            return self._completed(task, self._finish(task.summary or {}))

    def _begun(self) -> tuple[HubAnswer, Task]:
        """Ask whether it is wanted, scan, ask again with its size."""
        meta = self._indexes.meta
        kind = wanted_type(self._args.backup_type, meta.chain if meta else (), self._args.chain_most)
        header = self._header(kind, 0)
        same = {"parent_sha256": meta.sha256} if meta and kind == "incremental" else {}
        answer = self._hub.begin({**announced(header), **same})
        if kind == "incremental" and answer.code == PARENT_MISSING:
            self._indexes.clear()  # the hub has lost, or does not trust, what it would build on
            header = self._header("full", 0)
            answer = self._hub.begin(announced(header))
        refuse(answer)
        task = Task(header=header, recipients=self._recipients())
        if answer.data.get("upload_status") in COMPLETED:
            return answer, task
        found = self._scan(task, int(answer.data.get("rvm_id", 0)))
        self._checkpoint.unlink(missing_ok=True)
        estimate = {"bytes": found.bytes, "files": found.files}
        answer = self._hub.begin({**announced(task.header), "estimate": estimate})
        refuse(answer)
        state_file.write_value(self._task, task)
        return answer, task

    def _scan(self, task: Task, rvm_id: int) -> Scan:
        """A damaged index makes it full."""
        self._control.progress("scanning")
        task.header = self._header(task.header.backup_type, rvm_id)
        meta = self._indexes.meta if task.header.backup_type == "incremental" else None
        previous = self._indexes.latest if meta else None
        try:
            return scan(
                task.header, self._work, previous, redo=meta.redo if meta else (), read_all=self._args.read_all,
                stop=self._control.stop, progress=self._scanned,
            )  # fmt: skip
        except DamagedIndexError:
            self._indexes.clear()
            task.header = self._header("full", rvm_id)
            return scan(task.header, self._work, None, stop=self._control.stop, progress=self._scanned)

    def _header(self, kind: BackupType, rvm_id: int) -> Header:
        args, own = self._args, self._assignment.backup_id
        configured = backup_sources(args.sources)
        agent_file = Path(args.agent_file) if args.agent_file else None
        taken = chosen(
            configured or default_sources(agent_file=agent_file),
            include_images=args.include_images, include_logs=args.include_logs,
        )  # fmt: skip
        sources = without(taken, args.secret)
        if not sources:
            raise ChildFailedError("no_sources", "backup_sources names no folder of the classes that are wanted")
        meta = self._indexes.meta if kind == "incremental" else None
        before = tuple(meta.chain) if meta else ()
        return Header(
            format=FORMAT, backup_id=own, rvm_id=rvm_id, device_id=self._assignment.hub.device_id, backup_type=kind,
            parent_id=before[-1] if before else None, chain=(*before, own), created_at=args.created_at,
            sources=sources, compression=args.compression, encrypted=bool(args.public_key),
            tool_version=PRODUCT_VERSION,
        )  # fmt: skip

    def _recipients(self) -> list[str]:
        """The operator's key, and the machine's own, so that it can restore and check."""
        if not self._args.public_key:
            return []
        return [self._args.public_key, own_recipient(Path(self._args.identity_file))]

    def _scanned(self, files: int, size: int) -> None:
        del size
        now = time.monotonic()
        if now - self._scanned_at >= PROGRESS_EVERY_S:
            self._scanned_at = now
            self._control.progress("scanning", files)

    def _sent(self, task: Task, answer: HubAnswer, *, goes_on: bool) -> Task:
        """What was sent, with its summary. Begins anew where nobody can go on: the key is gone, sources changed, or
        the hub lost parts."""
        saved = self._checkpoint.read_bytes() if self._checkpoint.exists() else None
        try:
            return self._noted(task, self._pumped(task, answer, saved, goes_on=goes_on))
        except _PartsGoneError:
            return self._sent_anew()
        except ArchiveError as wrong:
            if wrong.code != INTERRUPTED or saved is None:
                raise
        return self._sent_anew()

    def _sent_anew(self) -> Task:
        """Parts that are the same again are not sent again."""
        self._task.unlink(missing_ok=True)  # first, so that a life that is cut now begins anew as well
        answer, task = self._begun()
        return self._noted(task, self._pumped(task, answer, None, goes_on=False))

    def _noted(self, task: Task, summary: dict[str, Any]) -> Task:
        task.summary = summary
        state_file.write_value(self._task, task)
        Work(self._work).key.unlink(missing_ok=True)  # nothing is encrypted any more
        return task

    def _pumped(self, task: Task, answer: HubAnswer, saved: bytes | None, *, goes_on: bool) -> dict[str, Any]:
        """Raises _PartsGoneError where the hub has not what `saved` goes on behind."""
        header = task.header
        roots = {name: place_of(source) for name, source in header.sources.items()}
        pump = Pump(
            self._work, roots, compression=header.compression, recipients=task.recipients,
            workers=self._args.workers, snapshot=snapshot,
        )  # fmt: skip
        sender = PartSender(
            self._assignment, self._control, announced(header), answer, self._confirmed, goes_on=goes_on
        )  # fmt: skip
        before: int | None = None if saved else 0
        try:
            for part in pump.parts(saved):
                if before is None:
                    if not sender.has_before(part):
                        raise _PartsGoneError
                    before = pump.done_bytes
                    sender.begins_at(before)
                sender.total_bytes = max(pump.total_bytes, pump.done_bytes)
                sender.send(part, pump.done_bytes - before)
                before = pump.done_bytes
                del part  # the next one is made while it travels: three at a time are in memory, not four
                self._control.gate.wait()
        except ArchiveError:
            sender.finish()  # none of its parts may arrive among those of the archive that begins then
            raise
        sender.finish()
        made = pump.summary
        if not self._args.sources and set(header.sources) == {AGENT}:
            made.report.add(AGENT, "only_agent")
        return _summed(made)

    def _confirmed(self, checkpoint: bytes | None) -> None:
        if checkpoint is not None:
            state_file.write_bytes(self._checkpoint, checkpoint)

    def _finish(self, summary: dict[str, Any]) -> dict[str, Any]:
        """Raises _PartsGoneError when the hub has lost some, once, and ChildFailedError."""
        self._control.progress("finishing")
        pause = ASK_LEAST_S
        while True:
            answer = self._hub.complete(summary)
            if answer.code == PARTS_MISSING and not self._is_anew:
                self._is_anew = True
                raise _PartsGoneError
            refuse(answer)
            if answer.data.get("upload_status") in COMPLETED:
                return dict(answer.data)
            self._control.report(ChildReport(phase="finishing"))
            time.sleep(pause)
            pause = min(ASK_MOST_S, pause * 1.5)

    def _completed(self, task: Task, data: Mapping[str, Any]) -> dict[str, Any]:
        own, summary = self._assignment.backup_id, task.summary or {}
        meta, sha256 = self._indexes.meta, data.get("sha256") or summary.get("sha256", "")
        is_base = (meta is not None and meta.backup_id == own) or self._indexes.promote(own)
        if not is_base and self._work.exists() and self._indexes.stage(self._work, task.header, sha256):
            self._indexes.promote(own)
        return {
            "backup_id": own,
            "backup_type": task.header.backup_type,
            "size": summary.get("size", data.get("file_size", 0)),
            "sha256": sha256,
            "files": summary.get("files", 0),
            "bytes": summary.get("bytes", 0),
            "report": summary.get("report", {}).get("lines", []),
            "report_counts": summary.get("report", {}).get("counts", {}),
        }


def announced(header: Header) -> dict[str, Any]:
    suffix = SUFFIXES[header.compression] + (".age" if header.encrypted else "")
    return {
        "backup_type": header.backup_type,
        "parent_id": header.parent_id,
        "file_name": f"backup{suffix}",
        "compression": header.compression,
        "encrypted": header.encrypted,
    }


def _summed(summary: Summary) -> dict[str, Any]:
    return {
        "parts": summary.parts,
        "size": summary.size,
        "sha256": summary.sha256,
        "files": summary.files,
        "bytes": summary.bytes,
        "entries": summary.entries,
        "deleted": summary.deleted,
        "report": msgspec.to_builtins(summary.report),
    }


def snapshot(database: Path, copy: Path) -> str:
    """`device.backups.snapshots`, loaded at the first database."""
    from device.backups import snapshots

    return snapshots.snapshot(database, copy)


def own_recipient(identity_file: Path) -> str:
    """The public half; the identity is made at its first use. Raises ArchiveError, OSError."""
    from archive.age import make_identity, read_identities, recipient_of  # few machines encrypt

    if not identity_file.exists():
        identity, _ = make_identity()
        state_file.write_bytes(identity_file, f"{identity}\n".encode())
    return recipient_of(read_identities(identity_file)[0])
