"""The tasks, typed as a person types them."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from invoke.exceptions import Exit

from tljh_runbook import errors
from tljh_runbook.guide import catalog, tasks
from tljh_runbook.guide.session import Session
from tljh_runbook.guide.steps import Check, Step, Target
from tljh_runbook.hub.core import layout

ROOT = Path(__file__).parents[2]
Invoke = Callable[..., "subprocess.CompletedProcess[str]"]
STEPS = pytest.mark.parametrize("step", catalog.every(), ids=lambda step: step.name)


def lines(*names: str, **target: str) -> list[str]:
    """Return the plans of steps, one after the other."""
    steps = [catalog.find(name) for name in names]
    return [command.line for step in steps for command in step.plan(Target(**target))]


def contents(folder: Path) -> dict[str, str]:
    """Return every file of a folder with its hash."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(
            path.read_bytes() if path.is_file() else b""
        ).hexdigest()
        for path in folder.rglob("*")
    }


@STEPS
def test_every_step_is_a_task(step: Step) -> None:
    name = step.command.removeprefix("invoke ")
    assert tasks.collection()[name].__doc__ == step.summary


def test_dry_run_prints_the_plans(invoke: Invoke) -> None:
    """Every step's, also when many are named: invoke takes tasks of equal name and code for one."""
    names = [step.name for step in catalog.every()]
    done = invoke("--dry", *names)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == lines(*names)


def test_dry_run_changes_nothing(invoke: Invoke, place: Path) -> None:
    before = contents(place)
    done = invoke("--dry", "backup", "upgrade", INVOKE_TLJH_HUB=str(place))
    assert done.stdout.splitlines() == lines("backup", "upgrade", hub=str(place))
    assert contents(place) == before


def test_dry_sandbox_builds_nothing(invoke: Invoke, place: Path) -> None:
    done = invoke("--dry", "sandbox", "backup", "upgrade")
    hub = str(place / ".sandbox" / "default" / "opt" / "tljh")
    first, *others = done.stdout.splitlines()
    assert first.startswith("python -m tljh_runbook.sandbox up .sandbox/default ")
    assert others == lines("backup", "upgrade", hub=hub)
    assert not (place / ".sandbox").exists()


def test_hub_from_the_environment(invoke: Invoke) -> None:
    done = invoke("--dry", "status", INVOKE_TLJH_HUB="/elsewhere")
    assert done.stdout.splitlines() == lines("status", hub="/elsewhere")


def test_sandbox_comes_before_the_environment(invoke: Invoke, place: Path) -> None:
    done = invoke("--dry", "sandbox", "--folder", "box", "status", INVOKE_TLJH_HUB="/elsewhere")
    assert done.stdout.splitlines()[1:] == lines("status", hub=str(place / "box/opt/tljh"))


@pytest.fixture
def hosts(place: Path) -> Path:
    """Return an inventory where invoke looks for one, beside what Ansible needs to read it."""
    (place / "ansible.cfg").symlink_to(ROOT / "ansible.cfg")
    (place / "src").symlink_to(ROOT / "src")
    file = place / "hosts"
    file.write_text("[server]\none\ntwo\n", encoding="utf-8")
    return file


def test_hosts_come_before_this_machine(invoke: Invoke, hosts: Path) -> None:
    done = invoke("--dry", "backup", "upgrade")
    assert done.stdout.splitlines() == lines("backup", "upgrade", inventory="hosts")


def test_environment_comes_before_hosts(invoke: Invoke, hosts: Path) -> None:
    done = invoke("--dry", "status", INVOKE_TLJH_HUB="/elsewhere")
    assert done.stdout.splitlines() == lines("status", hub="/elsewhere")


def test_sandbox_comes_before_hosts(invoke: Invoke, place: Path, hosts: Path) -> None:
    done = invoke("--dry", "sandbox", "status")
    assert done.stdout.splitlines()[1:] == lines(
        "status", hub=str(place / ".sandbox/default/opt/tljh")
    )


def test_servers_that_are_named_come_before_all(invoke: Invoke, hosts: Path) -> None:
    named = ("hosts", "--inventory", "my servers.yml", "--limit", "one,two")
    done = invoke("--dry", "sandbox", *named, "status", "prune", INVOKE_TLJH_HUB="/elsewhere")
    target = {"inventory": "my servers.yml", "limit": "one,two"}
    assert done.stdout.splitlines()[1:] == lines("status", "prune", **target)


