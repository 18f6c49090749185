"""The directives ``{settings-table}`` and ``{error-table}``.

Each entry is a label of its own, so that a page can point at it: ``{ref}`setting-upgrade-tljh```,
``{ref}`error-nohub```.
"""

from __future__ import annotations

import inspect
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from tljh_runbook import errors
from tljh_runbook.hub import settings, yaml


class Table(SphinxDirective):
    """A list of labelled terms."""

    def label(self, kind: str, name: str) -> str:
        """Make the entry ``name`` a target for pages; return its id."""
        label = nodes.make_id(f"{kind}-{name}")
        domain = self.env.domains["std"]
        domain.note_hyperlink_target(label, self.env.docname, label, name)
        return label

    def entry(
        self, label: str, term: list[nodes.Node], content: list[nodes.Node]
    ) -> nodes.definition_list_item:
        """Return one entry of the list."""
        return nodes.definition_list_item(
            "", nodes.term("", "", *term, ids=[label]), nodes.definition("", *content)
        )


class SettingsTable(Table):
    """Every setting of the hub, with its meaning and its default."""

    def run(self) -> list[nodes.Node]:
        """Return the list of settings."""
        self.env.note_dependency(inspect.getfile(settings))
        return [nodes.definition_list("", *(self._row(*row) for row in settings.documented()))]

    def _row(self, name: str, default: Any, meaning: str) -> nodes.definition_list_item:
        text = _written(name, default)
        block = nodes.literal_block(text, text, language="yaml")
        content = [*self.parse_text_to_nodes(f"{meaning} The default:"), block]
        return self.entry(self.label("setting", name), [nodes.literal(name, name)], content)


class ErrorTable(Table):
    """Every error with its exit code and its meaning."""

    def run(self) -> list[nodes.Node]:
        """Return the list of errors, in the order of their exit codes."""
        self.env.note_dependency(inspect.getfile(errors))
        return [nodes.definition_list("", *map(self._row, every_error()))]

    def _row(self, error: type[errors.RunbookError]) -> nodes.definition_list_item:
        name = error.__name__
        meaning = nodes.paragraph("", "", *self._meaning(error))
        code = str(error.code)
        term: list[nodes.Node] = [nodes.literal(code, code), nodes.Text(f" {name}")]
        return self.entry(self.label("error", name), term, [meaning])

    def _meaning(self, error: type[errors.RunbookError]) -> list[nodes.Node]:
        line = (inspect.getdoc(error) or "").partition("\n")[0]
        return self.parse_inline(line.replace("``", "`"))[0]


def every_error() -> list[type[errors.RunbookError]]:
    """Return all errors, in the order of their exit codes."""
    found = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.RunbookError)
    ]
    return sorted(set(found) - {errors.RunbookError}, key=lambda error: error.code)


def _written(name: str, default: Any) -> str:
    """Return a setting with its default, as it stands in the settings file."""
    value = list(default) if isinstance(default, tuple) else default
    for part in reversed(name.split(".")):
        value = {part: value}
    return yaml.dump(value).rstrip()
