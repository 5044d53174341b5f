"""Generations of a password: each logs in by a name of its own, and the first of the list is what anybody is told."""

import json
from base64 import b64decode
from typing import Any

import bcrypt
import pytest

from registry import PrivateRegistry
from registry.validation.users import current_login, logins
from tests.conftest import Deploy, Engine, unwrap


def lines(engine: Engine) -> dict[str, str]:
    """The hash of every login, in the order of the file."""
    content = unwrap(engine.by_name("registry-auth-secret").inputs["stringData"])["registry.password"]
    return dict(line.split(":") for line in content.splitlines())


@pytest.mark.parametrize(
    ("generations", "told", "let_in"),
    [
        ({}, "centos", ["centos", "jean"]),
        ({"centos": [1]}, "centos", ["centos", "jean"]),
        ({"centos": [1, 2]}, "centos", ["centos", "centos-2", "jean"]),
        ({"centos": [2, 1]}, "centos-2", ["centos", "centos-2", "jean"]),
        ({"centos": [2]}, "centos-2", ["centos-2", "jean"]),
        ({"centos": [2, 3], "jean": [2, 1]}, "centos-2", ["centos-2", "centos-3", "jean", "jean-2"]),
    ],
)
def test_a_generation_is_a_login_and_the_first_one_is_told(
    deploy: Deploy, engine: Engine, generations: Any, told: str, let_in: list[str]
) -> None:
    args: Any = {"users": ["centos", "jean"], "password_generations": generations, "pull_secrets": ["builds"]}
    outputs = deploy(lambda: PrivateRegistry("registry", args))
    assert list(lines(engine)) == let_in == sorted(outputs["passwords"])
    for login, hashed in lines(engine).items():
        assert bcrypt.checkpw(outputs["passwords"][login].encode(), hashed.encode())
        assert hashed.startswith("$2b$05$"), "generated, so a costly hash gains nothing"
    assert (outputs["username"], outputs["password"]) == (told, outputs["passwords"][told])
    data = unwrap(engine.by_name("registry-pull-secrets-builds-current").inputs["data"])
    (given,) = json.loads(b64decode(data[".dockerconfigjson"]))["auths"].values()
    assert (given["username"], given["password"]) == (told, outputs["password"])


def test_what_is_handed_out_moves_without_a_change_of_the_file() -> None:
    users = ["jean", "centos"]
    assert logins(users, {"centos": [1, 2]}) == logins(users, {"centos": [2, 1]}) == ["jean", "centos", "centos-2"]
    assert [current_login("centos", {"centos": each}) for each in ([1, 2], [2, 1])] == ["centos", "centos-2"]


def test_the_first_generation_has_the_names_of_before(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: PrivateRegistry("registry", {"password_generations": {"centos": [1, 2]}}))
    made = {each.name for each in engine.resources if each.type.endswith("RandomPassword")}
    assert {"registry-auth-centos-password", "registry-auth-centos-2-password"} <= made


def test_a_name_that_only_looks_like_a_generation_is_anybodys(deploy: Deploy) -> None:
    args: Any = {"users": ["centos", "centos-2", "ci-7"], "password_generations": {"ci-7": [1, 2]}}
    assert sorted(deploy(lambda: PrivateRegistry("registry", args))["passwords"]) == [
        *["centos", "centos-2", "ci-7", "ci-7-2"]
    ]
