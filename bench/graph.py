"""The benchmark `graph`: the number of engine responses that one registry waits for in sequence.

A resource that depends on another is requested after the response for that one.
"""

from collections.abc import Sequence
from functools import cache, partial
from typing import NamedTuple

from bench.fake_engine import WORKERS, Request
from bench.measure import measure_in_new_process
from bench.plot import plot_timeline
from bench.tables import Outcome, compute_ratios, format_goal, format_rows, format_spread
from dev.console import step

LATENCY = 0.2
"""Seconds until the engine answers a request.

This is long compared to the program's own time, which the measured time includes."""

SPAN_GOAL = 5.5
"""Longest time from the first request to the last response that meets the goal, in multiples of `LATENCY`."""

SEQUENCE_GOAL = 0.4
"""Highest ratio to the time of the same requests in sequence that meets the goal."""

PAGE = """\
# The dependency graph of one registry, with an engine that takes {latency:.0f} ms for each response

| from the first request to the last response | time | goal |
|---|---|---|
{rows}

The longest chains of dependent resources have {length} of {resources} resources:

{chains}

Median and range of {rounds} rounds, each with three new processes. Ratios compare the two times of a round. The engine
is fake and creates no objects. It answers requests for a component at once, as Pulumi does, and all others in parallel
after the latency. In sequence means one request at a time. Each process first creates a registry without latency to
load the modules. The program's own time is not subtracted, because it is short compared to the latency.

Measured on {machine}.
"""


class RequestsByVariant(NamedTuple):
    """The requests of each variant, with a list for each round.

    In `delayed_components` the engine delays the answers for components too.
    """

    parallel: list[list[Request]]
    in_sequence: list[list[Request]]
    delayed_components: list[list[Request]]


VARIANTS = {"parallel": (WORKERS, 0), "in_sequence": (1, 0), "delayed_components": (WORKERS, 1)}
"""Requests that the engine answers at a time, and whether it delays the answers for components."""


def benchmark(rounds: int, machine: str) -> Outcome:
    """Measure the three variants in turn."""
    results = RequestsByVariant([], [], [])
    for number in range(1, rounds + 1):
        with step(f"graph, round {number} of {rounds}"):
            for variant, (workers, delay_components) in VARIANTS.items():
                requests = measure_in_new_process("graph", LATENCY, workers, delay_components)
                getattr(results, variant).append([Request(**request) for request in requests])
    last = results.parallel[-1]
    plot = partial(plot_timeline, last, LATENCY, {name for chain in find_longest_chains(last) for name in chain})
    return Outcome(render_page(results, machine), {"graph.png": plot})


def compute_span(requests: Sequence[Request]) -> float:
    """Return the seconds from the first request to the last response."""
    return max(request.answered_at for request in requests) - min(request.requested_at for request in requests)


def find_longest_chains(requests: Sequence[Request]) -> list[list[str]]:
    """Return the longest chains of dependent resources, each as a list of names.

    Resources without latency do not count.
    """
    by_urn = {request.urn: request for request in requests}

    @cache
    def chains_to(urn: str) -> tuple[tuple[str, ...], ...]:
        dependencies = [dependency for dependency in by_urn[urn].dependencies if dependency in by_urn]
        chains = _longest([chain for dependency in dependencies for chain in chains_to(dependency)])
        if not by_urn[urn].has_latency:
            return chains
        return tuple((*chain, by_urn[urn].name) for chain in chains or ((),))

    return [list(chain) for chain in _longest([chain for urn in by_urn for chain in chains_to(urn)])]


def _longest(chains: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Return the longest chains without duplicates."""
    length = max(map(len, chains), default=0)
    return tuple(dict.fromkeys(chain for chain in chains if len(chain) == length))


def render_page(variants: RequestsByVariant, machine: str) -> str:
    """Return the page in Markdown."""
    parallel, in_sequence, delayed = ([compute_span(requests) / LATENCY for requests in each] for each in variants)
    ratios = compute_ratios(parallel, in_sequence)
    requests = variants.parallel[-1]  # the chains are the same in every round
    chains = find_longest_chains(requests)
    return PAGE.format(
        latency=1000 * LATENCY,
        rows=format_rows(
            ("one registry", format_spread(parallel, unit=" latencies"), format_goal(parallel, SPAN_GOAL)),
            ("the same requests in sequence", format_spread(in_sequence, unit=" latencies"), ""),
            ("ratio of the two", format_spread(ratios), format_goal(ratios, SEQUENCE_GOAL)),
            ("one registry, if components had a latency too", format_spread(delayed, unit=" latencies"), ""),
        ),
        length=len(chains[0]),
        resources=sum(request.has_latency for request in requests),
        chains="\n".join(f"- {' → '.join(f'`{name}`' for name in chain)}" for chain in chains),
        rounds=len(parallel),
        machine=machine,
    )
