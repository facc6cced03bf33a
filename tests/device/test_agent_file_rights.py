"""An agent that is root and a lease holder who is not: what the holder's user may not reach, no file stream gives."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.device.agent_process import AgentProcess, running_agent
from tests.device.test_agent_remote_access import TICKET, ended, start
from tests.support.fake_hub import FakeHub
from tests.support.fake_tunnel import FakeTunnels, tunnelled_hub
from tests.support.two_users import only_root, reachable_folder, visitor
from tests.support.until import until

pytestmark = only_root
WHO = visitor()
SHADOW = b"root:TOPSECRET\n"


class House:
    """`home` belongs to the terminal's user, `mine` to root, with a file that nobody else may read."""

    def __init__(self, root: Path) -> None:
        self.home, self.mine = root / "home", root / "mine"
        self.out = self.home / "out"
        for folder in (self.home, self.mine, self.out):
            folder.mkdir()
        self.mine.chmod(0o700)
        (self.mine / "shadow").write_bytes(SHADOW)
        (self.mine / "shadow").chmod(0o600)
        (self.out / "app.log").write_bytes(b"the belt stopped")
        for place in (self.home, self.out, self.out / "app.log"):
            os.chown(place, WHO.uid, WHO.gid)


@pytest.fixture
def house() -> Iterator[House]:
    with reachable_folder() as root:
        yield House(root)


class Visit:
    """A hub with an agent, and a lease of it."""

    def __init__(self, hub: FakeHub, agent: AgentProcess) -> None:
        self.hub = hub
        self.tunnels = FakeTunnels()
        self.agent = agent
        self._number = 0

    async def begin(self) -> None:
        await self.hub.connected(self.agent.lives, seconds=60)
        self.tunnels = FakeTunnels()
        self.tunnels.tickets.add(TICKET)
        self.hub.serve_tunnel = self.tunnels.serve
        self._number += 1
        update = await start(self.hub, session_id=self._number)
        assert update.state == "succeeded", update
        await self.tunnels.opened()

    async def typed(self, line: str) -> bytes:
        """What a shell of the lease shows for a line."""
        terminal = self.tunnels.open("terminal", cols=80, rows=24, term="xterm")
        await self.tunnels.until(lambda: terminal in self.tunnels.accepted or terminal in self.tunnels.resets)
        if terminal in self.tunnels.resets:
            return self.tunnels.resets[terminal].encode()
        self.tunnels.send(terminal, f"{line}; exit\n".encode())
        await self.tunnels.until(lambda: terminal in self.tunnels.ended)
        return bytes(self.tunnels.data[terminal])

    async def get(self, path: Path) -> bytes | str:
        """The file, or the code it was refused with."""
        stream = self.tunnels.open("file", op="get", path=str(path))
        await self.tunnels.until(lambda: stream in self.tunnels.ended or stream in self.tunnels.resets)
        return self.tunnels.resets.get(stream) or bytes(self.tunnels.data[stream])

    async def put(self, path: Path, data: bytes) -> str | None:
        """The code it was refused with."""
        stream = self.tunnels.open("file", op="put", path=str(path), size=len(data), overwrite=True)
        await self.tunnels.until(lambda: stream in self.tunnels.accepted or stream in self.tunnels.resets)
        if stream in self.tunnels.accepted:
            self.tunnels.send(stream, data)
            self.tunnels.end(stream)
            await self.tunnels.until(lambda: stream in self.tunnels.ended or stream in self.tunnels.resets)
        return self.tunnels.resets.get(stream)


@pytest_asyncio.fixture
async def visit(tmp_path: Path, house: House) -> AsyncIterator[Visit]:
    folders = [str(house.out), str(house.mine)]
    async with tunnelled_hub() as (hub, _), running_agent(
        tmp_path, hub.url, admin_ips=["127.0.0.0/8"], terminal_user=WHO.name, terminal_command=["/bin/sh"],
        remote_download_folders=folders, remote_upload_folders=folders,
    ) as agent:  # fmt: skip
        found = Visit(hub, agent)
        await found.begin()
        yield found


