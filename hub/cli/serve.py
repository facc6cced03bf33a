"""`run_hub.py` without a verb: make ready, serve, say where. The hub itself is hub.serving."""

from __future__ import annotations

import argparse
import asyncio

from certs.secret_file import look_at
from hub.cli import valid
from hub.cli.data_door import open_data, settings_of
from hub.cli.first_start import prepare_people
from hub.cli.sign_in_link import SignInLink
from hub.cli.start_output import check_address, show_start, wants_browser
from hub.settings import Settings


def serve(wanted: argparse.Namespace) -> int:
    """Runs until SIGTERM or Ctrl-C; the exit code of the hub."""
    settings = settings_of(wanted)
    check_address(settings)
    if settings.tls_key is not None:
        with valid.refused_secrets():
            look_at(settings.tls_key)
    link = asyncio.run(_prepare(settings))
    from hub import serving

    return serving.serve(settings, lambda url: show_start(settings, url, link, open_browser=wants_browser(wanted)))


async def _prepare(settings: Settings) -> SignInLink | None:
    async with open_data(settings, create=True, serving=True) as door:
        return await prepare_people(door, settings, always=False)
