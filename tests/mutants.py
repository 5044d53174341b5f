"""Find each protection of a secret in the source of `registry/`, and create copies that lack one of them.

test_mutants.py asserts the list of protections, and e2e/test_mutants.py removes one at a time. As a script, this module
runs test_leaks.py, the canary, in copies of the project. It imports the slow modules once, and forks for each copy.
"""

import ast
import os
import sys
import traceback
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

SECRET_VALUES = {
    "config.args_from": "str(config.get(key))",
    "config._read": "str(config.get(key))",
    "servers.server_url": "str(value)",
    "proxy._proxy_url": "str(value)",
    "proxy._excluded": "str(value)",
    "proxy.outbound_proxy": "str(value)",
    "pem.read_certificates": "str(value)",
    "pem.private_key": "str(value)",
    "pem.require_plain_lines": "str(text)",
    "pem.require_plain_key": "str(text)",
    "secrets.decode_secret_data": "str(data)",
    "azure.azure_account_key": "str(data)",
    "gcs.service_account_key": "str(data)",
    "secrets.read_credentials": "str(data)",
    "secrets.external_credential": "str(value)",
    "users.passwords": "str(value)",
    "users._password": "str(value)",
    "users.htpasswd": "str(content)",
    "users._bcrypt_cost": "str(hashed)",
}
"""Expression that contains a secret, by the function that refuses the secret without showing it."""

SHOWN_CODES = ("not-a-server-url", "loopback")
"""Codes whose message may show the value: it contains no secret, or only a login that `InvalidInput` removes."""

FILTERS = {"without_password": 0, "URL_CREDENTIALS.sub": 1, "without_secrets": 0}
"""Functions that remove a secret from a text, and the position of that text among their arguments."""

PYTEST_OPTIONS = ("-qx", "-p", "no:cacheprovider", "--override-ini", "addopts=--tb=native")
"""Options for a copy of the canary. Those of pyproject.toml load plugins that the copy does not have."""


class Mutant(NamedTuple):
    """A module without one protection.

    Attributes:
        file: Path of the module in the package.
        line: Line of the protection.
        place: `module.function` that has it, or the module alone at the top level.
        protection: The removed protection.
        text: The text of the module without it.
    """

    file: str
    line: int
    place: str
    protection: str
    text: str

    def __str__(self) -> str:
        """Return the place and the protection."""
        return f"{self.file}:{self.line} {self.place} {self.protection}"

    @property
    def kind(self) -> str:
        """The kind of the protection, without its arguments."""
        return self.protection.partition("(")[0].partition(" of ")[0]


class Edit(NamedTuple):
    """A node, the source that replaces it, and the protection that this removes."""

    node: ast.AST
    replacement: str
    protection: str


def mutants_of(package: Path) -> list[Mutant]:
    """Return every mutant of every module below `package`."""
    return [mutant for path in sorted(package.rglob("*.py")) for mutant in _mutants_of_module(package, path)]


def one_of_each_kind(mutants: list[Mutant]) -> list[Mutant]:
    """Return the first mutant of each kind of protection, for a run that cannot judge all."""
    first: dict[str, Mutant] = {}
    for mutant in mutants:
        first.setdefault(mutant.kind, mutant)
    return list(first.values())


def _mutants_of_module(package: Path, path: Path) -> Iterator[Mutant]:
    source = path.read_text()
    tree = ast.parse(source)
    module = module_name(path)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    edits = list(_mark_edits(tree))
    for function in functions:
        if secret := SECRET_VALUES.get(f"{module}.{function.name}"):
            edits += _message_edits(function, secret)
    for edit in edits:
        line = edit.node.lineno  # type: ignore[attr-defined]
        inside = [function.name for function in functions if function.lineno <= line <= (function.end_lineno or 0)]
        place = f"{module}.{inside[-1]}" if inside else module
        yield Mutant(str(path.relative_to(package)), line, place, edit.protection, _apply(source, edit))


def module_name(path: Path) -> str:
    """Return the name of the module, or of the package for its `__init__`."""
    return path.parent.name if path.stem == "__init__" else path.stem


