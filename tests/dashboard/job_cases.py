"""Jobs and what their cards say in both languages, and what machines may be asked."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from dashboard.jobs import JobCard

NOW: Final = 1795370531000
ZONE: Final = "Asia/Makassar"
WHO: Final = "Budi"
JOB: Final[dict[str, Any]] = {
    "id": "j1", "rvm_id": 1, "name": "reboot", "args": {}, "state": "queued", "issued_by": "user:2",
    "issued_at": NOW - 3000, "expires_at": NOW + 86_397_000, "sent_at": None, "finished_at": None, "progress": None,
    "result": None, "error": None, "group_id": None, "reason": None, "cancel_by": None, "cancel_at": None,
}  # fmt: skip
SENT: Final = NOW - 2000
ENDED: Final = {"sent_at": SENT, "finished_at": NOW - 1000}


ASKED: Final = {"en": "Requested by Budi, today 02:02 WITA", "id": "Diminta oleh Budi, hari ini 02.02 WITA"}


class Case(NamedTuple):
    """`job`: what differs from JOB; then what the card says, a line each."""

    about: str
    job: dict[str, Any]
    en: str
    id: str
    away: bool = False


def lines(card: JobCard) -> str:
    """What a card says beside who asked: what, why, the steps, the bar, how it is, what a cancel leaves."""
    steps = (" ".join(filter(None, (step.word, step.time, "✓" if step.done else ""))) for step in card.steps)
    said = (
        f"{card.mark}: {card.what} – {card.word} {card.ended}".rstrip(),
        card.reason and f"“{card.reason}”",
        " · ".join(steps),
        card.bar and f"{card.bar.value} of {card.bar.most}",
        card.how,
        card.behind,
    )
    return "\n".join(line for line in said if line)


CASES: Final = [
    Case(
        "waits for an offline machine",
        {"name": "set_status", "args": {"status": "maintenance"}},
        """late: Change status to Maintenance – Queued
Queued 02:02:08 ✓ · Sent · Running · Done
Queued. Runs when the machine connects, until tomorrow 02:02 WITA
Nothing has happened yet: the machine will not get it.""",
        """late: Ubah status ke Pemeliharaan – Antre
Antre 02.02.08 ✓ · Terkirim · Berjalan · Selesai
Diantrekan. Dijalankan saat mesin terhubung, sampai besok 02.02 WITA
Belum terjadi apa-apa: mesin tidak akan menerimanya.""",
        away=True,
    ),
    Case(
        "about to be sent",
        {"name": "set_status", "args": {"status": "maintenance"}, "reason": "Ganti sensor"},
        """late: Change status to Maintenance – Queued
“Ganti sensor”
Queued 02:02:08 ✓ · Sent · Running · Done
Sending it to the machine…
Nothing has happened yet: the machine will not get it.""",
        """late: Ubah status ke Pemeliharaan – Antre
“Ganti sensor”
Antre 02.02.08 ✓ · Terkirim · Berjalan · Selesai
Mengirim ke mesin…
Belum terjadi apa-apa: mesin tidak akan menerimanya.""",
    ),
    Case(
        "sent",
        {"state": "sent", "sent_at": SENT},
        """auto: Reboot machine – Sent
Queued 02:02:08 ✓ · Sent 02:02:09 ✓ · Running · Done
Sent. Waiting for the machine to confirm…
It may have begun. A reboot that has begun cannot be stopped.""",
        """auto: Boot ulang mesin – Terkirim
Antre 02.02.08 ✓ · Terkirim 02.02.09 ✓ · Berjalan · Selesai
Terkirim. Menunggu konfirmasi mesin…
Mungkin sudah dimulai. Boot ulang yang sudah dimulai tidak dapat dihentikan.""",
    ),
    Case(
        "sent, then away",
        {"args": {"force": True}, "state": "sent", "sent_at": SENT},
        """auto: Reboot machine at once (forced) – Sent
