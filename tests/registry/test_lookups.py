"""Objects of the cluster are looked up before anything is created: node, claim, namespace, classes and Secrets.

Most tests create only the part of a registry that looks up an object (tests/parts.py). One test of each part deploys a
whole registry.
"""

import asyncio
import re
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, ClassVar, cast

import pulumi
import pytest

from registry import PrivateRegistry, lookup
from registry.context import INSTANCE, NAME
from registry.validation import InvalidInput
from registry.validation.external_ips import PORTS_OF_NODES
from tests import parts
from tests.conftest import Deploy, Engine, storage_class, unwrap_secret
from tests.examples import GATEWAY
from tests.parts import Part, preconditions

Inputs = dict[str, Any]
Found = dict[tuple[str, str, str], dict[str, Any]]

EXISTING_NAMESPACE: Inputs = {"namespace": "team", "create_namespace": False}
TEAM: Inputs = {**EXISTING_NAMESPACE, "storage": "s3", "s3_bucket": "images"}
CLAIMED: Inputs = {**EXISTING_NAMESPACE, "storage": "claim", "storage_claim": "mine"}
CLASS: Inputs = {"storage": "class", "storage_class": "fast", "namespace": "team"}


def node(name: str = "k8s-master", *, hostname: str | None = None, **spec: Any) -> Found:
    """Return a node of the cluster."""
    labels = {"kubernetes.io/os": "linux"} | ({"kubernetes.io/hostname": hostname} if hostname else {})
    status = {"nodeInfo": {"kubeletVersion": "v1.34.1"}}
    return {("Node", "", name): {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": status}}


def tainted(*taints: str, **spec: Any) -> Found:
    """Return a node with these taints, in the form KEY=VALUE:EFFECT of `kubectl taint`."""
    fields = []
    for taint in taints:
        key, _, effect = taint.rpartition(":")
        key, _, value = key.partition("=")
        fields.append({"key": key, "effect": effect} | ({"value": value} if value else {}))
    return node(hostname="k8s-master", taints=fields, **spec)


def registry(args: Inputs) -> PrivateRegistry:
    return PrivateRegistry("registry", cast(Any, args))


def refuse(
    deploy: Deploy, args: Inputs, create: Callable[[Inputs], Part | PrivateRegistry] = preconditions
) -> InvalidInput:
    """Return the refusal of a part, or of a whole registry."""
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: create(args))
    return refusal.value


def inputs_of_kind(engine: Engine, kind: str) -> list[Inputs]:
    return [each.inputs for each in engine.resources if each.type.rpartition(":")[2] == kind]


KEYS = {"s3_access_key": "key", "s3_secret_key": "secret"}
NIGHTLY = {"schedule": "30 2 * * *"}

MISSING: list[tuple[Inputs, tuple[str, str, str], str, str]] = [
    # inputs, the object that does not exist, the refused key, and a part of the remedy
    ({"node": "worker-9"}, ("Node", "", "worker-9"), "node", "`kubectl get nodes`"),
    (TEAM, ("Namespace", "", "team"), "namespace", "`kubectl create namespace team`"),
    (CLAIMED, ("PersistentVolumeClaim", "team", "mine"), "storage_claim", "`kubectl get pvc --namespace team`"),
    (CLASS, ("StorageClass", "", "fast"), "storage_class", "`kubectl get storageclass`"),
    ({"priority_class": "high"}, ("PriorityClass", "", "high"), "priority_class", "`kubectl get priorityclass`"),
    (
        {"exposure": "ingress", "ingress_class": "nginx"},
        *(("IngressClass", "", "nginx"), "ingress_class", "`kubectl get ingressclass`"),
    ),
    (GATEWAY, ("Gateway", "gateways", "shared"), "gateway", "`kubectl get gateways --namespace gateways`"),
    *(
        ({**TEAM, key: "mine"}, ("Secret", "team", "mine"), key, f"`pulumi config set {key}`")
        for key in ("tls_secret", "users_secret", "s3_secret", "image_pull_secret")
    ),
    (
        {**TEAM, **KEYS, "backup": {**NIGHTLY, "to": {"claim": "mine"}}},
        *(("PersistentVolumeClaim", "team", "mine"), "backup.to.claim", "`pulumi config set --path backup.to.claim`"),
    ),
    (
        {**TEAM, **KEYS, "backup": {**NIGHTLY, "to": {"s3": {"bucket": "backup"}}}, "backup_secret": "mine"},
        *(("Secret", "team", "mine"), "backup_secret", "`pulumi config set backup_secret`"),
    ),
    (
        {**TEAM, "service_account": "mine"},
        *(("ServiceAccount", "team", "mine"), "service_account", "`kubectl get serviceaccounts --namespace team`"),
    ),
    ({"pull_secrets": ["builds"]}, ("Namespace", "", "builds"), "pull_secrets", "`kubectl create namespace builds`"),
    (
        {"pull_secrets": ["builds"], "default_pull_secret": True},
        ("ServiceAccount", "builds", "default"),
        *("default_pull_secret", "`kubectl create serviceaccount default --namespace builds`"),
    ),
    (
        {"metrics": True, "service_monitor": True},
        ("APIService", "", "v1.monitoring.coreos.com"),
        *("service_monitor", "`pulumi config set service_monitor false`"),
    ),
]


MAY_BE_OUTPUTS = ("node", "storage_claim", "storage_class", "priority_class", "ingress_class", "tls_secret")
"""Inputs of MISSING that may be Outputs."""

WITH_OTHER_RESOURCES = ("node", "namespace", "storage_class", "tls_secret", "default_pull_secret", "service_monitor")
"""Inputs of MISSING whose registries have different resources."""


@pytest.mark.parametrize(("args", "missing", "key", "remedy"), MISSING, ids=[key for *_, key, _ in MISSING])
def test_a_missing_object_is_refused_before_anything_is_reserved(
    deploy: Deploy, engine: Engine, args: Inputs, missing: tuple[str, str, str], key: str, remedy: str
) -> None:
    engine.found[missing] = {}
    refusal = refuse(deploy, args)
    assert (refusal.key, refusal.code) == (key, "does-not-exist")
    assert remedy in refusal.remedy
    assert inputs_of_kind(engine, "Lease") == []


@pytest.mark.parametrize(
    ("args", "missing", "key"),
    [(args, missing, key) for args, missing, key, _ in MISSING if key in WITH_OTHER_RESOURCES],
    ids=WITH_OTHER_RESOURCES,
)
def test_a_missing_object_is_refused_before_anything_is_created(
    deploy: Deploy, engine: Engine, args: Inputs, missing: tuple[str, str, str], key: str
) -> None:
    engine.found[missing] = {}
    refusal = refuse(deploy, args, registry)
    assert (refusal.key, refusal.code) == (key, "does-not-exist")
    created = [each.type for each in engine.resources if each.type.startswith("kubernetes:")]
    assert created == ["kubernetes:helm.sh/v4:Chart"], "No Lease, namespace or label exists yet."
    assert not [entry.name for entry in engine.state if "-from-kubectl-get-" in entry.name], (
        "The engine would end the program with the provider's words."
    )


@pytest.mark.parametrize("wrap", [pulumi.Output.from_input, pulumi.Output.secret])
@pytest.mark.parametrize(
    ("args", "missing", "key"),
    [(args, missing, key) for args, missing, key, _ in MISSING if key in MAY_BE_OUTPUTS],
    ids=[key for *_, key, _ in MISSING if key in MAY_BE_OUTPUTS],
)
def test_a_missing_object_is_refused_if_its_name_is_an_output(
    deploy: Deploy, engine: Engine, args: Inputs, missing: tuple[str, str, str], key: str, wrap: Any
) -> None:
    engine.found[missing] = {}
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: preconditions({**args, key: wrap(args[key])}))
    assert (refusal.value.key, refusal.value.code) == (key, "does-not-exist")
    assert inputs_of_kind(engine, "Lease") == []


