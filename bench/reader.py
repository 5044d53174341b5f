"""A client that reads a manifest at a steady rate, and the time of its reads."""

import time
from contextlib import closing
from statistics import median, quantiles

from bench.registry_client import Client

READER_RATE, READER_SECONDS = 200, 6
"""Reads a second, and seconds of a measurement."""


def read_steadily(client: Client) -> tuple[float, float]:
    """Read the manifest over one connection. Return p50 and p99 of the seconds of a read."""
    seconds = []
    with closing(client.connect()) as connection:
        client.read_manifest(connection)
        start = time.monotonic()
        for number in range(READER_RATE * READER_SECONDS):
            time.sleep(max(0, start + number / READER_RATE - time.monotonic()))
            begin = time.perf_counter()
            client.read_manifest(connection)
            seconds.append(time.perf_counter() - begin)
    return median(seconds), quantiles(seconds, n=100)[-1]
