"""Where things are, and the command tljh-config."""

import argparse
import os
import sys
from contextlib import contextmanager
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


def set_value(path, value):
    """Set a dotted key, as limits.memory."""
    with changed(path) as (section, last):
        section[last] = yaml.load(value)


def unset(path):
    """Remove a dotted key."""
    with changed(path) as (section, last):
        del section[last]


def add_item(path, value):
    """Add a value to a list."""
    with changed(path) as (section, last):
        section[last] = [*section.get(last, []), yaml.load(value)]


def remove_item(path, value):
    """Remove a value from a list."""
    with changed(path) as (section, last):
        section[last].remove(yaml.load(value))


@contextmanager
def changed(path):
    """Give the section of a dotted key, and the key's last part; write what became of it."""
    config = read()
    *parents, last = path.split(".")
    section = config
    for key in parents:
        section = section.setdefault(key, {})
    yield section, last
    write(config)


def reload(part):
    """Let the hub, or the proxy, read its settings again."""
    from tljh import services, traefik

    if part == "proxy":
        traefik.write_configuration()
    services.restart("traefik" if part == "proxy" else "jupyterhub")


def main():
    parser = argparse.ArgumentParser(prog="tljh-config")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("show", help="print config.yaml")
    setter = commands.add_parser("set", help="set a value")
    setter.add_argument("key")
    setter.add_argument("value")
    commands.add_parser("unset", help="remove a value").add_argument("key")
    for name, summary in {"add-item": "add to a list", "remove-item": "remove from one"}.items():
        changer = commands.add_parser(name, help=summary)
        changer.add_argument("key")
        changer.add_argument("value")
    reloader = commands.add_parser("reload", help="restart the hub or the proxy")
    reloader.add_argument("part", nargs="?", default="hub", choices=["hub", "proxy"])
    args = parser.parse_args()
    if args.command == "show":
        yaml.dump(read(), sys.stdout)
    elif args.command == "set":
        set_value(args.key, args.value)
    elif args.command == "unset":
        unset(args.key)
    elif args.command == "add-item":
        add_item(args.key, args.value)
    elif args.command == "remove-item":
        remove_item(args.key, args.value)
    else:
        reload(args.part)
