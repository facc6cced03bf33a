"""A new password: the rules said in words, then the hash."""

from __future__ import annotations

from hub.people.rules import sign_in
from hub.web.api.operation import Call
from hub.web.auth.state import Gate
from hub.web.http.problems import one_wrong


async def checked_hash(call: Call, password: str, email: str) -> str:
    """The hash to store; a 422 that says why the password is refused."""
    fault = sign_in.password_fault(password, email)
    if fault is not None:
        raise one_wrong("password", f"password.{fault}", least=sign_in.MIN_PASSWORD, most=sign_in.MAX_PASSWORD)
    return await call.context[Gate].passwords.hash(password, call.address)
