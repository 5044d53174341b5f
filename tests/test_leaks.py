"""No secret leaves its place: known ones go in, in every way, and are looked for in all that the engine is told.

Only what `MEANT` names may hold a secret, and there it is marked as one, so that the state keeps it encrypted. A new
place of a secret is a line there.
"""

import json
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from functools import cache
from typing import Any, NamedTuple, cast

import pulumi
import pytest
from pulumi.runtime.config import set_all_config

from registry import PrivateRegistry, redaction
from registry.inputs import table
from registry.inputs.config import args_from
from registry.inputs.resolve import is_structural, resolve
from registry.inputs.table import INPUTS
from registry.users import SALT_LENGTH
from registry.validation import InvalidInput
from registry.validation.pem import validate_server_chain
from registry.validation.secrets import decode_secret_data
from registry.validation.users import htpasswd
from tests import canary
from tests.conftest import SECRET_MARK, Deploy, Engine, StateEntry, attach, capture_log, is_secret, run, to_base64
from tests.issuing import CertificateSpec, issue, server_spec
from tests.test_validation import REFUSED

redaction.redact_debug_log()  # as the program and the plugin do at their start

Given = dict[str, Any]

CA, OTHER = issue(CertificateSpec()), issue(CertificateSpec())
THEIRS = issue(server_spec("docker-registry.docker-registry.svc"), CA)
CHOSEN = {"jean": 'Kd7"é%/+ w\\x9-jean-chose-this', "marie": "marie-chose-Rt5&<>'vQ2"}
GENERATED = {"jean": "generated-4Zt8Qm2Wx6Lc1Vb9Ns", "marie": "generated-7Yh3Rf5Kd0Jg8Pa2Te"}
HTTP_SECRET = "of-http-6Bn1Xc4Mz7Lp9Ok2Ji5Uh8Yg3Tf0Rd4Es1Wa"
S3_SECRET = "of-s3-Gq8Wn3+Zr/5Tb=7Kx1"
MIRROR_PASSWORD = "of-the-mirror-Hj4?Vm&9Cs#2"
KEYS_MADE = {name: issue(CertificateSpec()) for name in ("registry-tls-key", "registry-tls-ca-key")}

MADE: Given = {
    **{f"registry-auth-{user}-password": {"result": password} for user, password in GENERATED.items()},
    "registry-workload-http-secret": {"result": HTTP_SECRET},
    **{name: {"privateKeyPem": made.key_pem, "privateKeyPemPkcs8": made.key_pem} for name, made in KEYS_MADE.items()},
}
"""What the providers make, by the name of the resource."""

THERE: Given = {
    "registry-tls-from-kubectl-get-secrets": {
        "data": {"tls.crt": to_base64(THEIRS.pem + CA.pem), "tls.key": to_base64(THEIRS.key_pem)}
    },
    "registry-auth-from-kubectl-get-secrets": {
        "data": {"registry.password": to_base64(f"jean:$2b$05${'a' * 22}theHashOfSomebodyElse4Vc8Nq2Xw5")}
    },
    "registry-data-from-kubectl-get-secrets": {
        "data": {"access-key": to_base64("AKIA0"), "secret-key": to_base64("of-s3-there-Uy6Bt1Re9Wq4")}
    },
}
"""Secrets that are on the cluster before, by the name they are looked up under."""

USERS: Given = {"users": ["jean", "marie"]}
IN_S3: Given = {"storage": "s3", "s3_bucket": "images", "workload": "deployment", "replicas": 2, "metrics": True}
SECRETS = ("ca_key", "mirror_password", "passwords", "s3_secret_key")
"""Inputs that are secrets. Not taken from the settings, so that one that is forgotten there is missed."""

NO_SECRETS = {
    "certificate_key": "a kind",
    "s3_access_key": "an id",
    "password_generations": "numbers",
    "pull_secrets": "namespaces",
    "default_pull_secret": "yes or no",
    **dict.fromkeys(("tls_secret", "users_secret", "s3_secret", "image_pull_secret"), "the name of a Secret"),
}
"""Inputs that are called like one, and what they are."""

