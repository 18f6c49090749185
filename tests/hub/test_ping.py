"""A watchman is told once for each word; what goes wrong with it is a warning, said once."""

from __future__ import annotations

from collections.abc import Iterator

import hub_folder
import pytest
from watchman import SECRET, Watchman, watching

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import settings
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.schedule import ping
from tljh_runbook.hub.system import services


@pytest.fixture
def watchman(hub: Hub) -> Iterator[Watchman]:
    """A watchman that the hub's settings name."""
    with watching() as made:
        made.watch(hub)
        yield made


def tell(hub: Hub, task: str = "backup", code: int = 0, text: str = "words") -> list[str]:
    """Tell of a whole run; return the warnings, none of which holds the secret."""
    found = settings.load(hub)
    warned: list[str] = []
    teller = ping.of(Source(hub, found, services.of(hub, found)), task, warned.append)
    teller.start()
    teller.end(code, text)
    assert SECRET not in f"{warned} {teller}"
    return warned


def test_a_good_run_and_one_that_failed(hub: Hub, watchman: Watchman) -> None:
    assert tell(hub) == tell(hub, "verify", 19, "sorry") == []
    assert watchman.told == [
        ("/start", ""),
        ("", "words"),
        ("/start?of=verify", ""),
        ("/fail?of=verify", "sorry"),
    ]


def test_only_so_much_is_sent(hub: Hub, watchman: Watchman) -> None:
    tell(hub, text="é" * 5000)
    assert watchman.told[-1] == ("", "é" * ping.LONGEST)


def test_without_a_file_or_an_address_nobody_is_told(hub: Hub, watchman: Watchman) -> None:
    hub_folder.keep(hub.root / "etc" / "runbook.ping", f"verify={watchman.url}\n", 0o600)
    assert tell(hub) == []
    hub_folder.keep(hub.settings_file, hub_folder.SETTINGS, 0o644)
    assert tell(hub) == []
    assert watchman.told == []


@pytest.mark.parametrize("status", [404, 500])
def test_one_that_refuses(hub: Hub, watchman: Watchman, status: int) -> None:
    watchman.status = status
    assert tell(hub) == [f"The address in scheduled.ping_file was not reached: HTTP {status}."]


def test_one_that_is_away(hub: Hub) -> None:
    with watching() as gone:
        gone.watch(hub)
    (said,) = tell(hub)
    assert said.endswith("was not reached: Connection refused.")


def test_one_that_never_answers(
    hub: Hub, watchman: Watchman, monkeypatch: pytest.MonkeyPatch
) -> None:
    watchman.go.clear()
    monkeypatch.setattr(ping, "LIMIT", 0.1)
    (said,) = tell(hub)
    assert "no answer in" in said


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ((f"backup=http://127.0.0.1:9/{SECRET}\n", 0o644), "others than its owner may read it"),
        ((f"backup http://127.0.0.1:9/{SECRET}\n", 0o600), "its entry 1 is not NAME=VALUE"),
        ((f"backup=file:///{SECRET}\n", 0o600), "no http or https address"),
        ((f"backup=http://[{SECRET}\n", 0o600), "no http or https address"),
        ((f"backup=http://127.0.0.1:9x/{SECRET}\n", 0o600), "was not reached"),
        ((f"backup=http://127.0.0.1:9/a b{SECRET}\n", 0o600), "was not reached"),
        ((f"backup=http://127.0.0.1:9/\u00e9{SECRET}\n", 0o600), "was not reached"),
    ],
)
def test_an_address_that_cannot_be_used(
    hub: Hub, watchman: Watchman, file: tuple[str, int], said: str
) -> None:
    hub_folder.keep(hub.root / "etc" / "runbook.ping", *file)
    (warned,) = tell(hub)
    assert said in warned


def test_a_file_that_is_missing_is_told(hub: Hub, watchman: Watchman) -> None:
    (hub.root / "etc" / "runbook.ping").unlink()
    (warned,) = tell(hub)
    assert "No such file" in warned


def test_a_file_behind_a_link_is_not_read(hub: Hub, watchman: Watchman) -> None:
    file = hub.root / "etc" / "runbook.ping"
    file.rename(file.with_suffix(".aside"))
    file.symlink_to(file.with_suffix(".aside"))
    assert len(tell(hub)) == 1
    assert watchman.told == []
