"""The page in Chromium: bytes of each asset, first paint, and the time from the hub's stamp to the pixels.

    python -m bench.page [--machines 20]

Beside it, the same stamp shown by a page of ten lines from a bare endpoint: what the browser itself takes.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

from bench import meter, report, scene
from bench.hub import ADMIN, Hub
from bench.load_spec import Spec
from bench.processes import Load, on_core

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
HOOK = """
window.__delays = [];
const Plain = window.WebSocket;
window.WebSocket = class extends Plain {
  constructor(...args) {
    super(...args);
    this.addEventListener("message", (event) => {
      const said = JSON.parse(event.data);
      if (said.type !== "delta") return;
      // The second frame begins when the first, which shows the change, has been drawn.
      requestAnimationFrame(() => requestAnimationFrame(() => window.__delays.push(Date.now() - said.t)));
    });
  }
};"""
TIMING = """() => {
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const all = [performance.getEntriesByType("navigation")[0], ...performance.getEntriesByType("resource")];
  return {paint: paint ? paint.startTime : 0, assets: all.map((each) => [
    new URL(each.name).pathname, each.encodedBodySize, each.decodedBodySize])};
}"""


class Seen(NamedTuple):
    """One visit: the first paint, assets as (path, bytes sent, bytes unpacked), delays from stamp to pixels."""

    paint_ms: float
    assets: list[tuple[str, int, int]]
    delays_ms: list[float]


def main(argv: list[str] | None = None) -> int:
    parser = scene.parser("page", __doc__, machines=20, seconds=6.0)
    options = parser.parse_args(argv)
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        report.say("no Chromium on this computer: install chromium")
        return 6
    with scene.Scene(options.database) as stage:
        server, running = stage.bare("page"), stage.hub(options.machines)
        with sync_playwright() as playwright, on_core(1):
            load = Load(live_spec(running, options.machines, options.seconds * (3 * options.repeat + 3) + 60))
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            origin, sign_in = f"http://127.0.0.1:{running.server.port}", _signer(running)
            turns = range(options.repeat)
            bare = [_visit(browser, f"http://127.0.0.1:{server.port}/", options.seconds) for _ in turns]
            fleet = [_visit(browser, f"{origin}/", options.seconds, sign_in) for _ in turns]
            one = f"{origin}/machines/{running.seed.ids[0]}"
            machine = [_visit(browser, one, options.seconds, sign_in) for _ in turns]
            browser.close()
            load.stop()
    report.heading(f"page: {options.machines} machines at 1 Hz, Chromium on the load's core")
    for name, visits in (("bare page", bare), ("Machines", fleet), ("machine Overview", machine)):
        _print(name, visits)
    report.ratio("Machines / bare: stamp to pixels p50", _medians(fleet), _medians(bare), "-")
    return 0


def live_spec(running: Hub, machines: int, seconds: float) -> Spec:
    return Spec(form="live", target=running.target(machines), watch=running.server.pids, rate=1.0, seconds=seconds)


def _signer(running: Hub) -> Callable[[Page, str], None]:
    def sign_in(page: Page, origin: str) -> None:
        page.goto(f"{origin}/login")
        page.fill("#email", ADMIN)
        page.fill("#password", running.seed.password)
        page.click("form[action='/login'] button.main")
        page.wait_for_url(f"{origin}/")

    return sign_in


def _visit(browser: Browser, url: str, seconds: float, sign_in: Callable[[Page, str], None] | None = None) -> Seen:
    """A fresh browser profile meets the page for the first time, with an empty cache."""
    context = browser.new_context()
    page = context.new_page()
    if sign_in is not None:
        sign_in(page, "/".join(url.split("/")[:3]))
        cookies = context.cookies()
        context.close()
        context = browser.new_context()
        context.add_cookies(cookies)  # type: ignore[arg-type]  # playwright reads and takes them in two types
        page = context.new_page()
    page.add_init_script(HOOK)
    page.goto(url)
    time.sleep(seconds)
    timing: dict[str, Any] = page.evaluate(TIMING)
    delays = page.evaluate("window.__delays")
    context.close()
    assets = [(str(path), int(sent), int(unpacked)) for path, sent, unpacked in timing["assets"]]
    return Seen(float(timing["paint"]), assets, [float(delay) for delay in delays])


def _print(name: str, visits: list[Seen]) -> None:
    report.row(f"{name}: first contentful paint", [visit.paint_ms for visit in visits], "ms", 0)
    report.row(f"{name}: bytes sent", [sum(a[1] for a in visit.assets) / 1024 for visit in visits], "KiB", 1)
    for path, sent, unpacked in sorted(visits[-1].assets, key=lambda asset: -asset[1]):
        report.say(f"      {sent / 1024:>9,.1f} KiB sent {unpacked / 1024:>9,.1f} KiB unpacked  {path}")
    if any(visit.delays_ms for visit in visits):
        report.row(f"{name}: stamp to pixels p50", _medians(visits), "ms", 0)
        report.row(f"{name}: stamp to pixels p99", [meter.percentile(v.delays_ms, 99) for v in visits], "ms", 0)


def _medians(visits: list[Seen]) -> list[float]:
    return [meter.percentile(visit.delays_ms, 50) for visit in visits]


if __name__ == "__main__":
    sys.exit(main())
