"""Tables, read by delta-rs, Polars and DuckDB, have the rows of the account: on disk and in a bucket."""

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extensions
import polars
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable

from kit import program
from kit.account import Account
from kit.job import Job, today
from kit.lake import RELATIVE_TOLERANCE
from kit.program import COMPLETE, SOME_FAILED
from kit.stores import BUCKET, Store

# A report, answers with nested columns, positional rows, and a list.
STREAMS = ["visibility_v2_by_day", "answers_v2", "visibility_v1", "bots_v2", "category_topics"]
# More days than the lookback of any stream, so that a month is over and compacted.
DAYS = 45
# Days of the job whose runs are killed.
DAYS_OF_KILLED = 12


@dataclass(frozen=True)
class Tables:
    """The tables of a job, and where they are."""

    job: Job
    truths: dict[str, Any]
    root: str
    store: Store | None

    def options(self) -> dict[str, str]:
        """Options of delta-rs and Polars."""
        if not self.store:
            return {}
        return {
            "aws_endpoint": self.store.endpoint,
            "aws_access_key_id": self.store.access_key,
            "aws_secret_access_key": self.store.secret_key,
            "aws_region": "us-east-1",
            "aws_allow_http": "true",
        }

    def url(self, stream: str) -> str:
        """The URL of a table."""
        return f"{self.root}/{stream}"

    def connection(self) -> duckdb.DuckDBPyConnection:
        """DuckDB with its extension for Delta."""
        connection = duckdb.connect()
        duckdb_extensions.import_extension("delta", con=connection)
        if self.store:
            duckdb_extensions.import_extension("httpfs", con=connection)
            host = self.store.endpoint.removeprefix("http://")
            connection.execute(
                f"create secret (type s3, key_id '{self.store.access_key}', secret '{self.store.secret_key}', "
                f"endpoint '{host}', region 'us-east-1', url_style 'path', use_ssl false)"
            )
        return connection


@pytest.fixture(scope="module", params=["disk", "moto"])
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tables]:
    """Tables after two runs."""
    directory = tmp_path_factory.mktemp(f"tables-{request.param}")
    store: Store | None = None if request.param == "disk" else request.getfixturevalue(request.param)
    root = f"s3://{BUCKET}/tables" if store else str(directory / "tables")
    with Account(directory, "--rows", "visibility_v1=200", "--rows", "answers_v2=10") as account:
        job = Job(
            directory,
            account.url,
            STREAMS,
            destination=f"s3://{BUCKET}/tables-lake" if store else None,
            options=store.options if store else {},
            tables_settings={"url": root},
            days=12 if store else DAYS,
        )
        first = job.run("run", "--output", "json").expect(COMPLETE).json()
        assert sorted(first[0]["tables"]) == sorted(STREAMS)
        job.run("run").expect(COMPLETE)
        yield Tables(job, job.truths(account), root, store)


def with_delta_rs(tables: Tables, stream: str, columns: Sequence[str]) -> tuple[int, dict[str, float]]:
    """Reads with the Rust implementation that other people keep."""
    table = DeltaTable(tables.url(stream), storage_options=tables.options()).to_pyarrow_table()
    return table.num_rows, {column: float(pc.sum(table[column], min_count=0).as_py()) for column in columns}


def with_polars(tables: Tables, stream: str, columns: Sequence[str]) -> tuple[int, dict[str, float]]:
    """Reads with Polars."""
    frame = polars.scan_delta(tables.url(stream), storage_options=tables.options()).collect()
    return frame.height, {column: float(frame[column].sum()) for column in columns}


def with_duckdb(tables: Tables, stream: str, columns: Sequence[str]) -> tuple[int, dict[str, float]]:
    """Reads with DuckDB's extension, which is made with delta-kernel."""
    connection = tables.connection()
    scan = f"delta_scan('{tables.url(stream)}')"
    wanted = "".join(f', coalesce(sum("{column}"), 0)' for column in columns)
    rows, *sums = connection.execute(f"select count(*){wanted} from {scan}").fetchone() or ()
    # Every value is read.
    connection.execute(f"select max(hash(rows::varchar)) from {scan} rows").fetchone()
    return rows, {column: float(value) for column, value in zip(columns, sums, strict=True)}


READERS: Mapping[str, Callable[[Tables, str, Sequence[str]], tuple[int, dict[str, float]]]] = {
    "delta-rs": with_delta_rs,
    "polars": with_polars,
    "duckdb": with_duckdb,
}


@pytest.mark.parametrize("reader", READERS)
def test_rows_and_sums_are_those_of_the_account(published: Tables, reader: str) -> None:
    problems: list[str] = []
    for stream, truth in published.truths.items():
        expected = truth["total"]
        if not expected["rows"]:
            continue
        rows, sums = READERS[reader](published, stream, sorted(expected["sums"]))
        if rows != expected["rows"]:
            problems.append(f"{stream}: {rows} rows instead of {expected['rows']}")
        for column, value in expected["sums"].items():
            if abs(sums[column] - value) > RELATIVE_TOLERANCE * max(abs(sums[column]), abs(value)):
                problems.append(f"{stream}: sum of {column} is {sums[column]} instead of {value}")
    assert not problems, "\n".join(problems)


