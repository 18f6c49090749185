"""Upstream's own way to upgrade Plasma: its playbook, as its documentation says."""

from __future__ import annotations

import sys
from pathlib import Path

from controller import Controller
from machines import Server
from ruamel.yaml import YAML
from world import World

HERE = "ansible/tljh.yml"
# The last task downloads an image, with a collection that is not everywhere.
LEFT_OUT = "docker_image"


def upgrade(world: World, controller: Controller, server: Server) -> str:
    """Run Plasma's ``tljh.yml`` of today; return what it printed."""
    folder = controller.folder / "plasma"
    if not folder.exists():
        world.plasma.unpack("HEAD", "ansible", folder)
        _shorten(folder / HERE)
    controller.inventory([server], {})
    program = str(Path(sys.prefix) / "bin" / "ansible-playbook")
    own = f"tljh_installer_url={world.web.address}/bootstrap.py"
    return controller.run([program, "-i", "hosts", "-e", own, str(folder / HERE)])


def _shorten(file: Path) -> None:
    yaml = YAML()
    plays = yaml.load(file)
    for play in plays:
        play["tasks"] = [task for task in play["tasks"] if LEFT_OUT not in task]
    yaml.dump(plays, file)
