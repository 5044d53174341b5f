"""Compare the rules with judges, for thousands of inputs: the API server, Go, OpenSSL and Python.

If a rule accepts an input that a judge refuses, the rule is wrong. If a rule refuses an input that all judges accept,
STRICTER needs a reason. The judges need a cluster, Go and OpenSSL.
"""

import asyncio
import json
import random
import subprocess
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
import yaml
from pulumi.runtime.settings import SETTINGS

from registry.inputs.resolve import resolve
from registry.inputs.table import INPUTS
from registry.validation import InvalidInput
from tests.conftest import Engine
from tests.e2e import counterexamples
from tests.e2e.api_objects import api_objects, registered_objects, required_choice
from tests.e2e.configs import AUTHORITY, JUDGED_INPUTS, Inputs, configs
from tests.e2e.drawing import SEED, draw_examples
from tests.e2e.lab import SOAK, Lab, Project
from tests.e2e.oracles import (
    ApiServer,
    Object,
    build_go_verifier,
    go_objections,
)
from tests.e2e.served_chains import ExternalChain, component_chain, external_authorities, external_certificates
from tests.examples import accepts
from tests.file_variants import list_key_files
from tests.tls_clients import ServedChain, openssl_objection, python_objection

pytestmark = [pytest.mark.e2e, pytest.mark.together]

CONFIG_COUNT, CERTIFICATE_COUNT, CA_COUNT, COMPONENT_COUNT = (8000, 1300, 700, 250) if SOAK else (400, 100, 60, 40)
"""Numbers of examples of each kind."""

UNJUDGED_CODES = (
    *("no-effect", "replaced", "missing", "namespace-is-new", "unknown-key", "output-not-allowed", "unknown-user"),
    *("password-is-chosen", "family-of-clients"),
)
"""Codes of rules about several inputs, which no judge checks."""

STRICTER: dict[tuple[str, str], str] = {
    # key, code: reason why the rule is stricter than every judge
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
    ("port", "port-of-node"): "the API server accepts it, and the node loses its own connections",
    ("tolerations", "too-many"): "the API server has no limit below the size of an object",
    ("tolerations", "unknown-key"): "the API server may ignore unknown fields",
    ("image", "not-an-image"): "the API server accepts any text, and the kubelet reports InvalidImageName later",
    ("image", "not-pinned"): "`latest` is another registry tomorrow",
    ("image_pull_policy", "not-a-choice"): "the API server replaces an empty text by its own default",
    ("hostname", "not-a-dns-name"): "a common name has 64 characters (X.520)",
    ("hostname", "loopback"): "it is each client itself",
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
    ("tls_secret", "not-a-chain"): "these clients reorder it, and others do not (RFC 5246, 7.4.2)",
    ("tls_secret", "not-a-ca"): "these clients accept a self-signed one without the identifier",
    ("tls_secret", "not-for-servers"): "TLS 1.3 signs, and NSS and GnuTLS check the usage",
    ("tls_secret", "subject-missing"): "people find a self-signed one among their CAs by its subject",
    ("ca_certificate", "name-constraints"): "the hosts inside the cluster are seldom permitted",
    ("tls_secret", "name-constraints"): "as above",
}
"""Reasons for refusals of inputs that all judges accept."""


class Verdict(NamedTuple):
    """The rules' verdict on an example: key and code of the refusal, or "" if it was accepted."""

    example: Any
    key: str = ""
    code: str = ""


class Case(NamedTuple):
    """A verdict with the questions for the judges. `questions` is None if the example cannot become an object."""

    verdict: Verdict
    questions: tuple[str, ...] | None = ()
    chain: ServedChain | None = None


@pytest.fixture(scope="session")
def api(lab: Lab) -> ApiServer:
    return ApiServer(lab.api)


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_go_verifier(tmp_path_factory.mktemp("go"))


@pytest.fixture
def apply_rules(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Inputs], Verdict]]:
    """Yield a function that applies all rules to a configuration, also those for Outputs, without warnings."""
    monkeypatch.setattr("pulumi.log.warn", lambda _: None)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    def apply(args: Inputs) -> Verdict:
        refusal: BaseException | None = None
        try:
            resolve(cast(Any, args))
        except InvalidInput as error:
            refusal = error
        while tasks := asyncio.all_tasks(loop):
            results = loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            refusal = refusal or next((each for each in results if isinstance(each, BaseException)), None)
        return Verdict(args, *_key_and_code(refusal)) if refusal else Verdict(args)

    yield apply
    SETTINGS.outputs.clear()  # refused Outputs would wait there for the end of the program
    loop.close()
    asyncio.set_event_loop(None)


