"""Install packages of the distribution, where the hub is on a server of its own."""

import logging
import os

from tljh import packages
from tljh.config import ROOT

logger = logging.getLogger("tljh")

APT_GET = ROOT / "usr" / "bin" / "apt-get"
LISTS = ROOT / "var" / "lib" / "apt" / "lists"


def install_packages(names):
    """Install packages, as TLJH does: apt's lists are fetched only where there are none."""
    if not APT_GET.exists():
        logger.info("Skipped: %s is not there, so this is no server of its own", APT_GET)
        return
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"  # apt must not ask questions
    if not LISTS.is_dir() or not any(LISTS.iterdir()):
        packages.run([APT_GET, "update", "--yes"])
    packages.run([APT_GET, "install", "--yes", *names])
