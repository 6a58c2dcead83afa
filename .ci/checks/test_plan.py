"""What `plan` foretells and `check` refuses, against what a run then does."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kit.account import Account
from kit.job import Job, today
from kit.program import BAD_CONFIG, COMPLETE, INCOMPLETE

NIGHTLY = {"cron": "30 6 * * *"}


def plan(job: Job) -> dict[str, Any]:
    """The only job's plan."""
    plans: list[dict[str, Any]] = job.run("plan", "--output", "json").expect(COMPLETE).json()
    return plans[0]


def hours_after_start(plan: dict[str, Any], at: str) -> float:
    """From the start of the run to an instant."""
    return (datetime.fromisoformat(at) - datetime.fromisoformat(plan["starts_at"])).total_seconds() / 3600


def test_plan_of_a_nightly_run_says_when_each_stream_is_done(tmp_path: Path) -> None:
    with Account(tmp_path, "--limit", "600", "--categories", "60") as account:
        job = Job(tmp_path, account.url, ["minimal"], job_settings=NIGHTLY, api_settings={"reserve_requests": 60})

        planned = plan(job)

    # 540 requests go at once, and the others after the reset of the rate limit.
    assert planned["requests"] > 540
    assert planned["rate_limit"]["usable"] == 540
    assert 1.0 < hours_after_start(planned, planned["done_at"]) < 1.2
    ends = [stream["done_at"] for stream in planned["streams"]]
    assert max(ends) == planned["done_at"]
    assert ends == sorted(ends)
    assert sum(stream["requests"] for stream in planned["streams"]) == planned["requests"]


def test_plan_of_a_first_run_shows_backfill_and_its_end(tmp_path: Path, account: Account) -> None:
    start = today("eastern") - timedelta(days=100)
    job = Job(tmp_path, account.url, ["visibility_v2"], job_settings={**NIGHTLY, "start": str(start)})

    planned = plan(job)

    categories = 3
    # The newest 31 days of each category tonight; the other 69 or 70 days, by the time of the run, in windows of 31.
    assert planned["streams"][0]["due"]["missing"] == 31 * categories
    assert planned["streams"][0]["longest_window_days"] == 31
    assert planned["backfill"]["first"] == str(start)
    assert planned["backfill"]["requests"] == 3 * categories
    assert planned["backfill"]["done_at"] > planned["done_at"]


def test_plan_after_a_run_expects_its_rows_and_bytes(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, ["visibility_v2_by_day", "prompts"])
    job.run("run").expect(COMPLETE)

    planned = {stream["stream"]: stream for stream in plan(job)["streams"]}

    assert planned["prompts"]["rows"] == account.truth("prompts")["total"]["rows"]
    assert planned["prompts"]["bytes"] > 0
    assert planned["prompts"]["files_a_year"] == 0
    assert planned["visibility_v2_by_day"]["due"]["lookback"] > 0
    assert planned["visibility_v2_by_day"]["rows"] > 0
    assert planned["visibility_v2_by_day"]["files_a_year"] == 3 * 365


def test_plan_is_deterministic(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, ["core"], job_settings=NIGHTLY)

    first, second = plan(job), plan(job)

    assert [[stream["stream"], stream["due"]] for stream in first["streams"]] == [
        [stream["stream"], stream["due"]] for stream in second["streams"]
    ]
    without_times = [
        [{key: value for key, value in slice_.items() if key != "done_at"} for slice_ in planned["slices"]]
        for planned in (first, second)
    ]
    assert without_times[0] == without_times[1]
    assert first["requests"] == second["requests"]


def test_check_rejects_a_cron_that_can_never_be_kept(tmp_path: Path) -> None:
    with Account(tmp_path, "--limit", "600", "--categories", "60") as account:
        settings = {"cron": "0 * * * *"}
        job = Job(tmp_path, account.url, ["core"], job_settings=settings, api_settings={"reserve_requests": 60})

        refused = job.run("check").expect(BAD_CONFIG).stderr

    assert "job `nightly` can never finish before it starts again" in refused
    assert 'cron = "0 * * * *"' in refused
    assert "540 in 1 h are allowed" in refused
    assert "start it less often than every" in refused
    assert "choose fewer streams" in refused


def test_check_rejects_a_deadline_that_is_too_short(tmp_path: Path) -> None:
    with Account(tmp_path, "--limit", "600", "--categories", "60") as account:
        settings = {**NIGHTLY, "deadline": "30m"}
        job = Job(tmp_path, account.url, ["core"], job_settings=settings, api_settings={"reserve_requests": 60})

        refused = job.run("check").expect(BAD_CONFIG).stderr

    assert "can never finish within its deadline of 30 m" in refused
    assert "give it a deadline of more than" in refused


def test_check_rejects_jobs_that_fit_alone_and_not_together(tmp_path: Path) -> None:
    with Account(tmp_path, "--limit", "600", "--categories", "20") as account:
        job = Job(tmp_path, account.url, ["minimal"], job_settings={"cron": "0 * * * *"})
        job.run("check").expect(COMPLETE)
        text = (tmp_path / "jobs.toml").read_text()
        block = text[text.index("[[job]]") :]
        more = [block.replace("nightly", f"more_{number}") for number in range(4)]
        (tmp_path / "jobs.toml").write_text(text + "".join(more))

        refused = job.run("check").expect(BAD_CONFIG).stderr

    assert "the jobs can never all finish before they start again" in refused
    assert "nightly: " in refused
    assert "more_3: " in refused


def test_automatic_backfill_proceeds_over_runs_newest_first(tmp_path: Path, account: Account) -> None:
    name = "visibility_v2_by_day"
    job = Job(tmp_path, account.url, [name], api_settings={"concurrency": 1})
    job.run("run").expect(COMPLETE)
    before = len(account.requests())
    earlier = job.start - timedelta(days=70)
    job.job_settings = {"start": str(earlier)}
    job.write()

    job.run("run").expect(COMPLETE)

    ends = [asked["body"]["end_date"] for asked in account.requests()[before:] if asked["stream"] == name]
    assert ends == sorted(ends, reverse=True), "newest first"
    days = {path.parent.name.removeprefix("day=") for path in job.lake.glob(f"{name}/*/day=*/data.parquet")}
    wanted = (today("eastern") - earlier).days
    assert days == {str(earlier + timedelta(days=number)) for number in range(wanted)}


def test_backfill_deferred_by_the_rate_limit_is_reported_and_nothing_else_is_missing(tmp_path: Path) -> None:
    with Account(tmp_path, "--limit", "12") as account:
        start = today("eastern") - timedelta(days=200)
        settings = {"start": str(start), "deadline": "5s"}
        job = Job(tmp_path, account.url, ["visibility_v2_by_day"], job_settings=settings)

        output = job.run("run").expect(INCOMPLETE)

    assert "deferred to the next run (backfill)" in output.stdout
    shown = job.run("status").expect(COMPLETE).stdout
    headline = shown.splitlines()[0]
    assert headline.startswith(f"Everything due is exported. Backfill from {start} is ")
    there = int(headline.split(" % complete")[0].rsplit(" ", 1)[1])
    assert 15 <= there < 60
