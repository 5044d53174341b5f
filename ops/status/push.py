"""Read whether the registry accepts a push: push a small blob as the stack's user."""

import requests

from registry.access import VERIFIED_REPOSITORY

from ..mode import push_blob, require_mode
from ..pod_diagnosis import find_cause
from ..registry_client import open_client
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
    with open_client(outputs, target.address) as client:
        try:
            mode = push_blob(client, outputs.endpoint, VERIFIED_REPOSITORY, CONTENT)
        except requests.HTTPError as error:
            if error.response.status_code == 403:
                return PushState(reason=f"the rules do not let {outputs.username} push to {VERIFIED_REPOSITORY}")
            is_broken = error.response.status_code == 500
            if is_broken and (cause := find_cause(target.client, outputs.namespace, is_write=True)):
                raise cause from None
            raise
    require_mode(mode, target.settings.mode)
    return PushState(mode)
