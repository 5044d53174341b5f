"""Access rules, and the proxy that the component creates for them. tests/e2e/test_access.py tests its decisions."""

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, cast

import pytest

from registry import PrivateRegistry
from registry.access.haproxy import fingerprint
from registry.validation import InvalidInput
from registry.validation.access_rules import NAME, AccessRule, covers, makes_void, pattern_of
from tests.conftest import Deploy, Engine, deploy_once, is_secret, unwrap_secret
from tests.examples import ROBOT, TOKEN, rule

Inputs = dict[str, Any]

RULES: Inputs = {"users": ["jean", "marie"], "access": [rule(users=["jean"], rights=["push"])]}

BEHIND_PROXY: list[Inputs] = [
    RULES,
    {"anonymous_pull": ["public/**"]},
    {"robots": {"ci": {"repositories": ["team/*"], "rights": ["push"]}}},
    {"pull_secrets": ["builds"]},
    {"min_free": 10},
]
"""Inputs that add the proxy to the Pod."""


MANY_RULES = [
    rule(repositories=[f"r{each}/g{n}/{'x' * 230}" for n in range(100)], rights=["push"]) for each in range(8)
]
"""Rules whose files are larger than a Secret."""


def refuse(deploy: Deploy, args: Inputs) -> InvalidInput:
    """Deploy a registry that is refused. Return the refusal."""
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: PrivateRegistry("registry", cast(Any, args)))
    return refusal.value


def deploy_registry(deploy: Deploy, args: Inputs) -> Inputs:
    return deploy(lambda: PrivateRegistry("registry", cast(Any, args)))


def containers(engine: Engine) -> dict[str, Inputs]:
    """Return the containers of the Pod by name."""
    return {each["name"]: each for each in unwrap_secret(engine.one("Pod").inputs["spec"])["containers"]}


def proxy_files(engine: Engine) -> Mapping[str, str]:
    """Return the files of the proxy."""
    data = engine.by_name("registry-access").inputs["stringData"]
    assert is_secret(data)
    return dict(unwrap_secret(data))


@pytest.mark.parametrize(
    ("glob", "inside", "outside"),
    [
        ("team/web", ["team/web"], ["team/web/part", "team", "steam/web", "team/web2", "team-web"]),
        ("team/*", ["team/web", "team/a.b_c-d"], ["team", "team/web/part", "team/.web", "team/Web", "team/"]),
        ("team/**", ["team/web", "team/web/part"], ["team", "teams/web", "team//web"]),
        ("**", ["a", "a/b/c"], ["", "/a", "a/", "A", "a/../b"]),
        ("*/web", ["team/web"], ["web", "a/b/web"]),
        ("**/web", ["team/web", "a/b/web"], ["web", "team/web/x"]),
        ("a.b", ["a.b"], ["aab", "a-b"]),
    ],
)
def test_a_glob_stands_for_whole_parts_of_a_name(glob: str, inside: list[str], outside: list[str]) -> None:
    assert [name for name in inside if not re.fullmatch(pattern_of(glob), name)] == []
    assert [name for name in outside if re.fullmatch(pattern_of(glob), name)] == []


@pytest.mark.parametrize(
    ("glob", "other", "expected"),
    [
        *(("**", other, True) for other in ("**", "*", "a", "a/b", "*/b", "**/b", "a/**")),
        *(
            ("team/*", other, other in ("team/*", "team/web"))
            for other in ("team/*", "team/web", "team/**", "*", "team")
        ),
        *(("team/**", other, True) for other in ("team/**", "team/*", "team/a/b", "team/*/b", "team/**/b")),
        *(("**/web", other, expected) for other, expected in (("a/web", True), ("**/web", True), ("web", False))),
        *(("a/**/b", other, expected) for other, expected in (("a/x/b", True), ("a/*/*/b", True), ("a/b", False))),
        ("*", "**", False),
        ("*", "a", True),
    ],
)
def test_a_glob_covers_another_if_it_has_all_its_names(glob: str, other: str, expected: bool) -> None:
    assert covers(glob, other) == expected
    if expected:
        for name in ("a", "web", "a/b", "team/web", "a/x/b", "a/x/y/b", "team/x/b", "x/b"):
            if re.fullmatch(pattern_of(other), name):
                assert re.fullmatch(pattern_of(glob), name)


