"""The benchmarks: everything in turn, honest tables, a guide that is the guide. No clock that matters runs here."""

import asyncio
import fcntl
import subprocess
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest

from bench import __main__ as command_line
from bench import first_push, graph, preview, program
from bench.__main__ import Benchmark
from bench.default_wait import SKIP_AWAIT, with_default_wait
from bench.fake_engine import Answered
from bench.figures import Outcome, milliseconds, ratios, spread, verdict
from bench.first_push import Times, measure
from bench.lab import Lab, lab
from bench.plot import draw, timeline
from bench.probe import fresh
from bench.probe import graph as graph_probe
from bench.report import table
from bench.ways import GUIDE, HERE, UP, WAIT
from dev.console import Unmet


@dataclass
class Diary:
    """A lab, and ways to deploy, that only note what is asked of them."""

    title: str = ""
    pages: list[str] = field(default_factory=list)

    def prepare(self, lab: Lab) -> None:
        self.pages.append(f"prepare {self.title}")

    def deploy(self, lab: Lab) -> str:
        self.pages.append(f"deploy {self.title}")
        return f"password of {self.title}"

    def remove(self, lab: Lab) -> None:
        self.pages.append(f"remove {self.title}")

    def push(self, password: str) -> None:
        self.pages.append(f"push with {password}")

    def forget(self) -> None:
        self.pages.append("forget")


@pytest.fixture
def times() -> Times:
    """The second round took twice as long as the others, for every way."""
    pushed = {UP.title: [2.0, 4.0, 2.2], GUIDE.title: [5.0, 10.0, 4.0], WAIT.title: [6.0, 12.0, 6.0]}
    deployed = {way: [seconds - 0.5 for seconds in values] for way, values in pushed.items()}
    return Times(pushed, deployed, {"`pulumi preview`, nothing to change": [1.0, 2.0, 1.5]})


def test_the_ways_take_turns_and_each_push_is_a_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[str] = []
    monkeypatch.setattr(first_push, "WAYS", (Diary("a", pages), Diary("b", pages)))
    monkeypatch.setattr(first_push, "EMPTY", Diary("nothing", pages))
    times = measure(cast(Lab, Diary(pages=pages)), runs=2)
    turn = []
    for way in "ab":
        turn += [f"deploy {way}", f"push with password of {way}", f"remove {way}", "forget"]
    assert pages == ["prepare a", "prepare b", "prepare nothing", *turn * 3], "one round to warm up, two that count"
    assert [len(values) for values in times.pushed.values()] == [2, 2]


def test_a_second_benchmark_is_told_to_wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bench.lab.LOCK", tmp_path / "lock")
    with (tmp_path / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Unmet, match="wait until it has ended"), lab():
            pytest.fail("it began")


def test_the_table_compares_round_by_round_and_says_whether_each_goal_is_met(times: Times) -> None:
    up, guide, wait = (
        line for line in table(times, "2 cores").splitlines() if line.split(" | ")[0][2:] in times.pushed
    )
    assert up == "| `pulumi up` | 2.2 s (2.0 to 4.0) | 0.5 s (0.5 to 0.5) |  |  |"
    assert "| 0.40 (0.40 to 0.55) | ≤ 0.5: met |" in guide
    assert "| 0.33 (0.33 to 0.37) | ≤ 0.3: not met |" in wait


def test_the_table_says_how_often_and_on_what_it_was_measured(times: Times) -> None:
    text = table(times, "2 cores, 4 GiB")
    assert "of 3 runs" in text
    assert "Measured on 2 cores, 4 GiB." in text
    assert "| `pulumi preview`, nothing to change | 1.5 s (1.0 to 2.0) |" in text


