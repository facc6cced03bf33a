"""What the demo's real machine lets people reach through a lease, from this computer only: a control page, a camera
page that starts when it is opened, and a folder for files.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

CAMERA_PORT: Final = 5000
CONTROL_PORT: Final = 5001
HERE: Final = ["127.0.0.1/32", "::1/128"]
"""A demo listens on loopback, and so its people come from there. The default of a real machine is another."""


def remote_settings(files: Path) -> dict[str, Any]:
    """Keys of the agent's file. A port that is taken here gives way to a free one."""
    _make_folder(files)
    camera = free_port(CAMERA_PORT)
    control = free_port(CONTROL_PORT)
    return {
        "admin_ips": HERE,
        "remote_access_port": control,
        "remote_access_ports": [camera, control],
        "remote_services": {str(camera): {"start": [sys.executable, "-m", "demo.camera", "--port", str(camera)]}},
        "remote_download_folders": [str(files)],
        "remote_upload_folders": [str(files)],
    }


def _make_folder(files: Path) -> None:
    """An agent that is root opens files with the rights of somebody who gets into no folder of root's: then what is
    declared is a link to a folder where everybody gets."""
    if os.geteuid() != 0 or files.is_dir():
        files.mkdir(mode=0o755, exist_ok=True)
        return
    files.unlink(missing_ok=True)
    place = Path(tempfile.mkdtemp(prefix="myrvm-demo-files-"))
    place.chmod(0o1777)
    files.symlink_to(place)


def free_port(wanted: int) -> int:
    """The port itself if it can be had on loopback, else any that can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES) or not wanted:
                raise
            return free_port(0)
        return int(probe.getsockname()[1])
