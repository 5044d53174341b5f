"""How long the graph of one registry is, in answers of an engine that takes the same time for each.

What `pulumi up` waits for beside Python and the cluster: a resource that needs another's answer is asked for after it.
"""

from collections.abc import Sequence
from functools import cache, partial
from typing import NamedTuple

from bench.fake_engine import WORKERS, Answered
from bench.figures import Outcome, ratios, rows, spread, verdict
from bench.plot import timeline
from bench.probe import fresh
from dev.console import step

LATENCY = 0.2
"""Seconds. The program's own time, some hundredths of a second, is part of the span: it is to be a part of little."""

SPAN_GOAL = 5.5
"""Latencies from the first request to the last answer."""

SERIES_GOAL = 0.4
"""Of the same requests one after the other."""

PAGE = """\
# The graph of one registry, against an engine that takes {latency:.0f} ms for every answer

| from the first request to the last answer | measured | goal |
|---|---|---|
{rows}

Longest chains, each resource of which needs the answer to the one before, {length} of {resources} resources:

{chains}

Median and range of {rounds} rounds of three fresh processes; "of the series" is round by round. The engine makes
nothing; it answers a component at once, as Pulumi does, unless said otherwise, and any other resource after its
latency, as many at a time as are asked for. In series: one at a time. Nothing is subtracted: before the run that
counts, each process makes a registry without latency, so that the modules are loaded, and the latency is long beside
what is left of the program's own time.

Measured on {machine}.
"""


class Runs(NamedTuple):
    """The requests of every round."""

    graph: list[list[Answered]]
    series: list[list[Answered]]
    components_too: list[list[Answered]]


def benchmark(rounds: int, machine: str) -> Outcome:
    """Measure, the three in turn."""
    runs = Runs([], [], [])
    for number in range(1, rounds + 1):
        with step(f"graph, round {number} of {rounds}"):
            for into, workers, components_too in zip(runs, (WORKERS, 1, WORKERS), (0, 0, 1), strict=True):
                into.append([Answered(**each) for each in fresh("graph", LATENCY, workers, components_too)])
    last = runs.graph[-1]
    picture = partial(timeline, last, LATENCY, {name for chain in longest_chains(last) for name in chain})
    return Outcome(table(runs, machine), {"graph.png": picture})


def span(requests: Sequence[Answered]) -> float:
    """Seconds from the first request to the last answer."""
    return max(each.done for each in requests) - min(each.asked for each in requests)


def longest_chains(requests: Sequence[Answered]) -> list[list[str]]:
    """By name, every longest chain of resources that take a latency and need the answer to the one before."""
    known = {each.urn: each for each in requests}

    @cache
    def chains_to(urn: str) -> tuple[tuple[str, ...], ...]:
        before = _longest([chain for need in known[urn].needs if need in known for chain in chains_to(need)])
        if not known[urn].took_latency:
            return before
        return tuple((*chain, known[urn].name) for chain in before or ((),))

    return [list(chain) for chain in _longest([chain for urn in known for chain in chains_to(urn)])]


def _longest(chains: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Each once."""
    length = max(map(len, chains), default=0)
    return tuple(dict.fromkeys(chain for chain in chains if len(chain) == length))


def table(runs: Runs, machine: str) -> str:
    """Markdown."""
    graph, series, too = ([span(requests) / LATENCY for requests in each] for each in runs)
    parts = ratios(graph, series)
    first = runs.graph[0]
    chains = longest_chains(first)
    return PAGE.format(
        latency=1000 * LATENCY,
        rows=rows(
            ("one registry", spread(graph, unit=" latencies"), verdict(graph, SPAN_GOAL)),
            ("the same resources in series", spread(series, unit=" latencies"), ""),
            ("one registry, of the series", spread(parts), verdict(parts, SERIES_GOAL)),
            ("one registry, if components took a latency too", spread(too, unit=" latencies"), ""),
        ),
        length=len(chains[0]),
        resources=sum(each.took_latency for each in first),
        chains="\n".join(f"- {' → '.join(f'`{name}`' for name in chain)}" for chain in chains),
        rounds=len(graph),
        machine=machine,
    )
