"""The door of `python3 -m certs`: help needs the standard library alone, the rest the hub's environment."""

import sys

import bootstrap
from certs.words import read


def door() -> int:
    wanted = read(sys.argv[1:])
    arguments = sys.argv[1:]
    sys.argv[:] = ["-m", "certs", *arguments]  # as the environment's own Python is to continue
    bootstrap.enter("hub")
    from certs.verbs import run

    return run(wanted)


if __name__ == "__main__":
    sys.exit(door())
