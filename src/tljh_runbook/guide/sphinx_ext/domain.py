"""The Sphinx domain of the steps: where each is shown, and how references are resolved."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from docutils import nodes
from sphinx.domains import Domain, Index, IndexEntry, ObjType
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

from tljh_runbook.errors import StepUnknown
from tljh_runbook.guide import catalog
from tljh_runbook.guide.sphinx_ext import lines
from tljh_runbook.guide.sphinx_ext.directives import StepDirective
from tljh_runbook.guide.sphinx_ext.role import StepRole

if TYPE_CHECKING:
    from sphinx.addnodes import pending_xref
    from sphinx.builders import Builder
    from sphinx.environment import BuildEnvironment

logger = logging.getLogger(__name__)


class Place(NamedTuple):
    """A place in the pages where a step is shown."""

    step: str
    docname: str
    anchor: str
    line: int


class StepIndex(Index):
    """The index of all steps, by command."""

    name = "index"
    localname = "Steps"
    shortname = "steps"

    def generate(
        self, docnames: Iterable[str] | None = None
    ) -> tuple[list[tuple[str, list[IndexEntry]]], bool]:
        """Return the entries, grouped by the first word of the command."""
        groups: dict[str, list[IndexEntry]] = {}
        for place in sorted(self.domain.data["places"]):
            if docnames is None or place.docname in docnames:
                step = catalog.find(place.step)
                entry = IndexEntry(step.command, 0, place.docname, place.anchor, "", "", step.title)
                groups.setdefault(place.step.partition(".")[0], []).append(entry)
        return list(groups.items()), False


class StepDomain(Domain):
    """The steps that the pages show."""

    name = "step"
    label = "Step"
    object_types: ClassVar = {"step": ObjType("step", "step")}
    roles: ClassVar = {"step": StepRole()}
    directives: ClassVar = {"step": StepDirective}
    indices: ClassVar = [StepIndex]
    initial_data: ClassVar[dict[str, list[Place]]] = {"places": []}

    @property
    def places(self) -> list[Place]:
        """All places at which a step is shown."""
        found: list[Place] = self.data["places"]
        return found

    def note_step(self, step: str, docname: str, anchor: str, line: int) -> None:
        """Record where a step is shown."""
        self.places.append(Place(step, docname, anchor, line))

    def clear_doc(self, docname: str) -> None:
        """Remove the places on a page, before it is read again."""
        self.data["places"] = [each for each in self.places if each.docname != docname]

    def merge_domaindata(self, docnames: Set[str], otherdata: dict[str, Any]) -> None:
        """Add the places that another process has read."""
        self.places.extend(each for each in otherdata["places"] if each.docname in docnames)

    def get_objects(self) -> Iterable[tuple[str, str, str, str, str, int]]:
        """Yield the steps for the search index and the inventory."""
        for place in self.places:
            title = catalog.find(place.step).title
            yield place.step, title, "step", place.docname, place.anchor, 1

    def resolve_xref(  # noqa: PLR0913, PLR0917 the signature is Sphinx's
        self,
        env: BuildEnvironment,  # noqa: ARG002
        fromdocname: str,
        builder: Builder,
        typ: str,  # noqa: ARG002
        target: str,
        node: pending_xref,  # noqa: ARG002
        contnode: nodes.Element,
    ) -> nodes.reference | None:
        """Return a link to where the step is shown."""
        place = self._place(target)
        if place is None:
            return None
        title = catalog.find(place.step).title
        return make_refnode(builder, fromdocname, place.docname, place.anchor, contnode, title)

    def resolve_any_xref(  # noqa: PLR0913, PLR0917 the signature is Sphinx's
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        target: str,
        node: pending_xref,
        contnode: nodes.Element,
    ) -> list[tuple[str, nodes.reference]]:
        """Return the same link for a reference without a role, such as ``any``."""
        found = self.resolve_xref(env, fromdocname, builder, "step", target, node, contnode)
        return [("step:step", found)] if found is not None else []

    def _place(self, name: str) -> Place | None:
        try:
            step = catalog.find(name)
        except StepUnknown:
            return None
        return next((place for place in self.places if place.step == step.name), None)

    def check_consistency(self) -> None:
        """Warn about every step that is on no page, or shown more than once."""
        for step in catalog.every():
            shown = [place for place in sorted(self.places) if place.step == step.name]
            if not shown:
                location = f"{step.file}:{lines.of(step)[lines.PROSE]}"
                _warn(f"The step {step.name} is on no page.", location, "missing")
            for again in shown[1:]:
                _warn(
                    f"The step {step.name} is shown already in {shown[0].docname}.",
                    (again.docname, again.line),
                    "twice",
                )


def _warn(message: str, location: str | tuple[str, int], subtype: str) -> None:
    logger.warning(message, location=location, type="step", subtype=subtype)
