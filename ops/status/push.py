"""Read whether the registry accepts a push: push a small blob as the stack's user."""

import tempfile
from contextlib import closing
from pathlib import Path

import requests

from registry.access import VERIFIED_REPOSITORY

from ..errors import CheckError
from ..kubernetes import Object, list_registry_pods
from ..mode import push_blob, require_mode
from ..registry_client import RegistryClient
from ..servers import find_problem
from ..volume import find_write_problem
from .facts import PushState
from .target import Target

CONTENT = b"Pushed by `python -m ops status`.\n"
"""Content of the blob. No image needs it, so a collection deletes it."""


def read_push(target: Target) -> PushState:
    """Return the `mode` that the answer to a push shows. Raise `CheckError` with the cause if the push fails.

    A refusal by the rules of `access` is no failure.
    """
    outputs = target.outputs
    if not outputs.username:
        return PushState(reason="the stack has no user to log in as")
    with tempfile.TemporaryDirectory() as name:
        ca = Path(name) / "ca.pem"
        ca.write_text(outputs.ca_pem)
        client = RegistryClient(outputs, ca, target.address)
        with closing(client.session):
            try:
                mode = push_blob(client, outputs.endpoint, VERIFIED_REPOSITORY, CONTENT)
            except requests.HTTPError as error:
                if error.response.status_code == 403:
                    return PushState(reason=f"the rules do not let {outputs.username} push to {VERIFIED_REPOSITORY}")
                if error.response.status_code == 500 and (problem := _find_cause(target)):
                    raise problem from None
                raise
    require_mode(mode, target.settings.mode)
    return PushState(mode)


def _find_cause(target: Target) -> CheckError | None:
    """Return why the registry cannot write, by its Pods, or None if they do not show it."""
    pods: list[Object] = list_registry_pods(target.client, target.outputs.namespace)
    problem = find_problem(pods)
    running = [pod for pod in pods if pod["status"].get("phase") == "Running"]
    return problem or (find_write_problem(target.client, running[0]) if running else None)
