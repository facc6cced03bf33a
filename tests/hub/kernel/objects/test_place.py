"""Where the object store is, read from one setting; what cannot be one is refused with the reason."""

from __future__ import annotations

import pytest

from hub.kernel.objects.place import AMAZON, ObjectPlaceError, S3Place, s3_place


@pytest.mark.parametrize("folder", ["/var/lib/objects", "objects", "", "C:x"])
def test_a_path_is_a_folder(folder: str) -> None:
    assert s3_place(folder) is None


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://fleet", S3Place("fleet", "", AMAZON, True, None)),
        ("s3://fleet/", S3Place("fleet", "", AMAZON, True, None)),
        ("s3://fleet/a/b?region=x", S3Place("fleet", "a/b/", AMAZON, True, "x")),
        (
            "s3://fleet/hub?endpoint=10.0.0.5:9000&secure=no",
            S3Place("fleet", "hub/", "10.0.0.5:9000", secure=False, region=None),
        ),
        ("s3://fleet?endpoint=[::1]:9000", S3Place("fleet", "", "[::1]:9000", True, None)),
    ],
)
def test_a_bucket_is_read_with_its_options(url: str, place: S3Place) -> None:
    assert s3_place(url) == place


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://fleet", "neither"),
        ("s3://", "name"),
        ("s3://Fleet", "name"),
        ("s3://fleet/../x", "prefix"),
        ("s3://fleet/a//b", "prefix"),
        ("s3://fleet?secure=perhaps", "yes or no"),
        ("s3://fleet?tls=no", "no option"),
        ("s3://fleet?endpoint=http://h", "HOST:PORT"),
        ("s3://fleet?endpoint=h/path", "HOST:PORT"),
        ("s3://a:b@fleet", "keys"),
        ("s3://fleet?access_key=x", "keys"),
        ("s3://fleet?&", "URL"),
    ],
)
def test_what_is_no_place_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(ObjectPlaceError, match=why):
        s3_place(url)
