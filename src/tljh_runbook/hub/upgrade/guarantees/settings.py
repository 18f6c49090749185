"""The guarantee that the administrator's settings are unchanged."""

from __future__ import annotations

import hashlib
from typing import Any

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import config
from tljh_runbook.hub.upgrade import guarantees


class SettingsKept:
    name = "settings"
    statement = (
        "Every value in config.yaml is still what the administrator set; new ones are named."
    )
    order = 6
    look = guarantees.HUB

    def measure(self, source: Source) -> Any:
        # A value may be a password, and measurements are stored and shown, so use only its hash.
        return {name: _hashed(value) for name, value in config.read(source.hub).items()}

    def judge(self, before: Any, after: Any) -> tuple[bool, str]:
        wrong = [name for name, value in before.items() if _changed(name, value, after)]
        if wrong:
            return False, f"changed: {', '.join(wrong)}"
        new = [name for name in after if name not in before]
        kept = f"{len(before)} kept"
        return True, f"{kept}, newly set: {', '.join(new)}" if new else kept

    def since(self, first: Any, after: Any) -> str:
        changed = _differences(first, after)
        return f"somebody has edited {', '.join(changed)}" if changed else ""


def _differences(first: Any, after: Any) -> list[str]:
    return [name for name in {**first, **after} if first.get(name) != after.get(name)]


def _changed(name: str, value: Any, after: Any) -> bool:
    if value in EMPTY and any(new.startswith(f"{name}.") for new in after):
        return False  # an empty section was filled
    return bool(after.get(name) != value)


def _hashed(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


EMPTY = [_hashed(value) for value in config.EMPTY]
GUARANTEE = SettingsKept()
