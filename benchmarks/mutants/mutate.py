"""All small changes of a source file that a test should notice, each as one replaced piece of its text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

COMPARED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
COMBINED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Add,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.MatMult: ast.Sub,
}  # fmt: skip
DELETED = (ast.AugAssign, ast.Break, ast.Continue, ast.Raise, ast.Delete)
SYMMETRIC = {"min", "max", "minimum", "maximum", "gcd", "hypot"}  # functions that take their arguments in any order
UNCHANGED_KEYWORDS = {"strict", "frozen", "slots", "stacklevel", "repr"}  # checks of ourselves, which no caller can see


@dataclass(frozen=True)
class Mutant:
    """A changed file. was, becomes: the changed lines, joined; function: the qualified name of the function that the
    change is in, empty for a change outside functions; source: the whole changed file."""

    path: str
    line: int
    function: str
    was: str
    becomes: str
    source: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells mutants apart when code above them moves."""
        return self.path, self.was, self.becomes

    def __str__(self) -> str:
        return f"{self.path}\n- {self.was}\n+ {self.becomes}"


def mutants(path: str, source: str) -> list[Mutant]:
    """Every mutant of a file, in the order of its text."""
    text = source.encode()
    starts = [0, *accumulate(len(line) for line in text.splitlines(keepends=True))]
    changed = []
    for function, node, replacement in _changes(ast.parse(source), "", inside=False):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        first, last = starts[node.lineno - 1], starts[node.end_lineno]
        lines = text[first:begin] + replacement.encode() + text[end:last]
        whole = (text[:first] + lines + text[last:]).decode()
        was, becomes = (" ".join(part.decode().split()) for part in (text[first:last], lines))
        changed.append(Mutant(path, node.lineno, function, was, becomes, whole))
    return changed


def _changes(node: ast.AST, function: str, inside: bool) -> Iterator[tuple[str, ast.AST, str]]:
    """(function, node, text that replaces it) of a node and all below it. inside: whether it is in a function."""
    if isinstance(node, (ast.JoinedStr, ast.Assert)) or _is_for_type_checkers(node):
        return  # positions in f-strings are wrong before Python 3.12; asserts are checks of ourselves
    replaced = [(node, changed) for changed in _replacements(node)]
    replaced += [(condition, ast.UnaryOp(ast.Not(), condition)) for condition in _conditions(node)]
    for part, changed in replaced:
        text = changed if isinstance(changed, str) else ast.unparse(ast.fix_missing_locations(changed))
        yield (function if inside else ""), part, f"({text})" if isinstance(part, ast.expr) else text
    if isinstance(node, ast.Raise):
        return  # its message
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        function, inside = _qualified(function, node.name, inside), not isinstance(node, ast.ClassDef)
    for child in _children(node):
        yield from _changes(child, function, inside)


def _qualified(outer: str, name: str, inside: bool) -> str:
    return f"{outer}{'.<locals>' if inside else ''}.{name}" if outer else name


def _is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node that are run: no annotations, decorators, or keywords that change nothing for a caller."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.keyword) and child.arg in UNCHANGED_KEYWORDS:
                continue
            if isinstance(child, ast.AST):
                yield child


def _conditions(node: ast.AST) -> list[ast.expr]:
    """The conditions of a node, which are negated."""
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        return [node.test]
    return node.ifs if isinstance(node, ast.comprehension) else []


def _replacements(node: ast.AST) -> Iterator[ast.AST | str]:
    """What a node may be replaced by."""
    match node:
        case ast.Compare(ops=[operator, *others]) if type(operator) in COMPARED:
            yield ast.Compare(node.left, [COMPARED[type(operator)](), *others], node.comparators)
        case ast.BinOp(op=operator) if type(operator) in COMBINED:
            yield ast.BinOp(node.left, COMBINED[type(operator)](), node.right)
        case ast.BoolOp(op=operator):
            yield ast.BoolOp(ast.And() if isinstance(operator, ast.Or) else ast.Or(), node.values)
        case ast.UnaryOp(op=ast.USub() | ast.Not()):
            yield node.operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float(value)):
            yield ast.Constant(value * 2 or 1.0)
        case ast.Call(args=[first, second, *others]) if not any(isinstance(a, ast.Starred) for a in node.args):
            if ast.dump(first) != ast.dump(second) and ast.unparse(node.func).rpartition(".")[2] not in SYMMETRIC:
                yield ast.Call(node.func, [second, first, *others], node.keywords)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant) or value.value is not None:
            yield "return None"
        case ast.Expr(value=ast.Call()):
            yield "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "pass"
        case _ if isinstance(node, DELETED):
            yield "pass"
