"""Serve a Git repository over HTTPS on a loopback address, as hosts of Git do."""

import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.issuing import issue, server_spec
from tests.serving import serving

ADDRESS = "127.83.71.1"
"""Address of the server. The URL has no port, because Python creates no virtual environment in a path with a colon."""


class GitHandler(BaseHTTPRequestHandler):
    """Answer with Git's own CGI program, which reads the repositories of the server's folder."""

    root: Path

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        variables = {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        command = ["git", "http-backend"]
        answer = subprocess.run(command, env={**os.environ, **variables}, input=body, capture_output=True, check=True)
        head, _, content = answer.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def serve_repositories(root: Path) -> Iterator[Path]:
    """Serve the repositories below `root`, and yield the file with the CAs that the server's clients trust."""
    ca = issue(server_spec(ADDRESS))
    (root / "server.pem").write_text(ca.pem + ca.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(root / "server.pem")
    trusted = root / "trusted.pem"
    system_roots = ssl.get_default_verify_paths().cafile or ssl.get_default_verify_paths().openssl_cafile
    trusted.write_text(Path(system_roots).read_text() + ca.pem)
    server = ThreadingHTTPServer((ADDRESS, 443), type("Handler", (GitHandler,), {"root": root}))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server):
        yield trusted
