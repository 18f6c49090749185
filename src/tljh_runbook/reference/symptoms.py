"""Every text that an error prints, with what to do about it: read from where it is raised."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tljh_runbook import errors
from tljh_runbook.reference import sources
from tljh_runbook.reference.reading import Scope, given, texts
from tljh_runbook.reference.sources import Function, Module, Package
from tljh_runbook.reference.text import Text, filled

BASE = errors.RunbookError


@dataclass(frozen=True)
class Site:
    """A place in the source that makes an error; ``kind`` is '' where only a run tells which."""

    module: Module
    function: Function | None
    node: ast.Call | ast.Tuple
    kind: str

    @property
    def place(self) -> str:
        """File and line, below the package."""
        return f"{self.module.place}:{self.node.lineno}"

    @property
    def made_by(self) -> str:
        """What is called to make it."""
        return ast.unparse(self.node.func) if isinstance(self.node, ast.Call) else ""


@dataclass(frozen=True)
class Symptom:
    """One text of an error, and its hint."""

    kind: str
    message: Text
    hint: Text


def every(package: Package | None = None) -> list[Symptom]:
    """Return all texts of all errors, in the order in which the modules have them."""
    known = package or sources.package()
    found = [each for site in sites(known) for each in read(site, known)]
    return list(dict.fromkeys(found))


def sites(package: Package) -> Iterator[Site]:
    """Yield every place that makes an error, also those that cannot be read."""
    kinds = _kinds(package)
    for module in package.modules.values():
        for node, function in module.nodes:
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in kinds:
                    yield Site(module, function, node, kinds[name])
                case ast.Call() if any(each.arg == "hint" for each in node.keywords):
                    yield Site(module, function, node, "")
                case ast.Tuple(elts=[ast.Name(id=name), _, _]) if name in kinds and _row(node):
                    yield Site(module, function, node, kinds[name])


def read(site: Site, package: Package) -> list[Symptom]:
    """Return the texts of an error that is made at a site; none when its kind is not known."""
    if isinstance(site.node, ast.Tuple):
        message, hint = (filled(each) for each in _row(site.node))
        return [Symptom(site.kind, message, hint)]
    hints = [each.value for each in site.node.keywords if each.arg == "hint"]
    if not (site.kind and hints and site.node.args):
        return []
    found = [
        Symptom(site.kind, message, hint)
        for scope in _scopes(site, package)
        for message in texts(site.node.args[0], scope)
        for hint in texts(hints[0], scope)
    ]
    # Beside what a helper says with words, what it says without any tells a reader nothing.
    telling = [each for each in found if each.message.words]
    return list(dict.fromkeys(telling or found))


def _kinds(package: Package) -> dict[str, str]:
    """Return the names of all errors; one that is no part of `errors` counts as what it extends."""
    found = {
        name: name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, BASE) and value is not BASE
    }
    for module in package.modules.values():
        for node, _ in module.nodes:
            match node:
                case ast.ClassDef(name=name, bases=[ast.Name(id=base), *_]) if base in found:
                    found.setdefault(name, found[base])
    return found


def _row(node: ast.Tuple) -> list[str]:
    """Return message and hint of a row in a table of errors: an error and two templates."""
    values = [each.value for each in node.elts[1:] if isinstance(each, ast.Constant)]
    found = [each for each in values if isinstance(each, str)]
    return found if len(found) == 2 else []


def _scopes(site: Site, package: Package) -> list[Scope]:
    """Return the scopes in which an error is made: one for each call of its function."""
    plain = Scope(package, site.module, site.function)
    if site.function is None:
        return [plain]
    calls = package.calls[f"{site.module.name}.{site.function.name}"]
    values = [
        given(site.function, call, Scope(package, module, caller)) for module, caller, call in calls
    ]
    return [replace(plain, given=each) for each in values] or [plain]
