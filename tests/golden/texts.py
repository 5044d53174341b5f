"""Read the texts that a Python file shows to people: errors, verdicts, titles of steps, and all other prose.

The texts come from the source and not from runs, so no text is left out. A value is shown as `{expression}`. A string
that no rule below recognizes is listed as `text` if it looks like prose.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ADVICE_SUFFIXES = ("_advice", "_warning")
"""Endings of the functions that return a warning."""

SENTENCE_SUFFIXES = ("_remedy", "_advice", "_warning")
"""Endings of the functions that return whole sentences."""

DISPLAY_CALLS = {
    "BadParameter": "usage error",
    "Change": "note",
    "StatusCheck": "title",
    "Verdict": "verdict",
    "note": "step",
    "print": "output",
    "print_line": "output",
    "print_report": "table",
    "show_detail": "step",
    "stage": "step",
    "step": "step",
}
"""Kind of the texts that a call shows, by the name of its function."""

FIRST_TEXTS = {"BadParameter": 1, "Change": 0, "StatusCheck": 1, "print_report": 2}
"""Number of positional arguments that are texts, if they are not all texts."""

TEXT_KEYWORDS = {"Change": "note"}
"""Name of the keyword argument that is a text."""

YIELDING_DECORATORS = {"container_rule"}
"""Decorators of functions that yield ends of sentences."""

HIDDEN_CONSTANTS = {
    "CONTAINERD_CONFIG",
    "DEFAULT_CONFIG",
    "ENTRYPOINT",
    "IMPORT_SCRIPT",
    "LAUNCH_SCRIPT",
    "NFTABLES_CHECK",
    "OVERLAY_CHECK",
    "POLICY",
    "SETUP_SCRIPT",
}
"""Constants whose strings are scripts or configuration files."""

HIDDEN_ARGUMENTS = {"check", "class_", "command", "help", "metavar", "param_hint"}
"""Keyword arguments that are no prose, or that `--help` shows."""

PROSE = re.compile(r"(?:^|[\s(])[A-Za-z{`']\S*[a-z}`',:] [a-z{`(]\S* \S*[a-z}]")
"""At least three words after one another."""


class Text(NamedTuple):
    """A text, its line, and its kind or its error code."""

    line: int
    kind: str
    content: str


def read_texts(path: Path, errors: set[str]) -> list[Text]:
    """Return the texts of a file in the order of its lines. `errors` are the names of its error classes."""
    return sorted(_Reader(ast.parse(path.read_text()), errors).texts(), key=lambda text: text.line)


class _Reader:
    """Collect the texts of a module. Each string is part of one text only."""

    def __init__(self, tree: ast.Module, errors: set[str]) -> None:
        self._tree, self._errors = tree, errors
        self._constants = _assignments(tree.body)
        self._used: set[ast.AST] = set()

    def texts(self) -> Iterator[Text]:
        self._hide_strings()
        yield from self._displayed_texts(self._tree, self._scope())
        yield from self._prose_texts(self._tree, self._scope())

    def _scope(self, function: ast.FunctionDef | ast.AsyncFunctionDef | None = None) -> "_Scope":
        return _Scope(self._constants, self._used, function)

    def _hide_strings(self) -> None:
        """Exclude docstrings, hidden constants and hidden arguments."""
        for node in ast.walk(self._tree):
            match node:
                case ast.Expr(value=ast.Constant()):
                    self._use(node)
                case ast.Assign(targets=[ast.Name(id=name)]) if name in HIDDEN_CONSTANTS:
                    self._use(node)
                case ast.keyword(arg=str(name)) if name in HIDDEN_ARGUMENTS:
                    self._use(node)
                case ast.Assert() | ast.Raise(exc=ast.Call(func=ast.Name(id="ValueError"))):
                    self._use(node)
                case ast.Call(func=ast.Attribute(value=ast.Name(id="re"))):
                    self._use(node)

    def _use(self, node: ast.AST) -> None:
        self._used.update(ast.walk(node))

    def _displayed_texts(self, node: ast.AST, scope: "_Scope") -> Iterator[Text]:
        """Yield the texts of calls, returns and tables that are known to show texts."""
        for child in ast.iter_child_nodes(node):
            inner = scope
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = self._scope(child)
                yield from self._returned_texts(child, inner)
                yield from self._yielded_texts(child, inner)
            elif isinstance(child, ast.Call):
                yield from self._call_texts(child, scope)
            elif isinstance(child, ast.Tuple | ast.Dict):
                yield from self._table_texts(child, scope)
            yield from self._displayed_texts(child, inner)

    def _call_texts(self, node: ast.Call, scope: "_Scope") -> Iterator[Text]:
        name = _name(node.func)
        if name in self._errors:
            self._use(node)
            yield Text(node.lineno, *_error(name, node, scope))
        elif name in DISPLAY_CALLS and node not in self._used:
            texts = [scope.resolve(argument, node.lineno) for argument in _text_arguments(name, node)]
            if any(map(_has_words, texts)):
                self._use(node)
                separator = {"Verdict": " → ", "BadParameter": ": "}.get(name, ", ")
                yield Text(node.lineno, DISPLAY_CALLS[name], separator.join(filter(None, texts)))

    def _returned_texts(self, function: ast.FunctionDef | ast.AsyncFunctionDef, scope: "_Scope") -> Iterator[Text]:
        """Yield the texts that a function with a certain ending of its name returns."""
        if not function.name.endswith(SENTENCE_SUFFIXES):
            return
        kind = "warning" if function.name.endswith(ADVICE_SUFFIXES) else "remedy"
        for node in _own_nodes(function):
            if isinstance(node, ast.Return) and node.value and not isinstance(node.value, ast.Call):
                text = scope.resolve(node.value, node.lineno)
                if _has_words(text):
                    self._use(node)
                    yield Text(node.lineno, kind, text)

    def _yielded_texts(self, function: ast.FunctionDef | ast.AsyncFunctionDef, scope: "_Scope") -> Iterator[Text]:
        """Yield the texts that a function with a certain decorator yields, which may have less than three words."""
        decorators = [node.func for node in function.decorator_list if isinstance(node, ast.Call)]
        if not YIELDING_DECORATORS.isdisjoint(map(_name, decorators)):
            for node in _own_nodes(function):
                if isinstance(node, ast.Yield) and node.value:
                    self._use(node)
                    yield Text(node.lineno, "text", scope.resolve(node.value, node.lineno))

    def _table_texts(self, node: ast.Tuple | ast.Dict, scope: "_Scope") -> Iterator[Text]:
        """Yield the rows of a tuple of tuples (a pattern, then texts), and the keys of a dictionary with titles."""
        if node in self._used:
            return
        if isinstance(node, ast.Dict):
            titles = [key for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
            if any(" " in str(title.value) for title in titles):
                for title in titles:
                    self._use(title)
                    yield Text(title.lineno, "title", str(title.value))
            return
        rows = [row for row in node.elts if isinstance(row, ast.Tuple) and len(row.elts) > 1]
        if rows and len(rows) == len(node.elts):
            for row in rows:
                pattern, *texts = (scope.resolve(element, row.lineno) for element in row.elts)
                if texts and _is_prose(texts[-1]):
                    self._use(row)
                    yield Text(row.lineno, "row", f"`{pattern}`: {_sentences(*texts)}")

    def _prose_texts(self, node: ast.AST, scope: "_Scope") -> Iterator[Text]:
        """Yield every other string that looks like prose."""
        for child in ast.iter_child_nodes(node):
            if child in self._used:
                continue
            inner = scope
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = self._scope(child)
            elif isinstance(child, ast.JoinedStr | ast.Constant | ast.IfExp | ast.BinOp):
                text = inner.resolve(child, child.lineno)
                if _is_prose(text):
                    self._use(child)
                    yield Text(child.lineno, "text", text)
                    continue
            yield from self._prose_texts(child, inner)


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function in the order of the source, without those of functions inside it."""
    for child in ast.iter_child_nodes(function):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield child
        yield from _own_nodes(child)


