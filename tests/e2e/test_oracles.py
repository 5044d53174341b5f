"""What is taken here is taken later: ten thousand inputs, judged by the rules and by those who judge in the end.

A rule that lets something pass which the API server, Go or OpenSSL refuse is a mistake, and so is one that refuses what
they all take, unless it stands in CAUTION with its reason.
"""

import asyncio
import json
import os
import random
import re
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

from registry.inputs.resolve import resolve
from registry.inputs.table import DEFAULTS, INPUTS
from registry.validation import InvalidInput, contradictions, pulling
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

CHOICES = ("left out", "set when", "set beside", "false with", "a setting of", "known before", "of one of `users`")
"""How rules begin of which nobody else knows: they are about what means nothing, which nobody refuses later."""

CAUTION: dict[tuple[str, str], str] = {
    # key, how the rule begins: why it is stricter than all who judge later
    ("namespace", "one of the registry's own"): "`pulumi destroy` would delete it",
    ("labels", "keys of your own"): "the component's own labels would be lost",
    ("labels", "at most"): "a dry run does not store, and etcd has a limit",
    ("annotations", "keys of your own"): "the provider's own annotations would be lost",
    ("annotations", "valid Unicode"): "the API server puts another character in its place",
    ("annotations", "at most"): "the component's own need room",
    ("node_label", "a label of your own"): "the label goes with the stack, and Kubernetes needs it",
    ("node_label", "key=value"): "without a value it is more likely forgotten than meant",
    ("node_port", "a port from"): "a dry run allots no port, so it does not look at the range",
    ("external_ips", "addresses that other hosts can reach"): "it takes 239.0.0.0/8 and class E, where no host answers",
    ("external_ips", "addresses of one family"): "on a cluster of one family the others go nowhere",
    ("external_ips", "at most"): "each is a SAN and a Lease",
    ("external_ips", "distinct addresses"): "two Leases of one name",
    (
        "load_balancer_address",
        "IP addresses in full",
    ): "it takes any text, and load balancers ignore what is no address",
    ("load_balancer_address", "addresses"): "as with external IPs",
    ("client_cidrs", "a list without repetition"): "a slip",
    ("client_cidrs", "at most"): "an Ingress has them in one annotation",
    ("storage_path", "a folder of the registry's own"): "the node's own files lie there",
    ("storage_path", "on lasting storage"): "what lies in tmp is cleared",
    ("storage_path", "absolute"): "the kubelet refuses it, or reads it as another folder",
    ("storage_path", "a path without"): "the container engine takes : for the end of the path",
    ("storage_path", "folders of at most"): "the kernel refuses it",
    ("storage_size", "a Kubernetes quantity"): "signs, exponents and 1. are spellings that nobody means",
    ("storage_size", "whole bytes"): "less than 1Mi is a forgotten suffix",
    ("storage_size", "text"): "a number without a suffix is a forgotten one",
    ("requests", "a Kubernetes quantity"): "as with `storage_size`",
    ("requests", "an amount"): "no registry runs with it",
    ("requests", "text"): "as with `storage_size`",
    ("limits", "a Kubernetes quantity"): "as with `storage_size`",
    ("limits", "an amount"): "no registry runs with it",
    ("limits", "text"): "as with `storage_size`",
    ("image", "an image reference"): "the API server takes any text, and the kubelet says InvalidImageName later",
    ("image", "pinned"): "`latest` is another registry tomorrow",
    ("image_pull_policy", "one of"): "the API server takes none for its own default",
    ("hostname", "a DNS name in lower case"): "the common name holds 64 characters (X.520)",
    ("hostname", "a name, not an address"): "1.2.3 is an address to some clients and a name to others",
    ("certificate_names", "DNS names"): "what clients do not match, or match in other letters only",
    ("certificate_names", "addresses of four numbers"): "as with `hostname`",
    ("certificate_names", "addresses as a certificate holds them"): "some clients compare 4 bytes with 16",
    ("certificate_names", "a list"): "a slip",
    ("certificate_names", "distinct addresses"): "a slip",
    ("certificate_names", "at most"): "OpenSSL reads 100 KiB of a chain",
    ("certificate_subject", "1 to"): "RFC 5280, appendix A.1, which these clients do not look at",
    ("certificate_subject", "two capital letters"): "ISO 3166, as above",
    ("certificate_days", "a whole number"): "browsers and Apple refuse longer ones, and days come in whole ones",
    ("ca_days", "a whole number"): "a CA that a leaf outlives has to be renewed with it",
    ("certificate_key", "one of"): "the component names the kinds; Docker and Apple do not take all others",
    ("tls_secret", "ECDSA P-256"): "Apple's clients take no other, and browsers none but these",
    ("ca_certificate", "ECDSA P-256"): "as above",
    ("ca_key", "ECDSA P-256"): "as above",
    ("ca_certificate", "valid longer than the leaf"): "it is, today",
    ("ca_certificate", "a chain"): "these clients put it in order, others do not (RFC 5246, 7.4.2)",
    ("tls_secret", "a chain"): "as above",
    ("tls_secret", "a CA: a subject"): "a self-signed one is taken without the identifier, which all others need",
    ("tls_secret", "a server's certificate"): "TLS 1.3 signs, and NSS and GnuTLS look whether it may",
    ("tls_secret", "a certificate with a subject"): "of a self-signed one, by which people find it among their CAs",
    ("ca_certificate", "a CA without name constraints"): "the hosts inside the cluster are seldom among the permitted",
    ("tls_secret", "a CA without name constraints"): "as above",
}
"""What is refused though the API server, Go and OpenSSL would take it."""


