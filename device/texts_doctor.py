"""The sentences of `doctor` and of the command line, in English and Bahasa Indonesia, by code."""

from __future__ import annotations

from typing import Final

DOCTOR: Final[dict[str, tuple[str, str]]] = {
    "cli_what": (
        "The agent of one reverse vending machine: sends readings to the hub, obeys its commands, listens on no port.",
        "Agen satu mesin RVM: mengirim pembacaan ke hub, menjalankan perintahnya, tidak membuka port apa pun.",
    ),
    "cli_run": ("run the agent (the default)", "jalankan agen (bawaan)"),
    "cli_doctor": (
        "check configuration, hub, key, disk and sensors",
        "periksa konfigurasi, hub, kunci, disk dan sensor",
    ),
    "cli_status": (
        "show the machine's status, or declare a new one",
        "tampilkan status mesin, atau nyatakan yang baru",
    ),
    "cli_status_new": (
        "active, inactive, maintenance, full, error or unknown",
        "active, inactive, maintenance, full, error atau unknown",
    ),
    "cli_capacity": ("how full the machine is, 0-100", "seberapa penuh mesin, 0-100"),
    "cli_special": ("a status that overrides the other, or none", "status yang mengesampingkan yang lain, atau none"),
    "cli_reason": ("why, in a few words, or none", "alasannya, singkat, atau none"),
    "cli_until": (
        "when the status before it comes back (RFC 3339), or none",
        "kapan status sebelumnya kembali (RFC 3339), atau none",
    ),
    "cli_busy": (
        "show whether a return session is open, or begin (on) or end (off) one",
        "tampilkan apakah sesi pengembalian terbuka, atau mulai (on) atau akhiri (off)",
    ),
    "cli_busy_new": (
        "on: somebody is putting bottles in (say it again now and then); off: no longer",
        "on: seseorang sedang memasukkan botol (ulangi sesekali); off: sudah selesai",
    ),
    "busy_yes": ("a return session is open", "sesi pengembalian sedang terbuka"),
    "busy_no": ("no return session", "tidak ada sesi pengembalian"),
    "illegal_until": (
        "until: {value!r} is no time. Write for example 2030-11-23T14:00:00+07:00, or none.",
        "until: {value!r} bukan waktu. Contoh: 2030-11-23T14:00:00+07:00, atau none.",
    ),
    "past_until": (
        "until: {value!r} has passed. It must lie in the future by this machine's clock; write a later time, or none.",
        "until: {value!r} sudah lewat. Harus di masa depan menurut jam mesin ini; tulis waktu lain, atau none.",
    ),
    "illegal_status": (
        "status: one of active, inactive, maintenance, full, error, unknown",
        "status: salah satu dari active, inactive, maintenance, full, error, unknown",
    ),
    "illegal_special_status": (
        "special status: one of maintenance, inactive, error, unknown; none ends it",
        "status khusus: salah satu dari maintenance, inactive, error, unknown; none mengakhirinya",
    ),
    "illegal_capacity": ("capacity: 0 to 100", "kapasitas: 0 sampai 100"),
    "illegal_reason": ("reason: at most 500 characters", "alasan: paling banyak 500 karakter"),
    "illegal_declaration": ("cannot be declared: {why}", "tidak dapat dinyatakan: {why}"),
    "still_full": (
        "a machine at 100 % takes no bottles: empty it, or report less, first",
        "mesin yang terisi 100 % tidak menerima botol: kosongkan dulu, atau laporkan kapasitas yang lebih kecil",
    ),
    "not_full": (
        "a machine at 0 % is not full: report its capacity with the status",
        "mesin pada 0 % tidak penuh: laporkan kapasitasnya bersama status",
    ),
    "status_left": ("The agent will tell the hub.", "Agen akan memberi tahu hub."),
    "status_is": ("status: {status}", "status: {status}"),
    "cli_settings": (
        "show the settings in force and where each comes from, or one (docs/configuration.md; RVM_KEY sets KEY)",
        "tampilkan setelan yang berlaku dan asalnya, atau satu saja (docs/configuration.md; RVM_KEY mengatur KEY)",
    ),
    "cli_settings_key": ("print the value of this one only", "cetak nilai yang satu ini saja"),
    "no_such_key": (
        "there is no setting {key!r} on this machine; run without a name to see all of them",
        "tidak ada setelan {key!r} di mesin ini; jalankan tanpa nama untuk melihat semuanya",
    ),
    "complaint": ("error: {sentence}", "galat: {sentence}"),
    "cli_config": (
        "the machine's JSON file; every key can also be RVM_<KEY> in the environment",
        "berkas JSON mesin; setiap kunci juga dapat berupa RVM_<KEY> di environment",
    ),
    "cli_json": ("print the result as one JSON object", "cetak hasil sebagai satu objek JSON"),
    "cli_parent": ("stop when standard input ends", "berhenti ketika masukan standar berakhir"),
    "cli_examples": (
        ("examples:\n  run_device.py --config machine.json\n  run_device.py doctor --config machine.json\n"
        "  RVM_API_TOKEN_FILE=key.txt run_device.py --config machine.json"),
        ("contoh:\n  run_device.py --config machine.json\n  run_device.py doctor --config machine.json\n"
        "  RVM_API_TOKEN_FILE=key.txt run_device.py --config machine.json"),
    ),
    "cli_codes": (
        "exit codes: 0 ok, 1 failed, 2 wrong usage, 3 bad configuration, 8 already running, 130 Ctrl-C",
        "kode keluar: 0 baik, 1 gagal, 2 salah pakai, 3 konfigurasi salah, 8 sudah berjalan, 130 Ctrl-C",
    ),
    "check_config": ("configuration", "konfigurasi"),
    "check_keys": ("keys", "kunci konfigurasi"),
    "check_hub": ("reach the hub", "menjangkau hub"),
    "check_clock": ("clock", "jam"),
    "check_key": ("machine's key", "kunci mesin"),
    "check_socket": ("live link (WebSocket)", "hubungan langsung (WebSocket)"),
    "check_spool": ("spool folder", "folder spool"),
    "check_sensors": ("sensors", "sensor"),
    "word_ok": ("ok", "baik"),
    "word_warn": ("warn", "awas"),
    "word_fail": ("fail", "gagal"),
    "word_skip": ("skipped", "dilewati"),
    "fix": ("fix: {fix}", "perbaiki: {fix}"),
    "config_from_environment": ("no file, environment only", "tanpa berkas, hanya environment"),
    "config_exposed": ("other users can read {file}", "pengguna lain dapat membaca {file}"),
    "config_exposed_fix": ("chmod 600 {file}", "chmod 600 {file}"),
    "keys_known": ("all known, {count} set", "semua dikenal, {count} diatur"),
    "hub_answers": ("{url} answers in {milliseconds} ms", "{url} menjawab dalam {milliseconds} md"),
    "hub_silent": ("{url} does not answer ({why})", "{url} tidak menjawab ({why})"),
    "hub_silent_fix": (
        "check myrvm_base_url, the network and the hub (run_hub.py doctor there)",
        "periksa myrvm_base_url, jaringan dan hub (run_hub.py doctor di sana)",
    ),
    "hub_strange": ("{url} answers {status}, not like a hub", "{url} menjawab {status}, tidak seperti hub"),
    "clock_fits": ("{offset} s from the hub's", "selisih {offset} d dari hub"),
    "clock_off": ("{offset} s away from the hub's clock", "selisih {offset} d dari jam hub"),
    "clock_fix": ("sudo timedatectl set-ntp true", "sudo timedatectl set-ntp true"),
    "needs_hub": ("needs the hub", "memerlukan hub"),
    "key_accepted": ("accepted for machine {device_id}", "diterima untuk mesin {device_id}"),
    "key_refused": ("refused ({status})", "ditolak ({status})"),
    "key_refused_fix": (
        "make a new key on the machine's page, put it into api_token",
        "buat kunci baru di halaman mesin, isikan ke api_token",
    ),
    "key_other": (
        "accepted, but machine {device_id} is not its machine",
        "diterima, tetapi mesin {device_id} bukan mesinnya",
    ),
    "key_other_fix": ("set rvm_id to the machine's number or device_id", "atur rvm_id ke nomor atau device_id mesin"),
    "socket_passes": ("passes", "tembus"),
    "socket_blocked": ("does not pass ({why})", "tidak tembus ({why})"),
    "socket_blocked_fix": (
        "let the proxy pass WebSocket upgrades on /ws/device; until then samples travel by HTTP",
        "izinkan proxy meneruskan upgrade WebSocket pada /ws/device; sementara itu sampel lewat HTTP",
    ),
    "spool_writable": ("{folder}, {free} MiB free", "{folder}, {free} MiB tersisa"),
    "spool_refused": ("{folder} cannot be written ({why})", "{folder} tidak dapat ditulis ({why})"),
    "spool_refused_fix": (
        "set state_dir to a folder this user may write",
        "atur state_dir ke folder yang dapat ditulis pengguna ini",
    ),
    "spool_small": ("{folder} has only {free} MiB free", "{folder} hanya tersisa {free} MiB"),
    "spool_small_fix": ("free some space, or lower spool_limit_mib", "kosongkan ruang, atau kecilkan spool_limit_mib"),
    "sensors_all": ("all found", "semua ditemukan"),
    "sensors_some": ("found {found}; not here: {missing}", "ditemukan {found}; tidak ada: {missing}"),
    "sensors_fix": (
        "nothing to do on a computer that has none; on a Jetson check /sys permissions",
        "tidak perlu apa-apa bila komputer tidak memilikinya; pada Jetson periksa izin /sys",
    ),
    "sensors_none": ("neither processor nor memory can be read", "prosesor dan memori tidak dapat dibaca"),
    "all_well": ("Everything is ready.", "Semua siap."),
    "not_well": ("{failed} of {count} checks failed.", "{failed} dari {count} pemeriksaan gagal."),
}  # fmt: skip
