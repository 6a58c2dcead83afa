"""`verify` after something happened to the files, and `forget`, as a person uses them."""

from pathlib import Path

import pytest

from kit import program
from kit.account import Account
from kit.job import Job
from kit.lake import Lake, assert_equal
from kit.program import BAD_CONFIG, COMPLETE, SOME_FAILED, USAGE
from kit.stores import BUCKET, Store

STREAMS = ["visibility_v2_by_day", "category_topics", "models"]


def verify(job: Job, *arguments: str) -> program.Finished:
    """`verify`, without the key."""
    return program.run("--config", job.dir / "jobs.toml", "verify", *arguments, cwd=job.dir, key=False)


def test_intact_lake_verifies_without_a_key(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, STREAMS)
    assert "Nothing is exported yet" in verify(job).expect(SOME_FAILED).stdout
    assert not job.lake.exists()
    job.run("run").expect(COMPLETE)

    output = verify(job, "--output", "json").expect(COMPLETE).json()

    assert output["fine"]
    assert output["problems"] == []
    assert output["verified"]["files"] == len(Lake(str(job.lake)).files())
    assert "all present, whole and unchanged" in verify(job).expect(COMPLETE).stdout


def test_damaged_files_are_repaired_by_the_next_run_and_unmanaged_ones_stay(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, STREAMS)
    job.run("run").expect(COMPLETE)
    lake = Lake(str(job.lake))
    reports = [path for path in lake.files() if path.startswith("visibility_v2_by_day/")]
    missing, cut, flipped = (job.lake / path for path in reports[:3])
    missing.unlink()
    cut.write_bytes(cut.read_bytes()[:-100])
    bytes_ = bytearray(flipped.read_bytes())
    bytes_[40] ^= 0xFF
    flipped.write_bytes(bytes_)
    foreign = job.lake / "models" / "notes.txt"
    foreign.write_text("mine")

    dry = verify(job, "--dry-run", "--output", "json").expect(SOME_FAILED).json()
    assert dry["verified"]["marked"] == 0
    quick = verify(job, "--quick", "--dry-run", "--output", "json").expect(SOME_FAILED).json()
    assert {one["kind"] for one in quick["problems"]} == {"missing", "wrong_size", "unmanaged"}
    output = verify(job, "--output", "json").expect(SOME_FAILED).json()
    kinds = {one["path"]: one["kind"] for one in output["problems"]}
    assert kinds == {
        reports[0]: "missing",
        reports[1]: "wrong_size",
        reports[2]: "damaged",
        "models/notes.txt": "unmanaged",
    }
    assert output["verified"]["marked"] == 3
    # Only what was asked for is looked at.
    assert verify(job, "category_*", "--output", "json").expect(COMPLETE).json()["problems"] == []

    job.run("run").expect(COMPLETE)

    assert foreign.read_text() == "mine"
    foreign.unlink()
    verify(job).expect(COMPLETE)
    assert_equal(lake, "duckdb", job.truths(account))


@pytest.mark.parametrize("where", ["moto"])
def test_bucket_is_verified_like_a_disk(
    tmp_path: Path, account: Account, where: str, request: pytest.FixtureRequest
) -> None:
    store: Store = request.getfixturevalue(where)
    url = f"s3://{BUCKET}/verified"
    job = Job(tmp_path, account.url, STREAMS, destination=url, options=store.options)
    job.run("run").expect(COMPLETE)
    verify(job).expect(COMPLETE)
    lake = Lake("verified", store)
    reports = [path for path in lake.files() if path.startswith("visibility_v2_by_day/")]
    bucket = store.client()

    def put(path: str, bytes_: bytes) -> None:
        bucket.put_object(Bucket=BUCKET, Key=f"verified/{path}", Body=bytes_)

    def whole(path: str) -> bytes:
        body: bytes = bucket.get_object(Bucket=BUCKET, Key=f"verified/{path}")["Body"].read()
        return body

    lost, cut, flipped, copied = reports[:4]
    bucket.delete_object(Bucket=BUCKET, Key=f"verified/{lost}")
    put(cut, whole(cut)[:-100])
    bytes_ = bytearray(whole(flipped))
    bytes_[40] ^= 0xFF
    put(flipped, bytes(bytes_))
    # A copy in another layout is read twice by readers that list the directory.
    copy = f"{copied.split('/day=')[0]}/{copied.split('/day=')[1].split('/')[0]}.parquet"
    put(copy, whole(copied))
    put("models/notes.txt", b"mine")

    output = verify(job, "--output", "json").expect(SOME_FAILED).json()

    assert {one["path"]: one["kind"] for one in output["problems"]} == {
        lost: "missing",
        cut: "wrong_size",
        flipped: "damaged",
        copy: "duplicate",
        "models/notes.txt": "unmanaged",
    }
    assert output["verified"]["marked"] == 3
    job.run("run").expect(COMPLETE)
    for mine in (copy, "models/notes.txt"):
        bucket.delete_object(Bucket=BUCKET, Key=f"verified/{mine}")
    verify(job).expect(COMPLETE)
    assert_equal(lake, "duckdb", job.truths(account))


def test_forgotten_category_stays_forgotten(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, STREAMS)
    job.run("run").expect(COMPLETE)
    lake = Lake(str(job.lake))
    reports = [path for path in lake.files() if path.startswith("visibility_v2_by_day/")]
    category = reports[0].split("/")[1].removeprefix("category=")
    erase = ("forget", "visibility_v2_by_day", "category_topics", "--category", category)

    # No terminal to ask.
    refused = job.run(*erase).expect(USAGE)
    assert "--yes" in refused.stderr
    assert [path for path in lake.files() if path.startswith("visibility_v2_by_day/")] == reports
    job.run("forget", "visibility_v2_by_day", "--category", "a-slip", "--yes").expect(USAGE)

    output = job.run(*erase, "--yes", "--output", "json").expect(COMPLETE).json()
    mine = [path for path in reports if f"category={category}/" in path]
    assert output["deleted"]["visibility_v2_by_day"]["files"] == len(mine)

    job.run("run").expect(COMPLETE)
    assert not [path for path in lake.files() if f"category={category}/" in path]
    assert [path for path in lake.files() if path.startswith("visibility_v2_by_day/")]
    verify(job).expect(COMPLETE)
    days = ("--from", str(job.start), "--to", str(job.start), "--streams", "visibility_v2_by_day", "--force")
    left_out = job.run("backfill", "nightly", *days).expect(COMPLETE)
    assert "forgotten" in left_out.stderr
    job.run("forget", "visibility_v2_by_day", "--yes").expect(COMPLETE)
    assert "forgotten" in job.run("backfill", "nightly", *days).expect(BAD_CONFIG).stderr