class Judged(NamedTuple):
    """What was judged, and the key and the rule that refused it, if any did."""

    given: Any
    key: str = ""
    rule: str = ""


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
    """Key and rule. An error of another kind is the rule's own mistake."""
    assert isinstance(refusal, InvalidInput), repr(refusal)
    found = re.match(r"`([a-z0-9_]+)[^`]*` must be (.*?), got ", str(refusal), re.DOTALL)
    return (found[1], found[2]) if found else ("", str(refusal))


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
        contradictions.refuse_idle(whole, DEFAULTS)
        contradictions.refuse_missing(whole, DEFAULTS)
        contradictions.refuse_unshared_replicas(whole)
        pulling.refuse_own_namespace(whole)
        for rule, keys in TOGETHER.items():
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
from registry.certificate import Certificate
from registry.exposure import address
from registry.metadata import Metadata
from registry.settings import settled

files = kubernetes.Provider("files", render_yaml_to_directory="rendered")
for name, args in json.loads(pathlib.Path("cases.json").read_text()).items():
    given = resolve(args)
    reached = address("docker-registry", given)
    of, opts = Metadata({}, {}, {}, name), pulumi.ResourceOptions(provider=files)
    made = Certificate(name, given, reached.host, reached.hosts, of, opts)
    made.serve()
    pulumi.export(name, {"ca": made.ca_pem, "hosts": reached.hosts})
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
    if judged.key not in JUDGED or judged.rule.startswith(CHOICES):
        return Case(judged)
    several = judged.rule.startswith("at most `limits.")
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
        if judged.key and answers and not against and not _is_caution(judged):
            refused_wrongly.append(f"{judged}")
            wrong.append(judged.given)
    figures(_report([each.judged for each in cases], len(objects_asked), len(certificates), later))
    told = finds.remember(wrong) if api and wrong else ""
    assert not taken_wrongly, told + _some(taken_wrongly)
    assert not refused_wrongly, told + _some(refused_wrongly)


def _is_caution(judged: Judged) -> bool:
    return any(judged.key == key and judged.rule.startswith(rule) for key, rule in CAUTION)


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
    refused = Counter(f"{each.key}: {each.rule}"[:70] for each in judged if each.key)
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
