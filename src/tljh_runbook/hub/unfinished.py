"""The mark of an upgrade that has begun to change a hub and has not come to its end.

TLJH's installer puts in TLJH and the plugins first. When it is ended after that, versions tell
nothing of what is missing: the next upgrade must run it again, start from the same snapshot, and
compare with what was measured before the first attempt.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from tljh_runbook.hub import files
from tljh_runbook.hub.layout import Hub

NAME = "unfinished.json"


@dataclass(frozen=True)
class Unfinished:
    """What the first attempt started from."""

    snapshot: str
    labels: dict[str, str]
    before: dict[str, Any]


def read(hub: Hub) -> Unfinished | None:
    """Return what an unfinished upgrade started from; None when there is none."""
    with suppress(OSError, ValueError, TypeError):
        return Unfinished(**json.loads(files.read(hub.work / NAME)))
    return None


def begin(hub: Hub, mark: Unfinished) -> None:
    """Mark the hub, on disk, before anything of it is changed."""
    files.replace(hub.work / NAME, json.dumps(asdict(mark)).encode())


def end(hub: Hub) -> None:
    """Take the mark away."""
    (hub.work / NAME).unlink(missing_ok=True)
    files.sync_folder(hub.work)
