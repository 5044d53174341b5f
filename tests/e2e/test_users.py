"""Users come and go without a new Pod, and without a change of anybody else's line."""

from collections.abc import Callable
from typing import Any

import bcrypt
import pytest

from registry.validation.users import htpasswd
from tests.e2e.lab import Lab, Registry, eventually, of_secret
from tests.e2e.refusals import message

pytestmark = pytest.mark.e2e

WHERE: dict[str, Any] = {
    "namespace": "users",
    "storage_path": "/var/lib/users",
    "exposure": "node-port",
    "node_port": 30501,
}


def test_users_are_added_and_removed_while_the_registry_runs(lab: Lab, registry: Callable[..., Registry]) -> None:
    first = registry("users", users=["jean"], **WHERE)
    pod = lab.get("pod", "docker-registry", "users")["metadata"]["uid"]
    (jean,) = of_secret(lab, "users", "auth-secret")["registry.password"].splitlines()
    assert first.status("/v2/") == 200

    more = registry("users", {"passwords.ada": "correct horse battery"}, users=["jean", "marie", "ada"], **WHERE)
    lines = of_secret(lab, "users", "auth-secret")["registry.password"].splitlines()
    assert lines[0] == jean, "nobody else's line is touched"
    assert more.outputs["passwords"]["jean"] == first.outputs["password"]
    assert more.outputs["passwords"]["ada"] == "correct horse battery"
    assert [line.split(":")[1][:7] for line in lines] == ["$2b$05$", "$2b$05$", "$2b$10$"], "a chosen one costs more"
    for user, password in more.outputs["passwords"].items():
        login = f"{user}:{password}"
        eventually(120, f"{user} gets in", lambda login=login: more.status("/v2/", user=login) == 200)

    fewer = registry("users", users=["marie"], **WHERE)
    eventually(120, "jean is out", lambda: fewer.status("/v2/", user=f"jean:{first.outputs['password']}") == 401)
    assert fewer.outputs["password"] == more.outputs["passwords"]["marie"]
    assert lab.get("pod", "docker-registry", "users")["metadata"]["uid"] == pod
    fewer.project.up("--expect-no-changes")


def test_an_existing_htpasswd_secret_is_served_and_one_of_another_kind_is_refused(
    lab: Lab, registry: Callable[..., Registry]
) -> None:
    lab.kubectl("create", "namespace", "given")
    try:
        hashed = bcrypt.hashpw(b"chosen elsewhere", bcrypt.gensalt(5)).decode()
        make = ("create", "secret", "generic", "--namespace", "given")
        lab.kubectl(*make, "mine", f"--from-literal=registry.password=jean:{hashed}")
        lab.kubectl(*make, "sha", "--from-literal=registry.password=jean:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=")
        lab.kubectl(*make, "other", "--from-literal=htpasswd=nothing")
        where = {**WHERE, "namespace": "given", "create_namespace": False, "storage_path": "/var/lib/given"}
        served = registry("given", users_secret="mine", **where)
        assert served.status("/v2/", user="jean:chosen elsewhere") == 200
        assert served.status("/v2/", user="jean:guessed") == 401
        assert (served.outputs["username"], served.outputs["passwords"]) == ("", {})
        served.project.configure(users_secret="sha", **where)
        assert message(htpasswd, "jean:{SHA}") in served.project.refused()
        served.project.configure(users_secret="other", **where)
        assert "`users_secret` names a Secret without registry.password." in served.project.refused()
        served.project.pulumi("destroy", "--yes", "--skip-preview")
        assert "mine" in lab.kubectl("get", "secrets", "--namespace", "given", "--output", "name")
        assert "given" not in lab.kubectl("get", "pv"), "no object is left but those that were there"
    finally:
        lab.kubectl("delete", "namespace", "given")
