"""What the agent and its command line say of remote access sessions, in English and Bahasa Indonesia, by code."""

from __future__ import annotations

from typing import Final

REMOTE: Final[dict[str, tuple[str, str]]] = {
    "session_began": (
        "remote access {id} began: {admin} from {address} ({why})",
        "akses jarak jauh {id} dimulai: {admin} dari {address} ({why})",
    ),
    "session_extended": (
        "remote access {id} may last another {seconds} s",
        "akses jarak jauh {id} boleh berlangsung {seconds} d lagi",
    ),
    "session_ended": ("remote access {id} ended: {why}", "akses jarak jauh {id} berakhir: {why}"),
    "tunnel_open": ("remote access {id}: the tunnel is open", "akses jarak jauh {id}: terowongan terbuka"),
    "tunnel_again": (
        "remote access {id}: the tunnel is open again, nothing was lost",
        "akses jarak jauh {id}: terowongan terbuka lagi, tidak ada yang hilang",
    ),
    "tunnel_ended": (
        "remote access {id}: the tunnel broke ({why}); next attempt in {delay} s",
        "akses jarak jauh {id}: terowongan putus ({why}); percobaan berikut dalam {delay} d",
    ),
    "service_started": (
        "remote access: started {command} for port {port}",
        "akses jarak jauh: {command} dijalankan untuk port {port}",
    ),
    "service_stopped": (
        "remote access: what was started for port {port} is stopped",
        "akses jarak jauh: yang dijalankan untuk port {port} dihentikan",
    ),
    # the command line
    "cli_remote": (
        "begin or end a remote access session on site, or tell which are open",
        "mulai atau akhiri sesi akses jarak jauh di tempat, atau tampilkan yang terbuka",
    ),
    "cli_remote_what": ("what to do (default: status)", "yang dilakukan (bawaan: status)"),
    "cli_remote_reason": ("why, in a few words; everybody sees it", "alasannya, singkat; semua orang melihatnya"),
    "cli_remote_duration": ("for how long, in seconds", "berapa lama, dalam detik"),
    "cli_remote_admin": ("the number of the user who works on site", "nomor pengguna yang bekerja di tempat"),
    "cli_remote_session": ("which session, when several are open", "sesi yang mana, bila ada beberapa yang terbuka"),
    "remote_refused": ("the hub refuses: {why}", "hub menolak: {why}"),
    "remote_unreachable": (
        "the hub cannot be reached ({why}). A session is the hub's to record: try again when it answers.",
        "hub tidak dapat dijangkau ({why}). Sesi dicatat oleh hub: coba lagi saat hub menjawab.",
    ),
    "remote_started": (
        "session {id} is open until {expires_at}; the machine is in maintenance",
        "sesi {id} terbuka sampai {expires_at}; mesin dalam perawatan",
    ),
    "remote_stopped": ("session {id} has ended", "sesi {id} telah berakhir"),
    "remote_open": (
        "session {id}: {admin}, until {expires_at} ({reason})",
        "sesi {id}: {admin}, sampai {expires_at} ({reason})",
    ),
    "remote_none": ("no session is open", "tidak ada sesi yang terbuka"),
}  # fmt: skip
