"""A bucket that makes trouble: what passes costs the API nothing; what lasts ends the run in words."""

import re
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from kit import stores
from kit.account import Account
from kit.job import Job, today
from kit.lake import Lake, assert_equal
from kit.program import COMPLETE, UNAVAILABLE
from kit.stores import BUCKET, Refusal, Request, Silence, Store

STREAMS = ["organizations", "category_topics", "visibility_v2_by_day"]


def _job(directory: Path, account: Account, store: Store, name: str) -> Job:
    return Job(directory, account.url, STREAMS, f"s3://{BUCKET}/{name}", {**store.options, "timeout": "1s"})


def _asked(account: Account, before: int) -> Counter[str]:
    """What was asked of the API since, by path and body."""
    return Counter(f"{one['path']} {one['body']}" for one in account.requests()[before:])


def _assert_whole(job: Job, account: Account, moto: Store, name: str) -> None:
    assert_equal(Lake(name, moto), "duckdb", job.truths(account))
    assert job.run("verify", "--output", "json").expect(COMPLETE).json()["fine"]
    assert not moto.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads")


@dataclass
class NowAndThen:
    """Every third request fares ill, but none twice in a row."""

    ill: Refusal | Silence
    most: int = 1000
    seen: int = 0
    befell: int = 0

    def __post_init__(self) -> None:
        self.last: set[str] = set()

    def __call__(self, request: Request) -> Refusal | Silence | None:
        self.seen += 1
        what = f"{request.method} {request.path}"
        if self.seen % 3 or self.befell == self.most or what in self.last:
            self.last.discard(what)
            return None
        self.last.add(what)
        self.befell += 1
        return self.ill


PASSING = {
    "slow-down": NowAndThen(Refusal(503, "SlowDown")),
    "internal-error": NowAndThen(Refusal(500, "InternalError")),
    "breaks": NowAndThen(Silence.BREAKS),
    "loses-answer": NowAndThen(Silence.LOSES_ANSWER),
    "stalls": NowAndThen(Silence.STALLS, most=3),
}


@pytest.mark.parametrize("name", PASSING)
def test_transient_failures_cost_no_api_requests(tmp_path: Path, account: Account, moto: Store, name: str) -> None:
    Job(tmp_path / "clean", account.url, STREAMS).run("run").expect(COMPLETE)
    clean = _asked(account, 0)
    before = len(account.requests())
    trouble = PASSING[name]
    with stores.meddled(moto, trouble) as store:
        job = _job(tmp_path / "job", account, store, name)
        job.run("run").expect(COMPLETE)

    assert trouble.befell >= min(trouble.most, 10)
    assert _asked(account, before) == clean, "something was asked again because of the store"
    job = _job(tmp_path / "job", account, moto, name)
    _assert_whole(job, account, moto, name)


def _variables(keys: stores.Keys, directory: Path) -> dict[str, str]:
    token = directory / "token"
    token.write_text("token-of-the-container")
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": keys.url, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token)}


def _without_keys(job: Job) -> Job:
    job.options = {name: value for name, value in job.options.items() if "key" not in name}
    job.write()
    return job


def test_expiring_credentials_are_replaced_during_the_run(tmp_path: Path, account: Account, moto: Store) -> None:
    first_used: dict[str, float] = {}

    def expire(request: Request) -> Refusal | None:
        began = first_used.setdefault(request.access_key, time.monotonic())
        return Refusal(400, "ExpiredToken") if began + 4 < time.monotonic() else None

    account.fault("drip", bytes=100, milliseconds=50, stream="visibility_v2_by_day")
    # A key is replaced five minutes before it runs out: here, after a second or two.
    with stores.meddled(moto, expire) as store, stores.handing_out_keys(timedelta(seconds=302)) as keys:
        job = _without_keys(_job(tmp_path, account, store, "refreshed"))
        job.run("run", env=_variables(keys, tmp_path)).expect(COMPLETE)

    assert len(first_used) > 1, "one key was enough: the run was too short to show anything"
    assert set(first_used) <= set(keys.handed_out)
    account.clear_faults()
    _assert_whole(_job(tmp_path, account, moto, "refreshed"), account, moto, "refreshed")


@dataclass(frozen=True)
class Lasting:
    """A permanent error, the requests it affects, and the expected text."""

    refusal: Refusal
    befalls: re.Pattern[str]
    expected: tuple[str, ...]


