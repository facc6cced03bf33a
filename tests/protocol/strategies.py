"""Hypothesis strategies: any valid message, JSON of any shape, and frames that are almost right."""

from __future__ import annotations

import json
from typing import Any, get_args

from hypothesis import strategies as st

from protocol import kinds, limits
from protocol import messages as m
from protocol.board import Board, BoardDisk, BoardRail

_CHARACTERS = st.characters(codec="utf-8", exclude_characters="\x00")
names = st.text(_CHARACTERS, min_size=1, max_size=limits.MAX_NAME)
boot_ids = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=limits.MAX_NAME)
texts = st.text(_CHARACTERS, max_size=limits.MAX_TEXT)
timestamps = st.text(_CHARACTERS, min_size=1, max_size=64)
numbers = st.floats(allow_nan=False, allow_infinity=False)
seqs = st.integers(0, limits.MAX_INTEGER)
seconds = st.floats(0, 86400)
refs = st.one_of(seqs, names)
optional = st.none()
percents = optional | st.floats(0, 100)
quantities = optional | st.floats(0, 1e15)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-limits.MAX_INTEGER, limits.MAX_INTEGER) | numbers | st.text(_CHARACTERS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(_CHARACTERS), inner, max_size=3),
    max_leaves=8,
)
free_shapes = st.dictionaries(st.text(_CHARACTERS), json_values, max_size=3)

samples = st.builds(
    m.Sample,
    timestamp=timestamps | numbers,
    cpu_usage=percents, memory_usage=percents, disk_usage=percents, gpu_usage=percents,
    temperature=optional | st.floats(limits.TEMPERATURE_MIN_C, limits.TEMPERATURE_MAX_C),
    network_rx_bytes_s=quantities, network_tx_bytes_s=quantities, uptime_s=quantities, power_w=quantities,
    throttled=optional | st.booleans(),
    reasons=optional | st.dictionaries(names, texts, max_size=2),
)  # fmt: skip
_statuses = st.sampled_from(get_args(kinds.Status))
_specials = optional | st.sampled_from(get_args(kinds.SpecialStatus))
_capacities = st.integers(0, 100)
_configurations = st.builds(m.Configuration, version=seqs, values=free_shapes)
errors = st.builds(m.Error, code=names, message=texts, ref=optional | refs)

_amounts = optional | st.floats(0, 1e6)
_boards = st.builds(
    Board, jetpack=optional | names, unified_memory=optional | st.booleans(), gpu_memory_bytes=optional | seqs,
    rails=st.lists(st.builds(BoardRail, name=names, watts=_amounts, reason=optional | names), max_size=2),
    disks=st.lists(st.builds(BoardDisk, name=names, kind=names, worn=_amounts, reason=optional | names), max_size=2),
    reasons=st.dictionaries(names, names, max_size=2),
)  # fmt: skip

machine_messages: st.SearchStrategy[m.MachineMessage] = st.one_of(
    st.builds(m.Auth, token=names, rvm_id=optional | refs),
    st.builds(
        m.Hello, protocol=seqs, device_id=names, agent_version=names, boot_id=boot_ids,
        capabilities=st.lists(names, max_size=3), status=_statuses, config_version=seqs, time=timestamps,
        capacity=optional | _capacities, special_status=_specials, timezone=optional | names,
        hardware=optional | free_shapes, remote_session=optional | st.lists(seqs, max_size=3),
    ),
    st.builds(m.Metrics, seq=seqs, samples=st.lists(samples, min_size=1, max_size=4), live=st.booleans()),
    st.builds(
        m.StatusReport, status=_statuses, seq=seqs, capacity=optional | _capacities, special_status=_specials,
        reason=optional | texts,
    ),
    st.builds(
        m.CommandUpdate, id=names, state=st.sampled_from(get_args(kinds.UpdateState)),
        progress=optional | st.builds(m.Progress, phase=names, done=optional | numbers, total=optional | numbers),
        result=optional | free_shapes, error=optional | st.builds(m.Failure, code=names, message=texts),
    ),
    st.builds(
        m.TimezoneReport, timezone=names, timestamp=timestamps, sync_method=st.sampled_from(get_args(kinds.SyncMethod)),
        country=optional | names, city=optional | names, ip=optional | names, clock_offset=optional | numbers,
        ntp=optional | st.booleans(),
    ),
    st.builds(
        m.ConfigApplied, version=seqs, errors=optional | st.dictionaries(names, texts, max_size=2),
        own=optional | st.dictionaries(names, json_values, max_size=2),
    ),
    st.builds(m.Event, seq=seqs, code=names, params=free_shapes, timestamp=timestamps),
    st.builds(
        m.RemoteAccessReport, session_id=seqs, state=st.sampled_from(["active", "ended"]), at=timestamps,
        reason=optional | names,
    ),
    st.builds(
        m.KeyOffer, command=names, key_prefix=st.just("rvmk_ABCDEFGH"), key_hash=st.just("0" * 64),
    ),
    st.builds(
        m.TrustReport, authorities=st.lists(names, max_size=2), until=st.none() | st.just("2036-01-01T00:00:00Z"),
    ),
    st.builds(m.BoardReport, board=_boards),
    st.builds(m.Bye, reason=st.sampled_from(["shutdown", "reboot", "update"])),
    errors,
)  # fmt: skip
hub_messages: st.SearchStrategy[m.HubMessage] = st.one_of(
    st.builds(
        m.Welcome, session_id=names, time=timestamps, protocol=seqs, config=_configurations, live_interval=seconds
    ),
    st.builds(m.MetricsAck, seq=seqs),
    st.builds(m.Received, ref=refs),
    st.builds(m.Command, id=names, name=names, args=free_shapes, issued_at=timestamps, expires_at=timestamps),
    st.builds(m.Cancel, id=names),
    st.builds(m.Config, version=seqs, values=free_shapes),
    st.builds(m.Live, interval=seconds),
    st.builds(m.Authority, certificates=texts),
    st.builds(m.Restarting, reconnect_in=st.tuples(seconds, seconds)),
    errors,
)

wild = st.sampled_from(
    ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 40, "9" * 5000, "-1", "200", '"12.5"', "true", "[]", "{}",
     '"\\u0000"', '"\\ud800"', "[" * 40 + "]" * 40, "1.5e3", "null"]
)  # fmt: skip
"""Literals a peer may put where a value belongs: some are no JSON, most do not fit."""


@st.composite
def spoilt_frames(draw: st.DrawFn) -> str:
    """A frame of a right shape whose every member may be wild, missing, doubled or unknown."""
    message: Any = draw(machine_messages | hub_messages)
    members = [(name, json.dumps(getattr(message, name), default=lambda _: {})) for name in message.__struct_fields__]
    members.insert(0, ("type", json.dumps(message.__struct_config__.tag)))
    chosen = draw(st.lists(st.sampled_from(members), max_size=2 * len(members)))
    spoilt = [(name, draw(wild | st.just(value))) for name, value in (members + chosen)]
    spoilt.append((draw(st.text(max_size=5)), draw(wild)))
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in draw(st.permutations(spoilt))) + "}"
