"""checkov, which reads Kubernetes objects for what an attacker would like: from PyPI, in the cache, for nothing else.

It takes 290 MB and wants other versions of what the project uses, so it has a folder of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dev import cache
from dev.console import step

VERSION = "3.3.30"


def failed(objects: Iterable[dict[str, Any]]) -> dict[str, str]:
    """The checks that some object fails: what each is about, by its id."""
    with tempfile.TemporaryDirectory() as folder:
        for number, each in enumerate(objects):
            Path(folder, f"{number}.json").write_text(json.dumps(each))
        report = _run("--framework", "kubernetes", "--directory", folder, "--output", "json", "--skip-download")
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 50, "it read them"
    return {check["check_id"]: check["check_name"] for check in report["results"]["failed_checks"]}


def _run(*arguments: str) -> dict[str, Any]:
    packages = cache.ensure_folder(cache.root() / f"checkov-{VERSION}-{sys.version_info.minor}", _install)
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PYTHONPATH": str(packages)}
    command = [sys.executable, "-m", "checkov.main", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return dict(json.loads(done.stdout))


def _install(folder: Path) -> None:
    with step(f"checkov {VERSION} from PyPI"):
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--target", str(folder), f"checkov=={VERSION}"], check=True, capture_output=True)
