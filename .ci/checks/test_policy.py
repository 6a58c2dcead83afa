"""`check --iam` prints a policy that suffices, and of which nothing can be taken away."""

import json
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from kit import policy, stores
from kit.account import Account
from kit.job import Job, today
from kit.policy import Gate
from kit.program import BAD_CONFIG, COMPLETE, UNAVAILABLE, Finished
from kit.stores import BUCKET, Store

STREAMS = ["organizations", "visibility_v2_by_day"]


def _job(place: Path, account: Account, store: Store, prefix: str) -> Job:
    return Job(place, account.url, STREAMS, f"s3://{BUCKET}/{prefix}", store.options)


def _printed(job: Job, *more: str) -> Any:
    return job.run("check", "--iam", *more).expect(COMPLETE).json()


def _everything(job: Job) -> list[Finished]:
    """Every command that a destination without `forget` must serve."""
    return [job.run(*command.split()) for command in ("check", "run", "run", "status", "verify", "plan nightly")]


def _under(job: Job, gate: Gate) -> Job:
    job.options = gate.store.options
    job.write()
    return job


def test_printed_policy_suffices_for_everything_but_forget(tmp_path: Path, account: Account, moto: Store) -> None:
    job = _job(tmp_path, account, moto, "team/suffices")
    with policy.gate(moto, _printed(job)) as gate:
        for ended in _everything(_under(job, gate)):
            ended.expect(COMPLETE)
        # Days that changed are written again.
        for _ in range(2):
            account.restate(job.start)
            job.run("run").expect(COMPLETE)

        assert gate.denied == []
        # What a test does not use, it does not show to be needed.
        assert gate.asked == set(policy.actions(gate.policy)) - {"s3:AbortMultipartUpload"}


def test_printed_policy_suffices_for_tables(tmp_path: Path, account: Account, moto: Store) -> None:
    job = _job(tmp_path, account, moto, "team/with-tables")
    job.tables_settings = {"url": f"s3://{BUCKET}/team/tables", "retention": "1d"}
    job.write()
    with policy.gate(moto, _printed(job)) as gate:
        for ended in _everything(_under(job, gate)):
            ended.expect(COMPLETE)
        # Every tenth commit deletes files and writes a checkpoint.
        stray = f"team/tables/{STREAMS[1]}/v1-stray.parquet"
        moto.client().put_object(Bucket=BUCKET, Key=stray, Body=b"of a killed run")
        for _ in range(11):
            account.restate(today("eastern") - timedelta(days=1))
            job.run("run").expect(COMPLETE)
        left = moto.client().list_objects_v2(Bucket=BUCKET, Prefix=stray)

        assert gate.denied == []
        assert left["KeyCount"] == 0, "nothing was deleted, so the policy was not tried"


@pytest.mark.parametrize("action", ["s3:ListBucket", "s3:GetObject", "s3:PutObject"])
def test_no_run_is_complete_when_the_policy_lacks_an_action(
    tmp_path: Path, account: Account, moto: Store, action: str
) -> None:
    job = _job(tmp_path, account, moto, f"team/lacks-{action[3:]}")
    with policy.gate(moto, policy.without(_printed(job), action)) as gate:
        ended = _under(job, gate).run("run").expect(UNAVAILABLE)

    assert "grant the permissions that `profound-export check --iam` prints" in ended.stderr
    assert {one.action for one in gate.denied} == {action}


def test_own_files_stay_when_the_policy_lacks_deleting(tmp_path: Path, account: Account, moto: Store) -> None:
    job = _job(tmp_path, account, moto, "team/keeps")
    with policy.gate(moto, policy.without(_printed(job), "s3:DeleteObject")) as gate:
        _under(job, gate).run("check").expect(COMPLETE)

    assert [path for path in moto.objects("team/keeps") if "/probe/" in path]
    assert {one.action for one in gate.denied} == {"s3:DeleteObject"}


