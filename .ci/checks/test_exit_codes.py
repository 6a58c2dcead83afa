"""What a run ends with, what it has sent by then, and what is left: the promises that schedulers rely on."""

import signal
import time
from pathlib import Path

import pytest

from kit import program, stores
from kit.account import Account
from kit.job import Job
from kit.lake import Lake, assert_equal
from kit.program import BAD_CONFIG, COMPLETE, INCOMPLETE, KEY_REJECTED, SOME_FAILED, UNAVAILABLE, USAGE, until

REPORTS = ["organizations", "visibility_v2_by_day", "visibility_v1", "citations_v1", "answers_v2"]


def _assert_whole(account: Account, job: Job) -> None:
    """Fails where the lake on disk is not what the account says."""
    truths = job.truths(account)
    assert_equal(Lake(str(job.lake)), "duckdb", truths)


def test_revoked_key_stops_everything_at_once(tmp_path: Path, account: Account) -> None:
    account.fault("revoke_key", after=12)
    job = Job(tmp_path, account.url, api_settings={"concurrency": 1})

    ended = job.run("run").expect(KEY_REJECTED)

    statuses = [one["status"] for one in account.requests()]
    assert statuses[:-1] == [200] * 12
    assert statuses[-1] == 401
    assert ended.stderr.count("error:") == 1
    assert "401" in ended.stderr
    assert "exported and safe" in ended.stderr
    # Files published before are still there, complete.
    lake = Lake(str(job.lake))
    assert lake.streams()
    assert not (lake.streams() - job.catalog.keys())
    assert "key_rejected" in job.run("status", "--output", "json").expect(COMPLETE).stdout


def test_revoked_key_stops_those_in_flight_and_later_jobs_too(tmp_path: Path, account: Account) -> None:
    account.fault("revoke_key", after=12)
    job = Job(tmp_path, account.url)
    with open(tmp_path / "jobs.toml", "a") as file:
        file.write('\n[[job]]\nname = "weekly"\nstreams = ["minimal"]\n')

    job.run("run").expect(KEY_REJECTED)

    rejected = [one for one in account.requests() if one["status"] == 401]
    # Four at once is the default: what was sent already may still be answered, and nothing follows.
    assert 1 <= len(rejected) <= 4
    assert max(one["seconds"] for one in rejected) - min(one["seconds"] for one in rejected) < 1


def test_category_without_entitlement_is_shown_and_the_rest_exported(tmp_path: Path, account: Account) -> None:
    category = account.category()
    account.fault("status", code=403, category=category["id"])
    job = Job(tmp_path, account.url, REPORTS)

    job.run("run").expect(COMPLETE)

    status = job.run("status").expect(COMPLETE)
    assert "not entitled" in status.stdout.lower().replace("_", " ")
    other = {path.split("/")[1] for path in Lake(str(job.lake)).files() if path.startswith("visibility_v1/")}
    assert len(other) == 2
    assert f"category={category['id']}" not in other
    # The next run confirms it; then it is not asked again on the same day.
    for is_asked in (True, False):
        sent = len(account.requests())
        job.run("run").expect(COMPLETE)
        bodies = str([one["body"] for one in account.requests()[sent:]])
        assert (category["id"] in bodies) == is_asked


def test_forbidden_list_of_organizations_is_not_an_empty_account(tmp_path: Path, account: Account) -> None:
    account.fault("status", code=403, stream="organizations")

    Job(tmp_path, account.url).run("run").expect(UNAVAILABLE)


def test_configuration_reports_every_problem_at_once(tmp_path: Path) -> None:
    (tmp_path / "jobs.toml").write_text(
        '[api]\nbase_url = "not an address"\nconcurency = 3\n[destination]\ncompression = "gzip"\n'
        '[[job]]\nname = "Nightly"\ncron = "61 * * * *"\ntimezone = "Mars/Olympus"\nstreams = ["minimum"]\n'
    )
    for command in ("check", "run", "plan", "config", "serve"):
        ended = program.run(command, cwd=tmp_path).expect(BAD_CONFIG)
        for line in (
            "base_url",
            "concurency",
            "concurrency",
            "compression",
            "cron",
            "Mars/Olympus",
            "minimum",
            "minimal",
        ):
            assert line in ended.stderr, f"{command} does not print {line}:\n{ended.stderr}"


