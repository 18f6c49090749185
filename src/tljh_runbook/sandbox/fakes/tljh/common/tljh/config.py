"""Where things are, and the command tljh-config."""

import argparse
import os
import sys
from pathlib import Path

from ruamel.yaml import YAML

INSTALL_PREFIX = Path(os.environ.get("TLJH_INSTALL_PREFIX") or Path(sys.prefix).parent)
HUB_ENV_PREFIX = INSTALL_PREFIX / "hub"
USER_ENV_PREFIX = INSTALL_PREFIX / "user"
STATE_DIR = INSTALL_PREFIX / "state"
CONFIG_DIR = INSTALL_PREFIX / "config"
CONFIG_FILE = CONFIG_DIR / "config.yaml"

# The real one knows only /; here the prefix is opt/tljh below a folder that plays its part.
ROOT = INSTALL_PREFIX.parent.parent

yaml = YAML(typ="rt")


def read():
    """Return the contents of config.yaml, comments included."""
    if not CONFIG_FILE.exists():
        return {}
    return yaml.load(CONFIG_FILE.read_text(encoding="utf-8")) or {}


def write(config):
    """Rewrite config.yaml in place: not atomic, as the original."""
    with open(CONFIG_FILE, "w", encoding="utf-8") as file:
        yaml.dump(config, file)


def section_of(config, path):
    """Return the part of the settings that a dotted key is in, and the key's last word."""
    *parents, last = path.split(".")
    for key in parents:
        config = config.setdefault(key, {})
    return config, last


def change(command, path, value):
    """Set or unset a dotted key, as limits.memory, or an item of the list that it holds."""
    config = read()
    section, last = section_of(config, path)
    if command == "set":
        section[last] = yaml.load(value)
    elif command == "unset":
        del section[last]
    elif command == "add-item":
        section.setdefault(last, []).append(value)
    else:
        section[last].remove(value)
    write(config)


def reload(part):
    """Let the hub, or the proxy, read its settings again."""
    from tljh import services, traefik

    if part == "proxy":
        traefik.ensure_traefik_config(STATE_DIR)
    services.restart_service("traefik" if part == "proxy" else "jupyterhub")


def main():
    parser = argparse.ArgumentParser(prog="tljh-config")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("show", help="print config.yaml")
    for name in ("set", "unset", "add-item", "remove-item"):
        changer = commands.add_parser(name)
        changer.add_argument("key")
        if name != "unset":
            changer.add_argument("value")
    reloader = commands.add_parser("reload", help="restart the hub or the proxy")
    reloader.add_argument("part", nargs="?", default="hub", choices=["hub", "proxy"])
    args = parser.parse_args()
    if args.command == "show":
        yaml.dump(read(), sys.stdout)
    elif args.command == "reload":
        reload(args.part)
    else:
        change(args.command, args.key, getattr(args, "value", None))
