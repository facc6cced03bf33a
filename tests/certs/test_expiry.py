"""When a certificate's end is worth a warning, and reading that end without a library."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs import expiry, signing

NOW = datetime(2026, 11, 29, 8, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("left", "name", "began", "changes"),
    [
        (timedelta(days=31), "", timedelta(days=-30), timedelta(days=-30)),
        (timedelta(days=30), "soon", timedelta(days=-30), timedelta(days=-7)),
        (timedelta(days=8), "soon", timedelta(days=-30), timedelta(days=-7)),
        (timedelta(days=7), "very_soon", timedelta(days=-7), timedelta(0)),
        (timedelta(0), "expired", timedelta(0), None),
        (timedelta(days=-3), "expired", timedelta(0), None),
    ],
)
def test_a_warning_has_its_time(left: timedelta, name: str, began: timedelta, changes: timedelta | None) -> None:
    ends = NOW + left
    assert expiry.expiry(ends, NOW) == name
    assert expiry.since(ends, NOW) == ends + began
    assert expiry.next_change(ends, NOW) == (None if changes is None else ends + changes)
    assert expiry.days_left(ends, NOW) == left.days


@pytest.mark.parametrize("days", [1, 90, 36500])
def test_the_end_is_read_as_the_library_reads_it(days: int) -> None:
    made = signing.new_authority("Test", days, NOW).certificate
    assert expiry.ends_at(made.public_bytes(Encoding.DER)) == made.not_valid_after_utc


def test_a_year_of_the_last_century() -> None:
    made = signing.new_authority("Test", 1, NOW).certificate.public_bytes(Encoding.DER)
    aged = made.replace(b"261130080000Z", b"551130080000Z")
    assert aged != made
    assert expiry.ends_at(aged) == datetime(1955, 11, 30, 8, tzinfo=timezone.utc)


def test_what_is_no_certificate_is_refused() -> None:
    made = signing.new_authority("Test", 1, NOW).certificate.public_bytes(Encoding.DER)
    whole = [made[:length] for length in range(len(made))] + [b"\x30\x80", b"\x30\x00", b"no", made.replace(b"Z", b"X")]
    for wrong in whole:
        with pytest.raises(ValueError, match="no certificate"):
            expiry.ends_at(wrong)
