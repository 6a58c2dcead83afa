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
# Days are what it counts, not a unit of time.
MISTAKEN = 'profound_export_coverage_days use base unit "seconds" instead of "days"'


def _assert_readable(text: str) -> None:
    """Fails if Prometheus cannot parse `text` or its linter finds a bad name."""
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=_classic(text), capture_output=True, text=True, timeout=60, check=False
    )
    problems = [line for line in (checked.stdout + checked.stderr).splitlines() if line and line != MISTAKEN]
    assert not problems, problems


def _classic(text: str) -> str:
    """OpenMetrics names a counter without `_total` in its metadata; promtool expects the suffix."""
    counters = re.findall(r"^# TYPE (\S+) counter$", text, re.MULTILINE)
    for name in counters:
        text = re.sub(rf"^# (HELP|TYPE) {name} ", rf"# \1 {name}_total ", text, flags=re.MULTILINE)
    return text.removesuffix("# EOF\n")


def _names(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\S+) \w+$", _classic(text), re.MULTILINE))


def test_prometheus_parses_metrics_of_a_run_and_of_the_daemon(tmp_path: Path, account: Account) -> None:
    textfile = tmp_path / "profound_export.prom"
    never = {"cron": "0 0 29 2 *", "timezone": "UTC"}
    job = Job(tmp_path, account.url, ["minimal"], api_settings={"key_expires": "2099-12-31"}, job_settings=never)
    settings = ["--set", f"metrics.textfile={textfile}", "--set", "server.listen=127.0.0.1:0"]
    job.run(*settings, "run").expect(COMPLETE)
    of_run = textfile.read_text()
    _assert_readable(of_run)
    documented = dict(re.findall(r"^\| `(profound_export_\w+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE))
    assert _names(of_run) == {name for name, kind in documented.items() if kind == "gauge"}
    assert f'profound_export_last_run_requests{{job="nightly"}} {len(account.requests())}.0' in of_run

    daemon = program.start("--config", str(job.dir / "jobs.toml"), *settings, "serve", cwd=job.dir)
    try:
        log = job.dir / "stderr.log"
        page = until("the page", lambda: re.search(r"(http://\S+/)", log.read_text()))
        # Coverage is known after the first look at the ledger.
        until("the lake", lambda: _names(_asked(f"{page[1]}metrics")) >= {"profound_export_coverage_lag_seconds"})
        of_daemon = _asked(f"{page[1]}metrics")
    finally:
        daemon.kill()
        daemon.wait()
    _assert_readable(of_daemon)
    assert of_daemon.endswith("# EOF\n")
    assert "profound_export_runs_total" in _names(of_daemon)


def _asked(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        text: str = answer.read().decode()
        return text
