"""The dbt package builds from day files and Delta tables, agrees with the API's totals, and loads only changed days."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extensions
import pytest
import yaml

from kit import program
from kit.account import Account
from kit.job import Job, today
from kit.program import COMPLETE

PACKAGE = Path(__file__).parents[2] / "examples/dbt"
STREAMS: list[str] = tomllib.loads((PACKAGE / "jobs.toml").read_text())["job"][0]["streams"]
# Whole weeks, and at least one whole month.
DAYS = 63
INCREMENTAL = ("fct_answer", "bridge_answer_mention", "bridge_answer_citation")


def dbt() -> Path:
    """The program, from an environment of its own that `.ci/run` makes."""
    named = os.environ.get("PROFOUND_EXPORT_DBT")
    path = Path(named) if named else Path(sys.executable).parents[2] / "dbt/bin/dbt"
    assert path.is_file(), f"{path} is missing: `.ci/run 'check dbt'` makes it"
    return path


@dataclass(frozen=True)
class Warehouse:
    """A DuckDB file that dbt fills from a lake."""

    dir: Path
    variables: Mapping[str, str]

    @property
    def file(self) -> Path:
        """The database."""
        return self.dir / "warehouse.duckdb"

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output of dbt."""
        self.dir.mkdir(exist_ok=True)
        home = self.dir.parent / "home"
        if not home.exists():
            # Where DuckDB looks for extensions: `delta_scan` would download its own.
            with duckdb.connect(config={"extension_directory": str(home / ".duckdb/extensions")}) as connection:
                duckdb_extensions.import_extension("delta", con=connection)
        command = [
            *(str(dbt()), "--no-use-colors", *arguments),
            *("--project-dir", str(PACKAGE), "--profiles-dir", str(PACKAGE)),
            *("--target-path", str(self.dir / "target"), "--log-path", str(self.dir / "logs")),
            *("--vars", json.dumps(self.variables), "--no-send-anonymous-usage-stats"),
        ]
        env = {"PATH": os.environ["PATH"], "HOME": str(home), "PROFOUND_WAREHOUSE": str(self.file)}
        done = subprocess.run(command, cwd=self.dir, env=env, capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout + done.stderr

    def build(self, *arguments: str, command: str = "build") -> None:
        """Builds and tests; a warning is a failure, too."""
        code, output = self.run(command, *arguments)
        assert code == 0, output[-6000:]
        statuses = {result["unique_id"]: result["status"] for result in self.artifact("run_results")["results"]}
        wrong = {name: status for name, status in statuses.items() if status not in ("success", "pass")}
        assert not wrong, output[-6000:]

    def artifact(self, name: str) -> Any:
        """What dbt wrote about its last command."""
        return json.loads((self.dir / f"target/{name}.json").read_text())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with duckdb.connect(str(self.file)) as connection:
            table = connection.execute(query).to_arrow_table()
        # Floats are added in another order by each build.
        rounded = (
            [round(value, 6) if isinstance(value, float) else value for value in row.values()]
            for row in table.to_pylist()
        )
        return [tuple(row) for row in rounded]

    def contents(self, tables: Sequence[str]) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of each table, in one order."""
        return {table: self.rows(f"select * from {table} order by all") for table in tables}

    def tables(self) -> list[str]:
        """Every table of the package."""
        return [name for (name,) in self.rows("select table_name from duckdb_tables() order by all")]


@dataclass(frozen=True)
class Exported:
    """A simulated account and the job that exports what the package reads."""

    account: Account
    job: Job
    dir: Path

    def warehouse(self, name: str, **variables: str) -> Warehouse:
        """An empty warehouse, or the one of that name."""
        return Warehouse(self.dir / name, {"lake": str(self.job.lake), **variables})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    """A lake and its Delta tables after a first run."""
    directory = tmp_path_factory.mktemp("dbt")
    with Account(directory, "--categories", "2", "--prompts", "6") as account:
        tables = {"url": str(directory / "tables")}
        job = Job(directory, account.url, STREAMS, tables_settings=tables, days=DAYS)
        job.run("run").expect(COMPLETE)
        yield Exported(account, job, directory)


def test_package_reads_every_stream_of_its_job_and_no_other(exported: Exported) -> None:
    [lake, _] = yaml.safe_load((PACKAGE / "models/sources.yml").read_text())["sources"]
    assert sorted(table["name"] for table in lake["tables"]) == sorted(STREAMS)

    warehouse = exported.warehouse("parsed")
    code, output = warehouse.run("parse")
    assert code == 0, output
    manifest = warehouse.artifact("manifest")
    used = {parent for node in manifest["nodes"].values() for parent in node["depends_on"]["nodes"]}
    assert not [name for name in manifest["sources"] if name not in used]
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model":
            assert node["description"], f"{node['name']} has no description"
            assert re.match(r"-- One row per ", node["raw_code"]), f"{node['name']} does not begin with its grain"
            assert [child for child in manifest["child_map"][node["unique_id"]] if child.startswith("test.")], (
                f"{node['name']} has no test"
            )


def test_files_and_delta_tables_build_the_same_models(exported: Exported) -> None:
    files = exported.warehouse("files")
    files.build()
    delta = exported.warehouse("delta", tables=str(exported.dir / "tables"))
    delta.build()

    tables = files.tables()
    assert len(tables) == len(list(PACKAGE.glob("models/core/*.sql")) + list(PACKAGE.glob("models/marts/*.sql")))
    found = files.contents(tables)
    # No table is empty, and no column of one: a join that finds nothing would be.
    for table in tables:
        [counts] = files.rows(f"select count(columns(*)) from {table}")
        assert all(counts), f"{table}: {counts}"
    assert delta.contents(tables) == found

    code, output = files.run("source", "freshness")
    assert code == 0, output
    # Its tests compare something: whole weeks and months, and both kinds of entities.
    every = Warehouse(files.dir, {**files.variables, "tolerance": "-1"})
    every.run("test", "--select", "test_type:singular")
    compared = {
        result["unique_id"].split(".")[2]: result["failures"] for result in every.artifact("run_results")["results"]
    }
    [(shares,)] = files.rows("select count(*) from mart_share_of_voice")
    [(days,)] = files.rows("select count(*) from mart_share_of_voice where period = 'day'")
    assert days < compared["assert_shares_are_those_of_the_counts"] < shares
    for name in ("pages_and_domains_have_equal_citations", "sentiment_of_themes_is_that_of_the_day"):
        assert compared[f"assert_{name}"] > DAYS // 7
    # What the package's own tests allow to differ in an account, the simulator does not.
    [(mentions, citations)] = files.rows("select sum(mention_count), sum(citation_count) from fct_answer")
    assert [(mentions,)] == files.rows("select sum(mentions) from stg_visibility_count")
    assert [(citations,)] == files.rows(f"select sum(count) from {scan(exported, 'citations_v2_page_by_day')}")


def scan(exported: Exported, stream: str) -> str:
    """The files of a stream."""
    return f"read_parquet('{exported.job.lake}/{stream}/**/*.parquet')"


def test_incremental_builds_equal_a_full_refresh(exported: Exported) -> None:
    warehouses = [exported.warehouse("files"), exported.warehouse("delta", tables=str(exported.dir / "tables"))]
    before = warehouses[0].contents(INCREMENTAL)
    restated = today("eastern") - timedelta(days=2)
    exported.account.restate(restated)
    exported.job.run("run").expect(COMPLETE)

    # Without tests: figures that the simulator restates no longer agree with the answers.
    for warehouse in warehouses:
        warehouse.build("--select", *INCREMENTAL, command="run")
    full = exported.warehouse("full")
    full.build("--select", *(f"+{model}" for model in INCREMENTAL), command="run")

    after = full.contents(INCREMENTAL)
    # The day is the third column of each.
    assert {row[2] for table in INCREMENTAL for row in set(before[table]) ^ set(after[table])} == {restated}
    for warehouse in warehouses:
        assert warehouse.contents(INCREMENTAL) == after


def test_forgotten_days_and_lost_rows_leave_the_facts(exported: Exported, tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "warehouse", {"lake": str(tmp_path / "lake")})
    warehouse.dir.mkdir()
    shutil.copy(exported.warehouse("files").file, warehouse.file)
    # A copy whose coverage table lacks a day, as after `forget`, and says that another one has changed since.
    copy = tmp_path / "lake"
    shutil.copytree(exported.job.lake, copy)
    coverage = copy / "_profound_export/coverage.parquet"
    [(forgotten, changed)] = warehouse.rows("select min(date), max(date) from fct_answer")
    with duckdb.connect() as connection:
        connection.execute(f"create table coverage as from '{coverage}'")
        connection.execute("delete from coverage where stream = 'answers_v2' and day = ?", [forgotten])
        connection.execute(
            "update coverage set changed_at = changed_at + interval 1 day where stream = 'answers_v2' and day = ?",
            [changed],
        )
        connection.execute(f"copy coverage to '{coverage}' (format parquet)")
    for file in copy.glob(f"answers_v2/*/day={forgotten}/*"):
        file.unlink()
    days = "select date, count(*) from fct_answer group by all order by all"
    before = warehouse.rows(days)

    # Twice: rows that are older than the coverage table says are read once more, and never doubled.
    for _ in range(2):
        warehouse.build("--select", *(f"+{model}" for model in INCREMENTAL), command="run")
        assert warehouse.rows(days) == [row for row in before if row[0] != forgotten]


def test_missing_and_doubtful_days_are_visible(exported: Exported, tmp_path: Path) -> None:
    coverage = "_profound_export/coverage.parquet"
    (tmp_path / "_profound_export").mkdir()
    days = {"missing": 9, "suspect": 8, "not_entitled": 7}
    status = " ".join(
        f"when day = '{today('eastern') - timedelta(days=ago)}' then '{name}'" for name, ago in days.items()
    )
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select * replace (case {status} else status end as status) from '{exported.job.lake}/{coverage}') "
            f"to '{tmp_path}/{coverage}' (format parquet)"
        )
    warehouse = Warehouse(tmp_path / "doubtful", {"lake": str(tmp_path)})
    code, output = warehouse.run("build", "--select", "stg_coverage", "--indirect-selection", "cautious")
    assert code == 1, output
    results = {
        result["unique_id"].split(".")[2]: result["status"] for result in warehouse.artifact("run_results")["results"]
    }
    assert results == {
        "stg_coverage": "success",
        "no_day_is_missing": "fail",
        "no_day_is_in_doubt": "warn",
        "every_stream_may_be_read": "warn",
    }


def test_absent_stream_fails_with_its_name(exported: Exported, tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    warehouse = Warehouse(tmp_path / "absent", {"lake": str(tmp_path / "lake")})
    code, output = warehouse.run("build", "--select", "dim_topic")
    assert code == 1
    assert re.search(r"No files found that match the pattern .*/category_topics/", output), output


def test_job_of_the_package_is_valid(exported: Exported) -> None:
    shown = program.run("--config", PACKAGE / "jobs.toml", "config", cwd=exported.dir).expect(COMPLETE)
    assert all(stream in shown.stdout for stream in STREAMS)
