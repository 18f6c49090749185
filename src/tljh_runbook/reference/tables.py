"""The directives ``{settings-table}``, ``{error-table}`` and ``{symptoms}``.

Each entry is a label of its own, so that a page can point at it: ``{ref}`setting-upgrade-tljh```,
``{ref}`error-nohub```.
"""

from __future__ import annotations

import inspect
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from tljh_runbook import errors
from tljh_runbook.hub.core import settings, yaml
from tljh_runbook.hub.core.settings import settings_groups
from tljh_runbook.reference import sources, symptoms
from tljh_runbook.reference.symptoms import Symptom
from tljh_runbook.reference.text import Hole, Text

KEPT = "runbook_errors"  # in Sphinx's environment, which it keeps from one build to the next


class OfErrors(SphinxDirective):
    """What the package prints of errors, for a page to show."""

    def known(self) -> list[Symptom]:
        """Return all texts of errors. They are read again only when a module has changed."""
        files = sorted(sources.ROOT.rglob("*.py"))
        for file in files:
            self.env.note_dependency(str(file))
        state = [(str(file), file.stat().st_mtime_ns) for file in files]
        kept = getattr(self.env, KEPT, None)
        if kept is None or kept[0] != state:
            kept = (state, symptoms.every())
            setattr(self.env, KEPT, kept)
        return kept[1]


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
        for module in (settings, settings_groups):
            self.env.note_dependency(inspect.getfile(module))
        return [nodes.definition_list("", *(self._row(*row) for row in settings.documented()))]

    def _row(self, name: str, default: Any, meaning: str) -> nodes.definition_list_item:
        text = _written(name, default)
        block = nodes.literal_block(text, text, language="yaml")
        content = [*self.parse_text_to_nodes(f"{meaning} The default:"), block]
        return self.entry(self.label("setting", name), [nodes.literal(name, name)], content)


class ErrorTable(OfErrors, Table):
    """Every error with its exit code, its meaning, and each text that it prints."""

    def run(self) -> list[nodes.Node]:
        """Return the list of errors, in the order of their exit codes."""
        known = self.known()
        rows = [
            self._row(error, [each for each in known if each.kind == error.__name__])
            for error in every_error()
        ]
        return [nodes.definition_list("", *rows)]

    def _row(
        self, error: type[errors.RunbookError], known: list[Symptom]
    ) -> nodes.definition_list_item:
        name = error.__name__
        code = str(error.code)
        term: list[nodes.Node] = [nodes.literal(code, code), nodes.Text(f" {name}")]
        content = [
            nodes.paragraph("", "", *self._meaning(error)),
            *_told(known, nodes.make_id(f"symptom-{name}")),
        ]
        return self.entry(self.label("error", name), term, content)

    def _meaning(self, error: type[errors.RunbookError]) -> list[nodes.Node]:
        line = (inspect.getdoc(error) or "").partition("\n")[0]
        return self.parse_inline(line.replace("``", "`"))[0]


class Symptoms(OfErrors):
    """The texts of the errors that are named, on a page where they are met."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return the list of errors, in the order in which they are named."""
        known = self.known()
        rows = (self._row(name, known) for name in self.arguments[0].split())
        return [nodes.definition_list("", *rows)]

    def _row(self, name: str, known: list[Symptom]) -> nodes.definition_list_item:
        told = _told([each for each in known if each.kind == name], f"told-{name.lower()}")
        if not told:
            raise self.error(f"There is no error {name}, or it prints no text.")
        link, _ = self.parse_inline(f"{{ref}}`error-{name.lower()}`")
        return nodes.definition_list_item(
            "", nodes.term("", "", *link), nodes.definition("", *told)
        )


def _told(known: list[Symptom], label: str) -> list[nodes.Node]:
    """Return the texts of an error, those together that have the same hint; search leads there."""
    hints: dict[Text, dict[str, Text]] = {}
    for each in known:  # two that look the same are one to a reader
        hints.setdefault(each.hint, {}).setdefault(str(each.message), each.message)
    items = [
        nodes.list_item(
            "",
            *(_line("error:", each) for each in messages.values()),
            _line("hint:", hint),
            ids=[f"{label}-{number}"],
        )
        for number, (hint, messages) in enumerate(hints.items(), start=1)
    ]
    return [nodes.bullet_list("", *items, classes=["symptoms"])] if items else []


def _line(word: str, text: Text) -> nodes.paragraph:
    """Return a line as the terminal shows it: words that a search finds, holes set apart."""
    parts = [
        nodes.emphasis("", str(each)) if isinstance(each, Hole) else nodes.Text(each)
        for each in text.parts
    ]
    line = nodes.paragraph("", "", nodes.strong("", word), nodes.Text(" "), *parts)
    line["support_smartquotes"] = False  # verbatim, as it is searched for
    return line


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
