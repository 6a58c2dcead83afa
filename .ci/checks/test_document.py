"""What the exporter sends and what the simulated account answers are what the vendor's document says.

The exporter's own requests are looked at, and sent again: so every stream is held against the document as it is really
asked, by event stream and page by page, without a second list of requests to maintain.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kit.account import Account, Answer, ask
from kit.document import Operation, events
from kit.job import Job
from kit.program import COMPLETE


@dataclass(frozen=True)
class Exchange:
    """One request of the exporter's, and the account's answer to it."""

    stream: str
    request: dict[str, Any]
    answer: Answer

    @property
    def operation(self) -> Operation:
        """What it was meant for."""
        return Operation.of(self.request["method"], self.request["path"])

    def problems(self) -> list[str]:
        """What is wrong with the answer."""
        return self.operation.problems_of_answer(self.answer.kind, self.answer.body)

    def rows(self) -> Any:
        """The rows of the answer, wherever they stand; an object without a list of them is one row."""
        if self.answer.kind.startswith("text/event-stream"):
            return events(self.answer.body)[1:]
        answer = self.answer.json()
        return answer.get("data", answer) if isinstance(answer, dict) else answer


@pytest.fixture(scope="module", params=[True, False], ids=["event-streams", "pages"])
def exchanges(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Exchange]]:
    """One request of every stream and form that a run really sent."""
    directory = tmp_path_factory.mktemp("document")
    with Account(directory) as account:
        job = Job(directory, account.url, streams=["everything"], api_settings={"event_streams": request.param})
        job.run("run").expect(COMPLETE)
        forms: dict[str, dict[str, Any]] = {}
        for one in account.requests():
            form = (one["stream"], one["path"].endswith("/stream"), sorted(one["body"] or {}))
            # The first page: the one that ends a list may be empty.
            forms.setdefault(json.dumps(form), one)
        yield [Exchange(one["stream"], one, _again(account, one)) for one in forms.values()]


def _again(account: Account, one: dict[str, Any]) -> Answer:
    address = account.url + one["path"] + ("?" + one["query"] if one["query"] else "")
    answer = ask(address, one["body"], one["method"], {"X-API-Key": account.key})
    assert answer.status == 200, (one, answer)
    return answer


def test_every_stream_is_requested(exchanges: list[Exchange], tmp_path: Path) -> None:
    catalog = Job(tmp_path, "http://127.0.0.1:9").catalog
    # What is in no tier is chosen by name only: narrower ways out, what a user must give, what no document knows. A
    # week or month is asked when it is over, which may be before the first day that this run wants.
    by_name = {name for name, stream in catalog.items() if not stream.tier}
    periods = {name for name in catalog if name.endswith(("_week", "_month"))}
    assert catalog.keys() - {exchange.stream for exchange in exchanges} <= by_name | periods


def test_requests_are_as_the_document_says(exchanges: list[Exchange]) -> None:
    problems = {
        f"{exchange.stream} {exchange.request['path']}": found
        for exchange in exchanges
        if (found := exchange.operation.problems_of_body(exchange.request["body"]))
        or (found := exchange.operation.problems_of_query(exchange.request["query"]))
    }
    assert not problems


def meant(problem: str) -> bool:
    """Whether the account departs from the document on purpose: live services send nulls where it promises none, and
    rows need not repeat what was asked for."""
    return "None is not " in problem or "'category_id' is a required property" in problem


def test_responses_are_as_the_document_says(exchanges: list[Exchange]) -> None:
    problems = {
        f"{exchange.stream} {exchange.request['path']}": found[:3]
        for exchange in exchanges
        if (found := [one for one in exchange.problems() if not meant(one)])
    }
    assert not problems


def test_responses_contain_rows(exchanges: list[Exchange], tmp_path: Path) -> None:
    """An empty answer would be as the document says whatever its rows are like."""
    catalog = Job(tmp_path, "http://127.0.0.1:9").catalog
    full = {exchange.stream for exchange in exchanges if catalog[exchange.stream].whole or exchange.rows()}
    assert {exchange.stream for exchange in exchanges} == full
