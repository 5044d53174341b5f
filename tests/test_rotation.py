"""A rotation: one step at a time, each of which changes only what it must, remembered by notes in the state."""

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
from tests.conftest import Engine, attach, capture_log, certificate_of, unwrap
from tests.issuing import CertificateSpec, issue

STEPS = [[1], [1, 2], [2, 1], [2], [2, 3], [3, 2], [3]]


@pytest.mark.parametrize(("step", "listed"), list(enumerate(STEPS)), ids=str)
def test_the_steps_follow_each_other(step: int, listed: list[int]) -> None:
    assert step_of(listed) == step
    assert generations_at(step) == listed


def test_numbers_of_another_language_are_whole_ones_from_then_on() -> None:
    assert [type(each) for each in generations("ca_generations", cast(Any, [2.0, 1.0]))] == [int, int]


REFUSED: list[tuple[list[int], dict[int, int], str, list[int] | None]] = [
    # requested generations, the step at which the note of each step was written, code, the generations to set first
    ([2], {0: 0, 1: 0, 2: 3, 4: 3}, "step-left-out", [1, 2]),
    ([2, 1], {0: 0, 1: 0, 3: 2}, "step-left-out", [1, 2]),
    ([2, 3], {0: 0, 1: 1, 2: 1, 3: 4, 5: 4}, "step-left-out", [2, 1]),
    ([2], {0: 3, 1: 0, 2: 3, 4: 3}, "step-left-out", [1]),
    ([1], {1: 1}, "step-back", None),
    ([1, 2], {0: 3, 2: 3}, "step-back", None),
    ([1, 2], {0: 0, 2: 2}, "step-back", None),
]


