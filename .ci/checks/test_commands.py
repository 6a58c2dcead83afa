"""The commands as a person uses them, one after the other, in an empty directory."""

import contextlib
import os
import pty
import re
import subprocess
import termios
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from kit import program
from kit.account import Account
from kit.job import Job, today
from kit.lake import Lake, assert_equal
from kit.program import BAD_CONFIG, COMPLETE, SOME_FAILED
from kit.stores import BUCKET, Store

DISCOVERY = {"organizations", "assets", "categories", "domains"}
REPORTS = ["organizations", "visibility_v2_by_day", "visibility_v1", "answers_v2"]


def test_demo_needs_nothing_and_prints_a_query_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = program.run("demo", cwd=tmp_path, key=False).expect(COMPLETE).stdout

    assert [path.name for path in tmp_path.iterdir()] == ["demo-lake"]
    query = re.search(r'duckdb -c "(.*)"', shown)
    assert query
    monkeypatch.chdir(tmp_path)
    rows = duckdb.sql(query[1].replace('\\"', '"')).fetchall()
    assert len(rows) > 30
    # The table's count of answers is that of the query.
    [printed] = re.findall(r"^answers_v2 +([\d,]+)", shown, re.MULTILINE)
    assert sum(row[-1] for row in rows) == int(printed.replace(",", ""))


