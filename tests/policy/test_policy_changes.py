"""`python -m policy.changes` refuses plans that lose a volume, a claim, a namespace or a storage location."""

import io
import json
from typing import Any

import pytest

from policy import changes

PREFIX = "urn:pulumi:mine::private-registry::private-registry:index:PrivateRegistry$"
VOLUME = f"{PREFIX}private-registry:index:Storage$kubernetes:core/v1:PersistentVolume::registry-data-volume"
CLAIM = f"{PREFIX}private-registry:index:Storage$kubernetes:core/v1:PersistentVolumeClaim::registry-data-claim"
LOCATION = f"{PREFIX}private-registry:index:Storage$pulumi:index:Stash::registry-data-location"
NAMESPACE = f"{PREFIX}kubernetes:core/v1:Namespace::registry-namespace"
BUCKET = "urn:pulumi:mine::private-registry::aws:s3/bucketV2:BucketV2::images"
POD = f"{PREFIX}private-registry:index:Workload$kubernetes:core/v1:Pod::registry-workload-pod"


def step(op: str, urn: str, **fields: Any) -> dict[str, Any]:
    return {"op": op, "urn": urn, **fields}


def refused(*steps: dict[str, Any], allowed: tuple[str, ...] = ()) -> list[str]:
    return [*changes.refusals(steps, allowed)]


@pytest.mark.parametrize("urn", [VOLUME, CLAIM, LOCATION, NAMESPACE, BUCKET], ids=lambda urn: urn.rpartition("::")[2])
@pytest.mark.parametrize(("op", "word"), changes.DELETIONS.items())
def test_what_keeps_images_is_neither_deleted_nor_replaced(urn: str, op: str, word: str) -> None:
    assert refused(step(op, urn)) == [f"The plan would {word} {urn}."]


@pytest.mark.parametrize("op", ["same", "create", "update", "read", "refresh", "import"])
def test_other_operations_are_allowed(op: str) -> None:
    assert refused(step(op, VOLUME)) == []


def test_a_pod_may_be_replaced() -> None:
    assert refused(step("replace", POD), step("delete", POD)) == []


def test_a_replacement_is_told_once() -> None:
    steps = [step(op, VOLUME) for op in ("create-replacement", "replace", "delete-replaced")]
    assert refused(*steps) == [f"The plan would replace {VOLUME}."]


def test_an_allowed_resource_is_not_refused() -> None:
    assert refused(step("delete", VOLUME), step("delete", CLAIM), allowed=(VOLUME,)) == [
        f"The plan would delete {CLAIM}."
    ]


@pytest.mark.parametrize("path", ["spec.hostPath.path", "spec.nodeAffinity", "spec.claimRef[0]", "spec.volumeName"])
def test_an_update_may_not_change_where_the_images_are(path: str) -> None:
    assert refused(step("update", VOLUME, detailedDiff={path: {"kind": "update"}})) == [
        f"The plan would change `{path}` of {VOLUME}."
    ]


def test_an_update_may_change_labels() -> None:
    assert refused(step("update", VOLUME, detailedDiff={"metadata.labels.team": {}, "spec.capacity": {}})) == []


def test_an_update_may_not_remove_the_protection() -> None:
    states = {"oldState": {"protect": True}, "newState": {"protect": False}}
    assert refused(step("update", VOLUME, **states)) == [f"The plan would remove the protection of {VOLUME}."]
    assert refused(step("same", VOLUME, **states)) == [f"The plan would remove the protection of {VOLUME}."]
    assert refused(step("update", VOLUME, oldState={}, newState={"protect": True})) == []


def test_an_update_may_not_change_the_storage_location() -> None:
    old, new = ({"inputs": {"input": {"storage_path": path, "node": None}}} for path in ("/a", "/b"))
    assert refused(step("update", LOCATION, oldState=old, newState=new)) == [
        f"The plan would change `storage_path` from /a to /b in {LOCATION}."
    ]
    assert refused(step("update", LOCATION, oldState=old, newState=old)) == []


class TestCommand:
    """The exit code and the output of the command."""

    def run(self, monkeypatch: pytest.MonkeyPatch, text: str, *arguments: str) -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        return changes.main(arguments)

    def plan(self, *steps: dict[str, Any]) -> str:
        return json.dumps({"steps": steps, "changeSummary": {}})

    def test_a_plan_that_keeps_everything_passes(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(monkeypatch, self.plan(step("same", VOLUME))) == 0
        assert "The plan keeps all volumes" in capsys.readouterr().out

    def test_a_plan_that_loses_something_is_refused_with_the_remedy(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(monkeypatch, self.plan(step("delete", VOLUME))) == 1
        assert capsys.readouterr().err == f"The plan would delete {VOLUME}.\n{changes.REMEDY}\n"
        assert self.run(monkeypatch, self.plan(step("delete", VOLUME)), "--allow", VOLUME) == 0

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("Previewing update", "The input is no JSON."),
            ("", "The input is no JSON."),
            ("[]", "The input has no `steps`."),
            ('{"steps": 3}', "The input has no `steps`."),
            ("{}", "The plan has no steps"),
            (
                '{"steps": [], "diagnostics": [{"severity": "error", "message": "`port` is taken.\\n"}]}',
                "The preview failed, so its plan may be incomplete. `port` is taken.",
            ),
        ],
    )
    def test_anything_but_the_plan_of_a_preview_is_an_error(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, problem: str
    ) -> None:
        """An empty input must not pass as a plan without changes."""
        assert self.run(monkeypatch, text) == 2
        assert capsys.readouterr().err.startswith(problem)
