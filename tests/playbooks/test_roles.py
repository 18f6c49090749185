"""Roles, carried out on this machine where that is harmless: checks, refusals, templates."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tljh_runbook.hub.core import settings, yaml
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.system import services
from tljh_runbook.hub.upgrade import confirmation, state_file
from tljh_runbook.reference import playbooks

from . import ansible

pytestmark = pytest.mark.long

SECRET = secrets.token_hex(12)
HOSTILE = ["-rf", "../../etc", "a b", "Ada", "a" * 33, "x;reboot", "ada\n", "7"]
SYSTEM = ["root", "daemon", "nobody"]


def role(
    name: str,
    tmp_path: Path,
    variables: Mapping[str, Any],
    *options: str,
    tasks: str = "main",
    path: Path | None = None,
) -> ansible.Done:
    """Carry out one file of tasks of a role."""
    file = tmp_path / "one.yml"
    play = {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [{"ansible.builtin.import_role": {"name": name, "tasks_from": tasks}}],
    }
    file.write_text(json.dumps([play]))
    return ansible.playbook(file, *options, variables=variables, path=path)


def template(name: str, dest: Path, variables: Mapping[str, Any], tmp_path: Path) -> None:
    """Write one template of a role as its task does."""
    folder, _, file = name.partition("/")
    write = {
        "src": str(playbooks.FOLDER / f"roles/{folder}/templates/{file}.j2"),
        "dest": str(dest),
    }
    play = {
        "hosts": "all",
        "gather_facts": False,
        "roles": ["tljh"],
        "vars_files": [str(playbooks.FOLDER / f"roles/{folder}/vars/main.yml")],
        "tasks": [{"ansible.builtin.template": write}],
    }
    (tmp_path / "template.yml").write_text(json.dumps([play]))
    done = ansible.playbook(tmp_path / "template.yml", variables=variables)
    assert done.code == 0, done.output


@pytest.mark.parametrize("names", [HOSTILE, SYSTEM], ids=["hostile", "system"])
@pytest.mark.parametrize("kind", ["user", "group"])
def test_names_that_are_no_users_are_refused_before_anything_is_changed(
    names: list[str], kind: str, tmp_path: Path
) -> None:
    users: list[dict[str, Any]] = [{"name": "somebody-else"}]
    if kind == "user":
        users += [{"name": name, "password": SECRET} for name in names]
    else:
        names = ["nogroup" if name == "nobody" else name for name in names]
        users[0] |= {"groups": names}
    done = role("users", tmp_path, {"tljh_users": users})
    assert (done.code, done.changed) == (2, 0)
    assert "Nothing was changed." in done.output.replace("\n", " ")
    told = done.output.partition("Task failed")[2]
    assert [name for name in names if json.dumps(name)[1:-1] not in told and name not in told] == []
    assert SECRET not in done.output


@pytest.mark.parametrize(
    ("user", "told"),
    [
        ({"name": "ada", "group": ["x"]}, "group"),
        ({"groups": ["x"]}, "(none)"),
        ({"name": "ada", "groups": ["jupyterhub-admins"]}, "jupyterhub-admins"),
        ({"name": "ada", "uid": 0}, "below 1000"),
        ({"name": "somebody-else"}, "twice"),
        ({"name": "ada", "password": f"{SECRET}\nroot:{SECRET}"}, "line break"),
    ],
)
def test_a_mistake_in_the_users_is_told(user: dict[str, Any], told: str, tmp_path: Path) -> None:
    users = [{"name": "somebody-else"}, {"password": SECRET} | user]
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
        OWN | {"tljh_https_key_from": "a.key"},
        ENCRYPT | {"tljh_https_email": ""},
        ENCRYPT | {"tljh_https_domains": ["https://hub.example.org/"]},
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


@pytest.mark.parametrize("really", ["", "other"])
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
    variables: dict[str, Any] = {"tljh_prefix": str(prefix), "tljh_uninstall_really": "here"}
    variables["tljh_uninstall_backup"] = False
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


# Stops as systemd does: what has stopped is forgotten, with its file.
SYSTEMCTL = """\
#!/bin/sh
[ "$1" = stop ] || exit 1
shift
cd '{units}'
for pattern; do rm -f -- $pattern; done
"""


def test_what_would_take_an_upgrade_back_is_stopped_once(tmp_path: Path) -> None:
    units, programs = tmp_path / "transient", tmp_path / "bin"
    for folder in (units, programs):
        folder.mkdir()
    (programs / "systemctl").write_text(SYSTEMCTL.format(units=units))
    (programs / "systemctl").chmod(0o755)
    other = "tljh-runbook-run-backup.service"
    for name in (other, *(f"tljh-runbook-confirm-20260105T200000Z.{kind}" for kind in KINDS)):
        (units / name).touch()
    text = (playbooks.FOLDER / "roles/uninstall/tasks/remove.yml").read_text(encoding="utf-8")
    tasks: list[Any] = yaml.parse(text.replace("/run/systemd/transient", str(units)))
    wanted = [each for each in tasks if str(units) in json.dumps(each)]
    assert wanted
    file = tmp_path / "one.yml"
    file.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": wanted}]))
    seen = []
    for options in (["--check"], [], [], ["--check"]):
        done = ansible.playbook(file, *options, path=programs)
        assert done.code == 0, done.output
        seen.append((done.changed, len(list(units.iterdir()))))
    assert seen == [(1, 3), (1, 1), (0, 1), (0, 1)]
    assert (units / other).exists()


TIMES = [("*-*-* 03:00", "Sun *-*-* 05:00"), ("", "monthly")]


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


@pytest.mark.parametrize("prefix", ["/opt/t ljh", "/opt/%n"])
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


RESUME = "tljh-runbook-resume.service"


def resuming(prefix: str, tmp_path: Path) -> str:
    """Return the unit that brings an upgrade of the hub at ``prefix`` to its end."""
    own = yaml.parse((playbooks.FOLDER / "roles/runbook/vars/main.yml").read_text())
    variables = {**own, "tljh_prefix": prefix, "tljh_runbook": shutil.which("true")}
    template(f"runbook/{RESUME}", tmp_path / RESUME, variables, tmp_path)
    return (tmp_path / RESUME).read_text()


@pytest.mark.parametrize("prefix", ["/opt/tljh", "/data/opt/tljh", "/srv/hub"])
def test_a_server_starts_something_only_where_an_upgrade_was_cut_off(
    prefix: str, tmp_path: Path
) -> None:
    lines = resuming(prefix, tmp_path).splitlines()
    for name in (state_file.NAME, confirmation.NAME):
        assert f"ConditionPathExists=|{Hub(Path(prefix)).work / name}" in lines
    assert f"ExecStart={shutil.which('true')} resume --at-boot --hub {prefix}" in lines


def test_the_hub_waits_for_the_files_and_the_files_wait_for_no_service(tmp_path: Path) -> None:
    """Else each waited for the other, or a hub started with half of its files exchanged."""
    unit = resuming("/opt/tljh", tmp_path)
    found = dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))
    names = {f"{name}.service" for name in (services.HUB, services.PROXY)}
    assert set(found["Before"].split()) == names
    assert {"After", "Wants", "Requires"} & {*found} == set()
    assert found["WantedBy"] == "multi-user.target"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_systemd_takes_the_unit_that_resumes(tmp_path: Path) -> None:
    resuming("/opt/tljh", tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / RESUME],
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:/lib/systemd/system", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("prefix", ["/opt/t ljh", "/opt/%n"])
def test_a_prefix_that_systemd_would_read_otherwise_is_refused(prefix: str, tmp_path: Path) -> None:
    done = role("runbook", tmp_path, {"tljh_prefix": prefix}, tasks="resume")
    assert (done.code, done.changed) == (2, 0)
    assert "must be absolute paths" in done.output.replace("\n", " ")


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


def written(file: Path, variables: Mapping[str, Any], tmp_path: Path) -> bool:
    """Say whether the playbook would write the settings file, or leaves it to whoever wrote it."""
    given = {"runbook_file": str(file), **variables}
    done = role("runbook", tmp_path, given, "--check", tasks="settings")
    assert done.code == 0, done.output
    by_hand = "changed by hand and is left" in done.output.replace("\n", " ")
    assert by_hand == (done.changed == 0)
    return not by_hand


def test_no_default_is_written_into_the_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    template("runbook/tljh-runbook.yaml", file, {}, tmp_path)
    assert yaml.parse(file.read_text()) == {}


def test_a_version_that_somebody_set_on_the_server_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    template("runbook/tljh-runbook.yaml", file, {"tljh_version": "1.0.0"}, tmp_path)
    assert written(file, {}, tmp_path)  # it was the inventory's, which names none any more
    file.write_text(file.read_text().replace("1.0.0", "2.1.0"))
    assert not written(file, {}, tmp_path)


@pytest.mark.parametrize(("version", "ours"), [("2.0.0", True), ("2.1.0", False)])
def test_what_was_written_before_is_known_by_its_versions(
    version: str, ours: bool, tmp_path: Path
) -> None:
    file = tmp_path / "settings.yaml"
    upgrade = {"tljh": version, "plugins": list(settings.PLUGINS)}
    file.write_text(f"# Written by Ansible (runbook.yml) …\n{json.dumps({'upgrade': upgrade})}\n")
    assert written(file, {}, tmp_path) == ours


def test_packages_that_are_there_are_left_alone(tmp_path: Path) -> None:
    done = role("packages", tmp_path, {"packages_names": ["coreutils", "dpkg"]})
    assert (done.code, done.changed) == (0, 0), done.output


def test_a_check_says_which_packages_would_be_installed(tmp_path: Path) -> None:
    variables = {"packages_names": ["coreutils", "no-such-package"]}
    done = role("packages", tmp_path, variables, "--check")
    assert (done.code, done.changed) == (0, 1), done.output
    assert "would install: no-such-package" in done.output


HUBS = {
    "plasma": ["tljh_plasma"],
    "repo2docker": ["tljh_repo2docker-3.0.12.dist-info"],
    "plain": ["tljh", "jupyterhub", "tljh_other", "plasma-1.0.dist-info"],
}
NEW = {
    "new-plasma": ["tljh_plasma @ git+https://example.org/plasma@0"],
    "new-repo2docker": ["tljh-repo2docker==3.0.15"],
    "new-plain": ["tljh-other==1.0"],
}


def get_docker(tmp_path: Path, **variables: Any) -> set[str]:
    """Return the servers on which the role looks after Docker: three have hubs, three are new."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "docker").write_text("#!/bin/sh\n")
    (programs / "docker").chmod(0o755)
    for hub, plugins in HUBS.items():
        for name in ("bin/jupyterhub", *(f"lib/python3.12/site-packages/{n}/x" for n in plugins)):
            (tmp_path / hub / "hub" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / hub / "hub" / name).touch()
    given = {
        "tljh_prefix": f"{tmp_path}/{{{{ inventory_hostname }}}}",
        "new": NEW,
        # A hub that is there gets no plugin that it does not have, whatever is asked for.
        "tljh_plugins": "{{ new[inventory_hostname] | default(new['new-plasma']) }}",
    }
    servers = ("-i", ",".join([*HUBS, *NEW]), "--limit", "!here")
    done = role("docker", tmp_path, given | variables, *servers, path=programs)
    assert done.code == 0, done.output
    task = done.output.partition("TASK [docker : Ask the Docker engine]")[2].partition("TASK [")[0]
    return set(re.findall(r"^ok: \[(\S+)\]$", task, re.MULTILINE))