SHAPES: dict[str, Given] = {
    "generated passwords": USERS,
    "passwords for others": USERS | {"pull_secrets": ["builds"], "default_pull_secret": True, "discovery": True},
    "trusted by nodes, being rotated": USERS
    | {"node_trust": True, "ca_generations": [1, 2], "password_generations": {"jean": [2, 1]}},
    "chosen passwords": USERS | {"passwords": CHOSEN},
    "one chosen password": USERS
    | {"passwords": {"marie": CHOSEN["marie"]}, "exposure": "ingress"}
    | {"ingress_class": "nginx"},
    "a CA of their own": USERS | {"ca_certificate": CA.pem, "ca_key": CA.key_pem},
    "S3 with keys": USERS | IN_S3 | {"s3_access_key": "AKIA1", "s3_secret_key": S3_SECRET},
    "a mirror": USERS
    | {"mode": "mirror", "mirror_of": "https://registry.example.com", "upstream_ca": CA.pem}
    | {"mirror_username": "ci", "mirror_password": MIRROR_PASSWORD},
    "existing Secrets": IN_S3
    | {"create_namespace": False, "tls_secret": "theirs", "users_secret": "theirs", "s3_secret": "theirs"},
}
WAYS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda value: value,
    "as an Output": pulumi.Output.from_input,
    "as a secret": pulumi.Output.secret,
}

KNOWN: dict[str, str] = {
    **{f"{user}'s chosen password": password for user, password in CHOSEN.items()},
    **{f"{user}'s generated password": password for user, password in GENERATED.items()},
    **{"http.secret": HTTP_SECRET, "the S3 key": S3_SECRET, "the mirror's password": MIRROR_PASSWORD},
    **{
        "the S3 key that is there": "of-s3-there-Uy6Bt1Re9Wq4",
        "the hash that is there": "theHashOfSomebodyElse4Vc8Nq2Xw5",
    },
    **canary.secrets_of_key("the CA's key", CA.key_pem),
    **canary.secrets_of_key("the key that is there", THEIRS.key_pem),
    **{
        name: text for key, made in KEYS_MADE.items() for name, text in canary.secrets_of_key(key, made.key_pem).items()
    },
}

MEANT: dict[str, tuple[str, ...]] = {
    "private-registry:index:PrivateRegistry": ("password", "passwords"),
    "private-registry:index:Users": ("password", "passwords"),
    "random:index/randomPassword:RandomPassword": ("result",),
    "tls:index/privateKey:PrivateKey": ("privateKeyPem", "privateKeyPemPkcs8"),
    "tls:index/selfSignedCert:SelfSignedCert": ("privateKeyPem",),
    "tls:index/certRequest:CertRequest": ("privateKeyPem",),
    "tls:index/locallySignedCert:LocallySignedCert": ("caPrivateKeyPem",),
    "kubernetes:core/v1:Secret": ("stringData", "data"),
    "kubernetes:core/v1:SecretPatch": ("data",),
}
"""Properties that hold secrets, by the type of their resource; the first two are what the component puts out."""


class Leak(NamedTuple):
    """What was found where."""

    what: str
    where: str


def leaks(engine: Engine, said: str) -> set[Leak]:
    """Every known secret, and every hash made of one, that is anywhere but in its place and marked."""
    secrets = KNOWN | hashes(engine)
    places = [("what is said", said)]
    for noted in engine.state:
        places.append((f"name or options of {noted.name}", "\n".join(canary.texts([noted.name, noted.options]))))
        places += [(f"{noted.type} {key}, unmarked", text) for key, text in unmarked(noted)]
        places += [(f"{noted.type} {key}", text) for key, text in unmeant(noted)]
    if not canary.find(secrets, "\n".join(text for _, text in places)):
        return set()
    return {Leak(what, where) for where, text in places for what in canary.find(secrets, text)}


def unmarked(noted: StateEntry) -> Iterator[tuple[str, str]]:
    """Each property, and its texts that the state keeps as they are."""
    for properties in noted.properties:
        for key, value in properties.items():
            yield key, "\n".join(canary.texts(value, replace=lambda value: None if is_secret(value) else value))


def unmeant(noted: StateEntry) -> Iterator[tuple[str, str]]:
    """Each property that no secret is meant to be in, and all its texts."""
    for properties in noted.properties:
        for key, value in properties.items():
            if key not in MEANT.get(noted.type, ()):
                yield key, "\n".join(canary.texts(value))


def hashes(engine: Engine) -> dict[str, str]:
    """What is secret of the lines of the users' Secret, by user."""
    files = [each.properties[0].get("stringData") for each in engine.state if each.name == "registry-auth-secret"]
    lines = [line for text in canary.texts(files) for line in text.splitlines() if "$2b$" in line]
    return {f"the hash of {line.partition(':')[0]}": canary.secret_of_hash(line) for line in lines}


def wrapped(args: Given, way: Callable[[Any], Any]) -> Any:
    return {key: value if is_structural(key) else way(value) for key, value in args.items()}


