"""The pages with the results of the last soak and of the last drills."""

from pathlib import Path

from tests.harness import drill_page, soak_page
from tests.harness.parts import DRILLS, E2E
from tests.harness.report import Figure, Phase, RunReport
from tests.harness.runner import Result


def test_the_page_has_the_seed_the_counts_and_the_figures(tmp_path: Path) -> None:
    report = RunReport(
        seconds=3.0,
        counts={"passed": 2},
        phases=[Phase("tests/e2e/test_a.py::test_a", "call", 2.0, "passed")],
        figures=[Figure("tests/e2e/test_a.py::test_a", "20 rotations,\n0 failed requests")],
    )
    soak_page.write([Result(E2E, True, 60.0, 30.0, report)], 123, tmp_path / "soak.md")
    page = (tmp_path / "soak.md").read_text()
    assert "make soak SEED=123" in page
    assert "| e2e | 2 | 0 |" in page
    assert "| `e2e/test_a.py::test_a` | 20 rotations, 0 failed requests |" in page


def test_the_drills_replace_the_table_and_keep_the_text(tmp_path: Path) -> None:
    page = tmp_path / "reliability.md"
    page.write_text(f"before\n{drill_page.BEGIN}old\n{drill_page.END}after\n")
    nodeids = ("tests/e2e/drills/test_a.py::test_a_killed_node", "tests/e2e/drills/test_a.py::test_a_gap[bare Pod]")
    report = RunReport(
        phases=[Phase(nodeid, "call", 2.0, "passed") for nodeid in nodeids],
        figures=[Figure(nodeids[0], "0 lost"), Figure(nodeids[0], "back after\n2 s")],
    )
    for _ in range(2):
        drill_page.write(Result(DRILLS, True, 60.0, 30.0, report), page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert text.count("| A killed node | 0 lost; back after 2 s |") == 1
    assert "| A gap (bare Pod) | passed |" in text


def test_the_page_of_the_drills_has_a_place_for_their_table() -> None:
    text = drill_page.PAGE.read_text()
    assert text.index(drill_page.BEGIN) < text.index(drill_page.END)
