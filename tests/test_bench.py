"""The benchmark: the ways in turn, honest tables, a guide that is the guide. No clock that matters runs here."""

import fcntl
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest

from bench import first_push
from bench.default_wait import SKIP_AWAIT, with_default_wait
from bench.first_push import Times, measure
from bench.lab import Lab, lab
from bench.plot import draw
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
