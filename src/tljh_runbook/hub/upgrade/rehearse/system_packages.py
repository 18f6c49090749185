"""The system packages, as `dpkg` knows them."""

from __future__ import annotations

import subprocess


def installed(name: str) -> bool:
    """Return whether a system package is installed; False without ``dpkg-query``."""
    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Status}", name]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0 and done.stdout == "installed"
