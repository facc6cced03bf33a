"""Errors and close codes, as the page of the wire has them."""

from __future__ import annotations

from protocol.errors import CloseCode, LocalProtocolError, RemoteProtocolError, WireError


def test_the_close_codes_of_protocol_md() -> None:
    promised = {1012, 1013, 1009, 4400, 4401, 4403, 4409, 4426}
    assert promised <= {code.value for code in CloseCode}


def test_blame_is_part_of_the_type() -> None:
    error = RemoteProtocolError("invalid", "Expected `int`", field="seq")
    assert (str(error), error.code, error.field, error.close) == ("Expected `int`", "invalid", "seq", None)
    assert issubclass(LocalProtocolError, WireError)
    assert not issubclass(LocalProtocolError, RemoteProtocolError)
