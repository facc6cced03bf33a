"""`python -m device`: the agent's command line without the door that makes an environment."""

import sys

from device.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
