"""The program as a person runs it: a process with arguments, a small environment and an exit code."""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

KEY = "prf_0123456789abcdefTHISisTHEkeyOFtheSIMULATEDaccount"

# Exit codes, as README.md lists them.
COMPLETE = 0
SOME_FAILED = 1
USAGE = 2
UNAVAILABLE = 69
INCOMPLETE = 75
KEY_REJECTED = 77
BAD_CONFIG = 78

LONGEST_RUN_SECONDS = 300


def binary() -> Path:
    """The release build, or what PROFOUND_EXPORT_BINARY names."""
    named = os.environ.get("PROFOUND_EXPORT_BINARY")
    path = Path(named) if named else Path(__file__).parents[3] / "target/release/profound-export"
    assert path.is_file(), f"{path} is missing: `cargo build --release` makes it"
    return path.absolute()


@dataclass(frozen=True)
class Finished:
    """A run of the program that is over."""

    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """What `--output json` printed."""
        return json.loads(self.stdout)

    def expect(self, code: int) -> Self:
        """Itself, when it ended with `code`; else an error that shows what it said."""
        assert self.code == code, f"exit code {self.code}, not {code}\n{self.stdout[-4000:]}\n{self.stderr[-8000:]}"
        return self


def environment(more: Mapping[str, str] | None = None, key: bool = True) -> dict[str, str]:
    """Only what a check sets: a variable of the person's own shell must not decide its outcome."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    # A proxy of the machine's must not come between the program and a server on this machine.
    return kept | {"NO_PROXY": "*"} | ({"PROFOUND_API_KEY": KEY} if key else {}) | dict(more or {})


def run(*arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None, key: bool = True) -> Finished:
    """Runs the program to its end, with the key in a variable by default."""
    command = [str(binary()), *map(str, arguments)]
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment(env, key),
        capture_output=True,
        text=True,
        timeout=LONGEST_RUN_SECONDS,
        stdin=subprocess.DEVNULL,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def start(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None, key: bool = True
) -> subprocess.Popen[str]:
    """Starts the program and leaves it running; what it says goes to files in `cwd`."""
    command = [str(binary()), *map(str, arguments)]
    with open(cwd / "stdout.log", "a") as out, open(cwd / "stderr.log", "a") as err:
        return subprocess.Popen(
            command, cwd=cwd, env=environment(env, key), stdout=out, stderr=err, text=True, stdin=subprocess.DEVNULL
        )


def until(what: str, true: Any, seconds: float = 30) -> Any:
    """Waits for `true()` to be true, and returns what it returned."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {what}")
