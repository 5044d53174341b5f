"""messages.md: every text that people read on a screen, so that a review of the language is a review of one page.

The texts are read from the source, not collected from runs, so none is left out. A value is shown as `{expression}`.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = Path(__file__).with_name("messages.md")

PACKAGES = ("registry", "ops", "dev", "bench")

INTRODUCTION = """\
# Messages

`make schema` makes this page from the source, and a test compares them. A value is shown as
`{expression}`. Tests assert codes and classes, so a text changes here and in the source only.
"""

ADVICE_SUFFIXES = ("_advice", "_warning")
"""Endings of the functions that return a warning."""


class Text(NamedTuple):
    """A text, where it is raised, and the error code or the class."""

    place: str
    kind: str
    text: str


def page() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION]
    for package in PACKAGES:
        errors = list(_of_package(package))
        parts.append(f"\n## {package}\n")
        place = ""
        for text in errors:
            if text.place != place:
                place = text.place
                parts.append(f"\n`{place}`\n\n")
            parts.append(f"- **{text.kind}** {text.text}\n")
    return "".join(parts)


def _of_package(package: str) -> Iterator[Text]:
    errors = {"InvalidInput", *_error_classes(package)}
    for path in sorted((ROOT / package).rglob("*.py")):
        if "site-packages" in path.parts or ".venv" in path.parts:
            continue
        yield from _of_module(path, errors)


def _error_classes(package: str) -> set[str]:
    """Return the names of the error classes that the package defines."""
    path = ROOT / package / "errors.py"
    if not path.exists():
        return set()
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)}


def _of_module(path: Path, errors: set[str]) -> Iterator[Text]:
    tree = ast.parse(path.read_text())
    constants = _assignments(tree.body)
    place = str(path.relative_to(ROOT))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            scope = _Scope(constants, function)
            for node in _own_nodes(function):
                if isinstance(node, ast.Call) and _name(node.func) in errors and len(node.args) >= 2:
                    yield Text(place, *_error(node, scope))
                elif isinstance(node, ast.Return) and function.name.endswith(ADVICE_SUFFIXES) and node.value:
                    text = scope.resolve(node.value, node.lineno)
                    if text and not _is_value(text):
                        yield Text(place, "warning", text)


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function in the order of the source, without those of functions inside it."""
    for child in ast.iter_child_nodes(function):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield child
        yield from _own_nodes(child)


def _error(node: ast.Call, scope: "_Scope") -> tuple[str, str]:
    """Return the code and the message of an InvalidInput, or the class and the message of another error."""
    name = _name(node.func)
    texts = [scope.resolve(argument, node.lineno) for argument in node.args]
    if name != "InvalidInput":
        return name, _sentences(*texts)
    key, code, problem, remedy = texts
    return code, _sentences(f"`{key}` {problem}", remedy)


def _sentences(*texts: str) -> str:
    return " ".join(text if text.endswith((".", "?")) or _is_value(text) else f"{text}." for text in texts if text)


def _is_value(text: str) -> bool:
    return text.startswith("{") and text.find("}") == len(text) - 1


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _assignments(body: list[ast.stmt]) -> dict[str, ast.expr]:
    return {
        target.id: statement.value
        for statement in body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


class _Scope:
    """The local variables of a function, as far as they hold texts."""

    def __init__(self, constants: dict[str, ast.expr], function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._constants = constants
        self._assigned: dict[str, list[tuple[int, bool, ast.expr]]] = {}
        for node in _own_nodes(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self._assigned.setdefault(node.targets[0].id, []).append((node.lineno, False, node.value))
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                self._assigned.setdefault(node.target.id, []).append((node.lineno, True, node.value))

    def resolve(self, node: ast.expr, line: int) -> str:
        """Return the text of an expression that is used in `line`."""
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Constant(value=None):
                return ""
            case ast.JoinedStr():
                return "".join(self.resolve(value, line) for value in node.values)
            case ast.FormattedValue():
                return self._value(node.value, line)
            case ast.BinOp(op=ast.Add()):
                return self.resolve(node.left, line) + self.resolve(node.right, line)
            case ast.IfExp():
                return " / ".join(filter(None, [self.resolve(node.body, line), self.resolve(node.orelse, line)]))
            case ast.BoolOp(op=ast.Or()):
                return " / ".join(self.resolve(value, line) for value in node.values)
            case ast.Name():
                return self._variable(node.id, line)
        return f"{{{ast.unparse(node)}}}"

    def _value(self, node: ast.expr, line: int) -> str:
        """Return a formatted value: the text of a constant, or the name of what `quoted` shows."""
        if isinstance(node, ast.Name) and node.id in self._constants:
            constant = self._constants[node.id]
            return str(constant.value) if isinstance(constant, ast.Constant) else f"{{{node.id}}}"
        if isinstance(node, ast.Name) and node.id in self._assigned:
            text = self._variable(node.id, line)
            return text if not text.startswith("{") else f"{{{node.id}}}"
        if isinstance(node, ast.Call) and _name(node.func) == "quoted":
            return f"{{{ast.unparse(node.args[0])}}}"
        return f"{{{ast.unparse(node)}}}"

    def _variable(self, name: str, line: int) -> str:
        before = [item for item in self._assigned.get(name, []) if item[0] < line]
        starts = [index for index, (_, is_added, _) in enumerate(before) if not is_added]
        if starts:
            return "".join(self.resolve(value, at) for at, _, value in before[starts[-1] :])
        if name in self._constants:
            return self.resolve(self._constants[name], line)
        return f"{{{name}}}"
