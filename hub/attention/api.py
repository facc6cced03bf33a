"""/troubles: what is wrong with machines, as it is recorded."""

from __future__ import annotations

import msgspec

from db.trouble_records import TroubleRow
from hub.web.api.operation import of_record


@of_record(TroubleRow, without=("rvm_id", "noticed_at", "ended_at"))
class OpenTrouble(msgspec.Struct):
    """A cause that stands. `value`: the reading when it began; `owner`: who is on it since `taken_at`;
    `snoozed_until`: until then it is not counted; `note`: of `note_by`."""