Queued 02:02:08 ✓ · Sent 02:02:09 ✓ · Running · Done
Sent, then the machine went offline. The result follows when it reconnects.
It may have begun. A reboot that has begun cannot be stopped.""",
        """auto: Boot ulang mesin segera (paksa) – Terkirim
Antre 02.02.08 ✓ · Terkirim 02.02.09 ✓ · Berjalan · Selesai
Terkirim, lalu mesin offline. Hasilnya dilaporkan saat mesin terhubung lagi.
Mungkin sudah dimulai. Boot ulang yang sudah dimulai tidak dapat dihentikan.""",
        away=True,
    ),
    Case(
        "accepted",
        {"name": "set_status", "args": {"status": "maintenance"}, "state": "accepted", "sent_at": SENT},
        """auto: Change status to Maintenance – Running
Queued 02:02:08 ✓ · Sent 02:02:09 ✓ · Running ✓ · Done
The machine has accepted it.
It may be done already. A status the machine has taken stays.""",
        """auto: Ubah status ke Pemeliharaan – Berjalan
Antre 02.02.08 ✓ · Terkirim 02.02.09 ✓ · Berjalan ✓ · Selesai
Mesin menerimanya.
Mungkin sudah dijalankan. Status yang sudah diambil mesin tetap berlaku.""",
    ),
    Case(
        "running, of unknown length",
        {"name": "restart_service", "args": {"service": "rvm-vision.service"}, "state": "running", "sent_at": SENT},
        """auto: Restart rvm-vision.service – Running
Queued 02:02:08 ✓ · Sent 02:02:09 ✓ · Running ✓ · Done
0 of None
The machine is doing it.
It may have begun. A restart that has begun will be completed.""",
        """auto: Mulai ulang rvm-vision.service – Berjalan
Antre 02.02.08 ✓ · Terkirim 02.02.09 ✓ · Berjalan ✓ · Selesai
0 of None
Mesin sedang mengerjakannya.
Mungkin sudah dimulai. Mulai ulang yang sudah dimulai akan diselesaikan.""",
    ),
    Case(
        "running, with an amount",
        {
            "name": "start_backup",
            "args": {"backup_id": 1, "backup_type": "full"},
            "state": "running",
            "sent_at": SENT,
            "progress": {"phase": "upload", "done": 214, "total": 340.0},
        },
        """auto: Back up everything – Running
