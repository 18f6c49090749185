"""What --json prints is as the page says: no key more, none less, of the types that stand there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import click
import hub_folder
import pytest
from hub_fixtures import Live, living, until

from tljh_runbook import cli as commands
from tljh_runbook.errors import NoHub, NotBundled
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.runs import journal, lock

from . import json_shapes
from .json_shapes import Shapes

PROGRAM = "tljh-runbook"


@pytest.fixture(scope="module")
def shapes() -> Shapes:
    return json_shapes.read(json_shapes.PAGE.read_text(encoding="utf-8"))


def typed(group: click.Group, name: str = PROGRAM) -> Iterator[str]:
    """Yield every command that has --json."""
    for word, command in group.commands.items():
        if any("--json" in option.opts for option in command.params):
            yield f"{name} {word}"
        if isinstance(command, click.Group):
            yield from typed(command, f"{name} {word}")


def described(shapes: Shapes) -> list[str]:
    return [name for name in shapes if name.startswith(PROGRAM)]


def command_of(name: str) -> str:
    """Return the command without its options: one may print another shape with them."""
    return re.sub(r" --.*", "", name)


def test_every_command_is_described(shapes: Shapes) -> None:
    """The table is complete, and describes no command that is gone."""
    assert {command_of(name) for name in described(shapes)} == set(typed(commands.main))


def test_every_shape_is_known_and_used(shapes: Shapes) -> None:
    words = r"\b(list|map|of|or|empty|string|integer|number|boolean|null|object)\b|[()]"
    used = {"failure"}
    for shape in shapes.values():
        for kind in (*shape.keys.values(), shape.prints):
            used |= {*re.sub(words, " ", kind).split()}
    assert used == {name for name in shapes if not name.startswith(PROGRAM)}


Said = dict[str, tuple[int, Any]]


def asked(*words: str, program: tuple[str, ...] = ("-m", "tljh_runbook")) -> tuple[int, Any]:
    """Return a command's exit code, and what it prints for a script."""
    command = [sys.executable, *program, *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """What each command said on a day with a hub that lives, by its name on the page."""
    with living(tmp_path_factory.mktemp("day") / "server") as live:
        return dict(_day(live))


def _day(live: Live) -> Iterator[tuple[str, tuple[int, Any]]]:
    hub = live.hub

    def run(name: str, *more: object) -> tuple[str, tuple[int, Any]]:
        words = [*name.removeprefix(PROGRAM).split(), *map(str, more)]
        return name, asked(*words, "--hub", str(hub.prefix))

    yield run(f"{PROGRAM} check")
    hub_folder.distribution(hub, "tornado", "6.1")
    yield run(f"{PROGRAM} security")
    hub_folder.keep(hub.root / "list.json", '{"as_of": "2020-01-01", "advisories": []}', 0o644)
    text = hub.settings_file.read_text(encoding="utf-8")
    hub.settings_file.write_text(f"{text}\nsecurity:\n  advisories: /list.json\n")
    yield run(f"{PROGRAM} security refresh")
    name, made = run(f"{PROGRAM} backup")
    yield name, made
    (live.hub.root / "var/backups/tljh/20250101T000000Z").mkdir()
    yield run(f"{PROGRAM} snapshots")
    yield run(f"{PROGRAM} snapshots show", made[1]["id"])
    yield run(f"{PROGRAM} scheduled", "backup")
    yield run(f"{PROGRAM} rehearse")
    yield run(f"{PROGRAM} rehearse --detach")
    _ended(hub, "rehearse")
    yield run(f"{PROGRAM} upgrade", "--confirm-within", "60")
    yield run(f"{PROGRAM} confirm")
    yield run(f"{PROGRAM} resume")
    yield run(f"{PROGRAM} rollback --dry-run")
    yield run(f"{PROGRAM} prove")
    hub.config_file.write_text(hub.config_file.read_text() + "# changed since\n")
    _, again = run(f"{PROGRAM} backup", "config")
    yield run(f"{PROGRAM} snapshots diff", made[1]["id"], again[1]["id"])
    yield run(f"{PROGRAM} prune", "--dry-run")
    hub.config_file.write_text(hub.config_file.read_text() + "# and again\n")
    yield run(f"{PROGRAM} restore --dry-run", "config")
    yield run(f"{PROGRAM} restore --yes", "config")
    yield run(f"{PROGRAM} restore --into", hub.root / "look", "config")
    ended = partial(_ended, hub)
    yield run(f"{PROGRAM} upgrade --detach")
    ended("upgrade")
    hub.config_file.write_text(hub.config_file.read_text() + "# once more\n")
    yield run(f"{PROGRAM} restore --yes --detach", "config")
    ended("restore")
    yield run(f"{PROGRAM} progress", "restore")
    yield run(f"{PROGRAM} backup --detach", "config")
    ended("backup")
    yield run(f"{PROGRAM} rollback --yes")
    yield run(f"{PROGRAM} status")
    yield run(f"{PROGRAM} verify", made[1]["id"])
    yield from (run(f"{PROGRAM} {name}") for name in ("password", "acknowledge"))
    yield run(f"{PROGRAM} snapshots fetch", made[1]["id"])
    pyz = str(live.hub.root / "tljh-runbook.pyz")
    subprocess.run([sys.executable, "-m", "tljh_runbook.bundle", pyz], check=True)
    name = f"{PROGRAM} unpack"
    yield name, asked("unpack", "--root", str(live.hub.root / "new"), program=(pyz,))


def _ended(hub: Hub, task: str) -> None:
    until(lambda: journal.state(hub, task)["end"] and not lock.held(hub))


NAMES = described(json_shapes.read(json_shapes.PAGE.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", NAMES)
def test_what_a_command_prints_is_as_the_page_says(day: Said, shapes: Shapes, name: str) -> None:
    code, said = day[name]
    assert json_shapes.wrong(said, name, shapes) == [], (code, said)


def test_the_day_shows_more_than_empty_lists(day: Said) -> None:
    """A list without entries has every shape."""
    assert all(day[f"{PROGRAM} {name}"][1] for name in ("check", "snapshots", "snapshots diff"))
    assert all(day[f"{PROGRAM} restore {name}"][1] for name in ("--dry-run", "--yes", "--into"))
    report = day[f"{PROGRAM} prove"][1]
    assert report["changes"]
    assert report["verdicts"]
    assert report["outages"]
    status = day[f"{PROGRAM} status"][1]
    assert {each["task"] for each in status["runs"]} == {*journal.TASKS}
    assert day[f"{PROGRAM} rollback --dry-run"][1]["changes"]
    state = day[f"{PROGRAM} progress"][1]
    assert {each["kind"] for each in state["events"]} == {"phase", "line", "end"}
    assert state["end"]["report"]["changes"]
    assert {"error" in each for each in day[f"{PROGRAM} snapshots"][1]} == {True, False}


@pytest.mark.parametrize("name", sorted({command_of(each) for each in NAMES}))
def test_an_error_is_as_the_page_says(shapes: Shapes, name: str) -> None:
    arguments = {"diff": ["a", "b"], "scheduled": ["backup"], "progress": ["upgrade"]}
    needed = arguments.get(name.rsplit(maxsplit=1)[-1], [])
    words, kind = [*needed, "--hub", "/nowhere"], NoHub.code
    if name.endswith(" unpack"):  # it works on the server, not on a hub
        words, kind = [], NotBundled.code
    code, said = asked(*name.split()[1:], *words)
    assert code == said["error"]["code"] == kind
    assert json_shapes.wrong(said, "failure", shapes) == []


PAGE = """
### thing

`size`, integer
: Bytes.

`name`, string or null, optional
: Its name.

`parts`, list of ([thing](#thing) or map of string)
: What is in it.

### more

Prints all of [thing](#thing), and:

`on`, boolean
: Whether it is on.

### `all`

Prints list of [thing](#thing). So many.
"""
THING: dict[str, Any] = {"size": 1, "parts": [{"a": "b"}, {"size": 2, "parts": []}]}
FITS = [
    (THING, "thing"),
    (THING | {"name": None}, "thing"),
    (THING | {"on": True}, "more"),
    ([THING, THING], "all"),
]
WRONG = [
    ({"size": 1}, "thing", "it has no parts"),
    (THING | {"size": "1"}, "thing", "it.size is no integer: '1'"),
    (THING | {"size": True}, "thing", "it.size is no integer: True"),
    (THING | {"size": None}, "thing", "it.size is no integer: None"),
    (THING | {"colour": "red"}, "thing", "it.colour is not documented"),
    (THING | {"parts": [{"a": 1}]}, "thing", "it.parts.0.a is no string: 1"),
    (THING, "more", "it has no on"),
    (THING, "all", "it is no list"),
    ([3], "all", "it.0 is no thing: 3"),
]


@pytest.mark.parametrize(("value", "name"), FITS)
def test_what_has_a_shape(value: object, name: str) -> None:
    assert json_shapes.wrong(value, name, json_shapes.read(PAGE)) == []


@pytest.mark.parametrize(("value", "name", "said"), WRONG)
def test_what_has_not(value: object, name: str, said: str) -> None:
    found = json_shapes.wrong(value, name, json_shapes.read(PAGE))
    assert any(each.startswith(said) for each in found), found


@pytest.mark.parametrize(
    "text",
    [
        "`size` integer\n: Bytes.",
        "`size`, integer\n\nBytes.",
        "Nothing.",
        "Prints x. \n\n`a`, b\n: C.",
    ],
)
def test_a_section_that_cannot_be_read_is_told(text: str) -> None:
    with pytest.raises(AssertionError):
        json_shapes.read(f"### thing\n\n{text}\n")
