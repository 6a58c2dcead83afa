"""Every step of the tutorial works as it is written, and so does every query of the questions and traps."""

import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from kit import program

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str) -> list[tuple[str, str | None, str]]:
    """The language, title and text of each block of code."""
    found = re.findall(r'^```(\w+)(?: title="(.*?)")?\n(.*?)^```$', (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    return [(language, title or None, text) for language, title, text in found]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The directory after the tutorial, and what each command printed."""
    place = tmp_path_factory.mktemp("tutorial")
    commands = place / "commands"
    commands.mkdir()
    (commands / "profound-export").symlink_to(program.binary())
    (commands / "python").symlink_to(sys.executable)
    env = program.environment({"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, key=False)
    env["PATH"] = f"{commands}{os.pathsep}{env['PATH']}"
    printed = {}
    for language, title, text in blocks("tutorial.md"):
        if language == "python":
            assert title, "a program needs the name of its file"
            (place / title).write_text(text)
            continue
        assert language == "sh", f"nothing runs {language}"
        for line in text.splitlines():
            if line == "pip install duckdb":  # The environment of the checks has it.
                continue
            done = subprocess.run(["bash", "-euc", line], cwd=place, env=env, capture_output=True, text=True)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            printed[line] = done.stdout
    return place, printed


def test_tutorial_ends_with_two_charts(followed: tuple[Path, dict[str, str]]) -> None:
    _, printed = followed
    assert "Verified: every stream equals" in printed["profound-export demo"]
    assert "visibility_v2_by_day" in printed["python tables.py"]
    # A bar for each day of the demo, and for each of the most cited sites.
    days = re.findall(r"│ (\d{4}-\d\d-\d\d) │.*█", printed["python chart.py"])
    assert len(set(days)) > 20, printed["python chart.py"]
    assert len(re.findall(r"│ \S+\.\S+ +│ +\d+ │ .*█", printed["python sites.py"])) >= 5, printed["python sites.py"]


def test_queries_of_the_questions_and_traps_have_results(
    followed: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, _ = followed
    monkeypatch.chdir(place)
    queries = [text for language, _, text in blocks("faq.md") if language == "sql"]
    assert len(queries) >= 7
    with duckdb.connect("warehouse.duckdb", read_only=True) as connection:
        results = [connection.execute(query).to_arrow_table().to_pylist() for query in queries]
        assert all(results), [query for query, rows in zip(queries, results) if not rows]
        # What the page warns of is true of the demo, and its remedy multiplies no row.
        [averages] = [rows for query, rows in zip(queries, results) if "mean_of_prompts" in query]
        assert all(abs(row["share_of_voice"] - row["mean_of_prompts"]) > 0.01 for row in averages)
        [joined] = [rows for query, rows in zip(queries, results) if "one_asset" in query]
        assert [(len(joined),)] == connection.execute("select count(*) from visibility_v2_by_day").fetchall()
