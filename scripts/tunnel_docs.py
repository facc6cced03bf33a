"""The chapter of docs/protocol.md about `/ws/tunnel`, made from the types, the table and the limits of `protocol/`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from protocol import stream_limits as limits
from protocol.stream_frames import HEAD_BYTES, MEANING, FrameType
from protocol.stream_table import FOLLOWING, Side
from protocol.tunnel_greeting import TunnelOpen, TunnelOpened

Rows = Callable[[tuple[str, ...], Iterable[tuple[str, ...]]], str]

OPENING = f"""\
## The tunnel

The bytes of remote access (terminals, the machine's own pages, files) use a second outbound WebSocket, so that they never
delay what is said on the link. One tunnel is one session.

* `GET /ws/tunnel`, subprotocol `{limits.TUNNEL_SUBPROTOCOL}`, `Authorization: Bearer API_KEY`; a wrong key is answered
  with HTTP 401 before the upgrade, too many tunnels that say nothing with 429.
* The machine's first frame is the text frame `open`, within {limits.OPEN_TIMEOUT_S:.0f} s. The ticket is in the arguments of
  `start_remote_access`: it opens a tunnel once, within {limits.TICKET_S:.0f} s, for that machine, session and purpose. The hub
  answers with the text frame `opened`. Then only binary frames travel, both ways, at once.
* Closes with 4401 (no valid ticket, or none in time), 4403 (the session is over, or was never this machine's), 4409 (a newer
  tunnel of the session is there), 4400 (the rules below were broken: the session ends, and nothing else), 1012 (the hub
  restarts: its sessions are over).

### Frames
One byte of type, four bytes of stream id, a payload of {limits.MAX_PAYLOAD // 1024} KiB at most; numbers are big-endian.
"""  # noqa: E501 - lines of the page

RULES = """\
### Streams
Each end of a stream is `opening`, `open`, `ended` or `reset` by what it has said; what it may say then:
"""

PROMISES = f"""
* A stream is gone when both ends have said END or RESET. Who hears RESET and has not ended answers with RESET. An end that
  is done may have been crossed by a WINDOW, CONTROL or RESET of the other, which is let pass until the other has
  acknowledged that end. Every other frame for a stream that is gone, was never opened, or is beyond the last one opened, a
  second END, data beyond the window, a payload that cannot be read: 4400.
* **Windows.** {limits.WINDOW // 1024} KiB a stream and direction to begin with. A receiver grants more (WINDOW) as its application
  consumes, never so that more than that is on its way. At most {limits.MAX_STREAMS} streams at once.
* **Turns.** OPEN, ACCEPT, WINDOW, CONTROL, RESET and ACK go before data; streams with data take turns of {limits.PIECE // 1024} KiB.
* **Acknowledgement.** Every frame but ACK counts. Its sender keeps it until the other has acknowledged it: after
  {limits.ACK_FRAMES} frames, {limits.ACK_BYTES // 1024} KiB or {limits.ACK_S:g} s. With {limits.MAX_KEPT_BYTES // 2**20} MiB unacknowledged nothing but ACK is sent.
* **A drop loses nothing.** For {limits.GRACE_S:.0f} s the machine may open another tunnel with `resume`; each side says how many
  frames it has taken (`received`), and the other sends the rest again before anything else. What cannot be sent again any
  more ends the session, as do {limits.IDLE_S / 60:.0f} minutes in which no stream moved a byte.
"""  # noqa: E501 - lines of the page

KINDS = """
### What streams carry
`OPEN` names a kind and its arguments; a machine answers ACCEPT with the members below, or RESET with a code. `not_allowed`: the
session does not allow it; `invalid`: the arguments are none; `internal`: it failed, and the log of the machine says how.

| kind | args | ACCEPT | then | further codes |
|---|---|---|---|---|
| `terminal` | `cols`, `rows`, `term` | `user`, `command` | DATA: the bytes of the terminal, both ways. CONTROL from the hub: `{"resize": [cols, rows]}`. At its end the machine says CONTROL `{"exit": code}` (128 + the signal's number), then END | `no_shell`, `too_many` |
| `port` | `port`, a number | nothing | DATA: the bytes of a TCP connection to that port of the machine's 127.0.0.1, both ways; END is the end of one direction | `not_declared`, `not_running`, `too_many` |
| `file` | `op` `list`, `path` ("" : the declared folders) | `path`, `count`, `truncated`, `upload` | DATA from the machine: a JSON array of `{"name", "kind": "file" or "folder", "size", "mtime"}`, `"unreachable": true` with a name that no path can hold, then END | `not_declared`, `not_found`, `no_rights` (of the terminal's user), `folder_changed` (another one than at the agent's start) |
| `file` | `op` `get`, `path`, `offset`? | `size`, `mtime`, `name`, `offset` | DATA from the machine: the bytes from `offset` on, then END | as above, `too_large`, `changed` |
| `file` | `op` `put`, `path`, `size`, `overwrite`? | `limit` | DATA from the hub: `size` bytes, then END. The machine: CONTROL `{"saved": size, "sha256": hex}` once they are on its disk, then END | as above, `exists`, `disk` |

What a machine lets people reach stands in its `hello`: `hardware.remote` is `{"ports": [..], "names": {port: name},
"control": port of its own page, "terminal": true, "download":
[folders], "upload": [folders]}`. A hub asks for nothing that is not declared there, and a machine checks it again.
"""  # noqa: E501 - lines of the page


def chapter(rows: Rows, message: Callable[[Any], str]) -> str:
    return "\n".join(
        [
            OPENING,
            rows(("type", "", "who", "payload", "meaning"), map(_frame, FrameType)),
            f"A frame without payload has {HEAD_BYTES} bytes.\n",
            RULES,
            rows(("side", "may say"), map(_state, Side)) + PROMISES + KINDS,
            "### `open`\n\n" + message(TunnelOpen),
            "### `opened`\n\n" + message(TunnelOpened),
        ]
    )


def _frame(kind: FrameType) -> tuple[str, ...]:
    return (f"{kind.value}", f"`{kind.name}`", *MEANING[kind])


def _state(side: Side) -> tuple[str, str]:
    said = [
        f"`{kind.name}`" + (f" -> {following.value}" if following is not state else "")
        for (state, kind), following in FOLLOWING.items()
        if state is side
    ]
    return side.value, ", ".join(said) or "nothing"
