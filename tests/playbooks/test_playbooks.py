"""The playbooks as they are written: they parse, say what they do, and hide no failure."""

import re
from pathlib import Path

import pytest

from tljh_runbook.reference import playbooks

from . import ansible

NAMES = sorted(playbooks.playbooks())
TASKS = sorted(playbooks.FOLDER.glob("roles/*/*/*.yml"))


@pytest.mark.parametrize("name", NAMES)
def test_the_syntax(name: str) -> None:
    assert ansible.playbook(playbooks.FOLDER / name, "--syntax-check").code == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_playbook_says_what_it_does(name: str) -> None:
    said = playbooks.playbooks()[name]
    assert len(said.split()) > 6
    assert said.endswith(".")


def test_the_whole_server_comes_first_in_the_list() -> None:
    assert next(iter(playbooks.playbooks())) == "site.yml"


@pytest.mark.parametrize("file", TASKS, ids=lambda file: str(file.relative_to(playbooks.FOLDER)))
def test_only_what_ansible_core_brings(file: Path) -> None:
    modules = re.findall(r"^ +([a-z_]+\.[a-z_]+\.[a-z_]+):$", file.read_text(), re.MULTILINE)
    assert [each for each in modules if not each.startswith("ansible.builtin.")] == []


@pytest.mark.parametrize("file", TASKS, ids=lambda file: str(file.relative_to(playbooks.FOLDER)))
def test_no_shell_and_no_ignored_error(file: Path) -> None:
    text = file.read_text()
    if file.match("roles/run/tasks/server.yml"):  # whether there is a Python is asked without one
        text = text.replace("ansible.builtin.raw:", "", 1)
    assert not re.search(r"builtin\.(shell|raw):|ignore_errors|^ +free_form", text)
