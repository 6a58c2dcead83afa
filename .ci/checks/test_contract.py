"""The suite that `cargo test` runs against memory and disk, against real S3 servers."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from kit.stores import BUCKET

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("server", ["moto", "ministack"])
def test_real_store_keeps_the_promises_of_memory_and_disk(server: str, request: pytest.FixtureRequest) -> None:
    store = request.getfixturevalue(server)
    destination = {"url": f"s3://{BUCKET}/contract", "options": store.options}
    env = os.environ | {"PROFOUND_TEST_S3": json.dumps(destination), "NO_PROXY": "*"}

    suite = [
        "cargo",
        "test",
        "--locked",
        "--package",
        "profound-export",
        "--test",
        "it",
        "on_a_real_store",
        "--",
        "--nocapture",
    ]
    ended = subprocess.run(suite, cwd=ROOT, env=env, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-6000:]
    assert "skipped: PROFOUND_TEST_S3" not in ended.stderr
    [passed] = re.findall(r"^test result: ok\. (\d+) passed", ended.stdout, re.MULTILINE)
    assert int(passed) > 10
