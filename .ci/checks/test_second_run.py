"""A second run asks for what may still change and for nothing else, and leaves what did not change alone."""

import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from kit.account import Account
from kit.job import Job, today
from kit.lake import Lake, assert_equal
from kit.program import COMPLETE
from kit.stores import BUCKET, Store

# The API's clock has whole seconds. A run that begins within the second in which another one ended may take the other's
# work for concurrent work.
A_SECOND = 1.1

Versions = Callable[[], dict[str, Any]]


def _on_disk(root: Path) -> dict[str, Any]:
    """What changes when a file is written again, even with the same bytes: when, and which one it is."""
    files = (path for path in root.rglob("*") if path.is_file())
    versions = {str(path.relative_to(root)): (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}
    return _without_own(versions)


def _without_own(versions: dict[str, Any]) -> dict[str, Any]:
    return {path: version for path, version in versions.items() if not path.startswith("_profound_export/")}


@pytest.fixture(params=["disk", "moto"])
def place(request: pytest.FixtureRequest, tmp_path: Path, account: Account) -> tuple[Job, Lake, Versions]:
    """A job that has run once, its lake, and the identity of its files' versions."""
    if request.param == "disk":
        job = Job(tmp_path, account.url)
        job.run("run").expect(COMPLETE)
        time.sleep(A_SECOND)
        return job, Lake(str(job.lake)), lambda: _on_disk(job.lake)
    store: Store = request.getfixturevalue(request.param)
    job = Job(tmp_path, account.url, destination=f"s3://{BUCKET}/second", options=store.options)
    job.run("run").expect(COMPLETE)
    time.sleep(A_SECOND)

    def versions() -> dict[str, Any]:
        # ETags are hashes of the bytes; what was rewritten with equal bytes shows in the time.
        listed = store.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="second/")
        entries = (entry for page in listed for entry in page["Contents"])
        return _without_own({one["Key"].removeprefix("second/"): (one["ETag"], one["LastModified"]) for one in entries})

    return job, Lake("second", store), versions


def test_second_run_keeps_unchanged_files(account: Account, place: tuple[Job, Lake, Versions]) -> None:
    job, _, versions = place
    before, sent = versions(), len(account.requests())

    job.run("run").expect(COMPLETE)

    assert versions() == before
    assert len(before) > 100
    asked = account.requests()[sent:]
    assert {one["stream"] for one in asked} == {one.name for one in job.selected()}
    for one in asked:
        stream = job.catalog[one["stream"]]
        if stream.zone:
            # Days that ended longer ago than the service revises were read late enough by the first run.
            assert date.fromisoformat(one["body"]["start_date"]) == today(stream.zone) - timedelta(days=stream.lookback)


def test_restated_day_replaces_its_files_alone(account: Account, place: tuple[Job, Lake, Versions]) -> None:
    job, lake, versions = place
    before, old = versions(), job.truths(account)
    day = today("utc") - timedelta(days=2)

    account.restate(day)
    job.run("run").expect(COMPLETE)

    after, new = versions(), job.truths(account)
    assert after.keys() == before.keys()
    changed = {path for path in after if after[path] != before[path]}
    assert changed
    assert all(f"/day={day}/" in path for path in changed)
    # Every table whose figures moved was replaced, and holds the new ones.
    moved = {name for name in new if new[name]["total"]["sums"] != old[name]["total"]["sums"]}
    assert len(moved) > 8
    assert moved <= {path.split("/")[0] for path in changed}
    assert_equal(lake, "duckdb", new)


def test_restated_final_day_is_kept(account: Account, place: tuple[Job, Lake, Versions]) -> None:
    job, _, versions = place
    before = versions()

    account.restate(job.start)
    job.run("run").expect(COMPLETE)

    assert versions() == before
