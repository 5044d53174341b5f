"""Take over the namespace and the images of a registry that was set up by hand.

The program imports the namespace with all its objects, and uses the existing folder of images. It creates a new
certificate, new passwords and a new Pod.
"""

import pulumi

from registry import Exposure, PrivateRegistry, redact_debug_log

redact_debug_log()
config = pulumi.Config()


def adopt(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    """Add the option that imports the namespace. Return None for other resources.

    The same update adds the labels. Later updates do not need this function.
    """
    if args.type_ != "kubernetes:core/v1:Namespace":
        return None
    import_option = pulumi.ResourceOptions(import_=config.require("namespace"))
    return pulumi.ResourceTransformResult(args.props, pulumi.ResourceOptions.merge(args.opts, import_option))


registry = PrivateRegistry(
    "registry",
    {
        "namespace": config.require("namespace"),
        "storage_path": config.require("storage_path"),
        "exposure": Exposure.EXTERNAL_IPS,
        "external_ips": ["192.168.56.10"],
        "port": config.require_int("port"),
    },
    pulumi.ResourceOptions(transforms=[adopt] if config.get_bool("adopt") else []),
)
for output in ("endpoint", "ca_pem", "username", "password", "next_steps"):
    pulumi.export(output, getattr(registry, output))
