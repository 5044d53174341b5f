"""A registry that was set up by hand, taken over with its namespace and its images.

The namespace is imported, with whatever else lives in it, and the folder of the images is found again. The rest is
made anew: a certificate that is renewed, passwords that nobody chose, a Pod that may do nothing but serve.
"""

import pulumi

from registry import PrivateRegistry

config = pulumi.Config()


def adopt(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    """Import the namespace: the same update adds its labels. Once it is in the state, `adopt` has done its work."""
    if args.type_ != "kubernetes:core/v1:Namespace":
        return None
    found = pulumi.ResourceOptions(import_=config.require("namespace"))
    return pulumi.ResourceTransformResult(args.props, pulumi.ResourceOptions.merge(args.opts, found))


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
