"""The tables of the reference, made from the code: a Sphinx extension of its own.

It reads both the hub's settings and the errors, so it belongs to neither half.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh_runbook.reference.lists import ComponentList, DowntimeList, GuaranteeList, TestedReleases
from tljh_runbook.reference.measured import Measured, MeasuredOn
from tljh_runbook.reference.playbooks import PlaybookList, VariablesTable
from tljh_runbook.reference.real_servers import RealDowntime, RealServers
from tljh_runbook.reference.tables import ErrorTable, SettingsTable, Symptoms
from tljh_runbook.reference.upgrades import LastUpgrade

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives."""
    app.add_directive("settings-table", SettingsTable)
    app.add_directive("component-list", ComponentList)
    app.add_directive("downtime-list", DowntimeList)
    app.add_directive("guarantee-list", GuaranteeList)
    app.add_directive("tested-releases", TestedReleases)
    app.add_directive("playbook-list", PlaybookList)
    app.add_directive("variables-table", VariablesTable)
    app.add_directive("error-table", ErrorTable)
    app.add_directive("measured", Measured)
    app.add_directive("measured-on", MeasuredOn)
    app.add_directive("real-servers", RealServers)
    app.add_directive("real-downtime", RealDowntime)
    app.add_directive("symptoms", Symptoms)
    app.add_role("last-upgrade", LastUpgrade())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
