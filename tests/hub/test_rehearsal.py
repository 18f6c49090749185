"""What a rehearsal reports of the staged version."""

from __future__ import annotations

import pytest

from tljh_runbook.hub.upgrade.rehearse import rehearsal, system_packages

OTHERS = [
    "tljh-repo2docker 3.0.15 has requirement jupyterhub~=5.0, but you have jupyterhub 4.1.6.",
    "sqlalchemy 2.1.0 requires greenlet, which is not installed.",
    "Dockerspawner 14.0 has requirement jupyterhub>=5, but you have jupyterhub 4.1.6.",
]


@pytest.mark.parametrize(
    ("live", "staged", "same"),
    [
        (
            "tljh-repo2docker 3.0.12 has requirement jupyterhub==5.2.1, but you have "
            "jupyterhub 4.1.6.",
            OTHERS[0],
            True,
        ),
        ("SQLAlchemy 2.0.4 requires greenlet, which is not installed.", OTHERS[1], True),
        (OTHERS[0], OTHERS[2], False),
        (OTHERS[1], "sqlalchemy 2.1.0 requires typing-extensions, which is not installed.", False),
        ("something else", "something other", False),
    ],
)
def test_complaints_of_pip_compare_by_requirement(live: str, staged: str, same: bool) -> None:
    assert (rehearsal.unmet(live) == rehearsal.unmet(staged)) is same


def test_the_systems_packages_are_known() -> None:
    assert system_packages.installed("dpkg")
    assert not system_packages.installed("no-such-package")
