"""Generations of a password. Each one is a login with its own name, and the first of the list is the current one."""

import json
from base64 import b64decode
from typing import Any

import bcrypt
import pytest

from registry import PrivateRegistry
from registry.validation.users import current_login, logins
from tests import parts
from tests.conftest import Deploy, Engine, unwrap_secret


def hashes(engine: Engine) -> dict[str, str]:
    """Return the hash of every login, in the order of the file."""
    content = unwrap_secret(engine.by_name("registry-auth-secret").inputs["stringData"])["registry.password"]
    return dict(line.split(":") for line in content.splitlines())


@pytest.mark.parametrize(
    ("generations", "current", "names"),
    [
        ({}, "centos", ["centos", "jean"]),
        ({"centos": [1]}, "centos", ["centos", "jean"]),
        ({"centos": [1, 2]}, "centos", ["centos", "centos-2", "jean"]),
        ({"centos": [2, 1]}, "centos-2", ["centos", "centos-2", "jean"]),
        ({"centos": [2]}, "centos-2", ["centos-2", "jean"]),
        ({"centos": [2, 3], "jean": [2, 1]}, "centos-2", ["centos-2", "centos-3", "jean", "jean-2"]),
    ],
)
def test_every_generation_is_a_login_and_the_first_one_is_current(
    deploy: Deploy, engine: Engine, generations: Any, current: str, names: list[str]
) -> None:
    args = {"users": ["centos", "jean"], "password_generations": generations}
    outputs = deploy(lambda: parts.users(args))["value"]
    assert list(hashes(engine)) == names == sorted(outputs["passwords"])
    for login, password_hash in hashes(engine).items():
        assert bcrypt.checkpw(outputs["passwords"][login].encode(), password_hash.encode())
        assert password_hash.startswith("$2b$05$"), "A generated password needs no expensive hash."
    assert (outputs["username"], outputs["password"]) == (current, outputs["passwords"][current])


@pytest.mark.parametrize(("generations", "current"), [([1, 2], "pull"), ([2, 1], "pull-2"), ([2], "pull-2")])
def test_the_pull_secrets_have_the_current_generation(
    deploy: Deploy, engine: Engine, generations: list[int], current: str
) -> None:
    args: Any = {"password_generations": {"pull": generations}, "pull_secrets": ["builds"]}
    outputs = deploy(lambda: PrivateRegistry("registry", args))
    data = unwrap_secret(engine.by_name("registry-pull-secrets-builds-current").inputs["data"])
    (login_of_kubelet,) = json.loads(b64decode(data[".dockerconfigjson"]))["auths"].values()
    assert (login_of_kubelet["username"], login_of_kubelet["password"]) == (current, outputs["passwords"][current])


def test_the_current_login_may_change_without_a_change_of_the_file() -> None:
    users = ["jean", "centos"]
    assert logins(users, {"centos": [1, 2]}) == logins(users, {"centos": [2, 1]}) == ["jean", "centos", "centos-2"]
    assert [current_login("centos", {"centos": numbers}) for numbers in ([1, 2], [2, 1])] == ["centos", "centos-2"]


def test_the_first_generation_has_a_name_without_a_number(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: PrivateRegistry("registry", {"password_generations": {"centos": [1, 2]}}))
    names = {each.name for each in engine.resources if each.type.endswith("RandomPassword")}
    assert {"registry-auth-centos-password", "registry-auth-centos-2-password"} <= names


def test_a_user_name_may_look_like_a_generation(deploy: Deploy) -> None:
    args: Any = {"users": ["centos", "centos-2", "ci-7"], "password_generations": {"ci-7": [1, 2]}}
    outputs = deploy(lambda: PrivateRegistry("registry", args))
    assert sorted(outputs["passwords"]) == ["centos", "centos-2", "ci-7", "ci-7-2"]
    assert (outputs["username"], outputs["password"]) == ("centos", outputs["passwords"]["centos"])
