"""If-Match as RFC 9110 reads it: lists, `*`, weak tags, several headers."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from hub.web.api.headers import tagged, version_expected
from hub.web.http.problems import Problem


def request(*headers: str) -> Request:
    return Request({"type": "http", "headers": [(b"if-match", value.encode("latin-1")) for value in headers]})


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((), None), (("*",), None), (('"7"',), 7), (('"6", "7"',), 7), ((' "7" ',), 7),
        (('"6"', '"7"'), 7), (('W/"6","7"',), 7),
    ],
)  # fmt: skip
def test_the_version_that_was_seen(headers: tuple[str, ...], expected: int | None) -> None:
    assert version_expected(request(*headers), 7) == expected


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ('"6"', 412),
        ('W/"7"', 412),
        ('""', 412),
        ('"77"', 412),
        ("", 400),
        ("7", 400),
        ('"7', 400),
        ('"7" "8"', 400),
        ('*, "7"', 400),
    ],
)
def test_what_names_another_version_or_none_is_refused(header: str, status: int) -> None:
    with pytest.raises(Problem) as refused:
        version_expected(request(header), 7)
    assert refused.value.status == status


def test_an_answer_names_its_version() -> None:
    assert tagged(7) == {"ETag": '"7"'}
