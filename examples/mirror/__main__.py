"""Deploy a registry and its mirror, which keeps every image that is pulled through it.

The mirror takes the upstream's endpoint, login and CA from the upstream's outputs. Everybody pulls from it without a
login.
"""

import pulumi

from registry import Exposure, Mode, PrivateRegistry, redact_debug_log

redact_debug_log()
config = pulumi.Config()

upstream = PrivateRegistry(
    "upstream",
    {"namespace": "upstream-registry", "storage_path": "/var/lib/upstream-registry", "users": ["mirror", "ci"]},
)
mirror = PrivateRegistry(
    "mirror",
    {
        "hostname": config.require("hostname"),
        "exposure": Exposure.NODE_PORT,
        "node_port": 30501,
        "namespace": "mirror-registry",
        "storage_path": "/var/lib/mirror-registry",
        "mode": Mode.MIRROR,
        "anonymous_pull": ["**"],
        "mirror_of": pulumi.Output.concat("https://", upstream.endpoint),
        "mirror_username": upstream.username,
        "mirror_password": upstream.password,
        "upstream_ca": upstream.ca_pem,
    },
)
for name, registry in {"upstream": upstream, "mirror": mirror}.items():
    outputs = ("endpoint", "ca_pem", "passwords", "namespace")
    pulumi.export(name, {output: getattr(registry, output) for output in outputs})