@pytest.mark.parametrize("form", canary.forms("x"))
def test_a_piece_of_a_secret_is_found_in_every_form(form: str) -> None:
    for name, secret in KNOWN.items():
        written = canary.forms(secret)[form]
        for start in range(0, max(1, len(written) - canary.PIECE - canary.STEP)):
            cut = f"text {written[start : start + canary.PIECE + canary.STEP - 1]} text"
            assert canary.find({name: secret}, cut), f"{name} from {start} on"
    assert canary.find(KNOWN, "nothing of the kind: generated, chosen, of-s3") == []


def setting(settings: Any, key: str) -> Any:
    """Return the setting of that name, of whatever subject."""
    if key in vars(settings):
        return vars(settings)[key]
    found = [setting(subject, key) for subject in vars(settings).values() if is_dataclass(subject)]
    return next((value for value in found if value is not None), None)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", SECRETS)
def test_what_is_secret_is_so_from_the_first_moment(engine: Engine, key: str, way: str) -> None:
    """Whatever part it goes to, that part need not think of it."""
    (args,) = [shape for name, shape in SHAPES.items() if key in shape and not name.startswith("one")]
    marks: list[bool] = []

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def main() -> Any:
        accepted = setting(resolve(wrapped(args, WAYS[way])), key)
        assert isinstance(accepted, pulumi.Output)
        return pulumi.Output.all(accepted.is_secret()).apply(marks.extend)

    main()
    assert marks == [True]


def test_an_input_that_sounds_like_a_secret_is_one_or_known_to_be_none() -> None:
    sound = {key for key in INPUTS if any(word in key for word in ("password", "secret", "token", "_key"))}
    assert sound - NO_SECRETS.keys() == set(SECRETS) == set(table.SECRETS)


def test_the_sdks_debug_log_says_what_it_is_about_and_no_secret() -> None:
    mark = f'key: "{SECRET_MARK}" value {{ string_value: "{redaction.SECRET_MARK}" }}'
    assert redaction.without_secrets("registering: name=a, props=b") == "registering: name=a, props=b"
    assert redaction.without_secrets(f"prepared: urn=a, props={PLANTED} {mark}") == "prepared: urn=a, props=[secret]"
    assert redaction.without_secrets(f"{PLANTED} {mark} props=") == redaction.without_secrets(mark) == "[secret]"


def test_a_salt_is_as_long_as_the_search_takes_it_for() -> None:
    line = f"jean:$2b$05${'s' * SALT_LENGTH}.{'h' * canary.HASH}"
    assert htpasswd(line) == line


PLANTED = "planted-9Wq3Zr7Tb1Kx5Gn"


def planted(value: Any) -> list[Any]:
    """`value` with a secret before, behind or instead of each text in it, so that it is wrong in the same way."""
    if isinstance(value, str):
        return [PLANTED + value, value + PLANTED, PLANTED]
    if isinstance(value, list):
        return [[each] for one in value for each in planted(one)] or [[PLANTED]]
    if isinstance(value, dict):
        return [{key: each} for key, one in value.items() for each in planted(one)]
    return []


WRONG = [planted_one for _, value, _ in REFUSED for planted_one in planted(value)]


def shown(error: BaseException) -> str:
    """All that is ever shown of it: not the error behind it, which a traceback would show and which holds the value."""
    assert error.__suppress_context__ or error.__context__ is None, "the original error may hold the secret"
    assert error.__cause__ is None
    return f"{error} {error!r} {error.args!r}" + "".join(traceback.format_exception_only(error))


def assert_silent(error: BaseException) -> None:
    assert canary.find(KNOWN | {"planted": PLANTED}, shown(error)) == []


@pytest.mark.parametrize("key", SECRETS)
def test_no_rule_shows_a_secret(key: str) -> None:
    users = [{"centos": each} for each in WRONG]
    said = []
    for value in [*WRONG, *users, PLANTED.encode(), "p" * 80 + PLANTED, "ENCRYPTED" + PLANTED, f"{PLANTED}\ud800"]:
        try:
            INPUTS[key].rule(value)
        except InvalidInput as error:
            said.append(shown(error))
    assert len(said) > 100
    assert canary.find({"planted": PLANTED}, "\n".join(dict.fromkeys(said))) == []


