"""Failures of the disk of lake or spool: a clear error, nothing half written, and the next run resumes.

The disks are small file systems in memory, so these checks need a user who may mount: root.
"""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from kit import program
from kit.account import Account
from kit.job import Job
from kit.lake import Lake, assert_equal
from kit.program import COMPLETE, SOME_FAILED, UNAVAILABLE, until

STREAMS = ["organizations", "category_topics", "visibility_v2_by_day", "visibility_v1"]
ROOM = "size=64m,nr_inodes=10000"


@contextlib.contextmanager
def small_disk(at: Path, options: str) -> Iterator[Callable[[str], None]]:
    """Mounts a file system at `at`, and returns its mount command."""
    at.mkdir(parents=True)
    _mount(["-t", "tmpfs", "-o", options, "tmpfs", str(at)])
    try:
        yield lambda changed: _mount(["-o", f"remount,{changed}", str(at)])
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def _mount(arguments: list[str]) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"these checks mount small disks, which root may: {done.stderr}"


def assert_nothing_half(job: Job, *, is_staging_empty: bool = True) -> None:
    """Fails where a scan of the directories would see anything but whole files."""
    for path in (path for path in job.lake.rglob("*") if path.is_file()):
        inside = str(path.relative_to(job.lake))
        if inside.startswith("_profound_export/staging/"):
            assert not is_staging_empty, f"{inside} is left"
        elif inside.startswith("_profound_export/"):
            assert inside.endswith((".json", "/coverage.parquet")), f"{inside} is left"
        else:
            assert path.name == "data.parquet"
            assert pq.read_table(path).num_rows > 0, inside


def assert_goes_on(job: Job, account: Account) -> None:
    """Fails where the next run does not make the lake equal to the account."""
    job.run("run").expect(COMPLETE)
    assert job.run("verify", "--output", "json").expect(COMPLETE).json()["fine"]
    assert_equal(Lake(str(job.lake)), "duckdb", job.truths(account))
    assert not list((job.dir / "spool").rglob("*.parquet"))


@dataclass(frozen=True)
class Shortage:
    """A disk that is too small, and the expected result."""

    place: str
    options: str
    code: int


SHORTAGES = {
    "lake without bytes": Shortage("lake", "size=400k", UNAVAILABLE),
    "lake without inodes": Shortage("lake", "nr_inodes=40", UNAVAILABLE),
    # What fits in is exported all the same.
    "spool without bytes": Shortage("spool", "size=20k", SOME_FAILED),
    "spool without inodes": Shortage("spool", "nr_inodes=8", SOME_FAILED),
}


@pytest.mark.parametrize("name", SHORTAGES)
def test_full_disk_is_reported_and_the_next_run_resumes_when_there_is_room(
    tmp_path: Path, account: Account, name: str
) -> None:
    shortage = SHORTAGES[name]
    job = Job(tmp_path / "job", account.url, STREAMS)
    with small_disk(job.dir / shortage.place, shortage.options) as change:
        ended = job.run("run").expect(shortage.code)

        output = ended.stdout + ended.stderr
        assert "No space left on device" in output
        named = r"`_?\w+/\S+\.(parquet|json)`" if shortage.place == "lake" else f"`{job.dir}/spool/"
        assert re.search(named, output), output
        assert ("free space on the disk of the lake" if shortage.place == "lake" else "`spool.dir`") in output
        assert "inodes (`df -i`)" in output
        assert_nothing_half(job)
        change(ROOM)
        assert_goes_on(job, account)


def _begun(job: Job, account: Account, prefix: list[str]) -> "subprocess.Popen[str]":
    """A run that has recorded something and has more to do."""
    account.fault("drip", bytes=2000, milliseconds=20, stream="visibility_v1")
    command = [*prefix, str(program.binary()), "--config", "jobs.toml", "run"]
    with open(job.dir / "stdout.log", "w") as out, open(job.dir / "stderr.log", "w") as err:
        running = subprocess.Popen(command, cwd=job.dir, env=program.environment(), stdout=out, stderr=err, text=True)
    ledger = job.lake / "_profound_export/ledger/000000"
    until("a record", lambda: (ledger / "000000002.json").exists() or running.poll() is not None)
    assert running.poll() is None, (job.dir / "stderr.log").read_text()
    return running


