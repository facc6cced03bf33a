"""Forms no honest client would send, as (Content-Type, pieces of the body): each is refused, none costs much."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

B: Final = "boundary1234"
FORM: Final = f"multipart/form-data; boundary={B}"
MIB: Final = 1024 * 1024


class HostileForm(NamedTuple):
    """`pieces` may be longer than memory is: it is made anew each time."""

    name: str
    content_type: str
    pieces: Iterable[bytes]


def field(name: str, text: bytes, disposition: str | None = None, headers: bytes = b"") -> bytes:
    said = disposition or f'form-data; name="{name}"'
    return f"--{B}\r\nContent-Disposition: {said}\r\n".encode() + headers + b"\r\n" + text + b"\r\n"


def file(data: bytes, name: str = "file") -> bytes:
    return field(name, data, f'form-data; name="{name}"; filename="b.tar.gz"')


END: Final = f"--{B}--\r\n".encode()
GOOD: Final = file(b"\x1f\x8b data")


class Repeated:
    """The same bytes so many times, between a beginning and an end."""

    def __init__(self, before: bytes, piece: bytes, times: int, after: bytes = b"") -> None:
        self._all = before, piece, times, after

    def __iter__(self) -> Iterator[bytes]:
        before, piece, times, after = self._all
        yield before
        for _ in range(times):
            yield piece
        yield after


OPENING: Final = f'--{B}\r\nContent-Disposition: form-data; name="backup_type"\r\n'.encode()
CORPUS: Final = (
    HostileForm("no content type", "", [GOOD + END]),
    HostileForm("JSON", "application/json", [b"{}"]),
    HostileForm("urlencoded", "application/x-www-form-urlencoded", Repeated(b"", b"a=1&" * 4096, 256)),
    HostileForm("multipart/mixed", f"multipart/mixed; boundary={B}", [GOOD + END]),
    HostileForm("no boundary", "multipart/form-data", [GOOD + END]),
    HostileForm("an empty boundary", 'multipart/form-data; boundary=""', [GOOD + END]),
    HostileForm("a long boundary", "multipart/form-data; boundary=" + "b" * 200, [GOOD + END]),
    HostileForm("a huge boundary", "multipart/form-data; boundary=" + "b" * 60_000, [GOOD + END]),
    HostileForm("quotes without end", 'multipart/form-data; boundary="' + "\\" * 900, [GOOD + END]),
    HostileForm("a thousand parameters", "multipart/form-data;" + "a=b;" * 1000 + f"boundary={B}", [GOOD + END]),
    HostileForm("empty", FORM, [b""]),
    HostileForm("another boundary", "multipart/form-data; boundary=other", [GOOD + END]),
    HostileForm("no end", FORM, [GOOD]),
    HostileForm("ends within the file", FORM, [GOOD[:-8]]),
    HostileForm("ends within a header", FORM, [f"--{B}\r\nContent-Dispo".encode()]),
    HostileForm("no file", FORM, [field("backup_type", b"full") + END]),
    HostileForm("an empty file", FORM, [file(b"") + END]),
    HostileForm("the file twice", FORM, [GOOD + GOOD + END]),
    HostileForm("the file under both names", FORM, [GOOD + file(b"x", "backup_file") + END]),
    HostileForm("a field twice", FORM, [field("backup_type", b"full") * 2 + GOOD + END]),
    HostileForm("a type that is none", FORM, [field("backup_type", b"everything") + GOOD + END]),
    HostileForm("a type that is none, behind the file", FORM, [GOOD + field("backup_type", b"\xff\x00") + END]),
    HostileForm("a part without a name", FORM, [field("x", b"1", "form-data") + GOOD + END]),
    HostileForm("a part without a disposition", FORM, [f"--{B}\r\nX-A: b\r\n\r\n1\r\n".encode() + GOOD + END]),
    HostileForm("no header at all", FORM, [f"--{B}\r\n\r\n1\r\n".encode() + GOOD + END]),
    HostileForm("a header with no colon", FORM, [f"--{B}\r\nContent Disposition form-data\r\n\r\n1\r\n".encode()]),
    HostileForm("a header that is all colon", FORM, [f"--{B}\r\n: x\r\n\r\n1\r\n".encode()]),
    HostileForm("bare line feeds", FORM, [GOOD.replace(b"\r\n", b"\n") + END]),
    HostileForm("NUL in a header", FORM, [f"--{B}\r\nConte\0nt: x\r\n\r\n1\r\n".encode()]),
    HostileForm("a long name", FORM, [field("n" * 3000, b"1") + GOOD + END]),
    HostileForm("a header without end", FORM, Repeated(f"--{B}\r\nX-A: ".encode(), b"a" * 65536, 256)),
    HostileForm("a header's name without end", FORM, Repeated(f"--{B}\r\n".encode(), b"a" * 65536, 256)),
    HostileForm("a header of blanks", FORM, Repeated(f"--{B}\r\nX-A:".encode(), b" " * 65536, 256)),
    HostileForm("headers without end", FORM, Repeated(f"--{B}\r\n".encode(), b"X-A: b\r\n" * 4096, 512)),
    HostileForm("many small parts", FORM, Repeated(b"", b"".join(field(f"f{n}", b"") for n in range(40)), 2000)),
    HostileForm("boundaries only", FORM, Repeated(b"", f"--{B}\r\n".encode() * 4096, 256)),
    HostileForm("a text without end", FORM, Repeated(OPENING + b"\r\n", b"t" * 65536, 1024)),
    HostileForm("a preamble without end", FORM, Repeated(b"\r\n", b"\r" * 65536, 512)),
    HostileForm("almost boundaries", FORM, Repeated(OPENING + b"\r\n", f"\r\n--{B[:-1]}".encode() * 4096, 256)),
    HostileForm("carriage returns", FORM, Repeated(OPENING + b"\r\n", b"\r" * 65536, 256)),
    HostileForm("base64 is not decoded", FORM, [field("file", b"", headers=b"Content-Transfer-Encoding: base64\r\n")]),
)
