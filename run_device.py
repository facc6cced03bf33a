"""The machine agent's door: `run_device.py --config FILE`, `run_device.py doctor --config FILE` (see --help)."""

import sys

import bootstrap


def door() -> int:
    bootstrap.enter("device")
    from device.cli.main import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(door())
