"""Breaking changes are named before anything is staged, where they concern this hub."""

from __future__ import annotations

import shutil

import hub_folder
import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tljh_runbook.hub.context import Source
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.core.settings.requirements import TLJH_NAME
from tljh_runbook.hub.upgrade.check import checks
from tljh_runbook.hub.versions import releases, targets, versions
from tljh_runbook.hub.versions.releases.detectors import DETECTORS
from tljh_runbook.hub.versions.targets import Target, Targets

PAM = "auth: {type: pam}\n"
GROUPS = "auth: {type: ldap, L: {allowed_groups: [a]}}\nusers: {allowed: [a]}\n"


def names(hub: Hub, tljh: str = "2.0.0", **others: str | None) -> list[str]:
    """Return what concerns an upgrade to these versions; None stands for a branch."""
    resolved = [target(hub, name.replace("_", "-"), each) for name, each in others.items()]
    release = None if tljh == "main" else tljh
    resolved.insert(0, target(hub, TLJH_NAME, release))
    return [each.change.name for each in releases.concerns(hub, Targets(tuple(resolved)))]


def target(hub: Hub, name: str, version: str | None) -> Target:
    package = versions.packages(hub).get(name)
    commit = None if version else "c" * 40
    return Target(name, package, targets.DEFAULT, version, commit, asked="" if version else "@main")


def installed(hub: Hub, name: str, version: str) -> None:
    for old in hub.environment.glob(f"lib/*/site-packages/{name.replace('-', '_')}-*"):
        shutil.rmtree(old)
    hub_folder.distribution(hub, name, version)


def test_every_change_has_a_detector_and_a_version() -> None:
    known = releases.data()
    for each in known["changes"]:
        change = releases.Breaking(**each)
        assert change.detector in DETECTORS
        assert Version(change.since)
        assert change.reason.endswith(".")
        assert change.hint.endswith(".")
    for asks in known["tljh"].values():
        assert all(SpecifierSet(each) for each in asks.values())
    assert {each["detector"] for each in known["changes"]} == set(DETECTORS)


@pytest.mark.parametrize(
    ("config", "concerned"),
    [
        (PAM, True),
        ("", False),  # FirstUseAuthenticator, as TLJH has it
        ("auth: {type: dummy}\n", False),
        (f"{PAM}users: {{allowed: [alice]}}\n", False),
        (f"{PAM}users: {{admin: [alice]}}\n", True),
        (f"{PAM}users: {{banned: [eve]}}\n", True),
        ("auth: {type: pam, PAMAuthenticator: {allow_all: true}}\n", False),
        ("auth: {type: pam, PAMAuthenticator: {allow_all: false}}\n", True),
    ],
)
def test_allow_rules_concern_a_hub_without_any(hub: Hub, config: str, concerned: bool) -> None:
    installed(hub, "jupyterhub", "4.1.6")
    hub.config_file.write_text(config)
    assert ("allow-rules" in names(hub)) is concerned


@pytest.mark.parametrize(
    ("text", "concerned"),
    [
        ("c.Authenticator.allow_all = True", False),
        ("# c.Authenticator.allow_all = True", True),
        ("c.Authenticator.allow_all = False  # on purpose", True),
        ("c.Authenticator.allowed_users = set()", True),
        ("c.Authenticator.allowed_users = {'alice'}", False),
        ("c.A.allowed_users = set()\nc.A.allow_all = True", False),
        ("c.JupyterHub.authenticator_class = 'dummy'", False),
        ("c.Spawner.mem_limit = '1G'", True),
    ],
)
def test_files_of_python_are_read(hub: Hub, text: str, concerned: bool) -> None:
    installed(hub, "jupyterhub", "4.1.6")
    hub.config_file.write_text(PAM)
    hub_folder.keep(hub.config / "jupyterhub_config.d" / "a.py", text, 0o644)
    assert ("allow-rules" in names(hub)) is concerned


def test_what_lies_behind_a_hub_concerns_it_no_more(hub: Hub) -> None:
    hub.config_file.write_text(PAM)
    for version, tljh, concerned in (
        ("4.1.6", "2.0.0", True),
        ("4.1.6", "1.0.0", False),
        ("4.1.6", "main", True),
        ("5.2.1", "2.0.0", False),
        ("5.0.0b1", "2.0.0", True),
        ("nonsense", "2.0.0", False),
    ):
        installed(hub, "jupyterhub", version)
        assert ("allow-rules" in names(hub, tljh)) is concerned, version


def test_groups_of_oauth_and_ldap_are_seen(hub: Hub) -> None:
    installed(hub, "oauthenticator", "16.3.1")
    installed(hub, "jupyterhub-ldapauthenticator", "1.3.2")
    hub.config_file.write_text(GROUPS)
    assert "ldap-allow" in names(hub)
    hub.config_file.write_text("auth: {G: {claim_groups_key: groups}}\n")
    assert "oauth-groups" in names(hub)
    hub.config_file.write_text("auth: {G: {claim_groups_key: groups, manage_groups: true}}\n")
    assert "oauth-groups" not in names(hub)


def test_words_of_an_older_traefik_are_seen(hub: Hub) -> None:
    installed(hub, "the-littlest-jupyterhub", "1.0.0")
    file = hub.config / "traefik_config.d" / "own.toml"
    hub_folder.keep(file, "[http.middlewares.a.ipWhiteList]\n", 0o644)
    assert "traefik-3" in names(hub)
    file.write_text("[http.middlewares.a.ipAllowList]\n")
    assert "traefik-3" not in names(hub)