@pytest.mark.parametrize("may_abort", [True, False])
def test_parts_of_an_upload_that_failed_stay_only_when_the_policy_lacks_aborting(
    tmp_path: Path, moto: Store, may_abort: bool
) -> None:
    with Account(tmp_path, "--categories", "1", "--rows", "answers_v2=4000", "--answer-bytes", "10000") as account:
        job = _job(tmp_path, account, moto, f"team/abort-{may_abort}")
        job.streams, job.destination_settings = ["answers_v2"], {"compression": "none"}
        # One file at a time: an upload that is dropped, because something else failed, would not be aborted.
        job.start, job.api_settings = today("eastern") - timedelta(days=1), {"concurrency": 1}
        job.write()
        printed = _printed(job)
        with policy.gate(moto, printed if may_abort else policy.without(printed, "s3:AbortMultipartUpload")) as gate:
            gate.failing_part = 2
            assert _under(job, gate).run("run").code != COMPLETE

    uploads = moto.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    left = [one for one in uploads if one["Key"].startswith(f"team/abort-{may_abort}/")]
    assert bool(left) != may_abort


def test_policy_of_one_prefix_grants_no_other(tmp_path: Path, account: Account, moto: Store) -> None:
    own = _job(tmp_path / "own", account, moto, "team/own")
    other = _job(tmp_path / "other", account, moto, "team/own-not")
    with policy.gate(moto, _printed(own)) as gate:
        _under(other, gate).run("run").expect(UNAVAILABLE)
    assert moto.objects("team/own-not") == {}


def test_forget_needs_exactly_the_printed_policy(tmp_path: Path, account: Account, moto: Store) -> None:
    job = _job(tmp_path, account, moto, "team/forget")
    printed, more = _printed(job), _printed(job, "--forget")
    with policy.gate(moto, printed) as gate:
        _under(job, gate).run("run").expect(COMPLETE)
        job.run("forget", "visibility_v2_by_day", "--yes").expect(UNAVAILABLE)
        gate.policy = more
        job.run("forget", "visibility_v2_by_day", "--yes").expect(COMPLETE)
    assert not [path for path in moto.objects("team/forget") if path.startswith("visibility_v2_by_day/")]


def test_policy_suffices_on_a_server_with_users_and_signatures(tmp_path: Path, account: Account) -> None:
    """moto itself decides here, which evaluates no condition: the one on the prefix is left out."""
    with stores.server("moto", tmp_path / "moto.log") as root:
        job = _job(tmp_path, account, root, "team/signed")
        printed = _printed(job)
        for statement in printed["Statement"]:
            statement.pop("Condition", None)
        iam = boto3.client(
            "iam",
            endpoint_url=root.endpoint,
            region_name="us-east-1",
            aws_access_key_id=root.access_key,
            aws_secret_access_key=root.secret_key,
            config=Config(proxies={}),
        )
        iam.create_user(UserName="profound")
        key = iam.create_access_key(UserName="profound")["AccessKey"]
        credentials = {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}
        document = {"UserName": "profound", "PolicyName": "lake"}
        iam.put_user_policy(PolicyDocument=json.dumps(printed), **document)
        job.options = root.options | credentials
        job.write()
        request = urllib.request.Request(
            f"{root.endpoint}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}
        )
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()

        for command in ("check", "run", "status", "verify"):
            job.run(command).expect(COMPLETE)
        # The same credentials, one prefix further.
        job.destination = f"s3://{BUCKET}/team/elsewhere"
        job.write()
        job.run("run").expect(UNAVAILABLE)


def test_directory_needs_no_policy_and_an_invalid_address_is_rejected(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, STREAMS)
    assert "No policy is needed" in job.run("check", "--iam").expect(COMPLETE).stdout
    job.destination = "ftp://lake"
    job.write()
    job.run("check", "--iam").expect(BAD_CONFIG)
    # No request was sent.
    assert account.requests() == []


def test_permissions_of_lake_and_tables_are_one_json_document(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, STREAMS, tables_settings={"url": "tables"})
    printed = job.run("check", "--iam", "--output", "json").expect(COMPLETE).json()
    assert [Path(one["directory"]).name for one in printed] == [job.lake.name, "tables"]
