"""Which key counts: that of the machine's file, or the one it was renewed to; and a kill leaves the old or the new."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from device.settings import AgentSettings, load
from device.settings.machine_key import RenewedKey, keep, renewed_key, write_into
from protocol.enrolment import key_hash
from tests.support.killed_at import killed_at

OLD, NEW, THIRD = (f"rvmk_{letter * 8}_{letter.lower() * 32}" for letter in "ABC")
CALLS = ("open", "fdopen", "fsync", "replace", "close")


def loaded(folder: Path, **more: object) -> AgentSettings:
    file = folder / "machine.json"
    if more or not file.exists():
        file.write_text(json.dumps({"myrvm_base_url": "https://hub.test", "rvm_id": "rvm-1", **more}))
        file.chmod(0o600)
    return load(file, {})


def test_a_renewed_key_counts_while_the_file_holds_the_one_before(tmp_path: Path) -> None:
    state = loaded(tmp_path, api_token=OLD).state_dir
    state.mkdir()
    renewed = RenewedKey(instead_of=key_hash(OLD), offered=NEW, command="c1")
    keep(state, renewed)
    assert loaded(tmp_path).api_token == OLD  # offered is not in use
    keep(state, RenewedKey(instead_of=key_hash(OLD), offered=NEW, adopted=True))
    assert (loaded(tmp_path).api_token, loaded(tmp_path).written_key) == (NEW, OLD)
    keep(state, RenewedKey(instead_of=key_hash(OLD), current=NEW))
    assert loaded(tmp_path).api_token == NEW
    keep(state, RenewedKey(instead_of=key_hash(OLD), current=NEW, offered=THIRD))
    assert loaded(tmp_path).api_token == NEW
    assert loaded(tmp_path, api_token=NEW).api_token == NEW  # copied by hand
    assert renewed_key(NEW, state) == RenewedKey(instead_of=key_hash(NEW), offered=THIRD)  # what was begun goes on
    assert loaded(tmp_path, api_token=THIRD).api_token == THIRD  # whoever writes another means it
    assert renewed_key(THIRD, state) == RenewedKey(instead_of=key_hash(THIRD))
    for secret in (OLD, NEW):
        assert secret not in repr(loaded(tmp_path, api_token=OLD))


def test_a_key_has_its_place_and_everything_beside_it_stays(tmp_path: Path) -> None:
    settings = loaded(tmp_path, api_token=OLD)
    assert settings.key_place == tmp_path / "machine.json"
    (tmp_path / "key").write_text(f"{OLD}\n")
    (tmp_path / "key").chmod(0o600)
    settings = loaded(tmp_path, api_token="file:key", disk_path="/data")
    assert settings.key_place == tmp_path / "key"
    assert write_into(tmp_path / "key", OLD, NEW)
    assert loaded(tmp_path).api_token == NEW
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    environ = {"RVM_API_TOKEN": OLD, "RVM_MYRVM_BASE_URL": "https://hub.test"}
    assert load(tmp_path / "machine.json", environ).key_place is None
    assert load(None, {**environ, "RVM_API_TOKEN": "", "RVM_API_TOKEN_FILE": str(tmp_path / "key")}).key_place
    strange = tmp_path / "strange.json"
    strange.write_text(f'{{"api_token":   "{OLD}",\n  "services": []}}')
    (tmp_path / "link").symlink_to(strange)
    assert write_into(tmp_path / "link", OLD, NEW)
    assert strange.read_text() == f'{{"api_token":   "{NEW}",\n  "services": []}}'
    assert (tmp_path / "link").is_symlink()
    for content in ("", f"{OLD} {OLD}", '{"api_token": "\\u0072vmk"}'):
        strange.write_text(content)
        assert not write_into(strange, OLD, NEW)
        assert strange.read_text() == content


def test_another_users_file_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(OLD)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert not write_into(tmp_path / "key", OLD, NEW)
    assert (tmp_path / "key").read_text() == OLD


def test_killed_at_any_step_the_file_names_one_of_both_keys(tmp_path: Path) -> None:
    state = loaded(tmp_path, api_token=OLD, disk_path="/data").state_dir
    state.mkdir()
    file, steps = tmp_path / "machine.json", 0
    while True:
        steps += 1
        loaded(tmp_path, api_token=OLD, disk_path="/data")
        keep(state, RenewedKey(instead_of=key_hash(OLD), current=NEW, command="c1"))

        def act() -> None:
            assert write_into(file, OLD, NEW)
            keep(state, RenewedKey(instead_of=key_hash(NEW), command="c1"))

        whole = killed_at(steps, CALLS, act)
        settings = loaded(tmp_path)
        assert settings.api_token == NEW  # the one that the hub takes, wherever it stands
        assert json.loads(file.read_text()) == {**json.loads(file.read_text()), "disk_path": "/data"}
        assert renewed_key(settings.written_key, state).command == "c1"
        if whole:
            break
    assert steps > 8
