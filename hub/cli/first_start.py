"""Before the hub serves: the database is there, an administrator exists, and the first one has a way in."""

from __future__ import annotations

from db import users
from db.users import UserRow
from hub.cli import output, valid
from hub.cli.data_door import DataDoor, now
from hub.cli.language import language, say
from hub.cli.sign_in_link import SignInLink, make_link
from hub.model import actors, credentials
from hub.model.changes import UserAdded
from hub.people.rules import enrolment
from hub.settings import Settings

FIRST_EMAIL = "admin@localhost"
FIRST_NAME = "Administrator"


async def prepare_people(door: DataDoor, settings: Settings, *, always: bool) -> SignInLink | None:
    """A sign-in link while no administrator has a password, or `always`.

    With an email and a password file in the settings the administrator is made with that password, once: a later start
    does not set it again, because it may have been changed since.
    """
    people = await users.all_users(door.store)
    email = valid.email(settings.admin_email) if settings.admin_email else FIRST_EMAIL
    # Read also when the administrator is there: what others can read is a password still.
    secret = None if settings.admin_password_file is None else valid.secret_in(settings.admin_password_file)
    if secret is not None and await users.find_user_by_email(door.store, email) is None:
        await _add(door, email, credentials.hash_password(valid.password(secret, email)))
        output.note(say("start.admin_made", email=email, path=settings.admin_password_file))
        people = await users.all_users(door.store)
    admins = [person for person in people if person.role == "admin" and person.disabled_at is None]
    if any(person.password_hash for person in admins) and not always:
        return None
    return await _link(door, admins, email)


async def _link(door: DataDoor, admins: list[UserRow], email: str) -> SignInLink:
    if admins:
        return await make_link(door, admins[0].id, admins[0].email)
    return await make_link(door, await _add(door, email, None), email)


async def _add(door: DataDoor, email: str, password_hash: str | None) -> int:
    changes = enrolment.new_person(email, FIRST_NAME, "admin", password_hash, actors.SYSTEM, now(), language=language())
    stored = await door.record(*changes)
    return next(change.id for change in stored if isinstance(change, UserAdded)) or 0
