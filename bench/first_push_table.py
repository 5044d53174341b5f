"""The times as a table, with the goals and whether they are met."""

from bench.figures import ratios, rows, seconds, spread, verdict
from bench.first_push import Times
from bench.ways import GUIDE, UP, WAIT

GOALS = {GUIDE.title: 0.5, WAIT.title: 0.3}
"""What `pulumi up` may take at most, as a part of each other way."""

TABLE = """\
# From a ready cluster to the first authenticated push

| way | first push | of that, `docker login` and `docker push` | `pulumi up` takes, of this | goal |
|---|---|---|---|---|
{ways}

| beside it | time |
|---|---|
{beside}

Median and range of {runs} runs, the ways in turn on the same cluster after a round to warm up; the ratios are of the
two times of the same round. The registry's image is on the nodes, the stack exists and is empty, the laptop knows the
registry's name. Counted: everything from the command to the end of the push, for Pulumi also `pulumi stack output`,
which brings the CA and the password. The guide as a script is `bench/guide.sh`. A program that makes nothing shows
what the engine takes alone: its start, Python's and the state's.

Measured on {machine}.
"""


def table(times: Times, machine: str) -> str:
    """Markdown."""
    ways = rows(*(_row(times, way) for way in times.pushed))
    beside = rows(*((title, seconds(values)) for title, values in times.beside.items()))
    return TABLE.format(ways=ways, beside=beside, runs=len(times.pushed[UP.title]), machine=machine)


def _row(times: Times, way: str) -> tuple[str, ...]:
    pairs = zip(times.pushed[way], times.deployed[way], strict=True)
    pushes = [pushed - deployed for pushed, deployed in pairs]
    return way, seconds(times.pushed[way]), seconds(pushes), *_compared(times, way)


def _compared(times: Times, way: str) -> tuple[str, str]:
    if way not in GOALS:
        return "", ""
    parts = ratios(times.pushed[UP.title], times.pushed[way])
    return spread(parts), verdict(parts, GOALS[way])
