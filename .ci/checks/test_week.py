"""The daemon survives a week with a daylight-saving change and many failures, and notifies once of each.

docs/explanation/a-week.md shows the result. The table there is made by this check, which leaves it under `target/ci`.
"""

import re
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from kit.lake import Lake, assert_equal
from kit.life import HOUR, Life, Row
from kit.program import COMPLETE, KEY_REJECTED

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/a-week.md"
BERLIN = ZoneInfo("Europe/Berlin")


def _utc(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 10, day, hour, minute, tzinfo=UTC)


def _march(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2027, 3, day, hour, minute, tzinfo=UTC)


def test_daemon_survives_a_week_of_failures_and_notifies_once_of_each(tmp_path: Path) -> None:
    with Life(tmp_path, _utc(21, 23, 50), first_day=date(2026, 10, 8), key_expires=date(2026, 11, 6)) as life:
        life.start()
        life.happens("first start of `serve`")
        _thursday_is_quiet(life)
        _friday_the_key_is_rejected(life)
        _saturday_the_process_is_killed(life)
        _sunday_the_clocks_change(life)
        _monday_the_api_is_out(life)
        _tuesday_the_destination_is_out(life)
        _wednesday_somebody_else_uses_the_key(life)
        life.run_at("often", _utc(29, 0))
        life.run_at("nightly", _utc(29, 1, 30))
        life.stop()
        life.happens("`serve` is stopped")

        _assert_every_day_is_there(life)
        _assert_starts_are(life)
        _assert_both_targets_were_notified_once(life)
        _assert_errors_are_those_that_were_caused(life)
        _assert_documented(life.rows, tmp_path)


def _thursday_is_quiet(life: Life) -> None:
    life.run_at("often", _utc(22, 0))
    life.run_at("nightly", _utc(22, 0, 30))
    life.happens("`nightly` runs at 02:30 CEST")
    for hour in (6, 12, 18):
        life.run_at("often", _utc(22, hour))


def _friday_the_key_is_rejected(life: Life) -> None:
    life.run_at("often", _utc(23, 0))
    life.happens("14 days before the key's last day", "firing `key_expiring`")
    life.run_at("nightly", _utc(23, 0, 30))
    life.account.fault("revoke_key", times=1)
    life.pass_to(_utc(23, 6))
    life.ends(KEY_REJECTED)
    life.happens("`often` starts with a revoked key: `serve` ends with 77", "firing `key_rejected`")
    asked = len(life.account.requests())
    life.pass_to(_utc(23, 15))
    assert len(life.account.requests()) == asked
    key = "prf_ANOTHERkeyOFtheSIMULATEDaccount"
    life.account.replace_key(key)
    life.put_key(key)
    life.key_expires = date(2027, 10, 6)
    life.configure()
    life.start()
    life.starts_at("often", _utc(23, 15))
    life.ended("often", _utc(23, 15))
    life.happens(
        "new key, and `serve` starts again: one run of `often` catches up",
        "resolved `key_expiring`",
        "resolved `key_rejected`",
    )
    life.run_at("often", _utc(23, 18))


def _saturday_the_process_is_killed(life: Life) -> None:
    life.run_at("often", _utc(24, 0))
    life.run_at("nightly", _utc(24, 0, 30))
    life.run_at("often", _utc(24, 6))
    life.account.fault("stall", bytes=0, stream="referrals", times=1)
    life.pass_to(_utc(24, 12))
    life.starts_at("often", _utc(24, 12))
    life.wait("the run to be under way", lambda: life.account.asked_since("referrals_v2", _utc(24, 12)))
    life.kill()
    life.happens("the process is killed during a run")
    life.clock.move_to(_utc(24, 12, 20))
    life.start()
    life.starts_at("often", _utc(24, 12, 20))
    life.ended("often", _utc(24, 12, 20))
    life.happens("`serve` is started again: the interrupted run resumes")
    life.run_at("often", _utc(24, 18))


