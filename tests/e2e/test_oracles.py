"""What is taken here is taken later: ten thousand inputs, judged by the rules and by those who judge in the end.

A rule that lets something pass which the API server, Go or OpenSSL refuse is a mistake, and so is one that refuses what
they all take, unless it stands in STRICTER with its reason.
"""

import asyncio
import json
import os
import random
import subprocess
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from pulumi.runtime.settings import SETTINGS

from registry.inputs.combinations import check_combinations
from registry.inputs.resolve import resolve
from registry.inputs.table import CROSS_FIELD_RULES, DEFAULTS, INPUTS
from registry.validation import InvalidInput
from tests.conftest import Engine
from tests.e2e import finds
from tests.e2e.configs import AUTHORITY, JUDGED, Given, configs
from tests.e2e.lab import SOAK, Lab, Project
from tests.e2e.made import objects, registered, with_choice
from tests.e2e.oracles import (
    ApiServer,
    Object,
    Shown,
    against_by_go,
    against_by_openssl,
    against_by_python,
    build_go,
)
from tests.e2e.shown import Foreign, certificate_of, foreign_authorities, foreign_certificates

pytestmark = [pytest.mark.e2e, pytest.mark.together]

CONFIGS, SERVED, AUTHORITIES, WHOLE = (8000, 1300, 700, 250) if SOAK else (400, 100, 60, 40)
"""How many examples are drawn of each kind."""

SEED = int(os.environ.get("SOAK_SEED", "20261125"))
"""The same examples in every run of `make test`; `make soak` draws a seed and prints it."""

ONLY_OURS = (
    *("no-effect", "replaced", "missing", "namespace-is-new", "unknown-key", "output-not-allowed", "unknown-user"),
    *("password-is-chosen", "family-of-clients"),
)
"""Codes of rules about several inputs, which no judge knows."""

STRICTER: dict[tuple[str, str], str] = {
    # key, code: why the rule is stricter than every judge
    ("namespace", "belongs-to-the-cluster"): "`pulumi destroy` would delete it",
    ("labels", "reserved-key"): "the component's own labels would be lost",
    ("labels", "too-many"): "a dry run does not store, and etcd has a limit",
    ("annotations", "reserved-key"): "the provider's own annotations would be lost",
    ("annotations", "not-unicode"): "the API server replaces the character",
    ("annotations", "too-long"): "the component's own annotations need space",
    ("node_label", "reserved-key"): "the label goes with the stack, and Kubernetes needs it",
    ("node_label", "not-key=value"): "a missing value is probably forgotten",
    ("node_port", "out-of-range"): "a dry run allocates no port, so it does not check the range",
    ("external_ips", "unreachable-address"): "it accepts 239.0.0.0/8 and class E, which no host has",
    ("external_ips", "mixed-families"): "on a cluster of one family the others are not reached",
    ("external_ips", "too-many"): "each is a SAN and a Lease",
    ("external_ips", "repeated"): "two Leases with one name",
    ("load_balancer_address", "not-an-address"): "it accepts any text, and load balancers ignore it",
    ("load_balancer_address", "unreachable-address"): "as with external IPs",
    ("load_balancer_address", "address-form"): "as with external IPs",
    ("client_cidrs", "repeated"): "a slip",
    ("client_cidrs", "too-many"): "an Ingress has them in one annotation",
    ("storage_path", "folder-of-the-node"): "the node's own files are there",
    ("storage_path", "temporary-folder"): "folders called tmp are cleared",
    ("storage_path", "not-an-absolute-path"): "the kubelet refuses it, or reads it as another folder",
    ("storage_path", "path-characters"): "the container engine ends the path at a colon",
    ("storage_path", "too-long"): "the kernel refuses it",
    ("storage_size", "not-a-quantity"): "signs, exponents and 1. are probably slips",
    ("storage_size", "out-of-range"): "less than 1Mi is a forgotten suffix",
    ("storage_size", "not-text"): "a number without a suffix is a forgotten one",
    ("requests", "not-a-quantity"): "as with `storage_size`",
    ("requests", "not-an-amount"): "no registry runs with it",
    ("requests", "not-text"): "as with `storage_size`",
    ("limits", "not-a-quantity"): "as with `storage_size`",
    ("limits", "not-an-amount"): "no registry runs with it",
    ("limits", "not-text"): "as with `storage_size`",
    ("image", "not-an-image"): "the API server accepts any text, and the kubelet reports InvalidImageName later",
    ("image", "not-pinned"): "`latest` is another registry tomorrow",
    ("image_pull_policy", "not-a-choice"): "the API server replaces an empty text by its own default",
    ("hostname", "not-a-dns-name"): "a common name has 64 characters (X.520)",
    ("hostname", "is-an-address"): "1.2.3 is an address to some clients and a name to others",
    ("certificate_names", "not-a-dns-name"): "some clients do not match it, or only in other letters",
    ("certificate_names", "incomplete-address"): "as with `hostname`",
    ("certificate_names", "address-form"): "some clients compare 4 bytes with 16",
    ("certificate_names", "not-a-list"): "a slip",
    ("certificate_names", "repeated"): "a slip",
    ("certificate_names", "too-many"): "OpenSSL reads 100 KiB of a chain",
    ("certificate_subject", "not-a-subject-field"): "RFC 5280, appendix A.1, which these clients do not check",
    ("certificate_subject", "not-a-country"): "ISO 3166, which these clients do not check",
    ("certificate_days", "out-of-range"): "browsers and Apple refuse longer ones, and days are whole numbers",
    ("ca_days", "out-of-range"): "a CA that ends before a server certificate has to be renewed with it",
    ("certificate_key", "not-a-choice"): "the component names the kinds, and Docker and Apple refuse some others",
    ("tls_secret", "unsupported-key"): "Apple's clients and browsers accept no other",
    ("ca_certificate", "unsupported-key"): "as above",
    ("ca_key", "unsupported-key"): "as above",
    ("ca_certificate", "not-a-chain"): "these clients reorder it, and others do not (RFC 5246, 7.4.2)",
    ("tls_secret", "not-a-chain"): "as above",
    ("tls_secret", "not-a-ca"): "these clients accept a self-signed one without the identifier",
    ("tls_secret", "not-for-servers"): "TLS 1.3 signs, and NSS and GnuTLS check the usage",
    ("tls_secret", "subject-missing"): "people find a self-signed one among their CAs by its subject",
    ("ca_certificate", "name-constraints"): "the hosts inside the cluster are seldom permitted",
    ("tls_secret", "name-constraints"): "as above",
}
"""What is refused although the API server, Go and OpenSSL would accept it."""