def test_the_plot_is_a_picture(times: Times, tmp_path: Path) -> None:
    draw(times, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_the_guide_has_its_eleven_steps_in_order_and_is_a_script() -> None:
    lines = (HERE / "guide.sh").read_text().splitlines()
    numbered = [line.split()[1] for line in lines if line.startswith("# ") and line.split()[1].rstrip(".").isdigit()]
    assert numbered == [f"{step}." for step in range(1, 12)]
    assert subprocess.run(["bash", "-n", HERE / "guide.sh"], check=False).returncode == 0


@pytest.mark.parametrize("kind", ["v1:Service", "v1:PersistentVolumeClaim"])
def test_the_default_wait_comes_back_for_the_service_only(kind: str) -> None:
    props: dict[str, Any] = {"metadata": {"name": "it", "annotations": {SKIP_AWAIT: "true"}}, "spec": {"port": 5000}}
    args = pulumi.ResourceTransformArgs(True, f"kubernetes:core/{kind}", "it", props, pulumi.ResourceOptions())
    changed = with_default_wait(args)
    if kind == "v1:Service":
        assert changed is not None
        assert changed.props == {"metadata": {"name": "it", "annotations": {}}, "spec": {"port": 5000}}
    else:
        assert changed is None
    assert props["metadata"]["annotations"], "what the program said is left alone"


def test_figures_are_the_median_the_range_and_whether_the_goal_is_met() -> None:
    assert spread([2.0, 4.0, 1.0], unit=" s") == "2.00 s (1.00 to 4.00)"
    assert milliseconds([0.05, 0.04, 0.06]) == "50.0 ms (40.0 to 60.0)"
    assert milliseconds([5.0]) == "5000 ms (5000 to 5000)"
    assert ratios([1.0, 2.0], [2.0, 8.0]) == [0.5, 0.25]
    assert verdict([0.1, 0.5, 9.0], 0.5) == "≤ 0.5: met", "the median counts"
    assert verdict([0.6], 0.5, "half") == "≤ half: not met"


@dataclass
class Invocation:
    """A command line whose benchmarks only note that they were run."""

    ran: list[tuple[str, int]] = field(default_factory=list)

    def note(self, name: str, rounds: int) -> Outcome:
        self.ran.append((name, rounds))
        return Outcome(f"page of {name}", {f"{name}.png": lambda file: file.touch()})


@pytest.fixture
def invocation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invocation:
    noted = Invocation()
    here = {each: lambda rounds, _, name=each: noted.note(name, rounds) for each in command_line.HERE}
    there = {each: lambda _, rounds, __, name=each: noted.note(name, rounds) for each in command_line.ON_A_CLUSTER}
    monkeypatch.setattr(command_line, "HERE", here)
    monkeypatch.setattr(command_line, "ON_A_CLUSTER", there)
    monkeypatch.setattr(command_line, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(command_line, "describe", lambda _: "machine")
    monkeypatch.setattr(command_line, "lab", lambda: nullcontext(None))
    return noted


def test_all_benchmarks_are_run_and_written_down(invocation: Invocation, tmp_path: Path) -> None:
    command_line.bench()
    assert invocation.ran == [(each, 5) for each in Benchmark]
    assert (tmp_path / "results" / "first_push.md").read_text() == "page of first-push"
    assert (tmp_path / "results" / "first-push.png").exists()


def test_chosen_ones_are_run_alone_and_a_rehearsal_is_not_written_down(
    invocation: Invocation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_line, "lab", lambda: pytest.fail("nothing here needs a cluster"))
    command_line.bench([Benchmark.GRAPH], rounds=2)
    assert invocation.ran == [("graph", 2)]
    assert capsys.readouterr().out == "page of graph\n"
    assert not (tmp_path / "results").exists()


def answered(name: str, *needs: str, waits: bool = True, asked: float = 0.0) -> Answered:
    return Answered(name, name, waits, needs, asked, asked + 0.2)


def test_the_longest_chains_lead_through_components_and_each_is_named_once() -> None:
    requests = [
        answered("whole", "the stack", waits=False),
        answered("node", "whole"),
        answered("part", "node", "whole", waits=False),
        answered("claim", "node", "part"),
        answered("key", "whole"),
        answered("certificate", "key"),
        answered("salt", "whole"),
        answered("pod", "claim", "certificate", "salt"),
    ]
    assert graph.longest_chains(requests) == [["node", "claim", "pod"], ["key", "certificate", "pod"]]


def test_the_span_is_from_the_first_request_to_the_last_answer() -> None:
    assert graph.span([answered("b", asked=10.3), answered("a", asked=10.0)]) == pytest.approx(0.5)


def test_the_graph_page_names_the_longest_chain_and_says_whether_each_goal_is_met() -> None:
    wide = [answered("key"), answered("certificate", "key", asked=0.2), answered("salt")]
    narrow = [answered("key"), answered("certificate", "key", asked=0.2), answered("salt", asked=0.4)]
    page = graph.table(graph.Runs([wide], [narrow], [narrow]), "2 cores")
    assert "| one registry | 2.00 latencies (2.00 to 2.00) | ≤ 5.5: met |" in page
    assert "| one registry, of the series | 0.67 (0.67 to 0.67) | ≤ 0.4: not met |" in page
    assert "2 of 3 resources:\n\n- `key` → `certificate`\n" in page
    assert "Measured on 2 cores." in page


def test_the_timeline_is_a_picture(tmp_path: Path) -> None:
    timeline([answered("key"), answered("certificate", "key", asked=0.2)], 0.2, {"key"}, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@cache
def requests_of(workers: int) -> list[Answered]:
    """Return the requests of one registry, which is deployed here with so many threads."""
    asyncio.set_event_loop(loop := asyncio.new_event_loop())
    try:
        return [Answered(**each) for each in graph_probe("0", str(workers), "0")]
    finally:
        loop.close()
        asyncio.set_event_loop(None)


@pytest.mark.parametrize("workers", [128, 1])
def test_the_fake_engine_is_asked_for_nothing_before_what_it_needs(workers: int) -> None:
    requests = requests_of(workers)
    known = {each.urn: each for each in requests}
    assert len(known) == len(requests), "each once"
    for each in requests:
        assert all(each.asked >= known[need].done for need in each.needs if need in known)
    if workers == 1:
        assert all(one.done <= other.asked for one, other in pairwise(requests)), "in series"


def test_registries_are_made_side_by_side_in_one_program() -> None:
    """In a process of its own, as the benchmarks do it."""
    assert fresh("program", 2)["resources"] == 2 * len(requests_of(128))


def test_what_a_package_imports_of_others_is_read_from_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import json\nimport pulumi_tls as tls, bcrypt\nfrom . import b\n")
    (tmp_path / "b.py").write_text("from pulumi.runtime import config\ndef late() -> None:\n    import matplotlib\n")
    assert program.imported(tmp_path.glob("*.py")) == ["bcrypt", "pulumi.runtime", "pulumi_tls"]


def test_the_program_page_counts_what_each_registry_adds() -> None:
    times = {
        program.SDK: [0.2, 0.4],
        program.REGISTRY: [0.3, 0.5],
        **{f"program {count}": [0.03 + 0.01 * count] * 2 for count in (1, 10)},
        **{f"bare {count}": [0.01 * count] * 2 for count in program.COUNTS},
        "program 100": [0.04 + 99 * 0.03] * 2,
    }
    page = program.table(times, ["pulumi"], 23, "2 cores")
    assert "| `import registry` | 400 ms (300 to 500) | ≤ 1.1 times that + 100 ms: met |" in page
    assert "| 10 registries | 130 ms (130 to 130) | 100 ms (100 to 100) | 1.30 (1.30 to 1.30) |" in page
    assert "| of 10 | 10.0 ms (10.0 to 10.0) | 10.0 ms (10.0 to 10.0) | ≤ 20 ms: met |" in page
    assert "| of 100 | 30.0 ms (30.0 to 30.0) | 10.0 ms (10.0 to 10.0) | ≤ 20 ms: not met |" in page


def test_the_preview_page_compares_ten_with_one_and_with_nothing() -> None:
    titles = [each.title for each in preview.PROGRAMS]
    page = preview.table(dict(zip(titles, ([0.5, 1.0], [1.0, 2.0], [2.8, 5.6]), strict=True)), "2 cores")
    assert f"| {preview.TEN.title} | 4.2 s (2.8 to 5.6) | 5.60 (5.60 to 5.60) | 2.80 (2.80 to 2.80) |" in page
    assert "nine more adds 0.30 s (0.20 to 0.40), 0.40 (0.40 to 0.40) of what the first one adds" in page
