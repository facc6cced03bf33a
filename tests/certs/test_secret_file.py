"""The one reader of files with secrets: what it gives, and every form that is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from certs.secret_file import MOST, SecretFileError, look_at, read_secret

SECRET = "kanari kuning 77"


def written(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    file = folder / "secret"
    file.write_bytes(content)
    file.chmod(mode)
    return file


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_the_line_is_given_without_its_end_and_with_its_spaces(tmp_path: Path, end: str) -> None:
    assert read_secret(written(tmp_path, f" {SECRET} é{end}".encode())) == f" {SECRET} é"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_the_owner_and_a_group_may_read(tmp_path: Path, mode: int) -> None:
    assert read_secret(written(tmp_path, SECRET.encode(), mode)) == SECRET


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o660, 0o620, 0o666, 0o777])
def test_what_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    for read in (read_secret, look_at):
        with pytest.raises(SecretFileError) as refused:
            read(written(tmp_path, SECRET.encode(), mode))
        assert refused.value.code == "exposed"
        assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\xef\xbb\xbf" + SECRET.encode(), "mark"),
        (SECRET.encode("utf-16"), "mark"),
        (b"", "empty"),
        (b"\n", "empty"),
        (b"  \r\n", "empty"),
        (b"one\ntwo\n", "lines"),
        (b"one\rtwo", "lines"),
        (b"one\x00two", "lines"),
        (b"caf\xe9", "lines"),
        (b"x" * (MOST + 1), "long"),
    ],
)
def test_what_is_no_secret_or_another_than_it_looks_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    with pytest.raises(SecretFileError) as refused:
        read_secret(written(tmp_path, content))
    assert refused.value.code == code
    assert b"one" not in str(refused.value).encode()


def test_a_folder_and_nothing_differ(tmp_path: Path) -> None:
    for path, code in ((tmp_path, "folder"), (tmp_path / "none", "missing"), (tmp_path / "a" / "b", "missing")):
        with pytest.raises(SecretFileError) as refused:
            read_secret(path)
        assert refused.value.code == code


def test_a_link_counts_as_what_it_leads_to(tmp_path: Path) -> None:
    file = written(tmp_path, SECRET.encode(), 0o644)
    link = tmp_path / "link"
    link.symlink_to(file)
    with pytest.raises(SecretFileError):
        read_secret(link)
    file.chmod(0o600)
    assert read_secret(link) == SECRET


def test_a_pipe_from_another_program_is_nobody_elses() -> None:
    reader, writer = os.pipe()
    os.write(writer, SECRET.encode() + b"\n")
    os.close(writer)
    try:
        assert read_secret(Path(f"/dev/fd/{reader}")) == SECRET
    finally:
        os.close(reader)


def test_a_private_key_may_have_many_lines(tmp_path: Path) -> None:
    pem = b"-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n"
    assert look_at(written(tmp_path, pem)) == pem
