"""A real pgbouncer before a PostgreSQL server of the tests, where one is installed (Debian's package pgbouncer)."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.support.postgres import Databases

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
_STARTS_WITHIN_S = 90.0


@contextlib.contextmanager
def pgbouncer(server: Databases, mode: str) -> Iterator[str]:
    """The address to use in place of `server.admin_url`, without a database. It ignores no startup parameter."""
    assert PROGRAM is not None
    behind = urlsplit(server.admin_url)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))  # which anybody may enter, unlike pytest's
    folder.chmod(0o755)
    people, options = folder / "userlist.txt", folder / "pgbouncer.ini"
    people.write_text(f'"{behind.username}" "{behind.password}"\n')
    options.write_text(
        f"[databases]\n* = host={behind.hostname} port={behind.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {people}\npool_mode = {mode}\n"
    )
    for file in (people, options):
        file.chmod(0o644)
    # Not as root, which it refuses to be.
    process = subprocess.Popen(
        [PROGRAM, "-q", options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user="nobody", extra_groups=[]
    )
    try:
        until = time.monotonic() + _STARTS_WITHIN_S
        while not _accepts(port):
            assert process.poll() is None, "pgbouncer ended"
            assert time.monotonic() < until, "pgbouncer does not accept"
            time.sleep(0.02)
        yield urlunsplit(behind._replace(netloc=f"{behind.username}:{behind.password}@127.0.0.1:{port}", path=""))
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
