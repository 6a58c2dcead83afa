"""`ledger rebuild` after the ledger was lost or damaged, as a person uses it."""

import shutil
from pathlib import Path

from kit import program
from kit.account import Account
from kit.job import Job
from kit.lake import Lake, assert_equal
from kit.program import BAD_CONFIG, COMPLETE, SOME_FAILED, USAGE
from kit.stores import BUCKET, Store

STREAMS = ["visibility_v2_by_day", "category_topics", "models", "bots_v2"]


def rebuild(job: Job, *arguments: str) -> program.Finished:
    """`ledger rebuild`, without the key."""
    return program.run("--config", job.dir / "jobs.toml", "ledger", "rebuild", *arguments, cwd=job.dir, key=False)


def written(job: Job) -> dict[str, int]:
    """When each data file was written."""
    return {path: (job.lake / path).stat().st_mtime_ns for path in Lake(str(job.lake)).files()}


def test_lost_ledger_is_rebuilt_and_no_file_is_rewritten(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, STREAMS)
    rebuild(job).expect(USAGE)
    job.run("run").expect(COMPLETE)
    files = written(job)
    # What can be read is kept.
    assert "--force" in rebuild(job).expect(BAD_CONFIG).stderr
    shutil.rmtree(job.lake / "_profound_export/ledger")
    shutil.rmtree(job.lake / "_profound_export/checkpoints", ignore_errors=True)

    assert "ledger rebuild" in job.run("run").expect(BAD_CONFIG).stderr
    assert rebuild(job, "--dry-run", "--output", "json").expect(COMPLETE).json()["rebuilt"]["record"] is None
    output = rebuild(job, "--output", "json").expect(COMPLETE).json()

    assert output["fine"]
    assert output["rebuilt"]["files"] == len(files)
    assert any("forgotten" in unknown for unknown in output["rebuilt"]["unknown"])
    job.run("verify").expect(COMPLETE)
    job.run("run").expect(COMPLETE)
    assert written(job) == files
    job.run("verify").expect(COMPLETE)
    assert_equal(Lake(str(job.lake)), "duckdb", job.truths(account))


def test_ledger_in_a_bucket_is_rebuilt_and_no_file_is_rewritten(tmp_path: Path, account: Account, moto: Store) -> None:
    job = Job(tmp_path, account.url, STREAMS, destination=f"s3://{BUCKET}/lost", options=moto.options)
    job.run("run").expect(COMPLETE)

    def files() -> dict[str, str]:
        return {path: tag for path, tag in moto.objects("lost").items() if not path.startswith("_profound_export/")}

    def delete(path: str) -> None:
        moto.client().delete_object(Bucket=BUCKET, Key=f"lost/{path}")

    before = files()
    for path in moto.objects("lost"):
        if path.startswith(("_profound_export/ledger/", "_profound_export/checkpoints/")):
            delete(path)
    missing = next(path for path in before if path.startswith("visibility_v2_by_day/"))

    for verb in ("run", "plan", "status", "verify", "check"):
        refused = job.run(verb).expect(BAD_CONFIG).stderr
        assert "but no ledger" in refused
        assert "profound-export ledger rebuild" in refused
    output = rebuild(job, "--output", "json").expect(COMPLETE).json()

    assert output["fine"]
    assert output["rebuilt"]["files"] == len(before)
    job.run("verify").expect(COMPLETE)
    job.run("run").expect(COMPLETE)
    assert files() == before
    delete(missing)
    job.run("verify").expect(SOME_FAILED)
    job.run("run").expect(COMPLETE)
    assert files().keys() == before.keys()
    assert_equal(Lake("lost", moto), "duckdb", job.truths(account))


def test_damaged_record_is_named_with_the_way_to_recover(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, STREAMS)
    job.run("run").expect(COMPLETE)
    files = written(job)
    record = job.lake / "_profound_export/ledger/000000/000000002.json"
    record.write_bytes(record.read_bytes()[:100])
    for checkpoint in (job.lake / "_profound_export").glob("checkpoints/*"):
        checkpoint.unlink()

    for verb in ("run", "status", "verify"):
        refused = job.run(verb).expect(BAD_CONFIG).stderr
        assert "000000/000000002.json" in refused
        assert "profound-export ledger rebuild" in refused
    output = rebuild(job, "--output", "json").expect(COMPLETE).json()

    assert [lost["first"] for lost in output["rebuilt"]["lost"]] == [2]
    # It stays where it is, for inspection.
    assert record.stat().st_size == 100
    job.run("run").expect(COMPLETE)
    assert written(job) == files
    job.run("verify").expect(COMPLETE)
