"""A store that overwrites despite create-if-absent would let two runs destroy each other's records: it is rejected."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kit import stores
from kit.account import Account
from kit.job import Job
from kit.lake import Lake, assert_equal
from kit.program import COMPLETE, UNAVAILABLE
from kit.stores import BUCKET, Store

STREAMS = ["organizations", "visibility_v2_by_day"]


@pytest.fixture
def forgetful(moto: Store) -> Iterator[Store]:
    """A store that ignores `If-None-Match`."""
    with stores.without_conditions(moto) as store:
        yield store


@pytest.mark.parametrize("command", ["check", "run"])
def test_store_without_conditional_writes_is_rejected(
    tmp_path: Path, account: Account, forgetful: Store, command: str
) -> None:
    job = Job(tmp_path, account.url, STREAMS, f"s3://{BUCKET}/refused-{command}", forgetful.options)

    ended = job.run(command).expect(UNAVAILABLE)

    assert "single_writer" in ended.stderr
    assert "overw" in ended.stderr
    left = forgetful.objects(f"refused-{command}")
    assert not [path for path in left if path.endswith(".parquet") or "/ledger/" in path]


def test_single_writer_works_without_conditional_writes(tmp_path: Path, account: Account, forgetful: Store) -> None:
    settings = {"single_writer": True}
    job = Job(tmp_path, account.url, STREAMS, f"s3://{BUCKET}/single", forgetful.options, destination_settings=settings)

    job.run("run").expect(COMPLETE)
    job.run("run").expect(COMPLETE)

    truths = job.truths(account)
    assert_equal(Lake("single", forgetful), "duckdb", truths)


def test_missing_bucket_is_named(tmp_path: Path, account: Account, moto: Store) -> None:
    job = Job(tmp_path, account.url, STREAMS, "s3://nowhere/lake", moto.options)

    ended = job.run("run").expect(UNAVAILABLE)

    assert "nowhere" in ended.stderr
    assert "create the bucket" in ended.stderr


def test_secret_of_the_bucket_is_never_printed(tmp_path: Path, account: Account, moto: Store) -> None:
    job = Job(tmp_path, account.url, STREAMS, "s3://nowhere/lake", moto.options)

    output = [job.run(command) for command in ("config", "check", "run")]

    assert not [one for one in output if moto.secret_key in one.stdout + one.stderr]


def test_usual_variables_give_access_to_the_bucket(tmp_path: Path, account: Account, moto: Store) -> None:
    variables = {
        "AWS_ACCESS_KEY_ID": moto.access_key,
        "AWS_SECRET_ACCESS_KEY": moto.secret_key,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": moto.endpoint,
        "AWS_ALLOW_HTTP": "true",
    }
    job = Job(tmp_path, account.url, STREAMS, f"s3://{BUCKET}/variables")

    job.run("run", env=variables).expect(COMPLETE)

    assert_equal(Lake("variables", moto), "duckdb", job.truths(account))


@pytest.mark.parametrize("store", ["moto", "ministack"])
def test_large_file_arrives_in_parts_and_leaves_none_behind(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    server: Store = request.getfixturevalue(store)
    large = ("--categories", "1", "--rows", "answers_v2=4000", "--answer-bytes", "10000")
    with Account(tmp_path, *large) as account:
        job = Job(
            tmp_path,
            account.url,
            ["answers_v2"],
            f"s3://{BUCKET}/large",
            server.options,
            destination_settings={"compression": "none"},
            days=2,
        )
        job.run("run").expect(COMPLETE)
        assert_equal(Lake("large", server), "pyarrow", job.truths(account))

    days = {path: tag for path, tag in server.objects("large").items() if "/day=" in path}
    # The tag of an object that came in parts ends with their number.
    assert len(days) == 2
    assert all("-" in tag for tag in days.values())
    assert not server.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads")
