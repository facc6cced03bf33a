"""The one back-off: its pauses, what is tried again and what is not, and how little an outage says in the log."""

from __future__ import annotations

import asyncio
import logging
from itertools import islice

import pytest

from db.errors import Conflict, Rejected, StoreError, Unavailable
from hub.kernel.retry import FIRST_S, MOST_S, RetryUntilAvailable, delays
from tests.support.until import until


class Database:
    """Fails with `error` while there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls = 0

    async def ask(self) -> int:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return self.calls


def test_the_pauses_double_up_to_the_most_each_spread_over_its_upper_half() -> None:
    assert list(islice(delays(0.2, 3.0, lambda: 0.0), 7)) == [0.1, 0.2, 0.4, 0.8, 1.5, 1.5, 1.5]
    longest = list(islice(delays(FIRST_S, MOST_S, lambda: 1 - 1e-12), 7))
    assert longest == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0])


async def test_it_gives_what_the_first_attempt_that_works_gave(caplog: pytest.LogCaptureFixture) -> None:
    database = Database(Unavailable("frozen"))
    retry = RetryUntilAvailable("samples")
    asked = asyncio.ensure_future(retry(database.ask))
    await until(lambda: database.calls > 5)
    assert retry.since is not None
    database.error = None
    assert await asked == database.calls
    assert retry.since is None
    began, ended = caplog.messages
    assert began == "samples: not now, tried again until it works: frozen"
    assert ended.startswith("samples: works again after ")


async def test_many_who_wait_at_once_are_one_outage_and_the_next_is_another(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    retry = RetryUntilAvailable("reports")
    for _ in range(2):
        database = Database(Unavailable("away"))
        asked = [asyncio.ensure_future(retry(database.ask)) for _ in range(50)]
        await until(lambda: database.calls > 100)
        assert await retry(Database().ask) == 1, "somebody who is served meanwhile does not end it"
        database.error = None
        await asyncio.gather(*asked)
    assert [message.partition(" after")[0] for message in caplog.messages] == [
        "reports: not now, tried again until it works: away",
        "reports: works again",
    ] * 2


async def test_it_lasts_until_the_last_of_those_who_met_it_got_through(caplog: pytest.LogCaptureFixture) -> None:
    retry, first, last = RetryUntilAvailable("reports"), Database(Unavailable("away")), Database(Unavailable("away"))
    both = [asyncio.ensure_future(retry(database.ask)) for database in (first, last)]
    await until(lambda: first.calls > 2 and last.calls > 2)
    first.error = None
    await both[0]
    assert (retry.since is not None, len(caplog.messages)) == (True, 1)
    last.error = None
    await both[1]
    assert (retry.since, len(caplog.messages)) == (None, 2)


@pytest.mark.parametrize("answer", [Conflict("seq"), Rejected("NUL"), StoreError("what is this?"), RuntimeError("bug")])
async def test_whatever_is_not_a_database_that_is_away_passes_at_once_and_also_later(answer: Exception) -> None:
    database = Database(answer)
    retry = RetryUntilAvailable("reports")
    with pytest.raises(type(answer)):
        await retry(database.ask)
    assert database.calls == 1
    database.error = Unavailable("away")
    asked = asyncio.ensure_future(retry(database.ask))
    await until(lambda: database.calls > 3)
    database.error = answer
    with pytest.raises(type(answer)):
        await asked
    assert retry.since is None


async def test_what_else_is_tried_again_is_named() -> None:
    database = Database(OSError("no object store"))
    asked = asyncio.ensure_future(RetryUntilAvailable("recordings", StoreError, OSError)(database.ask))
    await until(lambda: database.calls > 2)
    database.error = StoreError("nor a database")
    calls = database.calls
    await until(lambda: database.calls > calls)
    database.error = None
    assert await asked == database.calls


async def test_a_cancelled_wait_ends_at_once_and_says_nothing_of_an_end(caplog: pytest.LogCaptureFixture) -> None:
    database = Database(Unavailable("away"))
    retry = RetryUntilAvailable("reports")
    asked = asyncio.ensure_future(retry(database.ask))
    await until(lambda: database.calls > 2)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    calls = database.calls
    await asyncio.sleep(0.01)  # the pauses here are 1 ms
    assert (database.calls, retry.since, len(caplog.messages)) == (calls, None, 1)
