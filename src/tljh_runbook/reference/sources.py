"""The modules of the package as they are written, for what the reference takes from them."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import tljh_runbook

ROOT = Path(tljh_runbook.__file__).parent
# Ansible's plugins and a sandbox's fakes are no modules of ours, and this part raises nothing.
LEFT_OUT = {"playbooks", "fakes", "reference"}

LEAVES = (ast.Name, ast.Constant, ast.expr_context)  # half of all nodes, with nothing below

Function = ast.FunctionDef | ast.AsyncFunctionDef
Found = tuple[ast.AST, Function | None]
Call = tuple["Module", Function | None, ast.Call]


@dataclass(frozen=True)
class Module:
    """One module: its file, its place in the package, its dotted name, what is written in it."""

    file: Path
    place: str
    name: str
    tree: ast.Module

    @cached_property
    def functions(self) -> dict[str, Function]:
        """All functions that can be called by their names alone, nested ones too."""
        return {node.name: node for node, _ in self.nodes if isinstance(node, Function)}

    @cached_property
    def constants(self) -> dict[str, ast.expr]:
        """What stands in the module itself, by name."""
        return dict(assignments(self.tree.body))

    @cached_property
    def imports(self) -> dict[str, str]:
        """The full names of what is imported, by the names that the module uses."""
        return {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node, _ in self.nodes
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }

    @cached_property
    def nodes(self) -> list[Found]:
        """Every node, with the innermost function that it stands in."""
        return list(_nodes(self.tree))

    def full_name(self, node: ast.expr) -> str:
        """Return the full name of what ``node`` names: a name, or a name of a module; or ''."""
        match node:
            case ast.Name(id=name):
                return self.imports.get(name, f"{self.name}.{name}")
            case ast.Attribute(value=ast.Name(id=module), attr=name) if module in self.imports:
                return f"{self.imports[module]}.{name}"
        return ""


@dataclass(frozen=True)
class Package:
    """Several modules that call each other."""

    modules: dict[str, Module]

    @cached_property
    def calls(self) -> dict[str, list[Call]]:
        """All calls by the full names of what is called."""
        found = defaultdict(list)
        for module in self.modules.values():
            for node, function in module.nodes:
                if isinstance(node, ast.Call):
                    found[module.full_name(node.func)].append((module, function, node))
        return found

    def function(self, name: str) -> tuple[Module, Function] | None:
        """Return the function of that full name, and its module."""
        home, _, own = name.rpartition(".")
        module = self.modules.get(home)
        return (module, module.functions[own]) if module and own in module.functions else None

    def constant(self, name: str) -> list[ast.expr]:
        """Return what stands in a module under that full name, if anything does."""
        home, _, own = name.rpartition(".")
        known = self.modules[home].constants if home in self.modules else {}
        return [known[own]] if own in known else []


def package(root: Path = ROOT) -> Package:
    """Return all modules below ``root``, the hub half first."""
    inside = [(file, {*file.relative_to(root).parts}) for file in root.rglob("*.py")]
    files = sorted(("hub" not in parts, file) for file, parts in inside if not LEFT_OUT & parts)
    found = (read(file, root) for _, file in files)
    return Package({module.name: module for module in found})


def read(file: Path, root: Path = ROOT) -> Module:
    """Return the module in ``file``, a part of the package in ``root``."""
    place = file.relative_to(root)
    name = ".".join([root.name, *place.with_suffix("").parts]).removesuffix(".__init__")
    return Module(file, str(place), name, ast.parse(file.read_text(encoding="utf-8"), str(file)))


def assignments(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    """Yield name and value of the plain assignments among some statements."""
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value


def _nodes(tree: ast.AST) -> Iterator[Found]:
    """Yield a node and all below it, in the order in which they are written."""
    left: list[Found] = [(tree, None)]
    while left:
        node, function = left.pop()
        yield node, function
        if not isinstance(node, LEAVES):
            inside = node if isinstance(node, Function) else function
            left += [(child, inside) for child in reversed([*ast.iter_child_nodes(node)])]
