"""A hub for tests: `python -m tests.support.serve_hub '{"data_dir": ...}'` prints its URL when it accepts."""

from __future__ import annotations

import json
import sys

from hub.serving import serve
from hub.settings import Settings
from tests.support.hub_probe import watch

if __name__ == "__main__":
    settings = Settings.load(json.loads(sys.argv[1]), {})
    watch(settings.data_dir)
    sys.exit(serve(settings, lambda url: print(url, flush=True)))
