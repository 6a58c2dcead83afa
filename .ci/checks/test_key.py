"""The key appears nowhere: in no log line, message, page, table or file, whatever goes wrong."""

import base64
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from kit import program
from kit.account import Account
from kit.job import Job
from kit.program import KEY

# With signs that change when they become part of an address.
KEY_OF_SIGNS = "prf+THIS/is=the%KEY&of?the#account"

MISHAPS: dict[str, list[dict[str, Any]]] = {
    "rejected": [{"kind": "revoke_key", "after": 10}],
    "unreadable": [
        # Each is retried with backoff.
        {"kind": "html", "stream": "visibility", "times": 10},
        {"kind": "status", "code": 503, "stream": "citations", "retry_after": "0"},
        {"kind": "truncate", "bytes": 300, "stream": "answers"},
        {"kind": "wrong_type", "column": "occurrence", "stream": "sentiment"},
        {"kind": "unprocessable", "stream": "query_fanouts"},
        {"kind": "status", "code": 403, "stream": "bots"},
    ],
}


def _forms(key: str) -> list[bytes]:
    """The key as it is, and as it would stand in an address, in JSON or in a header; and a good part of it."""
    texts = [key, urllib.parse.quote(key, safe=""), urllib.parse.quote_plus(key), key[4:24]]
    return [text.encode() for text in texts] + [base64.b64encode(key.encode())]


def _found(directory: Path, key: str) -> Iterator[str]:
    """The files that hold the key, compressed columns included."""
    for path in directory.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += repr(pq.read_table(path).to_pylist()).encode() + repr(pq.read_metadata(path).metadata).encode()
        yield from (f"{path}: {form!r}" for form in _forms(key) if form in content)


@pytest.mark.parametrize("auth", ["header", "bearer", "query"])
@pytest.mark.parametrize("mishap", MISHAPS)
def test_key_is_in_no_output(tmp_path: Path, mishap: str, auth: str) -> None:
    _run_everything(tmp_path, mishap, auth, KEY)


def test_key_with_special_characters_is_in_no_output(tmp_path: Path) -> None:
    _run_everything(tmp_path, "unreadable", "query", KEY_OF_SIGNS)


def _run_everything(tmp_path: Path, mishap: str, auth: str, key: str) -> None:
    # The key's own file, and the account that must know it, lie where nothing looks.
    for name in ("account", "searched", "key"):
        (tmp_path / name).mkdir()
    key_file = tmp_path / "key/api-key"
    key_file.write_text(f"{key}\n")
    key_file.chmod(0o600)
    env = {"PROFOUND_API_KEY_FILE": str(key_file)}
    with Account(tmp_path / "account", key=key) as account:
        for fault in MISHAPS[mishap]:
            account.fault(**fault)
        job = Job(tmp_path / "searched", account.url, api_settings={"auth": auth})
        for number, command in enumerate(
            [
                ["check", "--sample"],
                ["plan"],
                ["run", "--log-format", "text", "--log", "trace"],
                ["run", "--log-format", "json", "--log", "debug"],
                ["status"],
                ["status", "--output", "json"],
                ["config"],
                ["config", "--output", "json"],
            ]
        ):
            ended = program.run(
                "--config",
                job.dir / "jobs.toml",
                *command,
                cwd=job.dir,
                env=env | {"RUST_BACKTRACE": "full"},
                key=False,
            )
            (job.dir / f"said-{number}.txt").write_text(ended.stdout + ended.stderr)
        assert [one for one in account.requests() if one["status"] == 200], "nothing was read with the key"
    assert any((job.dir / f"said-{number}.txt").stat().st_size for number in range(8))
    assert not list(_found(job.dir, key))


def test_key_in_place_of_its_file_name_is_not_printed(tmp_path: Path, account: Account) -> None:
    job = Job(tmp_path / "searched", account.url, api_settings={"key_file": KEY})

    output = [job.run(*command) for command in (["config"], ["check"], ["run"])]

    assert {one.code for one in output} == {program.BAD_CONFIG}
    assert not [one for one in output if KEY in one.stdout + one.stderr]
