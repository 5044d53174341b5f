"""Read whether the registry can use the servers behind it: its object store, or the upstream that it mirrors."""

from ..diagnosis import diagnose
from ..kubernetes import find_claim, list_registry_pods
from ..registry_client import CatalogDenied, open_client
from ..server_errors import STORE, STORES, UPSTREAM
from ..servers import find_problem, is_ready
from ..upstream import check_upstream
from .facts import ServerState
from .target import Target


def read_servers(target: Target) -> list[ServerState]:
    """Return the servers behind the registry. A registry with a volume and without an upstream has no such server."""
    pods = list_registry_pods(target.client, target.outputs.namespace)
    problem = find_problem(pods)
    store_pods = [pod for pod in pods if not find_claim(pod)]
    store = STORES.get(target.settings.storage or "", STORE)
    states = []
    if problem is not None:
        name = store.name if store_pods else UPSTREAM.name
        states.append(ServerState(name, problem.cause, problem.remedy))
    elif store_pods:
        answers = any(map(is_ready, store_pods))
        states.append(ServerState(store.name, "It answers." if answers else "Unknown, because no Pod is ready."))
    if target.settings.mode == "mirror" and problem is None:
        states.append(_read_upstream(target))
    return states


def _read_upstream(target: Target) -> ServerState:
    """Return whether the upstream answers. The mirror is asked for a manifest that it does not hold."""
    outputs = target.outputs
    if not outputs.username:
        return ServerState(UPSTREAM.name, "Not checked, because the stack has no user to log in as.")
    with open_client(outputs, target.address) as client:
        try:
            page = client.read_catalog(f"https://{outputs.endpoint}/v2/_catalog?n=1")
            repository = next(iter(page.json()["repositories"] or []), "")
            check_upstream(client.send, outputs.endpoint, repository)
        except CatalogDenied:
            summary = f"Not checked, because the access rules do not let {outputs.username} pull everything."
            return ServerState(UPSTREAM.name, summary)
        except Exception as error:
            diagnosis = diagnose(error, outputs, outputs.describe_connection(target.address))
            summary = f"{diagnosis.cause} The mirror serves what it holds."
            return ServerState(UPSTREAM.name, summary, diagnosis.remedy)
    return ServerState(UPSTREAM.name, "It answers.")
