"""Whatever form the API answers in, and whatever layout is chosen, a lake holds what the account holds.

The sources disagree on some forms of the API, so the simulated account can answer in each of them.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kit.account import Account
from kit.job import Job
from kit.lake import Lake, assert_equal
from kit.program import COMPLETE


@dataclass(frozen=True)
class Form:
    """One way in which an export may differ from the usual one."""

    account: tuple[str, ...] = ()
    faults: tuple[dict[str, Any], ...] = ()
    api: dict[str, Any] = field(default_factory=dict)
    destination: dict[str, Any] = field(default_factory=dict)


FORMS = {
    "events with positional rows": Form(("--positional-events",)),
    "positions listed backwards": Form(("--positional-events", "--reverse-positions")),
    "positions listed backwards, page by page": Form(("--reverse-positions",), api={"event_streams": False}),
    "page by page": Form(api={"event_streams": False}),
    "wrapped lists": Form(("--wrap-lists",)),
    "version 2 ends before its last day": Form(("--exclusive-v2",)),
    "data before info": Form(faults=({"kind": "data_first"},), api={"event_streams": False}),
    "no totals": Form(faults=({"kind": "no_total"},)),
    "no rate headers": Form(faults=({"kind": "no_rate_headers"},)),
    "slow drip": Form(faults=({"kind": "drip", "bytes": 977, "milliseconds": 0},)),
    "key as bearer": Form(api={"auth": "bearer"}),
    "key in the address": Form(api={"auth": "query"}),
    "one request at a time": Form(api={"concurrency": 1}),
    "directories by month": Form(destination={"partition": "month"}),
    "no directories by day": Form(destination={"partition": "none"}),
    "snappy": Form(destination={"compression": "snappy"}),
    "not compressed": Form(destination={"compression": "none"}),
}


@pytest.mark.parametrize("name", FORMS)
def test_lake_is_what_the_account_holds(tmp_path: Path, name: str) -> None:
    form = FORMS[name]
    with Account(tmp_path, *form.account) as account:
        for fault in form.faults:
            account.fault(**fault)
        job = Job(tmp_path, account.url, api_settings=form.api, destination_settings=form.destination)
        job.run("run").expect(COMPLETE)
        truths = job.truths(account)
    assert_equal(Lake(str(job.lake)), "duckdb", truths)


def test_lost_lines_are_requested_again(tmp_path: Path, account: Account) -> None:
    """Everything that may go wrong once on the way, all in one run."""
    faults: list[dict[str, Any]] = [
        {"kind": "status", "code": 503, "times": 2},
        {"kind": "status", "code": 429, "retry_after": "1", "times": 1, "after": 5},
        {"kind": "html", "times": 1, "after": 9},
        {"kind": "truncate", "bytes": 2000, "times": 2, "stream": "answers"},
        # Once: what ends early twice is left for the next run.
        {"kind": "silent_end", "rows": 3, "times": 1, "stream": "visibility_v2"},
        {"kind": "error_event", "rows": 3, "times": 1, "stream": "citations"},
        {"kind": "changing_total", "times": 1, "stream": "bots"},
    ]
    for fault in faults:
        account.fault(**fault)
    job = Job(tmp_path, account.url)

    job.run("run").expect(COMPLETE)

    truths = job.truths(account)
    assert_equal(Lake(str(job.lake)), "duckdb", truths)