def _sunday_the_clocks_change(life: Life) -> None:
    life.run_at("often", _utc(25, 0))
    life.run_at("nightly", _utc(25, 0, 30))
    life.happens("02:30 for the first time, in summer time: `nightly` runs")
    life.pass_to(_utc(25, 1, 30))
    life.happens("02:30 for the second time, in winter time: nothing runs")
    life.pass_to(_utc(25, 5))
    life.account.restate(date(2026, 10, 23))
    life.happens("the API restates Friday: the next runs extract it again")
    for hour in (6, 12, 18):
        life.run_at("often", _utc(25, hour))


def _monday_the_api_is_out(life: Life) -> None:
    life.run_at("often", _utc(26, 0))
    life.pass_to(_utc(26, 1))
    life.account.fault("status", code=503)
    life.tried_at("nightly", _utc(26, 1, 30))
    life.happens("the API has answered 503 for half an hour: `nightly` retries", "firing `job_failed/nightly`")
    life.tried_at("often", _utc(26, 6))
    life.happens("it still does: `often` retries", "firing `job_failed/often`")
    life.pass_to(_utc(26, 15, 59))
    life.clock.move_to(_utc(26, 16, 10))
    life.happens("the oldest missing day of `nightly` ended 36 hours ago", "firing `incomplete_too_long/nightly`")
    life.pass_to(_utc(27, 5, 10))
    for job in ("often", "nightly"):
        life.wait("a last attempt", lambda job=job: life.outcomes(job, _utc(27, 5)))
    life.account.clear_faults()
    life.run_at("often", _utc(27, 6))
    # An hour after its last attempt, which was perhaps at five.
    life.starts_at("nightly", _utc(27, 6), HOUR)
    if not life.has_begun("nightly", _utc(27, 6)):
        life.clock.move_to(_utc(27, 6, 30))
    life.wait("nightly to end", lambda: life.outcomes("nightly", _utc(27, 6)) == ["complete"])
    life.happens(
        "the API is back: both jobs have extracted every missing day",
        "resolved `incomplete_too_long/nightly`",
        "resolved `job_failed/nightly`",
        "resolved `job_failed/often`",
        at=_utc(27, 6, 30),
    )


def _tuesday_the_destination_is_out(life: Life) -> None:
    life.run_at("often", _utc(27, 12))
    life.pass_to(_utc(27, 17, 30))
    # No evaluation may be in progress when the clock moves, or its notification would come too late.
    life.looked(_utc(27, 17, 30))
    away = life.lake.rename(life.dir / "lake.away")
    life.lake.write_text("where the disk should be")
    life.clock.move_to(_utc(27, 17, 40))
    life.happens("a file is in the place of the destination", f"firing `destination_trouble/{life.lake}`")
    life.tried_at("often", _utc(27, 18))
    life.happens("`often` cannot write, and retries")
    life.lake.rename(life.dir / "file.away")
    away.rename(life.lake)
    life.starts_at("often", _utc(27, 18, 10))
    life.clock.move_to(_utc(27, 18, 10))
    life.ended("often", _utc(27, 18, 10))
    life.happens("the destination is back: `often` has retried", f"resolved `destination_trouble/{life.lake}`")
    life.run_at("often", _utc(28, 0))
    life.run_at("nightly", _utc(28, 1, 30))
    life.run_at("often", _utc(28, 6))


def _wednesday_somebody_else_uses_the_key(life: Life) -> None:
    life.account.fault("drip", bytes=100, milliseconds=500, stream="domains", times=1)
    life.pass_to(_utc(28, 12))
    life.starts_at("often", _utc(28, 12))
    life.wait("a request", lambda: life.account.asked_since("domains", _utc(28, 12)))
    life.account.spend(200)
    life.ended("often", _utc(28, 12))
    life.happens("another program sends 200 requests with the key while `often` runs", "firing `key_used_elsewhere`")
    life.clock.move_to(_utc(28, 13, 10))
    life.happens("no external requests for an hour", "resolved `key_used_elsewhere`")
    life.run_at("often", _utc(28, 18))