class Judged(NamedTuple):
    """What was judged, and the key and the code of the refusal, if there was one."""

    given: Any
    key: str = ""
    code: str = ""


class Case(NamedTuple):
    """Something judged, with what it would end in. No question at all: it has not even the shape of an object."""

    judged: Judged
    questions: tuple[str, ...] | None = ()
    shown: Shown | None = None


@pytest.fixture(scope="session")
def api(lab: Lab) -> ApiServer:
    return ApiServer(lab.api)


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_go(tmp_path_factory.mktemp("go"))


@pytest.fixture
def judge(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Given], Judged]]:
    """What the rules say, those for values that are known later included; not what they advise."""
    monkeypatch.setattr("pulumi.log.warn", lambda _: None)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    def run(args: Given) -> Judged:
        refusal: BaseException | None = None
        try:
            resolve(cast(Any, args))
        except InvalidInput as raised:
            refusal = raised
        while waiting := asyncio.all_tasks(loop):
            ended = loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
            refusal = refusal or next((each for each in ended if isinstance(each, BaseException)), None)
        return Judged(args, *_told(refusal)) if refusal else Judged(args)

    yield run
    SETTINGS.outputs.clear()  # refused ones wait there for the end of the program, which this loop does not see
    loop.close()
    asyncio.set_event_loop(None)


def _told(refusal: BaseException) -> tuple[str, str]:
    """Return key and code. An error of another class is a mistake of the rule."""
    assert isinstance(refusal, InvalidInput), repr(refusal)
    return refusal.key.partition(".")[0], refusal.code


def collected(number: int, examples: st.SearchStrategy[Any], judge: Callable[[Any], Any]) -> list[Any]:
    """So many examples, and what `judge` makes of each. Who judges in the end is asked afterwards, of all at once."""
    found: list[Any] = []

    @seed(SEED)
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(examples)
    def collect(example: Any) -> None:
        found.append(judge(example))

    collect()
    return found


