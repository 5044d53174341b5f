"""Two replicas behind one port of every node, with their images in a bucket of an S3 server with a private CA.

No replica is pinned to a node. If one stops, the other serves pushes and pulls.
"""

import pulumi

from registry import Exposure, PrivateRegistry, Storage, Workload, redact_debug_log

redact_debug_log()
config = pulumi.Config()

registry = PrivateRegistry(
    "registry",
    {
        "hostname": config.require("hostname"),
        "exposure": Exposure.NODE_PORT,
        "node_port": 30500,
        "namespace": "s3-registry",
        "workload": Workload.DEPLOYMENT,
        "replicas": 2,
        "storage": Storage.S3,
        "s3_bucket": config.require("s3_bucket"),
        "s3_endpoint": config.require("s3_endpoint"),
        "s3_access_key": config.require_secret("s3_access_key"),
        "s3_secret_key": config.require_secret("s3_secret_key"),
        "upstream_ca": config.require("upstream_ca"),
        "log_level": config.require("log_level"),
    },
)
for output in ("endpoint", "ca_pem", "username", "password", "namespace", "next_steps"):
    pulumi.export(output, getattr(registry, output))
