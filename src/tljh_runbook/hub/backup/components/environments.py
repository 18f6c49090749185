"""The environments: what each Docker image was built from and, optionally, the image."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

from tljh_runbook.errors import RunbookError
from tljh_runbook.hub.backup.components import NOTHING
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import files
from tljh_runbook.hub.images import environments, saved_image
from tljh_runbook.hub.images.environments import Environment
from tljh_runbook.hub.snapshots.draft import Folder
from tljh_runbook.hub.snapshots.manifest import Manifest
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.system import docker
from tljh_runbook.hub.system.docker import Image

LIST = "environments.json"
REBUILD = "build it again on the hub's Environments page"


class Environments:
    """The list of environments, and their images if ``save_images`` is set."""

    name = "environments"
    title = "Environments"
    order = 40
    downtime = NOTHING
    kept = (
        "of each environment: its image's id and tags, repository, reference, build arguments, "
        "name, limits, owner, date, size, and whether its build was recorded as built or failed",
        "with `save_images: true` the Docker images themselves, which `docker load` reads",
    )
    left_out = (
        (
            "the Docker images, unless `save_images` is set",
            "They can be built again from what is kept, and take several GB each.",
        ),
        (
            "images of builds that were replaced, and what Docker keeps to build faster",
            "The hub offers them to nobody.",
        ),
    )

    def size(self, source: Source) -> int:
        images = _images()[0] if source.settings.save_images else ()
        return sum(image.size for image in images)

    def capture(self, source: Source, folder: Folder) -> dict[str, Any]:
        images, error = _images()
        found = environments.every(images, environments.records(source))
        saving = source.settings.save_images
        saved = {image.id: _save(image, folder) for image in images if saving}
        listed = [asdict(each) for each in found]
        folder.write(LIST, json.dumps(listed, indent=2, sort_keys=True) + "\n")
        details: dict[str, Any] = {
            "docker": error.message if error else None,
            "environments": len(found),
            "listed": [_shown(each, saved) for each in found],
        }
        if error and (found or saving):
            details["note"] = f"{error.message} {_missed(len(found), saving=saving)} {error.advice}"
        return details

    def restore(self, restoration: Restoration) -> Iterable[Action]:
        kept = [each for each in _listed(restoration.kept.manifest) if each["id"]]
        try:
            names = {name for each in kept for name in (each["id"], *each["tags"])}
            present = docker.find(sorted(names))
        except docker.AWAY as error:
            yield from _unseen(restoration, kept, error)
            return
        ids = {image.id for image in present}
        now = {tag: image.id for image in present for tag in image.tags}
        for each in kept:
            if each["id"] in ids:
                yield from _retag(each, now)
            else:
                yield from _load(restoration, each, "missing")

    def by_hand(self, manifest: Manifest) -> Iterable[str]:
        listed = _listed(manifest)
        yield f"# {len(listed)} environments; all that is known of each: {self.name}/{LIST}"
        if listed:
            yield "# One that is built again must have the same name: folders in home directories"
            yield "# are named after it. Those without a command are built on the hub's"
            yield "# Environments page, if they are missing:"
        for each in listed:
            yield f"# {_line(_described(each))}"
            if each["file"]:
                yield f"docker load -i {shlex.quote(each['file'])}"
                for tag in each["tags"]:
                    yield f"docker tag {shlex.quote(each['id'])} {shlex.quote(tag)}"


def _images() -> tuple[list[Image], RunbookError | None]:
    try:
        return environments.images(), None
    except docker.AWAY as error:
        return [], error


def _missed(count: int, *, saving: bool) -> str:
    lost = "what their images are" + (", and no image was saved" if saving else "")
    return f"Of {count} recorded environments it is not known {lost}."


def _shown(each: Environment, saved: dict[str, str]) -> dict[str, Any]:
    """Return the manifest entry, without build arguments and passwords: they may be secret."""
    return {
        "name": each.name,
        "display_name": each.display_name,
        "source": each.source,
        "status": each.status,
        "id": each.id,
        "tags": list(each.tags),
        "size": each.size,
        "file": saved.get(each.id or ""),
    }


def _save(image: Image, folder: Folder) -> str:
    name = f"images/{image.id.rpartition(':')[2]}.tar"
    path = folder.place(name)
    saved_image.write(image, path)
    folder.record(name, None, path.stat())
    return f"{folder.component}/{name}"


def _listed(manifest: Manifest) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = manifest.components.get(COMPONENT.name, {}).get("listed", [])
    return found


def _unseen(
    restoration: Restoration, kept: list[dict[str, Any]], error: RunbookError
) -> Iterator[Action]:
    """Yield a failing action for each saved image: skipping it would look like success."""
    if kept:
        restoration.notes.append(f"{error.message} {len(kept)} environments cannot be looked at.")
    for each in kept:
        if each["file"]:
            yield from _load(restoration, each, "not known")


def _load(restoration: Restoration, each: dict[str, Any], before: str) -> Iterator[Action]:
    if not each["file"]:
        restoration.notes.append(
            f"{_line(_described(each))} is missing, and was not saved: {REBUILD}."
        )
        return

    def load() -> None:
        path = restoration.kept.path / each["file"]
        with os.fdopen(files.open_regular(path), "rb") as file:
            saved_image.load(each["id"], file, path.stat().st_size)
        for tag in each["tags"]:
            docker.tag(each["id"], tag)

    yield Action(
        what=f"environment {_line(each['name'])}",
        before=before,
        after="as saved",
        prepare=docker.require,
        carry_out=load,
    )


def _retag(each: dict[str, Any], now: dict[str, str]) -> Iterator[Action]:
    for tag in each["tags"]:
        if now.get(tag) != each["id"]:
            yield Action(
                what=f"image {_line(tag)}",
                before=_short(now[tag]) if tag in now else "missing",
                after=_short(each["id"]),
                prepare=docker.require,
                carry_out=partial(docker.tag, each["id"], tag),
            )


def _short(image: str) -> str:
    return image.rpartition(":")[2][:12]


def _described(each: dict[str, Any]) -> str:
    state = each["status"] or "not recorded"
    image = _short(each["id"]) if each["id"] else "none"
    return (
        f"{each['display_name'] or each['name']} ({each['name']}) of {each['source']}; "
        f"build: {state}; image: {image}"
    )


def _line(text: str) -> str:
    """Return ``text`` on one line: what follows a line break would be run as a command."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


COMPONENT = Environments()
