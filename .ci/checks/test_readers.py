"""A lake read by other people's programs is, row for row, what the account holds: on disk and in a bucket."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from kit import lake as lakes
from kit.account import Account
from kit.job import Job
from kit.lake import Lake
from kit.program import COMPLETE
from kit.stores import BUCKET, Store


@dataclass
class Watch:
    """Looks at a lake again and again while it is written, as readers do that list directories."""

    root: Path
    seen: int = 0

    def __post_init__(self) -> None:
        self.broken: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        known: set[Path] = set()
        while not self._over.wait(0.02):
            for path in self.root.rglob("*"):
                if path in known or "_profound_export" in path.parts or not path.is_file():
                    continue
                known.add(path)
                try:
                    pq.read_metadata(path)
                except Exception as error:  # Whatever a reader stumbles over is what this looks for.
                    self.broken.append(f"{path}: {error}")
        self.seen = len(known)

    def end(self) -> None:
        """Stops looking."""
        self._over.set()
        self._thread.join()


@dataclass(frozen=True)
class Exported:
    """A lake after its first run, and what it must hold."""

    lake: Lake
    job: Job
    truths: dict[str, Any]
    watch: Watch | None


@pytest.fixture(scope="module", params=["disk", "moto", "ministack"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    """The lake of a whole run."""
    directory = tmp_path_factory.mktemp(request.param)
    store: Store | None = None if request.param == "disk" else request.getfixturevalue(request.param)
    with Account(directory, "--rows", "visibility_v1=2000", "--rows", "answers_v2=40") as account:
        if store:
            # A prefix with a space and a letter beyond ASCII: both must arrive as they are written.
            job = Job(directory, account.url, destination=f"s3://{BUCKET}/a lake/é", options=store.options)
            lake = Lake("a lake/é", store)
        else:
            job = Job(directory, account.url)
            lake = Lake(str(job.lake))
        watch = None if store else Watch(job.lake)
        try:
            job.run("run").expect(COMPLETE)
        finally:
            if watch:
                watch.end()
        truths = job.truths(account)
        yield Exported(lake, job, truths, watch)


@pytest.mark.parametrize("reader", lakes.READERS)
def test_totals_are_those_of_the_account(exported: Exported, reader: str) -> None:
    if exported.lake.store and reader not in ("duckdb", "pyarrow"):
        pytest.skip("one engine and one library are enough for a bucket: the files are the same")
    assert sum(truth["total"]["rows"] for truth in exported.truths.values()) > 50_000
    lakes.assert_equal(exported.lake, reader, exported.truths)


def test_every_stream_has_rows_and_a_table(exported: Exported) -> None:
    assert len(exported.truths) >= 23
    assert not [name for name, truth in exported.truths.items() if not truth["total"]["rows"]]
    assert exported.lake.streams() == exported.truths.keys()


def test_each_scope_has_a_directory_of_its_own(exported: Exported) -> None:
    filesystem, root = exported.lake.filesystem(), exported.lake.directory()
    rows: dict[tuple[str, str], int] = {}
    for path in exported.lake.files():
        stream, *directories, _ = path.split("/")
        scope = "/".join(part for part in directories if not part.startswith("day="))
        with filesystem.open_input_file(f"{root}/{path}") as file:
            rows[stream, scope] = rows.get((stream, scope), 0) + pq.read_metadata(file).num_rows
    expected = {
        (name, scope["key"]): scope["rows"]
        for name, truth in exported.truths.items()
        for scope in truth["scopes"]
        if scope["rows"]
    }
    assert {place: count for place, count in rows.items() if count} == expected


def test_only_complete_files_are_ever_visible(exported: Exported) -> None:
    files = exported.lake.files()
    assert all(path.endswith(".parquet") for path in files)
    if exported.watch:
        assert not exported.watch.broken
        assert exported.watch.seen > 100


def test_bounds_of_every_column_are_read_by_pyarrow(exported: Exported) -> None:
    """Floats included, whose order parquet-rs declares in a form that other readers do not know."""
    filesystem, root = exported.lake.filesystem(), exported.lake.directory()
    for stream in ("visibility_v1", "visibility_v2_by_day"):
        path = next(path for path in exported.lake.files() if path.startswith(f"{stream}/"))
        with filesystem.open_input_file(f"{root}/{path}") as file:
            group = pq.read_metadata(file).row_group(0)
        columns = [group.column(number) for number in range(group.num_columns)]
        assert any(column.physical_type == "DOUBLE" for column in columns)
        bare = [
            column.path_in_schema
            for column in columns
            if not column.is_stats_set or column.statistics.has_min_max == (column.statistics.num_values == 0)
        ]
        assert not bare, path


def test_coverage_table_names_every_file(exported: Exported) -> None:
    filesystem, root = exported.lake.filesystem(), exported.lake.directory()
    with filesystem.open_input_file(f"{root}/_profound_export/coverage.parquet") as file:
        table = pq.read_table(file).to_pylist()
    assert sorted(row["path"] for row in table if row["path"]) == exported.lake.files()
    rows = {name: sum(row["rows"] or 0 for row in table if row["stream"] == name) for name in exported.truths}
    assert rows == {name: truth["total"]["rows"] for name, truth in exported.truths.items()}
    assert {row["status"] for row in table} <= {"final", "provisional", "empty"}
