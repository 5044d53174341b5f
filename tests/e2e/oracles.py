"""Two judges of the validation rules, which are test oracles: the API server in dry runs, and Go's TLS library.

tests/tls_clients.py has the other judges, OpenSSL and Python. A judge returns its objection as text, or "" if it
accepts the input. A warning of the API server counts as an objection, because it announces a later refusal.
"""

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

from dev.toolchain import golang
from tests.e2e.kube_api import KubeApi
from tests.tls_clients import ServedChain

CONNECTIONS = 2
"""Number of connections that send requests in parallel."""

DRY_RUN = "?dryRun=All&fieldValidation=Strict"
"""Query of a request whose object is validated and not stored. An unknown field is an error."""

EXPECTED_WARNING = "spec.externalIPs is deprecated"
"""Text of the only warning that does not count, because the component itself warns of this field."""

Object = dict[str, Any]


class ApiServer:
    """The lab's API server, as a judge of objects in a namespace."""

    def __init__(self, api: KubeApi, namespace: str = "default") -> None:
        self._api = api
        self._namespace = namespace

    def question(self, manifest: Object) -> str:
        """Return the path and the body of a request that creates the object, as one text that can be compared."""
        group, _, version = manifest["apiVersion"].rpartition("/")
        kind = self._api.resource(manifest["kind"])
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        namespace = f"/namespaces/{self._namespace}" if kind.namespaced else ""
        return f"{root}{namespace}/{kind.plural} {json.dumps(manifest, sort_keys=True)}"

    def objections(self, questions: Iterable[str]) -> dict[str, str]:
        """Return the objection to each text that `question` returned. Equal texts are sent once."""
        unique = sorted(set(questions))
        shares = [unique[start::CONNECTIONS] for start in range(CONNECTIONS)]
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            answers = [answer for share in threads.map(self._post_all, shares) for answer in share]
        return dict(answers)

    def _post_all(self, share: Sequence[str]) -> list[tuple[str, str]]:
        connection = self._api.connect()
        try:
            return [(question, self._post(connection, *question.split(" ", 1))) for question in share]
        finally:
            connection.close()

    @staticmethod
    def _post(connection: HTTPSConnection, path: str, body: str) -> str:
        connection.request("POST", path + DRY_RUN, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        headers = response.headers.get_all("Warning") or []
        warnings = [warning for warning in headers if EXPECTED_WARNING not in warning]
        if response.status in (201, 409):  # 409: the object exists, so its name is valid
            return "; ".join(warnings)
        return str(json.loads(content)["message"])


def build_go_verifier(folder: Path) -> Path:
    """Build the Go program in the directory `x509`, and return its path. It needs only Go's standard library."""
    module = Path(__file__).with_name("x509")
    go = golang.choose_go(module)
    go.ensure_installed()
    program = folder / "x509"
    go.output("build", "-o", str(program), ".", cwd=module)
    return program


def go_objections(program: Path, cases: Sequence[ServedChain]) -> list[str]:
    """Return the objection to each chain of crypto/x509 and crypto/tls.

    Docker, containerd, podman and skopeo use these libraries.
    """
    lines = [
        json.dumps({"Chain": case.chain, "Key": case.key, "Roots": case.ca_bundle, "Hosts": case.hosts})
        for case in cases
    ]
    done = subprocess.run(
        [program], input="".join(f"{line}\n" for line in lines), capture_output=True, text=True, check=True
    )
    return [str(json.loads(line)) for line in done.stdout.splitlines()]


def resource(api_version: str, kind: str, name: str, spec: Mapping[str, Any] | None = None, **more: Any) -> Object:
    """Return the manifest of an object. `more` are other fields of the manifest."""
    metadata = {"name": name, **more.pop("metadata", {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **({"spec": spec} if spec else {}), **more}
