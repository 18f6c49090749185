"""Everything that can be typed, set or go wrong has its place on a page."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from documented.pages import Site
from docutils import nodes
from invoke.collection import Collection

from tljh_runbook import cli
from tljh_runbook.guide import catalog, project, tasks
from tljh_runbook.hub.core import settings
from tljh_runbook.reference import playbooks
from tljh_runbook.reference.tables import every_error

LABELS = ("persistence-user-data", "install-ansible", "install-individual-playbook", "step-index")


def objects(site: Site, domain: str, kind: str) -> set[str]:
    """Return the names of all that the site's inventory holds of one kind."""
    found = site.app.env.get_domain(domain).get_objects()
    return {name for name, _, of, *_ in found if of == kind}


def test_no_warnings(site: Site) -> None:
    assert site.warnings == ""


def test_every_step(site: Site) -> None:
    assert objects(site, "step", "step") == {step.name for step in catalog.every()}


def test_every_setting(site: Site) -> None:
    wanted = {nodes.make_id(f"setting-{name}") for name, *_ in settings.documented()}
    assert wanted <= objects(site, "std", "label")


def test_every_variable_and_every_playbook(site: Site) -> None:
    wanted = {nodes.make_id(f"variable-{each.name}") for each in playbooks.variables()}
    wanted |= {f"playbook-{name.removesuffix('.yml')}" for name in playbooks.playbooks()}
    assert len(wanted) > 30
    assert wanted <= objects(site, "std", "label")


def test_every_error(site: Site) -> None:
    wanted = {f"error-{error.__name__.lower()}" for error in every_error()}
    assert wanted <= objects(site, "std", "label")


def test_every_error_has_its_own_exit_code() -> None:
    codes = [error.code for error in every_error()]
    assert len(codes) == len(set(codes)) > 0


def commands(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command that is shown, with its full name."""
    for word, command in group.commands.items():
        if not command.hidden:
            yield f"{name}-{word}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name}-{word}")


def options(command: click.Command) -> Iterator[str]:
    """Yield every option that is shown."""
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            yield from option.opts


def test_every_command_and_option(site: Site) -> None:
    wanted = {
        f"{name}.{option}"
        for name, command in commands(cli.main, "tljh-runbook")
        for option in options(command)
    }
    known = objects(site, "std", "cmdoption")
    assert wanted - known == set()
    assert wanted


def test_options_are_not_shown_as_markup(site: Site) -> None:
    """sphinx-click in MyST prints raw reStructuredText, and no warning says so."""
    raw = [page for page in site.pages if ".. option::" in site.doctree(page).astext()]
    assert raw == []


def names(collection: Collection) -> set[str]:
    """Return every task as it is typed, a collection's default by the short name."""
    full = collection.task_names
    return {min([name, *others], key=len) for name, others in full.items()}


def test_every_task(site: Site) -> None:
    """A task that comes from no step is named on a page as the command that is typed."""
    namespace = tasks.collection()
    project.add(namespace)
    shown = {
        node.astext() for page in site.pages for node in site.doctree(page).findall(nodes.literal)
    }
    missing = {name for name in names(namespace) if not shown & _commands(name)}
    assert missing == set()


def _commands(name: str) -> set[str]:
    return {f"invoke {name}", f"./invoke {name}"}


@pytest.mark.parametrize("label", LABELS)
def test_labels_that_others_link_to(site: Site, label: str) -> None:
    assert label in objects(site, "std", "label")
