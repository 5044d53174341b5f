"""CA rotation goes one step at a time. Notes in the state remember the completed steps."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple, cast

import pulumi
import pytest

from registry import PrivateRegistry
from registry.tls.authority import rotation_hint
from registry.validation import InvalidInput
from registry.validation.rotation import generations, generations_at, require_next_step, step_of
from tests import parts
from tests.conftest import Engine, attach, capture_log, certificate_of, unwrap_secret
from tests.issuing import CertificateSpec, issue

STEPS = [[1], [1, 2], [2, 1], [2], [2, 3], [3, 2], [3]]


@pytest.mark.parametrize(("step", "numbers"), list(enumerate(STEPS)), ids=str)
def test_a_step_has_its_list_of_generations(step: int, numbers: list[int]) -> None:
    assert step_of(numbers) == step
    assert generations_at(step) == numbers


def test_floats_of_another_language_become_integers() -> None:
    assert [type(number) for number in generations("ca_generations", cast(Any, [2.0, 1.0]))] == [int, int]


REFUSED: list[tuple[list[int], dict[int, int], str, list[int] | None]] = [
    # target generations, step that wrote each note, code, generations to set first
    ([2], {0: 0, 1: 0, 2: 3, 4: 3}, "step-left-out", [1, 2]),
    ([2, 1], {0: 0, 1: 0, 3: 2}, "step-left-out", [1, 2]),
    ([2, 3], {0: 0, 1: 1, 2: 1, 3: 4, 5: 4}, "step-left-out", [2, 1]),
    ([2], {0: 3, 1: 0, 2: 3, 4: 3}, "step-left-out", [1]),
    ([1], {1: 1}, "step-back", None),
    ([1, 2], {0: 3, 2: 3}, "step-back", None),
    ([1, 2], {0: 0, 2: 2}, "step-back", None),
]


@pytest.mark.parametrize(
    ("target", "notes", "code", "first"), REFUSED, ids=[f"{target} {notes}" for target, notes, *_ in REFUSED]
)
def test_a_left_out_step_and_a_step_back_are_refused(
    target: list[int], notes: dict[int, int], code: str, first: list[int] | None
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        require_next_step("ca_generations", target, notes)
    assert (refusal.value.key, refusal.value.code) == ("ca_generations", code)
    if first is not None:
        assert f"`ca_generations` to {first} " in refusal.value.remedy


@dataclass
class State:
    """The notes in the state of a stack: the step that wrote each note, and the completed step."""

    notes: dict[int, int] = field(default_factory=dict)
    completed: int | None = None

    def up(self, step: int, end: str = "complete") -> bool:
        """Simulate `pulumi up`, which may end before its note or before its deletions. Return whether it is allowed."""
        notes = {number: self.notes.get(number, step) for number in range(step + 2) if number != step}
        self.notes = self.notes | notes
        try:
            require_next_step("ca_generations", generations_at(step), notes)
        except InvalidInput:
            return False
        if end != "before the note":
            self.notes = {**(self.notes if end == "before the deletions" else notes), step: step}
            self.completed = step
        return True


def test_after_any_history_only_the_same_step_or_the_next_is_allowed() -> None:
    """The test tries all histories of three attempts after the first `up`."""
    attempts = list(itertools.product(range(7), ("complete", "before the note", "before the deletions")))

    def attempt(before: State, history: list[tuple[int, str]]) -> None:
        completed = cast(int, before.completed)
        for step, end in attempts:
            state = replace(before)
            assert state.up(step, end) == (step in (completed, completed + 1)), (history, step, end)
            if len(history) < 2:
                attempt(state, [*history, (step, end)])

    for first in (0, 3, 4):
        state = State()
        state.up(first)
        attempt(state, [])


def test_an_interrupted_first_step_can_be_repeated() -> None:
    for first, beyond in itertools.product(range(6), range(2, 4)):
        state = State()
        assert state.up(first, "before the note")
        assert not state.up(first + beyond)
        assert state.up(first)
        assert state.up(first + 1)


class Up(NamedTuple):
    """Result of an `up`: the recording engine, the outputs, the log lines, and the error if it failed."""

    engine: Engine
    outputs: dict[str, Any]
    log: list[str]
    error: InvalidInput | None


@cache
def deploy_with_notes(notes: str, args: str, is_whole: bool) -> Up:
    """Deploy to a stack with these notes. `notes` and `args` are JSON, so that they can be keys of the cache."""
    engine, outputs, error = Engine(live=json.loads(notes)), dict[str, Any](), None
    attach(engine)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def main() -> Any:
        if is_whole:
            ca_pem = PrivateRegistry("registry", json.loads(args)).ca_pem
        else:
            ca_pem = parts.certificates(json.loads(args)).value
        return pulumi.Output.all(ca_pem=ca_pem).apply(outputs.update)

    with capture_log("INFO") as log:
        try:
            main()
        except InvalidInput as refusal:
            error = refusal
    return Up(engine, outputs, log, error)


@dataclass
class Stack:
    """A stack with one registry, or with its certificates alone. Its notes stay in the state after each `up`."""

    notes: dict[str, Any] = field(default_factory=dict)
    is_whole: bool = True

    def up(self, numbers: Sequence[int], **args: Any) -> tuple[Engine, dict[str, Any]]:
        """Run `pulumi up` with these generations. Return the engine and the outputs."""
        inputs = {"ca_generations": list(numbers), **args}
        up = deploy_with_notes(json.dumps(self.notes), json.dumps(inputs), self.is_whole)
        self.engine, self.log = up.engine, up.log
        for note in up.engine.resources:
            if "-step-" in note.name and not (note.name in self.notes and note.request.ignoreChanges):
                self.notes[note.name] = {"output": note.inputs["input"]}
        if up.error:
            raise up.error
        return up.engine, up.outputs


def stack_after(*steps: int, is_whole: bool = True) -> Stack:
    """Return a stack after these steps."""
    stack = Stack(is_whole=is_whole)
    for step in steps:
        stack.up(generations_at(step))
    return stack


def checksum(engine: Engine) -> str:
    return str(engine.one("Pod").inputs["metadata"]["annotations"]["checksum/config"])


def test_one_step_changes_the_issuer_and_no_step_replaces_the_pod() -> None:
    stack = Stack()
    issuers, checksums, chains = [], [], []
    for numbers in STEPS[:4]:
        engine, _ = stack.up(numbers)
        # The recording engine answers the same certificate for every issuer, so the test compares its inputs.
        issuers.append(engine.one("LocallySignedCert").inputs["caCertPem"])
        chains.append(unwrap_secret(engine.by_name("registry-tls-secret").inputs["stringData"])["tls.crt"])
        checksums.append(checksum(engine))
    old, new = (certificate_of(f"registry-tls-ca{suffix}") for suffix in ("", "-2"))
    assert issuers == [old, old, new, new]
    certificate = certificate_of("registry-tls-leaf")
    assert chains == [certificate + issuer for issuer in (old, old, new, new)]
    assert len(set(checksums)) == 1, "The Pod does not depend on the CA bundle."


def test_the_ca_bundle_stays_identical_when_the_issuer_changes() -> None:
    stack = Stack()
    bundles = [stack.up(numbers)[1]["ca_pem"] for numbers in STEPS]
    first, second, third = (certificate_of(f"registry-tls-ca{suffix}") for suffix in ("", "-2", "-3"))
    both, next_both = first + second, second + third
    assert bundles == [first, both, both, second, next_both, next_both, third]


def test_the_first_generation_has_names_without_a_number() -> None:
    engine, _ = stack_after(0).up([1, 2])
    common_names = {
        resource.name: resource.inputs.get("subject", {}).get("commonName")
        for resource in engine.resources
        if resource.type.endswith((":PrivateKey", ":SelfSignedCert"))
    }
    assert common_names == {
        "registry-tls-key": None,
        "registry-tls-ca-key": None,
        "registry-tls-ca": "docker-registry CA",
        "registry-tls-ca-2-key": None,
        "registry-tls-ca-2": "docker-registry CA 2",
    }


def test_the_common_name_of_a_long_host_and_a_generation_has_64_characters() -> None:
    engine, _ = Stack().up([50], hostname="a" * 60 + ".com")
    name = engine.one("SelfSignedCert").inputs["subject"]["commonName"]
    assert (len(name), name[-6:]) == (64, " CA 50")


@pytest.mark.parametrize(
    ("steps", "target", "next_numbers", "is_whole"),
    [
        ((0,), [2], [1, 2], True),
        ((0,), [2, 1], [1, 2], False),
        ((0, 1), [2, 3], [2, 1], False),
        ((0, 1), [2], [2, 1], False),
    ],
)
def test_a_refused_step_changes_nothing_and_the_next_step_is_then_allowed(
    steps: tuple[int, ...], target: list[int], next_numbers: list[int], is_whole: bool
) -> None:
    stack = stack_after(*steps, is_whole=is_whole)
    with pytest.raises(InvalidInput) as refusal:
        stack.up(target)
    assert refusal.value.code == "step-left-out"
    assert f"`ca_generations` to {next_numbers} " in refusal.value.remedy
    kinds = {each.type.rpartition(":")[2] for each in stack.engine.resources}
    assert not kinds & {"SelfSignedCert", "CertRequest", "LocallySignedCert", "Pod"}, (
        "Only a key may be created, which has no effect."
    )
    assert not [each for each in stack.engine.resources if each.name == "registry-tls-secret"]
    with pytest.raises(InvalidInput):
        stack.up(target)
    stack.up(next_numbers)


def test_a_rotation_does_not_go_back_to_any_earlier_step() -> None:
    stack = stack_after(0, 1, 2, 3, is_whole=False)
    for earlier in ([1], [1, 2], [2, 1]):
        with pytest.raises(InvalidInput) as refusal:
            stack.up(earlier)
        assert refusal.value.code == "step-back"
    stack.up([2])
    stack.up([2, 3])


def test_a_step_is_noted_after_the_workload_is_ready() -> None:
    for step in (1, 2):
        engine, _ = stack_after(*range(step)).up(generations_at(step))
        note = engine.by_name(f"registry-tls-step-{step}").request
        assert any(urn.endswith("::registry-workload-pod") for urn in note.dependencies)
        assert not any(f"registry-tls-step-{step}" in urn for urn in engine.one("Pod").request.dependencies)


def test_without_a_rotation_the_note_does_not_wait_for_the_workload() -> None:
    engine, _ = Stack().up([1])
    note = engine.by_name("registry-tls-step-0").request
    assert not any("registry-workload" in urn for urn in note.dependencies)
    assert not list(engine.by_name("registry-tls-ca-key").request.dependencies), "A key does not wait for a note."


@pytest.mark.parametrize(("days", "is_logged"), [(578, False), (577, True), (398, True)])
def test_a_ca_causes_a_warning_while_there_is_time_to_rotate_it(days: int, is_logged: bool) -> None:
    ends = datetime.now(UTC) + timedelta(days=days, hours=1)
    ca = {"registry-tls-ca": {"validityEndTime": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}}
    stack = Stack(ca, is_whole=False)
    stack.up([1])
    warning = f"CA 1 ends on {ends:%Y-%m-%d}."
    text = "\n".join(stack.log)
    assert (warning in text) == is_logged
    assert ("set `ca_generations` to [1, 2]" in text) == is_logged
    stack.up([1, 2])
    assert not [line for line in stack.log if warning in line], "The rotation is in progress."


@pytest.mark.parametrize("kind", ["custom", "generated"])
def test_only_a_generated_ca_has_steps(kind: str) -> None:
    ca = issue(CertificateSpec())
    args = {"ca_certificate": ca.pem, "ca_key": ca.key_pem} if kind == "custom" else {}
    engine, _ = Stack().up([1], **args)
    notes = [each.name for each in engine.resources if "-step-" in each.name]
    assert len(notes) == (0 if args else 2)


def test_a_rotation_in_progress_is_logged_with_the_next_action() -> None:
    stack = Stack()
    logged_hints = []
    for numbers in STEPS[:4]:
        stack.up(numbers)
        logged_hints.append([line for line in stack.log if "CA rotation" in line])
        hint = rotation_hint(numbers)
        assert logged_hints[-1] == ([f"{hint.state}. {hint.next_action}."] if hint else [])
    assert [len(hints) for hints in logged_hints] == [0, 1, 1, 0]
    assert "step 1 of 3" in logged_hints[1][0]
    assert "[2, 1]" in logged_hints[1][0]
    assert "step 2 of 3" in logged_hints[2][0]
    assert "[2]" in logged_hints[2][0]
    later = rotation_hint([4, 5])
    assert later is not None
    assert "CA 5 and CA 4" in later.state