def test_the_check_names_them_and_stops_nothing(source: Source) -> None:
    installed(source.hub, "jupyterhub", "4.1.6")
    source.hub.config_file.write_text(PAM)
    (found,) = [each for each in checks.run(source) if each.name == "releases"]
    assert found.error is None
    assert "allow-rules (authenticator pam)" in found.found
    assert "only users whom a setting allows can log in" in found.warning


def test_the_versions_that_are_resolved_decide_and_not_tljhs_table(hub: Hub) -> None:
    """Here TLJH stays, and a setting names another JupyterHub."""
    installed(hub, "the-littlest-jupyterhub", "1.0.0")
    installed(hub, "jupyterhub", "4.1.6")
    hub.config_file.write_text(PAM)
    assert "allow-rules" not in names(hub, "1.0.0")
    assert "allow-rules" in names(hub, "1.0.0", jupyterhub="5.4.3")
    assert "allow-rules" not in names(hub, "2.0.0", jupyterhub="4.1.6")


def test_a_package_whose_target_is_not_known_may_cross_what_tljh_asks_for(hub: Hub) -> None:
    installed(hub, "jupyterhub", "4.1.6")
    hub.config_file.write_text(PAM)
    package = versions.packages(hub)["jupyterhub"]
    unknown = Target("jupyterhub", package, targets.UNKNOWN, package.version)
    known = Target(TLJH_NAME, None, targets.DEFAULT, "2.0.0")
    found = releases.concerns(hub, Targets((known, unknown)))
    assert "allow-rules" in [each.change.name for each in found]


REPO2DOCKER = "c.JupyterHub.services.append({'name': 'tljh_repo2docker'})"


@pytest.mark.parametrize(
    ("text", "plasma", "concerned"),
    [
        ("", True, []),
        ("", False, ["repo2docker-service"]),
        (REPO2DOCKER, False, []),
        ("c.JupyterHub.load_roles = [{'name': 'user'}]", True, ["repo2docker-roles"]),
        ("  c.JupyterHub.services = []", True, ["repo2docker-roles"]),
        ("c.JupyterHub.load_roles += [{'name': 'user'}]", True, []),
        ("x = c.JupyterHub.load_roles == []", True, []),
        ("c.JupyterHub.services.extend([{'name': 'mine'}])", True, []),
    ],
)
def test_what_tljh_repo2docker_as_a_service_needs_is_seen(
    hub: Hub, text: str, plasma: bool, concerned: list[str]
) -> None:
    installed(hub, "tljh-repo2docker", "1.0.2")
    if not plasma:
        shutil.rmtree(next(hub.environment.glob("lib/*/site-packages/tljh_plasma-*")))
    hub_folder.keep(hub.config / "jupyterhub_config.d" / "a.py", text, 0o644)
    ours = names(hub, tljh_repo2docker="3.0.15")
    assert [name for name in ours if name.startswith("repo2docker")] == concerned
    assert not any(name.startswith("repo2docker") for name in names(hub, tljh_repo2docker="1.0.2"))
    assert not any(name.startswith("repo2docker") for name in names(hub))


def test_tljh_repo2docker_2_needs_a_jupyterhub_that_the_hub_may_not_get(hub: Hub) -> None:
    name = "repo2docker-jupyterhub"
    installed(hub, "tljh-repo2docker", "1.0.2")
    installed(hub, "jupyterhub", "4.1.6")
    assert name in names(hub, "1.0.0", tljh_repo2docker="3.0.15", jupyterhub="4.1.6")
    assert name not in names(hub, "2.0.0", tljh_repo2docker="3.0.15", jupyterhub="5.4.3")
    assert name not in names(hub, "2.0.0", tljh_repo2docker="3.0.15")
    assert name not in names(hub, "main", tljh_repo2docker=None)


@pytest.mark.parametrize("plasma", ["0.3.0", None])
def test_what_plasma_no_longer_does_is_seen(hub: Hub, plasma: str | None) -> None:
    installed(hub, "tljh-plasma", "0.1.0")
    cockpit = hub.root / "etc/cockpit/cockpit.conf"
    hub_folder.keep(cockpit, "[WebService]\nUrlRoot=/services/cockpit/\n", 0o644)
    assert names(hub, tljh_plasma=plasma)[-2:] == ["plasma-permissions", "plasma-cockpit"]
    hub.config_file.write_text("plasma: {groups: [course]}\n")
    cockpit.write_text("[WebService]\n")
    assert not any(name.startswith("plasma") for name in names(hub, tljh_plasma=plasma))


def test_nothing_is_to_be_done_from_plasma_0_4_to_the_newest(hub: Hub) -> None:
    installed(hub, "tljh-plasma", "0.2.0")  # what releases 0.2 to 0.7 say of themselves
    assert not any(name.startswith("plasma") for name in names(hub, tljh_plasma=None))


def test_the_check_names_what_a_plugin_changes(source: Source) -> None:
    installed(source.hub, "tljh-plasma", "0.1.0")
    (found,) = [each for each in checks.run(source) if each.name == "releases"]
    assert "plasma-permissions (plasma.groups is not set)" in found.found
    assert "tljh-config add-item plasma.groups" in found.warning
