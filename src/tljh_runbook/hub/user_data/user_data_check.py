"""Whether users' files are kept, and could be read by somebody when this server is gone."""

from __future__ import annotations

from contextlib import suppress

from tljh_runbook.errors import RunbookError, SettingsInvalid
from tljh_runbook.hub.context import Source
from tljh_runbook.hub.snapshots import snapshot
from tljh_runbook.hub.user_data import presence, user_files
from tljh_runbook.hub.user_data.restic import password, restic

COMPONENT = "user-data"


def look(source: Source) -> str | tuple[str, None, str]:
    """Return what is kept of the users' files; with a warning where that is not enough.

    An upgrade touches none of these files. But one that starts while homes are missing lets users
    in without them: `HomesLost`.
    """
    with suppress(SettingsInvalid):  # told below
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
    """Return what the newest snapshot that was to keep user data says of it."""
    for path in reversed(snapshot.listed(source.backups)):
        try:
            kept = snapshot.read(path).manifest
        except RunbookError:
            continue
        if kept.hub == str(source.hub.prefix) and COMPONENT in kept.components:
            return kept.components[COMPONENT]
    return {}