REGION = "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'"
LASTING = {
    "expired": Lasting(
        Refusal(400, "ExpiredToken"), re.compile("PUT .*data.parquet"), ("ExpiredToken", "renew the credentials")
    ),
    "revoked": Lasting(
        Refusal(403, "InvalidAccessKeyId"), re.compile("PUT .*data.parquet"), ("InvalidAccessKeyId", "credentials")
    ),
    "may-not-write": Lasting(Refusal(403, "AccessDenied"), re.compile("PUT "), ("AccessDenied", "check --iam")),
    "may-not-list": Lasting(
        Refusal(403, "AccessDenied"), re.compile("GET .*list-type"), ("AccessDenied", "check --iam")
    ),
    "wrong-region": Lasting(
        Refusal(400, "AuthorizationHeaderMalformed", REGION), re.compile(""), ("eu-central-1", "AWS_REGION")
    ),
    "other-region": Lasting(Refusal(301, "PermanentRedirect"), re.compile(""), ("AWS_REGION",)),
}


@pytest.mark.parametrize("name", LASTING)
def test_permanent_failure_is_reported_and_the_next_run_resumes(
    tmp_path: Path, account: Account, moto: Store, name: str
) -> None:
    lasting = LASTING[name]

    def refuse(request: Request) -> Refusal | None:
        return lasting.refusal if lasting.befalls.match(f"{request.method} {request.path}") else None

    with stores.meddled(moto, refuse) as store:
        began = time.monotonic()
        ended = _job(tmp_path, account, store, name).run("run").expect(UNAVAILABLE)
        assert time.monotonic() - began < 20

    for words in lasting.expected:
        assert words in ended.stderr, ended.stderr
    assert len(re.findall("^error: ", ended.stderr, re.MULTILINE)) == 1
    job = _job(tmp_path, account, moto, name)
    job.run("run").expect(COMPLETE)
    _assert_whole(job, account, moto, name)


def test_multipart_uploads_are_aborted_when_one_of_several_fails(tmp_path: Path, moto: Store) -> None:
    refused: list[str] = []

    def refuse(request: Request) -> Refusal | None:
        # The second part of the first day's file, while those of other days are on their way.
        if request.method == "PUT" and f"day%3D{today('eastern') - timedelta(days=3)}" in request.path:
            if "partNumber=2" in request.path:
                refused.append(request.path)
                return Refusal(403, "AccessDenied")
        elif request.method == "PUT":
            time.sleep(0.3)
        return None

    with Account(tmp_path, "--categories", "1", "--rows", "answers_v2=1200", "--answer-bytes", "10000") as account:
        with stores.meddled(moto, refuse) as store:
            job = _large_job(tmp_path, account, store)
            job.run("run").expect(UNAVAILABLE)
        assert refused
        assert not moto.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads"), "parts are left"
        job = _large_job(tmp_path, account, moto)
        job.run("run").expect(COMPLETE)
        _assert_whole(job, account, moto, "parts")


def _large_job(directory: Path, account: Account, store: Store) -> Job:
    return Job(
        directory,
        account.url,
        ["answers_v2"],
        f"s3://{BUCKET}/parts",
        store.options,
        destination_settings={"compression": "none"},
        days=3,
    )


def _without_deletes(request: Request) -> Refusal | None:
    if request.method == "POST" and request.path.endswith("?delete"):
        keys = re.findall(rb"<Key>(.*?)</Key>", request.body)
        errors = b"".join(
            b"<Error><Key>%b</Key><Code>AccessDenied</Code><Message>no</Message></Error>" % key for key in keys
        )
        return Refusal(200, "", raw=b"<DeleteResult>%b</DeleteResult>" % errors)
    return Refusal(403, "AccessDenied") if request.method == "DELETE" else None


def test_export_needs_no_right_to_delete_and_forget_says_that_it_does(
    tmp_path: Path, account: Account, moto: Store
) -> None:
    with stores.meddled(moto, _without_deletes) as store:
        job = _job(tmp_path, account, store, "undeletable")
        job.run("run").expect(COMPLETE)
        _assert_whole(job, account, moto, "undeletable")
        ended = job.run("forget", "visibility_v2_by_day", "--yes").expect(UNAVAILABLE)
        assert "cannot delete `visibility_v2_by_day/" in ended.stderr
        assert "AccessDenied" in ended.stderr
        assert "check --iam --forget" in ended.stderr
        assert [path for path in moto.objects("undeletable") if path.startswith("visibility_v2_by_day/")]

    # Recorded is recorded: with the right to delete, the same command completes it.
    job = _job(tmp_path, account, moto, "undeletable")
    job.run("forget", "visibility_v2_by_day", "--yes").expect(COMPLETE)
    assert not [path for path in moto.objects("undeletable") if path.startswith("visibility_v2_by_day/")]
