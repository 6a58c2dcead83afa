"""A server that alerts are sent to, which holds what comes to what each vendor documents."""

import contextlib
import hashlib
import hmac
import http.server
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

SECRET = "what bodies are signed with"
ROUTING_KEY = "0123456789abcdef0123456789abcdef"
# Paths, as vendors have them. Slack's is a secret: knowing it is enough to post.
HOOK, SLACK, PAGERDUTY, BEAT = "/hook", "/services/T000/B000/s3cr3tT0ken", "/v2/enqueue", "/beat"
MEMBERS = {
    "version", "state", "event", "key", "job", "summary", "since", "resolved_at", "impact", "action", "destination",
    "program",
}  # fmt: skip


@dataclass(frozen=True)
class Got:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass
class Receiver:
    """What came, and what was wrong with it."""

    url: str
    got: list[Got] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def at(self, path: str) -> list[Got]:
        """What came to `path`."""
        return [one for one in self.got if one.path == path]

    def notified(self) -> list[str]:
        """Key and state of every message to the webhook."""
        return [f"{one.json()['key']} {one.json()['state']}" for one in self.at(HOOK)]


def _is_time(text: Any) -> bool:
    return datetime.fromisoformat(str(text)).tzinfo is not None


def _hook(got: Got) -> None:
    """`docs/guides/alerts.md`: the members of the JSON, and the signature over time and body."""
    body = got.json()
    assert set(body) == MEMBERS, set(body)
    assert body["version"] == 1
    assert body["state"] in ("firing", "resolved", "test")
    assert _is_time(body["since"])
    assert (body["resolved_at"] is not None) == (body["state"] == "resolved")
    signed = f"{got.headers['x-profound-export-timestamp']}.".encode() + got.body
    wanted = "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(got.headers["x-profound-export-signature"], wanted)


def _slack(got: Got) -> None:
    """Incoming webhooks and blocks: text, at most 50 blocks, texts of 1 to 3000 characters, `&<>` escaped."""
    body = got.json()
    assert set(body) <= {"text", "blocks", "attachments", "thread_ts", "mrkdwn", "response_type"}, set(body)
    assert isinstance(body["text"], str)
    assert body["text"]
    assert 1 <= len(body["blocks"]) <= 50
    for block in body["blocks"]:
        assert block["type"] in ("section", "context"), block
        texts = [block["text"]] if block["type"] == "section" else block["elements"]
        assert 1 <= len(texts) <= 10
        for text in texts:
            assert set(text) == {"type", "text"}
            assert text["type"] == "mrkdwn"
            assert 1 <= len(text["text"]) <= 3000
            assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", text["text"]), text["text"]


def _pagerduty(got: Got) -> None:
    """Events API v2, `Send an alert event`."""
    body = got.json()
    assert set(body) <= {
        "routing_key", "event_action", "dedup_key", "payload", "client", "client_url", "images", "links",
    }  # fmt: skip
    assert body["routing_key"] == ROUTING_KEY
    assert body["event_action"] in ("trigger", "acknowledge", "resolve")
    assert 1 <= len(body["dedup_key"]) <= 255
    payload = body["payload"]
    assert set(payload) <= {
        "summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details",
    }  # fmt: skip
    assert 1 <= len(payload["summary"]) <= 1024
    assert payload["source"]
    assert payload["severity"] in ("critical", "warning", "error", "info")
    assert _is_time(payload["timestamp"])
    assert all(isinstance(payload.get(name, ""), str) for name in ("component", "group", "class"))
    assert len(got.body) <= 512 * 1024


def _beat(got: Got) -> None:
    assert got.method == "GET"
    assert not got.body


_ANSWERS = {HOOK: (_hook, 200), SLACK: (_slack, 200), PAGERDUTY: (_pagerduty, 202), BEAT: (_beat, 200)}


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    """One on this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            got = Got(self.command, self.path, headers, body)
            taking.got.append(got)
            check, status = _ANSWERS.get(self.path, (None, 404))
            try:
                assert self.command == "GET" or headers["content-type"] == "application/json"
                if check:
                    check(got)
            except (AssertionError, KeyError, ValueError) as error:
                taking.wrong.append(f"{self.path}: {error!r}: {body!r}")
                status = 400
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = _take

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    taking = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield taking
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
