"""The certificate: a CA, the leaf it signs, and the TLS Secret that the Pod mounts; or one that is there already.

A CA and a leaf rather than one self-signed certificate: clients trust the CA, and the leaf is renewed under it without
any client noticing (docs/adr/0002-ca-and-leaf.md). The CA itself is rotated in steps (docs/adr/0014-rotation.md).
"""

from collections.abc import Callable, Sequence

import pulumi
import pulumi_kubernetes as kubernetes

from ..args import PrivateRegistryArgs
from ..metadata import Metadata
from ..rotation import Rotation
from ..validation.secrets import opened
from .authority import Hosts, generated_authorities, given_authority, said_of
from .leaf import Leaf, made_leaf

__all__ = ["Certificate", "Leaf"]


class Certificate(pulumi.ComponentResource):
    """CA, leaf and Secret: whom to trust is known first, and `serve` makes the rest once clients were told."""

    ca_pem: pulumi.Output[str]
    """What clients trust, PEM."""

    def __init__(
        self,
        name: str,
        given: PrivateRegistryArgs,
        host: pulumi.Output[str],
        hosts: Hosts,
        metadata: Metadata,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("private-registry:index:Certificate", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        self._rotation: Rotation | None = None
        self._serve: Callable[[Sequence[pulumi.Resource], Sequence[pulumi.Output[str]]], Leaf]
        if given.get("tls_secret") is not None:
            self.ca_pem, found = _existing(name, given, host, metadata, child)
            self._serve = lambda *_: found
            return
        if given.get("ca_certificate") is not None:
            authorities = given_authority(given)
        else:
            self._rotation = _rotation(name, given, opts)
            child = pulumi.ResourceOptions(parent=self, depends_on=[self._rotation.permitted])
            authorities = generated_authorities(name, given, hosts, child)
        self.ca_pem = authorities.trusted_pem

        def serve(after: Sequence[pulumi.Resource], addresses: Sequence[pulumi.Output[str]]) -> Leaf:
            all_hosts = pulumi.Output.all(hosts, *addresses).apply(lambda known: [*known[0], *known[1:]])
            return made_leaf(name, given, all_hosts, authorities.signer, metadata, child, after)

        self._serve = serve

    def serve(self, after: Sequence[pulumi.Resource] = (), addresses: Sequence[pulumi.Output[str]] = ()) -> Leaf:
        """Sign, once `after` is there: what hands the CA out to clients, which must not see the leaf before.

        `addresses` are SANs beside the hosts, which the CA did not have to wait for.
        """
        leaf = self._serve(after, addresses)
        self.register_outputs({"ca_pem": self.ca_pem, "leaf_pem": leaf.pem, "secret_name": leaf.secret_name})
        return leaf

    def served(self, after: Sequence[pulumi.Resource]) -> None:
        """Note that this step of a rotation is taken: `after`, which serves the leaf, is there."""
        if self._rotation is not None:
            self._rotation.taken(after)


def _rotation(name: str, given: PrivateRegistryArgs, opts: pulumi.ResourceOptions | None) -> Rotation:
    """Of the generated CA; says at `preview` which step it is.

    Beside the certificate, not in it: what waits for the certificate would wait for the note that waits for it.
    """
    rotation = Rotation(name, "ca_generations", given["ca_generations"], opts.parent if opts else None)
    if said := said_of(given["ca_generations"]):
        rotation.permitted.apply(lambda _: pulumi.log.info(said))
    return rotation


def _existing(
    name: str, given: PrivateRegistryArgs, host: pulumi.Output[str], metadata: Metadata, opts: pulumi.ResourceOptions
) -> tuple[pulumi.Output[str], Leaf]:
    """The Secret of somebody else, if it holds what clients that type `host` accept; and what they trust, PEM."""
    found = kubernetes.core.v1.Secret.get(
        f"{name}-from-kubectl-get-secrets", metadata.id_of(given["tls_secret"]), opts=opts
    )
    known = pulumi.Output.unsecret(pulumi.Output.all(found.data, host).apply(lambda both: _chain(*both)))
    secret_name = pulumi.Output.all(known, given["tls_secret"]).apply(lambda both: str(both[1]))
    return known.apply(lambda pair: pair[0]), Leaf(known.apply(lambda pair: pair[1]), secret_name)


def _chain(data: dict[str, str], host: str) -> tuple[str, str]:
    """What clients trust, and the leaf: `ca.crt` of the Secret, or else the end of its chain."""
    from ..validation.pem import as_pem, bundle, served  # imported where it is needed: it takes as long as all the rest

    texts = opened("tls_secret", data, ("tls.crt", "tls.key"), "make it with `kubectl create secret tls`")
    leaf, *above = served(texts["tls.crt"], texts["tls.key"], [host])
    ca = bundle("tls_secret", texts["ca.crt"]) if "ca.crt" in texts else above or [leaf]
    return as_pem(ca), as_pem([leaf])
