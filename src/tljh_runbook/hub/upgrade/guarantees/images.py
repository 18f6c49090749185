"""The guarantee that the environments' Docker images exist, each with the same id."""

from __future__ import annotations

from typing import Any

from tljh_runbook.errors import DockerFailed, DockerUnreachable, ToolMissing
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.images import environments
from tljh_runbook.hub.upgrade import guarantees


class Images:
    name = "images"
    statement = "Every environment's image is still there, with the same id."
    order = 5
    look = guarantees.HUB

    def measure(self, source: Source) -> Any:
        del source  # there is one Docker engine per machine
        try:
            found = environments.images()
        except ToolMissing:
            return {"without": "no Docker here"}  # so there are no images to lose
        except (DockerUnreachable, DockerFailed) as error:
            return {"unknown": error.message}
        return {"images": {tag: image.id for image in found for tag in image.tags}}

    def judge(self, before: Any, after: Any) -> tuple[bool | None, str]:
        if "unknown" in before:
            return None, before["unknown"]
        if "without" in before:
            return True, before["without"]
        if "images" not in after:
            why = after.get("without") or after["unknown"]
            return False, f"cannot be seen any more: {why}"
        changes = (_change(name, was, after["images"]) for name, was in before["images"].items())
        wrong = [change for change in changes if change]
        return not wrong, "; ".join(wrong) or _counted(len(before["images"]))

    def since(self, first: Any, after: Any) -> str:
        known, now = first.get("images", {}), after.get("images")
        if now is None:
            return ""
        return ", ".join(filter(None, (_change(name, was, now) for name, was in known.items())))


def _change(name: str, was: str, now: dict[str, str]) -> str:
    if name not in now:
        return f"{name} is gone ({_short(was)})"
    return "" if now[name] == was else f"{name} is {_short(now[name])}, not {_short(was)}"


def _counted(count: int) -> str:
    if count < 2:
        return "1 image, with the same id" if count else "there are none"
    return f"{count} images, each with the same id"


def _short(image: str) -> str:
    return image.rpartition(":")[2][:12]


GUARANTEE = Images()