def test_a_name_that_is_not_known_yet_is_not_looked_up(deploy: Deploy, engine: Engine) -> None:
    engine.found[("PriorityClass", "", "later")] = {}
    unknown: pulumi.Output[str] = pulumi.Output(
        resources=_task(set()), future=_task("later"), is_known=_task(False), is_secret=_task(False)
    )
    deploy(lambda: PrivateRegistry("registry", {"priority_class": unknown}))
    (chart,) = inputs_of_kind(engine, "Chart")
    assert "PriorityClass" not in [each["kind"] for each in chart["values"]["references"]]
    assert engine.one("Namespace").inputs["metadata"]["name"] == "docker-registry", "Nothing else is unknown."


async def _return(value: Any) -> Any:
    return value


def _task(value: Any) -> Any:
    """Return a task with this result, as an Output has them."""
    return asyncio.get_event_loop().create_task(_return(value))


def test_the_lookups_leave_no_file(
    deploy: Deploy, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "mkdtemp", partial(mkdtemp, dir=tmp_path))
    deploy(lambda: preconditions({}))
    assert [*tmp_path.iterdir()] == []


def test_the_lookups_ask_for_no_secret_data() -> None:
    template = (Path(__file__).parents[2] / "registry/lookup_chart/templates/objects.yaml").read_text()
    assert 'dict "type" $object.type' in template
    assert ".data" not in template


def test_a_program_under_mocks_is_deployed_though_no_lookup_has_an_answer(deploy: Deploy, engine: Engine) -> None:
    """Mocks of a user's own tests render no chart."""
    engine._render = lambda inputs: None  # type: ignore[method-assign]
    assert deploy(lambda: PrivateRegistry("registry", {}))["namespace"] == "docker-registry"


