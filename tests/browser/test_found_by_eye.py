"""Forty faults that were found by eye: `HELD` names the tests that hold each. Those here look at the page as somebody
does: on a phone upright and lying, a tablet, in windows; in the zone of the site and in others."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Route, expect

from protocol import messages as m
from tests.browser.conftest import Stage
from tests.support.browser import LATELY, Tab, tab
from tests.support.forked_hub import forked_hub
from tests.support.lively_machine import lively
from tests.support.machine_client import MachineClient

LOOKS: Final[tuple[dict[str, Any], ...]] = (
    {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "timezone_id": "Asia/Jakarta"},
    {"viewport": {"width": 844, "height": 390}, "has_touch": True, "is_mobile": True, "timezone_id": "Asia/Jayapura"},
    {"viewport": {"width": 768, "height": 1024}, "has_touch": True, "timezone_id": "America/New_York"},
    {"viewport": {"width": 1024, "height": 768}, "timezone_id": "Asia/Jakarta"},
    {"viewport": {"width": 1440, "height": 900}, "timezone_id": "Asia/Jakarta"},
)
PHONE, DESK = LOOKS[0], LOOKS[-1]
HERE: Final = "tests/browser/test_found_by_eye.py"
NEEDS: Final = "tests/browser/test_attention.py"
NIGHT: Final = "tests/browser/test_night_operator.py"
WIDTHS: Final = "tests/browser/test_every_width.py"
EVERY: Final = "tests/browser/test_every_page.py"
HELD: Final[dict[int, tuple[str, ...]]] = {
    1: (f"{HERE}::test_the_key_of_the_first_machine_is_shown_though_the_feed_is_faster",
        "tests/browser/test_machine_page.py::test_the_file_of_the_page_starts_the_agent_and_a_reload_loses_no_key"),
    2: ("tests/browser/test_first_machine.py::test_the_block_that_is_shown_connects_the_machine",),
    3: (f"{HERE}::test_hot_though_in_maintenance_is_trouble_and_nothing_is_called_fine",
        f"{HERE}::test_a_machine_that_never_connected_is_called_so_and_nothing_else",
        "tests/hub/machines/test_attention.py::test_all_are_fine_only_when_every_machine_is_live_and_was_connected_once"),
    4: (f"{NIGHT}::test_an_outage_is_one_line_at_once_and_nobody_is_counted_twice",
        "tests/hub/machines/test_attention.py::test_many_that_went_together_are_one_line_at_once_and_all_counted",
        "tests/hub/machines/test_attention.py::test_one_that_is_gone_is_in_the_list_within_a_minute"),
    5: ("tests/browser/test_silence.py::test_the_list_says_so_puts_an_age_on_each_machine_and_takes_fine_back",
        "tests/browser/test_links.py::test_a_terminal_says_how_long_nothing_answers"),
    6: (f"{HERE}::test_the_last_report_of_an_offline_machine_is_shown_as_past",
        f"{HERE}::test_facts_and_zone_of_an_offline_machine_are_of_its_last_report",
        f"{HERE}::test_a_machine_that_never_connected_is_called_so_and_nothing_else"),
    7: ("tests/browser/test_people.py::test_a_technician_is_invited_and_works_in_their_own_language",
        "tests/browser/test_people.py::test_what_is_taken_away_goes_at_once_and_what_is_given_comes"),
    8: ("tests/browser/test_phone_terminal.py::test_on_a_phone_it_is_two_taps_and_above_the_keyboard",
        "tests/browser/test_phone_terminal.py::test_on_a_desk_the_prompt_is_above_the_fold"),
    9: (f"{WIDTHS}::test_the_header_is_whole_with_everything_in_it",),
    10: (f"{HERE}::test_backups_are_offered_only_where_they_are_made",
         "tests/browser/test_backups.py::test_a_backup_is_the_same_on_every_screen_and_after_a_reload",
         "tests/hub/backups/test_page.py::test_the_green_mark_is_for_what_was_restored_and_compared"),
    11: (f"{NIGHT}::test_who_waits_for_an_approval_and_why_a_session_ended_is_seen_on_every_screen",
         "tests/hub/machines/test_attention.py::test_who_may_approve_sees_who_waits_and_nobody_sees_the_own_request",
         "tests/hub/remote/test_remote_page.py::test_whose_session_somebody_else_ends_reads_by_whom_and_why"),
    12: (f"{NIGHT}::test_events_are_happenings_in_one_zone_and_one_language",
         f"{NIGHT}::test_a_remote_session_is_one_line_in_the_readers_language",
         "tests/dashboard/test_happenings.py::test_a_job_grows_in_its_line",
         "tests/dashboard/test_happenings.py::test_a_bin_is_shown_when_it_crosses_a_limit",
         "tests/dashboard/test_happenings.py::test_nothing_english_stands_in_a_list_in_indonesian"),
    13: (f"{WIDTHS}::test_nothing_is_cut_off_on_a_phone", f"{EVERY}::test_every_page_of_an_administrator"),
    14: ("tests/browser/test_undo.py::test_a_status_is_confirmed_beside_its_button_and_taken_back_there",
         "tests/browser/test_parts.py::test_a_row_stays_until_its_trouble_is_over_and_a_second_press_asks_nothing",
         "tests/hub/status/test_undo.py::test_the_attention_list_invents_no_reason"),
    15: (f"{NIGHT}::test_maintenance_without_a_reason_is_asked_for_it",
         "tests/hub/status/test_undo.py::test_the_hub_wants_a_reason_of_a_person_at_the_dashboard"),
    16: (f"{HERE}::test_on_a_phone_what_matters_comes_first_and_its_name_stays",
         f"{HERE}::test_rows_are_low_and_everything_is_in_reach_of_a_finger"),
    17: ("tests/browser/test_reading.py::test_charts_come_first_fit_what_they_show_and_share_the_pointer",),
    18: (f"{HERE}::test_the_small_lines_are_lines_from_the_first_visit",
         f"{HERE}::test_the_range_of_the_last_hours_is_the_hubs_however_old_the_newest_sample_is",
         "tests/dashboard/test_sparkline.py::test_a_machine_that_keeps_samples_more_rarely_has_no_gap_between_them",),
    19: ("tests/browser/test_front_page.py::test_pages_are_called_by_name_from_the_label_to_the_open_page",),
    20: ("tests/browser/test_remote_access.py::test_a_remote_session_from_its_start_to_its_end",
         "tests/browser/test_remote_access.py::test_a_file_of_that_name_is_replaced_by_the_box_that_the_refusal_names",
         "tests/hub/remote/test_remote_files.py::test_a_refusal_of_the_machine_is_a_sentence"),
    21: ("tests/browser/test_ways_out.py::test_services_that_nobody_declared_are_not_asked_for",
         "tests/hub/status/test_undo.py::test_services_that_nobody_declared_are_not_asked_for"),
    22: ("tests/browser/test_people.py::test_signing_out_everywhere",
         "tests/browser/test_touch_and_forms.py::test_the_guide_breaks_no_word",
         "tests/dashboard/test_guide.py::test_what_the_guide_sends_people_to_is_called_so_on_the_dashboard",
         "tests/dashboard/test_guide.py::test_nothing_of_the_guide_is_lost_and_no_mark_of_its_file_is_left"),
    23: ("tests/hub/people/test_users.py::test_a_new_invitation_lasts_three_days_and_ends_the_one_before",
         "tests/browser/test_ways_out.py::test_a_weak_password_is_refused_in_sight",
         "tests/hub/people/test_user_pages.py::test_an_invitation_lets_in_in_spite_of_a_lock",
         "tests/browser/test_people.py::test_who_is_locked_out_reads_the_way_back_in"),
    24: ("tests/browser/test_people.py::test_the_first_administrator_keeps_the_language_of_their_browser",
         "tests/hub/people/test_user_pages.py::test_the_first_administrator_has_the_browsers_language"),
    25: ("tests/browser/test_ways_out.py::test_a_remote_session_that_is_refused_says_where_it_would_not_be",
         "tests/hub/remote/test_remote_page.py::test_what_was_typed_is_kept_when_it_is_refused"),
    26: ("tests/browser/test_ways_out.py::test_settings_that_the_fleet_has_none_of_are_run_by_nobody",
         "tests/browser/test_ways_out.py::test_who_refuses_settings_is_named_wherever_somebody_looks",
         "tests/browser/test_ways_out.py::test_a_wrong_time_zone_is_named_in_the_list",
         "tests/hub/machine_settings/test_settings_page.py::test_who_refuses_one_is_not_among_those_that_run_them",
         "tests/hub/machines/test_attention.py::test_settings_refused_and_a_wrong_time_zone_are_trouble"),
    27: ("tests/browser/test_people.py::test_a_zone_is_chosen_on_the_phone_and_every_list_follows",),
    28: ("tests/browser/test_undo.py::test_back_takes_back_a_filter_and_the_breadcrumb_keeps_it",),
    29: ("tests/browser/test_ways_out.py::test_a_spreadsheet_comes_as_the_readers_program_opens_it",
         "tests/browser/test_ways_out.py::test_a_spreadsheet_is_in_the_readers_own_zone"),
    30: ("tests/browser/test_ways_out.py::test_full_is_asked_for_once_more_when_the_bin_says_otherwise",
         "tests/hub/status/test_undo.py::test_full_is_asked_for_once_more_when_the_bin_says_otherwise",),
    31: ("tests/browser/test_settings_and_zone.py::test_what_somebody_else_saved_is_shown_and_what_was_typed_stays",),
    32: (f"{EVERY}::test_every_page_of_an_administrator",
         "tests/browser/test_touch_and_forms.py::test_a_missing_reason_is_tied_to_its_field"),
    33: ("tests/browser/test_touch_and_forms.py::test_with_forced_colours_only_the_current_page_is_marked",),
    34: (f"{EVERY}::test_every_page_of_an_administrator", f"{EVERY}::test_a_session_its_files_and_its_recording",
         f"{HERE}::test_rows_are_low_and_everything_is_in_reach_of_a_finger"),
    35: (f"{WIDTHS}::test_the_counters_fill_their_rows", f"{EVERY}::test_a_session_its_files_and_its_recording",
         f"{WIDTHS}::test_nothing_is_cut_off_in_a_window", f"{EVERY}::test_every_page_of_an_administrator",
         "tests/browser/test_touch_and_forms.py::test_the_guide_breaks_no_word"),
    36: ("tests/browser/test_reading.py::test_the_page_of_the_hub_shows_its_state_and_stays_current",
         "tests/browser/test_machine_page.py::test_each_tab_of_a_machine_is_named_by_its_title",
         "tests/browser/test_silence.py::test_pages_without_values_of_their_own_say_so_as_well"),
    37: ("tests/browser/test_settings_and_zone.py::test_a_sync_that_failed_shows_how_far_it_came_and_why",
         "tests/browser/test_jobs.py::test_a_job_is_seen_on_every_screen_and_the_same_after_a_reload",
         "tests/dashboard/test_zone.py::test_how_far_a_sync_has_come_and_which_step_failed"),
    38: (f"{NEEDS}::test_a_busy_cpu_is_trouble_after_a_minute_and_no_single_sample_takes_it_in_or_out",
         f"{NEEDS}::test_a_machine_that_was_shut_down_is_no_silent_one",
         "tests/dashboard/test_decisions.py::test_what_is_wrong_with_a_machine"),
    39: ("tests/browser/test_first_machine.py::test_the_block_that_is_shown_connects_the_machine",),
    40: ("tests/browser/test_people.py::test_a_password_is_shown_by_keyboard_and_hidden_when_it_is_sent",
         f"{HERE}::test_on_a_phone_what_matters_comes_first_and_its_name_stays"),
}  # fmt: skip


def test_each_fault_is_held_by_a_test_that_is_there() -> None:
    assert list(HELD) == list(range(1, 41))
    root = Path(__file__).parents[2]
    missing = []
    for fault, tests in HELD.items():
        for test in tests:
            file, _, name = test.partition("::")
            if not (root / file).is_file() or f"def {name}(" not in (root / file).read_text(encoding="utf-8"):
                missing.append((fault, test))
    assert missing == []


@asynccontextmanager
async def at_every_width(stage: Stage, path: str) -> AsyncIterator[list[Tab]]:
    """One page open in each of LOOKS; none may slide sideways or break a script."""
    async with AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(tab(stage.browser, stage.hub, **look)) for look in LOOKS]
        for page in pages:
            await page.open(path)
            await page.live()
        yield pages
        for page in pages:
            assert await page.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
                page.page.viewport_size
            )
            assert page.faults == []


async def top_of(page: Tab, selector: str) -> float:
    box = await page.page.locator(selector).first.bounding_box()
    assert box is not None, selector
    return box["y"]


@pytest.mark.parametrize(("look", "presses"), [(PHONE, 1), (DESK, 2)], ids=["390", "1440"])
async def test_the_key_of_the_first_machine_is_shown_though_the_feed_is_faster(
    tmp_path: Path, browser: Browser, look: dict[str, Any], presses: int
) -> None:
    """The open page hears of the machine before it has the answer to its own form; a second press, which sends nothing,
    made it forget that it waits for one."""
    async with forked_hub(tmp_path) as hub, tab(browser, hub, **look) as page:
        heard = asyncio.Event()

        def frame(payload: str | bytes) -> None:
            if "RVM-001" in str(payload):
                heard.set()

        page.page.on("websocket", lambda socket: socket.on("framereceived", frame))
        await page.open("/")
        await page.live()
        await expect(page.page.locator("h1")).to_have_text("Add your first machine")

        async def answer_late(route: Route) -> None:
            answer = await route.fetch(max_redirects=0)
            await heard.wait()
            await asyncio.sleep(0.5)  # what the page may do about it
            await route.fulfill(response=answer)

        await page.page.route("**/admin/enrol/machine", answer_late)
        await page.page.fill("#name", "RVM-001")
        await page.page.click("main form button", click_count=presses)
        await page.page.wait_for_url("**/machines/1/enrol")
        await expect(page.page.locator("#code")).to_have_text(re.compile("^RVM-"))
        assert page.faults == []


async def test_hot_though_in_maintenance_is_trouble_and_nothing_is_called_fine(stage: Stage) -> None:
    stage.machine.members = {"temperature": 95.0}
    async with stage.hub.client() as client:
        asked = {"status": "maintenance", "reason": "belt"}
        assert (await client.patch("/api/v2/rvms/1/status?wait=10", json=asked)).status_code == 200
    sari = await stage.hub.people.add("technician", (stage.keys[0].id,))
    for look in LOOKS:
        async with tab(stage.browser, stage.hub, sari, **look) as page:
            await page.open("/")
            await page.live()
            row = page.page.locator("#attention li")
            await expect(row).to_have_count(1)
            await expect(row).to_contain_text("Hot: 95")
            await expect(row.locator(".since")).to_have_text(re.compile(r"\d"))
            await expect(page.page.locator("#calm")).to_be_hidden()
            await expect(page.page.locator("#alarms")).to_have_text("1")
            await expect(page.page).to_have_title("(1) Machines – RVM")
            assert page.faults == []


GREEN: Final = "getComputedStyle(document.querySelector('#link-chip .dot')).backgroundColor"


async def goes_off(stage: Stage) -> None:
    """Switched off in order, after it has been seen with all that a page shows of it."""
    async with lively(stage.hub, stage.keys[2], capabilities=[]) as machine, tab(stage.browser, stage.hub) as page:
        machine.members = {"uptime_s": 75.0}
        zone = m.TimezoneReport(
            timezone="Asia/Jakarta", system_timezone="Asia/Jakarta", source="lookup", sync_method="automatic",
            applied=True, timestamp=datetime.now(timezone.utc).isoformat(),
        )  # fmt: skip
        await machine.say(zone)
        await page.open("/machines/3")
        await page.live()
        await expect(page.page.locator(".tile[data-m=cpu_usage] [data-value]")).to_contain_text("20")
        await expect(page.page.locator("[data-fact=uptime]")).to_contain_text("1\u202fmin")
        await expect(page.page.locator("#zone [data-state]")).to_contain_text("Time zone correct")
        await machine.say(m.Bye(reason="shutdown"))


@pytest.mark.parametrize("look", [PHONE, DESK], ids=["390", "1440"])
async def test_facts_and_zone_of_an_offline_machine_are_of_its_last_report(stage: Stage, look: dict[str, Any]) -> None:
    await goes_off(stage)
    async with tab(stage.browser, stage.hub, **look) as page:
        await page.open("/machines/3")
        await page.live()
        main = page.page.locator("main")
        await expect(main.locator("#status-known")).to_be_visible()
        await expect(main.locator("[data-fact=uptime]")).to_have_text("last 1\u202fmin 15\u202fs")
        await expect(main.locator("[data-fact=clock]")).to_have_text(re.compile(r"^last [+\u2212]\d"))
        await expect(main.locator("#zone [data-state]")).to_contain_text("last known")
        await expect(main.locator("#zone [data-state] .i")).to_have_class("i quiet")
        assert page.faults == []


async def test_the_last_report_of_an_offline_machine_is_shown_as_past(stage: Stage) -> None:
    """Nothing ticks, nothing is called now, nothing is green."""
    await goes_off(stage)
    for look in LOOKS:
        async with tab(stage.browser, stage.hub, **look) as page:
            await page.open("/machines/3")
            await page.live()
            main = page.page.locator("main")
            await expect(main.locator("#head")).to_have_class(re.compile("past"))
            await expect(main.locator("#connection")).to_contain_text("Offline")
            await expect(main.locator("#status-known")).to_have_text("last known")
            # In the site's time, wherever the browser is; without seconds, which would tick.
            await expect(main.locator("[data-fact=time]")).to_have_text(re.compile(rf"^last {LATELY} \d\d:\d\d WIB$"))
            await expect(main.locator("[data-fact=uptime]")).to_have_text(re.compile("^last 1"))
            await expect(main.locator("[data-chart=load] [data-live]")).to_have_text(re.compile(f"^Until {LATELY}"))
            await expect(main.locator("[data-chart=load] [data-caption]")).not_to_contain_text("now")
            pill = "getComputedStyle(document.querySelector('.pill .i')).color"
            assert await page.page.evaluate(pill) != await page.page.evaluate(GREEN)
            while "offline" not in await main.locator(".legend").inner_text():
                await page.open("/machines/3")  # the band has no piece of less than a second
            await expect(main.locator(".legend")).to_have_text(re.compile(r"Active .* of it offline$", re.DOTALL))
            await page.open("/m/3")
            await page.live()
            await expect(page.page.locator("#front-state")).to_contain_text(re.compile(f"last known since {LATELY}"))
            await expect(page.page.locator("#front-state")).to_have_css("display", "flex")
            assert await page.page.evaluate(pill) != await page.page.evaluate(GREEN)
            assert page.faults == []


async def test_a_machine_that_never_connected_is_called_so_and_nothing_else(stage: Stage) -> None:
    for look in LOOKS:
        async with tab(stage.browser, stage.hub, **look) as page:
            for path, state in (("/machines/3", "#head .state-line"), ("/m/3", "#front-state")):
                await page.open(path)
                await page.live()
                await expect(page.page.locator(state)).to_contain_text("Not connected yet")
                await expect(page.page.locator(state)).not_to_contain_text("Active")
            await page.open("/machines/3")
            await expect(page.page.locator(".legend")).to_have_text("Not connected yet")
            await expect(page.page.locator(".band rect:not(.none)")).to_have_count(0)
            assert page.faults == []


async def test_the_range_of_the_last_hours_is_the_hubs_however_old_the_newest_sample_is(stage: Stage) -> None:
    """Its newest sample is of an earlier five minutes than the page."""
    kept = [m.Sample(timestamp=time.time() - ago, cpu_usage=cpu) for ago, cpu in ((3600, 10), (1200, 90), (900, 30))]
    async with MachineClient.connect(stage.hub.websocket_url, stage.keys[2]) as machine:
        await machine.say_hello()
        await machine.say(m.Metrics(seq=3, samples=kept))
        await machine.hear(m.MetricsAck)
        async with tab(stage.browser, stage.hub) as page:
            await page.open("/machines/3")
            await page.live()
            tile = page.page.locator(".tile[data-m=cpu_usage]")
            await expect(tile.locator("[data-value]")).to_contain_text("30")
            await expect(tile.locator("[data-range]")).to_have_text("10 – 90 in 1\u202fh")
            await machine.say(m.Metrics(seq=4, samples=[m.Sample(timestamp=time.time(), cpu_usage=95.0)]))
            await expect(tile.locator("[data-range]")).to_have_text("10 – 95 in 1\u202fh")
            assert page.faults == []


async def test_backups_are_offered_only_where_they_are_made(stage: Stage) -> None:
    """Of machines whose software makes none, and of one whose software nobody knows yet."""
    for rvm_id, words in ((1, "This machine's software makes no backups."), (3, "Not connected yet: backups are")):
        async with at_every_width(stage, f"/machines/{rvm_id}/backups") as pages:
            for page in pages:
                await expect(page.page.locator("#backup-plan .big-line")).to_contain_text(words)
                await expect(page.page.locator("#backup-plan")).to_contain_text("None yet")
                if rvm_id == 1:
                    await expect(page.page.locator("#now button")).to_be_disabled()
                await page.open(f"/machines/{rvm_id}/settings")
                await page.live()
                await expect(page.page.locator("[aria-labelledby=block-backup]")).to_contain_text(words)


async def test_the_small_lines_are_lines_from_the_first_visit(stage: Stage) -> None:
    """One sample in five minutes is all there is while nobody watches; the page goes on drawing where the hub ended."""
    kept = [m.Sample(timestamp=time.time() - 300 * ago, cpu_usage=20 + ago) for ago in range(20, 0, -1)]
    async with MachineClient.connect(stage.hub.websocket_url, stage.keys[2]) as machine:
        await machine.say_hello()
        await machine.say(m.Metrics(seq=20, samples=kept))
        await machine.hear(m.MetricsAck)
        async with (
            tab(stage.browser, stage.hub, **DESK) as fleet,
            tab(stage.browser, stage.hub, **DESK) as desk,
            tab(stage.browser, stage.hub, **PHONE) as phone,
        ):
            lines = [fleet.page.locator("tr[data-id='3'] .spark path")]
            lines += [page.page.locator(".tile[data-m=cpu_usage] .spark path") for page in (desk, phone)]
            for page, path in ((fleet, "/"), (desk, "/machines/3"), (phone, "/machines/3")):
                await page.open(path)
                await page.live()
            for steps in (19, 20):
                for line in lines:
                    await expect(line).to_be_visible()
                    await expect(line).to_have_attribute("d", re.compile(rf"^M\d+ \d+h0(l1 -?\d+){{{steps}}}$"))
                await machine.say(m.Metrics(seq=21, samples=[m.Sample(timestamp=time.time(), cpu_usage=90.0)]))
            assert fleet.faults == desk.faults == phone.faults == []


@pytest.mark.parametrize("look", LOOKS[:3], ids=["390", "844", "768"])
async def test_rows_are_low_and_everything_is_in_reach_of_a_finger(stage: Stage, look: dict[str, Any]) -> None:
    async with tab(stage.browser, stage.hub, **look) as page:
        await page.open("/")
        await page.live()
        rows = page.page.locator("#machines tbody tr[data-id]")
        assert await rows.evaluate_all("all => all.map(e => e.getBoundingClientRect().height)") == [64, 64, 64]
        if look is PHONE:
            for way in await page.page.locator(".nav a:visible").all():
                await expect(way.locator(".i")).to_be_visible()
        await page.page.tap(".top .menu > summary")
        for path in ("/account", "/admin", "/help"):
            await expect(page.page.locator(f".menu-in a[href^='{path}']")).to_be_visible()
        targets = page.page.locator(".menu-in :is(a, button):visible")
        heights = await targets.evaluate_all("all => all.map(e => Math.round(e.getBoundingClientRect().height))")
        assert (len(heights), min(heights)) == (9, 44)
        assert page.faults == []


async def test_on_a_phone_what_matters_comes_first_and_its_name_stays(stage: Stage) -> None:
    async with tab(stage.browser, stage.hub, **PHONE) as page:
        await page.open("/")
        await page.live()
        for way in (".to-find", ".to-scan"):
            assert await top_of(page, way) > 780, "under the thumb"
        rows = page.page.locator("#attention li")
        await expect(rows).to_have_count(2)
        for row in await rows.all():
            box = await row.bounding_box()
            assert box is not None
            assert box["height"] <= 200, "what, since, what to do, and two buttons for a finger"
        await page.open("/machines/2")
        await page.live()
        assert await top_of(page, ".tabs") < 430
        assert await top_of(page, "#why") < 500
        name = page.page.locator(".top .whose bdi")
        shown = "e => getComputedStyle(e).opacity"
        assert await name.evaluate(shown) == "0", "its head is there"
        await page.page.evaluate("scrollTo(0, 400)")
        await expect(name).to_have_css("opacity", "1")
        await expect(name).to_have_text("RVM-002")
        assert page.faults == []