def test_mistyped_command_is_a_usage_error(tmp_path: Path) -> None:
    program.run("rum", cwd=tmp_path).expect(USAGE)


@pytest.mark.parametrize("command", ["run", "check"])
def test_unreachable_api_is_unavailable(tmp_path: Path, command: str) -> None:
    address = f"http://127.0.0.1:{stores.free_port()}"
    job = Job(tmp_path, address, api_settings={"connect_timeout": "1s"}, job_settings={"deadline": "20s"})

    ended = job.run(command).expect(UNAVAILABLE)

    assert address.removeprefix("http://") in ended.stderr


def test_missing_key_is_reported(tmp_path: Path, account: Account) -> None:
    ended = Job(tmp_path, account.url).run("run", env={"PROFOUND_API_KEY": ""})

    assert ended.code == BAD_CONFIG
    assert "PROFOUND_API_KEY" in ended.stderr


def test_failed_slice_leaves_the_others(tmp_path: Path, account: Account) -> None:
    account.fault("wrong_type", column="visibility_score", stream="visibility_v1")
    job = Job(tmp_path, account.url, REPORTS)

    ended = job.run("run").expect(SOME_FAILED)

    assert "visibility_v1" in ended.stdout + ended.stderr
    assert "visibility_score" in ended.stdout + ended.stderr
    assert Lake(str(job.lake)).streams() == set(REPORTS) - {"visibility_v1"}
    account.clear_faults()
    job.run("run").expect(COMPLETE)
    _assert_whole(account, job)


def test_run_at_the_rate_limit_is_incomplete_and_resumed(tmp_path: Path) -> None:
    with Account(tmp_path, "--limit", "12", "--period", "1h") as account:
        job = Job(tmp_path, account.url, REPORTS, job_settings={"deadline": "5s"})
        job.run("run").expect(INCOMPLETE)
        sent = account.requests()
        assert len(sent) <= 12
        assert not [one for one in sent if one["status"] == 429]
        assert job.lake.is_dir()
        assert Lake(str(job.lake)).files()
        job.run("run", "--incomplete-ok").expect(COMPLETE)


def test_retry_after_is_honoured(tmp_path: Path) -> None:
    with Account(tmp_path, "--limit", "20", "--period", "5s") as account:
        account.fault("status", code=429, retry_after="3", after=7, times=1)
        job = Job(tmp_path, account.url, REPORTS)
        job.run("run").expect(COMPLETE)
        _assert_whole(account, job)
        sent = [(one["seconds"], one["status"]) for one in account.requests()]
    limited_at = next(when for when, status in sent if status == 429)
    # What was on its way when the 429 came may still arrive.
    assert not [when for when, _ in sent if limited_at + 0.2 < when < limited_at + 2.9]
    assert [status for _, status in sent].count(429) <= 4


@pytest.mark.parametrize("moment", [0.05, 0.15, 0.3, 0.6])
def test_killed_run_is_completed_by_the_next(tmp_path: Path, account: Account, moment: float) -> None:
    job = Job(tmp_path, account.url)
    running = program.start("--config", job.dir / "jobs.toml", "run", cwd=tmp_path)
    until("requests", lambda: len(account.requests()) > 8 or running.poll() is not None)
    time.sleep(moment)
    running.send_signal(signal.SIGKILL)
    running.wait()

    # Whatever is in sight is whole, before and after.
    assert all(path.endswith(".parquet") for path in (Lake(str(job.lake)).files() if job.lake.exists() else []))
    job.run("run").expect(COMPLETE)
    _assert_whole(account, job)
    assert not list((job.dir / "spool").rglob("*.parquet"))


def test_stopped_run_ends_soon_and_is_completed_by_the_next(tmp_path: Path, account: Account) -> None:
    account.fault("drip", bytes=500, milliseconds=20, stream="answers")
    job = Job(tmp_path, account.url)
    running = program.start("--config", job.dir / "jobs.toml", "run", cwd=tmp_path)
    until("requests", lambda: len(account.requests()) > 12)
    began = time.monotonic()
    running.send_signal(signal.SIGTERM)
    code = running.wait(timeout=35)

    assert time.monotonic() - began < 30
    assert code == INCOMPLETE
    account.clear_faults()
    job.run("run").expect(COMPLETE)
    _assert_whole(account, job)
