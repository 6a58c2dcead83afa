"""Copies streams of a lake into Apache Iceberg tables, month by month, and only months that changed.

    pip install 'pyiceberg[pyarrow,sql-sqlite]==0.12.0'
    python examples/iceberg.py demo-lake --catalog sqlite:///iceberg.db --warehouse file:///srv/w visibility_v2_by_day

The lake is a directory, or a URL that pyarrow reads, such as `s3://bucket/prefix`. Any catalog of pyiceberg will do:
give its properties with `--property`, as in `--property type=rest --property uri=https://...`.

Files of the lake are replaced in place, so a table cannot register them: their rows are copied. Every month of every
scope is one commit that replaces exactly its rows, so readers see a month before or after, and a copy that was killed
continues with the months that it lacks.
"""

import argparse
import hashlib
import json
import uuid
from collections import defaultdict
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, EqualTo
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform

SCOPE = ("organization_id", "category_id", "asset_id", "domain_name")
# The day of each row's file, and its month. Rows of weekly and monthly totals have no day of their own.
DAY, MONTH = "file_day", "file_month"
PREFIX = "profound.part."
NAMESPACE = "profound"

# The ids of a scope, and the first day of a month; None for a list.
Part = tuple[tuple[tuple[str, str], ...], date | None]


class Lake:
    """The files of a lake that its coverage table names."""

    def __init__(self, url: str) -> None:
        self._files, self._root = (
            pyarrow.fs.FileSystem.from_uri(url) if "://" in url else (pyarrow.fs.LocalFileSystem(), url)
        )
        # Read once, before any file: a file may be newer than it, never older.
        self.coverage = self._read("_profound_export/coverage.parquet").to_pylist()

    def _read(self, path: str) -> pa.Table:
        return pq.ParquetFile(self._files.open_input_file(f"{self._root}/{path}")).read()

    def parts(self, stream: str) -> dict[Part, list[dict[str, Any]]]:
        """The files of each scope and month."""
        parts: dict[Part, list[dict[str, Any]]] = defaultdict(list)
        for row in self.coverage:
            if row["stream"] == stream and row["path"]:
                scope = tuple((name, row[name]) for name in SCOPE if row[name] is not None)
                parts[scope, row["day"] and row["day"].replace(day=1)].append(row)
        return parts

    def rows(self, files: list[dict[str, Any]]) -> pa.Table:
        """All rows of some files, with the day of each file."""
        tables = []
        for file in files:
            table, day = self._read(file["path"]), file["day"]
            for name, value in ((DAY, day), (MONTH, day and day.replace(day=1))):
                table = table.append_column(name, pa.array([value] * len(table), pa.date32()))
            tables.append(table)
        # A later version may have added columns.
        return pa.concat_tables(tables, promote_options="default")


def version(files: list[dict[str, Any]]) -> str:
    """Differs if and only if a file of the part does."""
    seen = sorted((file["path"], str(file["changed_at"])) for file in files)
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]


def name_of(part: Part) -> str:
    """The property of a table that says which version of a part it holds."""
    scope, month = part
    return PREFIX + json.dumps([scope, month and month.isoformat()], ensure_ascii=False)


def part_of(name: str) -> Part:
    """The part that a property is about."""
    scope, month = json.loads(name.removeprefix(PREFIX))
    return tuple((column, value) for column, value in scope), month and date.fromisoformat(month)


def is_of(part: Part) -> BooleanExpression:
    """Whether a row is of `part`."""
    scope, month = part
    wanted: BooleanExpression = AlwaysTrue()
    for name, value in scope:
        wanted = And(wanted, EqualTo(name, value))
    return wanted if month is None else And(wanted, EqualTo(MONTH, month.isoformat()))


def open_table(catalog: Catalog, stream: str, schema: pa.Schema, has_days: bool) -> Table:
    """The table of `stream`, partitioned by scope and month, with at least the columns of `schema`."""
    name = f"{NAMESPACE}.{stream}"
    try:
        table = catalog.load_table(name)
    except NoSuchTableError:
        table = catalog.create_table(name, schema)
        # A part of the lake is a partition, so that replacing it drops files and rewrites none.
        with table.update_spec() as spec:
            for column in (*SCOPE, MONTH):
                if column in schema.names and (column != MONTH or has_days):
                    spec.add_field(column, IdentityTransform(), f"{column}_part")
        return table
    with table.update_schema() as update:
        update.union_by_name(schema)
    return table


def write(table: Table, rows: pa.Table) -> str:
    """The path of a new file with `rows`."""
    path = f"{table.location()}/data/{uuid.uuid4()}.parquet"
    with table.io.new_output(path).create() as file:
        pq.write_table(rows, file, compression="zstd")
    return path


def copy(lake: Lake, catalog: Catalog, stream: str) -> int:
    """Copies the changed parts of a stream, and deletes those that were forgotten; returns how many there were."""
    parts = lake.parts(stream)
    name = f"{NAMESPACE}.{stream}"
    table = catalog.load_table(name) if catalog.table_exists(name) else None
    if not parts and not table:
        raise SystemExit(f"the lake has no files of `{stream}`")
    known = dict(table.properties) if table else {}
    changed = 0
    for part, files in sorted(parts.items(), key=repr):
        if known.get(name_of(part)) == version(files):
            continue
        rows = lake.rows(files)
        table = open_table(catalog, stream, rows.schema, has_days=part[1] is not None)
        # The rows and the version that they are of are one commit.
        with table.transaction() as transaction:
            if name_of(part) in known:
                transaction.delete(is_of(part))
            # `append` of pyiceberg 0.12 turns null lists of structures into empty ones, so the file is written here.
            if len(rows):
                transaction.add_files([write(table, rows)])
            transaction.set_properties({name_of(part): version(files)})
        changed += 1
    for gone in known.keys() - {name_of(part) for part in parts}:
        if table and gone.startswith(PREFIX):
            with table.transaction() as transaction:
                transaction.delete(is_of(part_of(gone)))
                transaction.remove_properties(gone)
            changed += 1
    return changed


def main() -> None:
    """Copies the streams that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lake")
    parser.add_argument("streams", nargs="+")
    parser.add_argument("--catalog", help="URI of an SQL catalog")
    parser.add_argument("--warehouse", help="where tables are stored")
    parser.add_argument("--property", action="append", default=[], metavar="NAME=VALUE", help="of any other catalog")
    given = parser.parse_args()
    properties = dict(one.split("=", 1) for one in given.property)
    if given.catalog:
        properties |= {"type": "sql", "uri": given.catalog}
    if given.warehouse:
        properties["warehouse"] = given.warehouse
    catalog = load_catalog("profound", **properties)
    catalog.create_namespace_if_not_exists(NAMESPACE)
    lake = Lake(given.lake)
    for stream in given.streams:
        print(f"{stream}: {copy(lake, catalog, stream)} parts changed")


if __name__ == "__main__":
    main()
