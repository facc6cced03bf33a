"""The golden frames of tests/protocol/fixtures: one recorded frame a file, by release and by who says it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from protocol import codec

FIXTURES = Path(__file__).parent / "fixtures"
CURRENT = "0.2.0"
DECODERS: dict[str, Callable[[str], codec.Decoded]] = {
    "machine": codec.decode_from_machine,
    "hub": codec.decode_from_hub,
}


class Frame(NamedTuple):
    release: str
    speaker: str
    name: str
    text: str

    def decode(self) -> codec.Decoded:
        return DECODERS[self.speaker](self.text)

    def __str__(self) -> str:
        return f"{self.release}-{self.speaker}-{self.name}"


def frames(release: str = "*") -> list[Frame]:
    """Every recorded frame of a release (`newer` holds what a future peer might say)."""
    paths = sorted(FIXTURES.glob(f"{release}/*/*.json"))
    return [Frame(p.parts[-3], p.parts[-2], p.stem, p.read_text(encoding="utf-8").rstrip("\n")) for p in paths]
