"""Check that users' files are backed up, and could be read if this server were lost."""

from __future__ import annotations

from contextlib import suppress

from tljh_runbook.errors import RunbookError, SettingsInvalid
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.snapshots import snapshot
from tljh_runbook.hub.user_data import presence, user_files
from tljh_runbook.hub.user_data.restic import password, restic

COMPONENT = "user-data"


def look(source: Source) -> str | tuple[str, None, str]:
    """Return the state of the user data backup, with a warning if it is not sufficient.

    An upgrade does not touch these files, but one that starts while homes are missing would let
    users log in without them: that raises `HomesLost`.
    """
    with suppress(SettingsInvalid):  # reported below
        presence.require(source)
    try:
        restic.program()
        kept = _newest(source)
        if not kept:
            return (
                "not backed up",
                None,
                "User data was never backed up. Do it now: tljh-runbook backup",
            )
        if not kept["kept"]:
            return "not backed up", None, str(kept["note"])
        found = f"{kept['files']} files kept in {kept['repository']}"
        if password.confirmed(source):
            return found
    except RunbookError as error:
        return "not backed up", None, user_files.because(error)
    return found, None, _COPY.format(source.settings.user_data.password_file)


_COPY = (
    "Without the password in {} nobody can read the backups of user data, and it is only here: "
    "keep a copy elsewhere, then say so: tljh-runbook password --confirm"
)


def _newest(source: Source) -> dict[str, object]:
    """Return the user data details of the newest snapshot that has any."""
    for path in reversed(snapshot.listed(source.backups)):
        try:
            kept = snapshot.read(path).manifest
        except RunbookError:
            continue
        if kept.hub == str(source.hub.prefix) and COMPONENT in kept.components:
            return kept.components[COMPONENT]
    return {}
