"""The page and the plot of the benchmark `access`."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

from bench.access import (
    CHOSEN_WRONG_LOGINS,
    FLOOD_RATE,
    FLOODED,
    LARGE_LAYERS,
    LAYERS,
    LINK,
    LINKED_TIME,
    MEMORY,
    PULLED_CPU,
    PULLED_TIME,
    PUSH,
    PUSHED_CPU,
    PUSHED_TIME,
    PUSHES,
    READ,
    READS,
    SLOW_LARGE_LAYERS,
    SLOW_PUSHES,
    SLOW_READS,
    TARGETS,
    WRONG_LOGINS,
    Figures,
    measure_access,
)
from bench.access_servers import DIRECT, READER, SETUPS, UNKNOWN, WRITER, Setup, describe_servers
from bench.plot import plot_dots
from bench.reader import READER_RATE, READER_SECONDS
from bench.tables import (
    Outcome,
    compute_ratios,
    format_goal,
    format_milliseconds,
    format_rows,
    format_seconds,
    format_spread,
)

GOALS = {
    **{PUSH: 1.25, READ: 1.8, PUSHED_CPU: 1.5, PULLED_CPU: 1.9},
    **{PUSHED_TIME: 1.25, PULLED_TIME: 1.25, LINKED_TIME: 1.25},
}
"""Highest ratio of `access` to no authentication that meets the goal. A time of 1.25 is a speed of 0.8."""

MEMORY_GOAL = 60
"""MiB that `access` may add to the registry's memory."""

FLOOD_GOAL = 5
"""Highest ratio of the p99 under a flood to the p99 without one that meets the goal."""

LOGIN_GOAL = 0.003
"""Highest processor time in seconds of a wrong login that meets the goal, for a user without a chosen password."""

PLOTTED = {PUSH: "push", READ: "GET", PUSHED_CPU: "CPU, pushed layer", PULLED_CPU: "CPU, pulled layer"}

MOST_PLOTTED = 10
"""Highest ratio that the plot shows. A greater ratio would make the small ones invisible."""

TARGET_TITLES = {
    "": "none",
    UNKNOWN: "an unknown name",
    READER: "a user with a generated password",
    WRITER: "a user with a chosen password",
}

PAGE = """\
# A registry with `access`, and without authentication

| push of {layers} small layers | time | ratio to no authentication | goal |
|---|---|---|---|
{push}

| GET of a manifest, p50 | time | ratio to no authentication | goal |
|---|---|---|---|
{read}

| 512 MiB pushed | CPU | ratio | goal | time | ratio | goal |
|---|---|---|---|---|---|---|
{pushed}

| 512 MiB pulled | CPU | ratio | goal | time | ratio | goal |
|---|---|---|---|---|---|---|
{pulled}

| 512 MiB pulled over 1 Gbit/s | time | ratio to no authentication | goal |
|---|---|---|---|
{linked}

| memory after the pushes | MiB | more than no authentication | goal |
|---|---|---|---|
{memory}

| registry | wrong logins for | CPU of each | goal | other client's p50 | p99 | ratio to none | goal | responses |
|---|---|---|---|---|---|---|---|---|
{logins}

Median and range of {rounds} rounds, after an unmeasured round. In a round, all setups run side by side with new
processes, and take turns. Ratios compare the figures of a round. Servers and clients share the machine and its loopback
address. The images are in memory, so that no disk is measured. CPU and memory are those of the registry and the proxy,
with all processes.

- "htpasswd" is the registry's own authentication, as without `access`. The hash of a generated password has cost 5,
  that of a chosen password cost 10.
- The client pushes as Docker does. It asks how to log in, fetches a token if the answer demands one, and sends five
  requests for each layer, five layers at a time. A round has {pushes} pushes, whose median counts. Each layer has
  10 kB. The proxy compares a chosen password by bcrypt in the first push of a round, and remembers it.
- A round has {reads} GETs over one connection, and {large_layers} large layers, whose medians count. htpasswd with a
  chosen password has {slow_pushes} push, {slow_reads} GETs and {slow_large_layers} large layer, because they take long.
- On the loopback address, a large layer is as fast as the processors, which clients and servers share. A network is
  slower. For "over 1 Gbit/s" a client reads at most {link:.0f} MB a second, once in a round.
- A wrong login has a connection of its own. Its CPU is the average of {wrong_logins} wrong logins, or of {guesses} for
  a user with a chosen password. A flood has {flood_rate} wrong logins a second. Meanwhile another client reads a
  manifest {reader_rate} times a second for {reader_seconds} seconds. The status 429 means that the proxy refuses to
  compare more passwords. Such a wrong login costs as little as one for an unknown name.

Measured on {machine}, {servers}.
"""


def benchmark(rounds: int, machine: str) -> Outcome:
    """Measure the setups in turn. Return the page and its plot."""
    figures = measure_access(rounds)
    return Outcome(render_page(figures, machine, describe_servers()), {"access.png": partial(plot, figures)})


