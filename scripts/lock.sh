#!/usr/bin/env bash
# Makes the pinned, hashed requirement files in locks/, one per Python and circle (device, hub, test). Needs uv.
set -euo pipefail
cd "$(dirname "$0")/.."
for python in 3.10 3.11 3.12 3.13; do
  for circle in device hub test; do
    uv pip compile pyproject.toml --extra "$circle" --python-version "$python" --universal --generate-hashes --no-strip-extras \
      --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet "$@" -o "locks/$circle-$python.txt"
  done
done