def test_read_only_lake_ends_the_run_and_the_next_resumes(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path / "job", account.url, STREAMS)
    with small_disk(job.lake, ROOM) as change:
        running = _begun(job, account, [])
        until("read-only", lambda: _is_changed(change, "ro"))
        assert running.wait(timeout=60) == UNAVAILABLE, (job.dir / "stderr.log").read_text()

        output = (job.dir / "stderr.log").read_text()
        assert "Read-only file system" in output
        assert "write access to the lake" in output
        # Nothing can be removed there, so a copy may be left that was about to be renamed.
        assert_nothing_half(job, is_staging_empty=False)
        job.run("status").expect(COMPLETE)
        job.run("verify", "--dry-run").expect(COMPLETE)
        account.clear_faults()
        change("rw")
        assert_goes_on(job, account)


def test_read_only_spool_is_named_before_the_first_report_request(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path / "job", account.url, STREAMS)
    with small_disk(job.dir / "spool", ROOM) as change:
        change("ro")
        ended = job.run("run").expect(UNAVAILABLE)

        assert f"`{job.dir}/spool" in ended.stderr
        assert "Read-only file system" in ended.stderr
        assert "write in `spool.dir`" in ended.stderr
        assert not [one for one in account.requests() if "reports" in one["path"]]
        change("rw")
        assert_goes_on(job, account)


def _is_changed(change: Callable[[str], None], options: str) -> bool:
    """Whether it could be: not while a file is open for writing."""
    with contextlib.suppress(AssertionError):
        change(options)
        return True
    return False


@pytest.mark.parametrize("place", ["lake", "spool"])
def test_lost_permission_ends_the_run_and_the_next_resumes(tmp_path: Path, account: Account, place: str) -> None:
    job = Job(tmp_path / "job", account.url, STREAMS)
    # Root without this right obeys the modes of directories as anybody does.
    assert shutil.which("setpriv"), "setpriv of util-linux is missing"
    running = _begun(job, account, ["setpriv", "--bounding-set=-dac_override,-dac_read_search"])
    subprocess.run(["chmod", "-R", "a-w", str(job.dir / place)], check=True)
    assert running.wait(timeout=60) == UNAVAILABLE, (job.dir / "stderr.log").read_text()

    output = (job.dir / "stderr.log").read_text()
    assert "Permission denied" in output
    assert str(job.dir / place) in output
    assert ("write access to the lake" if place == "lake" else "write in `spool.dir`") in output
    # Without permission a staged file cannot be removed either: a run of a later day does it.
    assert_nothing_half(job, is_staging_empty=place != "lake")
    account.clear_faults()
    subprocess.run(["chmod", "-R", "u+w", str(job.dir / place)], check=True)
    assert_goes_on(job, account)


def _run_with_failing_calls(job: Job, calls: str, *paths: Path) -> program.Finished:
    """A run in which system calls fail, of any file or of `paths`."""
    assert shutil.which("strace"), "strace is missing"
    of = [option for path in paths for option in ("-P", str(path))]
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={calls}", *of, str(program.binary())]
    done = subprocess.run(
        [*command, "--config", "jobs.toml", "run"],
        cwd=job.dir,
        env=program.environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return program.Finished(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("error", ["EPERM", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EACCES"])
def test_file_system_without_hard_links_is_named_and_serves_a_single_writer(
    tmp_path: Path, account: Account, error: str
) -> None:
    job = Job(tmp_path / "job", account.url, ["models", "category_topics"])
    ended = _run_with_failing_calls(job, f"link,linkat:error={error}").expect(UNAVAILABLE)
    assert "has no hard links" in ended.stderr
    assert "destination.single_writer = true" in ended.stderr
    assert "bucket" not in ended.stderr

    job.destination_settings = {"single_writer": True}
    job.write()
    _run_with_failing_calls(job, f"link,linkat:error={error}").expect(COMPLETE)
    assert_goes_on(job, account)


@pytest.mark.parametrize("error", ["EINVAL", "EOPNOTSUPP", "ENOSYS", "EBADF"])
def test_directories_that_cannot_be_synced_cost_one_warning(tmp_path: Path, account: Account, error: str) -> None:
    job = Job(tmp_path / "job", account.url, ["models", "category_topics"])
    job.run("run").expect(COMPLETE)
    # Directories of the next run's files, which exist by now.
    for path in [*job.lake.rglob("*.parquet"), *job.lake.rglob("*.json")]:
        path.unlink()
    directories = [job.lake, *(path for path in job.lake.rglob("*") if path.is_dir())]
    ended = _run_with_failing_calls(job, f"fsync:error={error}", *directories).expect(COMPLETE)
    assert ended.stderr.count("file system cannot sync directories") == 1, ended.stderr
    assert_goes_on(job, account)
