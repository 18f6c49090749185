"""The variables of the playbooks: one file, all explained, all used, none besides."""

import re
from pathlib import Path

import pytest

from tljh_runbook.hub.core import settings, yaml
from tljh_runbook.hub.core.settings.requirements import Requirement
from tljh_runbook.reference import playbooks

ROLES = playbooks.FOLDER / "roles"
USED = re.compile(r"(?<![\w./-])tljh_\w+")
# What is not ours: Python's name for us and for the plugin, and the callback.
OTHERS = {"tljh_runbook.bundle"}


def texts() -> dict[str, str]:
    """Return all playbooks, tasks and templates, without comments and without the variables."""
    files = [file for file in playbooks.FOLDER.rglob("*") if file.suffix in {".yml", ".j2"}]
    return {
        str(file.relative_to(playbooks.FOLDER)): "\n".join(
            line for line in file.read_text().splitlines() if not line.strip().startswith("#")
        )
        for file in files
        if file != playbooks.VARIABLES
    }


def registered(text: str) -> set[str]:
    """Return what a file gives a name to by itself."""
    return set(re.findall(r"register: (\w+)", text)) | set(
        re.findall(r"^ +(tljh_\w+):", text, re.M)
    )


def used() -> dict[str, set[str]]:
    """Return the files in which each variable is used."""
    found: dict[str, set[str]] = {}
    for name, text in texts().items():
        words = text
        for each in OTHERS:
            words = words.replace(each, "")
        for variable in set(USED.findall(words)) - registered(words):
            found.setdefault(variable, set()).add(name)
    return found


def test_every_variable_that_is_used_is_in_the_file() -> None:
    known = {variable.name for variable in playbooks.variables()}
    assert {name: files for name, files in used().items() if name not in known} == {}


def test_every_variable_in_the_file_is_used() -> None:
    assert {variable.name for variable in playbooks.variables()} - set(used()) == set()


@pytest.mark.parametrize("variable", playbooks.variables(), ids=lambda each: each.name)
def test_every_variable_is_explained(variable: playbooks.Variable) -> None:
    assert len(variable.meaning.split()) > 4
    assert variable.meaning.endswith(".")


def test_the_page_reads_the_file_as_ansible_does() -> None:
    read = {
        name: value
        for variable in playbooks.variables()
        for name, value in yaml.parse(variable.default).items()
    }
    assert read == yaml.parse(playbooks.VARIABLES.read_text())
    assert all(name.startswith("tljh_") for name in read)


def test_what_is_typed_for_yes_or_no_is_read_as_such() -> None:
    """`-e NAME=true` gives a text, which a condition of Ansible's refuses."""
    variables = yaml.parse(playbooks.VARIABLES.read_text())
    switches = [name for name, value in variables.items() if isinstance(value, bool)]
    uses = [
        use
        for text in texts().values()
        for name in switches
        for use in re.findall(rf"{name}\b(?!=).{{0,7}}", text)
    ]
    assert len(uses) >= len(switches) > 0
    assert [use for use in uses if not use.endswith(" | bool")] == []


def test_the_versions_are_those_of_the_tool() -> None:
    """Both halves name them, and neither may import the other: a server gets what was tested."""
    variables = yaml.parse(playbooks.VARIABLES.read_text())
    assert variables["tljh_version"] == settings.TLJH
    assert tuple(variables["tljh_plugins"]) == settings.PLUGINS
    assert variables["tljh_installer"] == settings.Settings().upgrade.installer
    assert variables["tljh_homes"] == settings.Settings().homes
    shipped = yaml.parse((ROLES / "runbook" / "vars" / "main.yml").read_text())["runbook_shipped"]
    assert shipped == {name: variables[f"tljh_{name}"] for name in shipped}


def test_everything_that_is_downloaded_is_pinned() -> None:
    variables = yaml.parse(playbooks.VARIABLES.read_text())
    for text in [*variables["tljh_plugins"], *variables["tljh_hub_packages"]]:
        Requirement.parse(text)  # refuses what is not pinned
    assert re.search(r"/[0-9a-f]{40}/", variables["tljh_installer_url"])
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", variables["tljh_installer_checksum"])


@pytest.mark.parametrize("role", sorted(ROLES.iterdir()), ids=lambda role: role.name)
def test_a_role_that_uses_the_variables_depends_on_their_role(role: Path) -> None:
    name = f"roles/{role.name}/"
    if role.name == "tljh" or not any(
        file.startswith(name) for files in used().values() for file in files
    ):
        pytest.skip("it uses none")
    meta = yaml.parse((role / "meta" / "main.yml").read_text())
    assert {"role": "tljh"} in meta["dependencies"]
