"""What an expression says once it is printed, as far as the source alone tells."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tljh_runbook.reference.sources import Function, Module, Package, assignments
from tljh_runbook.reference.text import Hole, Text, distinct, filled, joined

TRIMMED = {"capitalize", "strip", "rstrip", "lstrip"}
NAMELESS = {"repr", "str", "len", "int", "sorted", "list", "map"}


@dataclass(frozen=True)
class Scope:
    """Where a name has its value: in a call, in a function, in a module."""

    package: Package
    module: Module
    function: Function | None = None
    given: Mapping[str, list[Text]] = field(default_factory=dict)
    seen: frozenset[str] = frozenset()

    def without(self, name: str) -> Scope:
        """Return the scope in which a name is no longer looked up: it may stand for itself."""
        return replace(self, seen=self.seen | {name})


def texts(node: ast.AST, scope: Scope) -> list[Text]:
    """Return all that ``node`` may say; a hole where the source alone does not tell."""
    match node:
        case ast.Constant(value=str() | int() as value):
            found = [Text((str(value),))]
        case ast.JoinedStr(values=values):
            found = joined(texts(each, scope) for each in values)
        case ast.FormattedValue(value=value, conversion=how):
            found = texts(value, scope)
            found = [each.quoted for each in found] if how == ord("r") else found
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            found = joined([texts(left, scope), texts(right, scope)])
        case ast.BinOp(left=left, op=ast.Div(), right=right) if _tells(texts(right, scope)):
            found = joined([texts(left, scope), texts(right, scope)], "/")  # a path
        case ast.Tuple(elts=parts):  # the lines of a hint
            found = joined([texts(each, scope) for each in parts], "\n")
        case ast.IfExp(body=one, orelse=other) | ast.BoolOp(op=ast.Or(), values=[one, other]):
            found = distinct([*texts(one, scope), *texts(other, scope)])
        case ast.Name():
            found = _named(node, scope)
        case ast.Call():
            found = _called(node, scope)
        case _:
            found = [_hole(node)]
    return found


def given(function: Function, call: ast.Call, scope: Scope) -> dict[str, list[Text]]:
    """Return what a call in ``scope`` gives to a function's parameters; a hole where no words."""
    names = [each.arg for each in function.args.args]
    passed = dict(zip(names, call.args, strict=False))
    passed |= {each.arg: each.value for each in call.keywords if each.arg}
    found = {name: texts(value, scope) for name, value in passed.items()}
    return {name: each if _tells(each) else [Text((Hole(name),))] for name, each in found.items()}


def _tells(found: list[Text]) -> bool:
    return any(each.words for each in found)


def _named(node: ast.Name, scope: Scope) -> list[Text]:
    if node.id in scope.given:
        return scope.given[node.id]
    inside = scope.without(node.id)
    values = [] if node.id in scope.seen else _values(node, scope)
    found = distinct(text for value in values for text in texts(value, inside))
    whole = bool(found) and not any(each.holes for each in found)
    return found if whole or _tells(found) else [_hole(node)]


def _values(node: ast.Name, scope: Scope) -> list[ast.expr]:
    """Return what a name stands for: each of several in a loop, nothing when it changes."""
    inside = list(ast.walk(scope.function)) if scope.function else []
    for each in inside:
        match each:
            case ast.For(target=ast.Name(id=node.id), iter=ast.Tuple(elts=values)) if (
                each.lineno <= node.lineno <= (each.end_lineno or 0)
            ):
                return values
    own = assignments(each for each in inside if isinstance(each, ast.stmt))
    found = [value for name, value in own if name == node.id]
    if found:
        return found if len(found) == 1 else []
    return scope.package.constant(scope.module.full_name(node))


def _called(node: ast.Call, scope: Scope) -> list[Text]:
    match node.func:
        case ast.Attribute(value=ast.Constant(value=str(template)), attr="format"):
            return [filled(template)]
        case ast.Attribute(value=value, attr=method) if method in TRIMMED and not node.args:
            found = texts(value, scope)
        case _:
            found = _returned(node, scope)
    return found if _tells(found) else [_hole(node)]


def _returned(node: ast.Call, scope: Scope) -> list[Text]:
    """Return what a function of ours that has a single result says."""
    name = scope.module.full_name(node.func)
    known = scope.package.function(name)
    if known is None or name in scope.seen:
        return []
    module, function = known
    results = [each.value for each in ast.walk(function) if isinstance(each, ast.Return)]
    if len(results) != 1 or results[0] is None:
        return []
    values = given(function, node, scope)
    return texts(results[0], Scope(scope.package, module, function, values, scope.seen | {name}))


def _hole(node: ast.AST) -> Text:
    return Text((Hole(_name(node)),))


def _name(node: ast.AST) -> str:
    """Return the word that tells a person most of a value."""
    match node:
        case (
            ast.Name(id=name)
            | ast.Attribute(attr=name)
            | ast.Subscript(slice=ast.Constant(value=str(name)))
            | ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(name)), *_])
        ):
            return name
        case (
            ast.Subscript(value=inner)
            | ast.GeneratorExp(elt=inner)
            | ast.ListComp(elt=inner)
            | ast.BinOp(left=inner)
            | ast.Compare(left=inner)
            | ast.IfExp(body=inner)
            | ast.BoolOp(values=[inner, *_])
            | ast.Call(func=ast.Attribute(attr="join"), args=[inner])
        ):
            return _name(inner)
        case ast.Call(func=ast.Name(id=name), args=[*_, inner]) if name in NAMELESS:
            return _name(inner)
        case ast.Call(func=ast.Attribute(value=inner, attr=method)) if method in TRIMMED:
            return _name(inner)
        case ast.Call(func=inner):
            return _name(inner.value if isinstance(inner, ast.Attribute) else inner)
    return ""
