"""Reads where the object store is: a folder, or `s3://BUCKET/PREFIX?endpoint=HOST:PORT&secure=no`.

And what either kind offers, and how it fails. A leaf like the settings: opens nothing; credentials never stand in a
URL.
"""

from __future__ import annotations

import re
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
    """A `sentence` with places, and what belongs into them."""

    def __init__(self, sentence: str, **values: object) -> None:
        super().__init__(sentence.format(**values))
        self.sentence = sentence
        self.values = values


def s3_place(url: str) -> S3Place | None:
    """None for a folder. Raises ObjectPlaceError for what is neither."""
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
        raise ObjectPlaceError("keys do not belong into a URL; give RVM_S3_ACCESS_KEY and RVM_S3_SECRET_KEY")
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


class ObjectsError(Exception):
    """The store is away, full, slow or refuses us; the same call may succeed later."""


class ObjectMissingError(ObjectsError):
    """There is no such object."""


class ObjectDamagedError(ObjectsError):
    """What is there is not what was stored."""


class Shelf(Protocol):
    """Called in threads; raises ObjectsError alone. Deleting what is not there is no error."""

    def put(self, key: str, path: Path) -> None: ...

    def get(self, key: str, path: Path) -> None: ...

    def delete(self, key: str) -> None: ...

    def keys(self, prefix: str) -> list[str]: ...
