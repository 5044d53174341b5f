"""Run checkov, which searches Kubernetes objects for security problems.

It is installed from PyPI into its own folder of the cache, because it has 290 MB, and its dependencies conflict with
those of the project.
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


def failed_checks(objects: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return the names of the checks that at least one object fails, by the ID of the check."""
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(objects):
            Path(folder, f"{number}.json").write_text(json.dumps(content))
        report = _run("--framework", "kubernetes", "--directory", folder, "--output", "json", "--skip-download")
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 50, "checkov has read the objects"  # without known objects, no check passes
    return {check["check_id"]: check["check_name"] for check in report["results"]["failed_checks"]}


def _run(*arguments: str) -> dict[str, Any]:
    packages = cache.ensure_folder(cache.root() / f"checkov-{VERSION}-{sys.version_info.minor}", _install)
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PYTHONPATH": str(packages)}
    command = [sys.executable, "-m", "checkov.main", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr  # 1: an object fails a check
    return dict(json.loads(done.stdout))


def _install(folder: Path) -> None:
    with step(f"checkov {VERSION} from PyPI"):
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--target", str(folder), f"checkov=={VERSION}"], check=True, capture_output=True)
