"""regsync (regclient): the tool that copies images between registries, with all platforms and unchanged digests."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .api import Server
from .images import Image
from .storage import StorageError

PARALLEL = 4
"""Images that are copied at once."""

REQUESTS = 8
"""Requests to a registry at once."""

BATCH = 200
"""Images that one run of regsync copies. Between two runs, the job reports its progress."""

LOG_LINES = 5
"""Last lines of the log of regsync that a report keeps."""


@dataclass(frozen=True)
class Copier:
    """regsync between two registries. `program` is its path."""

    program: str
    source: Server
    target: Server

    def copy(self, images: Sequence[Image]) -> list[str]:
        """Copy images. Return the last lines of the log if some of them could not be copied.

        The configuration has logins, so it goes through a pipe.
        """
        config = json.dumps(self.configuration(images), ensure_ascii=False)
        command = [self.program, "once", "--verbosity", "warn", "--config", "-"]
        try:
            done = subprocess.run(command, input=config, capture_output=True, text=True, check=False)
        except OSError as error:
            raise StorageError(f"regsync cannot run: {error.strerror}: {error.filename}.") from None
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return lines[-LOG_LINES:] or [f"regsync ended with exit code {done.returncode}"] if done.returncode else []

    def configuration(self, images: Sequence[Image]) -> dict[str, Any]:
        """Return the configuration. Each image is named by its digest, also if its tag has moved meanwhile.

        Everything that an image refers to is compared, also if the target has its manifest already.
        """
        return {
            "version": 1,
            "creds": [_credentials(self.source), _credentials(self.target)],
            "defaults": {"parallel": PARALLEL, "skipDockerConfig": True, "forceRecursive": True},
            "sync": [
                {
                    "type": "image",
                    "source": f"{self.source.host}/{self.source.full_name(image.repository)}@{image.digest}",
                    "target": f"{self.target.host}/{self.target.full_name(image.repository)}"
                    + (f":{image.tag}" if image.tag else f"@{image.digest}"),
                }
                for image in images
            ],
        }


def _credentials(server: Server) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "registry": server.host,
        "tls": "enabled" if server.is_secure else "disabled",
        "reqConcurrent": REQUESTS,
    }
    texts = {"user": server.username, "pass": server.password, "regcert": server.ca_pem}
    return fields | {name: _escaped(text) for name, text in texts.items() if text}


def _escaped(text: str) -> str:
    """Return a text that a template of Go turns into this text."""
    return text.replace("{{", '{{"{{"}}')
