"""The key of an encrypted archive that is being written, kept beside its lists until the backup ends.

A nonce must never meet two contents under one key: whoever saw both could join them, and forge chunks. Chunks are
numbered, and sources change while nobody runs, so a part that is made again may differ from the one that was sent.
Hence three rules. A stream from its beginning gets a new key. One that goes on gets the key its checkpoint was made
with. And no part leaves `admit` but the first of its number, or exactly that again: its sum is on the disk before
anybody may send it. What differs ends the stream; the next begins anew, with another key.

A chunk that a part ends within is in the next one, too. What was sent of it was compared with its part; the rest of it,
with its tag, is sent for the first time. A part that was put on the disk but not sent is compared all the same.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from archive.encrypt import StreamKey, new_stream_key
from archive.errors import INTERRUPTED, ArchiveError

_SUM: Final = hashlib.sha256().digest_size
_MAX_KEY: Final = 4096


class StreamKeyFile:
    """Open, and locked against an earlier process that is not quite dead. A key on one line in hexadecimal, then the
    sums of parts. Bound: 32 bytes for each part of 8 MiB."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        fcntl.flock(handle, fcntl.LOCK_EX)
        head = os.pread(handle, _MAX_KEY, 0).partition(b"\n")[0]
        self.key = _decoded(head)
        self._begin = len(head) + 1
        self._parts = (os.fstat(handle).st_size - self._begin) // _SUM

    @classmethod
    def begin(cls, path: Path, recipients: Sequence[str]) -> StreamKeyFile:
        """A new key in the place of any that is there. Raises ArchiveError for a recipient that is none, OSError."""
        key = new_stream_key(recipients)
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(handle, _encoded(key) + b"\n")
            os.fsync(handle)
            return cls(handle)
        except BaseException:
            os.close(handle)
            raise

    @classmethod
    def go_on(cls, path: Path, nonce: bytes) -> StreamKeyFile:
        """The key of the stream that has this nonce. Raises ArchiveError (`interrupted`) when it is not there."""
        try:
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as gone:
            raise ArchiveError(INTERRUPTED, "the key of this archive is not there") from gone
        try:
            opened = cls(handle)
        except BaseException:
            os.close(handle)
            raise
        if opened.key.nonce != nonce:
            opened.close()
            raise ArchiveError(INTERRUPTED, "another archive has begun since")
        return opened

    def admit(self, number: int, sha256: str) -> None:
        """Call before a part may leave this process. Raises ArchiveError (`interrupted`) for one that was another
        before, OSError when the disk does not take its sum."""
        found, place = bytes.fromhex(sha256), self._begin + (number - 1) * _SUM
        if number <= self._parts:
            if os.pread(self._handle, _SUM, place) != found:
                raise ArchiveError(INTERRUPTED, f"part {number} is another than may have been sent: sources changed")
            return
        if number != self._parts + 1:
            raise ArchiveError(INTERRUPTED, f"nothing is known of the part before {number}")
        written = os.pwrite(self._handle, found, place)
        if written != _SUM:
            raise OSError(errno.ENOSPC, "the disk took only part of a sum")
        os.fdatasync(self._handle)
        self._parts = number

    def close(self) -> None:
        os.close(self._handle)


def _encoded(key: StreamKey) -> bytes:
    content = msgspec.msgpack.encode(key)
    return (hashlib.sha256(content).digest() + content).hex().encode("ascii")


def _decoded(line: bytes) -> StreamKey:
    try:
        whole = bytes.fromhex(line.decode("ascii"))
        if hashlib.sha256(whole[_SUM:]).digest() == whole[:_SUM]:
            return msgspec.msgpack.decode(whole[_SUM:], type=StreamKey)
    except (ValueError, msgspec.DecodeError):
        pass
    raise ArchiveError(INTERRUPTED, "the key of this archive cannot be read")
