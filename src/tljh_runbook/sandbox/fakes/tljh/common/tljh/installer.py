"""Install TLJH in the prefix, or upgrade what is there, in the order and with the habits of TLJH."""

import argparse
import importlib.metadata
import itertools
import logging
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tljh import apt, config, configurer, hooks, packages, services, traefik
from tljh.config import CONFIG_DIR, HUB_ENV_PREFIX, INSTALL_PREFIX, ROOT, STATE_DIR, USER_ENV_PREFIX

logger = logging.getLogger("tljh")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--admin", nargs="*", action="extend", default=[])
    parser.add_argument("--plugin", nargs="*", action="extend", default=[])
    args = parser.parse_args()
    log_to_file_and_terminal()
    manager = setup_plugins(args.plugin)
    ensure_config_yaml(manager)
    ensure_admins(args.admin)
    ensure_usergroups()
    ensure_user_environment("")
    logger.info("Setting up JupyterHub...")
    ensure_jupyterhub_package(HUB_ENV_PREFIX)
    traefik.ensure_traefik_binary(HUB_ENV_PREFIX)
    ensure_jupyterhub_service(HUB_ENV_PREFIX)
    ensure_jupyterhub_running()
    ensure_symlinks(HUB_ENV_PREFIX)
    run_plugin_actions(manager)
    logger.info("Done!")


def log_to_file_and_terminal():
    to_file = logging.FileHandler(INSTALL_PREFIX / "installer.log", encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(to_file)
    logger.addHandler(logging.StreamHandler())
    logger.setLevel(logging.INFO)


def setup_plugins(plugins):
    """Install plugins, or upgrade them; return a plugin manager with all that are installed.

    An upgrade is left to pip: it compares versions, not commits, so a plugin that never changes
    its version stays as it was.
    """
    for plugin in plugins:
        logger.info("Installing plugin %s", plugin)
        arguments = ["-c", packages.REQUIREMENTS, plugin]
        if is_installed(plugin.partition("@")[0].strip()):
            packages.pip_install(HUB_ENV_PREFIX, *arguments)
        else:
            packages.install(HUB_ENV_PREFIX, *arguments)
    return hooks.plugins()


def is_installed(name):
    try:
        importlib.metadata.distribution(name)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return False
    return True


def ensure_config_yaml(manager):
    for folder in [CONFIG_DIR, CONFIG_DIR / "jupyterhub_config.d", STATE_DIR]:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    contents = config.read()
    manager.hook.tljh_config_post_install(config=contents)
    config.write(contents)


def ensure_admins(admins):
    if not admins:
        return
    logger.info("Setting up admin users")
    contents = config.read()
    contents.setdefault("users", {})["admin"] = admins
    config.write(contents)


def ensure_usergroups():
    for group in services.GROUPS:
        services.run(["groupadd", "--force", group])
    logger.info("Granting passwordless sudo to JupyterHub admins...")
    path = ROOT / "etc" / "sudoers.d" / "jupyterhub-admins"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("%jupyterhub-admins ALL = (ALL) NOPASSWD: ALL\n", encoding="utf-8")


def ensure_jupyterhub_package(prefix):
    """Install what the hub needs. apt is called whether or not the server has the packages."""
    apt.install_packages(["ca-certificates", "sudo"])
    packages.install(prefix, "-r", packages.REQUIREMENTS)


def ensure_user_environment(user_requirements_txt_file):
    logger.info("Setting up user environment...")
    extras = []
    if not (USER_ENV_PREFIX / "bin" / "python3").exists():
        logger.info("Downloading & setting up user environment...")
        make_user_environment()
        extras = ["jupyter-server==2.17.0"]
    packages.install(USER_ENV_PREFIX, packages.jupyterhub_requirement(), *extras)


def make_user_environment():
    if packages.UV.exists():
        packages.run([packages.UV, "venv", "--python", sys.executable, USER_ENV_PREFIX])
    else:
        packages.run([sys.executable, "-m", "venv", USER_ENV_PREFIX])


def ensure_jupyterhub_service(prefix):
    services.reload_daemon()
    traefik.ensure_traefik_config(STATE_DIR)
    services.install_units()
    services.reload_daemon()
    services.restart_all()


def awaited_port():
    """Return 80, whatever http.port says; in a folder, where nobody may have it, the hub's own."""
    return 80 if ROOT == Path("/") else configurer.load_config()["http"]["port"]


def ensure_jupyterhub_running(times=20):
    """Wait for an answer on the port that TLJH expects; any answer will do."""
    port = awaited_port()
    for attempt in range(1, times + 1):
        logger.info("Waiting for JupyterHub to come up (%d/%d tries)", attempt, times)
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=10)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(1)
    raise Exception(f"Installation failed: JupyterHub did not start in {times}s")


def ensure_symlinks(prefix):
    """Have tljh-config in everybody's PATH; as TLJH, refuse to replace one of somebody else's."""
    link = ROOT / "usr" / "bin" / "tljh-config"
    target = prefix / "bin" / "tljh-config"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(target)
    elif link.resolve() != target:
        raise FileExistsError(f"{link} exists but is not a symlink to {target}")


def run_plugin_actions(manager):
    wanted = sorted(set(itertools.chain(*manager.hook.tljh_extra_apt_packages())))
    if wanted:
        logger.info("Installing %d apt packages collected from plugins", len(wanted))
        apt.install_packages(wanted)
    wanted = sorted(set(itertools.chain(*manager.hook.tljh_extra_hub_pip_packages())))
    if wanted:
        logger.info("Installing %d hub pip packages collected from plugins", len(wanted))
        packages.install(HUB_ENV_PREFIX, "-c", packages.REQUIREMENTS, *wanted)
    manager.hook.tljh_post_install()


if __name__ == "__main__":
    main()
