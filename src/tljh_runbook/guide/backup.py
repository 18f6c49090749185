"""The steps that make and check snapshots."""

from __future__ import annotations

from tljh_runbook.errors import SnapshotDamaged
from tljh_runbook.guide.steps import (
    CHANGES_NOTHING,
    NOTHING_TO_UNDO,
    Check,
    Plan,
    Run,
    Target,
    step,
)

ADDS = "It adds a folder with a new snapshot to `/var/backups/tljh`. The hub is only read."
WITH_USER_DATA = (
    f"{ADDS} Users' files go into `/var/backups/tljh-user-data`, or wherever "
    "`user_data.repository` says."
)
DELETE = (
    "The hub is as it was. A snapshot that is not wanted is a folder that can be deleted, with its "
    "name in the place of SNAPSHOT: `rm -r /var/backups/tljh/SNAPSHOT`"
)
FAILS = (
    "There is no new snapshot then, and the hub is as it was: what was started is removed. The "
    "message names what is in the way; put it right and type the same again."
)


def _backup(target: Target, *components: str) -> Run:
    return Run(("tljh-runbook", "backup", *components, "--hub", target.hub))


def _verify(target: Target) -> Check:
    return Check(
        ("tljh-runbook", "verify", "--hub", target.hub),
        SnapshotDamaged(
            "The newest snapshot cannot be trusted.",
            hint="Do not upgrade on it. Make another one: invoke backup",
        ),
    )


@step(
    "backup.all",
    "Back up everything",
    why="Everything that cannot be made again is in one place, of one moment, before you "
    "change something.",
    changes=WITH_USER_DATA,
    check="`tljh-runbook snapshots` lists the new snapshot with all its components.",
    undo=DELETE,
    fails=FAILS,
    default=True,
)
def everything(target: Target) -> Plan:
    """Make one snapshot of everything that the hub cannot make again, and read it back.

    The hub runs on meanwhile, and nobody notices. All components are kept in *one* snapshot, so
    that they belong together: {step}`upgrade` starts from such a snapshot and from no other. Users'
    files go into a repository of their own, which the snapshot names.
    """
    return [_backup(target), _verify(target)]


@step(
    "backup.database",
    "Database",
    why="Who the users are, who is an admin, and who may see which environment is kept only here.",
    changes=ADDS,
    check="`sha256sum -c SHA256SUMS` in the snapshot's folder names each database and reads it.",
    undo=DELETE,
    fails=FAILS,
    by_hand="""
    mkdir -p -m 700 /srv/by-hand
    python3 - <<'EOT'
    import pathlib, sqlite3
    for file in pathlib.Path("/opt/tljh/state").glob("*.sqlite"):
        live = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        copy = sqlite3.connect(f"/srv/by-hand/{file.name}")
        live.backup(copy)
        copy.close()
    EOT
    """,
)
def database(target: Target) -> Plan:
    """Make a snapshot of the hub's databases alone, while the hub runs.

    JupyterHub keeps its state in a SQLite database: the users, who of them is an admin, the
    groups, the tokens, and which servers run. TLJH keeps it in
    `/opt/tljh/state/jupyterhub.sqlite`. Two more lie beside it on a Plasma server:
    `tljh_plasma.sqlite` says which group of users may see which environment, and
    `tljh_repo2docker.sqlite` holds the builds of the environments.

    Do not copy these files with `cp` while the hub runs: such a copy is often damaged, and one of
    `tljh_repo2docker.sqlite` alone misses its newest rows. This step holds a read transaction
    while it copies, and runs SQLite's integrity check on every copy.
    """
    return [_backup(target, "database")]


@step(
    "backup.config",
    "Configuration",
    why="You are about to edit the configuration, and want to be able to go back to what worked.",
    changes=ADDS,
    check="The snapshot holds `config/config/config.yaml`; compare it with the one on the hub.",
    undo=DELETE,
    fails=FAILS,
    by_hand="""
    mkdir -p -m 700 /srv/by-hand
    tar --create --file /srv/by-hand/config.tar --directory /opt/tljh \\
        --exclude '*.sqlite*' --exclude '*.lock' --exclude '*.log' --exclude '*.pid' \\
        config state
    """,
)
def config(target: Target) -> Plan:
    """Make a snapshot of the hub's settings and secrets alone.

    It holds all of `/opt/tljh/config`, and from `/opt/tljh/state` the cookie secrets (without
    them everybody is logged out), the proxy's secret, its certificates from Let's Encrypt, and
    the passwords that users chose themselves.
    """
    return [_backup(target, "config")]


@step(
    "backup.plugin",
    "Plugins",
    why="A plugin can be installed again only when its commit is known; its version "
    "number does not tell.",
    changes=ADDS,
    check="`plugin/requirements.txt` in the snapshot names each plugin with its commit.",
    undo=DELETE,
    fails=FAILS,
)
def plugin(target: Target) -> Plan:
    """Make a snapshot of which plugins are installed, at which commit, and of their files.

    A plugin is a Python package in the hub's environment, `/opt/tljh/hub`. It can be installed
    again from its repository, but only when it is known *from which commit*: every commit of the
    Plasma plugin carries the same version number. What the plugin remembers is not in the package
    but in its database, which {step}`backup.database` keeps.
    """
    return [_backup(target, "plugin")]


