"""A directory to run a job in: `jobs.toml`, a spool, and a lake unless the destination is elsewhere."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from kit import program
from kit.account import Account

# The first tier, and one stream more of every shape that it lacks.
STREAMS = ("minimal", "category_topics", "category_tags", "visibility_v1", "citations_v1", "answers_v1")
DAYS = 12


def today(zone: str) -> date:
    """The current day, which no run exports, in the zone of a stream: `eastern` or `utc`."""
    return datetime.now(ZoneInfo("America/New_York") if zone == "eastern" else UTC).date()


@dataclass(frozen=True)
class Stream:
    """What the catalog says of a stream, as far as the checks need it."""

    name: str
    tier: str
    zone: str | None
    lookback: int
    # `dated`, or what a request says of days whose rows carry none; none for lists.
    kind: str | None
    # Whether the whole body of an answer is one row.
    whole: bool

    def last_day(self) -> date | None:
        """The last day a run exports; none for lists."""
        return today(self.zone) - timedelta(days=1) if self.zone else None


@dataclass
class Job:
    """One job, and where it runs."""

    dir: Path
    api: str
    streams: Sequence[str] = STREAMS
    destination: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    api_settings: Mapping[str, Any] = field(default_factory=dict)
    destination_settings: Mapping[str, Any] = field(default_factory=dict)
    job_settings: Mapping[str, Any] = field(default_factory=dict)
    # No tables without a `url`.
    tables_settings: Mapping[str, Any] = field(default_factory=dict)
    # Days that are exported, yesterday the last.
    days: int = DAYS

    def __post_init__(self) -> None:
        self.dir.mkdir(parents=True, exist_ok=True)
        # Computed once: a run over midnight must not look for a day that was not requested.
        self.start = today("eastern") - timedelta(days=self.days)
        self.write()

    @property
    def lake(self) -> Path:
        """The lake on this machine."""
        return self.dir / "lake"

    def write(self) -> None:
        """Writes `jobs.toml`. JSON's texts, numbers, truth values and lists are TOML's too."""

        def lines(settings: Mapping[str, Any]) -> str:
            return "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())

        options = ", ".join(f"{name} = {json.dumps(value)}" for name, value in self.options.items())
        api = {"base_url": self.api, "reserve_requests": 0, **self.api_settings}
        destination = {"url": self.destination or str(self.lake), **self.destination_settings}
        job = {"name": "nightly", "streams": list(self.streams), "start": str(self.start), **self.job_settings}
        (self.dir / "jobs.toml").write_text(
            f"[api]\n{lines(api)}\n"
            f"[destination]\n{lines(destination)}{f'options = {{ {options} }}' if options else ''}\n\n"
            f"[tables]\n{lines(self.tables_settings)}\n"
            f"[spool]\n{lines({'dir': str(self.dir / 'spool')})}\n"
            f"[[job]]\n{lines(job)}"
        )

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> program.Finished:
        """`profound-export ARGUMENTS`, in its directory and with its configuration."""
        return program.run("--config", self.dir / "jobs.toml", *arguments, cwd=self.dir, env=env)

    @cached_property
    def catalog(self) -> dict[str, Stream]:
        """The streams the program knows, by name."""
        listed = program.run("streams", "--output", "json", cwd=self.dir).expect(program.COMPLETE).json()
        return {stream.name: stream for stream in map(_stream, listed)}

    def selected(self) -> list[Stream]:
        """The streams that the job exports."""
        return [one for one in self.catalog.values() if one.tier in self.streams or one.name in self.streams]

    def truths(self, account: Account) -> dict[str, Any]:
        """What each stream of the job must hold, as the account has it."""
        days = {one.name: one.last_day() for one in self.selected()}
        return {name: account.truth(name, self.start if last else None, last) for name, last in days.items()}


def _stream(stream: dict[str, Any]) -> Stream:
    days = stream.get("days") or {}
    whole = stream["rows"] == "body"
    return Stream(stream["name"], stream["tier"], days.get("zone"), days.get("lookback", 0), days.get("kind"), whole)
