"""Add and remove users without a new Pod, and without a change of other users' hashes.

No offline test can show this: only a kubelet updates the file in a running Pod, and only the real registry reads it
again.
"""

from collections.abc import Callable
from typing import Any

import bcrypt
import pytest

from registry.validation.secrets import ExistingSecret
from registry.validation.users import htpasswd
from tests.e2e.lab import Lab, Registry, eventually, read_secret
from tests.e2e.messages import message

pytestmark = pytest.mark.e2e

SETTINGS: dict[str, Any] = {
    "namespace": "users",
    "storage_path": "/var/lib/users",
    "exposure": "node-port",
    "node_port": 30501,
}


def test_users_are_added_and_removed_while_the_registry_runs(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    first = deploy_registry("users", users=["jean"], **SETTINGS)
    pod = lab.get("pod", "docker-registry", "users")["metadata"]["uid"]
    (line_of_jean,) = read_secret(lab, "users", "auth-secret")["registry.password"].splitlines()
    assert first.status("/v2/") == 200

    with_three_users = deploy_registry(
        "users", {"passwords.ada": "correct horse battery"}, users=["jean", "marie", "ada"], **SETTINGS
    )
    lines = read_secret(lab, "users", "auth-secret")["registry.password"].splitlines()
    assert lines[0] == line_of_jean, "the line of another user is unchanged"
    assert with_three_users.outputs["passwords"]["jean"] == first.outputs["password"]
    assert with_three_users.outputs["passwords"]["ada"] == "correct horse battery"
    assert [line.split(":")[1][:7] for line in lines] == ["$2b$05$", "$2b$05$", "$2b$10$"], (
        "a chosen password has a higher cost"
    )
    for user, password in with_three_users.outputs["passwords"].items():
        login = f"{user}:{password}"
        eventually(
            120, f"the registry accepts {user}", lambda login=login: with_three_users.status("/v2/", user=login) == 200
        )

    with_one_user = deploy_registry("users", users=["marie"], **SETTINGS)
    eventually(
        120,
        "the registry refuses jean",
        lambda: with_one_user.status("/v2/", user=f"jean:{first.outputs['password']}") == 401,
    )
    assert with_one_user.outputs["password"] == with_three_users.outputs["passwords"]["marie"]
    assert lab.get("pod", "docker-registry", "users")["metadata"]["uid"] == pod
    with_one_user.project.up("--expect-no-changes")


def test_an_existing_htpasswd_secret_is_used_and_other_formats_are_refused(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    lab.kubectl("create", "namespace", "existing")
    try:
        password_hash = bcrypt.hashpw(b"chosen elsewhere", bcrypt.gensalt(5)).decode()
        create = ("create", "secret", "generic", "--namespace", "existing")
        lab.kubectl(*create, "mine", f"--from-literal=registry.password=jean:{password_hash}")
        lab.kubectl(*create, "sha", "--from-literal=registry.password=jean:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=")
        lab.kubectl(*create, "other", "--from-literal=htpasswd=nothing")
        settings = {**SETTINGS, "namespace": "existing", "create_namespace": False, "storage_path": "/var/lib/existing"}
        registry = deploy_registry("existing", users_secret="mine", **settings)
        assert registry.status("/v2/", user="jean:chosen elsewhere") == 200
        assert registry.status("/v2/", user="jean:guessed") == 401
        assert (registry.outputs["username"], registry.outputs["passwords"]) == ("", {})
        registry.project.configure(users_secret="sha", **settings)
        command = ExistingSecret("users_secret", "existing", "sha", ("registry.password",)).replace_command()
        assert message(htpasswd, "jean:{SHA}", command) in registry.project.expect_refusal()
        registry.project.configure(users_secret="other", **settings)
        assert "`users_secret` names a Secret without registry.password." in registry.project.expect_refusal()
        registry.project.pulumi("destroy", "--yes", "--skip-preview")
        assert "mine" in lab.kubectl("get", "secrets", "--namespace", "existing", "--output", "name")
        assert "existing" not in lab.kubectl("get", "pv"), "the volume was deleted"
    finally:
        lab.delete_namespace("existing")
