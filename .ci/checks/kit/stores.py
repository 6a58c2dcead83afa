"""Object stores on this machine: real servers, each in a process of its own."""

import base64
import contextlib
import hmac
import http.client
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from enum import Enum
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

BUCKET = "lake"


def free_port() -> int:
    """A port without a listener."""
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


@contextlib.contextmanager
def azurite(log: Path) -> Iterator[dict[str, Any]]:
    """The settings of a destination in the emulator of Azure, with an empty container."""
    port, account = free_port(), "devstoreaccount1"
    # The key that the emulator itself documents.
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    command = [os.environ["PROFOUND_EXPORT_NODE_MODULES"] + "/.bin/azurite-blob", "--silent", "--disableTelemetry"]
    command += ["--skipApiVersionCheck", "--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    with open(log, "w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=log.parent)
    try:
        _wait(port, process, log)
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2023-11-03"}
        named = "".join(f"{name}:{value}\n" for name, value in headers.items())
        # The account is named twice: once as who signs, once as the first part of the path.
        signed = f"PUT{12 * chr(10)}{named}/{account}/{account}/{BUCKET}\nrestype:container"
        signature = base64.b64encode(hmac.digest(base64.b64decode(key), signed.encode(), "sha256")).decode()
        headers["Authorization"] = f"SharedKey {account}:{signature}"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("PUT", f"/{account}/{BUCKET}?restype=container", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 201, answer.read()
        endpoint = f"http://127.0.0.1:{port}/{account}"
        options = {"endpoint": endpoint, "account_name": account, "access_key": key, "allow_http": "true"}
        yield {"url": f"az://{BUCKET}", "options": options}
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def google(behind: Store) -> Iterator[dict[str, Any]]:
    """The settings of a destination in Google's store, whose XML API is that of S3 with other names for conditions."""

    def translate(request: Request) -> None:
        if request.headers.pop("x-goog-if-generation-match", None) == "0":
            request.headers["if-none-match"] = "*"
        # The server behind reads only whose bucket it is, and no signature.
        scope = f"{behind.access_key}/20260101/us-east-1/s3/aws4_request"
        request.headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"

    # Every version has the same number: the program compares ETags.
    with meddled(behind, translate, "google", {"x-goog-generation": "1"}) as store:
        account = {"client_email": "", "private_key": "", "private_key_id": "", "disable_oauth": True}
        options = {"base_url": store.endpoint, "service_account_key": json.dumps(account), "allow_http": "true"}
        yield {"url": f"gs://{BUCKET}", "options": options}


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        threading.Event().wait(0.1)
    raise AssertionError(f"the store does not listen: {log.read_text()}")


@dataclass
class Request:
    """What the program asks of a store."""

    method: str
    # With the query.
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def access_key(self) -> str:
        """The key it is signed with."""
        found = re.search(r"Credential=([^/]+)/", self.headers.get("authorization", ""))
        return found[1] if found else ""


@dataclass(frozen=True)
class Refusal:
    """What is answered instead of the store's own answer, as S3 words it."""

    status: int
    code: str
    message: str = "injected"
    # Where S3 words it otherwise.
    raw: bytes = b""

    def body(self) -> bytes:
        """The words."""
        return (
            self.raw
            or f"<?xml version='1.0'?><Error><Code>{self.code}</Code><Message>{self.message}</Message></Error>".encode()
        )


class Silence(Enum):
    """No answer at all."""

    # The connection breaks before the request arrived, or after.
    BREAKS = "breaks"
    LOSES_ANSWER = "loses the answer"
    # It stays open for longer than anybody waits.
    STALLS = "stalls"


Meddling = Callable[[Request], Refusal | Silence | None]


@contextlib.contextmanager
def meddled(
    behind: Store, meddle: Meddling, name: str = "meddled", more: Mapping[str, str] | None = None
) -> Iterator[Store]:
    """The same store, behind a proxy that may change a request, or answer it instead, and that adds headers."""

    class Between(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {header.lower(): value for header, value in self.headers.items()}
            headers.pop("connection", None)
            request = Request(self.command, self.path, headers, body)
            instead = meddle(request)
            match instead:
                case Refusal():
                    self.answer(instead.status, [("Content-Type", "application/xml")], instead.body())
                case None:
                    self.answer(*self.ask(request))
                case _:
                    if instead is Silence.LOSES_ANSWER:
                        self.ask(request)
                    if instead is Silence.STALLS:
                        ended.wait(60)
                    self.close_connection = True

        def ask(self, request: Request) -> tuple[int, list[tuple[str, str]], bytes]:
            upstream = http.client.HTTPConnection(behind.endpoint.removeprefix("http://"), timeout=60)
            try:
                upstream.request(request.method, request.path, request.body, request.headers)
                answer = upstream.getresponse()
                return answer.status, [*answer.getheaders(), *(more or {}).items()], answer.read()
            finally:
                upstream.close()

        def answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response(status)
            hop_by_hop = ("transfer-encoding", "connection", "content-length", "date", "server")
            for header, value in headers:
                if header.lower() not in hop_by_hop:
                    self.send_header(header, value)
            # A response to HEAD has the length of a body that is not sent.
            is_head = self.command == "HEAD"
            length = {header.lower(): value for header, value in headers}.get("content-length")
            self.send_header("Content-Length", (length if is_head else None) or str(len(content)))
            # The client may be gone by now.
            with contextlib.suppress(ConnectionError):
                self.end_headers()
                self.wfile.write(b"" if is_head else content)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = forward

        def log_message(self, format: str, *args: Any) -> None:
            pass

    ended = threading.Event()
    with _served(Between) as port:
        try:
            yield Store(name, f"http://127.0.0.1:{port}")
        finally:
            ended.set()


@contextlib.contextmanager
def _served(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def without_conditions(behind: Store) -> Iterator[Store]:
    """The same store, but as some real ones are: it takes a conditional PUT, overwrites and answers 200.

    Garage is such a store, but must be compiled for a quarter of an hour; a proxy that drops the header behaves alike.
    """

    def forget(request: Request) -> None:
        for condition in ("if-none-match", "if-match"):
            request.headers.pop(condition, None)

    with meddled(behind, forget, "forgetful") as store:
        yield store


@dataclass
class Keys:
    """A server as containers have it, which hands out a new key at every request."""

    url: str = ""
    handed_out: list[str] = field(default_factory=list)


@contextlib.contextmanager
def handing_out_keys(lifetime: timedelta) -> Iterator[Keys]:
    """Keys that tell that they live so long."""
    keys = Keys()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.handed_out.append(f"{123456789012 + len(keys.handed_out)}")
            expires = (datetime.now(UTC) + lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")
            key = {"AccessKeyId": keys.handed_out[-1], "SecretAccessKey": "s", "Token": "t", "Expiration": expires}
            content = json.dumps(key).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with _served(Handler) as port:
        keys.url = f"http://127.0.0.1:{port}/keys"
        yield keys
