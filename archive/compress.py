"""Compresses blocks of a tar, each alone: one gzip member or zstd frame a block, on as many cores as are given.

The same block always gives the same bytes, so a backup goes on behind any of them. Holds `workers` + 1 blocks.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from archive.manifest import Compression

BLOCK_SIZE: Final = 1024 * 1024
"""Most bytes of tar in a block."""
_GZIP: Final = 31
"""zlib's number for a gzip member with the largest window; its time is 0."""
_LEVEL: Final = 6
_PROBE: Final = 64 * 1024
_WORTH: Final = 0.97
"""Photographs and archives do not get smaller: a block whose first bytes do not is stored, ten times as fast."""
_ZSTD_LEVEL: Final = 3

Data = bytes | memoryview
Compress = Callable[[Data], bytes]
Item = TypeVar("Item")
Made = TypeVar("Made")


def compressor(compression: Compression) -> Compress:
    made: dict[Compression, Compress] = {"gzip": gzip_block, "zstd": zstd_block, "none": bytes}
    return made[compression]


def gzip_block(block: Data) -> bytes:
    probe = memoryview(block)[len(block) // 2 :][:_PROBE]
    shrinks = len(zlib.compress(probe, 1)) < len(probe) * _WORTH
    made = zlib.compressobj(_LEVEL if shrinks else 0, zlib.DEFLATED, _GZIP)
    return made.compress(block) + made.flush()


def zstd_block(block: Data) -> bytes:
    import zstandard  # only where a setting asks for it

    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compress(block)


def in_order(work: Callable[[Item], Made], items: Iterable[Item], workers: int) -> Iterator[Made]:
    """What `work` makes of each item, in order; `workers` threads, and one item more read ahead. 0: in this thread."""
    if workers < 1:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="compress")
    waiting: deque[Future[Made]] = deque(maxlen=workers + 1)
    try:
        for item in items:
            if len(waiting) > workers:
                yield waiting.popleft().result()
            waiting.append(pool.submit(work, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