@pytest.mark.parametrize(
    ("requested", "notes", "code", "first"), REFUSED, ids=[f"{requested} {notes}" for requested, notes, *_ in REFUSED]
)
def test_a_left_out_step_and_a_step_back_are_refused(
    requested: list[int], notes: dict[int, int], code: str, first: list[int] | None
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        require_next_step("ca_generations", requested, notes)
    assert (refusal.value.key, refusal.value.code) == ("ca_generations", code)
    if first is not None:
        assert f"`ca_generations` to {first} " in refusal.value.remedy


@dataclass
class State:
    """What the engine remembers of the notes: at which step each was made."""

    notes: dict[int, int] = field(default_factory=dict)
    taken: int | None = None

    def up(self, step: int, end: str = "well") -> bool:
        """One `pulumi up`, cut off before it notes the step, or before it deletes what is left; whether it may go."""
        asked = {each: self.notes.get(each, step) for each in range(step + 2) if each != step}
        self.notes = self.notes | asked
        try:
            require_next_step("ca_generations", generations_at(step), asked)
        except InvalidInput:
            return False
        if end != "before the note":
            self.notes = {**(self.notes if end == "before the deletions" else asked), step: step}
            self.taken = step
        return True


def test_after_any_history_only_the_same_step_or_the_next_is_permitted() -> None:
    """Whatever was tried, refused or cut off before: all histories of three attempts after the first `up`."""
    attempts = list(itertools.product(range(7), ("well", "before the note", "before the deletions")))

    def attempt(before: State, history: list[tuple[int, str]]) -> None:
        taken = cast(int, before.taken)
        for step, end in attempts:
            state = replace(before)
            assert state.up(step, end) == (step in (taken, taken + 1)), (history, step, end)
            if len(history) < 2:
                attempt(state, [*history, (step, end)])

    for first in (0, 3, 4):
        state = State()
        state.up(first)
        attempt(state, [])


def test_a_first_step_that_ended_halfway_can_be_repeated() -> None:
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
    said: list[str]
    error: InvalidInput | None


@cache
def deployed(notes: str, args: str) -> Up:
    """Deploy to a stack with these notes, once for all tests that take the same step. Both are JSON."""
    engine, outputs, error = Engine(live=json.loads(notes)), dict[str, Any](), None
    attach(engine)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def main() -> Any:
        made = PrivateRegistry("registry", json.loads(args))
        return pulumi.Output.all(ca_pem=made.ca_pem).apply(outputs.update)

    with capture_log("INFO") as said:
        try:
            main()
        except InvalidInput as refusal:
            error = refusal
    return Up(engine, outputs, said, error)


@dataclass
class Stack:
    """A stack of one registry, whose notes outlive each `up` as the engine keeps them."""

    notes: dict[str, Any] = field(default_factory=dict)

    def up(self, listed: Sequence[int], **args: Any) -> tuple[Engine, dict[str, Any]]:
        """What was registered, and what the component put out."""
        up = deployed(json.dumps(self.notes), json.dumps({"ca_generations": list(listed), **args}))
        self.engine, self.said = up.engine, up.said
        for each in up.engine.resources:
            if "-step-" in each.name and not (each.name in self.notes and each.request.ignoreChanges):
                self.notes[each.name] = {"output": each.inputs["input"]}
        if up.error:
            raise up.error
        return up.engine, up.outputs


def at(*taken: int) -> Stack:
    """After these steps."""
    stack = Stack()
    for step in taken:
        stack.up(generations_at(step))
    return stack


def digest(engine: Engine) -> str:
    return str(engine.one("Pod").inputs["metadata"]["annotations"]["checksum/config"])


def test_the_pod_is_replaced_by_the_one_step_that_makes_another_leaf() -> None:
    stack = Stack()
    signers, digests, chains = [], [], []
    for listed in STEPS[:4]:
        engine, _ = stack.up(listed)
        # A recording engine signs the same whoever signs: what the leaf is made of stands for it.
        signers.append(engine.one("LocallySignedCert").inputs["caCertPem"])
        chains.append(unwrap(engine.by_name("registry-tls-secret").inputs["stringData"])["tls.crt"])
        digests.append(digest(engine))
    old, new = (certificate_of(f"registry-tls-ca{of}") for of in ("", "-2"))
    assert signers == [old, old, new, new]
    leaf = certificate_of("registry-tls-leaf")
    assert chains == [leaf + old, leaf + old, leaf + new, leaf + new], "leaf, then its signer"
    assert len(set(digests)) == 1, "of what is trusted, nothing is in the Pod"


def test_what_is_trusted_is_to_the_letter_the_same_when_the_signer_changes() -> None:
    stack = Stack()
    trusted = [stack.up(listed)[1]["ca_pem"] for listed in STEPS]
    first, second, third = (certificate_of(f"registry-tls-ca{of}") for of in ("", "-2", "-3"))
    both, other = first + second, second + third
    assert trusted == [first, both, both, second, other, other, third]


def test_the_first_generation_bears_the_names_of_before_and_each_one_its_own() -> None:
    engine, _ = at(0).up([1, 2])
    made = {
        each.name: each.inputs.get("subject", {}).get("commonName")
        for each in engine.resources
        if each.type.endswith((":PrivateKey", ":SelfSignedCert"))
    }
    assert made == {
        "registry-tls-key": None,
        "registry-tls-ca-key": None,
        "registry-tls-ca": "docker-registry CA",
        "registry-tls-ca-2-key": None,
        "registry-tls-ca-2": "docker-registry CA 2",
    }


def test_the_common_name_of_a_late_generation_of_a_long_host_still_fits() -> None:
    engine, _ = Stack().up([50], hostname="a" * 60 + ".com")
    name = engine.one("SelfSignedCert").inputs["subject"]["commonName"]
    assert (len(name), name[-6:]) == (64, " CA 50")


@pytest.mark.parametrize(
    ("taken", "asked", "remedy"),
    [((0,), [2], [1, 2]), ((0,), [2, 1], [1, 2]), ((0, 1), [2, 3], [2, 1]), ((0, 1), [2], [2, 1])],
)
def test_a_refused_jump_leaves_everything_as_it_is_and_the_right_step_then_goes(
    taken: tuple[int, ...], asked: list[int], remedy: list[int]
) -> None:
    stack = at(*taken)
    with pytest.raises(InvalidInput) as refusal:
        stack.up(asked)
    assert refusal.value.code == "step-left-out"
    assert f"`ca_generations` to {remedy} " in refusal.value.remedy
    kinds = {each.type.rpartition(":")[2] for each in stack.engine.resources}
    assert not kinds & {"SelfSignedCert", "CertRequest", "LocallySignedCert", "Pod"}, "a key alone is of no effect"
    assert not [each for each in stack.engine.resources if each.name == "registry-tls-secret"]
    with pytest.raises(InvalidInput):
        stack.up(asked)
    stack.up(remedy)


def test_a_rotation_does_not_go_back_even_to_where_the_stack_began() -> None:
    stack = at(0, 1, 2, 3)
    for back in ([1], [1, 2], [2, 1]):
        with pytest.raises(InvalidInput) as refusal:
            stack.up(back)
        assert refusal.value.code == "step-back"
    stack.up([2])
    stack.up([2, 3])


def test_a_step_is_noted_once_what_serves_the_leaf_is_there() -> None:
    for step in (1, 2):
        engine, _ = at(*range(step)).up(generations_at(step))
        noted = engine.by_name(f"registry-tls-step-{step}").request
        assert any(urn.endswith("::registry-workload-pod") for urn in noted.dependencies)
        assert not any(f"registry-tls-step-{step}" in urn for urn in engine.one("Pod").request.dependencies)


def test_without_a_rotation_the_note_is_made_beside_everything_else() -> None:
    engine, _ = Stack().up([1])
    noted = engine.by_name("registry-tls-step-0").request
    assert not any("registry-workload" in urn for urn in noted.dependencies)
    assert not list(engine.by_name("registry-tls-ca-key").request.dependencies), "nor does a key wait for a note"


@pytest.mark.parametrize(("days", "told"), [(578, False), (577, True), (398, True)])
def test_before_a_ca_would_be_replaced_at_once_there_is_time_to_rotate_it(days: int, told: bool) -> None:
    ends = datetime.now(UTC) + timedelta(days=days, hours=1)
    stack = Stack({"registry-tls-ca": {"validityEndTime": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}})
    stack.up([1])
    warning = f"CA 1 ends on {ends:%Y-%m-%d}."
    text = "\n".join(stack.said)
    assert (warning in text) == told
    assert ("set `ca_generations` to [1, 2]" in text) == told
    stack.up([1, 2])
    assert not [line for line in stack.said if warning in line], "the rotation is in progress"


@pytest.mark.parametrize("brought", ["ca_certificate", "nothing"])
def test_only_a_generated_ca_has_steps(brought: str) -> None:
    ca = issue(CertificateSpec())
    args = {"ca_certificate": ca.pem, "ca_key": ca.key_pem} if brought == "ca_certificate" else {}
    engine, _ = Stack().up([1], **args)
    notes = [each.name for each in engine.resources if "-step-" in each.name]
    assert len(notes) == (0 if args else 2)


def test_a_rotation_in_progress_is_logged_with_the_next_action() -> None:
    stack = Stack()
    logged_hints = []
    for listed in STEPS[:4]:
        stack.up(listed)
        logged_hints.append([line for line in stack.said if "CA rotation" in line])
        hint = rotation_hint(listed)
        assert logged_hints[-1] == ([f"{hint.state}. {hint.next_action}."] if hint else [])
    assert [len(hints) for hints in logged_hints] == [0, 1, 1, 0]
    assert "step 1 of 3" in logged_hints[1][0]
    assert "[2, 1]" in logged_hints[1][0]
    assert "step 2 of 3" in logged_hints[2][0]
    assert "[2]" in logged_hints[2][0]
    later = rotation_hint([4, 5])
    assert later is not None
    assert "CA 5 and CA 4" in later.state
