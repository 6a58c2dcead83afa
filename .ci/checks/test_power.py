"""A power cut leaves old or new: whatever was not synced by then is forgotten, at every step that a run takes.

`strace` writes down what the built program asks of the system; `kit.power` says what a disk holds for certain after
each of these calls.
"""

import json
import random
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from kit.account import Account
from kit.job import Job, today
from kit.lake import Lake, assert_equal
from kit.power import Disk, Fate, of_directory, traced
from kit.program import COMPLETE

STREAMS = ["organizations", "category_topics", "visibility_v2_by_day", "visibility_v1"]
OWN = "lake/_profound_export/"
# So many cuts are gone on with to the end: the others are looked at only.
GONE_ON_WITH = 6
# Runs are killed before one of their first syncs, when they have just made directories. Each thread counts its own.
KILLED_AT_SYNC = 12

Files = Mapping[str, bytes]


class Witness:
    """Every complete version of each path of the lake, and what is wrong with the state after a power cut."""

    def __init__(self) -> None:
        self.versions: dict[str, set[bytes]] = {}

    def see(self, files: Files) -> None:
        """Takes what a run that came to its end, or was killed, shows."""
        for path, content in files.items():
            self.versions.setdefault(path, set()).add(content)

    @staticmethod
    def shown(files: Files) -> set[str]:
        """The files that readers of the lake see."""
        return {path for path in files if path.startswith("lake/") and not path.startswith(OWN)}

    def problems(self, files: Files) -> list[str]:
        """What a reader or the next run would stumble over."""
        whole = self.versions
        found = [
            f"{path} is not what it ever was" for path in self.shown(files) if files[path] not in whole.get(path, ())
        ]
        records = sorted(path for path in files if path.startswith(f"{OWN}ledger/") and path.endswith(".json"))
        for number, path in enumerate(records, 1):
            if not path.endswith(f"/{number:09}.json"):
                found.append(f"record {number} is gone, and {path} is there")
            elif files[path] not in whole.get(path, ()):
                found.append(f"{path} is not what it ever was")
            else:
                named = _named(json.loads(files[path]))
                found += [f"{path} names {name}, which is not there" for name in named if name not in files]
        return found


def _named(record: Mapping[str, Any]) -> list[str]:
    """The files that a record names."""
    found = []
    for entry in record["entries"]:
        scope = "".join(f"{kind}={one['id']}/" for kind, one in entry.get("scope", {}).items() if one)
        for day in entry["days"] if entry["kind"] == "slice" else []:
            if day["file"] == "published":
                directory = f"day={day['day']}/" if day["day"] else ""
                found.append(f"lake/{entry['stream']}/{scope}{directory}data.parquet")
    return found


def _job(directory: Path, account: Account) -> Job:
    return Job(directory, account.url, STREAMS, days=3)


def _run(job: Job, trace: Path, killed_at_sync: int | None = None) -> None:
    ended = traced(trace, "--config", "jobs.toml", "run", cwd=job.dir, killed_at_sync=killed_at_sync)
    ended.expect(COMPLETE if killed_at_sync is None else -SIGKILL)


def _assert_trace_was_understood(disk: Disk, job: Job) -> None:
    real = {str(path.relative_to(job.dir)): path.read_bytes() for path in job.dir.rglob("*") if path.is_file()}
    assert disk.now() == real, "the model of the disk is not what the run did"


def test_power_cut_at_any_step_leaves_old_or_new(
    tmp_path: Path, account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    job = _job(tmp_path / "job", account)
    disk, witness, chance = Disk(job.dir, of_directory(job.dir)), Witness(), random.Random(1)
    cuts: list[tuple[int, dict[str, bytes]]] = []
    problems: list[str] = []
    for night in range(2):
        _run(job, tmp_path / "trace")
        for step in disk.replay(tmp_path / "trace"):
            if step.startswith(("rename", "link")):
                witness.see(disk.now())
            for fate in Fate:
                left = disk.after_power_cut(fate, chance)
                problems += [f"{fate.value} after {step}: {problem}" for problem in witness.problems(left)]
                cuts.append((night, left))
        _assert_trace_was_understood(disk, job)
        # A run that has said that it is complete is complete for good.
        left = disk.after_power_cut(Fate.LOST, chance)
        problems += [f"{path} is gone after the run" for path in witness.shown(disk.now()) - witness.shown(left)]
        account.restate(today("eastern") - timedelta(days=1))
    assert not problems, f"{len(problems)} in {len(cuts)} cuts, such as:\n" + "\n".join(problems[:20])

    for number, (night, left) in enumerate(chance.sample(cuts, GONE_ON_WITH)):
        after = _job(tmp_path / str(number), account)
        for path, content in left.items():
            if path != "jobs.toml":
                (after.dir / path).parent.mkdir(parents=True, exist_ok=True)
                (after.dir / path).write_bytes(content)
        # The first resumes; the second extracts what the account has restated since.
        for _ in range(2):
            after.run("run").expect(COMPLETE)
        assert after.run("verify", "--output", "json").expect(COMPLETE).json()["fine"], f"after a cut of night {night}"
        assert_equal(Lake(str(after.lake)), "duckdb", after.truths(account))
    with capsys.disabled():
        print(
            f"\n{len(cuts):,} power cuts, {GONE_ON_WITH} of them gone on with: nothing half, nothing named and missing"
        )


def test_directories_of_a_killed_run_are_durable_once_the_next_run_used_them(tmp_path: Path, account: Account) -> None:
    problems = []
    for number in range(1, KILLED_AT_SYNC + 1):
        job = _job(tmp_path / str(number), account)
        disk, witness, chance = Disk(job.dir, of_directory(job.dir)), Witness(), random.Random(number)
        _run(job, tmp_path / "trace", killed_at_sync=number)
        for _ in disk.replay(tmp_path / "trace"):
            pass
        disk.adopt()
        _run(job, tmp_path / "trace")
        for _ in disk.replay(tmp_path / "trace"):
            pass
        _assert_trace_was_understood(disk, job)
        witness.see(disk.now())
        left = disk.after_power_cut(Fate.LOST, chance)
        found = witness.problems(left)
        found += [f"{path} is gone" for path in witness.shown(disk.now()) - witness.shown(left)]
        problems += [f"killed at sync {number}: {problem}" for problem in found]
    assert not problems, "\n".join(problems[:20])


def test_forgotten_data_does_not_come_back(tmp_path: Path, account: Account) -> None:
    job = _job(tmp_path / "job", account)
    job.run("run").expect(COMPLETE)
    disk = Disk(job.dir, of_directory(job.dir))
    forget = ("--config", "jobs.toml", "forget", "visibility_v1", "--yes")
    traced(tmp_path / "trace", *forget, cwd=job.dir).expect(COMPLETE)
    for _ in disk.replay(tmp_path / "trace"):
        pass

    _assert_trace_was_understood(disk, job)
    left = disk.after_power_cut(Fate.LOST, random.Random(1))
    assert not [path for path in left if path.startswith("lake/visibility_v1/")]
    assert Witness.shown(left) == Witness.shown(disk.now())
    records = {path for path in disk.now() if path.startswith(f"{OWN}ledger/") and path.endswith(".json")}
    assert records <= left.keys()
