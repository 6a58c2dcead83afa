"""Memory does not grow with what is exported: millions of rows and large texts go through a few blocks at a time, and
neither does a gigabyte that no honest service sends.

The figures are printed, for a change that makes the export slower should be seen.
"""

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import polars
import pytest
from deltalake import DeltaTable

from kit import program
from kit.account import Account
from kit.job import DAYS, STREAMS, Job
from kit.lake import Lake, assert_equal
from kit.program import COMPLETE, SOME_FAILED

MOST_MEMORY_MIB = 96
# With tables, also while months are compacted.
MOST_MEMORY_WITH_TABLES_MIB = 128
# More days than the lookback of any stream, so that a month is over.
DAYS_WITH_TABLES = 45


@dataclass(frozen=True)
class Load:
    """A stream with many rows, and how it is asked for."""

    stream: str
    rows: int
    options: tuple[str, ...] = ()
    event_streams: bool = True
    categories: int = 1


LOADS = {
    # Fifty thousand positional rows a page.
    "pages of figures": Load("visibility_v1", 2_000_000, event_streams=False),
    # All days in one response.
    "one stream of figures": Load("visibility_v1", 2_000_000),
    "one stream of answers": Load("answers_v2", 100_000, ("--answer-bytes", "4000")),
}


def _peak_mib(pid: int) -> int:
    """The most memory a process has held so far. The figure of `wait` would include the parent process."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) // 1024 if found else 0


@dataclass(frozen=True)
class Measured:
    """A run that is over, and what it took."""

    code: int
    seconds: float
    busy: float
    memory_mib: int


def _measured(job: Job) -> Measured:
    began = time.monotonic()
    running = program.start("--config", job.dir / "jobs.toml", "run", cwd=job.dir)
    memory = 0
    while True:
        pid, status, used = os.wait4(running.pid, os.WNOHANG)
        if pid:
            break
        memory = max(memory, _peak_mib(running.pid))
        time.sleep(0.01)
    running.returncode = os.waitstatus_to_exitcode(status)
    return Measured(running.returncode, time.monotonic() - began, used.ru_utime + used.ru_stime, memory)


@pytest.mark.parametrize("name", LOADS)
def test_memory_stays_bounded(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    load = LOADS[name]
    rows = f"{load.stream}={-(-load.rows // DAYS)}"
    with Account(tmp_path, "--categories", "1", "--rows", rows, *load.options) as account:
        job = Job(tmp_path, account.url, [load.stream], api_settings={"event_streams": load.event_streams})
        ran = _measured(job)
        assert ran.code == COMPLETE, (tmp_path / "stderr.log").read_text()
        assert_equal(Lake(str(job.lake)), "duckdb", job.truths(account))
    cost = f"{ran.seconds:.1f} s, {ran.busy / load.rows * 1e6:.1f} CPU s a million"
    with capsys.disabled():
        print(f"\n{name}: {load.rows:,} rows in {cost}, {ran.memory_mib} MiB")
    assert ran.memory_mib < MOST_MEMORY_MIB


def test_memory_stays_bounded_with_many_streams_and_days_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Each slice has a month of days, whose files must not all be encoded at once.
    with Account(tmp_path, "--categories", "3", "--limit", "6000") as account:
        job = Job(tmp_path, account.url, STREAMS, days=62)
        ran = _measured(job)
        assert ran.code == COMPLETE, (tmp_path / "stderr.log").read_text()
        files = sum(1 for _ in job.lake.rglob("*.parquet"))
    with capsys.disabled():
        print(
            f"\n{len(STREAMS)} names of streams, 62 days: {files:,} files in {ran.seconds:.1f} s, {ran.memory_mib} MiB"
        )
    assert ran.memory_mib < MOST_MEMORY_MIB


WITH_TABLES = {
    "figures": Load("visibility_v1", 2_000_000),
    "answers": Load("answers_v2", 100_000, ("--answer-bytes", "4000")),
    # As many files as a large account has, each of a few rows.
    "two hundred categories": Load("visibility_v2_by_day", 200 * DAYS_WITH_TABLES * 50, categories=200),
}


@pytest.mark.parametrize("name", WITH_TABLES)
def test_memory_stays_bounded_while_tables_are_published(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    load = WITH_TABLES[name]
    rows = f"{load.stream}={-(-load.rows // DAYS_WITH_TABLES // load.categories)}"
    tables = tmp_path / "tables"
    with Account(tmp_path, "--categories", str(load.categories), "--rows", rows, *load.options) as account:
        job = Job(tmp_path, account.url, [load.stream], days=DAYS_WITH_TABLES, tables_settings={"url": str(tables)})
        ran = _measured(job)
        assert ran.code == COMPLETE, (tmp_path / "stderr.log").read_text()
    table = DeltaTable(str(tables / load.stream))
    files = polars.DataFrame(table.get_add_actions(flatten=True)).group_by("partition.month").len()["len"].to_list()
    assert min(files) == load.categories, "a month that is over is one file for each category"
    with capsys.disabled():
        print(f"\ntable of {name}: {sum(files):,} files, {ran.seconds:.1f} s, {ran.memory_mib} MiB")
    assert ran.memory_mib < MOST_MEMORY_WITH_TABLES_MIB


# A body of a gigabyte where some rows belong, by how it is asked for.
FLOODED = {
    "list": Load("category_topics", 0),
    "event stream": Load("visibility_v1", 0),
    "offset page": Load("visibility_v1", 0, event_streams=False),
}


@pytest.mark.parametrize("name", FLOODED)
def test_gigabyte_instead_of_some_rows_fails_in_bounded_memory(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    load = FLOODED[name]
    with Account(tmp_path, "--categories", "1") as account:
        account.fault("flood", of="rows", megabytes=1024, stream=load.stream)
        job = Job(tmp_path, account.url, [load.stream], api_settings={"event_streams": load.event_streams})
        ran = _measured(job)
        assert ran.code == SOME_FAILED, (tmp_path / "stderr.log").read_text()
        # Nothing of it is shown, and nothing of it is left on the disk.
        assert not list(tmp_path.rglob("*.parquet")) or Lake(str(job.lake)).streams() == set()
        account.clear_faults()
        job.run("run").expect(COMPLETE)
        assert_equal(Lake(str(job.lake)), "duckdb", job.truths(account))
    with capsys.disabled():
        print(f"\na gigabyte of rows in a {name}: given up after {ran.seconds:.1f} s, {ran.memory_mib} MiB")
    assert ran.memory_mib < MOST_MEMORY_MIB