def _mark_edits(tree: ast.AST) -> Iterator[Edit]:
    """Yield the code that marks a value as secret, stores it in a Secret, or requires a mark in the config."""
    negated = {id(node.operand) for node in ast.walk(tree) if isinstance(node, ast.UnaryOp)}
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "secret" and ast.unparse(node.value) == "True":
            yield Edit(node.value, "False", "secret=True")
        if not isinstance(node, ast.Call):
            continue
        function = ast.unparse(node.func)
        if function.endswith("Output.secret"):
            yield Edit(node.func, "pulumi.Output.from_input", ast.unparse(node)[:60])
        elif function.endswith("RandomPassword"):
            yield Edit(node.func, function.replace("RandomPassword", "RandomString"), function)
        elif function.endswith("v1.Secret"):
            yield Edit(node, _as_config_map(node), f"{function} of {ast.unparse(node.args[0])}")
        elif function == "is_config_secret":
            yield Edit(node, str(id(node) in negated), ast.unparse(node))
        elif function in FILTERS:
            yield Edit(node, ast.unparse(node.args[FILTERS[function]]), function)


def _as_config_map(node: ast.Call) -> str:
    names = {"string_data": "data"}
    keywords = [ast.keyword(names.get(str(k.arg), k.arg), k.value) for k in node.keywords if k.arg != "type"]
    return ast.unparse(ast.Call(node.func, node.args, keywords)).replace("v1.Secret(", "v1.ConfigMap(", 1)


def _message_edits(function: ast.FunctionDef, secret: str) -> Iterator[Edit]:
    """Yield each refusal with the value in its message, and with the original error, which may contain it."""
    for node in ast.walk(function):
        if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
            continue
        problem, code = node.exc.args[2], ast.literal_eval(node.exc.args[1])
        if code in SHOWN_CODES:
            continue
        yield Edit(problem, f"{ast.unparse(problem)} + {secret}", f"problem of {code}")
        if isinstance(node.cause, ast.Constant):
            yield Edit(node, f"raise {ast.unparse(node.exc)}", f"from None of {code}")


def _apply(source: str, edit: Edit) -> str:
    """Return the source with the node replaced. The parser counts columns in bytes."""
    node: Any = edit.node
    before = [0, *accumulate(len(line) for line in source.encode().splitlines(keepends=True))]
    start, end = before[node.lineno - 1] + node.col_offset, before[node.end_lineno - 1] + node.end_col_offset
    return (source.encode()[:start] + edit.replacement.encode() + source.encode()[end:]).decode()


def unmarked_places(package: Path) -> set[str]:
    """Return `module.function` of every place that removes the mark of a secret."""
    return {
        f"{module_name(path)}.{function.name}"
        for path in package.rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef) and "Output.unsecret(" in ast.unparse(function)
    }


def _start_canary(folder: Path) -> int:
    """Start the canary of the copy in `folder`. Return the PID of a process that ends with pytest's exit code."""
    if pid := os.fork():
        return pid
    code = 3
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.chdir(folder)
    sys.path[0] = str(folder)
    with Path("output").open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    try:
        import pytest

        code = int(pytest.main([*PYTEST_OPTIONS, "tests/registry/test_leaks.py"]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def main(folders: list[str], at_once: int) -> None:
    """Run the canary in all folders, `at_once` at a time. Print `FOLDER EXIT_CODE` for each folder."""
    import bcrypt  # noqa: F401
    import cryptography.x509  # noqa: F401
    import hypothesis  # noqa: F401
    import pulumi.provider.experimental.component  # noqa: F401
    import pulumi_kubernetes.core.v1
    import pulumi_kubernetes.networking.v1
    import pulumi_random
    import pulumi_tls
    import pytest  # noqa: F401

    # Python imports these modules at the first use of a class.
    _ = pulumi_kubernetes.core.v1.Secret, pulumi_random.RandomPassword, pulumi_tls.PrivateKey
    running: dict[int, str] = {}
    while folders or running:
        while folders and len(running) < at_once:
            folder = folders.pop(0)
            running[_start_canary(Path(folder))] = folder
        pid, status = os.wait()
        print(running.pop(pid), os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:], os.cpu_count() or 1)
