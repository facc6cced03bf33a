"""The object store in an S3-compatible service, by minio-py. Parts go by URLs that it signs: its own methods are
private, and sign the bytes as well."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from hub.kernel.objects.place import (
    CHUNK,
    PART_SIZE,
    ObjectMissingError,
    ObjectsError,
    ObjectsRefusedError,
    S3Place,
    UnfinishedUpload,
)  # fmt: skip
from hub.kernel.objects.threads import moved

CONNECT_S: Final = 3.0
READ_S: Final = 10.0
_MISSING: Final = frozenset({"NoSuchKey", "NoSuchObject", "NoSuchUpload"})
_DENIED: Final = frozenset({"AccessDenied", "AllAccessDisabled"})
_OURS: Final = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})
_FAILED: Final = (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError, ET.ParseError)
_SIGNED_FOR: Final = timedelta(minutes=15)
"""Longer than any call, for clocks that differ."""


class BucketShelf:
    def __init__(self, place: S3Place, access_key: str, secret_key: str) -> None:
        self._place = place
        self._ready = False
        # What hangs is not asked again: it would hold the thread for as long once more.
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S),
            retries=urllib3.Retry(
                connect=1, read=0, status=2, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504)
            ),
            maxsize=8,
        )
        self._client = Minio(
            place.endpoint,
            access_key=access_key,
            secret_key=secret_key,
            secure=place.secure,
            region=place.region,
            http_client=self._http,
        )

    def put(self, key: str, path: Path) -> None:
        with _as_objects_error(), path.open("rb") as file:
            self._make()
            data = file.read(PART_SIZE)
            following = file.read(PART_SIZE)
            if not following:
                self._send("PUT", key, {}, data)
                return
            upload_id = self.begin(key)
            parts: list[tuple[int, str]] = []
            try:
                while data:
                    number = len(parts) + 1
                    parts.append((number, self.put_part(key, upload_id, number, data)))
                    data, following = following, file.read(PART_SIZE)
                self.complete(key, upload_id, parts)
            except BaseException:
                with contextlib.suppress(ObjectsError):
                    self.abort(key, upload_id)
                raise

    def get(self, key: str, path: Path) -> None:
        with _as_objects_error(), os.fdopen(os.open(path, _NEW, 0o600), "wb") as file:
            for piece in self._pieces(key, 0, 0):
                file.write(piece)

    def delete(self, key: str) -> None:
        with contextlib.suppress(ObjectMissingError), _as_objects_error():
            self._client.remove_object(self._place.bucket, self._name(key))

    def keys(self, prefix: str) -> list[str]:
        with _as_objects_error():
            self._make()
            found = self._client.list_objects(self._place.bucket, prefix=self._name(prefix), recursive=True)
            keys = []
            for each in found:
                keys.append(self._key(str(each.object_name)))
                moved()
            return sorted(keys)

    def size(self, key: str) -> int:
        with _as_objects_error():
            return int(self._client.stat_object(self._place.bucket, self._name(key)).size or 0)

    def read(self, key: str, offset: int, length: int) -> Generator[bytes, None, None]:
        with _as_objects_error():
            if length:  # 0 would mean all of it
                yield from self._pieces(key, offset, length)

    def begin(self, key: str) -> str:
        with _as_objects_error():
            self._make()
            return _text(self._send("POST", key, {"uploads": ""}), "UploadId")

    def put_part(self, key: str, upload_id: str, number: int, data: bytes | memoryview) -> str:
        with _as_objects_error():
            answer = self._send("PUT", key, {"partNumber": str(number), "uploadId": upload_id}, data)
            return answer.headers["ETag"].strip('"')

    def complete(self, key: str, upload_id: str, parts: Sequence[tuple[int, str]]) -> None:
        wanted = ET.Element("CompleteMultipartUpload", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
        for number, tag in parts:
            part = ET.SubElement(wanted, "Part")
            ET.SubElement(part, "PartNumber").text = str(number)
            ET.SubElement(part, "ETag").text = f'"{tag}"'
        with _as_objects_error():
            answer = self._send("POST", key, {"uploadId": upload_id}, ET.tostring(wanted))
            if not _is(answer, "CompleteMultipartUploadResult"):  # It begins its answer before it knows
                raise _refusal(_text(answer, "Code"))

    def abort(self, key: str, upload_id: str) -> None:
        with contextlib.suppress(ObjectMissingError), _as_objects_error():
            self._send("DELETE", key, {"uploadId": upload_id})

    def uploads(self, prefix: str) -> list[UnfinishedUpload]:
        found: list[UnfinishedUpload] = []
        after = ""
        with _as_objects_error():
            self._make()
            while True:
                page = self._client._list_multipart_uploads(  # noqa: SLF001 - see the head of this file
                    self._place.bucket, prefix=self._name(prefix), key_marker=after
                )
                for each in page.uploads:
                    began_at = each.initiated_time or datetime.now(timezone.utc)
                    found.append(UnfinishedUpload(self._key(each.object_name), str(each.upload_id), began_at))
                if not page.is_truncated or not page.next_key_marker or page.next_key_marker <= after:
                    return sorted(found)
                after = page.next_key_marker
                moved()

    def presign(self, key: str, file_name: str, expires_s: int) -> str | None:
        """`file_name`: letters, digits, dots, dashes."""
        named = {"response-content-disposition": f'attachment; filename="{file_name}"'}
        with _as_objects_error():
            return self._sign("GET", key, named, timedelta(seconds=expires_s))

    def local_path(self, key: str) -> Path | None:  # noqa: ARG002 - a Shelf's
        return None

    def _name(self, key: str) -> str:
        return self._place.prefix + key

    def _key(self, name: str) -> str:
        return name[len(self._place.prefix) :]

    def _sign(self, method: str, key: str, query: Mapping[str, str], expires: timedelta) -> str:
        return self._client.get_presigned_url(
            method, self._place.bucket, self._name(key), expires=expires, extra_query_params=dict(query)
        )

    def _send(
        self, method: str, key: str, query: Mapping[str, str], body: bytes | memoryview = b""
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Content-Length": str(len(body)), "Content-Type": "application/octet-stream"}
        url = self._sign(method, key, query, _SIGNED_FOR)
        pieces: Any = _in_pieces(body) if body else None
        answer = self._http.request(method, url, body=pieces, headers=headers, retries=False, redirect=False)
        moved()
        if answer.status not in (200, 204):
            raise _refusal(_text(answer, "Code", f"HTTP {answer.status}"))
        return answer

    def _pieces(self, key: str, offset: int, length: int) -> Generator[bytes, None, None]:
        answer = self._client.get_object(self._place.bucket, self._name(key), offset=offset, length=length)
        try:
            for piece in answer.stream(CHUNK):
                moved()
                yield piece
        finally:
            answer.close()
            answer.release_conn()

    def _make(self) -> None:
        if self._ready:
            return
        try:
            if not self._client.bucket_exists(self._place.bucket):
                self._client.make_bucket(self._place.bucket)
        except S3Error as error:
            # Who may only use the bucket may neither look for it nor make it.
            if error.code not in _DENIED | _OURS:
                raise
        self._ready = True


_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def _in_pieces(body: bytes | memoryview) -> Iterator[bytes | memoryview]:
    left = memoryview(body)
    while left:
        yield left[:CHUNK]
        moved()
        left = left[CHUNK:]


def _tree(answer: urllib3.BaseHTTPResponse) -> ET.Element:
    return ET.fromstring(answer.data)  # noqa: S314 - the store holds all we have; minio-py reads it likewise


def _is(answer: urllib3.BaseHTTPResponse, kind: str) -> bool:
    return _tree(answer).tag.rpartition("}")[2] == kind


def _text(answer: urllib3.BaseHTTPResponse, name: str, without: str | None = None) -> str:
    try:
        found = next(each.text for each in _tree(answer).iter() if each.tag.rpartition("}")[2] == name)
    except (ET.ParseError, StopIteration):
        found = None
    if found or without:
        return str(found or without)
    raise ValueError(f"the answer has no {name}")


def _refusal(code: str) -> ObjectsError:
    return ObjectMissingError(f"the object store says {code}") if code in _MISSING else ObjectsRefusedError(code)


@contextlib.contextmanager
def _as_objects_error() -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        raise _refusal(str(error.code)) from error
    except _FAILED as error:
        raise ObjectsError(f"the object store cannot be used: {type(error).__name__}") from error
