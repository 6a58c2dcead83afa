"""A simulated account: `profound-export simulate` in a process of its own, with its control endpoints."""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self

from kit import program

# No proxy, whatever the environment says.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    kind: str
    body: bytes

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


def ask(url: str, body: Any = None, method: str | None = None, headers: dict[str, str] | None = None) -> Answer:
    """Sends one request; an error status is an answer too."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | (headers or {})
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with _opener.open(request, timeout=60) as response:
            return Answer(response.status, response.headers.get("Content-Type", ""), response.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers.get("Content-Type", ""), error.read())


class Account:
    """A simulated account. Use it in `with`; it ends with the block."""

    def __init__(self, cwd: Path, *options: str, key: str = program.KEY, env: Mapping[str, str] | None = None) -> None:
        self.key = key
        # Enough that no check but the one about limits ever waits.
        limit = () if "--limit" in options else ("--limit", "100000")
        listening = ("--listen", "127.0.0.1:0", "--output", "json")
        with open(cwd / "simulate.log", "w") as log:
            self._process = subprocess.Popen(
                [str(program.binary()), "simulate", *listening, "--key", key, *limit, *options],
                cwd=cwd,
                env=program.environment(env),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                stdin=subprocess.DEVNULL,
            )
        line = self._process.stdout.readline() if self._process.stdout else ""
        assert line, f"the simulator did not start: {(cwd / 'simulate.log').read_text()}"
        self.url: str = json.loads(line)["url"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def truth(self, stream: str, first: date | None = None, last: date | None = None) -> Any:
        """What the stream holds from `first` to `last`, both included, from the generator and not from the API."""
        query = {"stream": stream} | ({"from": str(first), "to": str(last)} if first else {})
        answer = ask(f"{self.url}/simulator/truth?{urllib.parse.urlencode(query)}")
        assert answer.status == 200, answer.body
        return answer.json()

    def requests(self) -> list[dict[str, Any]]:
        """Every request of the API so far, oldest first."""
        received: list[dict[str, Any]] = ask(f"{self.url}/simulator/requests").json()
        return received

    def asked_since(self, stream: str, since: datetime) -> bool:
        """Whether a stream was asked for since then, by the simulator's clock."""
        return any(one["stream"] == stream and since <= datetime.fromisoformat(one["at"]) for one in self.requests())

    def fault(self, kind: str, **settings: Any) -> None:
        """Makes a fault occur from now on."""
        answer = ask(f"{self.url}/simulator/faults", {"fault": kind} | settings)
        assert answer.status == 200, answer.body

    def clear_faults(self) -> None:
        """Ends all faults."""
        ask(f"{self.url}/simulator/faults", method="DELETE")

    def replace_key(self, key: str) -> None:
        """Accepts another key from now on, and only that one."""
        answer = ask(f"{self.url}/simulator/key", {"key": key})
        assert answer.status == 200, answer.body
        self.key = key

    def spend(self, requests: int) -> None:
        """Another program with the same key sends this many requests."""
        answer = ask(f"{self.url}/simulator/spend", {"requests": requests})
        assert answer.json() == {"spent": requests}, answer.body

    def restate(self, day: date) -> None:
        """Changes all figures of a day."""
        answer = ask(f"{self.url}/simulator/restate", {"day": str(day)})
        assert answer.status == 200, answer.body

    def get(self, path: str) -> Any:
        """One GET of the API itself, with the key."""
        answer = ask(self.url + path, headers={"X-API-Key": self.key})
        assert answer.status == 200, answer.body
        return answer.json()

    def category(self) -> dict[str, Any]:
        """Its first category."""
        found: dict[str, Any] = self.get("/v1/org/categories")[0]
        return found