class TestNode:
    def test_the_volume_selects_the_hostname_label_of_the_node(self, deploy: Deploy, engine: Engine) -> None:
        engine.found.update(node("worker-1.example.com", hostname="worker-1"))
        deploy(lambda: PrivateRegistry("registry", {"node": "worker-1.example.com"}))
        affinity = engine.one("PersistentVolume").inputs["spec"]["nodeAffinity"]
        (term,) = affinity["required"]["nodeSelectorTerms"]
        expected = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["worker-1"]}
        assert term["matchExpressions"] == [expected]
        assert engine.one("NodePatch").inputs["metadata"]["name"] == "worker-1.example.com"

    @pytest.mark.parametrize("name", ["a" * 64, "worker-1." * 27 + "example", f"{'w' * 53}.{'b.' * 50}example"])
    def test_a_node_with_a_longer_name_than_a_label_is_used(self, deploy: Deploy, engine: Engine, name: str) -> None:
        """Kubernetes accepts the label of the remedy, and the volume then selects the node by it."""
        engine.found.update(node(name))
        command = shlex.split(refuse(deploy, {"node": name}).remedy.split("`")[1])
        assert command[:4] == ["kubectl", "label", "node", name]
        key, _, hostname = command[4].partition("=")
        assert key == "kubernetes.io/hostname"
        assert re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", hostname)

        engine.found.update(node(name, hostname=hostname))
        deploy(lambda: PrivateRegistry("registry", {"node": name}))
        (term,) = engine.one("PersistentVolume").inputs["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        assert term["matchExpressions"][0]["values"] == [hostname]
        assert engine.one("NodePatch").inputs["metadata"]["name"] == name
        lease = engine.one("Lease").inputs["metadata"]
        assert len(lease["name"]) <= 63
        assert lease["annotations"]["private-registry/of"].endswith(f" on {name}")

    def test_long_names_with_the_same_beginning_get_different_labels(self, deploy: Deploy, engine: Engine) -> None:
        names = [f"{'a' * 64}{number}" for number in range(2)]
        for name in names:
            engine.found.update(node(name))
        labels = {refuse(deploy, {"node": name}).remedy.partition("hostname=")[2] for name in names}
        assert len(labels) == 2

    REFUSED: ClassVar[list[tuple[Found, Inputs, str, str]]] = [
        # answer of the cluster, inputs, code, part of the problem
        (node(), {}, "no-hostname-label", "kubernetes.io/hostname"),
        (tainted("dedicated=ops:NoSchedule"), {}, "taint-not-tolerated", "dedicated=ops:NoSchedule"),
        (tainted("gpu:NoExecute"), {}, "taint-not-tolerated", "gpu:NoExecute"),
        (
            tainted("node-role.kubernetes.io/control-plane:NoSchedule", "dedicated:NoSchedule"),
            *({}, "taint-not-tolerated", "dedicated:NoSchedule"),
        ),
        (
            tainted("dedicated=ops:NoSchedule"),
            {"tolerations": [{"key": "dedicated", "value": "dev", "effect": "NoSchedule"}]},
            *("taint-not-tolerated", "dedicated=ops:NoSchedule"),
        ),
        (
            tainted("dedicated=ops:NoExecute"),
            {"tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}]},
            *("taint-not-tolerated", "dedicated=ops:NoExecute"),
        ),
        # An administrator sets this taint, and Kubernetes does not remove it.
        (
            tainted("node.kubernetes.io/out-of-service:NoExecute"),
            *({}, "taint-not-tolerated", "node.kubernetes.io/out-of-service:NoExecute"),
        ),
        (tainted("node.kubernetes.io/unschedulable:NoSchedule", unschedulable=True), {}, "unschedulable", "k8s-master"),
        (tainted(unschedulable=True), {}, "unschedulable", "k8s-master"),
    ]

    @pytest.mark.parametrize(
        ("found", "args", "code", "problem"), REFUSED, ids=[f"{code}: {problem}" for *_, code, problem in REFUSED]
    )
    def test_a_node_on_which_the_pod_cannot_run_is_refused(
        self, deploy: Deploy, engine: Engine, found: Found, args: Inputs, code: str, problem: str
    ) -> None:
        engine.found.update(found)
        refusal = refuse(deploy, args)
        assert (refusal.key, refusal.code) == ("node", code)
        assert problem in refusal.problem
        assert inputs_of_kind(engine, "Lease") == []

    def test_nothing_is_created_for_a_node_on_which_the_pod_cannot_run(self, deploy: Deploy, engine: Engine) -> None:
        engine.found.update(tainted("dedicated=ops:NoSchedule"))
        assert refuse(deploy, {}, registry).code == "taint-not-tolerated"
        assert (
            inputs_of_kind(engine, "NodePatch")
            == inputs_of_kind(engine, "Namespace")
            == inputs_of_kind(engine, "Lease")
            == []
        )

    ALLOWED: ClassVar[dict[str, tuple[Found, Inputs]]] = {
        "the component tolerates control planes": (tainted("node-role.kubernetes.io/control-plane:NoSchedule"), {}),
        "the taint is a preference": (tainted("dedicated=ops:PreferNoSchedule"), {}),
        "every taint is tolerated": (
            tainted("dedicated=ops:NoSchedule"),
            {"tolerations": [{"operator": "Exists"}]},
        ),
        "the taint is tolerated": (
            tainted("dedicated=ops:NoSchedule"),
            {"tolerations": [{"key": "dedicated", "value": "ops", "effect": "NoSchedule"}]},
        ),
        "the images are in S3, so the Pod runs on any node": (
            tainted("dedicated=ops:NoSchedule", unschedulable=True),
            {**TEAM, "create_namespace": True},
        ),
    }

    @pytest.mark.parametrize(("found", "args"), ALLOWED.values(), ids=ALLOWED)
    def test_a_node_on_which_the_pod_can_run_is_accepted(
        self, deploy: Deploy, engine: Engine, found: Found, args: Inputs
    ) -> None:
        engine.found.update(found)
        assert deploy(lambda: preconditions(args))["value"]

    def test_the_pod_has_the_tolerations_of_the_input_and_those_for_a_control_plane(
        self, deploy: Deploy, engine: Engine
    ) -> None:
        engine.found.update(tainted("node-role.kubernetes.io/control-plane:NoSchedule", "dedicated=ops:NoSchedule"))
        toleration = {"key": "dedicated", "value": "ops", "effect": "NoSchedule"}
        deploy(lambda: registry({"tolerations": [toleration]}))
        *own, last = unwrap_secret(engine.one("Pod").inputs["spec"])["tolerations"]
        assert last == toleration
        assert "node-role.kubernetes.io/control-plane" in [each["key"] for each in own]

    @pytest.mark.parametrize("before", [0, 1])
    def test_the_remedy_for_a_taint_leads_to_acceptance_as_typed(
        self, deploy: Deploy, engine: Engine, before: int
    ) -> None:
        engine.found.update(tainted("example.com/dedicated=true:NoSchedule"))
        tolerations: list[dict[str, str]] = [{"key": "other"}] * before
        remedy = refuse(deploy, {"tolerations": tolerations}).remedy
        commands = remedy.split("`")[1].split(" && ")
        for command in commands:
            *start, path, value = shlex.split(command)
            assert start[:4] == ["pulumi", "config", "set", "--path"]
            assert path.startswith(f"tolerations[{before}].")
            if path.endswith(".key"):
                tolerations.append({})
            tolerations[before][path.rpartition(".")[2]] = value
        assert deploy(lambda: preconditions({"tolerations": tolerations}))["value"]

    def test_a_node_that_is_not_ready_is_accepted_with_a_warning(
        self, deploy: Deploy, engine: Engine, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Kubernetes removes such a taint by itself. A toleration would not start the Pod."""
        engine.found.update(tainted("node.kubernetes.io/not-ready:NoSchedule"))
        deploy(lambda: preconditions({}))
        assert "node.kubernetes.io/not-ready" in caplog.text


def claim(phase: str = "Bound", access: str = "ReadWriteOnce", binding_mode: str | None = None, **spec: Any) -> Inputs:
    """Return the claim `mine` as the chart finds it. While it is pending, it has its StorageClass."""
    found = {"metadata": {"name": "mine"}, "spec": {"accessModes": [access], **spec}, "status": {"phase": phase}}
    return found | ({"storageClass": {"volumeBindingMode": binding_mode}} if binding_mode else {})


def deleted(claim: Inputs) -> Inputs:
    return claim | {"metadata": {**claim["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}


class TestClaim:
    REFUSED: ClassVar[list[tuple[Inputs, str]]] = [
        (claim(volumeMode="Block"), "claim-is-block"),
        (claim(access="ReadOnlyMany"), "claim-is-read-only"),
        (claim("Lost"), "claim-is-lost"),
        (claim("Pending"), "claim-not-bound"),
        (claim("Pending", binding_mode="Immediate"), "claim-not-bound"),
        (deleted(claim()), "claim-is-deleted"),
    ]

    @pytest.mark.parametrize(("existing", "code"), REFUSED, ids=[code for *_, code in REFUSED])
    def test_a_claim_that_the_pod_cannot_use_is_refused(
        self, deploy: Deploy, engine: Engine, existing: Inputs, code: str
    ) -> None:
        engine.found["PersistentVolumeClaim", "team", "mine"] = existing
        refusal = refuse(deploy, CLAIMED, parts.storage)
        assert (refusal.key, refusal.code) == ("storage_claim", code)

    def test_no_pod_is_created_for_a_claim_that_it_cannot_use(self, deploy: Deploy, engine: Engine) -> None:
        engine.found["PersistentVolumeClaim", "team", "mine"] = claim("Lost")
        assert refuse(deploy, CLAIMED, registry).code == "claim-is-lost"
        assert inputs_of_kind(engine, "Pod") == []

    @pytest.mark.parametrize(
        ("existing", "args"),
        [
            (claim(volumeMode="Filesystem"), {}),
            (claim("Pending", binding_mode="WaitForFirstConsumer"), {}),
            (claim(access="ReadOnlyMany"), {"mode": "read-only"}),
        ],
        ids=["bound", "bound once a Pod uses it", "read-only for a registry that only reads"],
    )
    def test_a_claim_that_the_pod_can_use_is_accepted(
        self, deploy: Deploy, engine: Engine, existing: Inputs, args: Inputs
    ) -> None:
        engine.found["PersistentVolumeClaim", "team", "mine"] = existing
        assert deploy(lambda: parts.storage({**CLAIMED, **args}))["value"] == "mine"


def own_claim(name: str, storage_class: str, phase: str, access: str = "ReadWriteOnce") -> Inputs:
    spec = {"storageClassName": storage_class, "accessModes": [access]}
    labels = {"app.kubernetes.io/name": "docker-registry", INSTANCE: "team"}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": {"phase": phase}}


class TestStorageLocation:
    """The state has the class of the first `up`, slow. The cluster shows whether the claim of that class ever bound."""

    SAVED: ClassVar[Inputs] = {"registry-data-location": {"output": {"storage": "class", "storage_class": "slow"}}}

    def deploy_with(
        self,
        deploy: Deploy,
        engine: Engine,
        *claims: Inputs,
        create: Callable[[Inputs], Part | PrivateRegistry] = parts.storage,
        **args: Any,
    ) -> Inputs:
        """Deploy to a namespace with these claims. Return the claim of the registry."""
        engine.live.update(self.SAVED)
        engine.found[("PersistentVolumeClaim", "team", "")] = {"items": list(claims)}
        deploy(lambda: create(CLASS | args))
        return engine.one("PersistentVolumeClaim").inputs

    def test_another_class_gets_a_new_claim_if_the_old_claim_never_bound(self, deploy: Deploy, engine: Engine) -> None:
        created = self.deploy_with(deploy, engine, own_claim("repository", "slow", "Pending"), create=registry)
        assert created["spec"]["storageClassName"] == "fast"
        assert created["metadata"]["name"] == "repository-fast", "Neither class nor access mode of a claim can change."
        (volume,) = [
            each["persistentVolumeClaim"]
            for each in unwrap_secret(engine.one("Pod").inputs["spec"])["volumes"]
            if "persistentVolumeClaim" in each
        ]
        assert volume == {"claimName": "repository-fast"}

    def test_the_claim_of_the_new_class_stays_after_it_bound(self, deploy: Deploy, engine: Engine) -> None:
        claims = own_claim("repository", "slow", "Pending"), own_claim("repository-fast", "fast", "Bound")
        assert self.deploy_with(deploy, engine, *claims)["metadata"]["name"] == "repository-fast"

    def test_the_claim_of_the_new_class_stays_after_the_old_claim_was_deleted(
        self, deploy: Deploy, engine: Engine
    ) -> None:
        created = self.deploy_with(deploy, engine, own_claim("repository-fast", "fast", "Bound"))
        assert created["metadata"]["name"] == "repository-fast"

    def test_the_claim_of_the_new_class_stays_while_it_waits_for_a_pod(self, deploy: Deploy, engine: Engine) -> None:
        claims = own_claim("repository", "slow", "Pending"), own_claim("repository-fast", "fast", "Pending")
        assert self.deploy_with(deploy, engine, *claims)["metadata"]["name"] == "repository-fast"

    def test_claims_of_other_programs_do_not_count(self, deploy: Deploy, engine: Engine) -> None:
        other = own_claim("repository-of-charts", "slow", "Bound")
        other["metadata"]["labels"][INSTANCE] = "charts"
        without_labels = own_claim("other", "slow", "Bound")
        del without_labels["metadata"]["labels"]
        created = self.deploy_with(deploy, engine, other, without_labels)
        assert created["metadata"]["name"] == "repository"

    @pytest.mark.parametrize(
        ("bound", "args", "key"),
        [
            (own_claim("repository", "slow", "Bound"), {}, "storage_class"),
            (own_claim("repository", "slow", "Lost"), {}, "storage_class"),
            (own_claim("repository-slow", "slow", "Bound"), {}, "storage_class"),
            (own_claim("repository", "fast", "Bound"), {"storage_access": "ReadWriteMany"}, "storage_access"),
        ],
        ids=["another class", "another class, volume lost", "the class changed before", "another access mode"],
    )
    def test_another_class_or_access_mode_is_refused_after_the_claim_bound(
        self, deploy: Deploy, engine: Engine, bound: Inputs, args: Inputs, key: str
    ) -> None:
        with pytest.raises(InvalidInput) as refusal:
            self.deploy_with(deploy, engine, bound, **args)
        assert (refusal.value.key, refusal.value.code) == (key, "relocation")
        assert inputs_of_kind(engine, "PersistentVolumeClaim") == []

    def test_without_an_answer_of_the_cluster_the_saved_class_counts(self, deploy: Deploy, engine: Engine) -> None:
        engine._render = lambda inputs: None  # type: ignore[method-assign]
        with pytest.raises(InvalidInput) as refusal:
            self.deploy_with(deploy, engine)
        assert (refusal.value.key, refusal.value.code) == ("storage_class", "relocation")


DEFAULT: Inputs = {"storage": "class", "namespace": "team"}
CLASSES = ("StorageClass", "", "")


class TestDefaultClass:
    """A new claim names the default class of the cluster if `storage_class` is not set."""

    @pytest.mark.parametrize(
        ("classes", "name"),
        [
            ([storage_class("other"), storage_class("standard", is_default=True)], "standard"),
            (
                [
                    storage_class("old", is_default=True, created="2025-01-01T00:00:00Z"),
                    storage_class("new", is_default=True, created="2026-01-01T00:00:00Z"),
                    storage_class("newest", created="2026-05-01T00:00:00Z"),
                ],
                "new",
            ),
            ([storage_class("b", is_default=True), storage_class("a", is_default=True)], "a"),
        ],
        ids=["one default", "the newest of two", "the first by name of two equally old ones"],
    )
    def test_the_claim_names_the_default_class(
        self, deploy: Deploy, engine: Engine, classes: list[Inputs], name: str
    ) -> None:
        engine.found[CLASSES] = {"items": classes}
        deploy(lambda: registry(DEFAULT))
        assert engine.one("PersistentVolumeClaim").inputs["spec"]["storageClassName"] == name
        assert engine.by_name("registry-data-location").inputs["input"]["storage_class"] == name

    @pytest.mark.parametrize(
        ("classes", "remedy"),
        [
            ([], "`pulumi config set storage host-path`"),
            ([storage_class("slow")], "`kubectl get storageclass`"),
            ([{"metadata": {"name": "without-annotations"}}], "`pulumi config set storage_class`"),
        ],
    )
    def test_a_cluster_without_a_default_class_is_refused_before_anything_is_created(
        self, deploy: Deploy, engine: Engine, classes: list[Inputs], remedy: str
    ) -> None:
        engine.found[CLASSES] = {"items": classes}
        refusal = refuse(deploy, DEFAULT)
        assert (refusal.key, refusal.code) == ("storage_class", "no-default-class")
        assert remedy in refusal.remedy
        assert inputs_of_kind(engine, "Lease") == []

    @pytest.mark.parametrize("classes", [[], [storage_class("new", is_default=True)]], ids=["no default", "another"])
    def test_the_class_of_a_bound_claim_stays_if_the_default_changes(
        self, deploy: Deploy, engine: Engine, classes: list[Inputs]
    ) -> None:
        saved = {"storage": "class", "storage_class": "slow", "storage_access": "ReadWriteOnce"}
        engine.live["registry-data-location"] = {"output": saved}
        engine.found[CLASSES] = {"items": classes}
        engine.found["PersistentVolumeClaim", "team", ""] = {"items": [own_claim("repository", "slow", "Bound")]}
        deploy(lambda: registry(DEFAULT))
        claim = engine.one("PersistentVolumeClaim").inputs
        assert (claim["metadata"]["name"], claim["spec"]["storageClassName"]) == ("repository", "slow")

    def test_classes_are_not_listed_for_a_named_class(self, deploy: Deploy, engine: Engine) -> None:
        deploy(lambda: preconditions(CLASS))
        (chart,) = inputs_of_kind(engine, "Chart")
        assert [each["name"] for each in chart["values"]["references"] if each["kind"] == "StorageClass"] == ["fast"]


TEAM_NAMESPACE = ("Namespace", "", "team")


class TestNamespace:
    @pytest.mark.parametrize(
        ("existing", "args", "key", "code"),
        [
            (
                {"metadata": {"name": "team", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
                *({"run_as_user": 0}, "run_as_user", "pod-security"),
            ),
            (
                {"metadata": {"name": "team"}, "status": {"phase": "Terminating"}},
                *({}, "namespace", "namespace-is-deleted"),
            ),
        ],
    )
    def test_a_namespace_that_rejects_the_pod_is_refused(
        self, deploy: Deploy, engine: Engine, existing: Inputs, args: Inputs, key: str, code: str
    ) -> None:
        engine.found[TEAM_NAMESPACE] = existing
        refusal = refuse(deploy, {**TEAM, **args}, registry)
        assert (refusal.key, refusal.code) == (key, code)
        assert inputs_of_kind(engine, "Secret") == inputs_of_kind(engine, "Pod") == []

    @pytest.mark.parametrize(("level", "user"), [("baseline", 0), ("privileged", 0), ("restricted", 65532)])
    def test_a_namespace_that_accepts_the_pod_is_used(
        self, deploy: Deploy, engine: Engine, level: str, user: int
    ) -> None:
        labels = {"pod-security.kubernetes.io/enforce": level}
        engine.found[TEAM_NAMESPACE] = {"metadata": {"name": "team", "labels": labels}}
        assert deploy(lambda: parts.existing_namespace({**TEAM, "run_as_user": user}))["value"] == "team"

    EXISTS: ClassVar[list[tuple[Inputs, tuple[str, str]]]] = [
        ({"metadata": {"name": "team"}}, ("create_namespace", "namespace-exists")),
        # the registry of another namespace, whose objects a user copied
        (
            {"metadata": {"name": "team", "labels": {NAME: "docker-registry", INSTANCE: "other"}}},
            ("create_namespace", "namespace-exists"),
        ),
        (
            {"metadata": {"labels": {NAME: "docker-registry", INSTANCE: "team"}}, "status": {"phase": "Terminating"}},
            ("namespace", "namespace-is-deleted"),
        ),
    ]

    @pytest.mark.parametrize(("existing", "refused"), EXISTS)
    def test_a_namespace_of_others_is_not_taken_over(
        self, deploy: Deploy, engine: Engine, existing: Inputs, refused: tuple[str, str]
    ) -> None:
        engine.found[TEAM_NAMESPACE] = existing
        refusal = refuse(deploy, {"namespace": "team"}, registry)
        assert (refusal.key, refusal.code) == refused
        assert inputs_of_kind(engine, "Namespace") == inputs_of_kind(engine, "Lease") == []

    @pytest.mark.parametrize("existing", [{}, {"metadata": {"labels": {NAME: "docker-registry", INSTANCE: "team"}}}])
    def test_a_new_namespace_and_that_of_the_registry_are_created(
        self, deploy: Deploy, engine: Engine, existing: Inputs
    ) -> None:
        engine.found[TEAM_NAMESPACE] = existing
        deploy(lambda: registry({"namespace": "team"}))
        assert engine.one("Namespace").inputs["metadata"]["name"] == "team"

    @pytest.mark.parametrize(
        ("kind", "name"), [("Pod", "docker-registry"), ("Deployment", "docker-registry"), ("PersistentVolumeClaim", "")]
    )
    def test_a_namespace_with_edited_labels_and_an_object_of_the_registry_is_its_own(
        self, deploy: Deploy, engine: Engine, kind: str, name: str
    ) -> None:
        """The next `pulumi up` corrects the labels."""
        engine.found[TEAM_NAMESPACE] = {"metadata": {"labels": {NAME: "docker-registry", INSTANCE: "renamed"}}}
        own = {"metadata": {"labels": {NAME: "docker-registry", INSTANCE: "team"}}}
        engine.found[kind, "team", name] = own if name else {"items": [own]}
        assert deploy(lambda: preconditions({"namespace": "team"}))["value"]

    def test_the_remedy_for_an_existing_namespace_leads_to_acceptance_as_typed(
        self, deploy: Deploy, engine: Engine
    ) -> None:
        engine.found[TEAM_NAMESPACE] = {"metadata": {"name": "team"}}
        command = shlex.split(refuse(deploy, {"namespace": "team"}).remedy.split("`")[1])
        assert command == ["pulumi", "config", "set", "create_namespace", "false"]
        assert deploy(lambda: preconditions({"namespace": "team", "create_namespace": False}))["value"]

    def test_an_image_pull_secret_of_another_type_is_refused(self, deploy: Deploy, engine: Engine) -> None:
        engine.found[("Secret", "team", "login")] = {"type": "Opaque"}
        refusal = refuse(deploy, {**TEAM, "image_pull_secret": "login"})
        assert (refusal.key, refusal.code) == ("image_pull_secret", "secret-type")


def quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> Found:
    item = {"metadata": {"name": "compute"}, "spec": {"hard": hard, **spec}, "status": {"used": used or {}}}
    return {("ResourceQuota", "team", ""): {"items": [item]}}


def limit_range(**limits: Any) -> Found:
    item = {"metadata": {"name": "sizes"}, "spec": {"limits": [{"type": "Container", **limits}]}}
    return {("LimitRange", "team", ""): {"items": [item]}}


DEPLOYED: Found = {("Pod", "team", "docker-registry"): {"metadata": {"name": "docker-registry"}}}


PROXY = {"anonymous_pull": ["public/*"]}
"""An input that adds the proxy's container to the Pod."""

SMALL = {"front_requests": {"memory": "32Mi"}}

JOB = {"collect": NIGHTLY, **KEYS}
"""Inputs that add a maintenance job."""


class TestQuotas:
    REFUSED: ClassVar[list[tuple[Found, Inputs, str, str]]] = [
        (quota({"limits.cpu": "4"}), {}, "limits.cpu", "quota-needs-it"),
        (quota({"requests.memory": "32Mi"}), {}, "requests.memory", "quota-exceeded"),
        (quota({"memory": "32Mi"}), {}, "requests.memory", "quota-exceeded"),
        (quota({"limits.memory": "1Gi"}, {"limits.memory": "600Mi"}), {}, "limits.memory", "quota-exceeded"),
        (
            quota({"limits.memory": "1Gi"}),
            {"workload": "deployment", "replicas": 3},
            *("limits.memory", "quota-exceeded"),
        ),
        (quota({"pods": "10"}, {"pods": "10"}), {}, "replicas", "quota-exceeded"),
        (quota({"count/services": "0"}), {}, "namespace", "quota-exceeded"),
        (quota({"services": "1"}), {"metrics": True}, "namespace", "quota-exceeded"),
        (
            quota({"count/cronjobs.batch": "0"}),
            {**CLASS, "s3_bucket": None, "collect": {"schedule": "30 2 * * *"}},
            *("namespace", "quota-exceeded"),
        ),
        (
            quota({"services.loadbalancers": "0"}),
            *({"exposure": "load-balancer"}, "namespace", "quota-exceeded"),
        ),
        (
            quota({"requests.storage": "1Gi"}),
            {"storage": "class", "storage_class": "fast", "s3_bucket": None},
            *("storage_size", "quota-exceeded"),
        ),
        (limit_range(max={"memory": "256Mi"}), {}, "limits.memory", "outside-of-limit-range"),
        (limit_range(min={"cpu": "200m"}), {}, "requests.cpu", "outside-of-limit-range"),
        (
            quota({"limits.cpu": "1"}) | limit_range(default={"cpu": "2"}),
            *({}, "limits.cpu", "quota-exceeded"),
        ),
        (quota({"limits.memory": "600Mi"}), PROXY, "limits.memory", "quota-exceeded"),
        (quota({"limits.cpu": "4"}), {**PROXY, "limits": {"cpu": "1"}}, "front_limits.cpu", "quota-needs-it"),
        (limit_range(min={"memory": "64Mi"}), {**PROXY, **SMALL}, "front_requests.memory", "outside-of-limit-range"),
        (quota({"limits.memory": "1Gi"}), JOB, "limits.memory", "quota-exceeded"),
        (quota({"limits.cpu": "4"}), {**JOB, "limits": {"cpu": "1"}}, "maintenance_limits.cpu", "quota-needs-it"),
        (quota({"pods": "1"}), JOB, "replicas", "quota-exceeded"),
        (limit_range(min={"cpu": "80m"}), JOB, "maintenance_requests.cpu", "outside-of-limit-range"),
    ]

    @pytest.mark.parametrize(
        ("found", "args", "key", "code"), REFUSED, ids=[f"{key}: {code}" for *_, key, code in REFUSED]
    )
    def test_a_quota_or_limit_range_that_would_reject_an_object_is_refused(
        self, deploy: Deploy, engine: Engine, found: Found, args: Inputs, key: str, code: str
    ) -> None:
        engine.found.update(found)
        refusal = refuse(deploy, {**TEAM, **args})
        assert (refusal.key, refusal.code) == (key, code)

    def test_nothing_is_created_in_a_namespace_whose_quota_is_too_small(self, deploy: Deploy, engine: Engine) -> None:
        engine.found.update(quota({"pods": "10"}, {"pods": "10"}))
        assert refuse(deploy, TEAM, registry).code == "quota-exceeded"
        assert inputs_of_kind(engine, "Secret") == inputs_of_kind(engine, "Pod") == []

    ALLOWED: ClassVar[dict[str, Found]] = {
        "large enough": quota(
            {"limits.memory": "1Gi", "requests.cpu": "1", "pods": "2", "secrets": "9", "configmaps": "0"}
        ),
        "the LimitRange sets the missing limit": quota({"limits.cpu": "4"}) | limit_range(default={"cpu": "500m"}),
        "for Pods without requests": quota({"limits.cpu": "4"}, scopes=["BestEffort"]),
        "for a priority class": quota(
            {"pods": "0"}, scopeSelector={"matchExpressions": [{"scopeName": "PriorityClass"}]}
        ),
        "the registry itself uses it up": quota({"pods": "1"}, {"pods": "1"}) | DEPLOYED,
        "a number with an exponent": quota({"pods": "1e1"}),
        "a LimitRange around the defaults": limit_range(max={"memory": "2Gi"}, min={"cpu": "10m"}),
    }

    def test_a_quota_with_place_for_one_job_is_accepted(self, deploy: Deploy, engine: Engine) -> None:
        """Two jobs can run one after the other."""
        engine.found.update(quota({"limits.memory": "1536Mi", "pods": "2", "requests.cpu": "150m"}))
        assert deploy(lambda: preconditions({**TEAM, **JOB, "scrub": NIGHTLY}))["value"] == "team"

    @pytest.mark.parametrize("found", ALLOWED.values(), ids=ALLOWED)
    def test_a_quota_or_limit_range_that_allows_every_object_is_accepted(
        self, deploy: Deploy, engine: Engine, found: Found
    ) -> None:
        engine.found.update(found)
        assert deploy(lambda: preconditions(TEAM))["value"] == "team"

    def test_the_quotas_of_other_namespaces_do_not_matter(self, deploy: Deploy, engine: Engine) -> None:
        engine.found.update(quota({"pods": "0"}))
        assert deploy(lambda: preconditions({"namespace": "team"}))["value"] == "team"

    def test_the_remedy_for_a_missing_limit_leads_to_acceptance_as_typed(self, deploy: Deploy, engine: Engine) -> None:
        engine.found.update(quota({"limits.cpu": "4"}))
        *start, path, value = shlex.split(refuse(deploy, TEAM).remedy.split("`")[1])
        assert start == ["pulumi", "config", "set", "--path", "--type", "string"]
        key, _, unit = path.partition(".")
        assert deploy(lambda: preconditions({**TEAM, key: {unit: value}}))["value"] == "team"


def service(name: str, labels: dict[str, str] | None = None, **fields: Any) -> Found:
    """Return the list of all Services, with one of the namespace `team` that has the port 5000."""
    spec = {"ports": [{"port": 5000}], "clusterIP": "10.97.0.9", **fields.pop("spec", {})}
    item = {"metadata": {"namespace": "team", "name": name, "labels": labels}, "spec": spec, **fields}
    return {("Service", "", ""): {"items": [item]}}


BALANCED = {"loadBalancer": {"ingress": [{"ip": "192.168.56.10"}]}}


@pytest.mark.parametrize(
    ("found", "args", "key", "code"),
    [
        (service("shop"), {"external_ips": ["10.97.0.9"]}, "external_ips", "address-of-services"),
        (service("shop", spec={"externalIPs": ["192.168.56.10"]}), {}, "port", "port-of-service"),
        (service("shop", status=BALANCED), {}, "port", "port-of-service"),
    ],
    ids=["cluster IP", "external IP", "address of a load balancer"],
)
def test_an_address_of_another_service_is_refused(
    deploy: Deploy, engine: Engine, found: Found, args: Inputs, key: str, code: str
) -> None:
    engine.found.update(found)
    refusal = refuse(deploy, {"exposure": "external-ips", "external_ips": ["192.168.56.10"], **args})
    assert (refusal.key, refusal.code) == (key, code)
    assert inputs_of_kind(engine, "Lease") == []


@pytest.mark.parametrize(
    "found",
    [
        service("docker-registry", {NAME: "docker-registry"}, spec={"externalIPs": ["192.168.56.10"]}),
        service("shop", spec={"externalIPs": ["192.168.56.11"]}),
        service("shop", spec={"externalIPs": ["192.168.56.10"], "ports": [{"port": 443}]}),
    ],
    ids=["registry", "another address", "another port"],
)
def test_an_address_without_another_service_at_the_port_is_accepted(
    deploy: Deploy, engine: Engine, found: Found
) -> None:
    engine.found.update(found)
    # The namespace is another one than that of the Service, as after a change of the input.
    args: Inputs = {"exposure": "external-ips", "external_ips": ["192.168.56.10"]}
    assert deploy(lambda: preconditions(args))["value"]


@pytest.mark.parametrize("port", [22, 2379, 2380, 10250, 10255, 10259, 30000, 32767])
def test_a_port_of_the_nodes_is_refused_with_external_ips(deploy: Deploy, engine: Engine, port: int) -> None:
    external: Inputs = {"exposure": "external-ips", "external_ips": ["192.168.56.10"], "port": port}
    refusal = refuse(deploy, external)
    assert (refusal.key, refusal.code) == ("port", "port-of-node")
    assert [each.name for each in engine.resources if each.name != "registry"] == []


@pytest.mark.parametrize("port", [21, 23, 443, 2378, 2381, 5000, 10249, 10260, 29999, 32768])
def test_a_port_that_nodes_do_not_use_is_accepted_with_external_ips(deploy: Deploy, port: int) -> None:
    external: Inputs = {"exposure": "external-ips", "external_ips": ["192.168.56.10"], "port": port}
    assert deploy(lambda: preconditions(external))["value"]


def test_a_port_of_the_nodes_is_accepted_without_external_ips(deploy: Deploy) -> None:
    for low, high, _ in PORTS_OF_NODES:
        for port in {low, high}:
            deploy(lambda port=port: preconditions({"port": port, "namespace": f"n{port}"}))  # type: ignore[misc]


POOL: Inputs = {"node_selector": {"example.com/pool": "infra"}}


def pool_nodes(**taints: list[dict[str, str]]) -> Found:
    """Return the lookup of all nodes: `infra` and `spare` of the pool, and `other`, with taints by name."""
    nodes = [
        {
            "metadata": {
                "name": name,
                "labels": {"kubernetes.io/hostname": name} | (POOL["node_selector"] if name != "other" else {}),
            },
            "spec": {"taints": taints.get(name)},
        }
        for name in ("infra", "spare", "other")
    ]
    return {("Node", "", ""): {"items": nodes}}


def claim_with_volume(*terms: Inputs) -> Found:
    """Return an existing claim, and the node affinity of its volume."""
    affinity = {"required": {"nodeSelectorTerms": [*terms]}}
    claim = {"metadata": {"name": "mine"}, "spec": {"accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Bound"}}
    return {("PersistentVolumeClaim", "team", "mine"): {**claim, "volume": {"spec": {"nodeAffinity": affinity}}}}


def on_host(operator: str, *names: str) -> Inputs:
    return {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": operator, "values": [*names]}]}


NAMED_OTHER: Inputs = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["other"]}]}
DEDICATED = [{"key": "dedicated", "value": "ops", "effect": "NoSchedule"}]
BUSY = [{"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}]


class TestNodeSelector:
    REFUSED: ClassVar[list[tuple[Inputs, Found, str]]] = [
        # inputs, lookups, code
        ({**TEAM, "node_selector": {"example.com/pool": "gpu"}}, pool_nodes(), "no-such-node"),
        ({**TEAM, **POOL}, pool_nodes(infra=DEDICATED, spare=DEDICATED), "taint-not-tolerated"),
        ({**CLAIMED, **POOL}, pool_nodes() | claim_with_volume(on_host("In", "other")), "node-of-volume"),
        ({**CLAIMED, **POOL}, pool_nodes() | claim_with_volume(on_host("NotIn", "infra", "spare")), "node-of-volume"),
        ({**CLAIMED, **POOL}, pool_nodes() | claim_with_volume(NAMED_OTHER), "node-of-volume"),
    ]

    @pytest.mark.parametrize(("args", "found", "code"), REFUSED)
    def test_nodes_on_which_the_pod_cannot_run_are_refused(
        self, deploy: Deploy, engine: Engine, args: Inputs, found: Found, code: str
    ) -> None:
        engine.found.update(found)
        refusal = refuse(deploy, args)
        assert (refusal.key, refusal.code) == ("node_selector", code)
        assert inputs_of_kind(engine, "Lease") == []

    ACCEPTED: ClassVar[list[tuple[Inputs, Found]]] = [
        ({**TEAM, **POOL}, pool_nodes(infra=DEDICATED)),
        ({**TEAM, **POOL}, pool_nodes(infra=BUSY, spare=BUSY)),
        (
            {**TEAM, **POOL, "tolerations": [{"key": "dedicated", "operator": "Exists"}]},
            pool_nodes(infra=DEDICATED, spare=DEDICATED),
        ),
        ({**CLAIMED, **POOL}, pool_nodes() | claim_with_volume(on_host("In", "other"), on_host("In", "spare"))),
        ({**CLAIMED, **POOL}, pool_nodes() | claim_with_volume(on_host("Exists"))),
        ({**CLAIMED, **POOL}, pool_nodes() | claim_with_volume()),
    ]

    @pytest.mark.parametrize(("args", "found"), ACCEPTED)
    def test_nodes_on_which_the_pod_can_run_are_accepted(
        self, deploy: Deploy, engine: Engine, args: Inputs, found: Found
    ) -> None:
        engine.found.update(found)
        assert deploy(lambda: preconditions(args))["value"] == "team"

    def test_the_volume_of_a_claim_that_a_class_provisioned_is_compared(self, deploy: Deploy, engine: Engine) -> None:
        ((_, claim),) = claim_with_volume(on_host("In", "other")).items()
        claim["metadata"]["labels"] = {NAME: "docker-registry", INSTANCE: "team"}
        engine.found.update(pool_nodes() | {("PersistentVolumeClaim", "team", ""): {"items": [claim]}})
        assert refuse(deploy, {**CLASS, **POOL}).code == "node-of-volume"

    def test_volumes_are_looked_up_only_with_a_selector(self, deploy: Deploy, engine: Engine) -> None:
        deploy(lambda: preconditions({**CLAIMED, **POOL}))
        deploy(lambda: preconditions({"namespace": "other"}))
        assert [chart["values"]["volumes"] for chart in inputs_of_kind(engine, "Chart")] == [True, False]
