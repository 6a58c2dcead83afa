"""Third-party readers, each returning the same totals of a stream: rows, days, and the sums of its figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import datafusion
import duckdb
import duckdb_extensions
import polars
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from pyarrow.fs import FileSelector, FileSystem, LocalFileSystem, S3FileSystem

from kit.stores import BUCKET, Store

# Floats are added in another order by each reader.
RELATIVE_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Totals:
    """What the rows of one stream come to."""

    rows: int
    # Rows of each day that has any; empty for lists.
    days: dict[str, int]
    # By numeric column, nulls left out.
    sums: dict[str, float]
    nulls: dict[str, int]

    def differences(self, other: "Totals") -> list[str]:
        """How the other differs, in words."""
        found = [
            f"{name}: {mine} is not {theirs}"
            for name, mine, theirs in (
                ("rows", self.rows, other.rows),
                ("rows of each day", self.days, other.days),
                ("nulls", self.nulls, other.nulls),
                ("summed columns", sorted(self.sums), sorted(other.sums)),
            )
            if mine != theirs
        ]
        for column in self.sums.keys() & other.sums.keys():
            mine, theirs = self.sums[column], other.sums[column]
            if abs(mine - theirs) > RELATIVE_TOLERANCE * max(abs(mine), abs(theirs)):
                found.append(f"sum of {column}: {mine} is not {theirs}")
        return found


def expected_totals(truth: Mapping[str, Any]) -> Totals:
    """What the simulated account itself says."""
    days = {day: rows for day, rows in truth["days"].items() if rows}
    return Totals(truth["rows"], days, dict(truth["sums"]), dict(truth["nulls"]))


@dataclass(frozen=True)
class Lake:
    """The location of a lake: a directory, or a prefix of a bucket."""

    root: str
    store: Store | None = None

    def filesystem(self) -> FileSystem:
        """It as pyarrow sees it."""
        if not self.store:
            return LocalFileSystem()
        return S3FileSystem(
            access_key=self.store.access_key,
            secret_key=self.store.secret_key,
            endpoint_override=self.store.endpoint.removeprefix("http://"),
            scheme="http",
            region="us-east-1",
        )

    def directory(self) -> str:
        """Its root as pyarrow names it."""
        return f"{BUCKET}/{self.root}" if self.store else self.root

    def url(self) -> str:
        """Its root as engines name it."""
        return f"s3://{BUCKET}/{self.root}" if self.store else self.root

    def files(self) -> list[str]:
        """Every file outside the exporter's own directory, from the root."""
        root = self.directory()
        found = self.filesystem().get_file_info(FileSelector(root, recursive=True))
        paths = (entry.path.removeprefix(f"{root}/") for entry in found if entry.is_file)
        return sorted(path for path in paths if not path.startswith("_profound_export/"))

    def streams(self) -> set[str]:
        """The streams that have a table."""
        return {path.split("/")[0] for path in self.files() if "/" in path}


def with_pyarrow(lake: Lake, stream: str, columns: Sequence[str]) -> Totals:
    """Reads every file of a directory with every column, however nested."""
    directory = f"{lake.directory()}/{stream}"
    table = pads.dataset(directory, filesystem=lake.filesystem(), format="parquet", partitioning="hive").to_table()
    assert len(set(table.column_names)) == len(table.column_names), f"a column comes twice: {table.column_names}"
    days: dict[str, int] = {}
    if "day" in table.column_names:
        counted = pc.value_counts(table["day"].combine_chunks())
        days = {str(entry["values"]): entry["counts"].as_py() for entry in counted}
    sums = {column: float(pc.sum(table[column], min_count=0).as_py()) for column in columns}
    nulls = {column: table[column].null_count for column in columns}
    return Totals(table.num_rows, days, sums, nulls)


