"""The tables of `ddl` hold the rows of the files, in the engines that run here; the SQL of others is parsed."""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chdb.session
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from pyspark.sql import SparkSession
from sqlglot import exp

from kit import program
from kit.account import Account
from kit.job import Job
from kit.lake import Lake
from kit.program import COMPLETE

LOCATIONS = {
    "athena": "s3://bucket/it's a lake",
    "bigquery": "gs://bucket/it's a lake",
    "databricks": "s3://bucket/it's a lake",
    "snowflake": "@stage/it",
    "spark": "s3a://bucket/it's a lake",
}
Query = Callable[[str], pa.Table]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The demo, in a directory whose name every dialect must escape."""
    root = tmp_path_factory.mktemp("ddl") / "it's a lake"
    program.run("demo", "--to", root, cwd=root.parent, key=False).expect(COMPLETE)
    return Lake(str(root))


def described(lake: Lake, target: str, *more: str) -> dict[str, list[str]]:
    """The statements for each stream of the lake."""
    options = ["--set", f"destination.url={lake.root}", "--output", "json", "--target", target, *more]
    tables = program.run("ddl", *options, cwd=Path(lake.root).parent, key=False).expect(COMPLETE).json()
    assert {table["stream"] for table in tables} == lake.streams()
    return {table["stream"]: table["statements"] for table in tables}


def counted(table: pa.Table, without_null: bool) -> Counter[str]:
    """Each row as text; `without_null` are lists and structures of engines that cannot hold null in their place."""

    def value(data: Any, of: pa.DataType) -> Any:
        if pa.types.is_list(of) and (data is not None or without_null):
            return [value(item, of.value_type) for item in data or []]
        if pa.types.is_struct(of) and (data is not None or without_null):
            return {field.name: value((data or {}).get(field.name), field.type) for field in of}
        return data.timestamp() if pa.types.is_timestamp(of) and data is not None else data

    fields = [(field.name, field.type) for field in table.schema]
    rows = ({name: value(row[name], of) for name, of in fields} for row in table.to_pylist())
    return Counter(json.dumps(row, default=str, sort_keys=True) for row in rows)


def compare(lake: Lake, query: Query, quote: str, without_null: bool = False) -> None:
    """Every table has the types and rows of its files, and the values of their directories."""
    root = Path(lake.root)
    for stream in sorted(lake.streams()):
        files = [root / path for path in lake.files() if path.startswith(f"{stream}/")]
        expected = pa.concat_tables(pq.ParquetFile(file).read() for file in files)
        name = f"{quote}{stream}{quote}"
        names = ", ".join(f"{quote}{column}{quote}" for column in expected.column_names)
        found = query(f"select {names} from {name}").cast(expected.schema)
        assert counted(found, without_null) == counted(expected, without_null), stream

        keys = [part.split("=")[0] for part in files[0].relative_to(root).parts if "=" in part]
        if keys:
            rows: Counter[tuple[str, ...]] = Counter()
            for file in files:
                parts = file.relative_to(root).parts
                rows[tuple(part.split("=")[1] for part in parts if "=" in part)] += pq.read_metadata(file).num_rows
            listed = ", ".join(f"{quote}{key}{quote}" for key in keys)
            grouped = query(f"select {listed}, count(*) as n from {name} group by {listed}").to_pylist()
            assert {tuple(str(row[key]) for key in keys): row["n"] for row in grouped} == +rows, stream


def comments_of(lake: Lake) -> dict[tuple[str, str], str]:
    """The meaning of each column of the catalog, some with apostrophes."""
    listed = program.run("streams", "--output", "json", cwd=Path(lake.root).parent).expect(COMPLETE).json()
    streams = [stream for stream in listed if stream["name"] in lake.streams()]
    return {(stream["name"], column["name"]): column["about"] for stream in streams for column in stream["columns"]}


def assert_commented(lake: Lake, found: dict[tuple[str, str], str]) -> None:
    """Every column has its meaning; those of numbers have their unit and range, too."""
    wrong = [key for key, about in comments_of(lake).items() if not found.get(key, "").startswith(about)]
    assert not wrong
    assert found["visibility_v2_by_day", "share_of_voice"].endswith("; unit: share; range: 0 to 1")


def duckdb_with(tables: dict[str, list[str]]) -> tuple[duckdb.DuckDBPyConnection, Query]:
    """A DuckDB that has executed the statements."""
    connection = duckdb.connect()
    for statements in tables.values():
        for statement in statements:
            connection.execute(statement)
    return connection, lambda sql: connection.execute(sql).to_arrow_table()


def test_duckdb_views_hold_the_rows_of_the_files(lake: Lake) -> None:
    connection, query = duckdb_with(described(lake, "duckdb"))
    compare(lake, query, '"')
    columns = connection.execute("select table_name, column_name, comment from duckdb_columns()").fetchall()
    assert_commented(lake, {(table, column): comment for table, column, comment in columns if comment})

    # A filter on a directory reads no other file.
    plan = connection.execute(
        "explain analyze select count(*) from visibility_v2_by_day where day = current_date - 5"
    ).fetchall()[0][1]
    assert re.search(r"Scanning Files: [123]/\d\d", plan), plan

    # The key in the comment identifies a row of the whole table.
    views = connection.execute("select view_name, comment from duckdb_views() where not internal").fetchall()
    assert len(views) == len(lake.streams())
    for view, comment in views:
        found = re.search(r"Key: ((?:[\w.]+, )*[\w.]+)\.(?: |$)", comment)
        assert found, comment
        key = ", ".join('"' + path.replace(".", '"."') + '"' for path in found[1].split(", "))
        twice = connection.execute(f'select {key}, count(*) from "{view}" group by all having count(*) > 1').fetchall()
        assert not twice, f"{view}: {key}"


def test_duckdb_script_of_the_terminal_runs_as_it_is(lake: Lake, tmp_path: Path) -> None:
    options = ["--set", f"destination.url={lake.root}", "ddl", "--target", "duckdb"]
    script = program.run(*options, cwd=tmp_path, key=False).expect(COMPLETE).stdout
    connection = duckdb.connect()
    connection.execute(script)
    assert connection.execute("select count(*) from duckdb_views() where not internal").fetchone() == (
        len(lake.streams()),
    )


def test_duckdb_views_have_columns_that_older_files_lack(lake: Lake, tmp_path: Path) -> None:
    # Brackets would be a pattern.
    root = tmp_path / "old [lake]"
    shutil.copytree(lake.root, root)
    files = sorted((root / "visibility_v2_by_day").rglob("*.parquet"))
    for number, file in enumerate(files):
        table = pq.ParquetFile(file).read()
        names = table.column("asset").combine_chunks().field("name")
        asset = pa.StructArray.from_arrays([names], ["name"])
        older = table.drop_columns(["rank"]).set_column(table.column_names.index("asset"), "asset", asset)
        # One file keeps the field of `asset` that the others lack; none keeps the column.
        pq.write_table(older if number else table.drop_columns(["rank"]), file)
    _, query = duckdb_with(described(Lake(str(root)), "duckdb"))
    table = query("select rank, asset from visibility_v2_by_day")
    assert table.num_rows == sum(pq.read_metadata(file).num_rows for file in files)
    assert table.column("rank").null_count == table.num_rows
    assert [field.name for field in table.schema.field("asset").type] == ["name", "owned"]


@pytest.mark.parametrize("partition", ["month", "none"])
def test_duckdb_views_know_the_directories_of_every_layout(partition: str, account: Account, tmp_path: Path) -> None:
    streams = ("visibility_v2_by_day", "regions", "bots_v2")
    job = Job(tmp_path / "job", account.url, streams, destination_settings={"partition": partition})
    job.run("run").expect(COMPLETE)
    lake = Lake(str(job.lake))
    options = ["--set", f"destination.partition={partition}"]
    _, query = duckdb_with(described(lake, "duckdb", *options))
    compare(lake, query, '"')


def test_clickhouse_tables_hold_the_rows_of_the_files(lake: Lake) -> None:
    with chdb.session.Session() as session:
        session.query("create database lake")
        session.query("use lake")
        for statements in described(lake, "clickhouse").values():
            for statement in statements:
                session.query(statement)

        def query(sql: str) -> pa.Table:
            return pa.ipc.open_file(pa.BufferReader(session.query(sql, "Arrow").bytes())).read_all()

        compare(lake, query, "`", without_null=True)
        columns = query("select table, name, comment from system.columns where database = 'lake'").to_pylist()
        assert_commented(lake, {(row["table"], row["name"]): row["comment"] for row in columns})


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Spark on one thread of a Java machine, which `.ci/run` installs."""
    settings: dict[str, bool | float | int | str | None] = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("spark")),
    }
    os.environ["TZ"] = "UTC"
    session = SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
    yield session
    session.stop()


