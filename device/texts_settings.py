"""The sentences about configuration values, in English and Bahasa Indonesia, by code: from file, environment or hub."""

from __future__ import annotations

from typing import Final

SETTINGS: Final[dict[str, tuple[str, str]]] = {
    "unknown_key": (
        "unknown key {key!r}. {hint}Remove it or correct its name.",
        "kunci {key!r} tidak dikenal. {hint}Hapus atau perbaiki namanya.",
    ),
    "nearest_key": ("Did you mean {nearest!r}? ", "Maksud Anda {nearest!r}? "),
    "config_unreadable": (
        "cannot be read ({why}). Give its path with --config FILE and let this user read it.",
        "tidak dapat dibaca ({why}). Berikan lokasinya dengan --config FILE dan izinkan pengguna ini membacanya.",
    ),
    "config_not_json": (
        "is not a JSON object ({why}). Correct it there, or write a new one.",
        "bukan objek JSON ({why}). Perbaiki di situ, atau tulis yang baru.",
    ),
    "wrong_type": (
        "{key} must be {kind}. Write for example {default!r}.",
        "{key} harus berupa {kind}. Contoh: {default!r}.",
    ),
    "wrong_url": (
        '{key}: {value!r} is not the hub\'s address. Write for example "https://hub.example".',
        '{key}: {value!r} bukan alamat hub. Contoh: "https://hub.example".',
    ),
    "secret_in_url": (
        "{key} must not contain a user name or password. Put the machine's key into api_token.",
        "{key} tidak boleh memuat nama pengguna atau kata sandi. Letakkan kunci mesin di api_token.",
    ),
    "plain_http": (
        ('{key} is {value}: the machine\'s key would cross the network unencrypted. Set "{key}": "{https}", or, if you '
        'trust every device in this network, add "allow_plain_http": true to the configuration file.'),
        ('{key} = {value}: kunci mesin akan melintasi jaringan tanpa enkripsi. Atur "{key}": "{https}", atau, jika '
        'semua perangkat di jaringan ini tepercaya, tambahkan "allow_plain_http": true ke berkas konfigurasi.'),
    ),
    "token_missing": (
        "{key} is missing. Put the key shown when the machine was added there, or \"file:PATH\" of its file.",
        '{key} belum ada. Isi dengan kunci yang ditampilkan saat mesin ditambahkan, atau "file:PATH" yang memuatnya.',
    ),
    "token_unreadable": (
        "{key}: {file} cannot be read. Correct the path, or let this user read it.",
        "{key}: {file} tidak dapat dibaca. Perbaiki lokasinya, atau izinkan pengguna ini membacanya.",
    ),
    "token_unusable": (
        "{key} does not look like a machine's key (rvmk_...). Make a new one on the machine's page and put it there.",
        "{key} tidak tampak seperti kunci mesin (rvmk_...). Buat yang baru di halaman mesin lalu isikan di situ.",
    ),
    # one value, wherever it came from
    "out_of_bounds": (
        "{key}: write a number from {least} to {most}.",
        "{key}: tulis angka dari {least} sampai {most}.",
    ),
    "wrong_id": (
        "{key} must be the machine's number or device_id. Write for example 1 or \"rvm-001\".",
        '{key} harus nomor mesin atau device_id. Contoh: 1 atau "rvm-001".',
    ),
    "wrong_switch": ("{key} must be true or false.", "{key} harus true atau false."),
    "wrong_number": ("{key} must be a number.", "{key} harus berupa angka."),
    "wrong_whole": ("{key} must be a whole number.", "{key} harus berupa bilangan bulat."),
    "wrong_networks": (
        '{key} must be a list of networks. Write for example ["192.168.1.0/24"].',
        '{key} harus daftar jaringan. Contoh: ["192.168.1.0/24"].',
    ),
    "wrong_zone": (
        "{key} must be a name of the IANA time zone database. Write for example \"Asia/Jakarta\".",
        '{key} harus nama dari basis data zona waktu IANA. Contoh: "Asia/Jakarta".',
    ),
    "wrong_addresses": (
        '{key} must be one to five http or https addresses, with commas between them, without a name or password.',
        "{key} harus satu sampai lima alamat http atau https, dipisah koma, tanpa nama pengguna atau kata sandi.",
    ),
    "wrong_units": (
        '{key} must be a list of at most 20 service names. Write for example ["rvm-camera.service"].',
        '{key} harus daftar paling banyak 20 nama layanan. Contoh: ["rvm-camera.service"].',
    ),
    "wrong_ports": (
        "{key} must be a list of ports from 1 to 65535. Write for example [5000, 5001].",
        "{key} harus daftar port dari 1 sampai 65535. Contoh: [5000, 5001].",
    ),
    "wrong_address": (
        '{key} must be an IP address of this machine. Write for example "127.0.0.1".',
        '{key} harus alamat IP mesin ini. Contoh: "127.0.0.1".',
    ),
    "wrong_argv": (
        '{key} must be a list of words, the program first. Write for example ["/bin/bash", "-l"].',
        '{key} harus daftar kata, programnya lebih dahulu. Contoh: ["/bin/bash", "-l"].',
    ),
    "wrong_folders": (
        '{key} must be a list of folders that begin with a slash. Write for example ["/var/log/rvm"].',
        '{key} harus daftar folder yang diawali garis miring. Contoh: ["/var/log/rvm"].',
    ),
    "wrong_on_demand": (
        '{key} must name a command for each port. Write for example {{"5000": {{"start": ["rvm-camera"]}}}}.',
        '{key} harus menyebut perintah untuk tiap port. Contoh: {{"5000": {{"start": ["rvm-camera"]}}}}.',
    ),
    "wrong_free": (
        "{key} must be a text, a number, true or false, or a list of these.",
        "{key} harus teks, angka, true atau false, atau daftar dari itu.",
    ),
    "wrong_kind": ("{key} is of another kind: it was a {kind}.", "{key} jenisnya lain: sebelumnya {kind}."),
    "wrong_key": (
        "{key} is no name for a setting: lower-case letters, digits and underscores, a letter first.",
        "{key} bukan nama setelan: huruf kecil, angka dan garis bawah, diawali huruf.",
    ),
    "static_key": (
        "{key} is set on the machine itself only; no hub may change it.",
        "{key} hanya diatur di mesin itu sendiri; hub tidak boleh mengubahnya.",
    ),
    "too_many": (
        "{key}: there are {most} further settings already; remove one first.",
        "{key}: sudah ada {most} setelan tambahan; hapus satu dahulu.",
    ),
    "environment": (
        "{key} is set by the environment of the machine's agent ({variable}), which comes first.",
        "{key} diatur oleh environment agen mesin ({variable}), yang didahulukan.",
    ),
    # the clock and the time zone
    "clock_impossible": (
        "WARNING: the clock shows {now}, which cannot be; certificates are checked without their dates until it is set",
        "PERINGATAN: jam menunjukkan {now}, yang mustahil; tanggal sertifikat tidak diperiksa sampai jam disetel",
    ),
    "zone_synced": (
        "time zone: {timezone} ({source}), the system is set to {system}",
        "zona waktu: {timezone} ({source}), sistem diatur ke {system}",
    ),
    "zone_lookup_failed": (
        "time zone: no look-up answered: {why}",
        "zona waktu: tidak ada pencarian yang berhasil: {why}",
    ),
    "zone_trouble": ("time zone: {why}", "zona waktu: {why}"),
    "zone_not_kept": (
        "the time zone's report could not be kept on disk ({why})",
        "laporan zona waktu tidak dapat disimpan di disk ({why})",
    ),
    # the configuration the hub pushes
    "config_applied": ("the hub's configuration {version} is in force", "konfigurasi {version} dari hub berlaku"),
    "config_key_refused": ("not in force: {why}", "tidak berlaku: {why}"),
    "config_not_cached": (
        "the hub's configuration could not be kept on disk ({why}); it is in force until the agent ends",
        "konfigurasi dari hub tidak dapat disimpan di disk ({why}); berlaku sampai agen berhenti",
    ),
}  # fmt: skip