def test_the_pattern_of_a_name_matches_names_of_repositories_only() -> None:
    assert re.fullmatch(NAME, "a__b/c.d/e---f")
    for name in ("a_/b", "-a", "a..b", "a/_b", "a___b", "é"):
        assert not re.fullmatch(NAME, name)


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        (rule(), rule(), True),
        (rule(rights=["push"]), rule(rights=["pull"]), True),
        (rule(rights=["delete"]), rule(rights=["push"]), False),
        (rule(users=["jean", "marie"]), rule(users=["jean"]), True),
        (rule(users=["jean"]), rule(users=["jean", "marie"]), False),
        (rule(users=["authenticated"]), rule(users=["jean"]), True),
        (rule(users=["jean", "marie", "ci"]), rule(users=["authenticated"]), True),
        (rule(users=["jean", "marie"]), rule(users=["authenticated"]), False),
        (rule(users=["anonymous"]), rule(users=["authenticated"]), True),
        (rule(users=["authenticated"]), rule(users=["anonymous"]), False),
        (rule(repositories=["team/*"]), rule(repositories=["team/web", "team/api"]), True),
        (rule(repositories=["team/*"]), rule(repositories=["team/web", "shop/web"]), False),
    ],
    ids=[
        *("the same rule", "push includes pull", "delete does not include push", "one of two users"),
        *("one user more", "authenticated includes every user", "all users by name", "some users by name"),
        *("anonymous includes every user", "users do not include anonymous", "a glob with all names"),
        "a glob without one of the names",
    ],
)
def test_a_rule_is_void_if_an_earlier_one_allows_all_of_it(earlier: Inputs, later: Inputs, expected: bool) -> None:
    first, second = (
        AccessRule(tuple(each["users"]), tuple(each["repositories"]), frozenset(each["rights"]))
        for each in (earlier, later)
    )
    assert makes_void(first, second, ["jean", "marie", "ci"]) == expected


