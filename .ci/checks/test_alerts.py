"""Alerts: every kind of target is notified in its vendor's format, once when firing and once when resolved."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from kit import network, program
from kit.account import Account
from kit.job import Job
from kit.program import BAD_CONFIG, COMPLETE, KEY, SOME_FAILED
from kit.receiver import BEAT, HOOK, PAGERDUTY, ROUTING_KEY, SECRET, SLACK, Receiver, receiver

STREAMS = ["visibility_v2_by_day"]
MAIL = """#!/bin/sh
# What a program is given: the event and the state in the environment, the JSON on standard input, and no key.
printf '%s|%s|%s|' "$1" "$PROFOUND_EXPORT_ALERT_EVENT" "$PROFOUND_API_KEY" >> mails
cat >> mails
echo >> mails
"""


@pytest.fixture
def taking() -> Iterator[Receiver]:
    """Somewhere to tell, which nothing wrong came to."""
    with receiver() as one:
        yield one
        assert one.wrong == []


def _alert(job: Job, **settings: object) -> None:
    """One target more."""
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    with open(job.dir / "jobs.toml", "a") as file:
        file.write(f"[[alert]]\n{lines}")


def _every_kind(job: Job, taking: Receiver) -> None:
    for name, text in {"secret": SECRET, "slack-url": taking.url + SLACK, "routing-key": ROUTING_KEY}.items():
        (job.dir / name).write_text(f"{text}\n")
    (job.dir / "mail").write_text(MAIL)
    (job.dir / "mail").chmod(0o755)
    _alert(job, name="hook", type="webhook", url=taking.url + HOOK, secret_file="secret")
    _alert(job, name="team", type="slack", url_file="slack-url")
    _alert(job, name="on-call", type="pagerduty", url=taking.url + PAGERDUTY, secret_file="routing-key")
    _alert(job, name="mail", type="command", command=["./mail", "an argument"])
    _alert(job, name="dead-man", type="heartbeat", url=taking.url + BEAT)


def test_every_kind_of_target_is_notified_once_when_firing_and_once_when_resolved(
    tmp_path: Path, account: Account, taking: Receiver
) -> None:
    job = Job(tmp_path / "job", account.url, STREAMS)
    _every_kind(job, taking)
    account.fault("status", code=400, stream=STREAMS[0])
    said = [job.run("run").expect(SOME_FAILED).stderr for _ in range(2)]
    account.clear_faults()
    said += [job.run("run").expect(COMPLETE).stderr for _ in range(2)]

    assert taking.notified() == ["job_failed/nightly firing", "job_failed/nightly resolved"]
    assert [one.json()["event_action"] for one in taking.at(PAGERDUTY)] == ["trigger", "resolve"]
    assert len({one.json()["dedup_key"] for one in taking.at(PAGERDUTY)}) == 1
    assert len(taking.at(SLACK)) == 2
    mails = [line.split("|", 3) for line in (job.dir / "mails").read_text().splitlines()]
    assert [mail[:3] for mail in mails] == [["an argument", "job_failed", ""]] * 2
    assert [json.loads(mail[3]) for mail in mails] == [one.json() for one in taking.at(HOOK)]
    assert len(taking.at(BEAT)) == 2, "one for each complete run"

    shown = [job.run("config").expect(COMPLETE).stdout, job.run("status", "--output", "json").stdout]
    book = (job.lake / "_profound_export/alerts.json").read_text()
    for secret in (KEY, SECRET, ROUTING_KEY, SLACK, HOOK, "an argument"):
        assert not any(secret in text for text in [*said, *shown, book]), secret
    assert not any(KEY in f"{one}" for one in taking.got)


def test_alert_test_notifies_every_target_and_leaves_nothing_firing(
    tmp_path: Path, account: Account, taking: Receiver
) -> None:
    job = Job(tmp_path / "job", account.url, STREAMS)
    _every_kind(job, taking)
    job.run("alert", "test").expect(COMPLETE)
    assert taking.notified() == ["test test"]
    assert [one.json()["event_action"] for one in taking.at(PAGERDUTY)] == ["trigger", "resolve"]
    assert len(taking.at(SLACK)) == len(taking.at(BEAT)) == 1
    assert not job.lake.exists()


def test_run_that_cannot_begin_notifies(tmp_path: Path, account: Account, taking: Receiver) -> None:
    job = Job(tmp_path / "job", account.url, STREAMS)
    (job.dir / "secret").write_text(SECRET)
    _alert(job, name="hook", type="webhook", url=taking.url + HOOK, secret_file="secret")
    job.run("run").expect(COMPLETE)
    for _ in range(2):
        program.run("--config", job.dir / "jobs.toml", "run", cwd=job.dir, key=False).expect(BAD_CONFIG)
    unreadable = {"PROFOUND_API_KEY_FILE": str(job.dir / "no-such-file")}
    program.run("--config", job.dir / "jobs.toml", "run", cwd=job.dir, key=False, env=unreadable).expect(BAD_CONFIG)
    job.run("run").expect(COMPLETE)
    assert taking.notified() == ["job_failed/nightly firing", "job_failed/nightly resolved"]


def test_targets_behind_a_private_ca_and_a_proxy_are_reached(
    tmp_path: Path, account: Account, taking: Receiver
) -> None:
    ca = network.private_ca(tmp_path / "ca")
    with network.tls(ca, taking.url) as url, network.proxy() as proxy:
        job = Job(tmp_path / "job", account.url, STREAMS)
        _alert(job, name="dead-man", type="heartbeat", url=url + BEAT)
        ended = job.run("alert", "test")
        assert ended.code == SOME_FAILED
        assert BEAT not in ended.stdout + ended.stderr

        job = Job(tmp_path / "job", account.url, STREAMS, api_settings={"ca_file": str(ca.roots)})
        _alert(job, name="dead-man", type="heartbeat", url=url + BEAT)
        job.run("alert", "test").expect(COMPLETE)
        assert proxy.asked == []
        job.run("alert", "test", env={"HTTPS_PROXY": proxy.url, "NO_PROXY": ""}).expect(COMPLETE)
        assert len(proxy.asked) == 1
    assert len(taking.at(BEAT)) == 2


def test_lost_plan_is_one_notification(tmp_path: Path, account: Account, taking: Receiver) -> None:
    streams = [
        "visibility_v2_by_day",
        "citations_v2_page_by_day",
        "sentiment_v2_by_day",
        "visibility_v1",
        "citations_v1",
    ]
    job = Job(tmp_path / "job", account.url, streams)

    def write() -> None:
        job.write()
        (job.dir / "secret").write_text(SECRET)
        _alert(job, name="hook", type="webhook", url=taking.url + HOOK, secret_file="secret")

    write()
    job.run("run").expect(COMPLETE)
    for stream in streams:
        account.fault("status", code=403, stream=stream)
    # Days that were never requested; the second time the account is known to lack them.
    for code in (SOME_FAILED, COMPLETE):
        job.start -= timedelta(days=2)
        write()
        job.run("run").expect(code)
    assert taking.notified() == ["job_failed/nightly firing", "not_entitled firing", "job_failed/nightly resolved"]
    failed, lost, _ = (one.json()["summary"] for one in taking.at(HOOK))
    assert failed.startswith("nightly: failed.")
    assert f"and {len(streams) - 1} other streams" in lost
