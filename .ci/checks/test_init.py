"""`init` on a terminal asks three questions, tries each answer, and writes a configuration that works."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import termios
import tomllib
from pathlib import Path
from typing import Any

import pytest

from kit import program
from kit.account import Account
from kit.program import COMPLETE, SOME_FAILED, USAGE

# What a person waits for at most, on a machine that is busy with other things.
PATIENCE_SECONDS = 60

KEY_QUESTION = "File of the API key ["
PASTE_QUESTION = "another file: "
DESTINATION_QUESTION = "Where to write the Parquet: "
CATEGORIES_QUESTION = "Categories: "


class Conversation:
    """The program on a terminal of its own: `expect` reads until a text appears, `answer` types a line."""

    def __init__(self, place: Path, url: str, *arguments: str, env: dict[str, str] | None = None) -> None:
        self._terminal, inside = pty.openpty()
        termios.tcsetwinsize(inside, (40, 120))
        variables = {"PROFOUND_EXPORT_API__BASE_URL": url, "TERM": "xterm-256color"} | (env or {})
        self.running = subprocess.Popen(
            # A shell starts what it does not wait for with interrupts ignored.
            ["env", "--default-signal=INT", str(program.binary()), "init", *arguments],
            cwd=place,
            env=program.environment(variables, key=False),
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
        )
        os.close(inside)
        self.shown = ""
        self._read_to = 0

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(self, *_: object) -> None:
        self.running.kill()
        self.running.wait()
        os.close(self._terminal)

    def expect(self, text: str) -> str:
        """What was drawn from the last expected text to this one."""
        while (found := self.shown.find(text, self._read_to)) < 0:
            assert self._read(), f"`{text}` was not shown:\n{self.shown}"
        since = self.shown[self._read_to : found]
        self._read_to = found + len(text)
        return since

    def answer(self, text: str) -> None:
        os.write(self._terminal, f"{text}\n".encode())

    def answer_hidden(self, text: str) -> None:
        """Types when the terminal no longer shows what is typed, as a person does who has read the question."""
        while termios.tcgetattr(self._terminal)[3] & termios.ECHO:
            os.sched_yield()
        self.answer(text)

    def interrupt(self) -> None:
        os.killpg(self.running.pid, signal.SIGINT)

    def end(self) -> int:
        """The exit code, with all that was shown read."""
        while self._read():
            pass
        return self.running.wait(PATIENCE_SECONDS)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], PATIENCE_SECONDS)
        piece = b""
        with contextlib.suppress(OSError):  # The other end is closed.
            piece = os.read(self._terminal, 65536) if ready else b""
        # Without colours and movements of the cursor.
        self.shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", piece.decode(errors="replace"))
        return bool(piece)


def written(place: Path) -> dict[str, Any]:
    return tomllib.loads((place / "jobs.toml").read_text())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "work"
    directory.mkdir()
    return directory


def test_pasted_key_and_defaults_make_a_configuration_that_exports(place: Path, account: Account) -> None:
    with Conversation(place, account.url) as person:
        person.expect(KEY_QUESTION)
        person.answer("")
        person.expect(PASTE_QUESTION)
        person.answer_hidden(program.KEY)
        person.expect("the key works")
        person.expect(DESTINATION_QUESTION)
        person.answer("")
        person.expect("is writable")
        person.expect(CATEGORIES_QUESTION)
        person.answer("")
        assert person.end() == COMPLETE, person.shown
        assert program.KEY not in person.shown

    key_file = place / "profound-api-key"
    assert key_file.read_text() == f"{program.KEY}\n"
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert written(place) == {
        "api": {"key_file": str(key_file)},
        "destination": {"url": str(place / "lake")},
        "job": [{"name": "nightly", "cron": "30 6 * * *"}],
    }
    at = {"PROFOUND_EXPORT_API__BASE_URL": account.url}
    program.run("check", cwd=place, env=at, key=False).expect(COMPLETE)
    program.run("run", "--set", 'job.nightly.streams=["visibility_v2_by_day"]', cwd=place, env=at, key=False).expect(
        COMPLETE
    )
    assert list((place / "lake/visibility_v2_by_day").rglob("*.parquet"))


def test_answer_that_fails_is_asked_for_again(place: Path, account: Account) -> None:
    (place / "wrong").write_text("prf_wrong0123456789wrong0123456789wrong\n")
    (place / "photos").mkdir()
    (place / "photos/1.jpg").touch()
    with Conversation(place, account.url) as person:
        person.expect(KEY_QUESTION)
        person.answer("wrong")
        person.expect("error: ")
        person.expect(KEY_QUESTION)
        person.answer("elsewhere/key")
        assert "elsewhere/key" in person.expect(KEY_QUESTION).split("error: ")[1]
        # Nothing is pasted: another file.
        person.answer("key")
        person.expect(PASTE_QUESTION)
        person.answer_hidden("")
        assert "error: " not in person.expect(KEY_QUESTION)
        person.answer("key")
        person.expect(PASTE_QUESTION)
        # A key that is rejected is not kept.
        person.answer_hidden("prf_another0123456789another0123456789")
        person.expect("error: ")
        person.expect(KEY_QUESTION)
        assert not (place / "key").exists()
        person.answer("key")
        person.expect(PASTE_QUESTION)
        person.answer_hidden(program.KEY)
        person.expect("the key works")
        person.expect(DESTINATION_QUESTION)
        person.answer("photos")
        person.expect("is not a lake")
        person.expect(DESTINATION_QUESTION)
        person.answer("here")
        person.expect(CATEGORIES_QUESTION)
        person.answer("")
        assert person.end() == COMPLETE, person.shown
    assert written(place)["destination"]["url"] == str(place / "here")
    assert [path.name for path in (place / "photos").iterdir()] == ["1.jpg"]


def test_chosen_categories_are_written_by_id(place: Path, account: Account) -> None:
    with Conversation(place, account.url, env={"PROFOUND_API_KEY": program.KEY}) as person:
        person.expect(DESTINATION_QUESTION)
        person.answer("")
        person.expect(CATEGORIES_QUESTION)
        person.answer("2, 9")
        person.expect("numbers from 1 to 3")
        person.expect(CATEGORIES_QUESTION)
        person.answer("3 1")
        assert person.end() == COMPLETE, person.shown
    text = (place / "jobs.toml").read_text()
    categories = written(place)["job"][0]["categories"]
    assert len(categories) == 2
    assert all(re.search(rf'"{category}",  # \w', text) for category in categories)
    # A key in the environment is not a setting.
    assert "api" not in written(place)


@pytest.mark.parametrize("question", [KEY_QUESTION, PASTE_QUESTION, DESTINATION_QUESTION])
def test_interrupted_questions_write_nothing(place: Path, account: Account, question: str) -> None:
    env = {"PROFOUND_API_KEY": program.KEY} if question == DESTINATION_QUESTION else {}
    with Conversation(place, account.url, env=env) as person:
        if question == PASTE_QUESTION:
            person.expect(KEY_QUESTION)
            person.answer("")
        person.expect(question)
        person.interrupt()
        assert person.end() == -signal.SIGINT, person.shown
    assert not list(place.iterdir())


def test_without_a_terminal_init_takes_answers_from_settings(tmp_path: Path, account: Account) -> None:
    at = ("--set", f"api.base_url={account.url}")
    (tmp_path / "key").write_text(program.KEY)
    unanswered = program.run("init", *at, cwd=tmp_path, key=False).expect(USAGE)
    assert "no terminal" in unanswered.stderr
    assert "--full" in unanswered.stderr
    assert not (tmp_path / "jobs.toml").exists()

    program.run("init", *at, "--set", "api.key_file=key", cwd=tmp_path, key=False).expect(COMPLETE)

    assert written(tmp_path)["api"] == {"base_url": account.url, "key_file": str(tmp_path / "key")}
    program.run("check", cwd=tmp_path, key=False).expect(COMPLETE)


def test_nothing_is_asked_if_the_file_cannot_be_written(place: Path, account: Account) -> None:
    with Conversation(place, account.url, "nowhere/jobs.toml") as person:
        assert person.end() == SOME_FAILED, person.shown
        assert KEY_QUESTION not in person.shown
        assert "help: name a file in a directory that exists" in person.shown


def test_full_disk_leaves_no_half_configuration(tmp_path: Path) -> None:
    # A limit on the size of files behaves like one on the disk.
    limited = ["sh", "-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" init --full", str(program.binary())]
    ended = subprocess.run(limited, cwd=tmp_path, env=program.environment(), capture_output=True, text=True)
    assert ended.returncode == SOME_FAILED, ended.stderr
    assert "cannot write `jobs.toml`" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_secret_of_the_command_line_is_never_written(tmp_path: Path, account: Account) -> None:
    settings = ("--set", f"api.base_url={account.url}", "--set", "destination.options.secret_access_key=hidden1234")
    done = program.run("init", *settings, cwd=tmp_path).expect(USAGE)
    assert "destination.options.secret_access_key" in done.stderr
    assert "hidden1234" not in done.stderr
    assert not (tmp_path / "jobs.toml").exists()