def test_a_whole_server_gets_docker_only_where_a_plugin_needs_it(tmp_path: Path) -> None:
    wanted = {"plasma", "repo2docker", "new-plasma", "new-repo2docker"}
    assert get_docker(tmp_path, docker_only_for_plugins=True) == wanted
    site = yaml.parse((playbooks.FOLDER / "site.yml").read_text())
    assert site[0]["vars"] == {"docker_only_for_plugins": True}


def test_the_playbook_for_docker_alone_installs_it_on_any_hub(tmp_path: Path) -> None:
    assert get_docker(tmp_path) == {*HUBS, *NEW}


REPORT = """\
*** Report for user quotas on device /dev/sda1
Block grace time: 7days; Inode grace time: 7days
                        Block limits                File limits
User            used    soft    hard  grace    used  soft  hard  grace
----------------------------------------------------------------------
root      --   20    0       0      0          2     0     0      0
ada       +-   6242880 5242880 6291456 1764500000    7  100   200      0
grace     --   16 1024 2048      0          4    10    20      0
"""


def test_only_the_quotas_that_differ_are_set(tmp_path: Path) -> None:
    """In a check, with what repquota tells: what is set already is not set again."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, said in (("repquota", REPORT), ("findmnt", "/home\n")):
        (programs / name).write_text(f"#!/bin/sh\ncat <<'END'\n{said}END\n")
        (programs / name).chmod(0o755)
    users: list[dict[str, Any]] = [
        {"name": "ada"},
        {"name": "grace", "quota": {"hard": "7G"}},
        {"name": "new-one", "password": SECRET},
    ]
    variables = {
        "tljh_users": users,
        "tljh_users_quota": {"soft": "5G", "hard": "6G"},
        "users_limits": [user["name"] for user in users],
    }
    done = role("users", tmp_path, variables, "--check", "-v", tasks="quotas", path=programs)
    assert done.code == 0, done.output
    told = done.output.partition("Set the quotas that differ")[2]
    assert "skipping: [here] => (item=ada: 5242880 6291456)" in told
    assert "changed: [here] => (item=grace: 5242880 7340032)" in told
    assert "changed: [here] => (item=new-one: 5242880 6291456)" in told
    assert SECRET not in done.output
