"""Everything that can go wrong and that a person can do something about.

Each error has a message (what happened and what state things are in), a hint (what to type next)
and an exit code of its own.  The table in the reference is made from this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


def printable(text: str) -> str:
    """Return ``text`` with what would command a terminal made visible."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


class RunbookError(Exception):
    """Base of all errors that are shown to a person, never with a traceback.

    Subclasses set ``code`` (the process's exit code) and their docstring's first line is the
    meaning printed in the reference.
    """

    code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | Sequence[str]) -> None:
        """Take a hint of one line or several; a command ends its line, after a colon."""
        super().__init__(message)
        self.message = message
        given = [hint] if isinstance(hint, str) else hint
        self.hint = "\n".join(map(printable, given))  # no value in it begins a line of its own

    def add(self, sentence: str) -> None:
        """Say more: in what state things are after the error was dealt with."""
        end = "" if self.message.endswith((".", "!", "?")) else "."
        self.message = f"{self.message}{end} {sentence}"
        self.args = (self.message,)

    @property
    def advice(self) -> str:
        """The hint on one line, for places that have no more."""
        return self.hint.replace("\n", " ")

    def to_json(self) -> dict[str, str | int]:
        """Return the error as data."""
        return {"message": self.message, "hint": self.hint, "code": self.code}


class NoHub(RunbookError):
    """There is no TLJH hub at the given prefix."""

    code = 10


class ConfigBroken(RunbookError):
    """The hub's ``config.yaml`` cannot be read as settings, or its configuration does not load."""

    code = 11


class SettingsInvalid(RunbookError):
    """The settings file has an unknown key or an unusable value."""

    code = 12


class AccessDenied(RunbookError):
    """The user who typed the command may not read or write what it needs."""

    code = 13


class DatabaseMissing(RunbookError):
    """A database of the hub cannot be found where the hub keeps it."""

    code = 14


class DatabaseDamaged(RunbookError):
    """A database fails SQLite's own integrity check."""

    code = 15


class NoSpace(RunbookError):
    """There is not enough room on a disk."""

    code = 16


class Busy(RunbookError):
    """Another run of the tool works on the same hub."""

    code = 17


class SnapshotMissing(RunbookError):
    """No snapshot has that name, or there is none at all."""

    code = 18


class SnapshotDamaged(RunbookError):
    """A snapshot is not what its manifest says."""

    code = 19


class SnapshotStale(RunbookError):
    """No verified snapshot is fresh enough to upgrade on."""

    code = 20


class HubUnhealthy(RunbookError):
    """The hub does not answer as a healthy hub does."""

    code = 21


class InstallerFailed(RunbookError):
    """The TLJH installer, or pip, ended with an error."""

    code = 22


class GuaranteeBroken(RunbookError):
    """The upgrade ran, but something that it must not touch has changed."""

    code = 23


class ServicesUnreachable(RunbookError):
    """The service manager of the hub (systemd, supervisor) does not answer."""

    code = 24


class StepUnknown(RunbookError):
    """No step or component has that name."""

    code = 25


class ToolMissing(RunbookError):
    """A program that only the distribution carries is not installed."""

    code = 26


class SandboxFailed(RunbookError):
    """A sandbox could not be built, started or taken down."""

    code = 27


class RunCutOff(RunbookError):
    """A run's own process was ended before its work was."""

    code = 28


class DiskFailed(RunbookError):
    """A disk or file system reports an error, or a file changes faster than it can be read."""

    code = 29


class RepositoryLocked(RunbookError):
    """The repository of user data does not open with the password that is here."""

    code = 30


class RepositoryForeign(RunbookError):
    """The repository holds the user data of another hub."""

    code = 31


class RepositoryUnreachable(RunbookError):
    """The repository of user data cannot be reached."""

    code = 32


class RepositoryDamaged(RunbookError):
    """The repository of user data is there, but restic cannot read it."""

    code = 33


class BackupStalled(RunbookError):
    """A backup of users' files made no progress for a quarter of an hour, and was ended."""

    code = 64


class DatabaseForeign(RunbookError):
    """A database is of a kind that the runbook cannot keep."""

    code = 34


class AccountConflict(RunbookError):
    """A user or group exists already with another number than the one that was kept."""

    code = 35


class SnapshotNewer(SnapshotDamaged):  # as unusable as a damaged one, wherever one is skipped
    """The snapshot was written in a newer format than this version reads."""

    code = 36


class NotKept(RunbookError):
    """What is asked for is not in the snapshot."""

    code = 37


class NotConfirmed(RunbookError):
    """What overwrites something was not confirmed."""

    code = 38


class RestoreFailed(RunbookError):
    """Restoring stopped half way; what was replaced is kept."""

    code = 39


class DockerUnreachable(RunbookError):
    """The Docker engine does not answer, or not this user."""

    code = 40


class DockerFailed(RunbookError):
    """Docker answers, but could not do what it was asked."""

    code = 41


class NotBundled(RunbookError):
    """What only the one file can do was asked of something else."""

    code = 48


class InventoryInvalid(RunbookError):
    """The inventory cannot be read, or names no server that is meant."""

    code = 50


class ServerUnreachable(RunbookError):
    """A server cannot be reached over SSH, or does not let us in."""

    code = 51


class ServerUnfit(RunbookError):
    """A server lacks what the runbook needs there: rights, Python, the tool, or plain folders."""

    code = 52


class BackupIncomplete(RunbookError):
    """A snapshot was made without a person, and does not hold all that it should."""

    code = 49


class RehearsalFailed(RunbookError):
    """The next version was tried on copies, and does not work; the live hub was not touched."""

    code = 53


class UpgradeRolledBack(RunbookError):
    """The upgrade was rolled back automatically: the hub runs the version that it ran before."""

    code = 54


class NothingToRollBack(RunbookError):
    """There is no upgrade that could be rolled back."""

    code = 55


class NotQuiet(RunbookError):
    """Somebody was at work as long as an upgrade was to wait for a quiet moment."""

    code = 56


class NothingToConfirm(RunbookError):
    """No upgrade waits to be confirmed: it was confirmed, or rolled back, or was never to be."""

    code = 57


class VersionUnknown(RunbookError):
    """The settings name a branch or the newest version, and it cannot be resolved."""

    code = 59


class AdvisoriesUnusable(RunbookError):
    """The list of known vulnerabilities cannot be fetched or read."""

    code = 60


class LoginsLost(RunbookError):
    """After the upgrade some users could not log in any more; the live hub was not touched."""

    code = 58


class HomesLost(RunbookError):
    """Home directories that held files are empty, unmounted or unreadable."""

    code = 63
