"""Compare the rules with judges, for thousands of inputs: the API server, Go, OpenSSL and Python.

If a rule accepts an input that a judge refuses, the rule is wrong. If a rule refuses an input that all judges accept,
STRICTER must have a reason. No offline test can show this, because the judges need a cluster and Go's compiler.
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
    "no-effect",
    "replaced",
    "missing",
    "namespace-is-new",
    "unknown-key",
    "output-not-allowed",
    "unknown-user",
    "password-is-chosen",
    "family-of-clients",
)
"""Codes of rules that are not about the value of one input, so no judge can check them."""

STRICTER: dict[tuple[str, str], str] = {
    ("namespace", "belongs-to-the-cluster"): "`pulumi destroy` would delete a namespace of the cluster",
    ("labels", "reserved-key"): "the component's own labels would be lost",
    ("labels", "too-many"): "etcd limits the size of an object, and a dry run stores none",
    ("annotations", "reserved-key"): "the provider's own annotations would be lost",
    ("annotations", "not-unicode"): "the API server replaces the character",
    ("annotations", "too-long"): "the component's own annotations need space",
    ("node_label", "reserved-key"): "Kubernetes needs the label, and `pulumi destroy` would remove it",
    ("node_label", "not-key=value"): "the value is probably forgotten",
    ("node_port", "out-of-range"): "a dry run allocates no port, so the API server does not check the range",
    ("external_ips", "unreachable-address"): "the API server accepts 239.0.0.0/8 and 240.0.0.0/4, which no host has",
    ("external_ips", "mixed-families"): "a cluster with one IP family does not forward the other one",
    ("external_ips", "too-many"): "each address needs a SAN in the certificate and a Lease",
    ("external_ips", "repeated"): "the two Leases would have one name",
    ("load_balancer_address", "not-an-address"): "the API server accepts any text, which load balancers ignore",
    ("load_balancer_address", "unreachable-address"): "as for `external_ips`",
    ("load_balancer_address", "address-form"): "only one form of an address can be compared as text",
    ("client_cidrs", "clients-hidden"): "the API server does not know that a Gateway hides the addresses of clients",
    ("client_cidrs", "repeated"): "probably a mistake",
    ("client_cidrs", "too-many"): "an Ingress has all networks in one annotation",
    ("storage_path", "folder-of-the-node"): "the folder has files of the node itself",
    ("storage_path", "temporary-folder"): "nodes clear folders with the name tmp",
    ("storage_path", "not-an-absolute-path"): "the kubelet refuses it later, or reads it as another folder",
    ("storage_path", "path-characters"): "the container engine ends the path at a colon",
    ("storage_path", "too-long"): "the kernel of the node refuses it later",
    ("storage_size", "not-a-quantity"): "signs, exponents and `1.` are probably mistakes",
    ("storage_size", "out-of-range"): "for less than 1Mi, a suffix is probably forgotten",
    ("storage_size", "not-text"): "for a number, a suffix is probably forgotten",
    ("requests", "not-a-quantity"): "as for `storage_size`",
    ("requests", "not-an-amount"): "no registry can run with so little",
    ("requests", "not-text"): "as for `storage_size`",
    ("limits", "not-a-quantity"): "as for `storage_size`",
    ("limits", "not-an-amount"): "no registry can run with so little",
    ("limits", "not-text"): "as for `storage_size`",
    ("port", "port-of-node"): "the Service would capture the node's own connections to the API server",
    ("tolerations", "too-many"): "the API server limits only the size of the whole object",
    ("tolerations", "unknown-key"): "the API server may ignore unknown fields",
    ("image", "not-an-image"): "the API server accepts any text. The kubelet reports InvalidImageName later",
    ("image", "not-pinned"): "`latest` may be another version at each start of the Pod",
    ("image_pull_policy", "not-a-choice"): "the API server replaces an empty text with its own default",
    ("hostname", "not-a-dns-name"): "X.520 limits a common name to 64 characters, which the judges do not check",
    ("hostname", "loopback"): "it is the address of the client itself",
    ("hostname", "is-an-address"): "some clients take 1.2.3 for an address, and others for a name",
    ("certificate_names", "not-a-dns-name"): "some clients do not accept it, or only in lower case",
    ("certificate_names", "incomplete-address"): "as for `hostname`",
    (
        "certificate_names",
        "address-form",
    ): "some clients compare the 4 bytes of IPv4 with the 16 bytes of its IPv6 form",
    ("certificate_names", "not-a-list"): "probably a mistake",
    ("certificate_names", "repeated"): "probably a mistake",
    ("certificate_names", "too-many"): "OpenSSL refuses chains of more than 100 KiB",
    (
        "certificate_subject",
        "not-a-subject-field",
    ): "RFC 5280, appendix A.1, limits its fields. The judges do not check this",
    ("certificate_subject", "not-a-country"): "it must be a code of ISO 3166. The judges do not check this",
    (
        "certificate_days",
        "out-of-range",
    ): "browsers and Apple's clients refuse longer lifetimes, and a lifetime is a whole number of days",
    ("ca_days", "out-of-range"): "a CA must not expire before the certificates that it issues",
    ("certificate_key", "not-a-choice"): "the component offers only kinds that Docker and Apple's clients accept",
    ("tls_secret", "unsupported-key"): "Apple's clients and browsers refuse it",
    ("ca_certificate", "unsupported-key"): "as for `tls_secret`",
    ("ca_key", "unsupported-key"): "as for `tls_secret`",
    ("tls_secret", "not-a-chain"): "the judges reorder a chain, and other clients do not (RFC 5246, 7.4.2)",
    ("tls_secret", "not-a-ca"): "the judges accept a self-signed certificate without the identifier of its key",
    ("tls_secret", "not-for-servers"): "a server signs in TLS 1.3, and NSS and GnuTLS check the key usage for that",
    ("tls_secret", "subject-missing"): "people find a self-signed certificate among their CAs by its subject",
    ("ca_certificate", "name-constraints"): "they seldom permit the names of the Service inside the cluster",
    ("tls_secret", "name-constraints"): "as for `ca_certificate`",
}
"""Reason why a rule refuses inputs that all judges accept, by key and code of the refusal."""


class Verdict(NamedTuple):
    """The result of the rules for an example: key and code of the refusal, or "" if the rules accept it."""

    example: Any
    key: str = ""
    code: str = ""


class Case(NamedTuple):
    """A verdict with the questions to the judges about the same example.

    Attributes:
        verdict: The verdict.
        questions: Requests for the API server, or None if no object can be built from the example.
        chain: A chain for the TLS clients, or None if the user supplies the chain.
    """

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
    """Yield a function that applies all rules to a configuration, also the rules for Outputs, without warnings."""
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
    """Return key and code of a refusal. Fail for an error of another class, which is a mistake in a rule."""
    assert isinstance(refusal, InvalidInput), repr(refusal)
    return refusal.key.partition(".")[0], refusal.code


def test_the_api_server_accepts_the_objects_of_the_component(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The component takes a hundred times longer than the rules, so this test has fewer configurations."""
    monkeypatch.setattr("pulumi.log.warn", lambda _: None)
    examples = [*counterexamples.read_all(), *draw_examples(COMPONENT_COUNT, configs(), lambda args: args)]
    accepted = [(args, objects) for args, objects in map(_component_objects, examples) if objects]
    config_of = {api.question(item): args for args, objects in accepted for item in objects}
    answers = api.objections(config_of)
    objections = {question: (config_of[question], objection) for question, objection in answers.items() if objection}
    assert not objections, counterexamples.add(args for args, _ in objections.values()) + str(objections)
    assert len(accepted) > COMPONENT_COUNT / 6, "the examples exercise the component"


