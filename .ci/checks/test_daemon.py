"""The daemon: jobs at their time, one after the other, until it is stopped or the key is rejected."""

import itertools
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit import program
from kit.account import Account
from kit.job import Job
from kit.lake import Lake, assert_equal
from kit.program import COMPLETE, KEY_REJECTED, until

STREAMS = ["organizations", "visibility_v2_by_day"]
NEVER = "0 0 29 2 *"


@contextmanager
def _serving(job: Job) -> Iterator[subprocess.Popen[str]]:
    daemon = program.start("--config", job.dir / "jobs.toml", "serve", cwd=job.dir)
    try:
        yield daemon
    finally:
        daemon.kill()
        daemon.wait()


def _begun(account: Account) -> int:
    """How many runs have begun: each asks for the organizations once."""
    return sum(one["stream"] == "organizations" for one in account.requests())


def test_jobs_run_on_schedule_and_a_signal_ends_them_cleanly(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, STREAMS, job_settings={"cron": "*/4 * * * * *", "timezone": "UTC"})
    with _serving(job) as daemon:
        until("two runs", lambda: _begun(account) >= 2)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(timeout=30) == COMPLETE
    assert_equal(Lake(str(job.lake)), "duckdb", job.truths(account))


def test_job_that_takes_longer_than_its_period_never_overlaps_itself(tmp_path: Path, account: Account) -> None:
    # About three seconds a list.
    account.fault("drip", bytes=40, milliseconds=500, stream="organizations")
    settings = {"cron": "* * * * * *", "timezone": "UTC", "deadline": "1m"}
    job = Job(tmp_path, account.url, STREAMS, job_settings=settings)
    with _serving(job) as daemon:
        until("three runs", lambda: _begun(account) >= 3)
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=30)
    began = [one["seconds"] for one in account.requests() if one["stream"] == "organizations"]
    assert all(later - earlier > 1.5 for earlier, later in itertools.pairwise(began))


def test_sighup_reloads_the_configuration(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, STREAMS, job_settings={"cron": NEVER, "timezone": "UTC"})
    with _serving(job) as daemon:
        until("the daemon's first words", lambda: (tmp_path / "stderr.log").stat().st_size)
        job.job_settings = {"cron": "*/2 * * * * *", "timezone": "UTC"}
        job.write()
        daemon.send_signal(signal.SIGHUP)
        until("a run", lambda: _begun(account) >= 1)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(timeout=30) == COMPLETE


def test_invalid_configuration_on_sighup_keeps_the_old_one(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, STREAMS, job_settings={"cron": "*/2 * * * * *", "timezone": "UTC"})
    with _serving(job) as daemon:
        until("a run", lambda: _begun(account) >= 1)
        (tmp_path / "jobs.toml").write_text("[api]\nconcurency = 3\n")
        daemon.send_signal(signal.SIGHUP)
        until("the problem", lambda: "concurency" in (tmp_path / "stderr.log").read_text())
        begun = _begun(account)
        until("another run", lambda: _begun(account) > begun)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(timeout=30) == COMPLETE


def test_rejected_key_keeps_the_daemon_down(tmp_path: Path, account: Account) -> None:
    account.fault("revoke_key")
    job = Job(tmp_path, account.url, STREAMS, job_settings={"cron": "*/2 * * * * *", "timezone": "UTC"})
    with _serving(job) as daemon:
        assert daemon.wait(timeout=30) == KEY_REJECTED
    assert len(account.requests()) == 1
    assert len(re.findall("^error:", (tmp_path / "stderr.log").read_text(), re.MULTILINE)) == 1
