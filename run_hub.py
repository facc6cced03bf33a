"""The hub's door: `run_hub.py --demo`, `run_hub.py`, `run_hub.py machine add NAME` ... (see --help).

It only opens: what was asked for is read with the standard library, so that help and a wrong flag are answered at once;
then the environment is entered and the rest happens in hub.cli, or in demo for `--demo`. `install`, `uninstall` and
`bundle` are the installer's, which needs no environment.
"""

import argparse
import sys

import bootstrap
from hub.cli import main


def door() -> int:
    if sys.argv[1:2] in (["install"], ["uninstall"], ["bundle"]):
        from installer import cli

        return cli.main("run_hub.py", sys.argv[1:])
    wanted = main.read(sys.argv[1:])
    bootstrap.enter("hub")
    return main.run(wanted, _demo, _installer)


def _demo(wanted: argparse.Namespace) -> int:
    from demo import start

    return start.run(wanted)


def _installer() -> argparse.ArgumentParser:
    from installer import cli

    return cli.grammar("run_hub.py")


if __name__ == "__main__":
    sys.exit(door())
