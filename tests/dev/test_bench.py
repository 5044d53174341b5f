"""The benchmarks: order of the measurements, figures and pages. No test depends on a measured time."""

import asyncio
import fcntl
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pulumi
import pytest

from bench import __main__ as command_line
from bench import access, access_table, first_push, first_push_table, graph, program, replacement, scrub, wrong_logins
from bench.__main__ import Benchmark
from bench.access_servers import ACCESS, ACCESS_CHOSEN, DIRECT, HTPASSWD_CHOSEN, READER, SETUPS, UNKNOWN, WRITER
from bench.default_wait import SKIP_AWAIT, remove_skip_await
from bench.fake_engine import Request
from bench.first_push import Times, measure_first_push
from bench.lab import running_lab
from bench.measure import measure_graph
from bench.methods import DEFAULT_WAIT, GUIDE, PULUMI_UP
from bench.ownership_program import remove_change_policy
from bench.plot import plot_first_push, plot_timeline
from bench.registry_client import REPOSITORY, Client, create_blob
from bench.tables import Outcome, compute_ratios, format_goal, format_milliseconds, format_spread
from dev.errors import BenchmarkError, RequirementError


def test_methods_take_turns_and_every_push_is_a_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Mock()
    for name, method in {"a": calls.a, "b": calls.b}.items():
        method.title = name
    monkeypatch.setattr(first_push, "METHODS", (calls.a, calls.b))
    monkeypatch.setattr(first_push, "EMPTY", calls.empty)
    times = measure_first_push(calls.lab, rounds=2)
    prepared = ["a.prepare", "b.prepare", "empty.prepare"]
    turns = [call for name in "ab" for call in (f"{name}.deploy", "lab.push", f"{name}.remove", "lab.reset")]
    assert [call[0] for call in calls.mock_calls] == [*prepared, *turns * 3], "One round is not measured, and two are."
    calls.lab.push.assert_called_with(calls.b.deploy.return_value)
    assert [len(values) for values in times.pushed.values()] == [2, 2]


def test_a_second_benchmark_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bench.lab.LOCK", tmp_path / "lock")
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RequirementError), running_lab():
            pytest.fail("It started.")


@pytest.mark.parametrize(("rounds", "saved"), [(4, []), (5, ["first_push.md", "plot.png"])])
def test_results_of_few_rounds_are_not_saved(
    rounds: int, saved: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command_line, "RESULTS", tmp_path)
    command_line.save_outcome(Benchmark.FIRST_PUSH, Outcome("page", {"plot.png": Path.touch}), rounds)
    assert sorted(file.name for file in tmp_path.iterdir()) == saved


def test_only_a_service_loses_its_skip_await() -> None:
    for kind, expected in {"Service": {"name": "it", "annotations": {}}, "Secret": None}.items():
        props: dict[str, Any] = {"metadata": {"name": "it", "annotations": {SKIP_AWAIT: "true"}}}
        args = pulumi.ResourceTransformArgs(True, f"kubernetes:core/v1:{kind}", "it", props, pulumi.ResourceOptions())
        result = remove_skip_await(args)
        assert (result and result.props["metadata"]) == expected


def test_only_a_pod_loses_its_change_policy() -> None:
    context = {"fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch"}
    for kind, expected in {"Pod": {"fsGroup": 65532}, "Secret": None}.items():
        props: dict[str, Any] = {"spec": {"securityContext": context}}
        args = pulumi.ResourceTransformArgs(True, f"kubernetes:core/v1:{kind}", "it", props, pulumi.ResourceOptions())
        result: Any = remove_change_policy(args)
        assert (result and result.props["spec"]["securityContext"]) == expected


def test_blobs_are_stored_as_the_registry_stores_them(tmp_path: Path) -> None:
    replacement.store_blobs(tmp_path / "images", 257)
    files = [path for path in (tmp_path / "images").rglob("*") if path.is_file()]
    assert len(files) == 257
    assert all(path.name == "data" and path.parent.name.startswith("0" * 61) for path in files)
    assert len({path.parent.parent for path in files}) == 256


def test_the_page_of_replacements_compares_with_the_empty_folder_of_a_round(tmp_path: Path) -> None:
    times = {
        **{(0, False): [2.0, 4.0], (0, True): [2.0, 4.0], (25_000, False): [2.0, 4.4], (25_000, True): [3.0, 6.0]},
        **{(256_000, False): [3.0, 6.0], (256_000, True): [8.0, 16.0]},
    }
    page = replacement.render_page(times, "2 cores")
    assert "| 25,000 | 3.2 s (2.0 to 4.4) | 1.05 (1.00 to 1.10) | ≤ 1.1: met | 4.5 s (3.0 to 6.0) | 1.50" in page
    assert "| 1.50 (1.50 to 1.50) | ≤ 1.1: not met | 12.0 s (8.0 to 16.0) | 4.00 (4.00 to 4.00) |" in page
    replacement.plot(times, tmp_path / "replacement.png")


