"""Send wrong logins at a steady rate: `python -m bench.wrong_logins ADDRESS USER RATE SECONDS`.

It runs in a process of its own, so that the reader that is measured does not wait for it. It prints the number of the
responses by status, as JSON. Each login uses a connection of its own, as those of clients do.
"""

import json
import sys
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

from bench.registry_client import Client, basic

MOST_AT_A_TIME = 32
"""Wrong logins that wait for a response at the same time."""


def send_wrong_login(address: str, user: str, number: int) -> int:
    """Send a wrong login on a new connection. Return the status of the response."""
    client = Client(address, header={"Authorization": basic(user, f"wrong password {number}")})
    with closing(client.connect()) as connection:
        return client.send(connection, "GET", "/v2/", (401, 429)).status


def flood(address: str, user: str, rate: float, seconds: float) -> Counter[int]:
    """Send `rate` wrong logins a second, or fewer if the server is slower. Return the responses by status."""
    start = time.monotonic()
    sent: list[Future[int]] = []
    with ThreadPoolExecutor(MOST_AT_A_TIME) as threads:
        for number in range(round(rate * seconds)):
            time.sleep(max(0, start + number / rate - time.monotonic()))
            sent.append(threads.submit(send_wrong_login, address, user, number))
        time.sleep(max(0, start + seconds - time.monotonic()))
        threads.shutdown(cancel_futures=True)
    return Counter(login.result() for login in sent if not login.cancelled())


if __name__ == "__main__":
    _, address, user, rate, seconds = sys.argv
    print(json.dumps(flood(address, user, float(rate), float(seconds))))
