"""No secret leaks. Known secrets are passed as plain values, Outputs and secrets, and all requests are searched.

Only the properties in ALLOWED_PROPERTIES may contain secrets. They are marked there, so that the state encrypts them.
A new property with a secret needs a row there.
"""

import json
import re
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
from registry.validation.azure import azure_account_key
from registry.validation.chains import TypedHost, validate_server_chain
from registry.validation.gcs import service_account_key
from registry.validation.secrets import ExistingSecret, decode_secret_data, read_credentials
from registry.validation.users import htpasswd
from tests import canary
from tests.conftest import SECRET_MARK, Deploy, Engine, StateEntry, attach, capture_log, is_secret, run, to_base64
from tests.examples import REFUSED
from tests.file_variants import encode_key_unreadable_in_go
from tests.issuing import CertificateSpec, google_key, issue, rsa_key, server_spec

redaction.redact_debug_log()  # program and plugin call it when they start

Inputs = dict[str, Any]

CA, OTHER_CA = issue(CertificateSpec()), issue(CertificateSpec())
EXISTING_CERTIFICATE = issue(server_spec("docker-registry.docker-registry.svc"), CA)
CHOSEN_PASSWORDS = {"jean": 'Kd7"é%/+ w\\x9-jean-chose-this', "marie": "marie-chose-Rt5&<>'vQ2"}
GENERATED_PASSWORDS = {"jean": "generated-4Zt8Qm2Wx6Lc1Vb9Ns", "marie": "generated-7Yh3Rf5Kd0Jg8Pa2Te"}
HTTP_SECRET = "of-http-6Bn1Xc4Mz7Lp9Ok2Ji5Uh8Yg3Tf0Rd4Es1Wa"
TOKEN_KEY = "of-tokens-5Vb2Nh8Mj4Kl0Pq7Wz3Xs9Ce6Ru1Ty5Ia"
S3_SECRET = "of-s3-Gq8Wn3+Zr/5Tb=7Kx1"
MIRROR_PASSWORD = "of-the-mirror-Hj4?Vm&9Cs#2"
BACKUP_PASSWORD = "of-the-backup-Nc6{{Rd}}8%Lw3"
PROXY_PASSWORD = "of-the-proxy-Wq8%40Ty3~Lk6!"
GENERATED_KEYS = {name: issue(CertificateSpec()) for name in ("registry-tls-key", "registry-tls-ca-key")}

GENERATED_OUTPUTS: Inputs = {
    **{f"registry-auth-{user}-password": {"result": password} for user, password in GENERATED_PASSWORDS.items()},
    "registry-workload-http-secret": {"result": HTTP_SECRET},
    "registry-access-token-key": {"result": TOKEN_KEY},
    **{name: {"privateKeyPem": key.key_pem, "privateKeyPemPkcs8": key.key_pem} for name, key in GENERATED_KEYS.items()},
}
"""Outputs of the providers, by name of the resource."""

EXISTING_S3_KEY = "existing-s3-Uy6Bt1Re9Wq4"
EXISTING_AZURE_KEY = "existingAzureKeyUy6Bt1Re9Wq4"
EXISTING_GOOGLE_KEY = google_key()
EXISTING_BACKUP_PASSWORD = "existing-backup-Pm4Zx8Kj1Tg6"
EXISTING_HASH = "theHashOfAnExistingUser4Vc8Nq2X"
EXISTING_SECRETS: Inputs = {
    "registry-tls-from-kubectl-get-secrets": {
        "data": {
            "tls.crt": to_base64(EXISTING_CERTIFICATE.pem + CA.pem),
            "tls.key": to_base64(EXISTING_CERTIFICATE.key_pem),
        }
    },
    "registry-auth-from-kubectl-get-secrets": {
        "data": {"registry.password": to_base64(f"jean:$2b$05${'a' * 22}{EXISTING_HASH}")}
    },
    "registry-data-from-kubectl-get-secrets": {
        "data": {
            **{"access-key": to_base64("AKIA0"), "secret-key": to_base64(EXISTING_S3_KEY)},
            "account-key": to_base64(EXISTING_AZURE_KEY),
            "key.json": to_base64(json.dumps(EXISTING_GOOGLE_KEY)),
        }
    },
    "registry-backup-from-kubectl-get-secrets": {
        "data": {"username": to_base64("ci"), "password": to_base64(EXISTING_BACKUP_PASSWORD)}
    },
}
"""Secrets that exist before the deployment, by name of their lookup."""

