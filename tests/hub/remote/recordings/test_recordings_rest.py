"""/recordings by REST: who finds which, playing and downloading with their lines, and what is refused how."""

from __future__ import annotations

import json
from typing import Any

import pytest

from db.queries import recordings as rows
from hub.kernel.objects.place import ObjectsError
from hub.remote.recordings.service import OpenRecording, Recordings
from tests.support import recording_room
from tests.support.api_hub import ApiHub
from tests.support.until import until, until_answered


async def begun(hub: ApiHub, machine: str = "one") -> OpenRecording:
    recordings, user_id = hub.context[Recordings], hub.users["operator"]
    recording = await recording_room.begun(recordings, hub.machines[machine], machine, user_id, "operator")
    recording.file.output(b"shown")
    return recording


async def recorded(hub: ApiHub, machine: str = "one") -> int:
    """One that the hub has carried to the object store."""
    recording = await begun(hub, machine)
    await hub.context[Recordings].finish(recording, "exited")
    await stored(hub, recording)
    return recording.id


async def stored(hub: ApiHub, recording: OpenRecording) -> None:
    async def is_stored() -> bool:
        row = await rows.find(hub.context.store, recording.id)
        return row is not None and row.state == "stored"

    await until_answered(is_stored, every=0.01)
    await until(lambda: not hub.context[Recordings].path(recording.id).exists())


async def ask(hub: ApiHub, who: str, method: str, path: str) -> Any:
    async with hub.of(who) as client:
        return await client.request(method, f"/api/v2{path}")


async def codes(hub: ApiHub) -> list[str]:
    events = (await ask(hub, "admin", "GET", "/events?kind=recording")).json()["data"]
    return [event["code"] for event in events]


async def test_a_machines_recordings_come_newest_first_with_who_from_where_and_why(any_hub: ApiHub) -> None:
    hub = any_hub
    first, second = await recorded(hub), await recorded(hub)
    await recorded(hub, "two")
    path = f"/rvms/{hub.machines['one']}/remote-access/recordings"
    page = await ask(hub, "technician", "GET", f"{path}?limit=1")
    assert [row["id"] for row in page.json()["data"]] == [second]
    assert f"before={second}" in page.headers["Link"]
    (row,) = (await ask(hub, "technician", "GET", f"{path}?before={second}")).json()["data"]
    expected = {
        "id": first, "session_id": 5, "machine_name": "one", "user_name": "operator", "ip_address": "10.0.0.1",
        "reason": "camera", "end_reason": "exited", "input_recorded": False, "cols": 80, "rows": 24,
    }  # fmt: skip
    assert expected.items() <= row.items()
    assert (await ask(hub, "technician", "GET", f"/recordings/{first}")).json()["data"] == row


async def test_playing_and_downloading_give_the_whole_file_and_leave_a_line_each(hub: ApiHub) -> None:
    number = await recorded(hub)
    played = await ask(hub, "technician", "POST", f"/recordings/{number}/play")
    assert (played.status_code, played.headers["content-type"]) == (200, "application/x-asciicast")
    assert [json.loads(line)[1:] for line in played.text.splitlines()[1:]] == [["o", "shown"]]
    assert "content-disposition" not in played.headers
    assert await codes(hub) == ["recording.played"]
    kept = await ask(hub, "operator", "POST", f"/recordings/{number}/download")
    assert kept.content == played.content
    assert kept.headers["content-disposition"].startswith(f'attachment; filename="terminal-{number}-')
    assert await codes(hub) == ["recording.downloaded", "recording.played"]
    assert not list(hub.context[Recordings].path(number).parent.glob("*.fetched"))


async def test_one_that_is_open_or_lost_is_a_conflict_and_no_line(hub: ApiHub) -> None:
    recording = await begun(hub)
    for method, path in (("POST", "/play"), ("POST", "/download"), ("DELETE", "")):
        assert (await ask(hub, "admin", method, f"/recordings/{recording.id}{path}")).status_code == 409
    await hub.context[Recordings].finish(recording, "exited")
    await stored(hub, recording)
    (file,) = hub.context.settings.objects_dir.rglob("*.cast")
    file.write_bytes(file.read_bytes() + b"more")
    answer = await ask(hub, "admin", "POST", f"/recordings/{recording.id}/play")
    assert (answer.status_code, "damaged" in answer.json()["detail"]) == (409, True)
    assert "recording.played" not in await codes(hub)


async def test_a_store_that_is_away_is_503_and_a_later_try_finds_everything(
    hub: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await recorded(hub)

    async def away(*_: object) -> None:
        raise ObjectsError("away")

    with monkeypatch.context() as patched:
        for name in ("get_file", "delete"):
            patched.setattr(hub.context[Recordings].objects, name, away)
        for method, path in (("POST", "/play"), ("POST", "/download"), ("DELETE", "")):
            answer = await ask(hub, "admin", method, f"/recordings/{number}{path}")
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0
    assert await codes(hub) == []
    assert (await ask(hub, "admin", "POST", f"/recordings/{number}/play")).status_code == 200


async def test_deleting_takes_row_and_bytes_and_leaves_a_line(hub: ApiHub) -> None:
    number = await recorded(hub)
    assert (await ask(hub, "operator", "DELETE", f"/recordings/{number}")).status_code == 403
    assert list(hub.context.settings.objects_dir.rglob("*.cast"))
    assert (await ask(hub, "admin", "DELETE", f"/recordings/{number}")).status_code == 204
    assert not list(hub.context.settings.objects_dir.rglob("*.cast"))
    assert not hub.context[Recordings].path(number).exists()
    assert await codes(hub) == ["recording.deleted"]
    assert (await ask(hub, "admin", "DELETE", f"/recordings/{number}")).status_code == 404


async def test_what_is_unknown_and_what_is_out_of_reach_look_alike(hub: ApiHub) -> None:
    number = await recorded(hub, "two")
    hidden = await ask(hub, "technician", "POST", f"/recordings/{number}/play")
    assert hidden.status_code == 404
    for name in ("999", "0", "-1", "x", "9" * 30, "%D9%A1"):
        assert (await ask(hub, "admin", "GET", f"/recordings/{name}")).status_code == 404, name
