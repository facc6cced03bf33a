"""What an enrolment that was begun goes on with, and the machine's file that it leaves."""

from __future__ import annotations

from device.enrolment import rules
from device.enrolment.rules import PendingEnrolment
from protocol.enrolment import key_hash

KEY = "rvmk_AAAAAAAA_" + "0" * 32
BEGUN = PendingEnrolment("https://hub.example", KEY, "RVM-7K4Q-9D2M-3XHT")


def test_the_same_hub_goes_on_with_the_same_key_whatever_the_code() -> None:
    assert rules.begun(BEGUN, "https://hub.example", None, "another") == BEGUN
    newer = rules.begun(BEGUN, "https://hub.example", "RVM-2222-2222-2222", "another")
    assert newer is not None
    assert (newer.key, newer.code) == (KEY, "RVM-2222-2222-2222")


def test_another_hub_gets_another_key_and_needs_a_code() -> None:
    assert rules.begun(BEGUN, "https://other.example", None, "another") is None
    assert rules.begun(None, "https://hub.example", None, "another") is None
    found = rules.begun(BEGUN, "https://other.example", "RVM-2222-2222-2222", "another")
    assert found == PendingEnrolment("https://other.example", "another", "RVM-2222-2222-2222")


def test_a_request_has_the_hash_and_never_the_key() -> None:
    asked = rules.request(BEGUN, {"hostname": "jetson\n", "model": None, "os": "\x00"})
    assert (asked.key_prefix, asked.key_hash, asked.code) == ("rvmk_AAAAAAAA", key_hash(KEY), BEGUN.code)
    assert (asked.hostname, asked.model, asked.os) == ("jetson", None, None)
    assert KEY not in str(asked)


def test_a_fact_is_cut_to_what_the_hub_takes() -> None:
    assert rules.in_one_line("x" * 300) == "x" * 100
    assert rules.in_one_line(" \t") is None


def test_the_file_keeps_what_does_not_concern_the_hub() -> None:
    before = {"api_token": "old", "allow_plain_http": True, "hub_ca": "old.pem", "remote_access_port": 5001}
    made = rules.machine_file(before, BEGUN, "rvm-7", plain_http=False, authority="")
    assert made == {
        "myrvm_base_url": "https://hub.example", "rvm_id": "rvm-7", "api_token": KEY, "remote_access_port": 5001,
    }  # fmt: skip
    made = rules.machine_file({}, BEGUN, "rvm-7", plain_http=True, authority="hub_ca.pem")
    assert (made["allow_plain_http"], made["hub_ca"]) == (True, "hub_ca.pem")
