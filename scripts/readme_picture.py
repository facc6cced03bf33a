"""Makes the picture of the README from a running demo, so that it is never stale.

python -m scripts.readme_picture          starts the demo in a temporary folder and writes docs/pictures/demo-{light,dark}.png

The fleet page at 1440 pixels and a machine page on a phone stand side by side in one image, once a theme.
"""

from __future__ import annotations

import base64
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.support.browser import chromium_arguments, find_chromium

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
WARM_UP_MS = 75_000
"""So long the demo runs before the pictures: a sparkline and a chart need something to show."""

SHEET = """<!doctype html><style>
body{{margin:0;background:{background};width:1600px;height:900px;position:relative;overflow:hidden}}
img{{position:absolute;border-radius:12px;box-shadow:0 6px 30px #0005}}
.desk{{left:40px;top:40px;width:1240px}} .phone{{right:40px;top:110px;width:350px}}
</style><img class=desk src="{desk}"><img class=phone src="{phone}">"""


def main() -> int:
    """Start the demo, look at it, stop it."""
    chromium = find_chromium()
    if chromium is None:
        print("no chromium found: install Debian's package chromium", file=sys.stderr)
        return 1
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "run_hub.py", "--demo", "--data-dir", folder, "--port", str(port)]
        demo = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            link = _sign_in_link(demo)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=str(chromium), args=chromium_arguments())
                _take(browser, link)
                browser.close()
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(timeout=40)
    return 0


def _sign_in_link(demo: subprocess.Popen[str]) -> str:
    assert demo.stdout is not None
    for line in demo.stdout:
        found = re.search(r"http\S+/signin#\S+", line)
        if found:
            return found.group(0)
    raise SystemExit("the demo ended without printing a sign-in link")


def _take(browser: Browser, link: str) -> None:
    base = link.split("/signin")[0]
    first = browser.new_context(viewport={"width": 1440, "height": 940}, device_scale_factor=1.5)
    desk = first.new_page()
    desk.goto(link)
    desk.wait_for_url(f"{base}/")
    desk.wait_for_timeout(WARM_UP_MS)
    state = first.storage_state()
    phone_context = browser.new_context(
        viewport={"width": 390, "height": 844}, device_scale_factor=2, is_mobile=True, storage_state=state
    )
    phone = phone_context.new_page()
    phone.goto(f"{base}/machines/3")
    phone.wait_for_timeout(10_000)
    for theme, background in (("light", "#dfe5ec"), ("dark", "#05080b")):
        for page in (desk, phone):
            page.emulate_media(color_scheme="light" if theme == "light" else "dark")
        phone.wait_for_timeout(3_000)
        sheet = SHEET.format(background=background, desk=_data(desk.screenshot()), phone=_data(phone.screenshot()))
        canvas = browser.new_page(viewport={"width": 1600, "height": 900})
        canvas.set_content(sheet)
        canvas.screenshot(path=PICTURES / f"demo-{theme}.png")
        canvas.close()


def _data(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


if __name__ == "__main__":
    sys.exit(main())
