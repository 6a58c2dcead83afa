"""Scans of day files and of the table made of them, by three engines: `python bench_tables.py [CATEGORIES DAYS]`.

The account is simulated. Both forms have the same rows, are read in the same minute, and must give the same sums.
CPU is that of the scan alone, memory the peak of its process.
"""

import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import duckdb
import duckdb_extensions
import polars
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable

from kit.account import Account
from kit.job import Job
from kit.program import COMPLETE

STREAM = "visibility_v2_by_day"
COLUMN = "visibility_score"
# Rows of a category and day.
ROWS = 120


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    duckdb_extensions.import_extension("delta", con=connection)
    return connection


def _duckdb(scan: str) -> tuple[int, float]:
    rows, total = _connection().execute(f"select count(*), sum({COLUMN}) from {scan}").fetchall()[0]
    return rows, total


def _polars(frame: polars.LazyFrame) -> tuple[int, float]:
    read = frame.select(polars.len().alias("rows"), polars.col(COLUMN).sum().alias("total")).collect()
    return int(read["rows"][0]), float(read["total"][0])


def _pyarrow(dataset: ds.Dataset) -> tuple[int, float]:
    table = dataset.to_table(columns=[COLUMN])
    return table.num_rows, float(pc.sum(table[COLUMN]).as_py())


# How each engine reads a directory of day files, and a table.
SCANS: dict[str, Callable[[str], tuple[int, float]]] = {
    "DuckDB, day files": lambda at: _duckdb(f"read_parquet('{at}/**/*.parquet', hive_partitioning = true)"),
    "DuckDB, table": lambda at: _duckdb(f"delta_scan('{at}')"),
    "Polars, day files": lambda at: _polars(polars.scan_parquet(f"{at}/**/*.parquet", hive_partitioning=True)),
    "Polars, table": lambda at: _polars(polars.scan_delta(at)),
    "pyarrow, day files": lambda at: _pyarrow(ds.dataset(at, format="parquet", partitioning="hive")),
    "pyarrow, table": lambda at: _pyarrow(DeltaTable(at).to_pyarrow_dataset()),
}


def scan(name: str, at: str) -> None:
    """One scan, in a process of its own."""
    # What is loaded once is no part of a scan.
    _connection()
    before = time.process_time()
    rows, total = SCANS[name](at)
    busy, memory = time.process_time() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows": rows, "total": total, "busy": busy, "memory": memory}))


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*.parquet") if "_delta_log" not in path.parts]


def main(categories: int, days: int) -> None:
    """Exports, and prints a table of Markdown."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        with Account(place, "--categories", str(categories), "--rows", f"{STREAM}={ROWS}") as account:
            job = Job(place, account.url, [STREAM], days=days, tables_settings={"url": str(place / "tables")})
            job.run("run").expect(COMPLETE)
        roots = {"day files": job.lake / STREAM, "table": place / "tables" / STREAM}
        print("| scan | files | MB | CPU seconds | peak MiB |\n|---|---|---|---|---|")
        found: dict[str, dict[str, float]] = {}
        for name in SCANS:
            root = roots[name.split(", ")[1]]
            files = _files(root)
            ended = subprocess.run(
                [sys.executable, "-B", __file__, name, str(root)], check=True, capture_output=True, text=True
            )
            one = found[name] = json.loads(ended.stdout)
            size = sum(path.stat().st_size for path in files) / 1e6
            print(f"| {name} | {len(files):,} | {size:.1f} | {one['busy']:.2f} | {one['memory']:.0f} |")
        first = next(iter(found.values()))
        print(f"\n{first['rows']:,.0f} rows, {categories} categories, {days} days")
        for name, one in found.items():
            assert one["rows"] == first["rows"], name
            assert math.isclose(one["total"], first["total"], rel_tol=1e-9), name


if __name__ == "__main__":
    match sys.argv[1:]:
        case [name, at] if name in SCANS:
            scan(name, at)
        case [categories, days]:
            main(int(categories), int(days))
        case _:
            main(20, 365)
