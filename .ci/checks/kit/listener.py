"""Alert receivers: a webhook that requires signatures, and a heartbeat that is only pinged."""

import hashlib
import hmac
import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from kit.clock import MovedClock

SECRET = "what-bodies-are-signed-with"
# As docs/guides/alerts.md asks of receivers.
OLDEST = timedelta(minutes=5)


class Listener:
    """A server in the time of the checks, for senders in the time of `clock`. Use it in `with`."""

    def __init__(self, clock: MovedClock) -> None:
        self.got: list[dict[str, Any]] = []
        self.pings = 0
        self.wrong: list[str] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                listener.pings += 1
                self._answer()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                at = self.headers["X-Profound-Export-Timestamp"]
                signed = hmac.new(SECRET.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
                if self.headers["X-Profound-Export-Signature"] != f"sha256={signed}":
                    listener.wrong.append(f"not signed: {body!r}")
                if OLDEST.total_seconds() < abs(clock.now().timestamp() - int(at)):
                    listener.wrong.append(f"signed at {at}, and it is {clock.now()}")
                listener.got.append(json.loads(body))
                self._answer()

            def _answer(self) -> None:
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