def render_page(figures: Figures, machine: str, servers: str) -> str:
    """Return the page in Markdown."""
    return PAGE.format(
        push=format_rows(*(_time_row(figures, setup, PUSH) for setup in SETUPS)),
        read=format_rows(*(_time_row(figures, setup, READ) for setup in SETUPS)),
        pushed=format_rows(*(_large_row(figures, setup, PUSHED_CPU, PUSHED_TIME) for setup in SETUPS)),
        pulled=format_rows(*(_large_row(figures, setup, PULLED_CPU, PULLED_TIME) for setup in SETUPS)),
        linked=format_rows(*(_time_row(figures, setup, LINKED_TIME) for setup in SETUPS)),
        memory=format_rows(*(_memory_row(figures, setup) for setup in SETUPS)),
        logins=format_rows(*(_login_row(figures, setup, user) for setup in FLOODED for user in ("", *TARGETS))),
        rounds=len(figures.values[DIRECT, PUSH]),
        machine=machine,
        servers=servers,
        layers=LAYERS,
        pushes=PUSHES,
        reads=READS,
        large_layers=LARGE_LAYERS,
        slow_large_layers=SLOW_LARGE_LAYERS,
        link=LINK / 1e6,
        slow_pushes=SLOW_PUSHES,
        slow_reads=SLOW_READS,
        wrong_logins=WRONG_LOGINS,
        guesses=CHOSEN_WRONG_LOGINS,
        flood_rate=FLOOD_RATE,
        reader_rate=READER_RATE,
        reader_seconds=READER_SECONDS,
    )


def _ratio_cells(figures: Figures, setup: Setup, measure: str) -> tuple[str, str]:
    """Return the ratio to no authentication, and for `access` the goal."""
    if setup == DIRECT:
        return "", ""
    ratios = compute_ratios(figures.values[setup, measure], figures.values[DIRECT, measure])
    return format_spread(ratios), format_goal(ratios, GOALS[measure]) if setup.has_proxy else ""


def _time_row(figures: Figures, setup: Setup, measure: str) -> tuple[str, ...]:
    return setup.title, format_milliseconds(figures.values[setup, measure]), *_ratio_cells(figures, setup, measure)


def _large_row(figures: Figures, setup: Setup, cpu: str, duration: str) -> tuple[str, ...]:
    cells = (
        (format_seconds(figures.values[setup, measure]), *_ratio_cells(figures, setup, measure))
        for measure in (cpu, duration)
    )
    return setup.title, *(cell for group in cells for cell in group)


def _memory_row(figures: Figures, setup: Setup) -> tuple[str, ...]:
    values = [value / 2**20 for value in figures.values[setup, MEMORY]]
    direct = [value / 2**20 for value in figures.values[DIRECT, MEMORY]]
    more = [value - reference for value, reference in zip(values, direct, strict=True)]
    goal = format_goal(more, MEMORY_GOAL) if setup.has_proxy else ""
    return setup.title, format_spread(values, digits=0), "" if setup == DIRECT else format_spread(more, digits=0), goal


def _login_row(figures: Figures, setup: Setup, user: str) -> tuple[str, ...]:
    reads, idle = figures.reader[setup, user], figures.reader[setup, ""]
    middle, slow = ([read[at] for read in reads] for at in (0, 1))
    cells = setup.title.partition(",")[0], TARGET_TITLES[user]
    if not user:
        return *cells, "", "", format_milliseconds(middle), format_milliseconds(slow), "", "", ""
    seconds = figures.values[setup, user]
    ratios = compute_ratios(slow, [read[1] for read in idle])
    has_login_goal = setup.has_proxy and user != WRITER
    return (
        *cells,
        format_milliseconds(seconds),
        format_goal(seconds, LOGIN_GOAL, f"{1000 * LOGIN_GOAL:.0f} ms") if has_login_goal else "",
        format_milliseconds(middle),
        format_milliseconds(slow),
        format_spread(ratios),
        format_goal(ratios, FLOOD_GOAL) if setup.has_proxy else "",
        ", ".join(f"{status}: {count}" for status, count in sorted(figures.statuses[setup, user].items())),
    )


def plot(figures: Figures, file: Path) -> None:
    """Plot the ratios to no authentication, those of `access` in blue."""
    rows = dict(_plotted_rows(figures))
    highlighted = {title for title in rows if "access" in title}
    plot_dots(rows, highlighted, "Ratio to no authentication", file, unit="ratio", format_values=format_spread)


def _plotted_rows(figures: Figures) -> Iterator[tuple[str, list[float]]]:
    for measure, title in PLOTTED.items():
        for setup in SETUPS[1:]:
            ratios = compute_ratios(figures.values[setup, measure], figures.values[DIRECT, measure])
            if median(ratios) < MOST_PLOTTED:
                yield f"{title}: {setup.title}", ratios
