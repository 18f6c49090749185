"""Addresses at which programs listen over TCP."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True)
class Socket:
    """Where a process listens over TCP: an address of this machine, or a name for one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine itself can reach it."""
        return self.host == "localhost" or self._is("is_loopback")

    def covers(self, other: Socket) -> bool:
        """Say whether whoever reaches the other one reaches this one as well."""
        return self.port == other.port and (self._is("is_unspecified") or self.host == other.host)

    def _is(self, what: str) -> bool:
        try:
            return bool(getattr(ipaddress.ip_address(self.host), what))
        except ValueError:  # a name
            return False
