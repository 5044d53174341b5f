"""A registry with access rules. What keeps its images is protected, and everything else may be replaced.

`protect` as an option of the registry would protect every object. An update could not replace the Pod then.
"""

import pulumi

from registry import PrivateRegistry, redact_debug_log

KEPT = {
    "kubernetes:core/v1:Namespace",
    "kubernetes:core/v1:PersistentVolume",
    "kubernetes:core/v1:PersistentVolumeClaim",
}
"""Types of the objects that are lost with their images."""

redact_debug_log()
config = pulumi.Config()


def protect_storage(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    """Protect the storage of the registry, and the resource with the first storage location."""
    if args.type_ not in KEPT and not args.name.endswith("-data-location"):
        return None
    protected = pulumi.ResourceOptions(protect=config.require_bool("protect"))
    return pulumi.ResourceTransformResult(args.props, pulumi.ResourceOptions.merge(args.opts, protected))


registry = PrivateRegistry(
    "registry",
    {
        "hostname": "policy.registry.example.com",
        "namespace": "policy-registry",
        "storage_path": "/var/lib/policy-registry",
        "users": ["jean"],
        "anonymous_pull": ["public/**"],
    },
    pulumi.ResourceOptions(transforms=[protect_storage]),
)
pulumi.export("endpoint", registry.endpoint)
