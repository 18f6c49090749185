"""Detectors: each checks, from a hub's settings, whether a breaking change affects the hub.

They only read files. Each returns what it detected and where, or '' if the hub is not affected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tljh_runbook.hub.core import config
from tljh_runbook.hub.core.layout import Hub
from tljh_runbook.hub.versions import versions

Detector = Callable[[Hub], str]
# These let everyone in by default, because of TLJH or the class itself.
OPEN = re.compile(r"dummy|firstuse", re.IGNORECASE)
DEFAULT = "firstuseauthenticator.FirstUseAuthenticator"
NOBODY = r"\s*(?:set\(\)|\{\}|\[\]|\(\)|False|None)\s*(?:#.*)?$"
ALLOWS = re.compile(
    rf"\.allow\w*\s*(?:=(?!{NOBODY})|\||\.add|\.update)|def check_allowed", re.MULTILINE
)
CLASS = re.compile(r"\.authenticator_class\s*=\s*([\w.\"']+)")
OLD_TRAEFIK = re.compile(r"ipWhiteList|HostRegexp\(`?\{|\bHeaders\(|^\[pilot\]", re.MULTILINE)
MUCH = 1 << 20  # bytes read of a file


def always(hub: Hub) -> str:
    del hub
    return "every hub"


def no_allow_setting(hub: Hub) -> str:
    """Return the authenticator if it lets nobody in, according to the files; otherwise ''."""
    flat = config.read(hub)
    kind = str(flat.get("auth.type") or DEFAULT)
    for _, text in _python_files(hub):
        kind = next(reversed(CLASS.findall(text)), kind)
    sets = any(key.rpartition(".")[2].startswith("allow") and value for key, value in _auth(flat))
    own = any(ALLOWS.search(text) for _, text in _python_files(hub))
    if OPEN.search(kind) or flat.get("users.allowed") or sets or own:
        return ""
    return f"authenticator {kind}"


def subdomains(hub: Hub) -> str:
    return _in_python(hub, r"\.subdomain_host\s*=", but=r"\.subdomain_hook\s*=")


def oauth_groups(hub: Hub) -> str:
    flat = config.read(hub)
    for key, value in _auth(flat):
        section, _, name = key.rpartition(".")
        if name == "claim_groups_key" and value and not flat.get(f"{section}.manage_groups"):
            return key
    return _in_python(hub, r"\.claim_groups_key\s*=", but=r"\.manage_groups\s*=\s*True")


def ldap_users_and_groups(hub: Hub) -> str:
    flat = config.read(hub)
    groups = [key for key, value in _auth(flat) if key.endswith(".allowed_groups") and value]
    ldap = "ldap" in str(flat.get("auth.type")).lower()
    return f"{groups[0]} and users.allowed" if ldap and groups and flat.get("users.allowed") else ""


def traefik_files(hub: Hub) -> str:
    return next((path.name for path, _ in _traefik_files(hub)), "")


def traefik_2_words(hub: Hub) -> str:
    return next((path.name for path, text in _traefik_files(hub) if OLD_TRAEFIK.search(text)), "")


def environments_page(hub: Hub) -> str:
    """Return why the environments would have no page: only Plasma registers its service."""
    own = any("tljh_repo2docker" in text for _, text in _python_files(hub))
    return "" if own or "tljh-plasma" in versions.packages(hub) else "a hub without Plasma"


def replaced_services(hub: Hub) -> str:
    """Return the file that overwrites the services and roles that the plugins have set."""
    return _in_python(hub, r"^\s*c\.JupyterHub\.(services|load_roles)\s*=", but="tljh_repo2docker")


def no_plasma_groups(hub: Hub) -> str:
    return "" if config.read(hub).get("plasma.groups") else "plasma.groups is not set"


def cockpit(hub: Hub) -> str:
    """Return the file that configures Cockpit to run behind the hub's proxy."""
    file = hub.root / "etc/cockpit/cockpit.conf"
    texts = (text for _, text in _texts(file.parent, file.name, comments="#"))
    return str(file) if any("/services/cockpit" in text for text in texts) else ""


def _auth(flat: config.Flat) -> Iterator[tuple[str, object]]:
    return ((key, value) for key, value in flat.items() if key.startswith("auth."))


def _in_python(hub: Hub, pattern: str, *, but: str) -> str:
    found = [
        (path, text) for path, text in _python_files(hub) if re.search(pattern, text, re.MULTILINE)
    ]
    resolved = any(re.search(but, text) for _, text in _python_files(hub))
    return found[0][0].name if found and not resolved else ""


def _python_files(hub: Hub) -> Iterator[tuple[Path, str]]:
    return _texts(hub.config / "jupyterhub_config.d", "*.py", comments="#")


def _traefik_files(hub: Hub) -> Iterator[tuple[Path, str]]:
    yield from _texts(hub.config / "traefik_config.d", "*.toml", comments="#")
    for path, text in _texts(hub.state / "rules", "*.toml", comments="#"):
        if path.name != "rules.toml":  # JupyterHub writes that one
            yield path, text


def _texts(folder: Path, names: str, *, comments: str) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.glob(names)):
        if path.is_file():
            with path.open(encoding="utf-8", errors="replace") as file:
                lines = file.read(MUCH).splitlines()
            yield path, "\n".join(line for line in lines if not line.lstrip().startswith(comments))


DETECTORS: dict[str, Detector] = {
    each.__name__: each
    for each in (
        always,
        no_allow_setting,
        subdomains,
        oauth_groups,
        ldap_users_and_groups,
        traefik_files,
        traefik_2_words,
        environments_page,
        replaced_services,
        no_plasma_groups,
        cockpit,
    )
}