Queued 02:02:08 ✓ · Sent 02:02:09 ✓ · Running ✓ · Done
214 of 340.0
upload: 214 of 340
What was sent so far is deleted from the hub. Earlier backups stay, and the machine's files are not touched.""",
        """auto: Cadangkan semuanya – Berjalan
Antre 02.02.08 ✓ · Terkirim 02.02.09 ✓ · Berjalan ✓ · Selesai
214 of 340.0
upload: 214 dari 340
Yang sudah terkirim dihapus dari hub. Cadangan sebelumnya tetap ada, dan berkas mesin tidak disentuh.""",
    ),
    Case(
        "running, with a phase",
        {"state": "running", "sent_at": SENT, "progress": {"phase": "return_session", "done": None, "total": None}},
        """auto: Reboot machine – Running
Queued 02:02:08 ✓ · Sent 02:02:09 ✓ · Running ✓ · Done
0 of None
Waiting for the end of the return session
It may have begun. A reboot that has begun cannot be stopped.""",
        """auto: Boot ulang mesin – Berjalan
Antre 02.02.08 ✓ · Terkirim 02.02.09 ✓ · Berjalan ✓ · Selesai
0 of None
Menunggu sesi pengembalian selesai
Mungkin sudah dimulai. Boot ulang yang sudah dimulai tidak dapat dihentikan.""",
    ),
    Case(
        "running, of no known whole",
        {"name": "x", "state": "running", "sent_at": SENT, "progress": {"phase": "copy", "done": 3, "total": None}},
        """auto: x – Running
Queued 02:02:08 ✓ · Sent 02:02:09 ✓ · Running ✓ · Done
0 of None
copy: 3
It may be done already. What is done stays done.""",
        """auto: x – Berjalan
Antre 02.02.08 ✓ · Terkirim 02.02.09 ✓ · Berjalan ✓ · Selesai
0 of None
copy: 3
Mungkin sudah dijalankan. Yang sudah terjadi tetap terjadi.""",
    ),
    Case(
        "goes down and comes back",
        {"state": "running", "sent_at": SENT, "progress": {"phase": "rebooting"}},
        """auto: Reboot machine – Running
Queued 02:02:08 ✓ · Sent 02:02:09 ✓ · Running ✓ · Done
0 of None
The machine went down; it reports when it is back, usually after two minutes.
It may have begun. A reboot that has begun cannot be stopped.""",
        """auto: Boot ulang mesin – Berjalan
Antre 02.02.08 ✓ · Terkirim 02.02.09 ✓ · Berjalan ✓ · Selesai
0 of None
Mesin mati sebentar; melapor saat hidup lagi, biasanya setelah dua menit.
Mungkin sudah dimulai. Boot ulang yang sudah dimulai tidak dapat dihentikan.""",
        away=True,
    ),
    Case(
        "replaced by a newer request",
        {
            "name": "set_status",
            "args": {"status": "maintenance"},
            "state": "cancelled",
            "finished_at": NOW - 1000,
            "error": {"code": "superseded", "message": "x"},
        },
        """inactive: Change status to Maintenance – Cancelled 02:02:10
Queued 02:02:08 ✓ · Sent · Running · Cancelled 02:02:10 ✓
Cancelled: a newer request replaced it""",
        """inactive: Ubah status ke Pemeliharaan – Dibatalkan 02.02.10
Antre 02.02.08 ✓ · Terkirim · Berjalan · Dibatalkan 02.02.10 ✓
Dibatalkan: digantikan permintaan yang lebih baru""",
        away=True,
    ),
    Case(
        "asked to stop",
        {
            "name": "set_status",
            "args": {"status": "maintenance"},
            "state": "running",
            "sent_at": SENT,
            "cancel_by": "user:1",
            "cancel_at": NOW - 500,
        },
        """auto: Change status to Maintenance – Running
Queued 02:02:08 ✓ · Sent 02:02:09 ✓ · Running ✓ · Done
0 of None
Cancel requested. The machine already has the command: it stops, or it finishes.""",
        """auto: Ubah status ke Pemeliharaan – Berjalan
Antre 02.02.08 ✓ · Terkirim 02.02.09 ✓ · Berjalan ✓ · Selesai
0 of None
Pembatalan diminta. Mesin sudah menerima perintahnya: berhenti, atau menyelesaikannya.""",
    ),
    Case(
        "done",
        {
            "name": "set_status",
            "args": {"status": "active", "special_status": "error", "reason": "door"},
            "state": "succeeded",
            **ENDED,
        },
        """active: Change status to Error – Done 02:02:10
“door”
Queued 02:02:08 ✓ · Sent 02:02:09 ✓ · Running ✓ · Done 02:02:10 ✓
Done: the machine confirmed it.""",
        """active: Ubah status ke Gangguan – Selesai 02.02.10
“door”
Antre 02.02.08 ✓ · Terkirim 02.02.09 ✓ · Berjalan ✓ · Selesai 02.02.10 ✓
Selesai: mesin mengonfirmasi.""",
    ),
    Case(
        "failed with a code we know",
        {
            "name": "sync_timezone",
            "args": {"trigger": "manual", "timezone": "Asia/Makassar"},
            "state": "failed",
            **ENDED,
            "error": {"code": "not_permitted", "message": "not permitted: install the helper"},
        },
        """error: Set time zone to Asia/Makassar – Failed 02:02:10
Queued 02:02:08 ✓ · Sent 02:02:09 ✓ · Running ✓ · Failed 02:02:10 ✓
Failed: the agent is not allowed to do this on the machine: ask whoever installed it there""",
        """error: Atur zona waktu ke Asia/Makassar – Gagal 02.02.10
Antre 02.02.08 ✓ · Terkirim 02.02.09 ✓ · Berjalan ✓ · Gagal 02.02.10 ✓
Gagal: agen tidak diizinkan melakukan ini di mesin: hubungi orang yang memasangnya""",
    ),
    Case(
        "failed with one we do not",
        {
            "name": "sync_timezone",
            "args": {"trigger": "manual"},
            "state": "failed",
            **ENDED,
            "error": {"code": "solar_flare", "message": "the sun"},
        },
        """error: Sync time zone – Failed 02:02:10
Queued 02:02:08 ✓ · Sent 02:02:09 ✓ · Running ✓ · Failed 02:02:10 ✓
Failed: the sun""",
        """error: Sinkronkan zona waktu – Gagal 02.02.10
Antre 02.02.08 ✓ · Terkirim 02.02.09 ✓ · Berjalan ✓ · Gagal 02.02.10 ✓
Gagal: the sun""",
    ),
    Case(
        "refused",
        {
            "name": "set_status",
            "args": {"status": "maintenance"},
            "state": "rejected",
            **ENDED,
            "error": {"code": "still_full", "message": "x"},
        },
        """error: Change status to Maintenance – Refused 02:02:10
Queued 02:02:08 ✓ · Sent 02:02:09 ✓ · Running · Refused 02:02:10 ✓
The machine refused: it is still filled to 100 %: empty it first""",
        """error: Ubah status ke Pemeliharaan – Ditolak 02.02.10
Antre 02.02.08 ✓ · Terkirim 02.02.09 ✓ · Berjalan · Ditolak 02.02.10 ✓
Mesin menolak: masih terisi 100 %: kosongkan dulu""",
    ),
    Case(
        "nobody came",
        {"name": "set_status", "args": {"status": "maintenance"}, "state": "expired", "finished_at": NOW - 1000},
        """warn: Change status to Maintenance – Expired 02:02:10
Queued 02:02:08 ✓ · Sent · Running · Expired 02:02:10 ✓
Expired: the machine did not come back in time.""",
        """warn: Ubah status ke Pemeliharaan – Kedaluwarsa 02.02.10
Antre 02.02.08 ✓ · Terkirim · Berjalan · Kedaluwarsa 02.02.10 ✓
Kedaluwarsa: mesin tidak kembali tepat waktu.""",
        away=True,
    ),
    Case(
        "no word in time",
        {"state": "expired", **ENDED},
        """warn: Reboot machine – Expired 02:02:10
Queued 02:02:08 ✓ · Sent 02:02:09 ✓ · Running · Expired 02:02:10 ✓
Expired: no result in time. Check the machine before you repeat it.""",
        """warn: Boot ulang mesin – Kedaluwarsa 02.02.10
Antre 02.02.08 ✓ · Terkirim 02.02.09 ✓ · Berjalan · Kedaluwarsa 02.02.10 ✓
Kedaluwarsa: mesin tidak melapor tepat waktu. Periksa mesin sebelum mengulanginya.""",
    ),
    Case(
        "came too late",
        {
            "name": "set_status",
            "args": {"status": "maintenance"},
            "state": "expired",
            **ENDED,
            "error": {"code": "expired", "message": "x"},
        },
        """warn: Change status to Maintenance – Expired 02:02:10
Queued 02:02:08 ✓ · Sent 02:02:09 ✓ · Running · Expired 02:02:10 ✓
Expired: it reached the machine too late and was not done.""",
        """warn: Ubah status ke Pemeliharaan – Kedaluwarsa 02.02.10
Antre 02.02.08 ✓ · Terkirim 02.02.09 ✓ · Berjalan · Kedaluwarsa 02.02.10 ✓
Kedaluwarsa: sampai di mesin terlambat dan tidak dijalankan.""",
    ),
    Case(
        "withdrawn before it left",
        {"name": "set_status", "args": {"status": "maintenance"}, "state": "cancelled", "finished_at": NOW - 1000},
        """inactive: Change status to Maintenance – Cancelled 02:02:10
Queued 02:02:08 ✓ · Sent · Running · Cancelled 02:02:10 ✓
Cancelled before it was sent.""",
        """inactive: Ubah status ke Pemeliharaan – Dibatalkan 02.02.10
Antre 02.02.08 ✓ · Terkirim · Berjalan · Dibatalkan 02.02.10 ✓
Dibatalkan sebelum dikirim.""",
        away=True,
    ),
    Case(
        "withdrawn on the machine",
        {"name": "ping", "state": "cancelled", **ENDED, "error": {"code": "cancelled", "message": "x"}},
        """inactive: Ping the machine – Cancelled 02:02:10
Queued 02:02:08 ✓ · Sent 02:02:09 ✓ · Running · Cancelled 02:02:10 ✓
Cancelled: the machine did not do it.""",
        """inactive: Uji respons (ping) – Dibatalkan 02.02.10
Antre 02.02.08 ✓ · Terkirim 02.02.09 ✓ · Berjalan · Dibatalkan 02.02.10 ✓
Dibatalkan: mesin tidak menjalankannya.""",
    ),
    Case(
        "passes on what the machine's software declared, with somebody else's reason",
        {
            "id": "t0",
            "name": "set_status",
            "args": {"status": "full", "special_status": "maintenance", "reason": "Technician inside"},
            "issued_by": "machine:1",
        },
        """late: Tell the agent: Full under Maintenance – Queued
Queued 02:02:08 ✓ · Sent · Running · Done
Queued. Runs when the machine connects, until tomorrow 02:02 WITA
Nothing has happened yet: the machine will not get it.""",
        """late: Beri tahu agen: Penuh di bawah Pemeliharaan – Antre
Antre 02.02.08 ✓ · Terkirim · Berjalan · Selesai
Diantrekan. Dijalankan saat mesin terhubung, sampai besok 02.02 WITA
Belum terjadi apa-apa: mesin tidak akan menerimanya.""",
        away=True,
    ),
    Case(
        "passes on what the clock gave back",
        {"id": "t1", "name": "set_status", "args": {"status": "active", "reason": "bin 2"}, "issued_by": "clock"},
        """late: Tell the agent: Active – Queued
Queued 02:02:08 ✓ · Sent · Running · Done
Queued. Runs when the machine connects, until tomorrow 02:02 WITA
Nothing has happened yet: the machine will not get it.""",
        """late: Beri tahu agen: Aktif – Antre
Antre 02.02.08 ✓ · Terkirim · Berjalan · Selesai
Diantrekan. Dijalankan saat mesin terhubung, sampai besok 02.02 WITA
Belum terjadi apa-apa: mesin tidak akan menerimanya.""",
        away=True,
    ),
    Case(
        "ends a remote access, whose reason is a code",
        {"name": "stop_remote_access", "args": {"session_id": 4, "reason": "stopped"}},
        """late: End remote access – Queued
Queued 02:02:08 ✓ · Sent · Running · Done
Queued. Runs when the machine connects, until tomorrow 02:02 WITA
Nothing has happened yet: the machine will not get it.""",
        """late: Akhiri akses jarak jauh – Antre
Antre 02.02.08 ✓ · Terkirim · Berjalan · Selesai
Diantrekan. Dijalankan saat mesin terhubung, sampai besok 02.02 WITA
Belum terjadi apa-apa: mesin tidak akan menerimanya.""",
        away=True,
    ),
]