TLS = ["docker-registry"]
SERVED = issue(server_spec(*TLS), CA)
OPENED = ("secret", ["wanted"], "make it")
ELSEWHERE: dict[str, Callable[[], Any]] = {
    "a key for the CA's certificate": lambda: INPUTS["ca_certificate"].rule(CA.key_pem),
    "a certificate for the CA's key": lambda: INPUTS["ca_key"].rule(CA.pem),
    "a key of another kind for it": lambda: INPUTS["ca_certificate"].rule(f"-----BEGIN EC PRIVATE KEY-----\n{PLANTED}"),
    "a password for the CA": lambda: INPUTS["ca_certificate"].rule(PLANTED),
    "a cut key": lambda: INPUTS["ca_key"].rule(CA.key_pem[:-60]),
    "an encrypted key": lambda: INPUTS["ca_key"].rule(CA.encrypted_key_pem),
    "a key among upstream CAs": lambda: INPUTS["upstream_ca"].rule(CA.pem + CA.key_pem),
    "a Secret without a key": lambda: validate_server_chain(SERVED.pem, PLANTED, TLS),
    "a Secret with another key": lambda: validate_server_chain(SERVED.pem, CA.key_pem, TLS),
    "a Secret with two keys": lambda: validate_server_chain(SERVED.key_pem, SERVED.key_pem, TLS),
    "a Secret of other keys": lambda: decode_secret_data(OPENED[0], {"password": to_base64(PLANTED)}, *OPENED[1:]),
    "a Secret that is no base64": lambda: decode_secret_data(OPENED[0], {"wanted": f"!{PLANTED}"}, *OPENED[1:]),
    "a Secret of bytes": lambda: decode_secret_data(
        OPENED[0], {"wanted": b64encode(PLANTED.encode() + b"\xff").decode()}, *OPENED[1:]
    ),
    "passwords for hashes": lambda: htpasswd(f"jean:{PLANTED}"),
    "hashes of another kind": lambda: htpasswd(f"jean:{{SHA}}{PLANTED}"),
    "a password in a comment": lambda: htpasswd(f"# jean:{PLANTED}"),
    "costly hashes": lambda: htpasswd(f"jean:$2b$14${'a' * 22}{PLANTED.replace('-', '.'):a<31}"),
    "a login in the S3 server's URL": lambda: INPUTS["s3_endpoint"].rule(f"https://key:{PLANTED}@s3.example.com"),
    "one without a scheme": lambda: INPUTS["s3_endpoint"].rule(f"key:{PLANTED}@s3.example.com"),
    "one that is wrong beside": lambda: INPUTS["s3_endpoint"].rule(f"s3://{PLANTED}@s3..example.com/a"),
    "a login in the mirror's URL": lambda: INPUTS["mirror_of"].rule(f"https://ci:{PLANTED}@registry.example.com/v2"),
    "a login in the image": lambda: INPUTS["image"].rule(f"https://ci:{PLANTED}@registry.example.com/registry:3.1.2"),
    "a login in the hostname": lambda: INPUTS["hostname"].rule(f"https://ci:{PLANTED}@registry.example.com"),
    "a login for a user": lambda: INPUTS["users"].rule([f"centos:{PLANTED}"]),
    "a login for the mirror's user": lambda: INPUTS["mirror_username"].rule(f"ci:{PLANTED}"),
}


