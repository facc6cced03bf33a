"""The binary frames of a tunnel: bytes to a checked Frame and back. Knows layout and size, not who may say what when.

A frame is one byte of type, four bytes of stream id (big-endian), then at most 32 KiB of payload.
"""

from __future__ import annotations

import enum
import struct
from typing import Any, Final, NamedTuple

import msgspec

from protocol import free_shape
from protocol.errors import CloseCode, LocalProtocolError, RemoteProtocolError
from protocol.kinds import Name
from protocol.stream_limits import MAX_PAYLOAD

MAX_STREAM_ID: Final = 2**32 - 1

_HEAD: Final = struct.Struct(">BI")
_GRANT: Final = struct.Struct(">I")
_COUNT: Final = struct.Struct(">Q")
HEAD_BYTES: Final = _HEAD.size


class FrameType(enum.IntEnum):
    """What a frame is; its value is the first byte."""

    OPEN = 1
    ACCEPT = 2
    DATA = 3
    WINDOW = 4
    END = 5
    RESET = 6
    CONTROL = 7
    ACK = 8


MEANING: Final = {
    FrameType.OPEN: ("hub", 'JSON `{"kind","args"}`', "asks for a stream; ids grow by 1 from 1 and never come again"),
    FrameType.ACCEPT: ("machine", "JSON object", "what was asked for is there"),
    FrameType.DATA: ("both", "1 byte or more", "bytes of the stream, within the window"),
    FrameType.WINDOW: ("both", "u32", "so many more bytes may be sent to this side"),
    FrameType.END: ("both", "nothing", "no more data from this side"),
    FrameType.RESET: ("both", 'JSON `{"code","message"}`', "over; what was on its way is dropped"),
    FrameType.CONTROL: ("both", "JSON object", "a word beside the data; it may overtake them"),
    FrameType.ACK: ("both", "u64, stream id 0", "frames taken so far in this session; ACKs are not counted"),
}
"""Who says it, its payload, its meaning: the rows of docs/protocol.md."""


class StreamProtocolError(RemoteProtocolError):
    """The peer broke the rules of the tunnel: it closes with 4400, and this one session ends with it."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail, close=CloseCode.PROTOCOL_ERROR)


class StreamFrame(NamedTuple):
    type: FrameType
    stream: int
    payload: bytes = b""


class StreamRequest(msgspec.Struct):
    """What OPEN carries."""

    kind: Name
    args: dict[str, Any] = {}


class StreamRefusal(msgspec.Struct):
    """What RESET carries."""

    code: Name
    message: str = ""


_encoder = msgspec.json.Encoder()
_request = msgspec.json.Decoder(StreamRequest)
_refusal = msgspec.json.Decoder(StreamRefusal)
_object = msgspec.json.Decoder(dict[str, Any])


def encode(frame: StreamFrame) -> bytes:
    return _HEAD.pack(frame.type, frame.stream) + frame.payload


def decode(data: bytes) -> StreamFrame:
    """A frame whose type is known and whose payload has a legal size; raises StreamProtocolError."""
    if len(data) < HEAD_BYTES or len(data) > HEAD_BYTES + MAX_PAYLOAD:
        raise StreamProtocolError("frame", f"a frame has {HEAD_BYTES} bytes and up to 32 KiB of payload")
    number, stream = _HEAD.unpack_from(data)
    try:
        kind = FrameType(number)
    except ValueError:
        raise StreamProtocolError("frame", f"unknown type {number}") from None
    if (kind is FrameType.ACK) != (stream == 0):
        raise StreamProtocolError("frame", f"{kind.name} with stream id {stream}")
    payload = data[HEAD_BYTES:]
    if (kind is FrameType.END and payload) or (kind is FrameType.DATA and not payload):
        raise StreamProtocolError("frame", f"{kind.name} with {len(payload)} bytes")
    return StreamFrame(kind, stream, payload)


def pack(value: object) -> bytes:
    """A JSON payload of ours; raises LocalProtocolError when it is too big for a frame."""
    payload = _encoder.encode(value)
    if len(payload) > MAX_PAYLOAD:
        raise LocalProtocolError("a JSON payload has 32 KiB at most")
    return payload


def pack_grant(size: int) -> bytes:
    return _GRANT.pack(size)


def pack_count(count: int) -> bytes:
    return _COUNT.pack(count)


def request_in(payload: bytes) -> StreamRequest:
    asked: StreamRequest = _parse(_request, payload)
    _check(asked.args)
    return asked


def refusal_in(payload: bytes) -> StreamRefusal:
    refused: StreamRefusal = _parse(_refusal, payload)
    _check(refused.message)
    return refused


def object_in(payload: bytes) -> dict[str, Any]:
    values: dict[str, Any] = _parse(_object, payload)
    _check(values)
    return values


def grant_in(payload: bytes) -> int:
    return int(_number(_GRANT, payload))


def count_in(payload: bytes) -> int:
    return int(_number(_COUNT, payload))


def _parse(decoder: msgspec.json.Decoder[Any], payload: bytes) -> Any:
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as wrong:
        raise StreamProtocolError("json", f"bad JSON: {wrong}") from wrong


def _check(value: object) -> None:
    why = free_shape.fault_of([value])
    if why:
        raise StreamProtocolError("json", why)


def _number(layout: struct.Struct, payload: bytes) -> int:
    if len(payload) != layout.size:
        raise StreamProtocolError("frame", f"a number of {layout.size} bytes was expected")
    return int(layout.unpack(payload)[0])
