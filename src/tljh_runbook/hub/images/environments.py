"""The environments of a hub: Docker images, and the plugin's records of their builds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.database import databases, sql, sqlite
from tljh_runbook.hub.database.postgres_address import Server
from tljh_runbook.hub.system import docker
from tljh_runbook.hub.system.docker import Image

# The plugin lists the images that have both labels.
BUILT = "repo2docker.ref"
NAMED = "tljh_repo2docker.image_name"
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")


@dataclass(frozen=True)
class Environment:
    """One environment; ``id`` is None without an image, ``status`` without a record.

    ``size`` is in bytes; ``memory`` and ``cpu`` are as they were typed.
    """

    name: str
    id: str | None
    tags: tuple[str, ...]
    display_name: str
    repository: str
    ref: str
    build_arguments: str
    memory: str
    cpu: str
    node_selector: str
    owner: str
    created: str
    size: int
    status: str | None

    @property
    def source(self) -> str:
        """What it is built from, safe to display: without a password in the address."""
        return f"{_CREDENTIALS.sub('', self.repository)} at {self.ref}"


@dataclass(frozen=True)
class Record:
    """One build, as recorded in the plugin's database."""

    name: str
    status: str
    about: dict[str, Any]


def images() -> list[Image]:
    """Return the images that are environments. Raises what `docker.images` raises."""
    return [image for image in docker.images(BUILT) if NAMED in image.labels]


def records(source: Source) -> list[Record]:
    """Return the plugin's records, sorted by name."""
    place = databases.find(source.hub, source.services, source.settings).get("repo2docker")
    if place is None or "images" not in sql.rows(place):
        return []
    about = "image_meta" if _has_about(place) else "NULL"
    found = sql.query(place, f"SELECT name, status, {about} FROM images ORDER BY 1")  # noqa: S608
    return [Record(str(name), str(status), _parsed(text)) for name, status, text in found]


def _has_about(place: Path | Server) -> bool:
    """Return whether the plugin's version records more than name and status."""
    if isinstance(place, Server):
        return True  # versions that support PostgreSQL do
    return ("image_meta",) in sqlite.query(place, "SELECT name FROM pragma_table_info('images')")


def every(images: Iterable[Image], records: Iterable[Record]) -> list[Environment]:
    """Combine images and records of the same name; include those without a counterpart."""
    recorded = {record.name: record for record in records}
    built = [_environment(image, recorded.pop(image.labels[NAMED], None)) for image in images]
    return built + [_environment(None, record) for record in recorded.values()]


def _environment(image: Image | None, record: Record | None) -> Environment:
    labels = image.labels if image else {}
    about = record.about if record else {}

    def told(name: str, kind: str = "tljh_repo2docker") -> str:
        # The image's own labels come first, because its record may be of a newer build.
        value = labels.get(f"{kind}.{name}") or about.get(name) or ""
        return value if isinstance(value, str) else json.dumps(value)

    return Environment(
        name=labels.get(NAMED) or (record.name if record else ""),
        id=image.id if image else None,
        tags=image.tags if image else (),
        display_name=told("display_name"),
        repository=told("repo", "repo2docker"),
        ref=told("ref", "repo2docker"),
        build_arguments=told("buildargs"),
        memory=told("mem_limit"),
        cpu=told("cpu_limit"),
        node_selector=told("node_selector"),
        owner=told("owner"),
        created=told("creation_date"),
        size=image.size if image else 0,
        status=record.status if record else None,
    )


def _parsed(text: object) -> dict[str, Any]:
    with suppress(ValueError, TypeError):
        found = json.loads(str(text))
        return found if isinstance(found, dict) else {}
    return {}
