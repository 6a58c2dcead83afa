"""A clock that is moved by hand, for processes that read the system's: weeks pass in minutes, without waiting.

Between two moves it runs as fast as the real one, so that no timeout of any process becomes shorter. A process
notices a move when it next reads its clock, as after a suspend: the caller of `move` wakes it.
"""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

# Where libfaketime (Debian: `faketime`) is, for multi-threaded programs.
_LIBRARY = "libfaketimeMT.so.1"
_SHARED_MEMORY = Path("/dev/shm")


class MovedClock:
    """Use it in `with`; the processes that see it are started with its `environment`."""

    def __init__(self, directory: Path, start: datetime) -> None:
        self._file = directory / "clock"
        self._ahead = 0.0
        self.move_to(start)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # What a killed process cannot take away by itself would be in the way of another one of its number.
        for left in _SHARED_MEMORY.glob("*faketime_s*m_*"):
            number = left.name.rpartition("_")[2]
            if not Path("/proc", number).exists():
                left.unlink(missing_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to see this clock."""
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file.absolute()),
            "FAKETIME_NO_CACHE": "1",
            # The times of files stay the real ones: they would move with the clock, and with them every ETag.
            "NO_FAKE_STAT": "1",
        }

    def now(self) -> datetime:
        """What it shows."""
        return datetime.fromtimestamp(time.time() + self._ahead, UTC)

    def move_to(self, moment: datetime) -> None:
        """Sets the clock to `moment`, from which it continues; never back."""
        ahead = moment.timestamp() - time.time()
        assert self._ahead <= ahead or not self._file.exists(), f"{moment} is over"
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead:+.6f}\n")
        # Atomically: no process may read half of a number.
        os.replace(new, self._file)
        self._ahead = ahead


def _library() -> Path:
    found = sorted(Path("/usr/lib").glob(f"*/faketime/{_LIBRARY}"))
    assert found, f"{_LIBRARY} is missing: the Debian package `faketime` holds it"
    return found[0]
