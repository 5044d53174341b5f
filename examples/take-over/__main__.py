"""A registry that was set up by hand, taken over with its namespace and its images.

The namespace is imported, with whatever else lives in it, and the folder of the images is found again. The rest is
made anew: a certificate that is renewed, passwords that nobody chose, a Pod that may do nothing but serve.
"""

import pulumi

from registry import PrivateRegistry

config = pulumi.Config()


def adopt(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    """Import the namespace as it is. Once it is in the state, `adopt` is off, and the next update adds its labels."""
    if args.type_ != "kubernetes:core/v1:Namespace":
        return None
    as_it_is = pulumi.ResourceOptions(import_=config.require("namespace"), ignore_changes=["metadata"])
    return pulumi.ResourceTransformResult(args.props, pulumi.ResourceOptions.merge(args.opts, as_it_is))


registry = PrivateRegistry(
    "registry",
    {
        "namespace": config.require("namespace"),
        "storage_path": config.require("storage_path"),
        "exposure": "external-ips",
        "external_ips": ["192.168.56.10"],
        "port": config.require_int("port"),
    },
    pulumi.ResourceOptions(transforms=[adopt] if config.get_bool("adopt") else []),
)
for output in ("endpoint", "ca_pem", "username", "password"):
    pulumi.export(output, getattr(registry, output))
