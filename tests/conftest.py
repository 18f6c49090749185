"""Fixtures for all tests: a folder that looks like a hub, and a small hub that lives."""

from __future__ import annotations

import sys
from pathlib import Path

# Helpers lie beside the tests of the hub half.
sys.path.insert(0, str(Path(__file__).with_name("hub")))

pytest_plugins = ["docker_fixtures", "hub_fixtures"]
