"""Every sentence the agent says to a person, in English and Bahasa Indonesia, by code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from device.texts_control import CONTROL
from device.texts_doctor import DOCTOR
from device.texts_remote import REMOTE
from device.texts_settings import SETTINGS
from device.texts_streams import STREAMS

LANGUAGES: Final = ("en", "id")

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    # running
    "session_not_plain": (
        "{file} is no plain file but a link, a pipe or the like: remove it, or name another return_session_file.",
        "{file} bukan berkas biasa, melainkan tautan, pipa, atau sejenisnya: hapus, atau atur return_session_file.",
    ),
    "state_unusable": (
        "the state folder {folder} cannot be used ({why}). Set state_dir to a folder this user may write.",
        "folder state {folder} tidak dapat dipakai ({why}). Atur state_dir ke folder yang dapat ditulis pengguna ini.",
    ),
    "already_running": (
        "another agent already uses {folder}. Stop it first, or set another state_dir.",
        "agen lain sudah memakai {folder}. Hentikan dahulu, atau atur state_dir lain.",
    ),
    "started": (
        "agent {version} for machine {device_id}, hub {url}, {pending} samples waiting",
        "agen {version} untuk mesin {device_id}, hub {url}, {pending} sampel menunggu",
    ),
    "plain_warning": (
        "WARNING: {url} is not encrypted; whoever listens in this network can take the machine's key",
        "PERINGATAN: {url} tidak terenkripsi; siapa pun yang menyadap jaringan ini dapat mengambil kunci mesin",
    ),
    "exposed_warning": (
        "WARNING: other users can read {file}; run: chmod 600 {file}",
        "PERINGATAN: pengguna lain dapat membaca {file}; jalankan: chmod 600 {file}",
    ),
    "damage": (
        "the disk damaged {damaged} kept samples; the others are intact",
        "disk merusak {damaged} sampel tersimpan; yang lain utuh",
    ),
    "journal_damage": (
        "the journal was damaged; what could be read was kept",
        "jurnal rusak; yang masih terbaca dipertahankan",
    ),
    "live": ("connected to the hub", "terhubung ke hub"),
    "link_ended": (
        "not connected: {why}; next attempt in {delay} s",
        "tidak terhubung: {why}; percobaan berikut dalam {delay} d",
    ),
    "watched": ("watched: one sample every {interval} s", "sedang dipantau: satu sampel tiap {interval} d"),
    "unwatched": ("no longer watched", "tidak lagi dipantau"),
    "command": ("command {name} ({id}): {state}", "perintah {name} ({id}): {state}"),
    "command_repeated": (
        "command {id} came again, answered from memory",
        "perintah {id} datang lagi, dijawab dari ingatan",
    ),
    "command_forgotten": (
        "command {id} had been accepted and not begun before this start; the hub says it again if it still holds",
        "perintah {id} sudah diterima tetapi belum dimulai sebelum ini; hub mengirim ulang jika masih berlaku",
    ),
    "status_refused": ("a declaration was refused: {why}", "sebuah pernyataan ditolak: {why}"),
    "reboot_forced": (
        "command {id}: rebooting although a return session is open, as it was forced to",
        "perintah {id}: memulai ulang meski sesi pengembalian masih terbuka, karena dipaksa",
    ),
    "rebooting": ("command {id}: the machine goes down", "perintah {id}: mesin dimatikan untuk dimulai ulang"),
    "status_now": ("status is now {status}", "status sekarang {status}"),
    "hub_error": ("the hub objects: {code}: {message}", "hub menolak: {code}: {message}"),
    "handler_failed": ("internal error in {where}: {error}", "galat internal di {where}: {error}"),
    "fallback_begins": (
        "WebSocket does not get through; sending samples by HTTP meanwhile",
        "WebSocket tidak tembus; sementara itu sampel dikirim lewat HTTP",
    ),
    "uploaded": ("{count} samples sent by HTTP", "{count} sampel dikirim lewat HTTP"),
    "upload_failed": ("HTTP upload failed: {why}", "pengiriman HTTP gagal: {why}"),
    "dropped": (
        "no room: {dropped} of the oldest samples were given up so far",
        "tempat habis: {dropped} sampel tertua telah dilepas sejauh ini",
    ),
    "disk_refuses": (
        "the disk refuses to write; keeping the newest samples in memory",
        "disk menolak penulisan; sampel terbaru disimpan di memori",
    ),
    "disk_again": ("the disk takes writes again", "disk kembali menerima penulisan"),
    "sensors_stuck": ("the sensors did not answer in time", "sensor tidak menjawab tepat waktu"),
    "stopping": ("stopping", "berhenti"),
    # why a link ended
    "why_unreachable": ("the hub cannot be reached ({detail})", "hub tidak dapat dijangkau ({detail})"),
    "why_upgrade_failed": (
        "no WebSocket through this way ({detail})",
        "WebSocket tidak tembus di jalur ini ({detail})",
    ),
    "why_key_refused": (
        "the hub refuses the machine's key ({detail}); put the right one into api_token",
        "hub menolak kunci mesin ({detail}); isi api_token dengan yang benar",
    ),
    "why_wrong_machine": (
        "the key belongs to another machine; set rvm_id to that machine's number or device_id",
        "kunci ini milik mesin lain; atur rvm_id ke nomor atau device_id mesin tersebut",
    ),
    "why_refused": ("the hub refused ({detail})", "hub menolak ({detail})"),
    "why_replaced": (
        "another connection of this machine took over; does a second agent use the same key?",
        "koneksi lain dari mesin ini mengambil alih; apakah agen kedua memakai kunci yang sama?",
    ),
    "why_version": (
        "the hub speaks another version of the protocol; update the agent",
        "hub memakai versi protokol lain; perbarui agen",
    ),
    "why_restarting": ("the hub restarts", "hub sedang dimulai ulang"),
    "why_closed": ("the connection ended ({detail})", "koneksi berakhir ({detail})"),
}  # fmt: skip

_TABLES: Final = (_TEXTS, SETTINGS, REMOTE, STREAMS, CONTROL, DOCTOR)


def language_of(environ: Mapping[str, str]) -> str:
    """`id` or `en`, from RVM_LANG, else LANG and its relatives."""
    for name in ("RVM_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        wanted = environ.get(name, "")[:2].lower()
        if wanted:
            return wanted if wanted in LANGUAGES else "en"
    return "en"


class Texts:
    """`texts(code, **values)` is the sentence; an unknown code is a bug and raises KeyError."""

    def __init__(self, language: str) -> None:
        self._column = LANGUAGES.index(language)

    def __call__(self, code: str, /, **values: object) -> str:
        table = next((table for table in _TABLES if code in table), _TEXTS)
        return table[code][self._column].format(**values)
