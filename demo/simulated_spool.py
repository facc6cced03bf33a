"""The kept samples of one simulated machine: numbered, sent, freed only when the hub has acknowledged them."""

from __future__ import annotations

from typing import Final

from protocol import limits
from protocol import messages as m

SPOOL_SAMPLES: Final = 5_000


class Spool:
    """`newest` is the number of the newest sample, `acked` that of the last acknowledged one."""

    def __init__(self) -> None:
        self.newest = 0
        self.acked = 0
        self._samples: list[m.Sample] = []

    def keep(self, sample: m.Sample) -> None:
        """A full spool drops its oldest."""
        self._samples.append(sample)
        self.newest += 1
        del self._samples[:-SPOOL_SAMPLES]

    def unsent(self, after: int) -> m.Metrics | None:
        """The next frame of samples numbered above `after`; None when there is none."""
        oldest = self.newest - len(self._samples) + 1
        start = max(after + 1, oldest)
        batch = self._samples[start - oldest :][: limits.MAX_SAMPLES_PER_FRAME // 5]
        return m.Metrics(seq=start + len(batch) - 1, samples=batch) if batch else None

    def free(self, seq: int) -> None:
        self.acked = max(self.acked, min(seq, self.newest))
        del self._samples[: max(0, len(self._samples) - (self.newest - self.acked))]

    def renumber(self) -> None:
        """The machine booted: numbers begin again, and what was not acknowledged takes the first of them."""
        self.newest, self.acked = len(self._samples), 0
