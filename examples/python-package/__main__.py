"""A registry by the SDK that `pulumi package add` generates from the component's folder (README.md).

Unlike `from registry import PrivateRegistry`, the component runs in a process and a virtual environment of its own:
this program needs neither its dependencies nor its version of Python.
"""

import pulumi
import pulumi_private_registry as private_registry

registry = private_registry.PrivateRegistry(
    "python",
    hostname="python.registry.example.com",
    port=5003,
    namespace="registry-from-python",
    storage_path="/var/lib/registry-from-python",
    storage_size="1Gi",
    certificate_key="P-384",
)
for output in ("endpoint", "ca_pem", "password", "namespace"):
    pulumi.export(output, getattr(registry, output))