def test_setups_take_turns_and_every_layer_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "PUSHES", 2)
    servers, figures = [Mock(setup=setup) for setup in (DIRECT, ACCESS)], access.Figures()
    pushed = Mock()
    for server in servers:
        server.client.return_value.push_image = lambda layers, setup=server.setup: pushed(setup, [*layers])
    access._measure_pushes(servers, figures)
    assert [call.args[0] for call in pushed.mock_calls] == [DIRECT, ACCESS, DIRECT, ACCESS]
    assert len({layer.digest for call in pushed.mock_calls for layer in call.args[1]}) == 4 * access.LAYERS
    assert [len(values) for values in figures.values.values()] == [1, 1]


def test_the_client_pushes_a_layer_as_docker_does(monkeypatch: pytest.MonkeyPatch) -> None:
    send = Mock()
    send.return_value.getheader.return_value = f"https://registry:5000/v2/{REPOSITORY}/blobs/uploads/1?_state=x"
    monkeypatch.setattr(Client, "send", send)
    blob = create_blob(100_000)
    Client("registry:5000").push_blob(Mock(), blob)
    upload = f"/v2/{REPOSITORY}/blobs/uploads/1?_state=x"
    assert [call.args[1:3] for call in send.call_args_list] == [
        ("HEAD", f"/v2/{REPOSITORY}/blobs/{blob.digest}"),
        ("POST", f"/v2/{REPOSITORY}/blobs/uploads/"),
        ("PATCH", upload),
        ("PUT", f"{upload}&digest={blob.digest}"),
        ("HEAD", f"/v2/{REPOSITORY}/blobs/{blob.digest}"),
    ]


