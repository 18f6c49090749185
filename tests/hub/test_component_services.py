"""Units, sudo rule, links and TLS files are kept and restored; nobody leads root astray."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import hub_folder
import pytest
from hub_fixtures import supervisor

from tljh_runbook.hub.backup import capture, components
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core import trust
from tljh_runbook.hub.snapshots.restoration import Action, Restoration
from tljh_runbook.hub.snapshots.snapshot import Snapshot
from tljh_runbook.hub.system import services

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be led astray")
UNITS = "etc/systemd/system"


@pytest.fixture
def server(source: Source) -> Source:
    root = source.hub.root
    for name in ("jupyterhub", "traefik"):
        hub_folder.keep(root / f"{UNITS}/{name}.service", f"[Unit]\n# {name}\n", 0o644)
    drop_in = root / f"{UNITS}/jupyterhub.service.d/memory limit.conf"
    hub_folder.keep(drop_in, "[Service]\nMemoryMax=8G\n", 0o640)
    hub_folder.keep(root / f"{UNITS}/other.service", "[Unit]\n", 0o644)
    rule = "%jupyterhub-admins ALL = (ALL) NOPASSWD: ALL\n"
    hub_folder.keep(root / "etc/sudoers.d/jupyterhub-admins", rule, 0o440)
    hub_folder.keep(root / "etc/sudoers.d/other", "secret\n", 0o440)
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/tljh-config").symlink_to("/opt/tljh/hub/bin/tljh-config")
    wants = root / f"{UNITS}/multi-user.target.wants"
    wants.mkdir()
    (wants / "jupyterhub.service").symlink_to("/etc/systemd/system/jupyterhub.service")
    return source


def use_tls(source: Source, key: Path, certificate: Path | None = None) -> None:
    with source.hub.config_file.open("a", encoding="utf-8") as file:
        file.write(f"https:\n  tls:\n    key: {key}\n")
        file.write(f"    cert: {certificate}\n" if certificate else "")


def backup(source: Source) -> Snapshot:
    return capture.create(source, components.chosen(["services"]))


def names(kept: Snapshot) -> set[str]:
    return {entry.path.removeprefix("services/") for entry in kept.manifest.files}


def note(kept: Snapshot) -> str:
    return str(kept.manifest.components["services"].get("note", ""))


def planned(source: Source, kept: Snapshot, said: list[str] | None = None) -> list[Action]:
    (component,) = components.chosen(["services"])
    notes = said if said is not None else []
    return list(component.restore(Restoration(source, kept, lambda _: None, notes=notes)))


def carry_out(todo: list[Action]) -> None:
    for action in todo:
        action.prepare()
    for action in todo:
        action.carry_out()


def state(source: Source) -> dict[str, object]:
    found: dict[str, object] = {}
    for folder in (source.hub.root / "etc", source.hub.root / "usr"):
        found |= {f"{folder.name}/{name}": each for name, each in contents(folder).items()}
    return found


def contents(folder: Path) -> dict[str, object]:
    links = {str(path): str(path.readlink()) for path in folder.rglob("*") if path.is_symlink()}
    return {**hub_folder.contents(folder), **links}


def destroy(source: Source) -> None:
    root = source.hub.root
    shutil.rmtree(root / "etc/systemd")
    shutil.rmtree(root / "usr")
    (root / "etc/sudoers.d/jupyterhub-admins").write_text("changed\n")


def test_what_the_hub_needs_outside_its_folder_is_kept(server: Source) -> None:
    kept = backup(server)
    assert names(kept) == {
        f"{UNITS}/jupyterhub.service",
        f"{UNITS}/traefik.service",
        f"{UNITS}/jupyterhub.service.d/memory limit.conf",
        "etc/sudoers.d/jupyterhub-admins",
        "etc/supervisor/supervisord.conf",
    }
    links = kept.manifest.components["services"]["links"]
    assert links[f"{server.hub.root}/usr/bin/tljh-config"] == "/opt/tljh/hub/bin/tljh-config"
    assert note(kept) == ""


def test_a_hub_without_any_of_it_keeps_what_there_is(source: Source) -> None:
    assert names(backup(source)) == {"etc/supervisor/supervisord.conf"}


def test_it_comes_back_as_it_was_and_the_manager_is_told_once(server: Source) -> None:
    kept, before = backup(server), state(server)
    assert planned(server, kept) == []
    other = (server.hub.root / f"{UNITS}/other.service").read_bytes()
    destroy(server)
    todo = planned(server, kept)
    assert [each.what for each in todo].count("service manager") == 1
    assert todo[-1].what == "service manager"
    assert todo[-1].stopped
    carry_out(todo)
    hub_folder.keep(server.hub.root / f"{UNITS}/other.service", other, 0o644)
    assert state(server) == before
    assert planned(server, kept) == []


def test_linked_units_and_what_units_refer_to_come_back(server: Source) -> None:
    root = server.hub.root
    units, srv = root / UNITS, root / "srv"
    hub_folder.keep(srv / "units/traefik.service", "[Service]\nUser=root\n", 0o644)
    (units / "traefik.service").unlink()
    (units / "traefik.service").symlink_to(srv / "units/traefik.service")
    hub_folder.keep(srv / "limits/memory.conf", "[Service]\nMemoryMax=1G\n", 0o644)
    (units / "traefik.service.d").symlink_to(srv / "limits")
    (units / "jupyter-.service.d").mkdir()
    hub_folder.keep(srv / "one.conf", "[Service]\nCPUQuota=50%\n", 0o644)
    (units / "jupyter-.service.d" / "10.conf").symlink_to(srv / "one.conf")
    text = f"""[Service]