def test_hosts_names_the_servers(invoke: Invoke, hosts: Path) -> None:
    assert invoke("hosts").stdout == "hosts: one, two\n"
    assert invoke("hosts", "--limit", "!one").stdout == "hosts: two\n"


def test_options_of_a_restore_are_one_variable(invoke: Invoke, hosts: Path) -> None:
    done = invoke("--dry", "restore", "--user", "it's me", "--path", "a b", "--yes")
    words = '{"tljh_run": ["restore", "--user", "it\'"\'"\'s me", "--path", "a b", "--yes"]}'
    assert f"-e '{words}' " in done.stdout


BAD_INVENTORIES = {
    "no plugin reads it": ("[server\none\n", "The inventory hosts cannot be read: "),
    "a word too many": ("[server]\none a=b c\n", "Expected key=value host variable assignment"),
    "empty": ("", "The inventory hosts names no server."),
    "a group without servers": ("[server]\n", "The inventory hosts names no server."),
}


@pytest.mark.parametrize("name", BAD_INVENTORIES)
def test_bad_inventory(invoke: Invoke, hosts: Path, name: str) -> None:
    written, said = BAD_INVENTORIES[name]
    hosts.write_text(written, encoding="utf-8")
    done = invoke("backup")
    assert done.returncode == errors.InventoryInvalid.code
    error, hint, *commands = done.stderr.splitlines()
    assert (done.stdout, error[:7], hint[:6]) == ("", "error: ", "hint: ")
    assert len(commands) <= 1
    assert said in error


def test_servers_that_are_not_in_the_inventory(invoke: Invoke, hosts: Path) -> None:
    for words, said in (
        (("--limit", "three"), "No server of hosts is meant by --limit three."),
        (("--inventory", "gone"), "There is no inventory gone."),
    ):
        done = invoke("hosts", *words, "backup")
        assert (done.returncode, done.stdout) == (errors.InventoryInvalid.code, "")
        assert done.stderr.startswith(f"error: {said}")


def test_folder_in_which_ansible_ignores_our_settings(
    invoke: Invoke, place: Path, hosts: Path
) -> None:
    place.chmod(0o777)
    done = invoke("backup")
    assert done.returncode == errors.AccessDenied.code
    assert "Every user may write in this folder" in done.stderr


def test_exit_code_passes_through(invoke: Invoke, place: Path) -> None:
    done = invoke("status", INVOKE_TLJH_HUB=str(place / "nowhere"))
    assert done.returncode == errors.NoHub.code
    assert "Traceback" not in done.stdout + done.stderr
    assert str(place / "nowhere") in done.stderr


def test_first_failure_ends_a_plan(invoke: Invoke, place: Path) -> None:
    hub = str(place / "nowhere")
    done = invoke("backup", "snapshots", INVOKE_TLJH_HUB=hub)
    assert done.stdout.splitlines() == [f"+ {lines('backup', hub=hub)[0]}"]


def test_failed_check_says_what_it_means(capfd: pytest.CaptureFixture[str]) -> None:
    """It does so for the exit code that it is about, and passes others on without a word."""
    error = errors.SnapshotDamaged("It is damaged.", hint="Make another.")
    for code, said in ((error.code, ["It is damaged.", "Make another."]), (3, [])):
        with pytest.raises(Exit) as left:
            Session().run([Check(("sh", "-c", f"exit {code}"), error)], dry=False)
        assert left.value.code == code
        assert capfd.readouterr().err.splitlines() == said


@pytest.mark.parametrize("arguments", [("status",), ("--dry", "backup"), ("--list",)])
def test_piped_output_is_plain(invoke: Invoke, place: Path, arguments: tuple[str, ...]) -> None:
    done = invoke(*arguments, INVOKE_TLJH_HUB=str(place / "nowhere"))
    assert "\x1b" not in done.stdout + done.stderr


def test_who_types_no_task_sees_which_there_are() -> None:
    done = subprocess.run(
        [ROOT / "invoke"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0
    assert re.search(r"^  upgrade\b", done.stdout, re.MULTILINE)


def test_unknown_task(invoke: Invoke) -> None:
    done = invoke("backup.nothing")
    assert done.returncode == 1
    assert "backup.nothing" in done.stderr


def test_unknown_step() -> None:
    with pytest.raises(errors.StepUnknown) as error:
        catalog.find("backup.nothing")
    assert "backup.database" in error.value.hint


def test_default_hub_is_the_same_in_both_halves() -> None:
    """The halves meet only at command lines, so each knows the default for itself."""
    assert str(layout.DEFAULT_PREFIX) == Target().hub