def _assert_every_day_is_there(life: Life) -> None:
    assert_equal(Lake(str(life.lake)), "duckdb", life.truths())
    life.command("verify").expect(COMPLETE)


def _assert_starts_are(life: Life) -> None:
    """The ledger holds the starts that were due, and no others."""
    life.assert_started()
    # On the clock in Berlin: each day one, whatever it did.
    of_nightly = [at.astimezone(BERLIN).strftime("%d %H:%M %Z") for job, at, _ in life.starts if job == "nightly"]
    assert of_nightly == [
        "22 02:30 CEST",
        "23 02:30 CEST",
        "24 02:30 CEST",
        "25 02:30 CEST",
        # That of the 26th, once the API was back, and with it that of the 27th, which fell into the outage.
        "27 07:00 CET",
        "28 02:30 CET",
        "29 02:30 CET",
    ]


def _assert_both_targets_were_notified_once(life: Life) -> None:
    assert life.receiver.wrong == []
    assert life.commanded == life.receiver.got
    sent = Counter((one["state"], one["key"]) for one in life.receiver.got)
    keys = {key for _, key in sent}
    assert sent == Counter((state, key) for state in ("firing", "resolved") for key in keys)
    ends = [one["outcome"] for one in life.log() if "outcome" in one]
    # Two runs that end one right after the other may be one ping: so it may be when the API is back.
    assert ends.count("complete") - life.receiver.pings in (0, 1)


def _assert_errors_are_those_that_were_caused(life: Life) -> None:
    """One run ended because of the key, some because of the API, some because of the destination."""
    lines = [one for one in life.log() if one["level"] == "ERROR"]
    unexpected = [one for one in lines if not _was_caused(one)]
    assert unexpected == []


def _was_caused(line: dict[str, str]) -> bool:
    at = datetime.fromisoformat(line["timestamp"])
    times = ((_utc(23, 6), _utc(23, 7)), (_utc(26, 1, 30), _utc(27, 5, 20)), (_utc(27, 18), _utc(27, 18, 10)))
    return any(begin <= at <= end for begin, end in times)


def _assert_documented(rows: list[Row], tmp_path: Path) -> None:
    table = "| when (UTC) | what happens | alert |\n|---|---|---|\n" + "".join(map(_line, rows))
    table = table.replace(str(tmp_path), "/srv")
    made = ROOT / "target/ci/a-week.md"
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_text(table)
    assert table in PAGE.read_text(), f"{PAGE} shows another week than {made}:\n{table}"


def _line(row: Row) -> str:
    alerts = "<br>".join(
        f"{one.what}: {_words(one.words)}" if "firing" in one.what else one.what for one in row.notifications
    )
    return f"| {row.at:%a %-d %H:%M} | {row.happened} | {alerts} |\n"


def _words(words: str) -> str:
    """Without what differs between runs: durations, lower bounds, the first file read."""
    words = re.sub(r"(?<=cannot reach the ledger: ).*", "…", words)
    return re.sub(r"(\d+ h) \d+ m|[0-9.]+ s(?=:)|(?<=at least )\d+", lambda found: found[1] or "…", words)


def test_skipped_local_time_runs_once_in_spring(tmp_path: Path) -> None:
    with Life(tmp_path, _march(27, 0, 50), first_day=date(2027, 3, 20)) as life:
        life.start()
        life.run_at("nightly", _march(27, 1, 30))
        for hour in (6, 12, 18):
            life.run_at("often", _march(27, hour))
        life.run_at("often", _march(28, 0))
        # 02:00 CET is 03:00 CEST: there is no 02:30.
        life.run_at("nightly", _march(28, 1))
        for hour in (6, 12, 18):
            life.run_at("often", _march(28, hour))
        life.run_at("often", _march(29, 0))
        life.run_at("nightly", _march(29, 0, 30))
        life.stop()

        _assert_every_day_is_there(life)
        life.assert_started()
        assert life.receiver.got == []
        assert life.errors() == []
