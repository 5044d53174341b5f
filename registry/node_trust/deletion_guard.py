"""Block deletion of the DaemonSet while a node is down, because its files would never be cleaned up.

The API server itself refuses the deletion as long as one of the Pods is not ready.
"""

import pulumi
import pulumi_kubernetes as kubernetes

from ..context import Context

FORGET_NODES = "private-registry/forget-nodes"
"""Annotation that a person sets to allow the deletion although a node keeps its files."""

DELETION_ALLOWED = f"oldObject.status.numberReady == oldObject.status.desiredNumberScheduled || \
(has(oldObject.metadata.annotations) && '{FORGET_NODES}' in oldObject.metadata.annotations)"
"""CEL expression that is true if the DaemonSet may be deleted."""


def create_deletion_guard(ctx: Context) -> list[pulumi.Resource]:
    """Create a policy that refuses to delete the DaemonSet while a node could not remove its files."""
    message = f"""'a node is not ready and would keep its files. Find it by \
kubectl get pods --all-namespaces -l app.kubernetes.io/name={ctx.app} -o wide. Bring it back, or delete the Node. \
To leave its files there, run kubectl annotate daemonset {ctx.app} {FORGET_NODES}=true -n ' \
+ oldObject.metadata.namespace"""
    policy = kubernetes.admissionregistration.v1.ValidatingAdmissionPolicy(
        f"{ctx.name}-guard",
        metadata=ctx.metadata(cluster_scoped=True),
        spec={
            "failure_policy": "Fail",
            "match_constraints": {
                "namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": ctx.namespace}},
                "resource_rules": [
                    {
                        "api_groups": ["apps"],
                        "api_versions": ["v1"],
                        "operations": ["DELETE"],
                        "resources": ["daemonsets"],
                    }
                ],
            },
            "validations": [{"expression": DELETION_ALLOWED, "message_expression": message}],
        },
        opts=ctx.options(),
    )
    binding = kubernetes.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
        f"{ctx.name}-guard-binding",
        metadata=ctx.metadata(cluster_scoped=True),
        spec={"policy_name": policy.metadata.name, "validation_actions": ["Deny"]},
        opts=ctx.options(),
    )
    return [policy, binding]
