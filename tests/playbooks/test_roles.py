"""Roles, carried out on this machine where that is harmless: checks, refusals, templates."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tljh_runbook.hub import settings
from tljh_runbook.hub.layout import Hub
from tljh_runbook.reference import playbooks

from . import ansible

SECRET = "correct-horse-battery"
HOSTILE = ["root", "daemon", "-rf", "../../etc", "a b", "Ada", "a" * 33, "x;reboot", "{{ 1 }}", "", 7]


def role(
    name: str, tmp_path: Path, variables: Mapping[str, Any], *options: str, tasks: str = "main"
) -> ansible.Done:
    """Carry out one file of tasks of a role."""
    file = tmp_path / "one.yml"
    play = {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [{"ansible.builtin.import_role": {"name": name, "tasks_from": tasks}}],
    }
    file.write_text(json.dumps([play]))
    return ansible.playbook(file, *options, variables=variables)


def template(name: str, dest: Path, variables: Mapping[str, Any], tmp_path: Path) -> None:
    """Write one template of a role as its task does."""
    folder, _, file = name.partition("/")
    write = {"src": str(playbooks.FOLDER / f"roles/{folder}/templates/{file}.j2"), "dest": str(dest)}
    play = {
        "hosts": "all",
        "gather_facts": False,
        "roles": ["tljh"],
        "tasks": [{"ansible.builtin.template": write}],
    }
    (tmp_path / "template.yml").write_text(json.dumps([play]))
    done = ansible.playbook(tmp_path / "template.yml", variables=variables)
    assert done.code == 0, done.output


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
@pytest.mark.parametrize("kind", ["user", "group"])
def test_a_name_that_is_no_users_is_refused_before_anything_is_changed(
    name: object, kind: str, tmp_path: Path
) -> None:
    user = {"name": name} if kind == "user" else {"name": "nobody-yet", "groups": [name]}
    users = [{"name": "somebody-else"}, user | {"password": SECRET}]
    done = role("users", tmp_path, {"tljh_users": users})
    assert done.code == 2
    assert done.changed == 0
    assert "Nothing was changed." in done.output.replace("\n", " ")
    assert SECRET not in done.output


@pytest.mark.parametrize(
    ("user", "told"),
    [
        ({"name": "ada", "group": ["x"]}, "group"),
        ({"groups": ["x"]}, "(none)"),
        ({"name": "ada", "groups": ["jupyterhub-admins"]}, "jupyterhub-admins"),
        ({"name": "ada", "uid": 0}, "below 1000"),
        ({"name": "somebody-else"}, "twice"),
    ],
)
def test_a_mistake_in_the_users_is_told(user: dict[str, Any], told: str, tmp_path: Path) -> None:
    users = [{"name": "somebody-else"}, user | {"password": SECRET}]
    done = role("users", tmp_path, {"tljh_users": users}, tasks="check")
    assert (done.code, done.changed) == (2, 0)
    assert told in done.output
    assert SECRET not in done.output


def test_good_users_pass(tmp_path: Path) -> None:
    users = [{"name": "ada", "groups": ["course-1"], "password": SECRET}, {"name": "_b-2"}]
    done = role("users", tmp_path, {"tljh_users": users}, "-vvv", tasks="check")
    assert (done.code, done.changed) == (0, 0), done.output
    assert SECRET not in done.output.partition("TASK [")[2]


OWN = {"tljh_https_certificate": "/etc/tls/a.crt", "tljh_https_key": "/etc/tls/a.key"}
ENCRYPT = {"tljh_https_email": "ada@example.org", "tljh_https_domains": ["hub.example.org"]}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        OWN | ENCRYPT,
        OWN | {"tljh_https_key": ""},
        OWN | {"tljh_https_key_from": "a.key"},
        ENCRYPT | {"tljh_https_email": ""},
        ENCRYPT | {"tljh_https_domains": ["https://hub.example.org/"]},
        ENCRYPT | {"tljh_https_domains": ["-x.example.org"]},
    ],
    ids=str,
)
def test_half_a_certificate_is_refused(variables: dict[str, Any], tmp_path: Path) -> None:
    done = role("https", tmp_path, {**variables, "tljh_prefix": str(tmp_path / "none")})
    assert (done.code, done.changed) == (2, 0)
    assert "One of the two ways, not both." in done.output


@pytest.mark.parametrize("variables", [OWN, ENCRYPT], ids=["own", "encrypt"])
def test_https_needs_a_hub(variables: dict[str, Any], tmp_path: Path) -> None:
    done = role("https", tmp_path, {**variables, "tljh_prefix": str(tmp_path / "none")})
    assert (done.code, done.changed) == (2, 0)
    assert "has no hub" in done.output


@pytest.mark.parametrize("really", ["", "other", "all"])
def test_nothing_is_uninstalled_from_a_server_that_is_not_named(
    really: str, tmp_path: Path
) -> None:
    prefix = tmp_path / "opt" / "tljh"
    (prefix / "state").mkdir(parents=True)
    variables = {"tljh_uninstall_really": really, "tljh_prefix": str(prefix)}
    done = role("uninstall", tmp_path, variables)
    assert (done.code, done.changed) == (2, 0)
    assert "tljh_uninstall_really=here" in done.output
    assert (prefix / "state").is_dir()


def hub(tmp_path: Path) -> Path:
    prefix = tmp_path / "opt" / "tljh"
    for name in ("state", "config", "hub"):
        (prefix / name).mkdir(parents=True)
    return prefix


@pytest.mark.parametrize("kept", ["homes", "backups", "link"])
def test_what_is_kept_is_not_removed_with_the_hub(kept: str, tmp_path: Path) -> None:
    prefix = hub(tmp_path)
    variables = {"tljh_prefix": str(prefix), "tljh_uninstall_really": "here"}
    variables["tljh_uninstall_backup"] = False  # type: ignore[assignment]
    if kept == "homes":
        variables["tljh_homes"] = str(prefix / "homes")
    elif kept == "backups":
        variables["tljh_prefix"] = "/var/backups"
    else:
        (tmp_path / "link").symlink_to(prefix)
        variables["tljh_prefix"] = str(tmp_path / "link")
    done = role("uninstall", tmp_path, variables, "--check")
    assert (done.code, done.changed) == (2, 0), done.output
    assert "Nothing was changed." in done.output.replace("\n", " ")


TIMES = [("*-*-* 03:00", "Sun *-*-* 05:00"), ("", "monthly"), ("daily", "")]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
@pytest.mark.parametrize(("backup", "verify"), TIMES)
def test_systemd_takes_the_units(backup: str, verify: str, tmp_path: Path) -> None:
    units = sorted((playbooks.FOLDER / "roles/schedule/templates").iterdir())
    variables = {
        "tljh_runbook": shutil.which("true"),
        "tljh_schedule_backup": backup,
        "tljh_schedule_verify": verify,
    }
    for unit in units:
        template(f"schedule/{unit.stem}", tmp_path / unit.stem, variables, tmp_path)
    wanted = [each for each, time in (("backup", backup), ("verify", verify)) if time]
    files = [tmp_path / f"tljh-runbook-{each}.{kind}" for each in wanted for kind in KINDS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files],
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:/lib/systemd/system", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


KINDS = ("timer", "service")


@pytest.mark.parametrize("prefix", ["opt/tljh", "/opt/t ljh", "/opt/%n"])
def test_a_path_that_systemd_would_read_otherwise_is_refused(prefix: str, tmp_path: Path) -> None:
    done = role("schedule", tmp_path, {"tljh_prefix": prefix})
    assert (done.code, done.changed) == (2, 0)
    assert "Nothing was changed." in done.output.replace("\n", " ")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_a_time_that_systemd_does_not_understand_is_refused(tmp_path: Path) -> None:
    variables = {"tljh_runbook": shutil.which("true"), "tljh_schedule_backup": "at night"}
    done = role("schedule", tmp_path, variables)
    assert (done.code, done.changed) == (2, 0)
    assert "does not understand the time at night" in done.output.replace("\n", " ")


SETTINGS = {
    "homes": "/srv/home",
    "keep": {"daily": 30},
    "databases": {"plasma": "postgresql://plasma:a%b'c\"d@db/plasma"},
    "upgrade": {"defaults": {"limits.memory": "4G", "services.cull.enabled": False}},
}


def test_the_settings_file_says_what_the_inventory_says(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    variables = {"tljh_runbook_settings": SETTINGS, "tljh_version": "1.0.0", "tljh_plugins": []}
    template("runbook/tljh-runbook.yaml", file, variables, tmp_path)
    read = settings.load(Hub(Path("/opt/tljh")), file)
    assert (read.upgrade.tljh, read.upgrade.plugins) == ("1.0.0", ())
    assert read.homes == "/srv/home"
    assert read.keep.daily == 30
    assert read.databases == SETTINGS["databases"]
    assert read.upgrade.defaults == {"limits.memory": "4G", "services.cull.enabled": False}


def test_without_variables_the_settings_are_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    template("runbook/tljh-runbook.yaml", file, {}, tmp_path)
    assert settings.load(Hub(Path("/opt/tljh")), file) == settings.load(
        Hub(Path("/opt/tljh")), None
    )


def test_packages_that_are_there_are_left_alone(tmp_path: Path) -> None:
    done = role("packages", tmp_path, {"packages_names": ["coreutils", "dpkg"]})
    assert (done.code, done.changed) == (0, 0), done.output


def test_a_check_says_which_packages_would_be_installed(tmp_path: Path) -> None:
    variables = {"packages_names": ["coreutils", "no-such-package"]}
    done = role("packages", tmp_path, variables, "--check")
    assert (done.code, done.changed) == (0, 1), done.output
    assert "would install: no-such-package" in done.output
