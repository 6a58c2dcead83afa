"""After any sequence of faults, kills, pauses and restatements a lake equals the account, and exit 0 is never false.

`cargo xtask sequences --count N --seed S` runs as many as you like, and prints a table for the reliability page.
"""

import os
import shutil
import sys
import time
from pathlib import Path

from kit.account import Account
from kit.job import Job
from kit.sequence import SIZE, TIERS, Sequence, Tally

# Without a number: as many as fit.
SECONDS = 45


def test_lake_equals_the_account_after_random_sequences(tmp_path: Path) -> None:
    count, seed = (os.environ.get(f"PROFOUND_EXPORT_SEQUENCE{name}") for name in ("S", "_SEED"))
    first = int(seed or 0)
    end = time.monotonic() + SECONDS
    tally = Tally()
    number = first
    while number < first + int(count) if count else time.monotonic() < end:
        directory = tmp_path / str(number)
        directory.mkdir()
        # An account of its own: restatements stay.
        with Account(directory, *SIZE, "--answer-bytes", "100", "--seed", str(number + 1)) as account:
            catalog = Job(directory, account.url).catalog
            before = len(tally.problems)
            Sequence(directory, account, number, tally, catalog).run()
        if len(tally.problems) == before:
            shutil.rmtree(directory)
        for problem in tally.problems[before:]:
            print(problem, file=sys.stderr, flush=True)
        number += 1
        if count and number % 100 == 0:
            print(tally.table(), flush=True)
    print(tally.table())
    every = {one.name for one in Job(tmp_path, "http://127.0.0.1:1").catalog.values() if one.tier in TIERS}
    assert not count or tally.sequences < 100 or set(tally.streams) == every
    assert tally.problems == []
    assert (tally.lost, tally.duplicated, tally.false_complete) == (0, 0, 0)
