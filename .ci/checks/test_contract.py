"""The suite that `cargo test` runs against memory and disk, against real S3 servers."""

import json
import os
import re
import subprocess
from pathlib import Path

import polars
import pytest

from kit.account import Account
from kit.job import Job
from kit.program import COMPLETE
from kit.stores import BUCKET

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("server", ["moto", "ministack", "azure", "google"])
def test_real_store_keeps_the_promises_of_memory_and_disk(server: str, request: pytest.FixtureRequest) -> None:
    store = request.getfixturevalue(server)
    destination = store if isinstance(store, dict) else {"url": f"s3://{BUCKET}", "options": store.options}
    destination = destination | {"url": destination["url"] + "/contract"}
    # An empty variable is an unset one, as in a chart whose value is empty.
    empty = {"AZURE_STORAGE_TOKEN": "", "GOOGLE_SERVICE_ACCOUNT": "", "AWS_SESSION_TOKEN": ""}
    env = os.environ | {"PROFOUND_TEST_STORE": json.dumps(destination), "NO_PROXY": "*"} | empty

    suite = ["cargo", "test", "--locked", "--package", "profound-export", "--features", "full", "--test", "it"]
    suite += ["on_a_real_store", "--", "--nocapture"]
    # Every fault of the API on one store: what the others do differently is in the rest.
    suite += [] if server == "moto" else ["--skip", "faults::"]
    ended = subprocess.run(suite, cwd=ROOT, env=env, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-6000:]
    assert "skipped: PROFOUND_TEST_STORE" not in ended.stderr
    [passed] = re.findall(r"^test result: ok\. (\d+) passed", ended.stdout, re.MULTILINE)
    assert int(passed) > 10


@pytest.mark.parametrize("server", ["azure", "google"])
def test_lake_of_another_cloud_is_complete_and_verified(
    tmp_path: Path, account: Account, server: str, request: pytest.FixtureRequest
) -> None:
    destination = request.getfixturevalue(server)
    job = Job(
        tmp_path,
        account.url,
        ["organizations", "visibility_v2_by_day"],
        destination["url"] + "/program",
        destination["options"],
    )
    for command in (["check"], ["run"], ["run"], ["verify"]):
        job.run(*command).expect(COMPLETE)

    # Another reader than the program.
    path = f"{destination['url']}/program/visibility_v2_by_day/**/*.parquet"
    prefix = {"azure": "azure_storage_", "google": "google_"}[server]
    options = {name if name == "allow_http" else prefix + name: text for name, text in destination["options"].items()}
    frame = polars.scan_parquet(path, storage_options=options).select(polars.len()).collect()
    assert frame.item() == job.truths(account)["visibility_v2_by_day"]["total"]["rows"]
