"""What is the case with a registry, thing by thing: how each is found out, and how it is judged.

What cannot be found out is a row too, with its cause and remedy: a report is wanted most when something is out of
order. Nothing here changes anything.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from . import cluster, drift, judgement, live
from .causes import explain
from .judgement import Verdict
from .place import Place
from .report import Row


class Look(NamedTuple):
    """How one thing is found out, and how it is judged."""

    title: str
    find: Callable[[Place], Any]
    judge: Callable[[Any, Place], Verdict]


TLS = {
    "leaf": Look("certificate", lambda at: at.leaf, lambda found, at: judgement.leaf(found, at.settings)),
    "authorities": Look("CA", lambda at: at.authorities, lambda found, at: judgement.authorities(found, at.settings)),
    "rotation": Look(
        "CA rotation",
        lambda at: judgement.observed(at.leaf.signer, at.authorities),
        lambda _, at: judgement.rotation(at.leaf.signer, at.authorities, at.settings),
    ),
}
"""What TLS alone tells."""

STACK = {
    "users": Look("users", lambda at: list(at.users), lambda found, _: judgement.users(found)),
    "image": Look(
        "image",
        lambda at: live.running_images(at.cluster, at.outputs.namespace),
        lambda found, _: judgement.images(found),
    ),
    "space": Look(
        "free space",
        lambda at: live.free_space(at.cluster, at.outputs.namespace),
        lambda found, _: judgement.space(found),
    ),
    "nodes": Look(
        "nodes that trust it",
        lambda at: live.trusting_nodes(at.cluster, at.outputs.namespace),
        lambda found, at: judgement.trust(found, live.trust_namespace(at.outputs.namespace)),
    ),
    "drift": Look(
        "drift",
        lambda at: drift.changes(at.stack) if at.drift else None,
        lambda found, at: judgement.drift(found, at.stack),
    ),
}
"""What the stack and its cluster tell beside."""


def look(place: Place) -> Iterator[Row]:
    """The rows, as they are found."""
    for key, each in {**TLS, **(STACK if place.stack else {})}.items():
        yield _row(key, each, place)


def _row(key: str, each: Look, place: Place) -> Row:
    try:
        with cluster.in_sight():
            facts = each.find(place)
        return Row(key, each.title, facts, each.judge(facts, place))
    except Exception as error:
        fault = explain(error, place.outputs, place.outputs.where(place.address))
        return Row(key, each.title, None, Verdict(fault.cause, fault.remedy))
