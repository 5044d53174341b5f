"""Measure in a new process, so that no module is loaded yet. `python -m bench.measure` prints JSON.

program COUNT                     seconds and resources of a program with COUNT registries
config_maps COUNT                 seconds of a program with COUNT ConfigMaps
graph LATENCY WORKERS DELAY       requests of one registry, and the engine delays the answers for components too
                                  if DELAY is 1
"""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from bench.fake_engine import WORKERS, FakeEngine, run_program
from bench.registries import PROJECT, create_registries


def measure_program(count: str) -> Any:
    """Measure a program with `count` registries."""
    import registry  # noqa: F401  # its import is measured separately

    engine = FakeEngine()
    with ThreadPoolExecutor(WORKERS) as workers:
        seconds = run_program(lambda: create_registries(int(count)), engine, workers)
    return {"seconds": seconds, "resources": len(engine.requests)}


def measure_config_maps(count: str) -> Any:
    """Measure the time of the SDK itself, with the smallest kind of resource."""
    from pulumi_kubernetes.core.v1 import ConfigMap

    def config_maps() -> None:
        for number in range(int(count)):
            ConfigMap(f"map-{number}", metadata={"name": f"map-{number}"}, data={"key": "value"})

    with ThreadPoolExecutor(WORKERS) as workers:
        return {"seconds": run_program(config_maps, FakeEngine(), workers)}


def measure_graph(latency: str, workers: str, delay_components: str) -> Any:
    """Return the requests of one registry, after an unmeasured run that loads the modules."""
    engine = FakeEngine(float(latency), delay_components == "1")
    with ThreadPoolExecutor(int(workers)) as pool:
        run_program(lambda: create_registries(1), FakeEngine(), pool)
        run_program(lambda: create_registries(1), engine, pool)
    return [asdict(request) for request in engine.requests]


MEASUREMENTS: dict[str, Callable[..., Any]] = {
    "program": measure_program,
    "config_maps": measure_config_maps,
    "graph": measure_graph,
}


def measure_in_new_process(*arguments: object) -> Any:
    """Run a measurement in a new process and return its result."""
    argv = [sys.executable, "-m", "bench.measure", *map(str, arguments)]
    return json.loads(subprocess.run(argv, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True).stdout)


if __name__ == "__main__":
    print(json.dumps(MEASUREMENTS[sys.argv[1]](*sys.argv[2:])))
