"""The output `next_steps`: how a client with Docker gets from a deployed registry to its first image.

It names the outputs that hold the CA and the password, so it contains no secret. A program exports them under the names
that they have here.
"""

from collections.abc import Sequence

import pulumi

from .choices import Exposure, Mode

INSIDE = """\
{endpoint} is deployed. Only Pods and nodes of the cluster reach it.
  To serve other clients, set `exposure` to another value, and run `pulumi up`.
"""

OUTSIDE = """\
{endpoint} is deployed. On a client with Docker (`pulumi stack output next_steps` prints all lines):
  trust   pulumi stack output ca_pem > ca.pem && sudo install -D --mode 644 ca.pem {folder}/ca.crt
  name    {name}
  log in  {login}
  {image}
"""

FOLDER = "/etc/docker/certs.d"
"""Folder of Docker with a folder for each endpoint."""

HOSTS_LINE = 'echo "{address} {host}" | sudo tee -a /etc/hosts  # unless DNS resolves the name'

NODE_ADDRESS = "$(kubectl get nodes --output jsonpath='{.items[0].status.addresses[0].address}')"
"""Address of a node, for a shell. Every node accepts connections to a node port."""

DNS_NAME = "Let DNS resolve {host} to the address or name of the {server}."

WITH_PASSWORD = (
    "pulumi stack output password --show-secrets | docker login {endpoint} --username {username} --password-stdin"
)

WITHOUT_PASSWORD = "docker login {endpoint}"
"""Login of users that the component did not create."""

IMAGE_LINES = {
    Mode.READ_WRITE: "push    docker tag busybox:1.35 {endpoint}/busybox:1.35 && docker push {endpoint}/busybox:1.35",
    Mode.READ_ONLY: "pull    docker pull {endpoint}/busybox:1.35",
    Mode.MIRROR: "pull    docker pull {endpoint}/library/busybox:1.35",
}
"""Last line by mode."""

SERVERS = {
    Exposure.LOAD_BALANCER: "load balancer",
    Exposure.INGRESS: "Ingress controller",
    Exposure.GATEWAY: "Gateway",
}
"""Server that the clients' name must resolve to, by exposure, if its address is not known."""


def next_steps(
    exposure: str,
    mode: str,
    endpoint: pulumi.Output[str],
    username: pulumi.Output[str],
    addresses: pulumi.Output[list[str]],
    *,
    is_external: bool,
) -> pulumi.Output[str]:
    """Return the text when the addresses are resolved. `is_external` means that clients type the hostname."""
    if not is_external:
        return endpoint.apply(lambda host_port: INSIDE.format(endpoint=host_port))
    return pulumi.Output.all(endpoint, username, addresses).apply(
        lambda resolved: describe_client_steps(*resolved, exposure=exposure, mode=mode)
    )


def describe_client_steps(endpoint: str, username: str, addresses: Sequence[str], *, exposure: str, mode: str) -> str:
    """Return the steps of a client outside of the cluster."""
    host = endpoint.rpartition(":")[0]
    if exposure == Exposure.NODE_PORT:
        addresses = [NODE_ADDRESS]
    if addresses:
        name = HOSTS_LINE.format(address=addresses[0], host=host)
    else:
        name = DNS_NAME.format(host=host, server=SERVERS.get(Exposure(exposure), exposure))
    login = (WITH_PASSWORD if username else WITHOUT_PASSWORD).format(endpoint=endpoint, username=username)
    image = IMAGE_LINES[Mode(mode)].format(endpoint=endpoint)
    return OUTSIDE.format(endpoint=endpoint, folder=f"{FOLDER}/{endpoint}", name=name, login=login, image=image)
