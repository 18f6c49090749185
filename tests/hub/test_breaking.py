"""Breaking changes are named before anything is staged, where they concern this hub."""

from __future__ import annotations

import shutil

import hub_folder
import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tljh_runbook.hub import checks, releases
from tljh_runbook.hub.layout import Hub
from tljh_runbook.hub.releases.detectors import DETECTORS
from tljh_runbook.hub.source import Source

PAM = "auth: {type: pam}\n"
GROUPS = "auth: {type: ldap, L: {allowed_groups: [a]}}\nusers: {allowed: [a]}\n"


def names(hub: Hub, tljh: str = "2.0.0") -> list[str]:
    return [each.change.name for each in releases.concerns(hub, tljh)]


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
