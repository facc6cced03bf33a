"""The proofs under a real systemd and on many Pythons take minutes, a Debian root and a bundle, which the environment
names: they are run by hand."""

from __future__ import annotations

import os

NEEDS = {
    "test_aarch64.py": ("TEST_AARCH64_ROOT", "TEST_INSTALL_BUNDLE"),
    "test_booted.py": ("TEST_INSTALL_ROOT", "TEST_INSTALL_BUNDLE"),
    "test_bundle_pythons.py": ("TEST_INSTALL_BUNDLE", "TEST_INSTALL_PYTHONS"),
}
collect_ignore = [name for name, wanted in NEEDS.items() if not all(map(os.environ.get, wanted))]
