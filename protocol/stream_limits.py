"""The numbers of a tunnel that both of its ends must agree on, with their reasons."""

from typing import Final

TUNNEL_SUBPROTOCOL: Final = "myrvm.tunnel.v1"
OPEN_TIMEOUT_S: Final = 5.0
"""A tunnel whose first frame has not come closes with 4401 after this."""
TICKET_S: Final = 60.0
"""A ticket opens a tunnel once, within this."""
IDLE_S: Final = 900.0
"""A session none of whose streams moved a byte for so long ends."""
GRACE_S: Final = 60.0
"""How long a dropped tunnel, or a lost link, may take to come back before the session ends."""
WINDOW: Final = 256 * 1024
"""Bytes on their way or unread, a direction and stream."""
GRANT_FROM: Final = WINDOW // 4
"""Consumed bytes are given back in steps of so many."""
MAX_STREAMS: Final = 64
"""Open at once in a session."""
MAX_PAYLOAD: Final = 32 * 1024
"""Bytes of a frame behind its head of five."""
PIECE: Final = 16 * 1024
"""Bytes of one stream before another has its turn."""
ACK_FRAMES: Final = 32
ACK_BYTES: Final = 64 * 1024
ACK_S: Final = 0.5
"""What was taken is acknowledged after so many frames, bytes or seconds, whichever comes first."""
MAX_KEPT_BYTES: Final = 4 * 1024 * 1024
"""Sent and not yet acknowledged; beyond it nothing new is sent. Bounds the memory of a tunnel that is down."""
FRAME_COST: Final = 64
"""What keeping a frame costs besides its bytes, so that a million small frames are no way around the bound."""
MAX_WAITING_CONTROLS: Final = 64
"""CONTROL frames of one stream that wait to be sent, or to be read."""
