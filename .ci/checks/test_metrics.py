"""Metrics as Prometheus itself reads them: from the text file of a run, and from the daemon."""

import re
import subprocess
import urllib.request
from pathlib import Path

from kit import program
from kit.account import Account
from kit.job import Job
from kit.program import COMPLETE, until

PAGE = Path(__file__).parents[2] / "docs/reference/metrics.md"
# Days are what it counts, and no unit of time.
MISTAKEN = 'profound_export_days use base unit "seconds" instead of "days"'


def _assert_readable(text: str) -> None:
    """Fails where Prometheus cannot read `text`, or finds a name that is not as names should be."""
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    said = [line for line in (checked.stdout + checked.stderr).splitlines() if line and line != MISTAKEN]
    assert not said, said


def _names(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\S+) \w+$", text, re.MULTILINE))


def test_metrics_of_a_run_and_of_the_daemon_are_read_by_prometheus(tmp_path: Path, account: Account) -> None:
    textfile = tmp_path / "profound_export.prom"
    never = {"cron": "0 0 29 2 *", "timezone": "UTC"}
    job = Job(tmp_path, account.url, ["minimal"], api_settings={"key_expires": "2099-12-31"}, job_settings=never)
    settings = ["--set", f"metrics.textfile={textfile}", "--set", "server.listen=127.0.0.1:0"]
    job.run(*settings, "run").expect(COMPLETE)
    of_run = textfile.read_text()
    _assert_readable(of_run)
    documented = set(re.findall(r"^\| `(profound_export_\w+)` \|", PAGE.read_text(), re.MULTILINE))
    # No notifications: no alert has a target.
    assert documented - _names(of_run) == {"profound_export_alerts_sent_total"}

    daemon = program.start("--config", str(job.dir / "jobs.toml"), *settings, "serve", cwd=job.dir)
    try:
        log = job.dir / "stderr.log"
        said = until("the page", lambda: re.search(r"status page is at (\S+/)", log.read_text()))
        # What was counted goes on, and what stands is known once the lake was looked at.
        until("the lake", lambda: _names(_asked(f"{said[1]}metrics")) >= {"profound_export_coverage_lag_seconds"})
        of_daemon = _asked(f"{said[1]}metrics")
    finally:
        daemon.kill()
        daemon.wait()
    _assert_readable(of_daemon)
    assert _requests(of_daemon) == _requests(of_run) == len(account.requests())


def _asked(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        text: str = answer.read().decode()
        return text


def _requests(text: str) -> int:
    return sum(int(count) for count in re.findall(r"^profound_export_requests_total\{.*\} (\d+)$", text, re.MULTILINE))
