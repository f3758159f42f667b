"""Make mutants of a module: its source with one small fault each.

A mutant is named by where it is, what was there and what is there now, not by its line, so that a
list of mutants stays right while lines move.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

#: A longer text is cut to the part that changes.
LONGEST = 90

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Div, ast.Mod: ast.Div, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitXor: ast.BitOr,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
#: Fields that are no behaviour: types, and names that only ``from … import *`` reads.
TYPES = {"annotation", "returns", "type_comment"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Edit(NamedTuple):
    """One node of the tree and what takes its place."""

    parent: ast.AST
    field: str
    index: int | None
    new: Any

    def swap(self) -> Edit:
        """Make the change; return the one that takes it back."""
        if self.index is None:
            old = getattr(self.parent, self.field)
            setattr(self.parent, self.field, self.new)
        else:
            items = getattr(self.parent, self.field)
            old, items[self.index] = items[self.index], self.new
        return self._replace(new=old)


@dataclass(frozen=True)
class Mutant:
    """A change of a module.

    Attributes
    ----------
    module : str
        Path from the repository.
    within : str
        Function or class; empty for the module itself.
    was, becomes : str
        The expression or statement, before and after.
    number : int
        Counts equal changes in one function, from 1.
    line : int
    function : tuple of str and int, or None
        Qualified name and first line of the function whose body changes; None where what changes
        runs when the module is imported.
    lines : frozenset of int
        Those of its statement.
    """

    module: str
    within: str
    was: str
    becomes: str
    number: int
    line: int
    function: tuple[str, int] | None
    lines: frozenset[int] = frozenset()

    @property
    def dotted(self) -> str:
        """The name of the module in Python."""
        return self.module.removesuffix(".py").replace("/", ".")

    @property
    def is_script(self) -> bool:
        """Whether it is one of JavaScript."""
        return self.module.endswith(".js")

    @property
    def is_warm(self) -> bool:
        """Whether it can be made in a process that has imported the module."""
        return self.function is not None or not self.within

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        return self.module, self.within, self.was, self.becomes, self.number

    def __str__(self) -> str:
        number = f" ({self.number})" if self.number > 1 else ""
        return f"{self.module}:{self.line} {self.within}: {self.was}  →  {self.becomes}{number}"


class Place(NamedTuple):
    """Where a node is: its ancestors, outermost first, and the fields that lead to it."""

    ancestors: tuple[ast.AST, ...]
    fields: tuple[str, ...]


def read(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), str(path))


def mutants_of(tree: ast.Module, module: str) -> Iterator[tuple[Mutant, Callable[[], ast.Module]]]:
    """Give each mutant with a function that returns the changed tree, until the next is taken."""
    count: Counter[tuple[str, str, str]] = Counter()
    for place, edit in list(_edits(tree, Place((), ()))):
        shown = _shown(place)
        was = _text(shown or _child(edit))
        back = edit.swap()
        becomes = _text(shown or edit.new)
        within, function = _function_of(place)
        count[within, was, becomes] += 1
        nodes = (back.new, *reversed(place.ancestors))
        line = next((each.lineno for each in nodes if hasattr(each, "lineno")), 1)
        mutant = Mutant(
            module, within, was, becomes, count[within, was, becomes], line, function, _lines(nodes)
        )
        yield mutant, lambda: ast.fix_missing_locations(tree)
        back.swap()


def _lines(nodes: Iterable[ast.AST]) -> frozenset[int]:
    """Return the lines of the innermost statement, without those of its body."""
    statement = next((each for each in nodes if isinstance(each, ast.stmt)), None)
    if statement is None:
        return frozenset()
    body = getattr(statement, "body", None)
    end = body[0].lineno if body else (statement.end_lineno or statement.lineno) + 1
    return frozenset(range(statement.lineno, max(end, statement.lineno + 1)))


def _child(edit: Edit) -> ast.AST:
    value = getattr(edit.parent, edit.field)
    child: ast.AST = value if edit.index is None else value[edit.index]
    return child


def _text(node: ast.AST) -> str:
    first, *more = ast.unparse(ast.fix_missing_locations(node)).splitlines() or [""]
    return f"{first} …" if more else first


def _shown(place: Place) -> ast.AST | None:
    """Return the largest short expression or statement around a change; None where all are long."""
    best: ast.AST | None = None
    for node in reversed(place.ancestors):
        is_whole = isinstance(node, ast.expr | ast.comprehension | ast.arguments | ast.keyword)
        is_whole |= isinstance(node, ast.stmt) and not hasattr(node, "body")
        is_operator = best is None and isinstance(
            node, ast.Compare | ast.BinOp | ast.BoolOp | ast.Call
        )
        if not is_whole or (len(ast.unparse(node)) > LONGEST and not is_operator):
            break
        best = node
    return best


def _function_of(place: Place) -> tuple[str, tuple[str, int] | None]:
    """Return the name of the innermost scope, and the outermost function if in its body."""
    names: list[str] = []
    function: tuple[str, int] | None = None
    for node, field in zip(place.ancestors, place.fields, strict=True):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            names.append(node.name)
            if isinstance(node, FUNCTIONS) and field == "body" and function is None:
                first = min([node, *node.decorator_list], key=lambda each: each.lineno).lineno
                function = ".".join(names), first
    return ".".join(names), function


def _edits(node: ast.AST, place: Place) -> Iterator[tuple[Place, Edit]]:
    for field, value in ast.iter_fields(node):
        here = Place((*place.ancestors, node), (*place.fields, field))
        if field in TYPES or _is_no_behaviour(node, field):
            continue
        items = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for index, child in items:
            if isinstance(child, ast.AST) and not _is_skipped(child):
                edits = (Edit(node, field, index, new) for new in _replacements(child, node, field))
                yield from ((here, edit) for edit in edits)
                yield from _edits(child, here)
    yield from ((place_of(place, node, edit.field), edit) for edit in _own(node))


def place_of(place: Place, node: ast.AST, field: str) -> Place:
    return Place((*place.ancestors, node), (*place.fields, field))


def _is_no_behaviour(node: ast.AST, field: str) -> bool:
    is_type_of_field = isinstance(node, ast.AnnAssign) and field == "target"
    return is_type_of_field or field == "decorator_list"


def _is_skipped(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True  # a docstring
    if isinstance(node, ast.keyword):
        return node.arg == "strict"  # a check of what is so
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]) == "__all__"
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.annotation) == "TypeAlias"
    if isinstance(node, ast.JoinedStr):
        return " " in ast.unparse(node)  # a sentence
    return isinstance(node, ast.Call) and ast.unparse(node.func) in ("cast", "TypeVar")


def _replacements(node: ast.AST, parent: ast.AST, field: str) -> Iterator[ast.AST]:
    """Give what may take the place of a whole node."""
    if isinstance(node, ast.Constant):
        yield from map(ast.Constant, _constants(node.value))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield node.operand
    elif isinstance(node, ast.Name) and node.id in NAMES and isinstance(parent, ast.Call):
        yield ast.Name(NAMES[node.id], ast.Load())
    elif isinstance(node, ast.Raise | ast.AugAssign | ast.Continue | ast.Delete):
        yield ast.Pass()
    elif isinstance(node, ast.Break):
        yield ast.Continue()
    elif _is_effect(node):
        yield ast.Pass()
    elif isinstance(node, ast.Return) and _is_result(node.value):
        yield ast.Return(ast.Constant(None))
    if field == "test" and not (isinstance(node, ast.Compare | ast.BoolOp) or _is_not(node)):
        yield ast.UnaryOp(ast.Not(), node)  # conditions of other kinds change by themselves
    if isinstance(parent, ast.comprehension) and field == "ifs":
        yield ast.Constant(True)


def _is_effect(node: ast.AST) -> bool:
    """Return whether a statement calls something, or changes an object."""
    if isinstance(node, ast.Assign):
        return not isinstance(node.targets[0], ast.Name | ast.Tuple)
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


def _is_result(value: ast.expr | None) -> bool:
    """Return whether a function returns a value for which mypy, too, would not accept None."""
    return value is not None and ast.unparse(value) not in ("None", "''", "()", "[]", "{}")


def _is_not(node: ast.AST) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _constants(value: object) -> Iterator[object]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, str) and value and (" " not in value.strip() or "\\" in value):
        yield f"{value}XX"  # a sentence is for people, and not a decision


def _own(node: ast.AST) -> Iterator[Edit]:
    """Give the changes within a node."""
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            yield Edit(node, "ops", index, COMPARISONS[type(operator)]())
    elif isinstance(node, ast.BoolOp):
        yield Edit(node, "op", None, ast.And() if isinstance(node.op, ast.Or) else ast.Or())
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        yield Edit(node, "op", None, OPERATORS[type(node.op)]())
    elif isinstance(node, ast.Call) and len(node.args) > 1:
        first, second, *more = node.args
        is_symmetric = ast.unparse(node.func) in ("min", "max")
        is_symmetric |= ast.unparse(first) == ast.unparse(second)
        if not is_symmetric and not any(isinstance(each, ast.Starred) for each in (first, second)):
            yield Edit(node, "args", None, [second, first, *more])