def _text_arguments(name: str, node: ast.Call) -> list[ast.expr]:
    """Return the arguments that a call shows. Those of a usage error begin with its option."""
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    option = [keywords["param_hint"]] if "param_hint" in keywords else []
    text = [keywords[key]] if (key := TEXT_KEYWORDS.get(name)) in keywords else []
    return [*option, *node.args[: FIRST_TEXTS.get(name)], *text]


def _error(name: str, node: ast.Call, scope: "_Scope") -> tuple[str, str]:
    """Return the code and the message of an InvalidInput, or the class and the message of another error."""
    arguments = [*node.args, *(argument.value for argument in node.keywords if argument.arg in ("cause", "remedy"))]
    texts = [scope.resolve(argument, node.lineno) for argument in arguments]
    if name != "InvalidInput":
        return name, _sentences(*texts[:2])
    key, code, problem, remedy = texts
    return code, _sentences(f"`{key}` {problem}", remedy)


def _sentences(*texts: str) -> str:
    return " ".join(text if text.endswith((".", "?")) or _is_value(text) else f"{text}." for text in texts if text)


def _is_value(text: str) -> bool:
    """Return whether the text is one `{expression}`."""
    return text.startswith("{") and _without_values(text) == ""


def _has_words(text: str) -> bool:
    return bool(re.search("[A-Za-z]", _without_values(text)))


def _is_prose(text: str) -> bool:
    return _has_words(text) and bool(PROSE.search(_without_values(text, "{}")))


def _without_values(text: str, replacement: str = "") -> str:
    """Replace each `{expression}`, whose braces may be nested."""
    depth, plain = 0, ""
    for character in text:
        depth += character == "{"
        if not depth:
            plain += character
        elif character == "}":
            depth -= 1
            plain += "" if depth else replacement
    return plain


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
    """The constants of a module and the local variables of a function that hold texts."""

    def __init__(
        self,
        constants: Mapping[str, ast.expr],
        used: set[ast.AST],
        function: ast.FunctionDef | ast.AsyncFunctionDef | None,
    ) -> None:
        """Read the variables of `function`. Expressions that a variable stands for are added to `used`."""
        self._constants, self._used = constants, used
        self._assigned: dict[str, list[tuple[int, bool, ast.expr]]] = {}
        for node in _own_nodes(function) if function else ():
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
        """Return a formatted value: the text of a constant, or the name of the value that `quoted` shows."""
        if isinstance(node, ast.Name) and node.id in self._constants:
            constant = self._constants[node.id]
            self._used.update(ast.walk(constant))
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
            parts = before[starts[-1] :]
            self._used.update(node for _, _, value in parts for node in ast.walk(value))
            return "".join(self.resolve(value, at) for at, _, value in parts)
        if name in self._constants:
            self._used.update(ast.walk(self._constants[name]))
            return self.resolve(self._constants[name], line)
        return f"{{{name}}}"
