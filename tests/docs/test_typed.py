"""Upgrading typed by hand, without invoke, brings a hub to the same state as ``invoke`` does."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from documented.pages import Site
from documented.server import Server, opened

SHOWN = "$ invoke --dry backup upgrade rollback\n"
LEFT_OUT = "rollback"  # the page shows the way back as well
HUB = "--hub /opt/tljh"
# What is another in each sandbox: ports, and secrets with their hashes. All else is compared.
CHANCE = re.compile(rb"\$[\w./$]{20,}|[\w-]{20,}|\b\d{4,5}\b|(?<=password: )\S+")
NEVER_THE_SAME = {
    "database/jupyterhub.sqlite": "tokens and times; its revision and rows are compared",
    "config/state/tljh_repo2docker_cookie_secret": "bytes by chance",
}


@pytest.mark.long
def test_it_comes_to_the_same(site: Site, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with hub(tmp_path / "hub") as server:
        typed(server, ["invoke backup upgrade"])
        shutil.copytree(newest(server), kept / newest(server).name)
    shutil.rmtree(tmp_path / "hub")
    with hub(tmp_path / "hub") as server:
        typed(server, lines_of_the_page(site))
        [first] = kept.iterdir()
        shutil.copytree(first, backups(server) / first.name)
        found = differences(server, first.name, newest(server).name)
        both = first, newest(server)
        assert [each for each in found if each not in NEVER_THE_SAME and differs(each, both)] == []


def lines_of_the_page(site: Site) -> list[str]:
    [block] = [each for each in site.blocks() if each.text.startswith(SHOWN)]
    lines = block.text.splitlines()[1:]
    assert len(lines) > 4
    return [line for line in lines if LEFT_OUT not in line]


@contextmanager
def hub(folder: Path) -> Iterator[Server]:
    """A sandbox; both are in the same folder, so that no path differs."""
    folder.mkdir()
    with opened(folder, os.environ, sandbox=True, path="") as server:
        yield server


def typed(server: Server, lines: list[str]) -> None:
    """Type lines, each of which must end well; then keep what the hub is now."""
    for line in [*lines, f"tljh-runbook backup {HUB}"]:
        printed, code = server.run(line)
        assert code == 0, printed


def backups(server: Server) -> Path:
    assert server.root
    return server.root / "var/backups/tljh"


def newest(server: Server) -> Path:
    return max(backups(server).glob("2*"))


def differences(server: Server, one: str, other: str) -> list[str]:
    """Return what the tool finds to differ: versions, revisions, rows, and files by their paths."""
    printed, code = server.run(f"tljh-runbook snapshots diff {one} {other} --json {HUB}")
    assert code == 0, printed
    return [each["what"] for each in json.loads("\n".join(printed))]


def differs(what: str, snapshots: tuple[Path, Path]) -> bool:
    """Whether it is no file of both, or differs in more than chance."""
    files = [snapshot / what for snapshot in snapshots]
    if not all(file.is_file() for file in files):
        return True
    # Routes stand in the order in which the users' servers were started.
    one, other = (sorted(CHANCE.sub(b"...", file.read_bytes()).splitlines()) for file in files)
    return one != other
