"""Object stores on this machine: real servers, each in a process of its own."""

import contextlib
import http.client
import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

BUCKET = "lake"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Store:
    """A server with a bucket."""

    name: str
    endpoint: str
    # Twelve digits: some servers take the key for an account of their own.
    access_key: str = "123456789012"
    secret_key: str = "secret-of-the-bucket"
    options: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        options = {
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "allow_http": "true",
            "access_key_id": self.access_key,
            "secret_access_key": self.secret_key,
        }
        object.__setattr__(self, "options", options)

    def client(self) -> Any:
        """A client that is not the program's."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}, proxies={}),
        )

    def objects(self, prefix: str) -> dict[str, str]:
        """ETags of the objects below `prefix`, by their path from there."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        found = (entry for page in pages for entry in page.get("Contents", []))
        return {entry["Key"].removeprefix(f"{prefix}/"): entry["ETag"] for entry in found}


@contextlib.contextmanager
def server(name: str, log: Path) -> Iterator[Store]:
    """Runs moto or ministack with an empty bucket."""
    port = free_port()
    scripts = Path(sys.executable).parent
    commands = {
        "moto": [f"{scripts}/moto_server", "-H", "127.0.0.1", "-p", str(port)],
        "ministack": [f"{scripts}/ministack"],
    }
    variables = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}
    with open(log, "w") as out:
        process = subprocess.Popen(commands[name], env=os.environ | variables, stdout=out, stderr=out, cwd=log.parent)
    try:
        store = Store(name, f"http://127.0.0.1:{port}")
        _wait(port, process, log)
        store.client().create_bucket(Bucket=BUCKET)
        yield store
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        threading.Event().wait(0.1)
    raise AssertionError(f"the store does not listen: {log.read_text()}")


@contextlib.contextmanager
def without_conditions(behind: Store) -> Iterator[Store]:
    """The same store, but as some real ones are: it takes a conditional PUT, overwrites and answers 200.

    Garage is such a store, but must be compiled for a quarter of an hour; a proxy that drops the header behaves alike.
    """

    class Forgetful(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        dropped = ("if-none-match", "if-match", "connection")

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in self.dropped}
            upstream = http.client.HTTPConnection(behind.endpoint.removeprefix("http://"), timeout=60)
            try:
                upstream.request(self.command, self.path, body, headers)
                answer = upstream.getresponse()
                content = answer.read()
            finally:
                upstream.close()
            self.send_response(answer.status)
            hop_by_hop = ("transfer-encoding", "connection", "content-length", "date", "server")
            for name, value in answer.getheaders():
                if name.lower() not in hop_by_hop:
                    self.send_header(name, value)
            # The answer to HEAD tells the length of a body that does not come.
            told = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", told or str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = forward

        def log_message(self, format: str, *args: Any) -> None:
            pass

    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forgetful)
    proxy.daemon_threads = True
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield Store("forgetful", f"http://127.0.0.1:{proxy.server_port}")
    finally:
        proxy.shutdown()
        proxy.server_close()