def test_demo_draws_a_bar_on_a_terminal_and_ends(tmp_path: Path) -> None:
    terminal, inside = pty.openpty()
    termios.tcsetwinsize(inside, (24, 150))
    # Only a terminal gets a bar, so only here would a bar that stops the run be seen.
    env = program.environment({"TERM": "xterm-256color"})
    demo = subprocess.Popen([program.binary(), "demo"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=inside, env=env)
    os.close(inside)
    drawn = b""
    with contextlib.suppress(OSError):  # Reading fails when the other end is closed.
        while piece := os.read(terminal, 65536):
            drawn += piece
    assert demo.wait(timeout=program.LONGEST_RUN_SECONDS) == COMPLETE
    assert b"slices" in drawn
    os.close(terminal)


def test_screens_are_readable_at_60_columns(account: Account, tmp_path: Path) -> None:
    job = Job(tmp_path, account.url, ["core"])

    def shown(*arguments: str) -> list[str]:
        terminal, inside = pty.openpty()
        termios.tcsetwinsize(inside, (24, 60))
        command = [str(program.binary()), "--set", "destination.url=lake", *arguments]
        with open(tmp_path / "errors", "w") as errors:
            running = subprocess.Popen(command, cwd=tmp_path, stdout=inside, stderr=errors, env=program.environment())
        os.close(inside)
        drawn = b""
        with contextlib.suppress(OSError):  # Reading fails when the other end is closed.
            while piece := os.read(terminal, 65536):
                drawn += piece
        os.close(terminal)
        assert running.wait() == COMPLETE, (tmp_path / "errors").read_text()
        return drawn.decode().splitlines()

    unknown = shown("plan")
    job.run("--set", "destination.url=lake", "run").expect(COMPLETE)
    known = shown("run", "--dry-run")
    for lines in (unknown, known, shown("status"), shown("streams"), shown("streams", "answers_v2")):
        # Only a path or a name alone may be longer.
        assert not [line for line in lines if len(line) > 60 and " " in line.removeprefix("lake: ").strip()], lines
    # What is not known is no zero, and what the next run does is the same.
    heading = next(line.split() for line in unknown if line.startswith("stream "))
    assert heading[:3] == ["stream", "requests", "rows"]
    assert {line.split()[2] for line in unknown if line.startswith("visibility_v2")} == {"?"}
    assert all(line.split()[2].replace(",", "").isdigit() for line in known if line.startswith("visibility_v2"))


def test_first_configuration_is_valid_as_written(tmp_path: Path) -> None:
    program.run("init", "--full", cwd=tmp_path).expect(COMPLETE)
    program.run("config", cwd=tmp_path).expect(COMPLETE)
    # What a person has written since is not overwritten.
    (tmp_path / "jobs.toml").write_text("# mine\n")
    for arguments in (["init"], ["init", "--full"]):
        assert "exists already" in program.run(*arguments, cwd=tmp_path).expect(SOME_FAILED).stderr
    assert (tmp_path / "jobs.toml").read_text() == "# mine\n"


def test_check_connects_to_everything_and_leaves_nothing(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, job_settings={"cron": "30 6 * * *"})

    shown = job.run("check").expect(COMPLETE).stdout

    assert shown.count("06:30") >= 3
    assert not [path for path in job.lake.rglob("*") if path.is_file()]


def test_plan_sends_nothing_but_discovery(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url)

    shown = job.run("plan").expect(COMPLETE).stdout

    assert {one["stream"] for one in account.requests()} <= DISCOVERY
    assert all(stream.name in shown for stream in job.selected())
    assert not list(job.lake.rglob("*.parquet"))


def test_plan_forecasts_what_the_run_costs(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, REPORTS)
    planned = job.run("plan", "--output", "json").expect(COMPLETE).json()
    sent = len(account.requests())

    job.run("run").expect(COMPLETE)

    forecast = planned[0]["requests"] if isinstance(planned, list) else planned["requests"]
    # The lists that every run begins with may come on top.
    assert forecast <= len(account.requests()) - sent <= forecast + len(DISCOVERY)


def test_backfill_exports_the_given_days(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, ["visibility_v2_by_day"])
    first, last = job.start - timedelta(days=20), job.start - timedelta(days=11)

    job.run("backfill", "nightly", "--from", str(first), "--to", str(last)).expect(COMPLETE)

    truth = account.truth("visibility_v2_by_day", first, last)
    assert_equal(Lake(str(job.lake)), "duckdb", {"visibility_v2_by_day": truth})


def test_lake_of_another_account_is_unchanged(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, REPORTS)
    job.run("run").expect(COMPLETE)
    (tmp_path / "other").mkdir()
    with Account(tmp_path / "other", "--seed", "2") as other:
        before = {path: path.stat().st_mtime_ns for path in job.lake.rglob("*") if path.is_file()}
        stranger = Job(tmp_path / "other", other.url, REPORTS, destination=str(job.lake))

        ended = stranger.run("run").expect(BAD_CONFIG)

    assert "account" in ended.stderr
    assert before == {path: path.stat().st_mtime_ns for path in job.lake.rglob("*") if path.is_file()}


@pytest.mark.parametrize("where", ["disk", "moto"])
def test_two_concurrent_runs_give_the_same_lake(
    tmp_path: Path, account: Account, where: str, request: pytest.FixtureRequest
) -> None:
    jobs = []
    for name in ("one", "two"):
        if where == "disk":
            jobs.append(Job(tmp_path / name, account.url, REPORTS, destination=str(tmp_path / "lake")))
            lake = Lake(str(tmp_path / "lake"))
        else:
            store: Store = request.getfixturevalue(where)
            url = f"s3://{BUCKET}/two-runs"
            jobs.append(Job(tmp_path / name, account.url, REPORTS, destination=url, options=store.options))
            lake = Lake("two-runs", store)
    running = [program.start("--config", job.dir / "jobs.toml", "run", cwd=job.dir) for job in jobs]
    for job, one in zip(jobs, running, strict=True):
        assert one.wait(timeout=120) == COMPLETE, (job.dir / "stderr.log").read_text()
    assert_equal(lake, "duckdb", jobs[0].truths(account))

    # What both wrote is read once more; after that there is nothing to settle.
    jobs[0].run("run").expect(COMPLETE)

    assert_equal(lake, "duckdb", jobs[0].truths(account))
    status = jobs[0].run("status").expect(COMPLETE).stdout
    assert "suspect" not in re.sub(r"! suspect", "", status)


def test_day_that_is_not_over_is_never_exported(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path, account.url, REPORTS)
    job.run("run").expect(COMPLETE)

    days = {match[0] for path in Lake(str(job.lake)).files() if (match := re.search(r"\d{4}-\d\d-\d\d", path))}

    assert max(days) == str(today("eastern") - timedelta(days=1))
