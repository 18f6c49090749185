"""The groups of settings: each setting with its default and its description."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# The newest releases that this version of the runbook was tested with.
TLJH = "2.0.0"
MOST_MINUTES = 525_600  # a year
PLUGINS = (
    "tljh-plasma @ git+https://github.com/plasmabio/plasma"
    "@4e54be5b4ea0a838c49485ce948332383b40ef81#subdirectory=tljh-plasma",
    "tljh-repo2docker==3.0.15",
)
EXCLUDE = (
    ".cache",
    ".local/share/Trash",
    ".Trash-*",
    ".conda/pkgs",
    "miniconda3/pkgs",
    "node_modules/.cache",
    "__pycache__",
)
DEFAULTS = {"services.cull.timeout": 3600, "limits.memory": "2G", "limits.cpu": 2}


def setting(default: Any, doc: str) -> Any:
    """Return the field of a setting, with its default and its description for the reference."""
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata={"doc": doc})
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True)
class UpgradeSettings:
    """What an upgrade installs, and how careful it is."""

    tljh: str = setting(
        TLJH,
        'The TLJH version to upgrade to: a release, a full commit, a branch (`"@main"`), or '
        "`newest`, the newest release. The default never replaces a newer TLJH; what you write "
        "here does.",
    )
    plugins: tuple[str, ...] = setting(
        PLUGINS,
        "The plugins to upgrade to, as pip requirements: `NAME==VERSION`, or `NAME @ git+URL@REF` "
        "with a full commit, a branch or a tag for `REF`. Without `git+URL@` it comes from the "
        "address that it was installed from. `newest`, as the version or as `REF`, is the newest "
        "release. The default upgrades the plugins that the hub has, and never replaces a newer "
        "one; what you write here is installed in any case.",
    )
    installer: str = setting(
        "/srv/tljh-installer.py", "TLJH's `bootstrap.py` on the hub, below the server's root."
    )
    defaults: dict[str, Any] = setting(
        DEFAULTS, "Settings of `config.yaml` that are set where they are unset, and never else."
    )
    snapshot_age: int = setting(
        60, "How old the snapshot may be that an upgrade starts from, in minutes."
    )
    healthy_within: int = setting(
        180, "How long a restarted hub may take until it is healthy, in seconds."
    )
    healthy_for: int = setting(
        8,
        "For how many seconds the hub and its services must have stayed up before an upgrade is "
        "done. A hub that crashes in a loop answers for some seconds each time. Users "
        "work meanwhile.",
    )
    quiet_within: int = setting(
        0,
        "How long an upgrade that is prepared waits for a quiet moment, in minutes: one in which "
        "no kernel of a user computes and no environment is built. 0 means that it does not wait.",
    )
    confirm_within: int = setting(
        0,
        "In how many minutes a person must confirm an upgrade that has ended well; else it is "
        "rolled back automatically. 0 means that it need not be confirmed.",
    )
    in_place: bool = setting(
        False,
        "Whether to install into the live hub even where the upgrade could be prepared beside it: "
        "it needs less of the disk, and takes the hub away for as long as the installer runs.",
    )
    keep_previous: bool = setting(
        True,
        "Whether the environments of the previous version are retained after an upgrade, so that "
        "it can be rolled back. They take as much of the disk as the live ones.",
    )


@dataclass(frozen=True)
class UserDataSettings:
    """Where users' files are backed up, and which of them."""

    repository: str = setting(
        "/var/backups/tljh-user-data",
        "The restic repository that keeps users' files: a folder below the server's root, or any "
        "address that restic knows, such as `sftp:backup@example.org:/hub` or "
        "`rest:https://backup.example.org/hub`.",
    )
    password_file: str = setting(
        "/etc/tljh-runbook.password",
        "The file with the repository's password, below the server's root. It is made on first "
        "use. Without it nobody can read the repository: keep a copy elsewhere.",
    )
    name: str = setting(
        "",
        "The name under which this hub's files are kept; empty means the server's name and the "
        "hub's folder. Set it on a new server that takes the place of an old one.",
    )
    also: tuple[str, ...] = setting(
        (),
        "More folders to keep beside the home directories, below the server's root, such as "
        "`/srv/data`.",
    )
    environment: bool = setting(
        False,
        "Whether all of the users' conda environment is backed up beside the home directories: "
        "several hundred MB the first time, later only what has changed. Without it, a snapshot "
        "holds the list of its packages, and what an administrator put there besides.",
    )
    exclude: tuple[str, ...] = setting(
        EXCLUDE, "What is not kept, as restic's patterns: what programs make again by themselves."
    )
    options: dict[str, Any] = setting(
        {}, "Options for restic's way to the repository, such as `sftp.command`."
    )
    environment_file: str = setting(
        "",
        "A file of lines `NAME=VALUE` with what the repository's address needs besides, such as "
        "the keys of an object store. Nobody but its owner may read it.",
    )


@dataclass(frozen=True)
class KeepSettings:
    """Which snapshots are retained when old ones are removed."""

    last: int = setting(3, "How many of the newest snapshots are kept.")
    daily: int = setting(7, "For how many days the last snapshot of the day is kept.")
    weekly: int = setting(4, "For how many weeks the last snapshot of the week is kept.")
    monthly: int = setting(6, "For how many months the last snapshot of the month is kept.")


@dataclass(frozen=True)
class ScheduledSettings:
    """What scheduled runs check, and who is notified."""

    sample: int = setting(
        5, "How much of the users' files the scheduled verification reads, in percent."
    )
    metrics: str = setting(
        "/var/lib/prometheus/node-exporter",
        "The folder of node_exporter's textfile collector, below the server's root. Metrics are "
        "written where it is there; empty means never.",
    )
    ping_file: str = setting(
        "",
        "A file of lines `backup=URL` and `verify=URL`, below the server's root: the addresses "
        "that are told how each run went. Nobody but its owner may read it.",
    )
    mail_to: str = setting(
        "root",
        "Who gets a mail when a scheduled run fails, and when an upgrade changed something, was "
        "rolled back or waits for confirmation, where the server has the program `sendmail`; "
        "empty means nobody.",
    )


@dataclass(frozen=True)
class SecuritySettings:
    """Where newer advisories come from."""

    advisories: str = setting(
        "https://tljh-runbook.readthedocs.io/en/latest/advisories.json",
        "Where `tljh-runbook security refresh` fetches the list of known vulnerabilities: an "
        "`https` address, or the absolute path of a file on the server.",
    )
