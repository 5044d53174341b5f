"""One measurement in a process of its own, so that nothing is warm that is not meant to be: prints JSON.

`python -m bench.probe` with one of

    program COUNT                  how long a program of COUNT registries takes, and how many resources it has
    bare COUNT                     the same of COUNT ConfigMaps
    graph LATENCY WORKERS TOO      the requests of one registry; TOO is 1 if components take a latency as well
"""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from bench.fake_engine import WORKERS, FakeEngine, run
from bench.registries import PROGRAM, make


def program(count: str) -> Any:
    import registry  # noqa: F401  # how long this takes is measured apart

    engine = FakeEngine()
    with ThreadPoolExecutor(WORKERS) as workers:
        return {"seconds": run(lambda: make(int(count)), engine, workers), "resources": len(engine.answered)}


def bare(count: str) -> Any:
    """What the SDK takes by itself: the smallest resources that there are."""
    from pulumi_kubernetes.core.v1 import ConfigMap

    def config_maps() -> None:
        for number in range(int(count)):
            ConfigMap(f"map-{number}", metadata={"name": f"map-{number}"}, data={"key": "value"})

    with ThreadPoolExecutor(WORKERS) as workers:
        return {"seconds": run(config_maps, FakeEngine(), workers)}


def graph(latency: str, workers: str, components_too: str) -> Any:
    """After a run that counts for nothing: the first one loads modules, which is no matter of the graph."""
    engine = FakeEngine(float(latency), components_too == "1")
    with ThreadPoolExecutor(int(workers)) as pool:
        run(lambda: make(1), FakeEngine(), pool)
        run(lambda: make(1), engine, pool)
    return [asdict(each) for each in engine.answered]


PROBES: dict[str, Callable[..., Any]] = {"program": program, "bare": bare, "graph": graph}


def fresh(*arguments: object) -> Any:
    """What a probe with these arguments prints, in a new process."""
    argv = [sys.executable, "-m", "bench.probe", *map(str, arguments)]
    return json.loads(subprocess.run(argv, cwd=PROGRAM, check=True, stdout=subprocess.PIPE, text=True).stdout)


if __name__ == "__main__":
    print(json.dumps(PROBES[sys.argv[1]](*sys.argv[2:])))
