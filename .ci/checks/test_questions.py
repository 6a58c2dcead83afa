"""Every query of the page of twelve questions has the result that the page shows, and each picture is drawn from it."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from kit import questions
from kit.questions import PICTURES, Question

QUESTIONS = questions.questions()
HOW_TO_RENEW = "`python -m kit.questions` renews the page and its pictures"


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The demo of the page's date."""
    with questions.demo(tmp_path_factory.mktemp("questions")) as found:
        yield found


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: str(question.number))
def test_page_and_picture_show_the_result_of_the_query(
    connection: duckdb.DuckDBPyConnection, question: Question
) -> None:
    rows = questions.result(connection, question)
    assert 2 <= len(rows) <= 16
    assert question.shown.strip() == question.expected(rows).strip(), HOW_TO_RENEW
    assert question.digest(rows) in question.file.read_text(), HOW_TO_RENEW


def test_answers_are_counted_once_by_every_breakdown(connection: duckdb.DuckDBPyConnection) -> None:
    [(answers,)] = connection.execute(
        "select count(*) from answers_v2 where category_id = getvariable('category')"
    ).fetchall()
    engines = questions.result(connection, QUESTIONS[1])
    assert sum(row["answers"] for row in engines) == answers
    members = questions.result(connection, QUESTIONS[3])
    assert [sum(row["answers"] for row in members if row["kind"] == kind) for kind in ("persona", "region")] == [
        answers
    ] * 2
    # The page warns of one breakdown that overlaps.
    assert sum(row["answers"] for row in questions.result(connection, QUESTIONS[4])) > answers


def test_page_has_twelve_questions_and_small_pictures() -> None:
    assert [question.number for question in QUESTIONS] == list(range(1, 13))
    pictures = sorted(PICTURES.iterdir())
    assert pictures == [question.file for question in QUESTIONS]
    assert sum(Path(picture).stat().st_size for picture in pictures) < 400_000