def _key_and_code(refusal: BaseException) -> tuple[str, str]:
    """Return key and code of a refusal. An error of another class is a mistake in a rule."""
    assert isinstance(refusal, InvalidInput), repr(refusal)
    return refusal.key.partition(".")[0], refusal.code


def test_the_api_server_accepts_the_objects_of_the_component(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The component takes a hundred times longer than the rules, so it gets fewer configurations."""
    monkeypatch.setattr("pulumi.log.warn", lambda _: None)
    examples = [*counterexamples.read_all(), *draw_examples(COMPONENT_COUNT, configs(), lambda args: args)]
    accepted = [(args, objects) for args, objects in map(_component_objects, examples) if objects]
    config_of = {api.question(item): args for args, objects in accepted for item in objects}
    answers = api.objections(config_of)
    objections = {question: (config_of[question], objection) for question, objection in answers.items() if objection}
    assert not objections, counterexamples.add(args for args, _ in objections.values()) + str(objections)
    assert len(accepted) > COMPONENT_COUNT / 6


def _component_objects(args: Inputs) -> tuple[Inputs, list[Object]]:
    """Return the configuration with its objects, or with none if it is refused or needs the content of a Secret."""
    external = {"tls_secret", "users_secret", "s3_secret"} & args.keys()
    return args, registered_objects(args) if accepts(args) and not external else []


def test_the_rules_accept_a_configuration_exactly_if_the_judges_do(
    api: ApiServer, go: Path, apply_rules: Callable[[Inputs], Verdict], tmp_path: Path, figures: Callable[[str], None]
) -> None:
    verdicts = [*map(apply_rules, counterexamples.read_all()), *draw_examples(CONFIG_COUNT, configs(), apply_rules)]
    cases = [_case_of(verdict, api) for verdict in verdicts]
    _compare_with_judges(cases, api, go, tmp_path, figures)


REAL_CONFIGS: dict[str, Inputs] = {
    "guide": {"certificate_subject": {"country": "FR", "locality": "Nice", "organizational_unit": "R&D"}},
    "rsa": {"certificate_key": "RSA-2048", "hostname": "a" * 60 + ".com"},
    "names": {"certificate_key": "P-384", "certificate_names": ["*.example.com", "10.0.0.7", "2001:db8::7"]},
    "short": {"certificate_days": 1, "renew_before_days": 0, "ca_days": 794},
    "long": {"certificate_days": 397, "ca_days": 7300, "hostname": "xn--rgistre-bya.example.com"},
    "odd": {"certificate_subject": {"organization": "Société Générale, S.A. + *", "province": "\u65e5\u672c" * 64}},
    "rotated": {"ca_generations": [2, 1], "hostname": "b" * 60 + ".com"},
    "supplied": {"ca_certificate": AUTHORITY.pem, "ca_key": AUTHORITY.key_pem},
    **{
        f"spelled-{number}": {"ca_certificate": AUTHORITY.pem, "ca_key": f"\ufeff{file}".replace("\n", "\r\n")}
        for number, file in enumerate(list_key_files(AUTHORITY.key, AUTHORITY.pem))
    },
}
"""Configurations for the real provider, which reads the key of a given CA."""

PROGRAM = """
import json, os, pathlib
os.environ.pop("KUBECONFIG", None)  # a provider that renders files must not have one
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


def test_clients_accept_the_certificates_of_the_real_provider(
    create_project: Callable[[str, str], Project], go: Path, tmp_path: Path
) -> None:
    """The other tests issue certificates that are like those of the provider. This test checks a few of its own."""
    project = create_project("certificates", PROGRAM)
    (project.folder / "cases.json").write_text(json.dumps(REAL_CONFIGS))
    outputs = project.up()
    chains = []
    for file in (project.folder / "rendered").rglob("*secret*.yaml"):
        secret = yaml.safe_load(file.read_text())
        exported = outputs[secret["metadata"]["namespace"]]
        data = {key: b64decode(value).decode() for key, value in secret["data"].items()}
        hosts = tuple(host.replace("*", "any") for host in exported["hosts"])
        chains.append(ServedChain(data["tls.crt"], data["tls.key"], exported["ca"], hosts))
    assert len(chains) == len(REAL_CONFIGS)
    assert [each for each in go_objections(go, chains) if each] == []
    assert [each for each in (python_objection(each, tmp_path) for each in chains) if each] == []
    assert [each for each in (openssl_objection(each, tmp_path) for each in chains) if each] == []
    state = json.loads(project.pulumi("stack", "export"))["deployment"]["resources"]
    requests = [each["outputs"]["certRequestPem"] for each in state if each["type"].endswith(":CertRequest")]
    assert len(requests) == len(REAL_CONFIGS)
    for request in requests:
        done = subprocess.run(
            ["openssl", "req", "-verify", "-noout"], input=request, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def _case_of(verdict: Verdict, api: ApiServer) -> Case:
    """Return the case of a verdict. A refused input is judged without the other inputs, except those that it needs."""
    if not verdict.key:
        # A rule may convert a value, such as the number of an annotation.
        accepted = {key: INPUTS[key].rule(value) for key, value in verdict.example.items()}
        return Case(verdict, tuple(map(api.question, api_objects(accepted))), component_chain(accepted))
    if verdict.key not in JUDGED_INPUTS or verdict.code in UNJUDGED_CODES:
        return Case(verdict)
    keys = ("requests", "limits") if verdict.code == "more-than-limit" else (verdict.key,)
    inputs = {key: verdict.example[key] for key in keys if key in verdict.example}
    try:
        args = {**required_choice(verdict.key), **inputs}
        return Case(verdict, tuple(map(api.question, api_objects(args))), component_chain(args))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return Case(verdict, None)


def _compare_with_judges(
    cases: Sequence[Case], api: ApiServer | None, go: Path, folder: Path, figures: Callable[[str], None]
) -> None:
    """Fail with all differences between rules and judges, and record the numbers as a figure."""
    api_objections = api.objections(each for case in cases for each in case.questions or ()) if api else {}
    chain_objections = _chain_objections(list(dict.fromkeys(each.chain for each in cases if each.chain)), go, folder)
    disagreements: list[Inputs] = []
    wrongly_accepted, wrongly_refused, confirmed = [], [], 0
    for verdict, questions, chain in cases:
        answers = [api_objections[each] for each in questions or ()] + ([chain_objections[chain]] if chain else [])
        objection = "not an object" if questions is None else next(filter(None, answers), "")
        confirmed += bool(verdict.key and objection)
        if objection and not verdict.key:
            wrongly_accepted.append(f"{verdict.example}: {objection}")
            disagreements.append(verdict.example)
        if verdict.key and answers and not objection and not _is_stricter(verdict):
            wrongly_refused.append(f"{verdict}")
            disagreements.append(verdict.example)
    figures(_report([case.verdict for case in cases], len(api_objections), len(chain_objections), confirmed))
    hint = counterexamples.add(disagreements) if api and disagreements else ""
    assert not wrongly_accepted, hint + _first_lines(wrongly_accepted)
    assert not wrongly_refused, hint + _first_lines(wrongly_refused)


def _is_stricter(verdict: Verdict) -> bool:
    return (verdict.key, verdict.code) in STRICTER


def _first_lines(disagreements: Sequence[str]) -> str:
    return "\n".join([f"{len(disagreements)}:", *(each[:1000] for each in disagreements[:20])])


def _chain_objections(chains: Sequence[ServedChain], go: Path, folder: Path) -> dict[ServedChain, str]:
    """Return an objection to each chain, by Go, Python, and for some chains the OpenSSL command."""
    by_go = dict(zip(chains, go_objections(go, chains), strict=True))
    by_python = {chain: python_objection(chain, folder) for chain in chains}
    sample = random.Random(SEED).sample(list(chains), min(60, len(chains)))
    by_openssl = {chain: openssl_objection(chain, folder) for chain in sample}
    return {chain: by_go[chain] or by_python[chain] or by_openssl.get(chain, "") for chain in chains}


def _report(verdicts: Sequence[Verdict], object_count: int, chain_count: int, confirmed: int) -> str:
    refused = Counter(f"{verdict.key}: {verdict.code}" for verdict in verdicts if verdict.key)
    accepted = len(verdicts) - refused.total()
    return (
        f"seed {SEED}: {len(verdicts)} examples, {accepted} accepted, {refused.total()} refused "
        f"by {len(refused)} rules, {confirmed} of these also by a judge, {object_count} objects and "
        f"{chain_count} chains judged"
    )


def test_the_rules_accept_a_supplied_certificate_if_every_client_does(
    go: Path, tmp_path: Path, figures: Callable[[str], None]
) -> None:
    cases = draw_examples(CERTIFICATE_COUNT, external_certificates(), _apply_rule_of("tls_secret"))
    _compare_with_judges(cases, None, go, tmp_path, figures)


def test_the_rules_accept_a_supplied_ca_if_clients_accept_its_certificates(
    go: Path, tmp_path: Path, figures: Callable[[str], None]
) -> None:
    cases = draw_examples(CA_COUNT, external_authorities(), _apply_rule_of("ca_certificate"))
    _compare_with_judges(cases, None, go, tmp_path, figures)


def _apply_rule_of(key: str) -> Callable[[ExternalChain], Case]:
    def apply_rules(external: ExternalChain) -> Case:
        try:
            served = external.rule()
        except InvalidInput as refusal:
            return Case(Verdict(external.description, *_key_and_code(refusal)), (), external.served)
        return Case(Verdict(external.description), (), served)

    return apply_rules