USERS: Inputs = {"users": ["jean", "marie"]}
IN_S3: Inputs = {"storage": "s3", "s3_bucket": "images", "workload": "deployment", "replicas": 2, "metrics": True}
SECRETS = ("backup_password", "ca_key", "mirror_password", "outbound_proxy", "passwords", "s3_secret_key")
"""Inputs that are secrets. The list repeats the table of inputs, so that a forgotten mark in the table is noticed."""

NOT_SECRET = {
    "certificate_key": "a kind of key",
    "s3_access_key": "an ID",
    "s3_kms_key": "an ID",
    "password_generations": "numbers",
    "pull_secrets": "namespaces",
    "pull_secret_repositories": "globs",
    "token": "public keys",
    "default_pull_secret": "a flag",
    "backup_user": "a name",
    **dict.fromkeys(
        ("azure_secret", "gcs_secret", "backup_secret", "tls_secret", "users_secret", "s3_secret", "image_pull_secret"),
        "the name of a Secret",
    ),
}
"""Contents of the inputs whose names look like those of secrets."""

CONFIGURATIONS: dict[str, Inputs] = {
    "generated passwords": USERS,
    "pull secrets": USERS | {"pull_secrets": ["builds"], "default_pull_secret": True, "discovery": True},
    "node trust during rotations": USERS
    | {"node_trust": True, "ca_generations": [1, 2], "password_generations": {"jean": [2, 1]}},
    "chosen passwords": USERS | {"passwords": CHOSEN_PASSWORDS},
    "one chosen password and access rules": USERS
    | {"passwords": {"marie": CHOSEN_PASSWORDS["marie"]}, "anonymous_pull": ["public/**"]}
    | {"robots": {"ci": {"repositories": ["team/*"], "rights": ["push"]}}},
    "one chosen password": USERS
    | {"passwords": {"marie": CHOSEN_PASSWORDS["marie"]}, "exposure": "ingress"}
    | {"ingress_class": "nginx"},
    "custom CA": USERS | {"ca_certificate": CA.pem, "ca_key": CA.key_pem},
    "S3 with keys": USERS
    | IN_S3
    | {"s3_access_key": "AKIA1", "s3_secret_key": S3_SECRET, "collect": {"schedule": "30 2 * * *"}}
    | {"service_monitor": True, "alerts": True, "dashboard": True},
    "backup to a bucket": USERS
    | {"backup": {"schedule": "30 2 * * *", "to": {"s3": {"bucket": "backup"}}}}
    | {"backup_user": "AKIA2", "backup_password": BACKUP_PASSWORD},
    "one backup to a registry": USERS
    | {"backup": {"schedule": "30 2 * * *", "to": {"registry": {"url": "https://backup.example.com"}}}}
    | {"backup_user": "ci", "backup_password": BACKUP_PASSWORD, "backup_ca": CA.pem}
    | {"outbound_proxy": {"https": f"http://ci:{PROXY_PASSWORD}@proxy.example.com:3128"}},
    "mirror": USERS
    | {"mode": "mirror", "mirror_of": "https://registry.example.com", "upstream_ca": CA.pem}
    | {"mirror_username": "ci", "mirror_password": MIRROR_PASSWORD}
    | {"outbound_proxy": {"https": f"http://ci:{PROXY_PASSWORD}@proxy.example.com:3128", "no_proxy": ".example.net"}},
    "existing Secrets": IN_S3
    | {"create_namespace": False, "tls_secret": "existing", "users_secret": "existing", "s3_secret": "existing"}
    | {"backup": {"schedule": "30 2 * * *", "to": {"registry": {"url": "https://backup.example.com"}}}}
    | {"backup_secret": "existing"},
    "existing Secret with a key of Azure": USERS
    | {"storage": "azure", "azure_account": "team", "azure_container": "images", "metrics": True}
    | {"create_namespace": False, "azure_secret": "existing"}
    | {"service_monitor": True, "alerts": True},
    "existing Secret with a key of Google": USERS
    | {"storage": "gcs", "gcs_bucket": "images", "create_namespace": False, "gcs_secret": "existing"},
}
"""Inputs that use secrets, by name of the configuration."""

WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda value: value,
    "output": pulumi.Output.from_input,
    "secret": pulumi.Output.secret,
}
"""Functions that wrap a value, by name of the result."""

KNOWN_SECRETS: dict[str, str] = {
    **{f"{user}'s chosen password": password for user, password in CHOSEN_PASSWORDS.items()},
    **{f"{user}'s generated password": password for user, password in GENERATED_PASSWORDS.items()},
    **{
        "http.secret": HTTP_SECRET,
        "the key of tokens": TOKEN_KEY,
        "the S3 key": S3_SECRET,
        "the mirror's password": MIRROR_PASSWORD,
        "the backup's password": BACKUP_PASSWORD,
    },
    "the proxy's password": PROXY_PASSWORD,
    **{
        "the existing S3 key": EXISTING_S3_KEY,
        "the existing key of Azure": EXISTING_AZURE_KEY,
        "the existing backup's password": EXISTING_BACKUP_PASSWORD,
        "the existing hash": EXISTING_HASH,
    },
    **canary.secrets_of_key("the CA's key", CA.key_pem),
    "the existing key of Google": EXISTING_GOOGLE_KEY["private_key"].splitlines()[10],
    **canary.secrets_of_key("the existing key", EXISTING_CERTIFICATE.key_pem),
    **{
        name: text
        for resource, key in GENERATED_KEYS.items()
        for name, text in canary.secrets_of_key(resource, key.key_pem).items()
    },
}

