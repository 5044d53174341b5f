"""No removal behind the back of a node that is down: its files would stay there, and nothing would ever take them away.

The API server itself refuses to delete the DaemonSet as long as one of its Pods cannot clean up after itself.
"""

import pulumi
import pulumi_kubernetes as kubernetes

from ..metadata import Metadata

FORGET = "private-registry/forget-nodes"
"""Annotation, set by a person, of a DaemonSet that may go though some node keeps its files."""

REMOVABLE = f"oldObject.status.numberReady == oldObject.status.desiredNumberScheduled || \
(has(oldObject.metadata.annotations) && '{FORGET}' in oldObject.metadata.annotations)"


def keep_while_a_node_is_out_of_reach(
    name: str, app: str, metadata: Metadata, opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Refuse to delete the DaemonSet while a node could not take its files away: nothing would do so afterwards."""
    told = f"""'some node is not in order (kubectl get pods --all-namespaces -l app.kubernetes.io/name={app} -o wide) \
and would keep its files: bring it back, or delete the Node; or give its files up by kubectl annotate daemonset {app} \
{FORGET}=true -n ' + oldObject.metadata.namespace"""
    policy = kubernetes.admissionregistration.v1.ValidatingAdmissionPolicy(
        name,
        metadata=metadata.of(cluster_scoped=True),
        spec={
            "failure_policy": "Fail",
            "match_constraints": {
                "namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": metadata.namespace}},
                "resource_rules": [
                    {
                        "api_groups": ["apps"],
                        "api_versions": ["v1"],
                        "operations": ["DELETE"],
                        "resources": ["daemonsets"],
                    }
                ],
            },
            "validations": [{"expression": REMOVABLE, "message_expression": told}],
        },
        opts=opts,
    )
    binding = kubernetes.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
        f"{name}-binding",
        metadata=metadata.of(cluster_scoped=True),
        spec={"policy_name": policy.metadata.name, "validation_actions": ["Deny"]},
        opts=opts,
    )
    return [policy, binding]