def _component_objects(args: Inputs) -> tuple[Inputs, list[Object]]:
    """Return the configuration with its objects. They are empty if it is refused or needs an existing Secret."""
    external = {"tls_secret", "users_secret", "s3_secret"} & args.keys()
    return args, registered_objects(args) if accepts(args) and not external else []


def test_the_rules_accept_a_configuration_exactly_if_the_judges_do(
    api: ApiServer, go: Path, apply_rules: Callable[[Inputs], Verdict], tmp_path: Path, figures: Callable[[str], None]
) -> None:
    verdicts = [*map(apply_rules, counterexamples.read_all()), *draw_examples(CONFIG_COUNT, configs(), apply_rules)]
    cases = [_case_of(verdict, api) for verdict in verdicts]
    _compare_with_judges(cases, api, go, tmp_path, figures)


PROVIDER_CONFIGS: dict[str, Inputs] = {
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
"""Configurations for certificates of the real TLS provider, by name. It also reads the key of an existing CA."""

PROGRAM = """
import json, os, pathlib
os.environ.pop("KUBECONFIG", None)  # a provider that renders files must not have one
import pulumi, pulumi_kubernetes as kubernetes
from registry.context import Context
from registry.exposure import resolve_endpoint
from registry.inputs.resolve import resolve
from registry.lookup import FoundObjects
from registry.tls import CertificateAuthority

files = kubernetes.Provider("files", render_yaml_to_directory="rendered")
for name, args in json.loads(pathlib.Path("cases.json").read_text()).items():
    settings = resolve(args)
    nothing = pulumi.Output.from_input(FoundObjects())
    endpoint = resolve_endpoint("docker-registry", "docker-registry", settings.exposure, nothing)
    parent = pulumi.ComponentResource("test:index:Parent", name, {}, pulumi.ResourceOptions(providers=[files]))
    ctx = Context(name, "docker-registry", {}, {}, {}, {}, parent, name)
    authority = CertificateAuthority(ctx, settings.tls, endpoint.hosts)
    authority.issue(endpoint.hosts, after=[])
    pulumi.export(name, {"ca": authority.ca_pem, "hosts": endpoint.hosts})
"""


def test_clients_accept_the_certificates_of_the_real_provider(
    create_project: Callable[[str, str], Project], go: Path, tmp_path: Path
) -> None:
    """The other tests issue certificates like those of the provider. This test checks a few of the provider's own."""
    project = create_project("certificates", PROGRAM)
    (project.folder / "cases.json").write_text(json.dumps(PROVIDER_CONFIGS))
    outputs = project.up()
    chains = []
    for file in (project.folder / "rendered").rglob("*secret*.yaml"):
        secret = yaml.safe_load(file.read_text())
        exported = outputs[secret["metadata"]["namespace"]]
        data = {key: b64decode(value).decode() for key, value in secret["data"].items()}
        hosts = tuple(host.replace("*", "any") for host in exported["hosts"])
        chains.append(ServedChain(data["tls.crt"], data["tls.key"], exported["ca"], hosts))
    assert len(chains) == len(PROVIDER_CONFIGS)
    assert [each for each in go_objections(go, chains) if each] == []
    assert [each for each in (python_objection(each, tmp_path) for each in chains) if each] == []
    assert [each for each in (openssl_objection(each, tmp_path) for each in chains) if each] == []
    state = json.loads(project.pulumi("stack", "export"))["deployment"]["resources"]
    requests = [each["outputs"]["certRequestPem"] for each in state if each["type"].endswith(":CertRequest")]
    assert len(requests) == len(PROVIDER_CONFIGS)
    for request in requests:
        done = subprocess.run(
            ["openssl", "req", "-verify", "-noout"], input=request, capture_output=True, text=True, check=False
        )
        # OpenSSL 3.0 exits with 0 for a wrong signature too.
        assert "verify OK" in done.stderr, done.stderr


def _case_of(verdict: Verdict, api: ApiServer) -> Case:
    """Return the case of a verdict. A refused input is judged alone, or with the inputs that it needs."""
    if not verdict.key:
        # A rule may convert a value, for example a number in an annotation to text.
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
    """Fail if rules and judges differ about a case, and record the numbers of cases as a figure."""
    api_objections = api.objections(each for case in cases for each in case.questions or ()) if api else {}
    chain_objections = _chain_objections(list(dict.fromkeys(each.chain for each in cases if each.chain)), go, folder)
    disagreements: list[Inputs] = []
    wrongly_accepted, wrongly_refused, confirmed = [], [], 0
    for verdict, questions, chain in cases:
        # "" in `answers` is the answer of a judge that accepts the example.
        answers = [api_objections[each] for each in questions or ()] + ([chain_objections[chain]] if chain else [])
        objection = "not an object" if questions is None else next(filter(None, answers), "")
        confirmed += bool(verdict.key and objection)
        if objection and not verdict.key:
            wrongly_accepted.append(f"{verdict.example}: {objection}")
            disagreements.append(verdict.example)
        if verdict.key and answers and not objection and not _is_stricter(verdict):
            wrongly_refused.append(f"{verdict}")
            disagreements.append(verdict.example)
    figures(_figure([case.verdict for case in cases], len(api_objections), len(chain_objections), confirmed))
    hint = counterexamples.add(disagreements) if api and disagreements else ""
    assert not wrongly_accepted, hint + _list_first(wrongly_accepted)
    assert not wrongly_refused, hint + _list_first(wrongly_refused)


def _is_stricter(verdict: Verdict) -> bool:
    return (verdict.key, verdict.code) in STRICTER


def _list_first(disagreements: Sequence[str]) -> str:
    """Return the number of disagreements, and the first 20, for the message of a failure."""
    return "\n".join([f"{len(disagreements)}:", *(each[:1000] for each in disagreements[:20])])


def _chain_objections(chains: Sequence[ServedChain], go: Path, folder: Path) -> dict[ServedChain, str]:
    """Return an objection to each chain. Go and Python judge all chains, and the slow OpenSSL command judges 60."""
    by_go = dict(zip(chains, go_objections(go, chains), strict=True))
    by_python = {chain: python_objection(chain, folder) for chain in chains}
    sample = random.Random(SEED).sample(list(chains), min(60, len(chains)))
    by_openssl = {chain: openssl_objection(chain, folder) for chain in sample}
    return {chain: by_go[chain] or by_python[chain] or by_openssl.get(chain, "") for chain in chains}


def _figure(verdicts: Sequence[Verdict], object_count: int, chain_count: int, confirmed: int) -> str:
    refused = Counter(f"{verdict.key}: {verdict.code}" for verdict in verdicts if verdict.key)
    accepted = len(verdicts) - refused.total()
    return (
        f"seed {SEED}: {len(verdicts)} examples, {accepted} accepted, {refused.total()} refused "
        f"by {len(refused)} rules, {confirmed} of these also by a judge, {object_count} objects and "
        f"{chain_count} chains judged"
    )


def test_the_rules_accept_a_supplied_certificate_exactly_if_the_judges_do(
    go: Path, tmp_path: Path, figures: Callable[[str], None]
) -> None:
    cases = draw_examples(CERTIFICATE_COUNT, external_certificates(), _apply_rule)
    _compare_with_judges(cases, None, go, tmp_path, figures)


def test_the_rules_accept_a_supplied_ca_exactly_if_the_judges_accept_its_certificates(
    go: Path, tmp_path: Path, figures: Callable[[str], None]
) -> None:
    cases = draw_examples(CA_COUNT, external_authorities(), _apply_rule)
    _compare_with_judges(cases, None, go, tmp_path, figures)


def _apply_rule(external: ExternalChain) -> Case:
    """Apply the chain's rule. The judges get the chain that the registry would serve, or a refused chain unchanged."""
    try:
        served = external.rule()
    except InvalidInput as refusal:
        return Case(Verdict(external.description, *_key_and_code(refusal)), (), external.served)
    return Case(Verdict(external.description), (), served)
