"""The kinds of values the API's bodies and answers are made of, with the sentence a 422 says about each.

`extra={"expect": KEY}` names that sentence in texts/; where there is none, `expectations` derives it from the type.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from hub.model.row_id import MAX_ROW_ID

# `$(?!\n)` and not `\Z`: the pattern also stands in the OpenAPI document, where other regular expressions read it.
_UNSEEN = (
    r"\x80-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    r"\ufeff\uffa0\ufff0-\ufffb"
)
"""What shows nothing, or turns the line around: with it two names could look the same."""
_ONE_LINE = rf"^[^\x00-\x20\x7f{_UNSEEN}]([^\x00-\x1f\x7f{_UNSEEN}]*[^\x00-\x20\x7f{_UNSEEN}])?$(?!\n)"
_NO_NUL = r"^[^\x00]*$(?![\n\x00])"

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=_ONE_LINE, extra={"expect": "expect.title"})]
Note = Annotated[str, msgspec.Meta(max_length=500, pattern=_NO_NUL, extra={"expect": "expect.note"})]
DeviceId = Annotated[
    str,
    msgspec.Meta(
        max_length=100,
        pattern=r"^(?![0-9]+$)[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$(?!\n)",
        extra={"expect": "expect.device_id"},
    ),
]
Email = Annotated[
    str,
    msgspec.Meta(
        max_length=200,
        pattern=rf"^[^@\s\x00-\x1f\x7f{_UNSEEN}]{{1,100}}@[^@\s\x00-\x1f\x7f{_UNSEEN}]{{1,99}}$(?!\n)",
        extra={"expect": "expect.email"},
    ),
]
Password = Annotated[str, msgspec.Meta(max_length=200, pattern=_NO_NUL, extra={"expect": "expect.password"})]
Language = Literal["en", "id"]
Theme = Literal["light", "dark", "auto"]
UserRole = Literal["admin", "operator", "technician", "viewer"]
Instant = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"}, extra={"expect": "expect.time"})]
"""RFC 3339; in answers always UTC with Z."""
InstantGiven = Annotated[
    str, msgspec.Meta(min_length=1, max_length=64, pattern=_NO_NUL, extra={"expect": "expect.time"})
]
"""As a caller writes it: RFC 3339; a naive one is read in the machine's zone, a date alone is its start."""
Limit = Annotated[int, msgspec.Meta(ge=1, le=500)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Wait = Annotated[float, msgspec.Meta(ge=0, le=30)]
"""Seconds an answer may wait for the command to end."""
Row = Annotated[int, msgspec.Meta(ge=1, le=MAX_ROW_ID)]
"""The id of a row."""
