"""Relay TCP connections to the API server, as a program on the laptop: `python relay.py PORT ADDRESS PORT FILE`.

While FILE exists, it closes all connections and refuses new ones, as a server that is away.
"""

import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

POLL_SECONDS = 0.02


def copy(source: socket.socket, target: socket.socket) -> None:
    """Copy bytes until one side closes."""
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for side in (source, target):
        with suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


def listen(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), reuse_port=True)


def main() -> None:
    port, address, target_port, away = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    pairs: list[tuple[socket.socket, socket.socket]] = []
    server = listen(port)
    server.settimeout(POLL_SECONDS)
    while True:
        if away.exists():
            server.close()
            for side in (side for pair in pairs for side in pair):
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)
            pairs.clear()
            while away.exists():
                time.sleep(POLL_SECONDS)
            server = listen(port)
            server.settimeout(POLL_SECONDS)
        with suppress(TimeoutError):
            client, _ = server.accept()
            client.settimeout(None)
            upstream = socket.create_connection((address, target_port))
            pairs.append((client, upstream))
            for ends in ((client, upstream), (upstream, client)):
                threading.Thread(target=copy, args=ends, daemon=True).start()


if __name__ == "__main__":
    main()
