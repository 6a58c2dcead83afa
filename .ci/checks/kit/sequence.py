"""A random sequence of faults, kills, pauses and restatements between an account and a lake, chosen by a seed.

The simulated account is the second implementation of the truth: it computes rows and sums of a stream from its seed,
without HTTP, pages or Parquet.
"""

import random
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from kit import program
from kit.account import Account
from kit.job import Job, Stream, today
from kit.lake import Lake, expected_totals, with_pyarrow

TIERS = ("minimal", "core")
# Small, so that thousands of sequences are possible.
SIZE = ("--organizations", "2", "--categories", "2", "--domains", "2", "--assets", "2", "--prompts", "3")
STREAMS_OF_A_SEQUENCE = 8
DAYS = 3
# A run may be resumed, and a doubt takes a second reading; a sequence that needs more never converges.
CLEAN_RUNS = 4
# What no honest API does, or does seldom. Evidence about the account (a rejected key, a field that it does not accept)
# is not here: after it the program rightly exports something else.
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "status", "code": 500},
    {"kind": "status", "code": 503, "retry_after": "0"},
    {"kind": "status", "code": 408},
    {"kind": "status", "code": 429, "retry_after": "0"},
    {"kind": "html", "code": 200},
    {"kind": "html", "code": 403},
    {"kind": "gateway", "code": 404, "form": "text"},
    {"kind": "gateway", "code": 403, "form": "message"},
    {"kind": "truncate", "bytes": 500},
    {"kind": "drip", "bytes": 300, "milliseconds": 1},
    {"kind": "silent_end", "rows": 2},
    {"kind": "error_event", "rows": 2},
    {"kind": "repeated_events", "rows": 2},
    {"kind": "changing_total"},
    {"kind": "repeated_cursor"},
    {"kind": "repeated_page"},
    {"kind": "data_first"},
    {"kind": "null_query"},
    {"kind": "no_total"},
    {"kind": "no_rate_headers"},
    {"kind": "invalid_utf8"},
    {"kind": "deep_nesting", "levels": 1000},
    {"kind": "gzip", "ends_at": 80},
    {"kind": "gzip", "damaged_at": 60},
)
ALLOWED = {program.COMPLETE, program.SOME_FAILED, program.UNAVAILABLE, program.INCOMPLETE}


