"""The repository as a thing people clone: what is pinned, what must not be in it, what has to be there."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from protocol.version import PRODUCT_VERSION

ROOT = Path(__file__).parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
CIRCLES = ("device", "hub", "test")
HOSTS_OF_REGISTRIES = re.compile(r"(registry\.npmjs|files\.pythonhosted|pypi|deb\.debian)\.(org|python\.org)")
PATHS_OF_ONE_MACHINE = re.compile(r"(^|[^A-Za-z0-9_.$}])/(work|farm|root|home)/[a-z]")
SECRETS = re.compile(r"rvm[kusl]_[A-Z2-7]{8}_[0-9A-Za-z]{32}")
PROMISES = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def tracked() -> list[Path]:
    """What a clone contains; without git (an unpacked archive) there is nothing to hold against."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content:  # a picture is no text
            yield str(path.relative_to(ROOT)), content.decode()


def lines_with(pattern: re.Pattern[str], but: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{name}: {line.strip()[:100]}"
        for name, text in texts()
        if not name.startswith(("tests/test_repository.py", *but))
        for line in text.splitlines()
        if pattern.search(line)
    ]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("circle", CIRCLES)
def test_every_python_has_a_lock_of_pinned_and_hashed_packages_without_addresses(circle: str, python: str) -> None:
    text = (ROOT / "locks" / f"{circle}-{python}.txt").read_text()
    packages = re.findall(r"^[A-Za-z0-9].*(?:\n +--hash.*)*", text, re.MULTILINE)
    assert packages
    for package in packages:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+", package), package
        assert "--hash=sha256:" in package, package
    assert "://" not in text


def test_what_a_package_needs_with_an_extra_is_locked_with_it() -> None:
    """Where a lock says `coverage`, pip takes `coverage[toml]` for not pinned, and installs nothing."""
    lock = (ROOT / "locks" / f"test-{sys.version_info[0]}.{sys.version_info[1]}.txt").read_text()
    pinned = {name.lower(): extras for name, extras in re.findall(r"^([\w.-]+)((?:\[[\w,]+\])?)==", lock, re.MULTILINE)}
    here = {each.name.lower() for each in distributions()}
    for name in pinned.keys() & here:
        for needed in map(Requirement, distribution(name).requires or ()):
            if needed.extras and (needed.marker is None or needed.marker.evaluate({"extra": ""})):
                assert needed.extras <= set(pinned[needed.name.lower()].strip("[]").split(",")), f"{name}: {needed}"


@pytest.mark.parametrize("python", PYTHONS)
def test_each_circle_contains_the_smaller_ones(python: str) -> None:
    def pins(circle: str) -> set[str]:
        text = (ROOT / "locks" / f"{circle}-{python}.txt").read_text()
        return set(re.findall(r"^[A-Za-z0-9._-]+==\S+", text, re.MULTILINE))

    assert pins("device") <= pins("hub") <= pins("test")


def test_plotly_js_from_npm_is_the_version_inside_the_python_package() -> None:
    found = importlib.util.find_spec("plotly")
    assert found is not None
    assert found.origin is not None
    with (Path(found.origin).parent / "package_data" / "plotly.min.js").open(encoding="utf-8") as file:
        inside = re.search(r"plotly\.js v([\d.]+)", file.read(500))
    assert inside is not None
    wanted = json.loads((ROOT / "package.json").read_text())["dependencies"]
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert wanted["plotly.js-basic-dist-min"] == inside[1]
    assert locked["node_modules/plotly.js-basic-dist-min"]["version"] == inside[1]


def test_what_npm_brings_is_pinned_hashed_free_and_there_for_every_processor_of_ours() -> None:
    described = json.loads((ROOT / "package.json").read_text())
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert locked.pop("")["dependencies"] == described["dependencies"]
    for name, version in {**described["dependencies"], **described["devDependencies"]}.items():
        assert locked[f"node_modules/{name}"]["version"] == version, "pinned exactly"
    for name, entry in locked.items():
        assert entry["integrity"].startswith("sha512-"), name
        free = ("MIT", "Apache-2.0", "MIT OR Apache-2.0", *(["MPL-2.0"] if entry.get("dev") else []))
        assert entry["license"] in free, name
        assert "resolved" not in entry, f"{name}: the address of a registry"
        assert not name.startswith("node_modules/@esbuild/") or not entry.get("dev"), name
    for processor in ("x64", "arm64"):
        for program in ("@esbuild/linux", "@biomejs/cli-linux", "@typescript/typescript-linux"):
            assert f"node_modules/{program}-{processor}" in locked


def test_no_address_of_a_registry_and_no_path_of_one_machine_is_committed() -> None:
    assert lines_with(HOSTS_OF_REGISTRIES) == []
    assert lines_with(PATHS_OF_ONE_MACHINE, but=("tests/",)) == []


def test_no_secret_of_ours_is_committed_outside_of_tests() -> None:
    assert lines_with(SECRETS, but=("tests/",)) == []


def test_no_private_key_is_committed_and_git_takes_none() -> None:
    """Also none of a test: tests make theirs. `certs/private/` and whatever is called .pem or .key stays here."""
    assert lines_with(re.compile(r"^-----BEGIN [A-Z ]*PRIVATE KEY-----")) == []
    assert [path.name for path in tracked() if path.suffix in (".pem", ".key", ".p12", ".pfx")] == []
    secret = ["certs/private/authority.pem", "certs/private/clients/rvm-1.pem", "data/hub.key", "hub.pem"]
    asked = ["git", "check-ignore", *secret]
    ignored = subprocess.run(asked, cwd=ROOT, check=False, capture_output=True).stdout.decode().split()
    assert ignored == secret


def test_no_promise_is_left_in_the_code() -> None:
    assert lines_with(PROMISES) == []


def test_nothing_big_is_committed() -> None:
    assert [path for path in tracked() if path.stat().st_size > 1_000_000] == []


def test_every_file_is_python_3_10_and_the_doors_can_refuse_older_ones() -> None:
    for path in tracked():
        if path.suffix == ".py":
            ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 10))
    for door in ("bootstrap.py", "run_hub.py", "run_device.py", "run_tests.py", "installer/carried_python.py"):
        tree = ast.parse((ROOT / door).read_text(encoding="utf-8"), door, feature_version=(3, 6))
        ours = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
        assert not ours, f"{door}: Python 3.6 knows no future annotations"


def test_the_doors_open_with_bootstrap_before_anything_of_ours() -> None:
    for door in ("run_hub.py", "run_device.py", "run_tests.py"):
        text = (ROOT / door).read_text()
        ours = re.findall(r"^(?:import|from) (bootstrap|hub|device|protocol|db)\b", text, re.MULTILINE)
        assert ours[0] == "bootstrap", door


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()


def test_one_version_everywhere() -> None:
    assert f'version = "{PRODUCT_VERSION}"' in (ROOT / "pyproject.toml").read_text()
    assert re.search(rf"^## \[({re.escape(PRODUCT_VERSION)}|Unreleased)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)


def test_the_checks_of_a_submission_are_the_newcomers_command() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "python3 run_tests.py" in script.read_text()


@pytest.mark.parametrize("readme", ["README.md", "README.id.md"])
def test_the_readme_has_the_two_commands(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    assert "python3 run_hub.py --demo" in text
    assert "python3 run_tests.py" in text


def test_the_hook_of_a_commit_is_a_command_of_the_tests_door() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert "entry: python3 run_tests.py --static" in text


def test_what_a_start_makes_is_not_committed() -> None:
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {".venv*/", "node_modules/", "/data/", "__pycache__/"} <= set(ignored)
