"""The object store in an S3-compatible service, by minio-py, whose own waits can hold a thread for half an hour."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from hub.kernel.objects.place import CHUNK, ObjectMissingError, ObjectsError, S3Place

CONNECT_S: Final = 3.0
READ_S: Final = 30.0
RETRIES: Final = 2
PART: Final = 8 * 1024 * 1024
_MISSING: Final = frozenset({"NoSuchKey", "NoSuchObject"})


class BucketShelf:
    """A `Shelf`. The bucket is made when it is not there and we may."""

    def __init__(self, place: S3Place, access_key: str, secret_key: str) -> None:
        self._place = place
        self._ready = False
        self._client = Minio(
            place.endpoint,
            access_key=access_key,
            secret_key=secret_key,
            secure=place.secure,
            region=place.region,
            http_client=urllib3.PoolManager(
                timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S),
                retries=urllib3.Retry(total=RETRIES, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504)),
                maxsize=4,
            ),
        )

    def put(self, key: str, path: Path) -> None:
        with _as_objects_error():
            self._make()
            # One part after the other: what fails half way must leave no threads behind.
            self._client.fput_object(
                self._place.bucket, self._name(key), str(path), part_size=PART, num_parallel_uploads=1
            )

    def get(self, key: str, path: Path) -> None:
        with _as_objects_error():
            answer = self._client.get_object(self._place.bucket, self._name(key))
            try:
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    for part in answer.stream(CHUNK):
                        file.write(part)
            finally:
                answer.close()
                answer.release_conn()

    def delete(self, key: str) -> None:
        with contextlib.suppress(ObjectMissingError), _as_objects_error():
            self._client.remove_object(self._place.bucket, self._name(key))

    def keys(self, prefix: str) -> list[str]:
        with _as_objects_error():
            self._make()
            found = self._client.list_objects(self._place.bucket, prefix=self._name(prefix), recursive=True)
            cut = len(self._place.prefix)
            return sorted(str(each.object_name)[cut:] for each in found)

    def _name(self, key: str) -> str:
        return self._place.prefix + key

    def _make(self) -> None:
        if not self._ready and not self._client.bucket_exists(self._place.bucket):
            self._client.make_bucket(self._place.bucket)
        self._ready = True


@contextlib.contextmanager
def _as_objects_error() -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        kind = ObjectMissingError if error.code in _MISSING else ObjectsError
        raise kind(f"the object store says {error.code}") from error
    except (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise ObjectsError(f"the object store cannot be used: {type(error).__name__}") from error
