"""A policy of IAM in force: an S3 server behind a gate that denies whatever the policy does not allow.

moto can enforce policies itself, but evaluates no condition on S3. The gate knows `s3:prefix`, and what AWS documents
of objects that are not there: without the right to list the bucket, which a condition on a prefix takes from a GET,
they are forbidden and not missing.
"""

import contextlib
import fnmatch
import http.client
import http.server
import re
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kit.stores import Store

DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@dataclass(frozen=True)
class Asked:
    """One right that a request needs."""

    action: str
    resource: str
    # `s3:prefix`, where the request has one.
    prefix: str | None = None


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _matches(pattern: str, text: str) -> bool:
    # The language's own wildcards; brackets mean themselves, as does the content of ${}.
    escaped = re.sub(r"\[", "[[]", pattern)
    for sign in "*?":
        escaped = escaped.replace(f"${{{sign}}}", f"[{sign}]")
    return fnmatch.fnmatchcase(text, escaped.replace("${$}", "$"))


def allows(policy: Any, asked: Asked) -> bool:
    """Whether a statement of the policy allows it; the gate knows no other effect and no other condition."""
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        condition = statement.get("Condition")
        if condition is None:
            met = True
        else:
            assert list(condition) == ["StringLike"]
            assert list(condition["StringLike"]) == ["s3:prefix"]
            wanted = _listed(condition["StringLike"]["s3:prefix"])
            # A condition on what the request does not have is not met.
            met = asked.prefix is not None and any(_matches(one, asked.prefix) for one in wanted)
        if (
            met
            and asked.action in _listed(statement["Action"])
            and any(_matches(one, asked.resource) for one in _listed(statement["Resource"]))
        ):
            return True
    return False


def without(policy: Any, action: str) -> Any:
    """The policy, with one action taken away."""
    statements = [
        statement | {"Action": kept}
        for statement in policy["Statement"]
        if (kept := [one for one in _listed(statement["Action"]) if one != action])
    ]
    return policy | {"Statement": statements}


def actions(policy: Any) -> list[str]:
    """Every action that it allows."""
    return sorted({action for statement in policy["Statement"] for action in _listed(statement["Action"])})


@dataclass
class Gate:
    """A store behind a policy."""

    store: Store
    policy: Any
    # What the policy denied.
    denied: list[Asked] = field(default_factory=list)
    # What was asked at all.
    asked: set[str] = field(default_factory=set)
    # Parts of an upload fail from this number on.
    failing_part: int | None = None


def _needs(method: str, path: str, query: dict[str, str], body: bytes) -> list[Asked]:
    """The rights that AWS documents for a request."""
    bucket, _, key = urllib.parse.unquote(path).lstrip("/").partition("/")
    arn = f"arn:aws:s3:::{bucket}"
    if not key:
        if method == "POST" and "delete" in query:
            keys = re.findall(rb"<Key>(.*?)</Key>", body)
            return [Asked("s3:DeleteObject", f"{arn}/{one.decode()}") for one in keys]
        assert method == "GET", f"{method} {path}"
        return [Asked("s3:ListBucket", arn, query.get("prefix"))]
    action = {
        "GET": "s3:GetObject",
        "HEAD": "s3:GetObject",
        "PUT": "s3:PutObject",
        "POST": "s3:PutObject",
        "DELETE": "s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject",
    }[method]
    return [Asked(action, f"{arn}/{key}")]


@contextlib.contextmanager
def gate(behind: Store, policy: Any) -> Iterator[Gate]:
    """The store `behind`, under `policy`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, _, text = self.path.partition("?")
            query = dict(urllib.parse.parse_qsl(text, keep_blank_values=True))
            needs = _needs(self.command, path, query, body)
            held.asked |= {need.action for need in needs}
            refused = [need for need in needs if not allows(held.policy, need)]
            if refused:
                held.denied += refused
                return self.answer(403, [], DENIED)
            part = query.get("partNumber")
            if part and held.failing_part is not None and int(part) >= held.failing_part:
                return self.answer(403, [], DENIED)
            upstream = http.client.HTTPConnection(behind.endpoint.removeprefix("http://"), timeout=60)
            try:
                upstream.request(self.command, self.path, body, dict(self.headers))
                got = upstream.getresponse()
                content = got.read()
            finally:
                upstream.close()
            bucket = needs[0].resource.partition("/")[0]
            if (
                self.command in ("GET", "HEAD")
                and got.status == 404
                and not allows(held.policy, Asked("s3:ListBucket", bucket))
            ):
                return self.answer(403, [], DENIED)
            # A response to HEAD has the length of a body that is not sent.
            length = got.getheader("Content-Length") if self.command == "HEAD" else None
            return self.answer(got.status, got.getheaders(), content, length)

        def answer(
            self, status: int, headers: list[tuple[str, str]], content: bytes, length: str | None = None
        ) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                # A client that got an early response reads no further.
                with contextlib.suppress(OSError):
                    self.wfile.write(content)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = forward

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    held = Gate(Store("gate", f"http://127.0.0.1:{server.server_port}"), policy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
