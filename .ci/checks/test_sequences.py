"""After any sequence of faults, kills, pauses and restatements a lake equals the account, and exit 0 is never false.

`cargo xtask sequences --count N --seed S` runs as many as you like, and prints a table for the reliability page.
"""

import itertools
import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from kit.account import Account
from kit.job import Job, Stream
from kit.sequence import SIZE, TIERS, Sequence, Tally

# Without a number: those that begin within this time.
SECONDS = 25
# Most of the time is backoff.
AT_ONCE = 8


def _tally(directory: Path, seed: int, catalog: dict[str, Stream]) -> Tally:
    """What one sequence did. It has an account of its own, since restatements stay."""
    directory.mkdir()
    tally = Tally()
    with Account(directory, *SIZE, "--answer-bytes", "100", "--seed", str(seed + 1)) as account:
        Sequence(directory, account, seed, tally, catalog).run()
    if tally.problems:
        print("\n".join(tally.problems), file=sys.stderr, flush=True)
    else:
        shutil.rmtree(directory)
    return tally


def test_lake_equals_the_account_after_random_sequences(tmp_path: Path) -> None:
    count, seed = (os.environ.get(f"PROFOUND_EXPORT_SEQUENCE{name}") for name in ("S", "_SEED"))
    first = int(seed or 0)
    end = time.monotonic() + SECONDS
    seeds: Iterator[int] = iter(range(first, first + int(count))) if count else itertools.count(first)
    catalog = Job(tmp_path, "http://127.0.0.1:1").catalog
    total, lock = Tally(), Lock()

    def worker() -> None:
        for number in seeds:
            if not count and time.monotonic() > end:
                return
            tally = _tally(tmp_path / str(number), number, catalog)
            with lock:
                total.add(tally)
                if total.sequences % 100 == 0:
                    print(total.table(), flush=True)

    with ThreadPoolExecutor(AT_ONCE) as workers:
        for done in [workers.submit(worker) for _ in range(AT_ONCE)]:
            done.result()
    print(total.table())
    every = {one.name for one in catalog.values() if one.tier in TIERS}
    assert total.sequences < 100 or set(total.streams) == every
    assert total.problems == []
    assert (total.lost, total.duplicated, total.false_complete) == (0, 0, 0)
