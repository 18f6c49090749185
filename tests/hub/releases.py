"""Releases of the fakes that a sandbox does not come with: good ones, and ones that fail.

Each function commits one to the sandbox's git repository and returns the commit. It is one change
to what the sandbox would be upgraded to (TLJH 2.0.0, the newer plugin), and can be made again.
"""

from __future__ import annotations

from pathlib import Path

from tljh_runbook.sandbox import contents, repositories
from tljh_runbook.sandbox.layout import Layout

BASE = {"tljh": "2.0.0", "plasma": "newer"}
TLJH = Path("tljh", "tljh")
PLASMA = Path("plasma", "tljh_plasma")
DAY = 3  # the releases of a sandbox are of the first and the second

BROKEN = """
raise RuntimeError("this release of the plugin cannot be imported")
"""

# As far as TLJH's installer gets when the network goes away while it downloads the proxy.
FAILS = """\
    contents = config.read()
    contents.setdefault("limits", {})["memory"] = "1T"
    config.write(contents)
    traefik.BINARY.unlink()
    packages.run(["sh", "-c", "echo ERROR: The network is away; exit 1"])
"""

UNMIGRATED = """

from jupyterhub import dbutil


def upgrade(*arguments):
    raise RuntimeError("this release cannot migrate the database")


dbutil.upgrade = upgrade
"""

# The hub itself is started with --upgrade-db; neither the command upgrade-db nor whoever only loads
# the configuration is.
CRASHES = """\
def tljh_custom_jupyterhub_config(c):
    if "--upgrade-db" in sys.argv and "upgrade-db" not in sys.argv:
        raise SystemExit("this release crashes the hub when it starts")
"""


def tljh(layout: Layout, traefik_version: str = "3.6.5") -> str:
    """TLJH 2.0.0 with another proxy; with that of 1.0.0, unless told otherwise."""
    pinned = 'traefik_version = "3.6.13"'
    wanted = f'traefik_version = "{traefik_version}"'
    return _commit(layout, TLJH / "__init__.py", f"proxy-{traefik_version}", pinned, wanted)


def patch(layout: Layout) -> str:
    """TLJH 1.0.0 with another number, and nothing else: it asks for what is installed already."""
    file, old = TLJH / "__init__.py", '__version__ = "1.0.0"'
    return _commit(layout, file, "patch", old, '__version__ = "1.0.1"', base="1.0.0")


def broken_plugin(layout: Layout) -> str:
    """A plugin that raises at import."""
    first = "import os\nimport sys\n"
    return _commit(layout, PLASMA / "__init__.py", "broken", first, BROKEN + first)


def failing_installer(layout: Layout) -> str:
    """A TLJH whose installer ends with 1, having changed config.yaml and deleted the proxy."""
    step = "    traefik.ensure_traefik_binary(HUB_ENV_PREFIX)\n"
    return _commit(layout, TLJH / "installer.py", "failing-installer", step, FAILS)


def failing_migration(layout: Layout) -> str:
    """A TLJH with which no database of the hub can be migrated; its configuration loads."""
    last = "c = get_config()  # noqa: F821\n"
    file = TLJH / "jupyterhub_config.py"
    return _commit(layout, file, "failing-migration", last, UNMIGRATED + last)


def crashing_hub(layout: Layout) -> str:
    """A plugin with which databases migrate and the configuration loads, but no hub starts."""
    hook = "def tljh_custom_jupyterhub_config(c):\n"
    return _commit(layout, PLASMA / "__init__.py", "crashing-hub", hook, CRASHES)


def ask(layout: Layout, *, tljh: str = BASE["tljh"], plugin: str = "", **upgrade: object) -> None:
    """Have the sandbox's settings ask for commits, and for other settings of ``upgrade``."""
    commit = plugin or _git(layout, "plasma", "rev-parse", BASE["plasma"])
    contents.settle(layout, f"{layout.url('plasma')}@{commit}", tljh)
    lines = [f"  {name}: {value}\n" for name, value in upgrade.items()]
    with layout.settings.open("a", encoding="utf-8") as file:
        file.writelines(lines)


def _commit(layout: Layout, file: Path, release: str, old: str, new: str, *, base: str = "") -> str:
    """Replace the one ``old`` in a file of a repository, on a branch; return the commit."""
    name = file.parts[0]
    _git(layout, name, "checkout", "--quiet", "-B", release, base or BASE[name])
    try:
        path = layout.repositories / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} is not there once in {path}"
        path.write_text(text.replace(old, new), encoding="utf-8")
        return repositories.record(layout, name, release, DAY)
    finally:
        _git(layout, name, "checkout", "--quiet", "--force", "main")


def _git(layout: Layout, name: str, *arguments: str) -> str:
    return repositories.git(layout, layout.repositories / name, *arguments)
