"""What is sealed opens by its key's file alone, whenever that is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from hub.kernel.sealing import Seal


@pytest.mark.parametrize("instead", [None, Fernet.generate_key(), b"half a key"], ids=["none", "another", "broken"])
async def test_a_key_that_is_put_back_opens_what_it_sealed(tmp_path: Path, instead: bytes | None) -> None:
    file = tmp_path / "some.key"
    sealed = await Seal(file).close("a secret")
    key = file.read_bytes()
    file.unlink()
    if instead is not None:
        file.write_bytes(instead)
    seal = Seal(file)
    assert await seal.open(sealed) is None
    assert (file.read_bytes() if file.exists() else None) == instead, "looking makes no key"
    file.write_bytes(key + b"\n")
    assert await seal.open(sealed) == "a secret"
