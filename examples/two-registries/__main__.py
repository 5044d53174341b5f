"""Two registries of two teams. They differ in namespace, port, folder, kind of key, logins and process user.

Preview refuses two registries with the same namespace, the same folder on a node or the same port of an address.
"""

import pulumi

from registry import CertificateKey, Exposure, PrivateRegistry, redact_debug_log

redact_debug_log()
config = pulumi.Config()

for team, port in (("red", 5001), ("blue", 5002)):
    registry = PrivateRegistry(
        team,
        {
            "hostname": f"{team}.registry.example.com",
            "namespace": f"{team}-registry",
            "port": port,
            "exposure": Exposure.EXTERNAL_IPS,
            "external_ips": [config.require("address")],
            "certificate_key": CertificateKey.RSA2048 if team == "red" else CertificateKey.P384,
            "users": [team],
            "storage_path": f"/var/lib/{team}-registry",
            "run_as_user": 0 if team == "red" else 65532,
        },
    )
    pulumi.export(team, {"endpoint": registry.endpoint, "ca_pem": registry.ca_pem, "password": registry.password})
