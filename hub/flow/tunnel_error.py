"""Why a stream to a machine could not be opened or ended early, as a value every reader of a stream may meet."""

from __future__ import annotations


class TunnelError(Exception):
    """`code` is one of the tunnel's own (no_tunnel, timeout, session_over) or what the machine said in its RESET;
    `message` is the machine's sentence, which is foreign text."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message
