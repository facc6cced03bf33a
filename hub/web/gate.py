"""What the door remembers between requests: credentials just checked, addresses that guess, and what to write later.

One per hub life, at `HubContext.gate`. Holds no secret, only hashes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hub.web.credential_cache import CredentialCache
from hub.web.passwords import Passwords
from hub.web.rate_limit import AddressLimiter


@dataclass
class Gate:
    known: CredentialCache = field(default_factory=CredentialCache)
    addresses: AddressLimiter = field(default_factory=AddressLimiter)
    passwords: Passwords = field(default_factory=Passwords)