@dataclass
class Tally:
    """What sequences did, and what went wrong."""

    sequences: int = 0
    runs: int = 0
    kills: int = 0
    pauses: int = 0
    faults: int = 0
    restatements: int = 0
    lost: int = 0
    duplicated: int = 0
    false_complete: int = 0
    problems: list[str] = field(default_factory=list)
    streams: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Adds what other sequences did."""
        for one in fields(self):
            total = getattr(self, one.name)
            total += getattr(other, one.name)
            setattr(self, one.name, total)

    def table(self) -> str:
        """A row of the reliability page."""
        counts = ("sequences", "runs", "kills", "pauses", "faults", "restatements")
        found = ("lost", "duplicated", "false_complete")
        names = [name.replace("_", " ") for name in (*counts, *found)]
        cells = [f"{getattr(self, name):,}" for name in (*counts, *found)]
        return f"| {' | '.join(names)} |\n|{'--:|' * len(cells)}\n| {' | '.join(cells)} |"


class Sequence:
    """One sequence in a directory of its own."""

    def __init__(self, directory: Path, account: Account, seed: int, tally: Tally, catalog: dict[str, Stream]) -> None:
        self.chance = random.Random(seed)
        self.account, self.tally, self.seed = account, tally, seed
        # Days are restated and extracted by each run, or they are final, and a day that is wrongly not due stays wrong.
        self.restates = self.chance.random() < 0.5
        # Days whose rows carry no date are extracted early and when they are final, and not in between.
        chosen = [one for one in catalog.values() if not self.restates or one.kind in (None, "dated")]
        names = sorted(one.name for one in chosen if one.tier in TIERS)
        self.streams = sorted(self.chance.sample(names, STREAMS_OF_A_SEQUENCE))
        settings = {"lookback": "9d" if self.restates else "0d"}
        api = {"concurrency": self.chance.choice([1, 8]), "idle_timeout": "5s"}
        self.job = Job(directory, account.url, self.streams, job_settings=settings, api_settings=api, days=DAYS)
        self.job.__dict__["catalog"] = catalog
        # Whether the last restatement may be missing, because no run began after it and completed.
        self.is_restated = False
        # Whether a run was cut short: the next one resumes it, and keeps what it extracted before a restatement.
        self.is_cut_short = False
        self.steps: list[str] = []

    def run(self) -> None:
        """All steps, then runs without faults until one is complete."""
        self.tally.sequences += 1
        self.tally.streams.update(self.streams)
        for _ in range(self.chance.randint(2, 4)):
            step = self.chance.choice([self.faulty_run, self.faulty_run, self.kill, self.pause, self.pause])
            step()
        self.account.clear_faults()
        self.restate()
        for _ in range(CLEAN_RUNS):
            if self.finished("clean run", self.start()) == program.COMPLETE and not self.is_restated:
                break
        else:
            self.problem(f"not complete after {CLEAN_RUNS} runs without faults: {self.last_words()}")
        self.compare("at the end")
        verified = self.job.run("verify")
        if verified.code != program.COMPLETE:
            self.problem(f"`verify` ended with {verified.code}: {verified.stdout[-600:]}{verified.stderr[-600:]}")

    def faulty_run(self) -> None:
        """A run under some faults."""
        for _ in range(self.chance.randint(1, 3)):
            fault = dict(self.chance.choice(FAULTS))
            fault["after"] = self.chance.randint(0, 6)
            fault["times"] = self.chance.choice([1, 2, 5, 100])
            if self.chance.random() < 0.5:
                fault["stream"] = self.chance.choice(self.streams)
            self.account.fault(**fault)
            self.tally.faults += 1
            self.steps.append(f"fault {fault}")
        self.finished("run", self.start())
        self.account.clear_faults()
        self.restate()

    def kill(self) -> None:
        """A run that SIGKILL ends."""
        killed = self.start()
        self.wait(killed)
        killed.kill()
        self.tally.kills += killed.wait() < 0
        self.is_cut_short = True
        self.steps.append("kill")
        self.restate()

    def pause(self) -> None:
        """A run that SIGSTOP holds while another one runs."""
        paused = self.start()
        self.wait(paused)
        paused.send_signal(signal.SIGSTOP)
        self.restate()
        # The other one may resume the paused one.
        self.is_cut_short = True
        self.finished("run during the pause", self.start())
        paused.send_signal(signal.SIGCONT)
        self.tally.pauses += 1
        self.is_cut_short = True
        self.finished("paused run", paused)
        self.is_cut_short = True

    def restate(self) -> None:
        """Perhaps changes the figures of a day."""
        if self.restates and self.chance.random() < 0.7:
            day = today("utc") - timedelta(days=self.chance.randint(1, DAYS))
            self.account.restate(day)
            self.is_restated = True
            self.tally.restatements += 1
            self.steps.append(f"restate {day}")

    def start(self) -> subprocess.Popen[str]:
        """Starts a run. The API's times are whole seconds: a run in the same second as another looks concurrent."""
        self.tally.runs += 1
        time.sleep(1.01 - time.time() % 1)
        return program.start("--config", "jobs.toml", "run", cwd=self.job.dir)

    def wait(self, process: subprocess.Popen[str]) -> None:
        """Until a random moment of a run, or its end."""
        try:
            process.wait(self.chance.random() ** 2 * 2)
        except subprocess.TimeoutExpired:
            return

    def finished(self, what: str, process: subprocess.Popen[str]) -> int:
        """The exit code of a run, which must be true."""
        code = process.wait(program.LONGEST_RUN_SECONDS)
        self.steps.append(f"{what}: {code}")
        if code not in ALLOWED:
            self.problem(f"{what} ended with {code}: {self.last_words()}")
        if code != program.COMPLETE:
            self.is_cut_short = True
            return code
        if self.is_restated and self.is_cut_short:
            self.is_cut_short = False
            return code
        self.is_restated = self.is_cut_short = False
        if self.compare(f"after {what} with exit 0"):
            self.tally.false_complete += 1
        return code

    def compare(self, when: str) -> bool:
        """Whether the lake differs from the account in rows, sums or keys."""
        differs = False
        for name, truth in self.job.truths(self.account).items():
            expected = expected_totals(truth["total"])
            lake = Lake(str(self.job.lake))
            if not (self.job.lake / name).is_dir():
                found = [f"{expected.rows} rows are lost"] if expected.rows else []
                self.tally.lost += expected.rows
            else:
                read = with_pyarrow(lake, name, sorted(expected.sums))
                self.tally.lost += max(expected.rows - read.rows, 0)
                self.tally.duplicated += max(read.rows - expected.rows, 0)
                found = expected.differences(read)
            for difference in found:
                differs = True
                self.problem(f"{when}, {name}: {difference}")
        return differs

    def last_words(self) -> str:
        """The end of what the program printed."""
        return "".join((self.job.dir / name).read_text()[-600:] for name in ("stdout.log", "stderr.log"))

    def problem(self, text: str) -> None:
        """Notes what went wrong, and how."""
        self.tally.problems.append(f"seed {self.seed}: {text}; {'; '.join(self.steps)}")
