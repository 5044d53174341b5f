"""Check the S3 server of the tests: every host and Pod reaches it, and it requires keys.

No offline test can show this, because the server and the network are those of the lab.
"""

import json

import pytest

from dev.cluster.plan import HOSTS, LAPTOP, NODES
from dev.environment import STATE
from tests.e2e.lab import NAME, Lab
from tests.e2e.s3 import PORT, S3

pytestmark = pytest.mark.e2e


def test_every_host_and_pod_reaches_the_server_which_requires_keys(lab: Lab, s3: S3) -> None:
    ca = STATE / NAME / "s3-ca.pem"
    ca.write_text(s3.ca_pem)
    command = ("curl", "--silent", "--max-time", "10", "--cacert", ca, f"{s3.endpoint}/{s3.bucket}?list-type=2")
    for host in HOSTS:
        done = lab.cluster.run(host.name, command, capture_output=True, text=True, check=False)
        assert "<Code>AccessDenied</Code>" in done.stdout, f"{host.name}: {done}"
    connect = ("nc", "-w", "5", LAPTOP.address, str(PORT))
    for node in NODES:
        pod, overrides = f"s3-from-{node.name}", json.dumps({"spec": {"nodeName": node.name}})
        lab.kubectl("run", pod, "--image=busybox:1.35", "--restart=Never", f"--overrides={overrides}", "--", *connect)
        lab.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{pod}", "--timeout=60s")
        lab.kubectl("delete", "pod", pod)
