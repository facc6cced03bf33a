"""One end of the link without a socket: text in, messages out, by the table.

The caller feeds every received frame to `receive`, sends every text of `send`, and closes the socket with
`RemoteProtocolError.close` when an error has a code. Single-use."""

from __future__ import annotations

from protocol import codec
from protocol.errors import CloseCode, LocalProtocolError, RemoteProtocolError
from protocol.messages import Message, type_of
from protocol.transitions import Role, State, follow


class Session:
    """`role` is ours. `authenticated`: the upgrade's Authorization header named the machine, so no `auth` frame is
    expected."""

    __slots__ = ("_decode", "_peer", "role", "state")

    def __init__(self, role: Role, *, authenticated: bool) -> None:
        self.role = role
        self.state = State.GREETING if authenticated else State.OPENED
        self._peer = Role.MACHINE if role is Role.HUB else Role.HUB
        self._decode = codec.decode_from_machine if role is Role.HUB else codec.decode_from_hub

    def receive(self, frame: str | bytes) -> codec.Decoded:
        """Decode one frame of the peer and follow the table.

        Raises RemoteProtocolError: with a close code when the link must end, without one when only this message is
        refused (answer it with an `error`). Before the link is live every error ends it, except an unknown type: a
        newer peer may say more, once we know who it is."""
        if isinstance(frame, bytes):
            raise RemoteProtocolError(
                "binary", "only text frames travel on this link", close=CloseCode.UNSUPPORTED_DATA
            )
        try:
            decoded = self._decode(frame)
        except RemoteProtocolError as error:
            if error.close is None and not self._survives(error):
                error.close = self._refusal()
            raise
        following = follow(self._peer, self.state, type(decoded.message))
        if following is None:
            kind = type_of(decoded.message)
            raise RemoteProtocolError(
                "unexpected",
                f"{self._peer.value} may not say {kind} while the link is {self.state.value}",
                field="type",
                close=self._refusal(),
            )
        self.state = following
        return decoded

    def send(self, message: Message) -> str:
        """By the table; raises LocalProtocolError."""
        following = follow(self.role, self.state, type(message))
        if following is None:
            raise LocalProtocolError(
                f"{self.role.value} may not say {type_of(message)} while the link is {self.state.value}"
            )
        text = codec.encode(message)
        self.state = following
        return text

    def closed(self) -> None:
        """For whatever reason."""
        self.state = State.CLOSED

    def _survives(self, error: RemoteProtocolError) -> bool:
        if self.state in (State.LIVE, State.CLOSING):
            return True
        return error.code == "unsupported" and self.state in (State.GREETING, State.WELCOMING)

    def _refusal(self) -> CloseCode:
        return CloseCode.NOT_AUTHENTICATED if self.state is State.OPENED else CloseCode.PROTOCOL_ERROR