async def test_a_folder_that_the_terminals_user_exchanges_for_a_link_gives_and_takes_nothing_of_roots(
    visit: Visit, house: House
) -> None:
    assert await visit.get(house.out / "app.log") == b"the belt stopped"
    shown = await visit.typed(f"cd {house.home} && mv out out2 && ln -s {house.mine} out && echo did-$((40+2))")
    assert b"did-42" in shown
    assert (house.out / "shadow").read_bytes() == SHADOW, "root's own eyes are led astray"
    assert await visit.get(house.out / "shadow") == "folder_changed"
    assert await visit.put(house.out / "cron", b"* * * * * root sh") == "folder_changed"
    await visit.agent.kill()
    await visit.agent.start()  # after which the link is what the folder is
    assert await ended(visit.hub) == "agent_restarted"
    await visit.begin()
    assert await visit.get(house.out / "shadow") == "no_rights"
    assert await visit.put(house.out / "cron", b"* * * * * root sh") == "no_rights"
    assert [one.name for one in house.mine.iterdir()] == ["shadow"]
    assert f"{WHO.name} could change {house.home}" in visit.agent.log


async def test_a_folder_of_roots_that_is_declared_is_roots_still(visit: Visit, house: House) -> None:
    assert await visit.get(house.mine / "shadow") == "no_rights"
    house.mine.chmod(0o755)
    assert await visit.get(house.mine / "shadow") == "no_rights"
    assert await visit.put(house.mine / "new", b"x") == "no_rights"
    (house.mine / "shadow").chmod(0o644)
    assert await visit.get(house.mine / "shadow") == SHADOW


async def test_what_is_uploaded_belongs_to_the_terminals_user(visit: Visit, house: House) -> None:
    assert await visit.put(house.out / "model.bin", b"new") is None
    facts = (house.out / "model.bin").stat()
    assert (facts.st_uid, facts.st_gid, facts.st_mode & 0o777) == (WHO.uid, WHO.gid, 0o644)
    assert (house.out / "model.bin").read_bytes() == b"new"


class Opener:
    """The one process that an agent has started, as the kernel sees it."""

    def __init__(self, agent: int) -> None:
        found: set[str] = set()
        for thread in Path(f"/proc/{agent}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                found.update((thread / "children").read_text().split())
        (self._pid,) = found

    def is_alive(self) -> bool:
        return Path(f"/proc/{self._pid}").exists()

    def status(self) -> dict[str, str]:
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        return dict(line.split(":\t", 1) for line in lines)

    def environment(self) -> bytes:
        return Path(f"/proc/{self._pid}/environ").read_bytes()

    def handles(self) -> list[str]:
        return [str(one.readlink()) for one in Path(f"/proc/{self._pid}/fd").iterdir()]


async def test_the_process_that_opens_files_has_no_right_of_roots_and_nothing_of_the_agents(
    visit: Visit, house: House
) -> None:
    await visit.get(house.out / "app.log")
    opener = Opener(visit.agent.pid)
    facts = opener.status()
    assert facts["Uid"].split() == [str(WHO.uid)] * 4
    assert facts["Gid"].split() == [str(WHO.gid)] * 4
    assert "0" not in facts["Groups"].split()
    assert {int(facts[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")} == {0}
    assert b"RVM" not in opener.environment()
    agents = [one for one in opener.handles() if str(visit.agent.folder) in one]
    assert agents == [str(visit.agent.folder / "log")], "its own complaints, and no key, journal or lock"
    await visit.agent.kill()
    await until(lambda: not opener.is_alive())


async def test_who_could_change_what_root_obeys_gets_no_shell_and_no_file(tmp_path: Path, house: House) -> None:
    """Else a lease's holder writes a command into the configuration and waits for the next start."""
    place = house.home / "agent"
    place.mkdir()
    async with tunnelled_hub() as (hub, _), running_agent(
        place, hub.url, admin_ips=["127.0.0.0/8"], terminal_user=WHO.name, terminal_command=["/bin/sh"],
        remote_download_folders=[str(house.out)], state_dir=str(tmp_path / "state"),
    ) as agent:  # fmt: skip
        visit = Visit(hub, agent)
        await visit.begin()
        assert await visit.typed("id") == b"no_shell"
        assert await visit.get(house.out / "app.log") == "no_rights"
        assert f"{WHO.name} could change {house.home}, which is or leads to {agent.config}" in agent.log