def test_files_are_skipped_by_their_statistics_and_months_compacted(published: Tables) -> None:
    table = DeltaTable(published.url("visibility_v2_by_day"), storage_options=published.options())
    actions = polars.DataFrame(table.get_add_actions(flatten=True))
    assert min(actions["num_records"].to_list()) > 0
    assert actions["min.day"].null_count() == 0
    files = actions.group_by("partition.category_id", "partition.month").len()["len"].to_list()
    if not published.store:
        assert min(files) == 1, "a month that is over is one file"
    assert max(files) > 1, "open days are files of their own"


def test_tables_describe_themselves(published: Tables) -> None:
    table = DeltaTable(published.url("visibility_v2_by_day"), storage_options=published.options())
    assert "Key: category_id, date, asset.name." in table.metadata().description
    comments = {field.name: field.metadata.get("comment", "") for field in table.schema().fields}
    assert comments["visibility_score"].endswith("(share, 0 to 1)")
    assert all(comments.values())


def test_engine_may_optimize_and_the_next_run_restores_the_tables(published: Tables) -> None:
    if published.store:
        pytest.skip("the log is the same in a bucket")
    url = published.url("visibility_v2_by_day")
    before = with_delta_rs(published, "visibility_v2_by_day", ["visibility_score"])
    DeltaTable(url).optimize.compact()
    DeltaTable(url).create_checkpoint()
    assert DeltaTable(url).delete("day = '2020-01-01' or visibility_score > 0.5")["num_deleted_rows"] > 0

    published.job.run("run").expect(COMPLETE)

    rows, sums = with_delta_rs(published, "visibility_v2_by_day", ["visibility_score"])
    assert rows == before[0]
    assert sums == pytest.approx(before[1])


def test_verify_finds_a_deleted_file_and_rebuild_restores_it(published: Tables) -> None:
    if published.store:
        pytest.skip("the comparison is the same in a bucket")
    job, stream = published.job, "visibility_v2_by_day"
    intact = job.run("verify", "--output", "json").expect(COMPLETE).json()
    assert intact["tables"]["tables"] == len(STREAMS)
    before = with_delta_rs(published, stream, [])
    Path(DeltaTable(published.url(stream)).file_uris()[0]).unlink()

    found = job.run("verify", "--output", "json").expect(SOME_FAILED).json()

    assert [(one["kind"], one["remedy"], one["stream"]) for one in found["problems"]] == [
        ("missing", "rebuild", stream)
    ]
    job.run("tables", "rebuild", stream).expect(COMPLETE)
    job.run("verify").expect(COMPLETE)
    assert with_delta_rs(published, stream, []) == before


def test_rebuild_writes_the_same_rows_once_more(published: Tables) -> None:
    before = with_delta_rs(published, "answers_v2", [])

    ended = published.job.run("tables", "rebuild", "answers_v2", "--output", "json").expect(COMPLETE).json()

    assert list(ended["tables"]) == ["answers_v2"]
    assert with_delta_rs(published, "answers_v2", []) == before


def test_tables_of_a_bucket_survive_kills_and_races(
    tmp_path: Path, moto: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    # Every second round two processes publish at once, and one of them is killed.
    rounds = int(os.environ.get("PROFOUND_EXPORT_ROUNDS", "12"))
    seed = int(os.environ.get("PROFOUND_EXPORT_SEED", "1"))
    chance = random.Random(seed)
    root = f"s3://{BUCKET}/killed-tables"
    streams = ["visibility_v2_by_day", "category_topics"]
    killed = ended = 0
    with Account(tmp_path) as account:
        job = Job(
            tmp_path,
            account.url,
            streams,
            destination=f"s3://{BUCKET}/killed-lake",
            options=moto.options,
            tables_settings={"url": root},
            days=DAYS_OF_KILLED,
        )
        began = time.monotonic()
        job.run("run").expect(COMPLETE)
        longest = time.monotonic() - began
        tables = Tables(job, {}, root, moto)
        for number in range(rounds):
            account.restate(job.start + timedelta(days=chance.randrange(DAYS_OF_KILLED)))
            running = [
                program.start("--config", job.dir / "jobs.toml", "run", cwd=job.dir) for _ in range(1 + number % 2)
            ]
            try:
                running[0].wait(chance.uniform(0.3, 1.1) * longest)
                ended += 1
            except subprocess.TimeoutExpired:
                running[0].kill()
                killed += 1
            for process in running:
                process.wait()
            # What was killed is finished by the next run; days that two processes wrote at once by the one after it.
            for _ in range(2):
                last = job.run("run")
            last.expect(COMPLETE)
            job.run("verify").expect(COMPLETE)
            rows, _ = with_delta_rs(tables, streams[0], [])
            expected = account.truth(streams[0], job.start, today("eastern") - timedelta(days=1))["total"]["rows"]
            assert rows == expected, f"round {number}, seed {seed}"
    with capsys.disabled():
        print(f"\n{rounds} rounds: {killed} processes killed, {ended} ended before; rows lost, doubled or stale: 0")
    assert killed > 0


def test_tables_within_the_lake_are_rejected(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, ["organizations"], tables_settings={"url": str(tmp_path / "lake" / "tables")})
    ended = job.run("run")
    assert ended.code == 78
    assert "the tables are in the lake" in ended.stderr
