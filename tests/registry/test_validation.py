"""Tables of refused and accepted values for every input."""

import re
from typing import Any, cast

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import PrivateRegistry
from registry.inputs.resolve import is_structural
from registry.inputs.table import INPUTS, SECRETS
from registry.validation import InvalidInput, validate
from registry.validation.basics import refuse_unknown_keys
from registry.validation.images import image_advice
from registry.validation.storage import size_advice
from registry.validation.users import password_advice
from tests.conftest import Deploy, Engine
from tests.examples import ACCEPTED, CONVERTED, OUTPUTS, REFUSED

Inputs = dict[str, Any]


@pytest.mark.parametrize(("key", "value", "code"), REFUSED, ids=[f"{key}={value!r}"[:60] for key, value, _ in REFUSED])
def test_an_invalid_value_is_refused_with_a_code_and_a_remedy(key: str, value: Any, code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        INPUTS[key].rule(value)
    error = refusal.value
    assert re.split(r"[.\[]", error.key)[0] == key
    assert error.code == code
    assert error.remedy
    assert "\n" not in str(error)
    assert len(str(error)) < 400


def test_every_input_has_a_refused_value() -> None:
    assert {key for key, _, _ in REFUSED} == INPUTS.keys()


@pytest.mark.parametrize(("key", "value"), ACCEPTED, ids=[f"{key}={value!r}"[:60] for key, value in ACCEPTED])
def test_a_valid_value_is_accepted_unchanged(key: str, value: Any) -> None:
    assert INPUTS[key].rule(value) == value


@pytest.mark.parametrize(("key", "value", "accepted"), CONVERTED)
def test_a_value_of_another_type_is_converted(key: str, value: Any, accepted: Any) -> None:
    assert repr(INPUTS[key].rule(value)) == repr(accepted), "repr shows the type too."


SECRET_TEXTS = st.text(alphabet=st.characters(categories=["Lu", "Nd", "Cc", "Cs"]), min_size=4, max_size=100)
LINES = st.lists(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=", min_size=16, max_size=64), min_size=1)


@pytest.mark.parametrize("key", SECRETS)
@given(data=st.data())
def test_no_message_contains_a_secret(key: str, data: st.DataObject) -> None:
    """Search for the lines of a PEM key, and for whole secrets of at least four characters."""
    secrets = data.draw(LINES) if key == "ca_key" else [data.draw(SECRET_TEXTS)]
    value: Any = {
        "ca_key": "\n".join(["-----BEGIN PRIVATE KEY-----", *secrets, "-----END PRIVATE KEY-----"]),
        "passwords": {"centos": secrets[0]},
    }.get(key, secrets[0])
    refusal: InvalidInput | None = None
    try:
        INPUTS[key].rule(value)
    except InvalidInput as raised:
        refusal = raised
    assert not any(secret in str(refusal) for secret in secrets)
    assert refusal is None or refusal.__cause__ is None, "The original error contains the secret."


@pytest.mark.parametrize("key", SECRETS)
@pytest.mark.parametrize("value", [b"hunter2", ["hunter2"], {"hunter": ["hunter2"]}, {"centos": b"hunter2"}])
def test_the_message_for_a_secret_of_a_wrong_type_does_not_contain_it(key: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as refusal:
        INPUTS[key].rule(value)
    assert "hunter2" not in str(refusal.value)


def test_a_message_is_short_and_one_line_for_any_unknown_key() -> None:
    with pytest.raises(InvalidInput, match=r"`host\\nname` "):
        refuse_unknown_keys(["host\nname"], INPUTS)
    with pytest.raises(InvalidInput) as refusal:
        refuse_unknown_keys(["k" * 2**20], INPUTS)
    assert len(str(refusal.value)) < 2500


def test_the_remedy_for_an_unknown_key_is_the_closest_key() -> None:
    with pytest.raises(InvalidInput) as refusal:
        refuse_unknown_keys(["hostnam"], INPUTS)
    assert "`hostname`" in refusal.value.remedy


@pytest.mark.parametrize(("word", "remedy"), [("azur", "Did you mean `azure`?"), ("disk", "The guide uses host-path")])
def test_the_remedy_for_an_unknown_word_is_the_closest_choice(word: str, remedy: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        INPUTS["storage"].rule(word)
    assert refusal.value.remedy == remedy


@pytest.mark.parametrize(
    ("image", "outdated"),
    [
        ("registry:2.7", True),
        ("registry:2", True),
        ("registry:3.0.0", True),
        ("registry:3.1.0", True),
        ("registry:3.1.1", True),
        ("registry:3.1.2", False),
        ("registry:3.1", False),  # the tag moves to each new patch
        ("registry:3", False),
        ("registry:3.10-alpine", False),
        ("registry:stable", False),
        (f"registry@sha256:{'0' * 64}", False),  # no version
    ],
)
def test_a_tag_with_known_vulnerabilities_has_advice(image: str, outdated: bool) -> None:
    assert bool(image_advice(image)) is outdated


@pytest.mark.parametrize(("size", "decimal"), [("2G", True), ("500k", True), ("2Gi", False), ("3000000000", False)])
def test_a_size_in_powers_of_ten_has_advice(size: str, decimal: bool) -> None:
    assert bool(size_advice(size)) is decimal


def test_a_password_that_is_easily_guessed_has_advice() -> None:
    assert "centos" in password_advice({"centos": "centos"})
    assert password_advice({"longer-name": "Longer-Name"})
    assert password_advice({"centos": "Passw0rd"}), "It has eight characters and is a common password."
    assert not password_advice({"centos": "correct horse"})


def test_the_table_has_every_input_that_may_be_an_output() -> None:
    assert {key for key, *_ in OUTPUTS} == {key for key in INPUTS if not is_structural(key)}


@pytest.mark.parametrize(("key", "value", "other_inputs", "resource"), OUTPUTS, ids=[key for key, *_ in OUTPUTS])
def test_an_invalid_output_is_refused_before_its_resource_is_created(
    deploy: Deploy, engine: Engine, key: str, value: Any, other_inputs: Inputs, resource: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: PrivateRegistry("registry", cast(Any, {**other_inputs, key: pulumi.Output.from_input(value)})))
    assert refusal.value.key.partition(".")[0] in (("ca_certificate", "ca_key") if key.startswith("ca_") else (key,))
    names = [each.name for each in engine.resources]
    assert resource not in names
    jobs = ("registry-maintenance-settings", "registry-collect", "registry-scrub", "registry-backup")
    # No Pod waits for the Service.
    service = ("registry-service",) if key == "service_annotations" else ()
    after_pod = ("registry-policy", "registry-service-ingress", *jobs, *service)
    assert "registry-workload-pod" not in names or resource in after_pod
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("key", [key for key in INPUTS if is_structural(key)])
def test_an_input_that_decides_the_resources_cannot_be_an_output(deploy: Deploy, engine: Engine, key: str) -> None:
    args = cast(Any, {key: pulumi.Output.from_input("later")})
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: PrivateRegistry("registry", args))
    assert (refusal.value.key, refusal.value.code) == (key, "output-not-allowed")
    assert [each.name for each in engine.resources if each.name != "registry"] == []


def test_a_plain_value_is_checked_at_once(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="`storage_size` "):
        validate("2GB", INPUTS["storage_size"].rule)
    assert engine.resources == []