@pytest.mark.filterwarnings("ignore")
def test_spark_tables_hold_the_rows_of_the_files(lake: Lake, spark: Any) -> None:
    for statements in described(lake, "spark").values():
        for statement in statements:
            spark.sql(statement)
    compare(lake, lambda sql: spark.sql(sql).toArrow(), "`")
    described_columns = {
        (stream, row["col_name"]): row["comment"]
        for stream in lake.streams()
        for row in spark.sql(f"describe `{stream}`").collect()
        if row["comment"]
    }
    assert_commented(lake, described_columns)


@pytest.mark.parametrize("target", ["athena", "bigquery", "databricks", "snowflake", "spark"])
def test_statements_of_other_engines_are_parsed(lake: Lake, target: str) -> None:
    known = comments_of(lake)
    for stream, statements in described(lake, target, "--location", LOCATIONS[target]).items():
        for statement in statements:
            # sqlglot knows neither; docs/guides/tables.md says so.
            if statement.startswith("msck repair table"):
                continue
            partitions = re.search(r"\nwith partition columns (\((?:\n  .*)+\n\))", statement)
            if partitions:
                statement = statement.replace(partitions[0], "")
                sqlglot.parse_one(f"create table t {partitions[1]}", read=target)
            parsed = sqlglot.parse_one(statement, read=target)
            assert isinstance(parsed, exp.Create | exp.Drop | exp.Comment), statement
            if isinstance(parsed, exp.Create):
                schema = parsed.find(exp.Schema)
                assert schema, statement
                columns = {column.name.lower() for column in schema.expressions if column.name}
                assert {column for name, column in known if name == stream} <= columns