def test_the_component_itself_makes_of_it_what_the_api_server_takes(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of some configurations, as one of them takes the component longer than the rules take for a hundred.

    First of all, as the SDK does not go back to loops of its own once `judge` has had one.
    """
    monkeypatch.setattr("pulumi.log.warn", lambda _: None)
    whole = [each for each in map(_whole, [*finds.known(), *collected(WHOLE, configs(), lambda args: args)]) if each[1]]
    made = {api.asked(each): args for args, registered_of_it in whole for each in registered_of_it}
    refused = {question: (made[question], against) for question, against in api.against(made).items() if against}
    assert not refused, finds.remember(args for args, _ in refused.values()) + str(refused)
    assert len(whole) > WHOLE / 6


def _whole(args: Given) -> tuple[Given, list[Object]]:
    """Nothing of what brings an object whose content no recording engine has."""
    brought = {"tls_secret", "users_secret", "s3_secret"} & args.keys()
    return args, registered(args) if _is_taken(args) and not brought else []


def _is_taken(args: Given) -> bool:
    """By the rules alone: a refused component would leave the engine with something to wait for."""
    whole: Given = {**DEFAULTS, **args}
    try:
        for key, value in args.items():
            INPUTS[key].rule(value)
        check_combinations(whole)
        for rule, keys in CROSS_FIELD_RULES.items():
            if all(key in whole for key in keys):
                rule(*(whole[key] for key in keys))
    except InvalidInput:
        return False
    return True


def test_a_configuration_that_is_taken_is_taken_later_and_one_that_is_refused_would_not_be(
    api: ApiServer, go: Path, judge: Callable[[Given], Judged], tmp_path: Path, figures: Callable[[str], None]
) -> None:
    cases = [_case(each, api) for each in [*map(judge, finds.known()), *collected(CONFIGS, configs(), judge)]]
    _compare(cases, api, go, tmp_path, figures)


REAL: dict[str, Given] = {
    "guide": {"certificate_subject": {"country": "FR", "locality": "Nice", "organizational_unit": "R&D"}},
    "rsa": {"certificate_key": "RSA-2048", "hostname": "a" * 60 + ".com"},
    "names": {"certificate_key": "P-384", "certificate_names": ["*.example.com", "10.0.0.7", "2001:db8::7"]},
    "short": {"certificate_days": 1, "renew_before_days": 0, "ca_days": 794},
    "long": {"certificate_days": 397, "ca_days": 7300, "hostname": "xn--rgistre-bya.example.com"},
    "odd": {"certificate_subject": {"organization": "Société Générale, S.A. + *", "province": "\u65e5\u672c" * 64}},
    "rotated": {"ca_generations": [2, 1], "hostname": "b" * 60 + ".com"},
    "brought": {"ca_certificate": AUTHORITY.pem, "ca_key": AUTHORITY.key_pem},
}

PROGRAM = """
import json, os, pathlib
os.environ.pop("KUBECONFIG", None)  # a provider that renders files takes none
import pulumi, pulumi_kubernetes as kubernetes
from registry.context import Context
from registry.exposure import resolve_endpoint
from registry.inputs.resolve import resolve
from registry.tls import CertificateAuthority

files = kubernetes.Provider("files", render_yaml_to_directory="rendered")
for name, args in json.loads(pathlib.Path("cases.json").read_text()).items():
    settings = resolve(args)
    names = settings.tls.certificate_names
    endpoint = resolve_endpoint("docker-registry", "docker-registry", settings.exposure, names)
    parent = pulumi.ComponentResource("test:index:Parent", name, {}, pulumi.ResourceOptions(providers=[files]))
    ctx = Context(name, "docker-registry", {}, {}, {}, {}, parent, name)
    authority = CertificateAuthority(ctx, settings.tls, endpoint.hosts)
    authority.issue(endpoint.hosts, after=[])
    pulumi.export(name, {"ca": authority.ca_pem, "hosts": endpoint.hosts})
"""


def test_what_the_provider_makes_is_what_these_tests_judge(
    project: Callable[[str, str], Project], go: Path, tmp_path: Path
) -> None:
    """A handful of real certificates, and their requests, beside the thousands that are made like them."""
    made = project("certificates", PROGRAM)
    (made.folder / "cases.json").write_text(json.dumps(REAL))
    outputs = made.up()
    shown = []
    for file in (made.folder / "rendered").rglob("*secret*.yaml"):
        secret = yaml.safe_load(file.read_text())
        told = outputs[secret["metadata"]["namespace"]]
        data = {key: b64decode(value).decode() for key, value in secret["data"].items()}
        typed = tuple(host.replace("*", "any") for host in told["hosts"])
        shown.append(Shown(data["tls.crt"], data["tls.key"], told["ca"], typed))
    assert len(shown) == len(REAL)
    assert [each for each in against_by_go(go, shown) if each] == []
    assert [each for each in (against_by_python(each, tmp_path) for each in shown) if each] == []
    assert [each for each in (against_by_openssl(each, tmp_path) for each in shown) if each] == []
    state = json.loads(made.pulumi("stack", "export"))["deployment"]["resources"]
    requests = [each["outputs"]["certRequestPem"] for each in state if each["type"].endswith(":CertRequest")]
    assert len(requests) == len(REAL)
    for request in requests:
        done = subprocess.run(
            ["openssl", "req", "-verify", "-noout"], input=request, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def _case(judged: Judged, api: ApiServer) -> Case:
    """All of a configuration that is taken; of another one, what the refused input would make of a right one."""
    if not judged.key:
        return Case(judged, tuple(map(api.asked, objects(judged.given))), certificate_of(judged.given))
    if judged.key not in JUDGED or judged.code in ONLY_OURS:
        return Case(judged)
    several = judged.code == "more-than-limit"
    alone = {
        key: judged.given[key] for key in (("requests", "limits") if several else (judged.key,)) if key in judged.given
    }
    try:
        args = {**with_choice(judged.key), **alone}
        return Case(judged, tuple(map(api.asked, objects(args))), certificate_of(args))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return Case(judged, None)


def _compare(
    cases: Sequence[Case], api: ApiServer | None, go: Path, folder: Path, figures: Callable[[str], None]
) -> None:
    """Fail with every case in which the two differ, and say what was compared."""
    objects_asked = api.against(each for case in cases for each in case.questions or ()) if api else {}
    certificates = _against_certificates(list(dict.fromkeys(each.shown for each in cases if each.shown)), go, folder)
    wrong: list[Given] = []
    taken_wrongly, refused_wrongly, later = [], [], 0
    for judged, questions, shown in cases:
        answers = [objects_asked[each] for each in questions or ()] + ([certificates[shown]] if shown else [])
        against = "no shape" if questions is None else next(filter(None, answers), "")
        later += bool(judged.key and against)
        if against and not judged.key:
            taken_wrongly.append(f"{judged.given}: {against}")
            wrong.append(judged.given)
        if judged.key and answers and not against and not _is_stricter(judged):
            refused_wrongly.append(f"{judged}")
            wrong.append(judged.given)
    figures(_report([each.judged for each in cases], len(objects_asked), len(certificates), later))
    told = finds.remember(wrong) if api and wrong else ""
    assert not taken_wrongly, told + _some(taken_wrongly)
    assert not refused_wrongly, told + _some(refused_wrongly)


def _is_stricter(judged: Judged) -> bool:
    return (judged.key, judged.code) in STRICTER


def _some(wrong: Sequence[str]) -> str:
    return "\n".join([f"{len(wrong)}:", *(each[:1000] for each in wrong[:20])])


def _against_certificates(shown: Sequence[Shown], go: Path, folder: Path) -> dict[Shown, str]:
    """Go's word on all, Python's on all, that of OpenSSL's own command on some."""
    by_go = dict(zip(shown, against_by_go(go, shown), strict=True))
    by_python = {each: against_by_python(each, folder) for each in shown}
    by_openssl = {
        each: against_by_openssl(each, folder) for each in random.Random(SEED).sample(list(shown), min(60, len(shown)))
    }
    return {each: by_go[each] or by_python[each] or by_openssl.get(each, "") for each in shown}


def _report(judged: Sequence[Judged], asked_of_api: int, certificates: int, later: int) -> str:
    refused = Counter(f"{each.key}: {each.code}" for each in judged if each.key)
    taken = len(judged) - refused.total()
    return (
        f"seed {SEED}: {len(judged)} examples, {taken} taken, {refused.total()} refused by {len(refused)} rules, "
        f"{later} of them by the API server, Go or OpenSSL too; {asked_of_api} objects and {certificates} certificates"
    )


def test_a_certificate_of_somebody_else_is_taken_if_every_client_takes_it(
    go: Path, tmp_path: Path, figures: Callable[[str], None]
) -> None:
    cases = collected(SERVED, foreign_certificates(), _foreign("tls_secret"))
    _compare(cases, None, go, tmp_path, figures)


def test_an_authority_of_somebody_else_is_taken_if_every_client_takes_what_it_signs(
    go: Path, tmp_path: Path, figures: Callable[[str], None]
) -> None:
    cases = collected(AUTHORITIES, foreign_authorities(), _foreign("ca_certificate"))
    _compare(cases, None, go, tmp_path, figures)


def _foreign(key: str) -> Callable[[Foreign], Case]:
    def judge(found: Foreign) -> Case:
        try:
            found.rule()
        except InvalidInput as refusal:
            return Case(Judged(found.what, *_told(refusal)), (), found.shown)
        return Case(Judged(found.what), (), found.shown)

    return judge
