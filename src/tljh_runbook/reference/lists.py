"""The directives ``{component-list}``, ``{downtime-list}`` and others that list what is known."""

from __future__ import annotations

from docutils import nodes

from tljh_runbook.hub.backup import components
from tljh_runbook.hub.upgrade import guarantees
from tljh_runbook.hub.versions import releases
from tljh_runbook.reference.tables import Table


class ComponentList(Table):
    """Every component, with what is deliberately not kept of it and why."""

    def run(self) -> list[nodes.Node]:
        """Return the list of components."""
        items = [self._row(each) for each in components.every()]
        return [nodes.definition_list("", *items)]

    def _row(self, each: components.Component) -> nodes.definition_list_item:
        label = self.label("component", each.name)
        return self.entry(label, [nodes.Text(each.title)], self._what(each))

    def _what(self, each: components.Component) -> list[nodes.Node]:
        kept = "".join(f"- {line}\n" for line in each.kept)
        left_out = "".join(f"- {what}: {why}\n" for what, why in each.left_out)
        return self.parse_text_to_nodes(f"Kept:\n\n{kept}\nNot kept:\n\n{left_out}")


class DowntimeList(Table):
    """What cannot be reached while each component is restored."""

    def run(self) -> list[nodes.Node]:
        """Return a table of components."""
        head = "| Component | What cannot be reached |\n| --- | --- |\n"
        rows = (
            f"| {{ref}}`{each.name} <component-{each.name}>` | {each.downtime} |\n"
            for each in components.every()
        )
        return self.parse_text_to_nodes(head + "".join(rows))


class TestedReleases(Table):
    """Every upgrade from one release to another that was carried out, and on what."""

    def run(self) -> list[nodes.Node]:
        """Return a table of releases."""
        head = "| Package | From | To | On |\n| --- | --- | --- | --- |\n"
        rows = (
            f"| {each['package']} | {each['from']} | {each['to']} | {each['on']} |\n"
            for each in releases.data()["tested"]
        )
        return self.parse_text_to_nodes(head + "".join(rows))


class GuaranteeList(Table):
    """Every guarantee, in the order in which an upgrade shows them."""

    def run(self) -> list[nodes.Node]:
        """Return the list of guarantees."""
        return [nodes.definition_list("", *(self._row(each) for each in guarantees.every()))]

    def _row(self, each: guarantees.Guarantee) -> nodes.definition_list_item:
        label = self.label("guarantee", each.name)
        return self.entry(label, [nodes.Text(each.name)], self.parse_text_to_nodes(each.statement))
