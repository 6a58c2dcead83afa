"""All that can be read, exported whole: three categories over thirty days, every table read by DuckDB."""

from datetime import timedelta
from pathlib import Path

import duckdb

from kit.account import Account
from kit.job import Job, today
from kit.lake import Lake
from kit.program import COMPLETE

DAYS = 30


def test_every_table_of_the_widest_tier_has_the_rows_of_the_account(tmp_path: Path) -> None:
    start = today("eastern") - timedelta(days=DAYS)
    with Account(tmp_path, "--categories", "3") as account:
        job = Job(tmp_path, account.url, streams=["everything"], job_settings={"start": str(start)})
        job.run("run").expect(COMPLETE)
        chosen = [one for one in job.catalog.values() if one.tier]
        truths = {one.name: account.truth(one.name, start if one.zone else None, one.last_day()) for one in chosen}
    expected = {name: truth["total"]["rows"] for name, truth in truths.items()}
    assert len(expected) == 210
    assert not [name for name, rows in expected.items() if not rows], "the account has something of everything"
    lake = Lake(str(job.lake))
    assert lake.streams() == expected.keys()
    connection = duckdb.connect()
    read: dict[str, int] = {}
    for stream in expected:
        files = f"read_parquet('{lake.url()}/{stream}/**/*.parquet', hive_partitioning = true)"
        # Every column to its text, so that every value is read.
        query = f"select count(*), count(_extra), max(hash(rows::varchar)) from {files} rows"
        row = connection.execute(query).fetchone()
        assert row is not None
        read[stream] = row[0]
        assert row[1] == 0, f"{row[1]} rows of {stream} have members that found no column"
    assert read == expected


def test_second_run_requests_only_changed_children_and_writes_nothing(tmp_path: Path) -> None:
    streams = ["projects", "project_details", "documents", "document_contents"]
    with Account(tmp_path) as account:
        job = Job(tmp_path, account.url, streams=streams)
        [first] = job.run("run", "--output", "json").expect(COMPLETE).json()
        [second] = job.run("run", "--output", "json").expect(COMPLETE).json()
    assert first["totals"]["files"] > 0
    assert second["totals"]["files"] == 0
    assert second["requests"] < first["requests"] / 2
