"""Which test shows a module that it does not import: through an address, a message, or a process that it starts.

A line should be true in this sense: breaking the module fails that test. `mirror_laws.py` can only check that both are
there, that the test can reach the module, and that the line is still needed.
"""

from __future__ import annotations

SHOWN_BY: dict[str, tuple[str, ...]] = {
    "tests.browser.test_machine_pages": ("hub.web.lease_use_page",),
    "tests.dashboard.test_record": (
        "dashboard.event_reading",
        "dashboard.record_remote",
    ),
    "tests.db.test_command_and_event_queries": (
        "db.columns",
        "db.compiled",
    ),
    "tests.db.test_migrations": (
        "db.metadata",
        "db.migrate_postgres",
    ),
    "tests.db.test_postgres_faults": ("db.postgres_lane",),
    "tests.db.test_sqlite_faults": ("db.sqlite_errors",),
    "tests.db.test_transactions": (
        "db.pending",
        "db.postgres_writer",
        "db.sqlite_transaction",
    ),
    "tests.device.commands.test_reboot_and_restart": ("device.commands.system_errors",),
    "tests.device.test_agent": ("device.agent_parts",),
    "tests.device.test_agent_remote_access": (
        "device.commands.remote_access",
        "device.remote.session_work",
        "device.tunnel",
    ),
    "tests.device.test_agent_status": (
        "device.status_verbs",
        "device.status_watch",
    ),
    "tests.device.test_agent_timezone": (
        "device.commands.sync_timezone",
        "device.system.clock",
        "device.system.timezone",
        "device.zone_facts",
    ),
    "tests.doors.test_demo": (
        "hub.cli.demo_machines",
        "hub.cli.demo_scenes",
        "hub.cli.demo_settings",
    ),
    "tests.doors.test_serve": (
        "hub.cli.serve",
        "hub.cli.start_output",
        "hub.listener",
        "hub.process",
        "run_hub",
    ),
    "tests.doors.test_verbs": (
        "hub.cli.doctor",
        "hub.cli.doctor_checks",
        "hub.cli.machines",
        "hub.cli.main",
        "hub.cli.people",
        "hub.cli.sign_in_link",
        "hub.cli.valid",
        "hub.cli.version",
    ),
    "tests.end_to_end.test_hub_and_agent": ("run_device",),
    "tests.hub.test_server": (
        "hub.app",
        "hub.draining",
        "hub.lifespan",
        "hub.uvicorn_options",
    ),
    "tests.hub.web.api_v2.test_audit": ("hub.web.api_v2.remote_pages", "hub.web.recording_files"),
    "tests.hub.web.api_v2.test_auth": (
        "hub.web.api_v2.guard",
        "hub.web.api_v2.passwords",
    ),
    "tests.hub.web.api_v2.test_commands": (
        "hub.web.api_v2.command_args",
        "hub.web.api_v2.command_flow",
    ),
    "tests.hub.web.api_v2.test_config": (
        "hub.flow.config_desk",
        "hub.flow.service_recipes",
        "hub.web.api_v2.config_body",
    ),
    "tests.hub.web.api_v2.test_events": (
        "hub.web.api_v2.expectations",
        "hub.web.api_v2.paging",
    ),
    "tests.hub.web.api_v2.test_events_csv": ("hub.web.response",),
    "tests.hub.web.api_v2.test_health": ("hub.loop_lag",),
    "tests.hub.web.api_v2.test_machine_words": (
        "hub.core.config_errors",
        "hub.flow.foreign_changes",
    ),
    "tests.hub.web.api_v2.test_recordings": ("hub.flow.recording_recipes",),
    "tests.hub.web.api_v2.test_remote": ("db.remote_sessions",),
    "tests.hub.web.api_v2.test_status_in_time": ("hub.flow.status_clock",),
    "tests.hub.web.machine_pages.test_evil_machines": ("hub.web.machine_pages.forward",),
    "tests.hub.web.machine_pages.test_sandbox": ("hub.web.machine_pages.lease",),
    "tests.hub.web.test_commands_over_the_wire": ("hub.flow.heard_commands",),
    "tests.hub.web.test_dashboard_socket": (
        "hub.flow.live_requests",
        "hub.web.browser_messages",
    ),
    "tests.hub.web.test_device_socket": ("hub.web.device_door",),
    "tests.hub.web.test_device_socket_durable": (
        "hub.flow.heard_events",
        "hub.flow.heard_facts",
        "hub.flow.talk",
    ),
    "tests.hub.web.test_events_page": (
        "dashboard.event_choice",
        "dashboard.event_lines",
    ),
    "tests.hub.web.test_jobs_pages": (
        "hub.web.action_page",
        "hub.web.bulk_page",
        "hub.web.job_cards",
        "hub.web.job_page",
        "hub.web.jobs_page",
    ),
    "tests.hub.web.test_pages": (
        "hub.web.add_page",
        "hub.web.language",
        "hub.web.machine_tab",
        "hub.web.naming",
    ),
    "tests.hub.web.test_remote_page": (
        "hub.web.lease_cards",
        "hub.web.own_lease",
    ),
    "tests.hub.web.test_sign_in_pages": ("hub.web.admin_pages",),
    "tests.hub.web.test_settings_on_the_wire": ("hub.flow.heard_services",),
    "tests.hub.web.test_settings_page": (
        "hub.web.fleet_settings_page",
        "hub.web.settings_form",
    ),
    "tests.hub.web.test_terminal_socket": (
        "hub.flow.terminals",
        "hub.web.terminal_messages",
    ),
    "tests.hub.web.test_tunnel_socket": ("hub.flow.tunnel",),
}
NOT_SHOWN: dict[str, str] = {
    "device.system_monitor.foreign": "for systems that are no Linux, which no computer of ours is",
    "device.commands.step": "two signatures: what they mean is shown by whoever has them",
    "scripts.readme_picture": "takes a picture of a running demo: made by hand before a release, looked at by eye",
}
"""`module`: why it has no test. The list may only shrink."""
