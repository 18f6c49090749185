"""TCP addresses that programs listen on."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True)
class Socket:
    """A TCP listening socket: an IP address or a name of this machine, and a port."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether it is reachable only from this machine."""
        return self.host == "localhost" or self._is("is_loopback")

    def covers(self, other: Socket) -> bool:
        """Return whether every client that can reach ``other`` can reach this socket too."""
        return self.port == other.port and (self._is("is_unspecified") or self.host == other.host)

    def _is(self, what: str) -> bool:
        try:
            return bool(getattr(ipaddress.ip_address(self.host), what))
        except ValueError:  # a host name
            return False
