"""What an upgrade would change: what was asked for, and never more."""

from __future__ import annotations

from dataclasses import replace

import hub_folder
import pytest

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core.settings import PLUGINS, UpgradeSettings
from tljh_runbook.hub.upgrade import changes


def asking(source: Source, **wanted: object) -> Source:
    upgrade = replace(UpgradeSettings(), **wanted)  # type: ignore[arg-type]
    return replace(
        source, settings=replace(source.settings, upgrade=upgrade, written=frozenset(wanted))
    )


def names(source: Source) -> list[str]:
    return [change.name for change in changes.software(source)]


def without_plugins(source: Source) -> None:
    for folder in source.hub.environment.glob("lib/python3.*/site-packages/tljh_*.dist-info"):
        (folder / "METADATA").unlink()


def test_a_hub_without_plasma_does_not_become_one(source: Source) -> None:
    without_plugins(source)
    assert names(asking(source)) == ["TLJH"]
    assert asking(source).targets.plugins == []


def test_a_plugin_that_is_asked_for_is_installed(source: Source) -> None:
    without_plugins(source)
    assert names(asking(source, plugins=PLUGINS[1:])) == ["TLJH", "tljh-repo2docker"]


def test_a_default_never_goes_back(source: Source) -> None:
    site = next(source.hub.environment.glob("lib/python3.*/site-packages"))
    (site / "the_littlest_jupyterhub-1.0.0.dist-info" / "METADATA").unlink()
    hub_folder.distribution(source.hub, "the-littlest-jupyterhub", "2.1.0")
    assert "TLJH" not in names(asking(source))


def test_a_release_that_is_asked_for_may_go_back(source: Source) -> None:
    assert "TLJH" in names(asking(source, tljh="0.2.0"))


@pytest.mark.parametrize(("name", "shown"), [("limits.cpu", "2"), ("auth.Some.secret", "set")])
def test_only_our_own_defaults_are_shown(source: Source, name: str, shown: str) -> None:
    wanted = asking(source, defaults={name: 2})
    assert [(each.name, each.after) for each in changes.settings(wanted)] == [(name, shown)]
