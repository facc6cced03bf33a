"""The proof under a real systemd takes minutes, and a Debian root that TEST_INSTALL_ROOT names: it is run by hand."""

from __future__ import annotations

import os

collect_ignore = [] if all(map(os.environ.get, ("TEST_INSTALL_ROOT",))) else ["test_booted.py"]
