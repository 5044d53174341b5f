"""Each protection of a secret in `registry/`, found in its source, and the package without just that one.

A protection that is written in a way that is known here is found by itself; `test_mutants.py` has the others fail.
Run as a script, this module judges mutants: it imports what is slow once, and forks for each of them.
"""

import ast
import os
import sys
import traceback
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

HOLDERS = ("value", "content", "hashed", "data")
"""Parameters of a rule that hold what was given, which may be a secret."""

OF_SECRETS = ("credentials", "pem", "secrets", "network")
"""Modules of rules that a secret, or what may be pasted in place of one, goes through."""

NO_SECRET = {"credentials.users": "names, which every message shows", "network.external_ips": "addresses"}
"""Rules of those modules that tell of something else in words."""

FILTERS = {"before_colon": 0, "LOGIN.sub": 1, "without_secrets": 0}
"""Functions that take a secret out of a text, and which of their arguments that is."""

PYTEST_OPTIONS = ("-qx", "-p", "no:cacheprovider", "--override-ini", "addopts=--tb=native")
"""Options for a copy of the canary. Those of pyproject.toml load plugins that the copy does not have."""


class Mutant(NamedTuple):
    """A module without one protection: where it was, what it was, and the module's text."""

    file: str
    line: int
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.what}"


class Edit(NamedTuple):
    """A node, what is to stand in its place, and what is lost by that."""

    node: ast.AST
    instead: str
    what: str


def of_package(package: Path) -> list[Mutant]:
    """Every mutant of every module below `package`."""
    return [mutant for path in sorted(package.rglob("*.py")) for mutant in _of_module(package, path)]


def one_of_each_kind(found: list[Mutant]) -> list[Mutant]:
    """Return the first mutant of each kind of protection, for a run that cannot judge all."""
    kinds: dict[str, Mutant] = {}
    for mutant in found:
        kinds.setdefault(mutant.what.partition("(")[0].partition(" of ")[0].rpartition(" among ")[2], mutant)
    return list(kinds.values())


def _of_module(package: Path, path: Path) -> Iterator[Mutant]:
    source = path.read_text()
    tree = ast.parse(source)
    edits = [*_values(tree)]
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and (held := _held(function, path.stem)):
            edits += [*_causes(function), *_words(function, held)]
    for edit in edits:
        yield Mutant(str(path.relative_to(package)), edit.node.lineno, edit.what, _replaced(source, edit))  # type: ignore[attr-defined]


def _held(function: ast.FunctionDef, module: str) -> str:
    """What in this function is the value that was given, which may be a secret; "" if nothing is."""
    if module == "config":
        return "config.get(key)"
    if module not in OF_SECRETS or f"{module}.{function.name}" in NO_SECRET:
        return ""
    return next((argument.arg for argument in function.args.args if argument.arg in HOLDERS), "")


def _values(tree: ast.AST) -> Iterator[Edit]:
    """What marks a value, keeps it in a Secret, or sees to it that a person marked it."""
    negated = {id(node.operand) for node in ast.walk(tree) if isinstance(node, ast.UnaryOp)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SECRET":
            assert isinstance(node.value, ast.Tuple)
            for each in node.value.elts:
                kept = ast.Tuple([other for other in node.value.elts if other is not each], ast.Load())
                yield Edit(node.value, ast.unparse(kept), f"{ast.unparse(each)} among the secrets")
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called.endswith("Output.secret"):
            yield Edit(node.func, "pulumi.Output.from_input", ast.unparse(node)[:60])
        elif called.endswith("RandomPassword"):
            yield Edit(node.func, called.replace("RandomPassword", "RandomString"), called)
        elif called.endswith("v1.Secret"):
            yield Edit(node, _as_config_map(node), f"{called} of {ast.unparse(node.args[0])}")
        elif called == "is_config_secret":
            yield Edit(node, str(id(node) in negated), ast.unparse(node))
        elif called in FILTERS:
            yield Edit(node, ast.unparse(node.args[FILTERS[called]]), called)


def _as_config_map(node: ast.Call) -> str:
    names = {"string_data": "data"}
    keywords = [ast.keyword(names.get(str(k.arg), k.arg), k.value) for k in node.keywords if k.arg != "type"]
    return ast.unparse(ast.Call(node.func, node.args, keywords)).replace("v1.Secret(", "v1.ConfigMap(", 1)


def _causes(function: ast.FunctionDef) -> Iterator[Edit]:
    """An error that is raised without the one behind it, which may hold the value."""
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and isinstance(node.cause, ast.Constant) and node.exc:
            yield Edit(node, f"raise {ast.unparse(node.exc)}", "from None")


def _words(function: ast.FunctionDef, held: str) -> Iterator[Edit]:
    """Words in place of the value in a message."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Described":
            yield Edit(node, held, ast.unparse(node))


def _replaced(source: str, edit: Edit) -> str:
    """The source with the node's own text replaced; the parser counts columns in bytes."""
    node: Any = edit.node
    before = [0, *accumulate(len(line) for line in source.encode().splitlines(keepends=True))]
    start, end = before[node.lineno - 1] + node.col_offset, before[node.end_lineno - 1] + node.end_col_offset
    return (source.encode()[:start] + edit.instead.encode() + source.encode()[end:]).decode()


def revealed(package: Path) -> set[str]:
    """`module.function` of every place that takes a mark off."""
    found = set()
    for path in package.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef) and "Output.unsecret(" in ast.unparse(function):
                name = path.parent.name if path.stem == "__init__" else path.stem
                found.add(f"{name}.{function.name}")
    return found


def _judge(folder: Path) -> int:
    """Start the canary of the copy in `folder` in a process of its own; its pid. It ends with pytest's exit code."""
    if pid := os.fork():
        return pid
    code = 3
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.chdir(folder)
    sys.path[0] = str(folder)
    with Path("said").open("w") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    try:
        import pytest

        code = int(pytest.main([*PYTEST_OPTIONS, "tests/test_leaks.py"]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def main(folders: list[str], at_once: int) -> None:
    """Print `FOLDER CODE` for each copy of the project."""
    import bcrypt  # noqa: F401
    import cryptography.x509  # noqa: F401
    import hypothesis  # noqa: F401
    import pulumi.provider.experimental.component  # noqa: F401
    import pulumi_kubernetes.core.v1
    import pulumi_kubernetes.networking.v1
    import pulumi_random
    import pulumi_tls
    import pytest  # noqa: F401

    # Resolved at their first use only.
    _ = pulumi_kubernetes.core.v1.Secret, pulumi_random.RandomPassword, pulumi_tls.PrivateKey
    running: dict[int, str] = {}
    while folders or running:
        while folders and len(running) < at_once:
            folder = folders.pop(0)
            running[_judge(Path(folder))] = folder
        pid, status = os.wait()
        print(running.pop(pid), os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:], os.cpu_count() or 1)