EnvironmentFile=-/etc/hub/*.env
EnvironmentFile=-/etc/nowhere.env
EnvironmentFile=%E/computed.env
ExecStartPre=+/usr/local/sbin/prepare --key={srv}/key \\
  "/srv/with.arguments"
LoadCredential=token:/etc/hub/token
ExecStart=/usr/bin/python3 {server.hub.prefix}/hub/bin/jupyterhub
# see /etc/hub/comment
"""
    hub_folder.keep(units / "jupyterhub.service.d" / "own.conf", text, 0o644)
    wanted = ("etc/hub/a.env", "etc/hub/token", "usr/local/sbin/prepare", "srv/key")
    for name in (*wanted, "srv/with.arguments", "etc/hub/comment", "usr/bin/python3"):
        hub_folder.keep(root / name, name, 0o600)
    (root / "etc/hub/b.env").symlink_to(srv / "key")
    kept = backup(server)
    assert {*wanted, "srv/with.arguments", "srv/units/traefik.service"} <= names(kept)
    assert {"srv/limits/memory.conf", "srv/one.conf"} <= names(kept)
    assert not {"etc/hub/comment", "usr/bin/python3"} & names(kept)
    assert "only systemd knows" in kept.left_out["%E/computed.env"]
    assert note(kept) == ""
    before = contents(root)
    assert planned(server, kept) == []
    for name in (*wanted, "srv/with.arguments", "etc/hub/b.env"):
        (root / name).unlink()
    shutil.rmtree(root / "etc/systemd")
    shutil.rmtree(srv)
    carry_out(planned(server, kept))
    other = f"{UNITS}/other.service"
    hub_folder.keep(root / other, before[other][3], 0o644)  # type: ignore[index]
    now = contents(root)
    differing = {name for name in before if before[name] != now.get(name)}
    assert {name for name in differing if not name.startswith("var/")} == set()


@NEEDS_ROOT
def test_what_a_user_could_have_put_where_a_unit_refers_to_is_named(server: Source) -> None:
    theirs = server.hub.root / "srv" / "theirs"
    hub_folder.keep(theirs / "x.env", "A=1\n", 0o644)
    os.chown(theirs, 1234, 1234)
    text = "[Service]\nEnvironmentFile=/srv/theirs/x.env\n"
    hub_folder.keep(server.hub.root / f"{UNITS}/jupyterhub.service.d/x.conf", text, 0o644)
    kept = backup(server)
    assert "is not root's" in kept.left_out[str(theirs / "x.env")]
    assert not any("theirs" in name for name in names(kept))


def test_a_masked_unit_is_kept_as_a_link(server: Source) -> None:
    unit = server.hub.root / f"{UNITS}/traefik.service"
    unit.unlink()
    unit.symlink_to("/dev/null")
    kept = backup(server)
    assert kept.manifest.components["services"]["links"][str(unit)] == "/dev/null"
    assert kept.left_out == {}


def test_a_sudo_rule_alone_does_not_bother_the_manager(server: Source) -> None:
    kept = backup(server)
    (server.hub.root / "etc/sudoers.d/jupyterhub-admins").unlink()
    todo = planned(server, kept)
    assert [Path(each.what).name for each in todo] == ["jupyterhub-admins"]


def test_a_link_to_something_else_is_left_alone(server: Source) -> None:
    kept = backup(server)
    link = server.hub.root / "usr/bin/tljh-config"
    link.unlink()
    link.symlink_to("/elsewhere")
    assert planned(server, kept) == []


def test_the_notes_do_the_same_as_typed(server: Source) -> None:
    kept, before = backup(server), state(server)
    other = (server.hub.root / f"{UNITS}/other.service").read_bytes()
    destroy(server)
    (component,) = components.chosen(["services"])
    typed = "\n".join(component.by_hand(kept.manifest))
    for _ in range(2):
        done = subprocess.run(
            ["bash", "-ec", typed], cwd=kept.path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert typed.splitlines()[-1].endswith(" reread")
    hub_folder.keep(server.hub.root / f"{UNITS}/other.service", other, 0o644)
    assert state(server) == before


def test_the_manager_reads_its_files_again(source: Source) -> None:
    with supervisor(source.hub):
        manager = services.Supervisor(source.hub)
        before = manager.pid(services.HUB)
        manager.reload()
        assert manager.pid(services.HUB) == before


def test_key_and_certificate_are_kept_through_links_of_root(server: Source, tmp_path: Path) -> None:
    live, archive = tmp_path / "live", tmp_path / "archive"
    hub_folder.keep(archive / "key1.pem", "KEY", 0o600)
    hub_folder.keep(archive / "cert1.pem", "CERTIFICATE", 0o644)
    live.mkdir()
    (live / "key.pem").symlink_to("../archive/key1.pem")
    (live / "cert.pem").symlink_to(archive / "cert1.pem")
    use_tls(server, live / "key.pem", live / "cert.pem")
    kept = backup(server)
    assert note(kept) == ""
    assert (kept.path / f"services/tls{archive}/key1.pem").read_text() == "KEY"
    shutil.rmtree(live)
    shutil.rmtree(archive)
    carry_out(planned(server, kept))
    assert (live / "key.pem").read_text() == "KEY"
    assert (live / "cert.pem").read_text() == "CERTIFICATE"
    assert (archive / "key1.pem").stat().st_mode & 0o777 == 0o600
    assert planned(server, kept) == []


def test_a_key_that_is_not_there_is_noted(server: Source, tmp_path: Path) -> None:
    use_tls(server, tmp_path / "gone.pem")
    assert "gone.pem: No such file" in note(backup(server))
    assert "Keep" in note(backup(server))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """What nobody but root may read."""
    hub_folder.keep(tmp_path / "secret", "root's own\n", 0o600)
    return tmp_path / "secret"


def planted_link(folder: Path, secret: Path) -> Path:
    """A user links a key in his own folder to a file of root."""
    os.chown(folder, 1234, 1234)
    (folder / "key.pem").symlink_to(secret)
    os.lchown(folder / "key.pem", 1234, 1234)
    return folder / "key.pem"


def link_in_sticky(folder: Path, secret: Path) -> Path:
    folder.chmod(0o1777)
    (folder / "key.pem").symlink_to(secret)
    os.lchown(folder / "key.pem", 1234, 1234)
    return folder / "key.pem"


def open_folder(folder: Path, secret: Path) -> Path:
    folder.chmod(0o777)
    shutil.copy(secret, folder / "key.pem")
    return folder / "key.pem"


def group_folder(folder: Path, secret: Path) -> Path:
    (folder / "below").mkdir()
    shutil.copy(secret, folder / "below/key.pem")
    os.chown(folder, 0, 1234)
    folder.chmod(0o770)
    return folder / "below/key.pem"


def folder_link(folder: Path, secret: Path) -> Path:
    """Root's own link leads through a folder of a user."""
    (folder / "users").mkdir()
    os.chown(folder / "users", 1234, 1234)
    (folder / "users/way").symlink_to(secret.parent)
    (folder / "tls").symlink_to("users/way")
    return folder / "tls" / secret.name


def dots(folder: Path, secret: Path) -> Path:
    (folder / "users").mkdir()
    (folder / "users/own").mkdir()
    os.chown(folder / "users", 1234, 1234)
    return folder / "users/own/../../.." / secret.name


def loop(folder: Path, secret: Path) -> Path:
    (folder / "key.pem").symlink_to("key.pem")
    return folder / "key.pem"


PLANTED = [planted_link, link_in_sticky, open_folder, group_folder, folder_link, dots, loop]


@NEEDS_ROOT
@pytest.mark.parametrize("plant", PLANTED)
def test_what_users_can_plant_is_not_followed(
    server: Source, tmp_path: Path, secret: Path, plant: object
) -> None:
    folder = tmp_path / "planted"
    folder.mkdir()
    assert callable(plant)
    path = plant(folder, secret)
    use_tls(server, path)
    kept = backup(server)
    assert not [name for name in names(kept) if name.startswith("tls")]
    assert "https.tls.key is not kept" in note(kept)
    for file in kept.path.rglob("*"):
        assert file.is_dir() or b"root's own" not in file.read_bytes()


@NEEDS_ROOT
def test_nothing_is_written_where_users_can_plant(
    server: Source, tmp_path: Path, secret: Path
) -> None:
    folder = tmp_path / "tls"
    hub_folder.keep(folder / "key.pem", "KEY", 0o600)
    use_tls(server, folder / "key.pem")
    kept = backup(server)
    (folder / "key.pem").unlink()
    os.chown(folder, 1234, 1234)
    said: list[str] = []
    assert planned(server, kept, said) == []
    assert len(said) == 1
    assert "is not root's" in said[0]


def test_ordinary_places_are_trusted(tmp_path: Path) -> None:
    hub_folder.keep(tmp_path / "key.pem", "KEY", 0o600)
    assert trust.doubt(tmp_path / "key.pem") == ""
    assert trust.doubt(Path("/etc/passwd")) == ""
