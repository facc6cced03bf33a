"""The machine agent's door: `run_device.py --config FILE`, `run_device.py doctor --config FILE` (see --help).

`install` and `uninstall` make or remove an environment of their own, and need none here.
"""

import argparse
import sys

import bootstrap


def door() -> int:
    if sys.argv[1:2] in (["install"], ["uninstall"]):
        from installer import cli

        return cli.main("run_device.py", sys.argv[1:])
    bootstrap.enter("device")
    from device.cli.main import main

    return main(sys.argv[1:], installer=_installer)


def _installer() -> argparse.ArgumentParser:
    from installer import cli

    return cli.grammar("run_device.py")


if __name__ == "__main__":
    sys.exit(door())
