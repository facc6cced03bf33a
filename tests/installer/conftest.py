"""The proof under a real systemd takes minutes, a Debian root and a bundle, which the environment names: it is run by
hand."""

from __future__ import annotations

import os

collect_ignore = [] if all(map(os.environ.get, ("TEST_INSTALL_ROOT", "TEST_INSTALL_BUNDLE"))) else ["test_booted.py"]
