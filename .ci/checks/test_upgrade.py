"""A lake, a spool and an alert that the previous release left are read and continued by this one.

`fixtures/previous_release/make.sh` made them: days that are complete, some that were forgotten, a checkpoint, a stream
that failed in the last run, whose alert fires, and a run after it that was killed.
"""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from kit import program
from kit.account import Account
from kit.clock import MovedClock
from kit.lake import Lake, assert_equal
from kit.program import COMPLETE, Finished

FIXTURE = Path(__file__).parent / "fixtures/previous_release"
# The account that the previous release exported, half an hour later. Its simulator counted other figures: with rows
# for every day, no day of the lake is doubted for having fewer.
ACCOUNT = ("--categories", "2", "--prompts", "6", "--answer-bytes", "200", "--rows", "visibility_v2_by_day=4")
NOW = datetime(2026, 3, 10, 16, 30, tzinfo=UTC)
DAYS = (date(2026, 3, 7), date(2026, 3, 9))
# No day may still change, so that only what is missing or in doubt is due.
JOBS = """
[api]
base_url = "{url}"
[destination]
url = "{dir}/lake"
[spool]
dir = "{dir}/spool"
[[job]]
name = "nightly"
streams = ["visibility_v2_by_day", "bots_v2", "models", "category_topics"]
start = "2026-03-07"
lookback = "0d"
[[alert]]
name = "pager"
type = "command"
command = ["tee", "-a", "{dir}/alerts"]
"""


class Upgraded:
    """A copy of what the previous release left, and this program."""

    def __init__(self, directory: Path, clock: MovedClock, account: Account) -> None:
        self.dir, self.clock, self.account = directory, clock, account
        for name in ("lake", "spool"):
            shutil.copytree(FIXTURE / name, directory / name)
        (directory / "jobs.toml").write_text(JOBS.format(url=account.url, dir=directory))
        account.restate(date(2026, 3, 8))

    def run(self, *arguments: str) -> Finished:
        """`profound-export ARGUMENTS` at the time of the fixture."""
        return program.run(*arguments, cwd=self.dir, env=self.clock.environment)

    def files(self) -> dict[str, int]:
        """The data files, and their sizes."""
        found = (path for path in (self.dir / "lake").rglob("data.parquet"))
        return {str(path.relative_to(self.dir)): path.stat().st_size for path in found}


@pytest.fixture
def upgraded(tmp_path: Path) -> Iterator[Upgraded]:
    """What the previous release left."""
    with MovedClock(tmp_path, NOW) as clock, Account(tmp_path, *ACCOUNT, env=clock.environment) as account:
        yield Upgraded(tmp_path, clock, account)


def test_status_shows_what_the_previous_release_left(upgraded: Upgraded) -> None:
    shown: dict[str, Any] = upgraded.run("status", "--output", "json").json()

    assert shown["records"] == len(list((FIXTURE / "lake/_profound_export/ledger").rglob("*.json")))
    assert shown["jobs"][0]["last_run"]["outcome"] == "failed"
    assert "bots_v2" in json.dumps(shown)


def test_verify_finds_nothing_in_the_lake_of_the_previous_release(upgraded: Upgraded) -> None:
    upgraded.run("verify").expect(COMPLETE)


def test_next_run_extracts_only_what_the_previous_release_left_in_doubt(upgraded: Upgraded) -> None:
    before = upgraded.files()

    upgraded.run("run").expect(COMPLETE)

    asked = [one for one in upgraded.account.requests() if "start_date" in (one["body"] or {})]
    assert {one["stream"] for one in asked} == {"visibility_v2_by_day"}
    assert len(asked) == 2, "a request for each category"
    assert upgraded.files().keys() >= before.keys()
    assert all("/visibility_v2_by_day/" in path for path in upgraded.files().keys() - before.keys())
    truths = {"visibility_v2_by_day": upgraded.account.truth("visibility_v2_by_day", *DAYS)}
    assert_equal(Lake(str(upgraded.dir / "lake")), "duckdb", truths)
    assert list((upgraded.dir / "spool").glob("*/")) == []
    alerts = (upgraded.dir / "alerts").read_text()
    assert '"state":"resolved"' in alerts.replace(" ", "")
    assert '"state":"firing"' not in alerts.replace(" ", "")

    sent = len(upgraded.account.requests())
    upgraded.run("run").expect(COMPLETE)
    assert [one for one in upgraded.account.requests()[sent:] if "start_date" in (one["body"] or {})] == []
    upgraded.run("verify").expect(COMPLETE)


def test_ledger_is_rebuilt_from_the_files_of_the_previous_release(upgraded: Upgraded) -> None:
    before = upgraded.files()
    shutil.rmtree(upgraded.dir / "lake/_profound_export")

    upgraded.run("ledger", "rebuild").expect(COMPLETE)

    upgraded.run("verify").expect(COMPLETE)
    assert upgraded.files() == before
