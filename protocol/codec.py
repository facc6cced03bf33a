"""Text frame to message and back: strict JSON in, compact JSON out, and the error names the field.

A metrics frame is too precious to lose for one bad reading: when it is well-formed but does not fit its type, each bad
reading is dropped by itself, named and counted (`Decoded.faults`), and the rest stands.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple, TypeVar, get_args

import msgspec

from protocol import limits, messages
from protocol.errors import CloseCode, RemoteProtocolError

M = TypeVar("M")

_PATH = re.compile(r" - at `\$\.?(.*)`$")
_machine_decoder = msgspec.json.Decoder(messages.MachineMessage)
_hub_decoder = msgspec.json.Decoder(messages.HubMessage)
_plain_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()
_MACHINE_TYPES = frozenset(t.__struct_config__.tag for t in get_args(messages.MachineMessage))
_HUB_TYPES = frozenset(t.__struct_config__.tag for t in get_args(messages.HubMessage))


class Decoded(NamedTuple):
    """A valid message, and what had to be left out of it (only ever readings of a `metrics` frame)."""

    message: Any
    faults: tuple[RemoteProtocolError, ...] = ()


def encode(message: messages.Message) -> str:
    """One text frame. The encoder emits strict JSON; non-finite floats become null."""
    return _encoder.encode(message).decode()


def decode_from_machine(text: str) -> Decoded:
    """Decode what a machine said; raises RemoteProtocolError."""
    return _decode(text, _machine_decoder, _MACHINE_TYPES)


def decode_from_hub(text: str) -> Decoded:
    """Decode what the hub said; raises RemoteProtocolError."""
    return _decode(text, _hub_decoder, _HUB_TYPES)


def describe(error: msgspec.ValidationError) -> tuple[str, str]:
    """Split msgspec's sentence into (what is wrong, path of the member without `$.`)."""
    text = str(error)
    found = _PATH.search(text)
    return (text[: found.start()], found.group(1)) if found else (text, "")


def _decode(text: str, decoder: msgspec.json.Decoder[Any], types: frozenset[str]) -> Decoded:
    # Only a text that could be too long in UTF-8 is encoded to find out.
    if 4 * len(text) > limits.MAX_MESSAGE_BYTES and len(text.encode()) > limits.MAX_MESSAGE_BYTES:
        raise RemoteProtocolError("too_big", "a message may have 64 KiB at most", close=CloseCode.TOO_BIG)
    try:
        return Decoded(decoder.decode(text))
    except msgspec.ValidationError as wrong:
        return _second_look(text, types, wrong)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as broken:
        lax = _metrics_with_wild_numbers(text)
        if lax is not None and decoder is _machine_decoder:
            return _salvage(lax)
        raise RemoteProtocolError(
            "malformed", "the frame is not strict JSON", close=CloseCode.PROTOCOL_ERROR
        ) from broken


def _second_look(text: str, types: frozenset[str], wrong: msgspec.ValidationError) -> Decoded:
    """Why a well-formed frame does not fit, kindly: an unknown type survives, bad readings are dropped singly."""
    try:
        plain = _plain_decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as broken:
        raise RemoteProtocolError(
            "malformed", "the frame is not strict JSON", close=CloseCode.PROTOCOL_ERROR
        ) from broken
    if not isinstance(plain, dict):
        raise RemoteProtocolError("malformed", "a frame is one JSON object", close=CloseCode.PROTOCOL_ERROR) from wrong
    kind = plain.get("type")
    if not isinstance(kind, str):
        raise RemoteProtocolError(
            "invalid", "type is missing or not a text", field="type", close=CloseCode.PROTOCOL_ERROR
        ) from wrong
    if kind not in types:
        raise RemoteProtocolError("unsupported", f"unknown type {kind[: limits.MAX_NAME]!r}", field="type") from wrong
    if kind == "metrics":
        return _salvage(plain)
    detail, field = describe(wrong)
    raise RemoteProtocolError("invalid", detail, field=field) from wrong


def _metrics_with_wild_numbers(text: str) -> dict[str, Any] | None:
    """A metrics frame whose only fault is numbers JSON has no place for (NaN, Infinity, 1e400), each as a text that
    no reading accepts; None for anything else."""

    def finite(literal: str) -> float | str:
        value = float(literal)
        return value if math.isfinite(value) else literal[: limits.MAX_NAME]

    try:
        plain = json.loads(text, parse_constant=str, parse_float=finite)
    except (ValueError, RecursionError):
        return None
    return plain if isinstance(plain, dict) and plain.get("type") == "metrics" else None


def _salvage(plain: dict[str, Any]) -> Decoded:
    """A metrics frame without its bad readings. A sample whose timestamp is bad cannot be kept at all, but keeps its
    number: it stays in the list as a sample without readings, so that the others keep theirs."""
    samples = plain.get("samples")
    faults: list[RemoteProtocolError] = []
    if isinstance(samples, list):
        plain = {**plain, "samples": [_clean_sample(s, f"samples[{i}]", faults) for i, s in enumerate(samples)]}
    try:
        return Decoded(msgspec.convert(plain, messages.Metrics), tuple(faults))
    except msgspec.ValidationError as wrong:
        detail, field = describe(wrong)
        raise RemoteProtocolError("invalid", detail, field=field) from wrong


def _clean_sample(sample: object, path: str, faults: list[RemoteProtocolError]) -> object:
    if not isinstance(sample, dict):
        return sample
    kept = dict(sample)
    for _ in range(len(sample)):
        try:
            msgspec.convert(kept, messages.Sample)
            break
        except msgspec.ValidationError as wrong:
            detail, member = describe(wrong)
            top = re.split(r"[.\[]", member, maxsplit=1)[0]
            if top in ("", "timestamp"):
                break
            faults.append(RemoteProtocolError("invalid", detail, field=f"{path}.{member}"))
            kept.pop(top, None)
    return kept