class ImmediateExecutor(ThreadPoolExecutor):
    """Call at once in the thread of the caller, so that no call is cancelled, however slow the machine is."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = Future[Any]()
        future.set_result(call(*args, **kwargs))
        return future


def test_a_flood_counts_the_responses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong_logins, "ThreadPoolExecutor", ImmediateExecutor)
    monkeypatch.setattr(wrong_logins, "send_wrong_login", lambda address, user, number: 401 if number < 10 else 429)
    assert wrong_logins.flood("registry:5000", "jean", rate=1000, seconds=0.05) == {401: 10, 429: 40}


def test_the_page_of_access_compares_with_no_authentication(tmp_path: Path) -> None:
    """A setup has the figures of no authentication times its factor. In the second round all figures are doubled."""
    figures = access.Figures()
    factors = dict(zip(SETUPS, (1.0, 2.0, 40.0, 1.2, 1.3), strict=True))
    for setup, factor in factors.items():
        for measure in (*access_table.GOALS, access.MEMORY):
            unit = 50 * 2**20 if measure == access.MEMORY else 0.05
            figures.values[setup, measure] = [factor * unit, 2 * factor * unit]
    for setup in (HTPASSWD_CHOSEN, ACCESS_CHOSEN):
        for number, user in enumerate(("", UNKNOWN, READER, WRITER)):
            figures.values[setup, user] = [0.002 * number]
            figures.reader[setup, user] = [(0.001, 0.002 * (1 + 2 * number))]
            figures.statuses[setup, user] = Counter({429: 290, 401: 10})
    page = access_table.render_page(figures, "2 cores", "HAProxy 3")
    assert "| `access`, generated password | 90.0 ms (60.0 to 120.0) | 1.20 (1.20 to 1.20) | ≤ 1.25: met |" in page
    assert "| 1.30 (1.30 to 1.30) | ≤ 1.25: not met |" in page
    assert "| htpasswd, generated password | 150 ms (100 to 200) | 2.00 (2.00 to 2.00) |  |" in page
    assert "| `access`, chosen password | 98 (65 to 130) | 22 (15 to 30) | ≤ 60: met |" in page
    assert "| `access` | an unknown name | 2.0 ms (2.0 to 2.0) | ≤ 3 ms: met |" in page
    assert "| `access` | a user with a generated password | 4.0 ms (4.0 to 4.0) | ≤ 3 ms: not met |" in page
    assert "| 7.00 (7.00 to 7.00) | ≤ 5: not met | 401: 10, 429: 290 |" in page
    access_table.plot(figures, tmp_path / "access.png")
    assert (tmp_path / "access.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_of_scrubs_compares_with_the_same_client_without_one(tmp_path: Path) -> None:
    figures = scrub.Figures([(0.001, 0.002), (0.001, 0.004)], [(0.001, 0.0026), (0.001, 0.0064)], [1.5, 1.7])
    page = scrub.render_page(figures, "2 cores", "HAProxy 3")
    assert "| scrub | 1.0 ms (1.0 to 1.0) | 4.5 ms (2.6 to 6.4) | 1.45 (1.30 to 1.60) | ≤ 1.5: met |" in page
    assert "| 1.6 s (1.5 to 1.7) of CPU for 1 GB | ≤ 8.3 s, which is 120 MB/s a core: met |" in page
    scrub.plot(figures, tmp_path / "scrub.png")


def test_a_scrub_that_fails_ends_the_benchmark() -> None:
    with pytest.raises(BenchmarkError), scrub._repeating(["false"]) as shell:
        shell.wait()


def test_figures_show_the_median_the_range_and_whether_the_median_meets_the_goal() -> None:
    assert format_spread([2.0, 4.0, 1.0], unit=" s") == "2.00 s (1.00 to 4.00)"
    assert format_milliseconds([0.05, 0.04, 0.06]) == "50.0 ms (40.0 to 60.0)"
    assert compute_ratios([1.0, 2.0], [2.0, 8.0]) == [0.5, 0.25]
    assert format_goal([0.1, 0.5, 9.0], 0.5) == "≤ 0.5: met"
    assert format_goal([0.6], 0.5, "half") == "≤ half: not met"


def create_request(name: str, *dependencies: str, has_latency: bool = True, at: float = 0.0) -> Request:
    return Request(name, name, has_latency, dependencies, at, at + 0.2)


def test_pages_compare_the_values_of_a_round(tmp_path: Path) -> None:
    """The second round took twice as long for all methods."""
    pushed = {PULUMI_UP.title: [2.0, 4.0, 2.2], GUIDE.title: [5.0, 10.0, 4.0], DEFAULT_WAIT.title: [6.0, 12.0, 6.0]}
    deployed = {title: [seconds - 0.5 for seconds in values] for title, values in pushed.items()}
    times = Times(pushed, deployed, {})
    page = first_push_table.render_page(times, "2 cores")
    assert "| 2.2 s (2.0 to 4.0) | 0.5 s (0.5 to 0.5) |" in page
    assert "| 0.40 (0.40 to 0.55) | ≤ 0.5: met |" in page
    assert "| 0.33 (0.33 to 0.37) | ≤ 0.3: not met |" in page
    assert "2 cores" in page
    plot_first_push(times, tmp_path / "first_push.png")

    parallel = [create_request("key"), create_request("leaf", "key", at=0.2), create_request("salt")]
    in_sequence = [create_request("key"), create_request("leaf", "key", at=0.2), create_request("salt", at=0.4)]
    page = graph.render_page(graph.RequestsByVariant([parallel], [in_sequence], [in_sequence]), "2 cores")
    assert "| 2.00 latencies (2.00 to 2.00) | ≤ 5.5: met |" in page
    assert "| 0.67 (0.67 to 0.67) | ≤ 0.4: not met |" in page
    plot_timeline(parallel, 0.2, {"key"}, tmp_path / "graph.png")
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in tmp_path.iterdir())


def test_the_time_of_one_more_registry_is_computed_from_the_times_of_one_and_of_ten() -> None:
    assert program.compute_additional({"program 1": [1.0], "program 10": [2.8]}, "program", 10) == pytest.approx([0.2])


def test_the_longest_chains_pass_through_components_which_do_not_count() -> None:
    requests = [
        create_request("registry", "stack", has_latency=False),
        create_request("node", "registry"),
        create_request("storage", "node", "registry", has_latency=False),
        create_request("claim", "node", "storage"),
        create_request("key", "registry"),
        create_request("leaf", "key"),
        create_request("salt", "registry"),
        create_request("pod", "claim", "leaf", "salt"),
    ]
    assert graph.find_longest_chains(requests) == [["node", "claim", "pod"], ["key", "leaf", "pod"]]


@pytest.mark.parametrize("workers", [128, 1])
def test_the_fake_engine_answers_dependencies_first(workers: int) -> None:
    asyncio.set_event_loop(loop := asyncio.new_event_loop())
    try:
        requests = [Request(**values) for values in measure_graph("0", str(workers), "0")]
    finally:
        loop.close()
        asyncio.set_event_loop(None)
    by_urn = {request.urn: request for request in requests}
    assert len(by_urn) == len(requests)
    for request in requests:
        dependencies = [by_urn[urn] for urn in request.dependencies if urn in by_urn]
        assert all(request.requested_at >= dependency.answered_at for dependency in dependencies)
    if workers == 1:
        assert all(one.answered_at <= other.requested_at for one, other in pairwise(requests))


def test_dependencies_are_read_from_the_imports_at_the_top_level(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import json\nimport pulumi_tls as tls, bcrypt\nfrom . import b\n")
    (tmp_path / "b.py").write_text("from pulumi.runtime import config\ndef late() -> None:\n    import matplotlib\n")
    assert program.find_dependencies(tmp_path.glob("*.py")) == ["bcrypt", "pulumi.runtime", "pulumi_tls"]
