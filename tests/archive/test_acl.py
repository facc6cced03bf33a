"""ACLs as text, as the kernel has them, and what is no ACL."""

from __future__ import annotations

import struct

import pytest

from archive import acl
from archive.acl import MAX_NAMED, AclEntry, AclError

JOE = "user::rw-,user:joe:rwx:1000,user:2000:r--,group::r-x,group:staff:r--:50,mask::rwx,other::---"
KNOWN = {1000: "joe", 50: "staff", 7: "no name, this"}


def kernel(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 2**32 - 1
RAW = kernel(
    (1, 6, NOBODY), (2, 7, 1000), (2, 4, 2000), (4, 5, NOBODY), (8, 4, 50), (16, 7, NOBODY), (32, 0, NOBODY)
)  # fmt: skip


def name_of(number: int) -> str:
    return KNOWN.get(number, "")


def as_given(_name: str, number: int) -> int:
    return number


def test_text_and_kernel_form_are_one_acl() -> None:
    assert acl.text_of(RAW, name_of, name_of) == JOE
    assert acl.packed(JOE, as_given, as_given) == RAW
    assert acl.numeric(JOE) == JOE.replace(":joe:rwx:1000", ":1000:rwx").replace(":staff:r--:50", ":50:r--")
    assert acl.packed(acl.numeric(JOE), as_given, as_given) == RAW


def test_a_name_that_no_text_can_hold_is_its_number() -> None:
    raw = kernel((1, 6, NOBODY), (2, 7, 7), (4, 5, NOBODY), (16, 7, NOBODY), (32, 0, NOBODY))
    assert acl.text_of(raw, name_of, name_of) == "user::rw-,user:7:rwx,group::r-x,mask::rwx,other::---"


def test_a_name_has_the_number_of_this_computer() -> None:
    moved = acl.packed(JOE, lambda name, number: 1234 if name == "joe" else number, as_given)
    assert (2, 7, 1234) in list(struct.iter_unpack("<HHI", moved[4:]))
    assert [entry[2] for entry in struct.iter_unpack("<HHI", moved[4:])][1:3] == [1234, 2000]


def test_two_names_may_be_one_number_here() -> None:
    once = acl.packed("user::rw-,user:a:rwx:1,user:b:r--:2,group::---,mask::rwx,other::---", lambda *_: 5, as_given)
    assert [entry[0] for entry in struct.iter_unpack("<HHI", once[4:])] == [1, 2, 4, 16, 32]


def test_entries_come_in_the_order_of_the_kernel() -> None:
    assert acl.parse("other::---,group::r--,user::rw-") == [
        AclEntry("user", 6), AclEntry("group", 4), AclEntry("other", 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "bits"),
    [("user::rwx,group::rw-,other::---", 6), ("user::rwx,user:1:rwx,group::rw-,mask::r-x,other::---", 4)],
)
def test_what_the_owning_group_may(text: str, bits: int) -> None:
    assert acl.group_bits(text) == bits


@pytest.mark.parametrize(
    "text",
    [
        "", "nonsense", "user::rw-", "user::rw-,group::r--", "user::rw-,group::r--,other::r-",
        "user::rw-,group::r--,other::r--\n", "user::rw-,group::r--,other::r--,other::r--",
        "user::rw-,user:1:rw-,group::r--,other::r--", "user::rw-,user::rw-:1,group::r--,mask::r--,other::r--",
        "user::rw-,user:joe:rw-,group::r--,mask::r--,other::r--",
        "user::rw-,user:1:rw-:2,group::r--,mask::r--,other::r--",
        "user::rw-,user:1:rw-,user:joe:r--:1,group::r--,mask::r--,other::r--",
        "user::rw-,group::r--,mask:1:rw-,other::r--", "user::rw-,group::r--,other:joe:rw-:1",
        "user::rw-,user:4294967295:rw-,group::r--,mask::r--,other::r--",
        "user::rw-,user:99999999999:rw-,group::r--,mask::r--,other::r--",
        "user::rw-,user:joe\n:rw-:1,group::r--,mask::r--,other::r--",
        ",".join(["user::rw-", "group::r--", "mask::r--", "other::r--",
                  *(f"user:{number}:r--" for number in range(MAX_NAMED + 1))]),
    ],
)  # fmt: skip
def test_what_is_no_acl_is_refused(text: str) -> None:
    with pytest.raises(AclError):
        acl.parse(text)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\x02\0\0", RAW[:-1], struct.pack("<I", 1) + RAW[4:], kernel((3, 1, 1)), kernel((1, 8, NOBODY)),
    ],
)  # fmt: skip
def test_a_kernel_that_says_something_else_is_not_understood(raw: bytes) -> None:
    with pytest.raises(AclError):
        acl.text_of(raw, name_of, name_of)
