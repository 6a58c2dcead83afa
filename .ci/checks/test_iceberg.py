"""Iceberg tables that `examples/iceberg.py` copies from a lake hold its rows, after every change of the lake."""

import json
import subprocess
import sys
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog, load_catalog

from kit.account import Account
from kit.job import Job, today
from kit.program import COMPLETE

RECIPE = Path(__file__).parents[2] / "examples" / "iceberg.py"
# Nested columns, a day in the rows, none in the rows, and a list.
STREAMS = ("answers_v2", "visibility_v2_by_day", "visibility_v2_week", "prompts")


class Copied:
    """A lake, and the tables that are copied from it."""

    def __init__(self, directory: Path, account: Account) -> None:
        self.job = Job(directory, account.url, streams=STREAMS, days=40)
        warehouse = directory / "warehouse"
        warehouse.mkdir()
        self.uri, self.warehouse = f"sqlite:///{directory}/catalog.db", warehouse.as_uri()

    def copy(self) -> dict[str, int]:
        """Copies; how many parts of each stream changed."""
        arguments = [str(self.job.lake), "--catalog", self.uri, "--warehouse", self.warehouse, *STREAMS]
        done = subprocess.run([sys.executable, str(RECIPE), *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        lines = (line.split() for line in done.stdout.splitlines())
        return {words[0].rstrip(":"): int(words[1]) for words in lines}

    def catalog(self) -> Catalog:
        """The catalog of the tables."""
        return load_catalog("profound", type="sql", uri=self.uri, warehouse=self.warehouse)

    def assert_equal(self) -> None:
        """Every table has exactly the rows of the lake's files."""
        for stream in STREAMS:
            # The files that the table names: pyiceberg's own reader turns null lists of structures into empty ones.
            planned = self.catalog().load_table(f"profound.{stream}").scan().plan_files()
            copied = pa.concat_tables(
                pq.ParquetFile(one.file.file_path.removeprefix("file://")).read() for one in planned
            )
            files = [pq.ParquetFile(path).read() for path in (self.job.lake / stream).rglob("*.parquet")]
            there = _rows(copied.drop_columns(["file_day", "file_month"]))
            here = sum((_rows(file) for file in files), Counter[str]())
            assert there == here, stream


def _rows(table: pa.Table) -> Counter[str]:
    def sortable(row: dict[str, Any]) -> str:
        return json.dumps(row, sort_keys=True, default=str)

    return Counter(sortable(row) for row in table.to_pylist())


@pytest.fixture
def copied(tmp_path: Path, account: Account) -> Copied:
    """A lake after its first run and its first copy."""
    copied = Copied(tmp_path, account)
    copied.job.run("run").expect(COMPLETE)
    assert all(parts > 0 for parts in copied.copy().values())
    return copied


def test_copy_has_the_rows_of_the_lake_and_a_second_one_changes_nothing(copied: Copied) -> None:
    copied.assert_equal()

    snapshots = {stream: copied.catalog().load_table(f"profound.{stream}").metadata.snapshots for stream in STREAMS}
    assert copied.copy() == dict.fromkeys(STREAMS, 0)
    for stream in STREAMS:
        assert copied.catalog().load_table(f"profound.{stream}").metadata.snapshots == snapshots[stream], stream


def test_restated_day_replaces_its_month_and_no_other(copied: Copied, account: Account) -> None:
    day = today("eastern") - timedelta(days=1)
    account.restate(day)
    copied.job.run("run").expect(COMPLETE)

    changed = copied.copy()

    categories = len(list((copied.job.lake / "visibility_v2_by_day").glob(f"category=*/day={day}")))
    assert changed["visibility_v2_by_day"] == categories > 0
    assert changed["prompts"] == 0
    copied.assert_equal()


def test_forgotten_days_leave_the_table(copied: Copied) -> None:
    first: date = copied.job.start
    last = first.replace(day=28) + timedelta(days=4)
    last -= timedelta(days=last.day)

    forget = ("forget", "answers_v2", "--from", str(first), "--to", str(last), "--yes")
    copied.job.run(*forget).expect(COMPLETE)

    assert copied.copy()["answers_v2"] > 0
    copied.assert_equal()
    dates = copied.catalog().load_table("profound.answers_v2").scan(selected_fields=("date",)).to_arrow()["date"]
    assert min(dates.to_pylist()) > last
