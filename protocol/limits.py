"""Every number both ends of the wire must agree on, with its reason."""

from typing import Final

MAX_MESSAGE_BYTES: Final = 64 * 1024
"""One text frame (protocol.md, Connection); a larger one closes the link with 1009."""

MAX_SAMPLES_PER_FRAME: Final = 500
SAMPLES_PER_S: Final = 150.0
"""Samples that a hub takes of one machine for long, by its link and by REST together: beyond it the link is read more
slowly, and REST answers 429."""
SAMPLES_AT_ONCE: Final = 1500
REPLAY_SAMPLES_PER_S: Final = 60.0
"""What an agent of ours sends of a backlog each way: both ways together leave a fifth to what is measured now."""
MAX_TEXT: Final = 500
"""Characters of a free text (reason, message)."""
MAX_ERROR_TEXT: Final = 1000
"""Characters of the message of an `error`; longer explanations are cut."""
MAX_NAME: Final = 100
"""Characters of a name, code, id or key."""
MAX_AUTHORITY: Final = 16 * 1024
"""Characters of PEM in `welcome`: eight certificates of the usual kind."""
MAX_AUTHORITIES: Final = 8
"""Certificates of one bundle."""
MAX_HARDWARE_BYTES: Final = 8 * 1024
"""Of `hardware` as JSON; a larger one is left out, and an `error` says so. Ours leave out what does not fit."""
MAX_BOARD_PARTS: Final = 40
"""Rails, sensors, throttles, fans or disks of one board, each."""
BOARD_INTERVAL_S: Final = 60.0
"""Between two `board` of one link, however much changes."""
MAX_RESULT_BYTES: Final = 8 * 1024
"""Of the `result` of a command as JSON; the command ends all the same, without it."""
MAX_REMOTE_SESSIONS: Final = 100
"""Remote access sessions open on one machine: the most that its settings allow (max_concurrent_sessions)."""
MAX_REMOTE_PORTS: Final = 32
"""Loopback ports of a machine that one session may reach."""
MAX_PAGE_NAME: Final = 60
"""Characters of the name of a page of a machine."""
MAX_FILE_PATH: Final = 1000
"""Characters of the path of a file or folder of a machine."""
MAX_RESTORE_PATHS: Final = 15
"""Files and folders of one restore: fifteen of the longest paths still fit into one frame."""
MAX_NESTING: Final = 32
"""Depth of a member of free shape (hardware, args, result, params, values), itself counted; a deeper one is refused.
Whoever walks or encodes it later may recurse without fear."""
MAX_INTEGER: Final = 2**63 - 1
"""The largest sequence number; what a 64-bit database column holds."""

AUTH_TIMEOUT_S: Final = 5.0
"""A link without valid credentials closes with 4401 after this."""
HELLO_TIMEOUT_S: Final = 10.0
"""An authenticated link that has not said hello closes with 4400 after this."""
PING_INTERVAL_S: Final = 10.0
PING_TIMEOUT_S: Final = 20.0
"""Interval and time-out together notice a dead peer within 30 s, inside the promised 40 s."""
LIVE_LEAST_S: Final = 1.0
LIVE_MOST_S: Final = 60.0
"""Seconds between live samples: no page asks for more or fewer, and no hub makes a machine work harder than that."""
REPLACED_LEAST_S: Final = 30.0
REPLACED_MOST_S: Final = 60.0
"""How long a machine waits after 4409 before it takes its link back. The hub watches long enough (TAKEOVER_WINDOW_S) to
see two machines with one key do so in turn, however long each of them waits."""
CONTESTED_TAKEOVERS: Final = 3
TAKEOVER_WINDOW_S: Final = CONTESTED_TAKEOVERS * REPLACED_MOST_S
"""Three changes of hand are two waits apart; the third wait is for connecting. Two holders are found within this."""
OFFLINE_GRACE_S: Final = 10.0
"""A closed link becomes offline after this grace, so that a reconnect is no event: 30 + 10 s < the promised 45 s."""

TEMPERATURE_MIN_C: Final = -50.0
TEMPERATURE_MAX_C: Final = 150.0
MAX_CLOCK_OFFSET_S: Final = 1e10
"""Three centuries: a reported distance of two clocks beyond it is no distance of clocks."""
MAX_CLOCK_AHEAD_S: Final = 600.0
"""A timestamp further ahead of the hub is clamped to the hub's clock and flagged (requirements.md, Time)."""
