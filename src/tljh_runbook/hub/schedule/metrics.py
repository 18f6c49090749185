"""The results of scheduled runs as Prometheus metrics.

node_exporter's textfile collector reads the file:
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import calendar
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.runs import run_record
from tljh_runbook.hub.runs.run_record import Values
from tljh_runbook.hub.snapshots import snapshot

NAME = "tljh-runbook.prom"
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Metric:
    """A gauge with its labelled samples."""

    name: str
    help: str
    samples: tuple[tuple[Labels, float], ...]

    def lines(self) -> Iterator[str]:
        """Yield the lines in Prometheus text format, or nothing if there is no sample."""
        if self.samples:
            yield f"# HELP {self.name} {self.help}"
            yield f"# TYPE {self.name} gauge"
        for labels, value in self.samples:
            shown = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels)
            yield f"{self.name}{{{shown}}} {value:.16g}"


def write(source: Source, tasks: Iterable[str]) -> bool:
    """Write the metrics if the configured folder exists; return whether it does.

    Other users may own the folder, so links in it are not followed. Raises `OSError`.
    """
    folder = source.settings.scheduled.metrics
    if not folder or not Path(folder).is_dir():
        return False
    text = "".join(f"{line}\n" for each in of(source, tasks) for line in each.lines())
    descriptor = os.open(folder, FOLDER)
    try:
        _place(descriptor, text.encode())
    finally:
        os.close(descriptor)
    return True


def of(source: Source, tasks: Iterable[str]) -> list[Metric]:
    """Return the metrics from the records of ``tasks``, and the number of snapshots."""
    hub = (("hub", str(source.hub.prefix)),)
    known = {task: run_record.read(source.hub, task) for task in tasks}
    ended = {task: each for task, each in known.items() if each and each["code"] is not None}
    good = {task: each["success"] for task, each in known.items() if each and each["success"]}
    size = {task: each for task, each in good.items() if task == "backup"}

    def metric(name: str, text: str, found: Mapping[str, float]) -> Metric:
        samples = (((("task", task), *hub), value) for task, value in found.items())
        return Metric(f"tljh_runbook_{name}", text, tuple(samples))

    def plain(name: str, text: str, values: Iterable[float]) -> Metric:
        return Metric(f"tljh_runbook_{name}", text, tuple((hub, value) for value in values))

    return [
        metric("last_run_timestamp_seconds", "When the last run began.", _moments(ended)),
        metric("last_success_timestamp_seconds", "When the last good run was.", _moments(good)),
        metric(
            "last_run_exit_code",
            "How the last run ended: 0 is good.",
            {task: each["code"] for task, each in ended.items()},
        ),
        metric(
            "last_run_duration_seconds",
            "How long the last run took.",
            {task: each["seconds"] for task, each in ended.items()},
        ),
        metric(
            "last_run_notes",
            "How many things the last run warned of.",
            {task: len(each["notes"]) for task, each in ended.items()},
        ),
        plain(
            "snapshot_size_bytes",
            "The size of the newest good snapshot.",
            (each["size"] for each in size.values()),
        ),
        plain(
            "user_data_size_bytes",
            "The size of the users' files in the newest good snapshot.",
            (each["user_data"] for each in size.values()),
        ),
        plain("snapshots", "How many snapshots there are.", [len(snapshot.listed(source.backups))]),
    ]


def _moments(found: Mapping[str, Values]) -> dict[str, float]:
    return {
        task: calendar.timegm(time.strptime(each["at"], run_record.MOMENT))
        for task, each in found.items()
    }


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _place(folder: int, data: bytes) -> None:
    """Write to an unpredictable temporary name, then rename it over the metrics file."""
    new = f".{NAME}.{secrets.token_hex(8)}"  # no .prom suffix, so the collector ignores it
    try:
        with os.fdopen(os.open(new, NEW, 0o600, dir_fd=folder), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
        os.rename(new, NAME, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(new, dir_fd=folder)