def with_duckdb(lake: Lake, stream: str, columns: Sequence[str]) -> Totals:
    """Reads by SQL, over HTTP if the lake is in a bucket."""
    connection = duckdb.connect()
    if lake.store:
        duckdb_extensions.import_extension("httpfs", con=connection)
        host = lake.store.endpoint.removeprefix("http://")
        connection.execute(
            f"create secret (type s3, key_id '{lake.store.access_key}', secret '{lake.store.secret_key}', "
            f"endpoint '{host}', region 'us-east-1', url_style 'path', use_ssl false)"
        )
    files = f"read_parquet('{lake.url()}/{stream}/**/*.parquet', hive_partitioning = true, filename = true)"
    names = {row[0] for row in connection.execute(f"describe from {files}").fetchall()}
    # Every layout has the day in the path.
    day = r"regexp_extract(filename, '(\d{4}-\d\d-\d\d)(/data)?\.parquet$', 1)"
    days = dict(connection.execute(f"select {day}, count(*) from {files} where {day} <> '' group by all").fetchall())
    if days and "date" in names:
        wrong = connection.execute(f"select count(*) from {files} where date <> {day}::date").fetchone()
        assert wrong == (0,), f"{wrong} rows of {stream} lie in another day's file"
    # Nothing is sent that the catalog does not know, so nothing may be left over.
    left = connection.execute(f"select count(_extra), min(_extra) from {files}").fetchone()
    assert left == (0, None), f"{left} rows of {stream} have members that found no column"
    # Every column to its text, so that every value is read.
    connection.execute(f"select max(hash(rows::varchar)) from {files} rows").fetchone()
    return _by_sql(lambda query: connection.execute(query).fetchone() or (), files, columns, days)


def with_polars(lake: Lake, stream: str, columns: Sequence[str]) -> Totals:
    """Reads a directory with a query engine of its own."""
    frame = polars.scan_parquet(f"{lake.url()}/{stream}/", hive_partitioning=True).collect()
    days: dict[str, int] = {}
    if "day" in frame.columns:
        days = {str(day): rows for day, rows in frame.group_by("day").len().iter_rows()}
    sums = {column: float(frame[column].sum()) for column in columns}
    nulls = {column: frame[column].null_count() for column in columns}
    return Totals(frame.height, days, sums, nulls)


def with_datafusion(lake: Lake, stream: str, columns: Sequence[str]) -> Totals:
    """Reads by SQL, the directories declared as partitions."""
    context = datafusion.SessionContext()
    path = next(path for path in lake.files() if path.split("/")[0] == stream)
    keys = [part.split("=")[0] for part in path.split("/")[1:-1]]
    context.register_parquet("t", f"{lake.url()}/{stream}/", table_partition_cols=[(key, pa.string()) for key in keys])
    days: dict[str, int] = {}

    def rows(query: str) -> list[tuple[Any, ...]]:
        table = pa.Table.from_batches(context.sql(query).collect())
        return [tuple(row.values()) for row in table.to_pylist()]

    if "day" in keys:
        days = {str(day): count for day, count in rows('select "day", count(*) from t group by "day"')}
    return _by_sql(lambda query: rows(query)[0], "t", columns, days)


def _by_sql(one: Callable[[str], Sequence[Any]], table: str, columns: Sequence[str], days: dict[str, int]) -> Totals:
    wanted = "".join(f', coalesce(sum("{name}"), 0), count(*) - count("{name}")' for name in columns)
    total, *rest = one(f"select count(*){wanted} from {table}")
    sums = {name: float(value) for name, value in zip(columns, rest[::2], strict=True)}
    return Totals(total, days, sums, dict(zip(columns, rest[1::2], strict=True)))


READERS: dict[str, Callable[[Lake, str, Sequence[str]], Totals]] = {
    "duckdb": with_duckdb,
    "pyarrow": with_pyarrow,
    "polars": with_polars,
    "datafusion": with_datafusion,
}


def assert_equal(lake: Lake, reader: str, truths: Mapping[str, Any]) -> None:
    """Fails where a lake, read with `reader`, differs from the account, and names every stream."""
    problems: list[str] = []
    for stream, truth in truths.items():
        expected = expected_totals(truth["total"])
        if expected.rows:
            read = READERS[reader](lake, stream, sorted(expected.sums))
            problems += [f"{stream}: {difference}" for difference in read.differences(expected)]
    assert not problems, f"{reader} reads something else than the account holds:\n" + "\n".join(problems)