ALLOWED_PROPERTIES: dict[str, tuple[str, ...]] = {
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
"""Properties that may contain secrets, by type of the resource. Those of the components are outputs."""


class Leak(NamedTuple):
    """A secret and the place that must not contain it."""

    secret: str
    place: str


def leaks(engine: Engine, log: str) -> set[Leak]:
    """Return the known secrets and their hashes that are logged, unmarked, or in a property that is not allowed."""
    secrets = KNOWN_SECRETS | hashes(engine)
    places = [("log", log)]
    for entry in engine.state:
        places.append((f"name or options of {entry.name}", "\n".join(canary.texts([entry.name, entry.options]))))
        places += [(f"{entry.type} {key}, unmarked", text) for key, text in unmarked_texts(entry)]
        places += [(f"{entry.type} {key}", text) for key, text in other_texts(entry)]
    if not canary.find(secrets, "\n".join(text for _, text in places)):
        return set()
    return {Leak(secret, place) for place, text in places for secret in canary.find(secrets, text)}


def unmarked_texts(entry: StateEntry) -> Iterator[tuple[str, str]]:
    """Yield each property with its texts that the state does not encrypt."""
    for properties in entry.properties:
        for key, value in properties.items():
            yield key, "\n".join(canary.texts(value, replace=lambda part: None if is_secret(part) else part))


def other_texts(entry: StateEntry) -> Iterator[tuple[str, str]]:
    """Yield each property that must not contain a secret, with all its texts."""
    for properties in entry.properties:
        for key, value in properties.items():
            if key not in ALLOWED_PROPERTIES.get(entry.type, ()):
                yield key, "\n".join(canary.texts(value))


def hashes(engine: Engine) -> dict[str, str]:
    """Return the secret parts of the hashes in the files of the registry and of the proxy, by user."""
    secrets = ("registry-auth-secret", "registry-access")
    files = [entry.properties[0].get("stringData") for entry in engine.state if entry.name in secrets]
    lines = [line for text in canary.texts(files) for line in text.splitlines() if "$2b$" in line]
    return {f"the hash of {login_of(line)}": canary.secret_of_hash(line) for line in lines}


def login_of(line: str) -> str:
    """Return the user of a line with a hash, which may have another word before it."""
    return re.split("[: ]", line.strip().removeprefix("user "))[0]


def wrap_values(args: Inputs, wrap: Callable[[Any], Any]) -> Any:
    """Wrap the values of the inputs that may be Outputs."""
    return {key: value if is_structural(key) else wrap(value) for key, value in args.items()}


@pytest.mark.parametrize("form", canary.forms("x"))
def test_a_piece_of_a_secret_is_found_in_every_form(form: str) -> None:
    for name, secret in KNOWN_SECRETS.items():
        encoded = canary.forms(secret)[form]
        for start in range(0, max(1, len(encoded) - canary.PIECE_LENGTH - canary.STEP)):
            part = f"text {encoded[start : start + canary.PIECE_LENGTH + canary.STEP - 1]} text"
            assert canary.find({name: secret}, part), f"{name} from character {start}"
    assert canary.find(KNOWN_SECRETS, "no secret: generated, chosen, existing-s3") == []


def setting(settings: Any, key: str) -> Any:
    """Return the setting of an input, which is a field of the settings or of one of their parts."""
    if key in vars(settings):
        return vars(settings)[key]
    values = [setting(part, key) for part in vars(settings).values() if is_dataclass(part)]
    return next((value for value in values if value is not None), None)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("key", SECRETS)
def test_a_secret_input_is_marked_before_a_part_gets_it(engine: Engine, key: str, wrapper: str) -> None:
    # `passwords` is in several configurations. Those with one chosen password are left out.
    (args,) = [inputs for name, inputs in CONFIGURATIONS.items() if key in inputs and not name.startswith("one")]
    marks: list[bool] = []

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def main() -> Any:
        value = setting(resolve(wrap_values(args, WRAPPERS[wrapper])), key)
        assert isinstance(value, pulumi.Output)
        return pulumi.Output.all(value.is_secret()).apply(marks.extend)

    main()
    assert marks == [True]


def test_an_input_with_the_name_of_a_secret_is_a_secret_or_an_exception() -> None:
    words = ("password", "secret", "token", "_key", "proxy")
    secret_names = {key for key in INPUTS if any(word in key for word in words)}
    assert secret_names - NOT_SECRET.keys() == set(SECRETS) == set(table.SECRETS)


def test_a_line_of_the_debug_log_keeps_its_subject_and_loses_its_secrets() -> None:
    mark = f'key: "{SECRET_MARK}" value {{ string_value: "{redaction.SECRET_MARK}" }}'
    assert redaction.without_secrets("registering: name=a, props=b") == "registering: name=a, props=b"
    assert (
        redaction.without_secrets(f"prepared: urn=a, props={PLANTED_SECRET} {mark}")
        == "prepared: urn=a, props=[secret]"
    )
    assert redaction.without_secrets(f"{PLANTED_SECRET} {mark} props=") == redaction.without_secrets(mark) == "[secret]"


def test_salt_and_hash_have_the_lengths_that_the_search_expects() -> None:
    line = f"jean:$2b$05${'s' * SALT_LENGTH}.{'h' * canary.HASH_LENGTH}"
    assert htpasswd(line, "kubectl") == line


PLANTED_SECRET = "planted-9Wq3Zr7Tb1Kx5Gn"
"""A secret that tests add to invalid values."""


def plant(value: Any) -> list[Any]:
    """Return variants of a value with a secret before, after or instead of each text. They stay invalid."""
    if isinstance(value, str):
        return [PLANTED_SECRET + value, value + PLANTED_SECRET, PLANTED_SECRET]
    if isinstance(value, list):
        return [[variant] for item in value for variant in plant(item)] or [[PLANTED_SECRET]]
    if isinstance(value, dict):
        return [{key: variant} for key, item in value.items() for variant in plant(item)]
    return []


INVALID_VALUES = [*{repr(variant): variant for _, value, _ in REFUSED for variant in plant(value)}.values()]
"""Refused values of all inputs with the planted secret in them, without duplicates."""


def visible_text(error: BaseException) -> str:
    """Return all texts of an error. Fail if a traceback would show the original error, which contains the value."""
    assert error.__suppress_context__ or error.__context__ is None, "The original error may contain the secret."
    assert error.__cause__ is None
    return f"{error} {error!r} {error.args!r}" + "".join(traceback.format_exception_only(error))


def assert_no_secret(error: BaseException) -> None:
    assert canary.find(KNOWN_SECRETS | {"planted": PLANTED_SECRET}, visible_text(error)) == []


@pytest.mark.parametrize("key", SECRETS)
def test_no_rule_shows_a_secret(key: str) -> None:
    users = [{"centos": value} for value in INVALID_VALUES]
    texts = []
    for value in [
        *INVALID_VALUES,
        *users,
        PLANTED_SECRET.encode(),
        "p" * 80 + PLANTED_SECRET,
        "ENCRYPTED" + PLANTED_SECRET,
        f"{PLANTED_SECRET}\ud800",
    ]:
        try:
            INPUTS[key].rule(value)
        except InvalidInput as error:
            texts.append(visible_text(error))
    assert len(texts) > 100
    assert canary.find({"planted": PLANTED_SECRET}, "\n".join(dict.fromkeys(texts))) == []


SERVER_CERTIFICATE = issue(server_spec("docker-registry"), CA)
RSA_CERTIFICATE = issue(server_spec("docker-registry"), CA, rsa_key())


SECRET = ExistingSecret("s3_secret", "docker-registry", "keys", ("expected",))


def decode(data: dict[str, str]) -> dict[str, str]:
    return decode_secret_data(SECRET, data)


PLANTED_HASH = f"$2b$05${'a' * 22}{PLANTED_SECRET.replace('-', '.'):a<31}"


def validate_tls(chain: str, key: str) -> Any:
    return validate_server_chain(SECRET, {"tls.crt": chain, "tls.key": key}, TypedHost("docker-registry"), lambda: [])


MISPLACED_SECRETS: dict[str, Callable[[], Any]] = {
    "private key as CA certificate": lambda: INPUTS["ca_certificate"].rule(CA.key_pem),
    "certificate as CA key": lambda: INPUTS["ca_key"].rule(CA.pem),
    "EC key as CA certificate": lambda: INPUTS["ca_certificate"].rule(
        f"-----BEGIN EC PRIVATE KEY-----\n{PLANTED_SECRET}"
    ),
    "password in PKCS#7": lambda: INPUTS["ca_certificate"].rule(f"-----BEGIN PKCS7-----\n{PLANTED_SECRET}"),
    "password as CA certificate": lambda: INPUTS["ca_certificate"].rule(PLANTED_SECRET),
    "truncated key": lambda: INPUTS["ca_key"].rule(CA.key_pem[:-60]),
    "encrypted key": lambda: INPUTS["ca_key"].rule(f"{PLANTED_SECRET}\n{CA.encrypted_key_pem}"),
    "private key among upstream CAs": lambda: INPUTS["upstream_ca"].rule(CA.pem + CA.key_pem),
    "password as TLS key": lambda: validate_tls(SERVER_CERTIFICATE.pem, PLANTED_SECRET),
    "TLS key of another certificate": lambda: validate_tls(SERVER_CERTIFICATE.pem, CA.key_pem),
    "private key as TLS certificate": lambda: validate_tls(SERVER_CERTIFICATE.key_pem, SERVER_CERTIFICATE.key_pem),
    "Secret with another key": lambda: decode({"password": to_base64(PLANTED_SECRET)}),
    "Secret without base64": lambda: decode({"expected": f"!{PLANTED_SECRET}"}),
    "Secret with binary data": lambda: decode({"expected": b64encode(PLANTED_SECRET.encode() + b"\xff").decode()}),
    "S3 key of two lines": lambda: read_credentials(
        SECRET, {"expected": to_base64(f"{PLANTED_SECRET}\n{PLANTED_SECRET}")}
    ),
    "connection string as key of Azure": lambda: azure_account_key(
        SECRET, {"expected": to_base64(f"AccountName=team;AccountKey={PLANTED_SECRET}")}
    ),
    "PEM as key of Google": lambda: service_account_key(SECRET, {"expected": to_base64(PLANTED_SECRET)}),
    "user as key of Google": lambda: service_account_key(
        SECRET, {"expected": to_base64(json.dumps({"type": "authorized_user", "refresh_token": PLANTED_SECRET}))}
    ),
    "TLS key with explicit parameters": lambda: validate_tls(
        SERVER_CERTIFICATE.pem, f"{PLANTED_SECRET}\n{encode_key_unreadable_in_go(SERVER_CERTIFICATE.key)}"
    ),
    "TLS key for PSS only": lambda: validate_tls(
        RSA_CERTIFICATE.pem, f"{PLANTED_SECRET}\n{encode_key_unreadable_in_go(rsa_key())}"
    ),
    "several TLS keys": lambda: validate_tls(
        SERVER_CERTIFICATE.pem, f"{PLANTED_SECRET}\n{SERVER_CERTIFICATE.key_pem * 2}"
    ),
    "TLS key with a byte order mark": lambda: validate_tls(
        SERVER_CERTIFICATE.pem, f"\ufeff{PLANTED_SECRET}\n{SERVER_CERTIFICATE.key_pem}"
    ),
    "TLS key on an indented line": lambda: validate_tls(
        SERVER_CERTIFICATE.pem, f"{PLANTED_SECRET}\n {SERVER_CERTIFICATE.key_pem}"
    ),
    "password as hash": lambda: htpasswd(f"jean:{PLANTED_SECRET}", "kubectl"),
    "SHA hash": lambda: htpasswd(f"jean:{{SHA}}{PLANTED_SECRET}", "kubectl"),
    "hash after a byte order mark": lambda: htpasswd(f"\ufeffjean:{PLANTED_HASH}", "kubectl"),
    "hash of a repeated user": lambda: htpasswd(f"jean:{PLANTED_HASH}\n" * 2, "kubectl"),
    "hash before a long line": lambda: htpasswd(f"jean:{PLANTED_HASH}\n#{'x' * 65536}", "kubectl"),
    "password in a comment": lambda: htpasswd(f"# jean:{PLANTED_SECRET}", "kubectl"),
    "hash with a high cost": lambda: htpasswd(
        f"jean:$2b$14${'a' * 22}{PLANTED_SECRET.replace('-', '.'):a<31}", "kubectl"
    ),
    "credentials in the S3 URL": lambda: INPUTS["s3_endpoint"].rule(f"https://key:{PLANTED_SECRET}@s3.example.com"),
    "credentials in an S3 URL without a scheme": lambda: INPUTS["s3_endpoint"].rule(
        f"key:{PLANTED_SECRET}@s3.example.com"
    ),
    "credentials in an invalid S3 URL": lambda: INPUTS["s3_endpoint"].rule(f"s3://{PLANTED_SECRET}@s3..example.com/a"),
    "credentials in the mirror URL": lambda: INPUTS["mirror_of"].rule(
        f"https://ci:{PLANTED_SECRET}@registry.example.com/v2"
    ),
    "a character of the proxy's password that is not encoded": lambda: INPUTS["outbound_proxy"].rule(
        {"https": f"http://ci:{PLANTED_SECRET}@x@proxy.example.com:3128"}
    ),
    "control character after the proxy's password": lambda: INPUTS["outbound_proxy"].rule(
        {"https": f"http://ci:{PLANTED_SECRET}%0a@proxy.example.com:3128"}
    ),
    "credentials in a proxy on the Pod itself": lambda: INPUTS["outbound_proxy"].rule(
        {"https": f"http://ci:{PLANTED_SECRET}@localhost:3128"}
    ),
    "password instead of a proxy": lambda: INPUTS["outbound_proxy"].rule({"no_proxy": PLANTED_SECRET}),
    "password in a list of hosts without a proxy": lambda: INPUTS["outbound_proxy"].rule(
        {"https": "http://proxy", "no_proxy": [PLANTED_SECRET]}
    ),
    "password among many hosts without a proxy": lambda: INPUTS["outbound_proxy"].rule(
        {"https": "http://proxy", "no_proxy": ",".join([PLANTED_SECRET] * 201)}
    ),
    "password as a host without a proxy": lambda: INPUTS["outbound_proxy"].rule(
        {"https": "http://proxy", "no_proxy": f"{PLANTED_SECRET}!"}
    ),
    "proxy as text": lambda: INPUTS["outbound_proxy"].rule(f"http://ci:{PLANTED_SECRET}@proxy.example.com:3128"),
    "proxy as a key": lambda: INPUTS["outbound_proxy"].rule({f"http://ci:{PLANTED_SECRET}@proxy.example.com": ""}),
    "proxy among the hosts without one": lambda: INPUTS["outbound_proxy"].rule(
        {"https": "http://proxy", "no_proxy": f"http://ci:{PLANTED_SECRET}@proxy.example.com:3128"}
    ),
    "credentials in the image": lambda: INPUTS["image"].rule(
        f"https://ci:{PLANTED_SECRET}@registry.example.com/registry:3.1.2"
    ),
    "credentials in the hostname": lambda: INPUTS["hostname"].rule(f"https://ci:{PLANTED_SECRET}@registry.example.com"),
    "password after a user name": lambda: INPUTS["users"].rule([f"centos:{PLANTED_SECRET}"]),
    "password after the mirror user name": lambda: INPUTS["mirror_username"].rule(f"ci:{PLANTED_SECRET}"),
}


@pytest.mark.parametrize("case", MISPLACED_SECRETS)
def test_a_secret_in_the_wrong_place_is_not_shown(case: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        MISPLACED_SECRETS[case]()
    assert_no_secret(refusal.value)


@pytest.fixture
def config(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., pulumi.Config]]:
    """Return a function that creates the config of a stack with these values. `secret` has the secret keys."""

    def create_config(secret: set[str], **values: Any) -> pulumi.Config:
        config = {f"p:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
        monkeypatch.setenv("PULUMI_CONFIG", json.dumps(config))
        set_all_config(config, [f"p:{key}" for key in secret])
        return pulumi.Config("p")

    yield create_config
    set_all_config({}, [])


@pytest.mark.parametrize("key", SECRETS)
def test_a_secret_in_plain_config_is_refused_and_not_shown(config: Callable[..., pulumi.Config], key: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        args_from(config(set(), **{key: {"centos": PLANTED_SECRET} if key == "passwords" else PLANTED_SECRET}))
    assert_no_secret(refusal.value)


@pytest.mark.parametrize("key", INPUTS)
def test_a_secret_of_a_wrong_type_in_the_config_is_not_shown(config: Callable[..., pulumi.Config], key: str) -> None:
    """An example is `pulumi config set --secret passwords VALUE` without `--path`."""
    for value in (PLANTED_SECRET, f'"{PLANTED_SECRET}"', f'{{"{PLANTED_SECRET}', f"[{PLANTED_SECRET}]"):
        try:
            args_from(config({key}, **{key: value}))
        except (InvalidInput, pulumi.ConfigTypeError) as error:
            assert_no_secret(error)


def test_a_value_that_the_config_marks_as_secret_stays_secret(config: Callable[..., pulumi.Config]) -> None:
    """Any input may be marked, also one that is not secret by itself."""
    values = {
        "passwords": CHOSEN_PASSWORDS,
        "s3_access_key": "AKIA1",
        "requests": {"cpu": "100m"},
        "hostname": "registry",
    }
    marks: list[bool] = []

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def main() -> Any:
        args = cast(Inputs, args_from(config(set(values), **values)))
        outputs = [value.is_secret() if isinstance(value, pulumi.Output) else False for value in args.values()]
        return pulumi.Output.all(*outputs).apply(marks.extend)

    main()
    assert marks == [True] * len(values)


COMBINATIONS: dict[str, Inputs] = {
    "CA key of another CA": {"ca_certificate": OTHER_CA.pem, "ca_key": CA.key_pem},
    "CA key without a CA": {"ca_key": CA.key_pem},
    "password of an unknown user": {"passwords": {"jaen": CHOSEN_PASSWORDS["jean"]}},
    "S3 secret key without the access key": IN_S3 | {"s3_secret_key": S3_SECRET},
    "S3 keys without S3 storage": {"s3_access_key": "AKIA1", "s3_secret_key": S3_SECRET},
    "S3 keys and an S3 Secret": IN_S3 | {"s3_secret": "existing", "s3_access_key": "AKIA1", "s3_secret_key": S3_SECRET},
    "mirror password without the user name": {"mode": "mirror", "mirror_password": MIRROR_PASSWORD},
    "mirror password without a mirror": {"mirror_username": "ci", "mirror_password": MIRROR_PASSWORD},
    "passwords and a users Secret": {
        "users_secret": "existing",
        "passwords": CHOSEN_PASSWORDS,
        "create_namespace": False,
    },
    "CA key and a TLS Secret": {"tls_secret": "existing", "ca_key": CA.key_pem, "create_namespace": False},
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("case", COMBINATIONS)
def test_a_refused_combination_of_inputs_does_not_show_a_secret(
    deploy: Deploy, engine: Engine, caplog: pytest.LogCaptureFixture, case: str, wrapper: str
) -> None:
    engine.live |= GENERATED_OUTPUTS | EXISTING_SECRETS
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: PrivateRegistry("registry", wrap_values(USERS | COMBINATIONS[case], WRAPPERS[wrapper])))
    assert canary.find(KNOWN_SECRETS, str(refusal.value)) == []
    assert leaks(engine, caplog.text) == set()


class Deployment(NamedTuple):
    """A recording engine and the debug log of the SDK, which `pulumi up --json` prints."""

    engine: Engine
    log: str


@cache
def deploy_configuration(name: str, wrapper: str) -> Deployment:
    """Deploy a configuration once for all tests that only read the result."""
    engine = Engine(live=GENERATED_OUTPUTS | EXISTING_SECRETS)
    attach(engine)
    with capture_log("DEBUG") as records:
        run(lambda: PrivateRegistry("registry", wrap_values(CONFIGURATIONS[name], WRAPPERS[wrapper])))
    return Deployment(engine, "\n".join(records))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_only_the_outputs_with_passwords_are_secret(name: str) -> None:
    state = deploy_configuration(name, "plain").engine.state
    (outputs,) = [entry.properties[0] for entry in state if entry.name == "registry" and "urn" in entry.options]
    assert {key for key, value in outputs.items() if is_secret(value)} == {"password", "passwords"}


def test_a_short_password_cannot_be_guessed_from_the_checksum(deploy: Deploy, engine: Engine) -> None:
    """The checksum of the configuration is a public annotation. It also depends on http.secret, which is long."""
    checksums = set()
    for secret in ("one", "another"):
        engine.live |= {"registry-workload-http-secret": {"result": secret}}
        deploy(lambda: PrivateRegistry("registry", cast(Any, CONFIGURATIONS["mirror"])))
        checksums.add(engine.one("Pod").inputs["metadata"]["annotations"]["checksum/config"])
        engine.resources.clear()
    assert len(checksums) == 2


@pytest.mark.parametrize(
    ("name", "wrapper"),
    [
        (name, wrapper)
        for name, args in CONFIGURATIONS.items()
        for wrapper in (["plain"] if all(map(is_structural, args)) else WRAPPERS)
    ],
)
def test_a_secret_is_marked_and_in_allowed_properties_only(name: str, wrapper: str) -> None:
    engine, log = deploy_configuration(name, wrapper)
    assert "registering resource: ty=kubernetes:core/v1:Secret" in log, "The log has the level of the debug log."
    assert leaks(engine, log) == set()


def test_the_search_finds_every_secret_in_the_plain_text_of_the_state() -> None:
    found_names: set[str] = set()
    for name in CONFIGURATIONS:
        engine = deploy_configuration(name, "plain").engine
        secrets = KNOWN_SECRETS | hashes(engine)
        state = "\n".join(canary.texts([entry.properties for entry in engine.state]))
        found_names |= {result.rpartition(" (")[0] for result in canary.find(secrets, state)}
    in_hex = {name for name in KNOWN_SECRETS if name.endswith(", hex")}
    assert {name.rpartition(", PEM")[0] or name for name in found_names} == {
        name.rpartition(", PEM")[0] or name
        for name in {*KNOWN_SECRETS, *secrets, *(f"the hash of {login}" for login in ("jean", "jean-2", "marie"))}
        - in_hex
    }
