"""The object store as the hub opens it: in a folder, and in a real S3 server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.kernel.objects.store import Objects, open_objects
from hub.settings import Settings
from tests.support.s3_server import S3Server, s3_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(params=["folder", "s3"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "folder":
        return Settings.load({"data_dir": tmp_path / "data"}, {})
    server: S3Server = request.getfixturevalue("server")
    bucket = "b" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20]
    keys = {"RVM_S3_ACCESS_KEY": server.access_key, "RVM_S3_SECRET_KEY": server.secret_key}
    return Settings.load({"data_dir": tmp_path / "data", "object_store": server.url(bucket)}, keys)


@pytest.fixture
def objects(settings: Settings) -> Objects:
    return open_objects(settings)