@pytest.mark.parametrize("what", ELSEWHERE)
def test_nor_is_one_shown_that_came_elsewhere(what: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        ELSEWHERE[what]()
    assert_silent(refusal.value)


@pytest.fixture
def config(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., pulumi.Config]]:
    """A stack's config, as the engine hands it over."""

    def given(secret: set[str], **values: Any) -> pulumi.Config:
        named = {f"p:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
        monkeypatch.setenv("PULUMI_CONFIG", json.dumps(named))
        set_all_config(named, [f"p:{key}" for key in secret])
        return pulumi.Config("p")

    yield given
    set_all_config({}, [])


@pytest.mark.parametrize("key", SECRETS)
def test_a_secret_in_plain_config_is_refused_and_not_shown(config: Callable[..., pulumi.Config], key: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        args_from(config(set(), **{key: {"centos": PLANTED} if key == "passwords" else PLANTED}))
    assert_silent(refusal.value)


@pytest.mark.parametrize("key", INPUTS)
def test_a_secret_in_config_of_another_shape_is_not_shown(config: Callable[..., pulumi.Config], key: str) -> None:
    """As after `pulumi config set --secret passwords ...`, without `--path`."""
    for value in (PLANTED, f'"{PLANTED}"', f'{{"{PLANTED}', f"[{PLANTED}]"):
        try:
            args_from(config({key}, **{key: value}))
        except (InvalidInput, pulumi.ConfigTypeError) as error:
            assert_silent(error)


def test_what_is_secret_in_the_config_stays_so(config: Callable[..., pulumi.Config]) -> None:
    """Whatever it is: that it is to be kept secret was a person's word."""
    values = {"passwords": CHOSEN, "s3_access_key": "AKIA1", "requests": {"cpu": "100m"}, "hostname": "registry"}
    marks: list[bool] = []

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def main() -> Any:
        args = cast(Given, args_from(config(set(values), **values)))
        outputs = [value.is_secret() if isinstance(value, pulumi.Output) else False for value in args.values()]
        return pulumi.Output.all(*outputs).apply(marks.extend)

    main()
    assert marks == [True] * len(values)


COMBINATIONS: dict[str, Given] = {
    "the CA of another key": {"ca_certificate": OTHER.pem, "ca_key": CA.key_pem},
    "a key alone": {"ca_key": CA.key_pem},
    "a password of nobody": {"passwords": {"jaen": CHOSEN["jean"]}},
    "an S3 key without its id": IN_S3 | {"s3_secret_key": S3_SECRET},
    "an S3 key on a folder": {"s3_access_key": "AKIA1", "s3_secret_key": S3_SECRET},
    "both ways to give S3 keys": IN_S3 | {"s3_secret": "theirs", "s3_access_key": "AKIA1", "s3_secret_key": S3_SECRET},
    "a mirror's password alone": {"mode": "mirror", "mirror_password": MIRROR_PASSWORD},
    "a mirror's password without a mirror": {"mirror_username": "ci", "mirror_password": MIRROR_PASSWORD},
    "passwords beside a Secret": {"users_secret": "theirs", "passwords": CHOSEN, "create_namespace": False},
    "a key beside a Secret": {"tls_secret": "theirs", "ca_key": CA.key_pem, "create_namespace": False},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", COMBINATIONS)
def test_nor_by_rules_for_several_at_once(
    deploy: Deploy, engine: Engine, caplog: pytest.LogCaptureFixture, what: str, way: str
) -> None:
    engine.live |= MADE | THERE
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: PrivateRegistry("registry", wrapped(USERS | COMBINATIONS[what], WAYS[way])))
    assert canary.find(KNOWN, str(refusal.value)) == []
    assert leaks(engine, caplog.text) == set()


class Deployed(NamedTuple):
    """The engine that recorded a deployment, and the SDK's debug log, which `pulumi up --json` prints."""

    engine: Engine
    said: str


@cache
def deployed(shape: str, way: str) -> Deployed:
    """Deploy that shape, once for all tests that read the outcome."""
    engine = Engine(live=MADE | THERE)
    attach(engine)
    with capture_log("DEBUG") as said:
        run(lambda: PrivateRegistry("registry", wrapped(SHAPES[shape], WAYS[way])))
    return Deployed(engine, "\n".join(said))


@pytest.mark.parametrize("shape", SHAPES)
def test_passwords_are_put_out_as_secrets_and_the_rest_can_be_read(shape: str) -> None:
    state = deployed(shape, "plain").engine.state
    (put_out,) = [each.properties[0] for each in state if each.name == "registry" and "urn" in each.options]
    assert {key for key, value in put_out.items() if is_secret(value)} == {"password", "passwords"}


def test_the_digest_of_the_configuration_lets_nobody_guess_what_is_short_in_it(deploy: Deploy, engine: Engine) -> None:
    """It is an annotation: http.secret, which is in the same file, makes it another one for the same password."""
    digests = set()
    for secret in ("one", "another"):
        engine.live |= {"registry-workload-http-secret": {"result": secret}}
        deploy(lambda: PrivateRegistry("registry", cast(Any, SHAPES["a mirror"])))
        digests.add(engine.one("Pod").inputs["metadata"]["annotations"]["checksum/config"])
        engine.resources.clear()
    assert len(digests) == 2


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_secret_is_in_its_place_only_and_marked(shape: str, way: str) -> None:
    engine, said = deployed(shape, way)
    assert "registering resource: ty=kubernetes:core/v1:Secret" in said, "at the level of the debug log"
    assert leaks(engine, said) == set()


def test_the_search_finds_what_is_there() -> None:
    """Of every secret: in what the state keeps encrypted, once that is opened."""
    seen: set[str] = set()
    for shape in SHAPES:
        engine = deployed(shape, "plain").engine
        secrets = KNOWN | hashes(engine)
        everything = "\n".join(canary.texts([noted.properties for noted in engine.state]))
        seen |= {each.rpartition(" (")[0] for each in canary.find(secrets, everything)}
    in_hex = {name for name in KNOWN if name.endswith(", hex")}
    assert {name.rpartition(", PEM")[0] or name for name in seen} == {
        name.rpartition(", PEM")[0] or name
        for name in {*KNOWN, *secrets, *(f"the hash of {login}" for login in ("jean", "jean-2", "marie"))} - in_hex
    }
