"""How a run ends when the command line is wrong, or nobody takes what it prints."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from hub_fixtures import Cli

from tljh_runbook import errors
from tljh_runbook.hub.core.layout import Hub

WRONG = {
    "option": (["backup", "--nonsense"], "--nonsense"),
    "argument": (["snapshots", "diff"], "OLDER"),
    "command": (["nonsense"], "nonsense"),
    "value": (["verify", "--sample", "200"], "--sample"),
    "of the group": (["--nonsense"], "--nonsense"),
}


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which ``runbook`` is the command; its code is that of the command."""
    text = f'runbook() {{ {sys.executable} -m tljh_runbook "$@"; }}\n{line}\n'
    return subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", WRONG)
def test_a_script_is_told_of_a_wrong_command_line(cli: Cli, name: str) -> None:
    words, part = WRONG[name]
    done = cli(*words, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 2
    assert told.keys() == {"error"}
    assert told["error"].keys() == {"message", "hint", "code"}
    assert part in told["error"]["message"]
    assert told["error"]["code"] == 2
    assert re.search(r" --help$", told["error"]["hint"])
    assert told["error"]["message"] in done.stderr
    assert "Usage: " in done.stderr


def test_a_script_is_told_of_a_value_that_only_the_command_knows(hub: Hub, cli: Cli) -> None:
    done = cli("restore", "--as-of", "monday", "--hub", hub.prefix, "--json")
    assert done.returncode == 2
    assert "no day such as" in json.loads(done.stdout)["error"]["message"]


def test_a_person_is_told_on_standard_error_alone(cli: Cli) -> None:
    done = cli("backup", "--nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such option" in done.stderr


PRINTING = ["--help", "completion bash", "status --hub {hub}", "status --hub {hub} --json"]


@pytest.mark.parametrize("words", PRINTING)
def test_a_reader_that_has_left_is_left_alone(hub: Hub, words: str) -> None:
    done = shell(f"runbook {words.format(hub=hub.prefix)} | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("words", PRINTING)
def test_a_full_disk_is_told_in_a_line(hub: Hub, words: str) -> None:
    done = shell(f"runbook {words.format(hub=hub.prefix)} > /dev/full")
    said = "error: Standard output cannot be written: No space left on device.\n"
    assert (done.returncode, done.stderr) == (1, said)


LOST = ["> /dev/full", "| true; exit ${PIPESTATUS[0]}", ">&-"]


@pytest.mark.parametrize("where", LOST)
def test_an_error_is_told_whatever_became_of_the_output(where: str) -> None:
    done = shell(f"runbook status --hub /nowhere --json {where}")
    assert done.returncode == errors.NoHub.code
    assert done.stderr.startswith("error: There is no TLJH hub at /nowhere")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("where", LOST)
def test_a_wrong_command_line_is_told_whatever_became_of_the_output(where: str) -> None:
    done = shell(f"runbook status --nonsense --json {where}")
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_what_is_closed_takes_nothing(hub: Hub, closed: str) -> None:
    """Without a standard output the first file that is opened would become it."""
    done = shell(f"runbook backup config --hub {hub.prefix} {closed}")
    assert (done.returncode, done.stderr) == (0, "")
    assert shell(f"runbook snapshots show --hub {hub.prefix}").returncode == 0


def test_a_broken_pipe_of_something_else_is_no_end() -> None:
    """Only what is printed may be lost quietly."""
    code = (
        "import click; from tljh_runbook.cli.ending import Commands\n"
        "@click.group(cls=Commands)\ndef main(): pass\n"
        "@main.command()\ndef ask(): raise ConnectionResetError(104, 'gone')\n"
        "main()"
    )
    command = [sys.executable, "-c", code, "ask"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "ConnectionResetError" in done.stderr
