"""The page of the benchmark `first-push`."""

from bench.first_push import Times
from bench.methods import DEFAULT_WAIT, GUIDE, PULUMI_UP
from bench.tables import compute_ratios, format_goal, format_rows, format_seconds, format_spread

GOALS = {GUIDE.title: 0.5, DEFAULT_WAIT.title: 0.3}
"""Highest ratio of `pulumi up` to each other method that meets the goal."""

PAGE = """\
# From a ready cluster to the first authenticated push

| method | first push | of that, `docker login` and `docker push` | ratio of `pulumi up` to it | goal |
|---|---|---|---|---|
{methods}

| other command | time |
|---|---|
{other}

Median and range of {rounds} rounds. The methods take turns on one cluster, after an unmeasured round. Ratios compare
the two times of a round. At the start, the nodes have the registry's image, the stack is empty, and the laptop resolves
the registry's name. The time runs from the command to the end of the push. With Pulumi it includes `pulumi stack
output`, which prints the CA and the password. The guide as a script is `bench/guide.sh`. The program without resources
shows the time of the engine alone: its start, the start of Python, and the state.

Measured on {machine}.
"""


def render_page(times: Times, machine: str) -> str:
    """Return the page in Markdown."""
    methods = format_rows(*(_row(times, title) for title in times.pushed))
    other = format_rows(*((title, format_seconds(values)) for title, values in times.other.items()))
    return PAGE.format(methods=methods, other=other, rounds=len(times.pushed[PULUMI_UP.title]), machine=machine)


def _row(times: Times, title: str) -> tuple[str, ...]:
    pairs = zip(times.pushed[title], times.deployed[title], strict=True)
    pushes = [pushed - deployed for pushed, deployed in pairs]
    return title, format_seconds(times.pushed[title]), format_seconds(pushes), *_comparison(times, title)


def _comparison(times: Times, title: str) -> tuple[str, str]:
    if title not in GOALS:
        return "", ""
    ratios = compute_ratios(times.pushed[PULUMI_UP.title], times.pushed[title])
    return format_spread(ratios), format_goal(ratios, GOALS[title])
