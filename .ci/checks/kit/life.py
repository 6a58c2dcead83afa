"""A daemon that lives through days on a moved clock, with an operator and alert receivers."""

import contextlib
import itertools
import json
import re
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

from kit import program
from kit.account import Account, ask
from kit.clock import MovedClock
from kit.listener import SECRET, Listener
from kit.program import until

KEY = program.KEY
SIZE = ("--organizations", "1", "--categories", "1", "--domains", "1", "--assets", "2", "--prompts", "4")
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
# A machine under load may begin so much later than the clock was moved; the next start is never so near.
LATE = timedelta(minutes=20)
# How long anything may take, in the time of the checks.
PATIENCE_SECONDS = 120
HEARTBEAT = "alive"
JOBS = ("nightly", "often")


@dataclass(frozen=True)
class Notification:
    """One alert: `firing job_failed/nightly`, and what it said."""

    what: str
    words: str


@dataclass(frozen=True)
class Row:
    """What happened at a moment, and the notifications it caused."""

    at: datetime
    happened: str
    notifications: Sequence[Notification]


@dataclass
class Life:
    """Two jobs of an account, the daemon that runs them, and all that happened. Use it in `with`."""

    dir: Path
    born: datetime
    first_day: date
    key_expires: date | None = None
    rows: list[Row] = field(default_factory=list)
    # Job, when it is due, and how much later it may begin.
    starts: list[tuple[str, datetime, timedelta]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.clock = MovedClock(self.dir, self.born).__enter__()
        limit = ("--limit", "600", "--answer-bytes", "200")
        self.account = Account(self.dir, *SIZE, *limit, env=self.clock.environment).__enter__()
        self.receiver = Listener(self.clock).__enter__()
        self.daemon: subprocess.Popen[str] | None = None
        self.page = ""
        self.pings = 0
        self.put_key(KEY)
        (self.dir / "secret").write_text(SECRET)
        self.configure()
        return self

    def __exit__(self, *_: object) -> None:
        if self.daemon:
            self.daemon.kill()
            self.daemon.wait()
        self.receiver.__exit__()
        self.account.__exit__()
        self.clock.__exit__()

    @property
    def lake(self) -> Path:
        """The lake."""
        return self.dir / "lake"

    @property
    def commanded(self) -> list[dict[str, Any]]:
        """What the program that is started for each alert was given."""
        sent = self.dir / "sent.jsonl"
        return [json.loads(line) for line in sent.read_text().splitlines()] if sent.exists() else []

    def configure(self) -> None:
        """Writes `jobs.toml`."""
        expires = f'key_expires = "{self.key_expires}"' if self.key_expires else ""
        (self.dir / "jobs.toml").write_text(f"""
[api]
base_url = "{self.account.url}"
key_file = "key"
reserve_requests = 0
{expires}

[destination]
url = "lake"

[spool]
dir = "spool"

[server]
listen = "127.0.0.1:0"

[alerts]
external_requests = 100

[[alert]]
name = "webhook"
type = "webhook"
url = "{self.receiver.url}/hook"
secret_file = "secret"

[[alert]]
name = "command"
type = "command"
command = ["/bin/sh", "-c", "{{ cat; echo; }} >> sent.jsonl"]

[[alert]]
name = "{HEARTBEAT}"
type = "heartbeat"
url = "{self.receiver.url}/alive"

[[job]]
name = "nightly"
cron = "30 2 * * *"
timezone = "Europe/Berlin"
streams = ["minimal"]
start = "{self.first_day}"

[[job]]
name = "often"
cron = "0 */6 * * *"
timezone = "UTC"
streams = ["organizations", "bots_v2", "referrals_v2"]
start = "{self.first_day}"
""")

    # The operator.

    def start(self) -> None:
        """Starts the daemon."""
        self.pings = 0
        known = len(self.log())
        arguments = ("--config", "jobs.toml", "--log-format", "json", "serve")
        self.daemon = program.start(*arguments, cwd=self.dir, env=self.clock.environment, key=False)
        said = until("the page", lambda: _match(r"status page is at (\S+/)$", self.log()[known:]), PATIENCE_SECONDS)
        self.page = said[1]
        # From here on it knows when each job is due: earlier a start that comes is none for it.
        until("its plans", lambda: {line.get("job") for line in self.log()[known:]} >= set(JOBS), PATIENCE_SECONDS)

    def put_key(self, key: str) -> None:
        """Puts a key into its file."""
        path = self.dir / "key"
        path.touch(0o600)
        path.write_text(key)

    def stop(self) -> None:
        """Ends the daemon as a service manager does."""
        assert self.daemon
        self.daemon.send_signal(signal.SIGTERM)
        self.ends(program.COMPLETE)

    def kill(self) -> None:
        """Ends it as nothing should."""
        assert self.daemon
        self.daemon.kill()
        self.ends(-signal.SIGKILL)

    def ends(self, code: int) -> None:
        """Waits for the daemon to end by itself."""
        assert self.daemon
        assert self.daemon.wait(PATIENCE_SECONDS) == code
        self.daemon = None

    def command(self, *arguments: str) -> program.Finished:
        """Another command, at the moved time."""
        return program.run("--config", "jobs.toml", *arguments, cwd=self.dir, env=self.clock.environment, key=False)

    # Time.

    def wait(self, what: str, true: Any) -> Any:
        """Waits for something that the daemon does by itself."""

        def asked() -> Any:
            self.wake()
            return true()

        return until(what, asked, PATIENCE_SECONDS)

    def wake(self) -> None:
        """Lets the daemon see what time it is; one that ended does not answer."""
        with contextlib.suppress(OSError):
            ask(f"{self.page}livez")

    def pass_to(self, moment: datetime) -> None:
        """Lets time pass until `moment`, before which nothing starts. The daemon looks around at every hour."""
        while (hour := self.clock.now().replace(minute=0, second=0, microsecond=0) + HOUR) < moment:
            self.clock.move_to(hour)
            if self.daemon:
                self.looked(hour)
                self.idle()
        if self.daemon:
            # Of what comes, only the pings that follow count.
            self.pinged()
        self.clock.move_to(moment)

    def looked(self, since: datetime) -> None:
        """Waits until the daemon has looked at the lake since then."""
        polls = itertools.count(1)

        def at() -> bool:
            # It looks every five minutes. One look that was under way when the clock moved does not count.
            if next(polls) % 50 == 0:
                self.clock.move_to(self.clock.now() + MINUTE)
            read_at = ask(f"{self.page}status.json").json()["read_at"]
            return bool(read_at) and since <= datetime.fromisoformat(read_at)

        until("a look at the lake", at, PATIENCE_SECONDS)

    def run_at(self, job: str, moment: datetime) -> None:
        """Lets time pass until a job starts, and waits until it has ended and every target was notified."""
        self.pass_to(moment)
        self.starts_at(job, moment)
        self.ended(job, moment)

    def starts_at(self, job: str, moment: datetime, late: timedelta = LATE) -> None:
        """Expects a start in the ledger."""
        self.starts.append((job, moment, late))

    def has_begun(self, job: str, since: datetime) -> bool:
        """Whether a job has begun, and has perhaps ended, since then."""
        run = ask(f"{self.page}status.json").json()["activity"]["run"]
        return bool(run and run["job"] == job) or bool(self.outcomes(job, since))

    def tried_at(self, job: str, moment: datetime) -> None:
        """Lets time pass until a job starts, and waits until it has failed."""
        self.pass_to(moment)
        self.wait(f"{job} to end", lambda: "unavailable" in self.outcomes(job, moment))

    def idle(self) -> None:
        """Waits until nothing runs. What a run waits for, such as the pause before another attempt, comes sooner."""

        def is_idle() -> bool:
            if ask(f"{self.page}status.json").json()["activity"]["run"]:
                self.clock.move_to(self.clock.now() + SECOND)
                return False
            return True

        until("nothing to run", is_idle, PATIENCE_SECONDS)

    def ended(self, job: str, since: datetime) -> None:
        """Waits until a run that began at `since` or later is complete and every target was notified."""
        found = self.wait(f"{job} to end", lambda: self.outcomes(job, since))
        assert found == ["complete"], f"{job} of {since} ended {found}"
        # The heartbeat comes after every other notification.
        self.wait("the heartbeat", self.pinged)

    def outcomes(self, job: str, since: datetime) -> list[str]:
        """How runs of a job ended since then."""
        lines = (line for line in self.log() if line.get("job") == job and "outcome" in line)
        return [line["outcome"] for line in lines if since <= datetime.fromisoformat(line["timestamp"])]

    def pinged(self) -> bool:
        """Whether the heartbeat was pinged once more."""
        metrics = ask(f"{self.page}metrics").body.decode()
        sent = f'profound_export_notifications_total{{target="{HEARTBEAT}",result="sent"}} '
        found = re.search(rf"^{re.escape(sent)}(\d+)\.0$", metrics, re.MULTILINE)
        before, self.pings = self.pings, int(found[1]) if found else 0
        return before < self.pings

    # What happened.

    def happens(self, what: str, *alerts: str, at: datetime | None = None) -> None:
        """Waits until these alerts, and no others, reached both targets, and records why."""
        known = sum(len(row.notifications) for row in self.rows)
        at = at or self.clock.now().replace(second=0, microsecond=0)
        wanted = known + len(alerts)
        for name in ("webhook", "command"):
            # By the daemon's log: a receiver may get a notification before the daemon logs it.
            self.wait(
                f"{alerts} to {name}, of {self.notified()[known:]}", lambda name=name: wanted <= len(self.sent(name))
            )
        fresh = sorted(self.notified()[known:], key=lambda one: one.what)
        assert [one.what for one in fresh] == sorted(alerts), fresh
        self.rows.append(Row(at, what, fresh))

    def notified(self) -> list[Notification]:
        """Every notification that the webhook received."""
        return [Notification(f"{one['state']} `{one['key']}`", one["summary"]) for one in self.receiver.got]

    def sent(self, target: str) -> list[dict[str, Any]]:
        """Every notification to a target in the daemon's log."""
        return [
            line for line in self.log() if line.get("target_name") == target and line["message"] == "notification sent"
        ]

    def log(self) -> list[dict[str, Any]]:
        """What every daemon has said so far."""
        path = self.dir / "stderr.log"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    def errors(self) -> list[str]:
        """What every daemon has said that someone must act upon."""
        return [line["message"] for line in self.log() if line["level"] == "ERROR"]

    def assert_started(self) -> None:
        """The ledger holds every start that was due, within moments, and no other."""
        for name in JOBS:
            due = [(at, late) for job, at, late in self.starts if job == name]
            recorded = [datetime.fromisoformat(one["at"]) for one in self.recorded("run_started") if one["job"] == name]
            assert len(due) == len(recorded), f"{name}: {recorded}\nnot {due}"
            wrong = [(due, at) for (due, late), at in zip(due, recorded) if not due <= at < due + late]
            assert not wrong, wrong

    def recorded(self, kind: str) -> list[dict[str, Any]]:
        """Entries of a kind in the ledger, each with the time of its record."""
        records = [json.loads(path.read_text()) for path in sorted(self.lake.glob("_profound_export/ledger/*/*.json"))]
        return [{"at": one["at"]} | entry for one in records for entry in one["entries"] if entry["kind"] == kind]

    def truths(self) -> dict[str, Any]:
        """What each stream must hold by now, as the account has it."""
        known = json.loads(self.command("streams", "--output", "json").stdout)
        streams = {one["name"]: (one.get("days") or {}).get("zone") for one in known if one["tier"] == "minimal"}
        truths = {}
        for name, zone in streams.items():
            today = self.clock.now().astimezone(ZoneInfo("America/New_York") if zone == "eastern" else UTC).date()
            days = (self.first_day, today - timedelta(days=1)) if zone else ()
            truths[name] = self.account.truth(name, *days)
        return truths


def _match(pattern: str, log: list[dict[str, Any]]) -> re.Match[str] | None:
    return next(filter(None, (re.search(pattern, line["message"]) for line in log)), None)
