"""The page with the results of the last soak."""

from pathlib import Path

from tests.harness import soak_page
from tests.harness.parts import E2E
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
