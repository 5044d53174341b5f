"""What of a registry needs a person within the next 30 days, and what that person has to do. Pure: facts in, words out.

A verdict without a remedy needs nobody. What a fact is of, and where it came from, is said by the module that found it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from registry.certificate.authority import said_of
from registry.validation.certificates import LONGEST_DAYS
from registry.validation.images import image_advice

from .facts import Authority, Leaf, Settings, Space, Trust

SOON = 30
"""Days."""

SCARCE = 0.1
"""Of a volume: less free space than this share needs a person."""

GIB = 2**30


class Verdict(NamedTuple):
    """What is the case; and the remedy, if it needs a person."""

    seen: str
    remedy: str = ""


def leaf(found: Leaf, settings: Settings) -> Verdict:
    """A registry that is not renewed serves nobody from one day to the next."""
    seen = f"{_left(found.days)}, signed by {found.signer}"
    if not found.trusted:
        another = "another registry answers there, or a Pod from before the last change: `pulumi up --refresh`"
        return Verdict(f"{seen}, which clients of this stack do not trust", another)
    return Verdict(seen, _renewal(found, settings) if found.days <= SOON else "")


def authorities(found: Sequence[Authority], settings: Settings) -> Verdict:
    """The component's own are replaced in their last days, and no client trusts what comes then: rotate them before."""
    seen = "; ".join(f"{each.name}: {_left(each.days)}" for each in found)
    newest = max(found, key=lambda each: each.generation or 0)
    is_own = newest.generation is not None and not settings.brings_ca and settings.tls_secret is None
    if is_own and len(found) == 1 and newest.days <= LONGEST_DAYS + SOON:
        first = [newest.generation, (newest.generation or 0) + 1]
        why = f"in its last {LONGEST_DAYS} days `pulumi up` replaces it by one that no client trusts"
        return Verdict(seen, f"rotate it, with ca_generations {first} at first: {why}")
    if min(each.days for each in found) <= SOON:
        return Verdict(seen, _succession(settings))
    return Verdict(seen)


def rotation(signer: str, found: Sequence[Authority], settings: Settings) -> Verdict:
    """Two CAs of the component are one in use and one that was or will be; half way is no place to stay."""
    generations = observed(signer, found)
    if settings.brings_ca or settings.tls_secret is not None or any(each.generation is None for each in found):
        return Verdict("not applicable: the CA is none of the component's own")
    if not generations:
        return Verdict("not to be told: the certificate is by none of these CAs")
    asked = settings.ca_generations
    if len(generations) == 1 and asked in (None, generations):
        return Verdict(f"none under way, CA {generations[0]} signs")
    seen, _, remedy = said_of(generations).partition("; ")
    if asked not in (None, generations):
        remedy = f"`pulumi up`: the config asks for ca_generations {list(asked or ())}"
    return Verdict(seen.removeprefix("CA rotation, ") or f"CA {generations[0]} signs", remedy)


def observed(signer: str, found: Sequence[Authority]) -> list[int]:
    """The generations as `ca_generations` has them, the signer first; nothing where they are not the component's."""
    numbers = [each.generation for each in found if each.generation is not None]
    signs = [each.generation for each in found if each.name == signer]
    if len(numbers) != len(found) or len(found) > 2 or len(signs) != 1:
        return []
    return sorted(numbers, key=lambda number: number != signs[0])


def users(names: Sequence[str]) -> Verdict:
    """Nothing to judge: who is meant to get in is for people to say."""
    return Verdict(", ".join(names) or "those of a Secret of yours (`users_secret`)")


def images(found: Sequence[str]) -> Verdict:
    """Of the Pods that run; more than one while a change rolls out."""
    return Verdict(", ".join(found), "; ".join(filter(None, map(image_advice, found))))


def space(found: Space | None) -> Verdict:
    """A full disk fails every push, and what was pushed in part stays on it."""
    if found is None:
        return Verdict("not applicable: the images are in an object store")
    share = found.free / found.size
    seen = f"{found.free / GIB:.1f} of {found.size / GIB:.1f} GiB ({share:.0%})"
    remedy = "make room on that disk, delete images (`allow_delete`) and collect garbage, or move to a larger one"
    return Verdict(seen, remedy if share < SCARCE else "")


def trust(found: Trust | None, namespace: str) -> Verdict:
    """A node that is not in order may pull nothing."""
    if found is None:
        return Verdict("not kept up here (`node_trust`)")
    see = f"see `kubectl -n {namespace} get pods -o wide`, and `kubectl describe` of one that is not ready"
    return Verdict(f"{found.ready} of {found.desired}", see if found.ready < found.desired else "")


def drift(changes: Mapping[str, int] | None, stack: str) -> Verdict:
    """What the next `pulumi up --refresh` would do: somebody has changed the cluster, or the config."""
    if changes is None:
        return Verdict("not looked for (--no-drift)")
    seen = ", ".join(f"{count} to {kind}" for kind, count in changes.items())
    of_it = f"--refresh --stack {stack}"
    remedy = f"see `pulumi preview {of_it} --diff`; `pulumi up {of_it}` does it"
    return Verdict(seen, remedy) if changes else Verdict("none")


def _left(days: float) -> str:
    return f"{int(days)} days left" if days >= 0 else f"expired {-days:.0f} days ago"


def _renewal(found: Leaf, settings: Settings) -> str:
    if settings.tls_secret is not None:
        return f"renew the certificate in the Secret {settings.tls_secret} (`tls_secret`), then `pulumi up`"
    window = settings.renew_before_days
    if window is None or found.days <= window:
        return "`pulumi up` renews it"
    return f"`pulumi up` renews it in its last {window} days (`renew_before_days`)"


def _succession(settings: Settings) -> str:
    if settings.tls_secret is not None:
        return f"put a new chain into the Secret {settings.tls_secret} (`tls_secret`), and hand out `ca_pem`"
    if settings.brings_ca:
        return "set `ca_certificate` and `ca_key` to a new CA, and hand out `ca_pem` to every client"
    return "let another CA sign, and hand it out to every client before"
