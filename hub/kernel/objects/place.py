"""Reads where the object store is: a folder, or `s3://BUCKET/PREFIX?endpoint=HOST:PORT&secure=no`; what both offer,
and their errors. Opens nothing; credentials never stand in a URL."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlsplit

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ENDPOINT = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:]+\](:\d{1,5})?")
_PREFIX = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
AMAZON = "s3.amazonaws.com"
FORM = "s3://BUCKET/PREFIX?endpoint=HOST:PORT (and &secure=no without TLS, &region=NAME)"


class S3Place(NamedTuple):
    """`prefix` is "" or ends with a slash."""

    bucket: str
    prefix: str
    endpoint: str
    secure: bool
    region: str | None


class ObjectPlaceError(ValueError):
    """A `sentence` key and its values."""

    def __init__(self, sentence: str, **values: object) -> None:
        super().__init__(sentence.format(**values))
        self.sentence = sentence
        self.values = values


def s3_place(url: str) -> S3Place | None:
    """None: a folder. Raises ObjectPlaceError."""
    if "://" not in url:
        return None
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise ObjectPlaceError("it cannot be read as a URL") from error
    if parts.scheme != "s3":
        raise ObjectPlaceError("{value}:// is neither a folder nor s3://", value=parts.scheme)
    if "@" in parts.netloc or "key" in parts.query.lower():
        raise ObjectPlaceError("keys do not belong in a URL; give RVM_S3_ACCESS_KEY and RVM_S3_SECRET_KEY")
    if not _BUCKET.fullmatch(parts.netloc):
        raise ObjectPlaceError("'{value}' cannot be a bucket's name", value=parts.netloc)
    return _place(parts.netloc, parts.path.strip("/"), options)


def _place(bucket: str, prefix: str, options: dict[str, str]) -> S3Place:
    strange = sorted(set(options) - {"endpoint", "secure", "region"})
    if strange:
        raise ObjectPlaceError("'{value}' is no option of it", value=strange[0])
    if prefix and (not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/"))):
        raise ObjectPlaceError("'{value}' cannot be a prefix", value=prefix)
    endpoint = options.get("endpoint", AMAZON)
    if not _ENDPOINT.fullmatch(endpoint):
        raise ObjectPlaceError("the endpoint '{value}' is not HOST or HOST:PORT", value=endpoint)
    secure = options.get("secure", "yes").lower()
    if secure not in ("yes", "no"):
        raise ObjectPlaceError("secure is yes or no, not '{value}'", value=secure)
    return S3Place(bucket, f"{prefix}/" if prefix else "", endpoint, secure == "yes", options.get("region") or None)


CHUNK: Final = 256 * 1024
PART_SIZE: Final = 8 * 1024 * 1024
"""Of every part but the last, which is no larger and not empty."""
PIECE_SIZE: Final = PART_SIZE // 2
"""What a folder keeps of a part whose rest did not come. S3 keeps whole parts only."""
MAX_PARTS: Final = 10_000


class ObjectsError(Exception):
    """The store is away, full, slow or refuses; the same call may succeed later."""


class ObjectMissingError(ObjectsError):
    """No such object or upload (any more)."""


class ObjectDamagedError(ObjectsError):
    """Not what was stored."""


class ObjectsFullError(ObjectsError):
    pass


class ObjectsRefusedError(ObjectsError):
    """`code` is the store's, like InvalidAccessKeyId."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the object store says {code}")
        self.code = code


class Sum(Protocol):
    """A sha256 under way."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


class UnfinishedUpload(NamedTuple):
    """`began_at`: aware UTC; in a folder the last write."""

    key: str
    upload_id: str
    began_at: datetime


class Shelf(Protocol):
    """Called in threads; raises only ObjectsError. Deleting or aborting what is absent is no error. Calls `moved` of
    `store` while bytes move."""

    def put(self, key: str, path: Path) -> None: ...

    def get(self, key: str, path: Path) -> None: ...

    def delete(self, key: str) -> None: ...

    def keys(self, prefix: str) -> list[str]: ...

    def size(self, key: str) -> int: ...

    def read(self, key: str, offset: int, length: int) -> Generator[bytes, None, None]: ...

    def begin(self, key: str) -> str: ...

    def put_part(self, key: str, upload_id: str, number: int, data: bytes | memoryview) -> str: ...

    def complete(self, key: str, upload_id: str, parts: Sequence[tuple[int, str]]) -> None: ...

    def abort(self, key: str, upload_id: str) -> None: ...

    def uploads(self, prefix: str) -> list[UnfinishedUpload]: ...

    def presign(self, key: str, file_name: str, expires_s: int) -> str | None: ...

    def local_path(self, key: str) -> Path | None: ...