@pytest.mark.parametrize(
    ("args", "key", "code"),
    [
        ({**RULES, "access": [rule(users=["jaen"])]}, "access[0].users", "unknown-user"),
        ({**RULES, "access": [rule(users=["pull"])], "pull_secrets": ["builds"]}, "access[0].users", "unknown-user"),
        ({**RULES, "access": [rule(repositories=["**"]), rule()]}, "access[1]", "void-rule"),
        ({**RULES, "access": [rule(rights=["delete"])]}, "access[0].rights", "deletion-is-off"),
        ({"robots": {"ci": {"repositories": ["a"], "rights": ["delete"]}}}, "robots.ci.rights", "deletion-is-off"),
        ({**RULES, "robots": {"jean": {"repositories": ["a"], "rights": ["pull"]}}}, "robots", "repeated"),
        ({"robots": {"anonymous": {"repositories": ["a"], "rights": ["pull"]}}}, "robots", "name-of-a-group"),
        ({"users": ["authenticated"], "anonymous_pull": ["a"]}, "users", "name-of-a-group"),
        ({"users": ["pull"], "pull_secrets": ["builds"]}, "users", "name-of-pull-user"),
        ({"users": ["{env.HOME}"], "anonymous_pull": ["a"]}, "users", "not-plain"),
        ({**RULES, "access": MANY_RULES}, "access", "too-large"),
        ({"users": ["jean doe"], "robots": {"ci": ROBOT}}, "users", "not-plain"),
        ({"users": ["jean doe"], "min_free": 10}, "users", "not-plain"),
        ({"token": TOKEN, "image": "registry:2.8.3"}, "image", "no-key-set"),
        ({"password_generations": {"pull": [1, 2]}}, "password_generations.pull", "unknown-user"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_invalid_combination_of_users_rules_and_tokens_is_refused(
    deploy: Deploy, args: Inputs, key: str, code: str
) -> None:
    refusal = refuse(deploy, args)
    assert (refusal.key, refusal.code) == (key, code)


@pytest.mark.parametrize(
    ("args", "key", "remedy"),
    [
        ({"token": {**TOKEN, "service": 7}}, "token.service", "For example 'container_registry'"),
        ({"robots": {"ci": {"repositories": ["a"]}}}, "robots.ci.rights", "For example {ci: {repositories: [team/*]"),
        (
            {**RULES, "access": [{"users": ["jean"], "rights": ["pull"]}]},
            "access[0].repositories",
            "For example [{users",
        ),
    ],
)
def test_the_remedy_shows_an_example_of_the_input(deploy: Deploy, args: Inputs, key: str, remedy: str) -> None:
    refusal = refuse(deploy, args)
    assert refusal.key == key
    assert refusal.remedy.startswith(remedy)


@pytest.mark.parametrize("args", BEHIND_PROXY, ids=lambda args: [*args][-1])
def test_behind_the_proxy_the_registry_listens_on_a_unix_socket_only(
    deploy: Deploy, engine: Engine, args: Inputs
) -> None:
    deploy_registry(deploy, args)
    registry, proxy = containers(engine)["registry"], containers(engine)["proxy"]
    assert registry["ports"] == []
    assert [port["containerPort"] for port in proxy["ports"]] == [5000]
    assert proxy["securityContext"] == registry["securityContext"]
    assert "readinessProbe" not in registry
    assert proxy["readinessProbe"]["httpGet"]["port"] == 5000
    assert not [name for name in ("REGISTRY_AUTH", "REGISTRY_HTTP_TLS_KEY") if name in str(registry["env"])]
    configuration = unwrap_secret(engine.by_name("registry-workload-configuration").inputs["stringData"])["config.yml"]
    assert json.loads(configuration)["http"]["net"] == "unix"
    assert json.loads(configuration)["log"]["accesslog"] == {"disabled": True}
    assert not [each for each in engine.resources if each.name == "registry-auth-secret"]


def test_with_users_alone_there_is_no_proxy(deploy: Deploy, engine: Engine) -> None:
    deploy_registry(deploy, {"users": ["jean"]})
    assert [*containers(engine)] == ["registry"]
    assert not [each for each in engine.resources if each.name == "registry-access"]


def test_with_min_free_the_proxy_mounts_the_storage_read_only(deploy: Deploy, engine: Engine) -> None:
    deploy_registry(deploy, {"min_free": 10})
    registry, proxy = containers(engine)["registry"], containers(engine)["proxy"]
    (mount,) = [each for each in proxy["volumeMounts"] if each["name"] == "repository"]
    assert mount["readOnly"]
    assert mount["mountPath"] in [each["mountPath"] for each in registry["volumeMounts"]]
    variables = {each["name"]: each["value"] for each in proxy["env"]}
    assert (variables["MIN_FREE"], variables["STORAGE"]) == ("10", mount["mountPath"])
    assert f"map({variables['STORAGE_STATE']}) -m str full" in proxy_files(engine)["haproxy.cfg"]


def test_without_min_free_the_proxy_does_not_mount_the_storage(deploy: Deploy, engine: Engine) -> None:
    deploy_registry(deploy, RULES)
    assert "repository" not in str(containers(engine)["proxy"]["volumeMounts"])
    assert "507" not in proxy_files(engine)["haproxy.cfg"]


def test_the_proxy_has_its_own_resources_and_image(deploy: Deploy, engine: Engine) -> None:
    more = {"front_image": "haproxy:3.4.2", "front_requests": {"cpu": "1"}, "front_limits": {"memory": "1Gi"}}
    deploy_registry(deploy, {**RULES, **more})
    proxy = containers(engine)["proxy"]
    assert proxy["image"] == "haproxy:3.4.2"
    assert proxy["resources"] == {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}


@pytest.mark.parametrize(
    ("args", "level", "opening"),
    [
        ({}, "info", "%["),
        ({"log_level": "warn"}, "warning", "%["),
        ({"log_level": "error", "log_format": "json"}, "err", "{"),
    ],
)
def test_the_proxy_logs_as_the_registry_does(
    deploy: Deploy, engine: Engine, args: Inputs, level: str, opening: str
) -> None:
    deploy_registry(deploy, {**RULES, **args})
    configuration = proxy_files(engine)["haproxy.cfg"]
    assert f"log stdout format raw local0 {level}\n" in configuration
    assert f"log-format '{opening}" in configuration


def checksum_of(engine: Engine) -> str:
    return str(engine.one("Pod").inputs["metadata"]["annotations"]["checksum/config"])


@pytest.mark.parametrize(
    "changes",
    [
        {"access": [rule(users=["jean"], rights=["pull"])]},
        {"users": ["jean", "marie", "paul"]},
        {"passwords": {"jean": "correct horse battery"}},
        {"certificate_names": ["registry.example.com"]},
        {"anonymous_pull": ["public/**"]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_change_of_users_rules_or_certificate_does_not_change_the_pod(changes: Inputs) -> None:
    engines = [deploy_once("registry", args) for args in (RULES, {**RULES, **changes})]
    pods = [(unwrap_secret(engine.one("Pod").inputs["spec"]), checksum_of(engine)) for engine in engines]
    assert pods[0] == pods[1]


def test_the_files_of_the_proxy_have_the_certificate_hashes_and_rules_but_no_password(
    deploy: Deploy, engine: Engine
) -> None:
    outputs = deploy_registry(deploy, {**RULES, "passwords": {"marie": "correct horse battery"}})
    files = proxy_files(engine)
    assert files["certificate.pem"].startswith("-----BEGIN CERTIFICATE-----")
    assert files["logins.map"] == f"{fingerprint('jean', outputs['passwords']['jean'])} jean\n"
    assert files["hashes.map"].startswith("marie $2b$10$")
    assert files["hashes.map"].split()[1] in files["haproxy.cfg"]
    assert not [word for word in outputs["passwords"].values() if word in str(files)]
    assert "team/web" in files["haproxy.cfg"]


def test_the_passwords_of_robots_are_outputs_and_can_be_rotated(deploy: Deploy) -> None:
    robots = {"ci": {"repositories": ["team/*"], "rights": ["push"]}}
    outputs = deploy_registry(deploy, {"robots": robots, "password_generations": {"ci": [2, 1]}})
    assert [*outputs["passwords"]] == ["centos", "ci", "ci-2"]


def test_the_user_of_a_pull_secret_may_only_pull(deploy: Deploy, engine: Engine) -> None:
    outputs = deploy_registry(deploy, {"pull_secrets": ["builds"], "pull_secret_repositories": ["team/*"]})
    data = unwrap_secret(engine.by_name("registry-pull-secrets-builds").inputs["data"])[".dockerconfigjson"]
    assert outputs["username"] == "centos"
    assert outputs["passwords"]["pull"] in b64decode(data).decode()
    assert outputs["passwords"]["centos"] not in b64decode(data).decode()
    configuration = proxy_files(engine)["haproxy.cfg"]
    (acl,) = re.findall(r"acl (\w+) var\(txn\.user\) -m str pull\n", configuration)
    permissions = re.findall(rf"http-request set-var\(txn\.allowed\) .* if {acl} (.*)", configuration)
    assert permissions
    assert all(conditions.startswith("reads ") for conditions in permissions)


class TestToken:
    def test_the_registry_checks_tokens_itself(self, deploy: Deploy, engine: Engine) -> None:
        outputs = deploy_registry(deploy, {"token": TOKEN})
        files = unwrap_secret(engine.by_name("registry-workload-configuration").inputs["stringData"])
        section = json.loads(files["config.yml"])["auth"]["token"]
        assert section == {
            **{key: TOKEN[key] for key in ("realm", "service", "issuer")},
            "jwks": "/etc/distribution/jwks.json",
        }
        assert files["jwks.json"] == TOKEN["jwks"]
        assert [*containers(engine)] == ["registry"]
        assert "REGISTRY_AUTH" not in str(containers(engine)["registry"]["env"])
        assert (outputs["username"], outputs["passwords"]) == ("", {})

    @pytest.mark.parametrize("more", [{"users": ["jean"]}, *BEHIND_PROXY], ids=lambda args: [*args][-1])
    def test_users_and_rules_are_refused_with_a_token(self, deploy: Deploy, more: Inputs) -> None:
        refusal = refuse(deploy, {"token": TOKEN, **more})
        assert refusal.code == "replaced"