@step(
    "backup.environments",
    "User environments",
    why="An environment that somebody deletes can be built again from what is kept.",
    changes=ADDS,
    check="`environments/environments.json` in the snapshot names every environment.",
    undo=DELETE,
    fails=FAILS,
)
def environments(target: Target) -> Plan:
    """Make a snapshot of what each user environment was built from.

    User environments are Docker images, built by tljh-repo2docker from a repository. Kept are the
    image's number, the repository, its version, the build arguments, the name that users see, the
    limits and the owner: enough to build it again. The images themselves take several GB each;
    they are kept as well when the {ref}`setting <setting-save-images>` `save_images` is true.

    A rebuilt environment must keep the *name that users see*: users' folders are named after it.
    """
    return [_backup(target, "environments")]


@step(
    "backup.user-data",
    "User data",
    why="Users' own work is the one thing that nobody else has a copy of.",
    changes=WITH_USER_DATA,
    check="`tljh-runbook snapshots show` says of how many files the user data is.",
    undo=DELETE,
    fails=FAILS,
    by_hand="""
    mkdir -p -m 700 /srv/by-hand
    tar --create --file /srv/by-hand/home.tar --sparse --acls --xattrs --directory /home \\
        --exclude .cache --exclude .local/share/Trash --exclude '.Trash-*' --exclude .conda/pkgs \\
        --exclude miniconda3/pkgs --exclude node_modules/.cache --exclude __pycache__ .
    """,
)
def user_data(target: Target) -> Plan:
    """Keep the home directories of all users, with owners, rights and times.

    They go into a [restic](https://restic.net) repository: encrypted, and only what has changed
    takes time and room. By default it lies on the same server, which helps against mistakes but
    not against a dead disk: set `user_data.repository` to another machine.

    The repository opens with the password in `/etc/tljh-runbook.password` only. Keep a copy of it
    elsewhere: {ref}`the emergency copy <emergency-copy>`.
    """
    return [_backup(target, "user-data")]


@step(
    "backup.accounts",
    "Accounts",
    why="On a new server, a home belongs to its owner only when the account has its old number.",
    changes=ADDS,
    check="`accounts/accounts.json` in the snapshot names every account.",
    undo=DELETE,
    fails=FAILS,
)
def accounts(target: Target) -> Plan:
    """Make a snapshot of the server's accounts of hub users, and of their groups.

    Files belong to *numbers*, not to names: on a new server, a home that is restored is only
    its owner's when the account has the number that it had. Kept are the records of hub users and
    their groups, never whole system files.
    """
    return [_backup(target, "accounts")]


@step(
    "backup.software",
    "Software",
    why="You can see later what was installed, and install the same again.",
    changes=ADDS,
    check="`software/` in the snapshot holds the list of every package.",
    undo=DELETE,
    fails=FAILS,
)
def software(target: Target) -> Plan:
    """Make a snapshot of the list of all installed packages, with versions and commits.

    There is one list for the hub's environment and one for the users' environment `/opt/tljh/user`.
    Lists, not copies: packages come from their indexes again. What you put into the users'
    environment besides packages is copied: kernels, settings of Jupyter and of its extensions.
    """
    return [_backup(target, "software")]


@step(
    "backup.services",
    "Services",
    why="Your own changes to how the hub is started are nowhere else.",
    changes=ADDS,
    check="`services/` in the snapshot holds the units of the hub and its proxy.",
    undo=DELETE,
    fails=FAILS,
)
def services(target: Target) -> Plan:
    """Make a snapshot of the services' units, and of the TLS files that `config.yaml` names.

    The installer writes the units again at each upgrade; your own drop-ins beside them are only
    yours.
    """
    return [_backup(target, "services")]


@step(
    "backup.acknowledge",
    "Acknowledge missing homes",
    why="You moved or removed home directories on purpose, and the scheduled backup fails since.",
    changes="Which home directories the next backup expects. No file of a user, and no snapshot.",
    check="It names each home that is no longer expected; {step}`upgrade.check` says *ok* again.",
    undo="As soon as a home holds files again, the next backup expects it again.",
    fails="Nothing has changed then. The message says what is in the way.",
)
def acknowledge(target: Target) -> Plan:
    """Acknowledge that home directories that held files before are gone on purpose.

    A disk that is not mounted leaves empty folders, and a backup of them would look good. So a
    home that held files and is empty, unmounted or unreadable makes the scheduled backup fail
    every night, and {step}`upgrade.check` says *NO*, until it holds files again or you acknowledge
    it. The snapshots that hold it are retained meanwhile.
    """
    return [Run(("tljh-runbook", "acknowledge", "--hub", target.hub))]


@step(
    "backup.verify",
    "Verify the newest snapshot",
    why="A backup that was never read back is a hope.",
    changes=CHANGES_NOTHING,
    check="The last line says that the snapshot is whole.",
    undo=NOTHING_TO_UNDO,
    fails="The message names the files that are not as they were sealed. Do not upgrade on this "
    "snapshot: make another one, {step}`backup`, and see what is wrong with the disk.",
    by_hand="""
    cd "$(ls -d /var/backups/tljh/2* | tail -n 1)"
    sha256sum --check --quiet SHA256SUMS
    """,
)
def verify(target: Target) -> Plan:
    """Read every byte of the newest snapshot and compare it with its seal.

    The seal is plain `SHA256SUMS`, so that any
    machine can check it, with or without this tool.
    """
    return [_verify(target)]
