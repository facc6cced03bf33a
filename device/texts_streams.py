"""What the agent's log says of the streams of a remote access session, in English and Bahasa Indonesia, by code."""

from __future__ import annotations

from typing import Final

STREAMS: Final[dict[str, tuple[str, str]]] = {
    "terminal_opened": (
        "remote access {session}: {admin} ({address}) has a terminal as {user}",
        "akses jarak jauh {session}: {admin} ({address}) membuka terminal sebagai {user}",
    ),
    "terminal_closed": (
        "remote access {session}: the terminal of {admin} ({address}) is closed",
        "akses jarak jauh {session}: terminal {admin} ({address}) ditutup",
    ),
    "terminal_failed": (
        "remote access: a terminal with {command} could not be started ({error})",
        "akses jarak jauh: terminal dengan {command} gagal dimulai ({error})",
    ),
    "port_failed": (
        "remote access {session}: nothing serves port {port} ({error})",
        "akses jarak jauh {session}: tidak ada yang melayani port {port} ({error})",
    ),
    "file_got": (
        "remote access {session}: {admin} ({address}) downloads {path}",
        "akses jarak jauh {session}: {admin} ({address}) mengunduh {path}",
    ),
    "file_put": (
        "remote access {session}: {admin} ({address}) has uploaded {path}",
        "akses jarak jauh {session}: {admin} ({address}) telah mengunggah {path}",
    ),
    "file_refused": (
        "remote access {session}: {path} was refused to {admin} ({address}): {code}",
        "akses jarak jauh {session}: {path} ditolak untuk {admin} ({address}): {code}",
    ),
}
