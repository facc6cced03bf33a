"""Text frame to message and back: strict JSON in, compact JSON out; errors name the field.

A metrics frame is too precious to lose for one bad reading: `protocol.salvage` drops each bad reading, named and
counted (`Decoded.faults`)."""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

import msgspec

from protocol import free_shape, limits, messages, salvage
from protocol.errors import CloseCode, RemoteProtocolError

_machine_decoder = msgspec.json.Decoder(messages.MachineMessage)
_hub_decoder = msgspec.json.Decoder(messages.HubMessage)
_plain_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()
_MACHINE_TYPES = frozenset(t.__struct_config__.tag for t in get_args(messages.MachineMessage))
_HUB_TYPES = frozenset(t.__struct_config__.tag for t in get_args(messages.HubMessage))


class Decoded(NamedTuple):
    """With what was left out of it (only readings of a `metrics` frame)."""

    message: Any
    faults: tuple[RemoteProtocolError, ...] = ()


def encode(message: messages.Message) -> str:
    """Strict JSON; non-finite floats become null."""
    return _encoder.encode(message).decode()


def decode_from_machine(text: str) -> Decoded:
    """Raises RemoteProtocolError."""
    return _decode(text, _machine_decoder, _MACHINE_TYPES)


def decode_from_hub(text: str) -> Decoded:
    """Raises RemoteProtocolError."""
    return _decode(text, _hub_decoder, _HUB_TYPES)


def _decode(text: str, decoder: msgspec.json.Decoder[Any], types: frozenset[str]) -> Decoded:
    # Only a text that could be too long in UTF-8 is encoded to find out.
    if 4 * len(text) > limits.MAX_MESSAGE_BYTES and _size(text) > limits.MAX_MESSAGE_BYTES:
        raise RemoteProtocolError("too_big", "a message may have 64 KiB at most", close=CloseCode.TOO_BIG)
    try:
        message = decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as wrong:
        return _second_look(text, types, wrong)
    free_shape.check(message)
    return Decoded(message)


def _size(text: str) -> int:
    return len(text.encode(errors="replace"))


def _second_look(text: str, types: frozenset[str], wrong: Exception) -> Decoded:
    """Why a frame does not fit: an unknown type survives, bad readings are dropped singly."""
    plain = _plain_object(text, wrong)
    kind = plain.get("type")
    if not isinstance(kind, str):
        raise RemoteProtocolError(
            "invalid", "type is missing or not a text", field="type", close=CloseCode.PROTOCOL_ERROR
        ) from wrong
    if kind not in types:
        raise RemoteProtocolError("unsupported", f"unknown type {kind[: limits.MAX_NAME]!r}", field="type") from wrong
    if kind == "metrics":
        return Decoded(*salvage.metrics(plain))
    raise _invalid(wrong) from wrong


def _plain_object(text: str, wrong: Exception) -> dict[str, Any]:
    """Raises RemoteProtocolError: no JSON object, or one no decoder can take."""
    try:
        plain = _plain_decoder.decode(text)
    except RecursionError as deep:
        member = free_shape.deep_member(text)
        why = f"nested deeper than {limits.MAX_NESTING}"
        raise RemoteProtocolError(
            "invalid", why, field=member, close=None if member else CloseCode.PROTOCOL_ERROR
        ) from deep
    except (msgspec.DecodeError, UnicodeError) as broken:
        lax = salvage.with_wild_numbers(text)
        if lax is not None:
            return lax
        if isinstance(broken, msgspec.ValidationError) and isinstance(wrong, msgspec.ValidationError):
            raise _invalid(wrong) from wrong  # well-formed, with a number no decoder can hold
        raise RemoteProtocolError(
            "malformed", "the frame is not strict JSON", close=CloseCode.PROTOCOL_ERROR
        ) from broken
    if not isinstance(plain, dict):
        raise RemoteProtocolError("malformed", "a frame is one JSON object", close=CloseCode.PROTOCOL_ERROR) from wrong
    return plain


def _invalid(wrong: Exception) -> RemoteProtocolError:
    detail, field = salvage.describe(wrong)
    return RemoteProtocolError("invalid", detail, field=field)
