"""The vendor's own client reads every resource it covers from the simulated account, and finds its own types there.

It was written for the real API, so an answer it accepts is one that the exporter may be tested against. The simulator
answers what the exporter asks; resources that no stream reads yet are not here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pydantic
import pytest
from profound import Profound

from kit.account import Account
from kit.job import today


@dataclass(frozen=True)
class Ask:
    """A client, and what its questions are about."""

    client: Profound
    category: str
    asset: str
    domain: str
    organization: str

    @property
    def v1(self) -> dict[str, Any]:
        """Three whole days of a category as version 1 says it: the end is outside."""
        return {"category_id": self.category, "start_date": str(_day(-3)), "end_date": str(_day(0))}

    @property
    def v2(self) -> dict[str, Any]:
        """The same days as version 2 says it: the end is inside."""
        return {"category_id": self.category, "start_date": str(_day(-3)), "end_date": str(_day(-1))}

    @property
    def visits(self) -> dict[str, Any]:
        """The same days of a domain."""
        days = {"start_date": str(_day(-3)), "end_date": str(_day(0)), "date_interval": "day", "timezone": "UTC"}
        return {"domain": self.domain, "organization_id": self.organization} | days


def _day(offset: int) -> Any:
    return today("eastern") + timedelta(days=offset)


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """The client, which fails where an answer is not of the announced type."""
    with Account(tmp_path_factory.mktemp("account")) as account:
        client = Profound(api_key=account.key, base_url=account.url, max_retries=0, _strict_response_validation=True)
        # Later categories have empty days.
        category = client.organizations.categories.list()[0]
        assets = client.organizations.list_assets().data
        owned = next(asset for asset in assets if asset.is_owned and asset.category.id == category.id)
        domain = client.organizations.domains()[0]
        assert domain.organization
        yield Ask(client, category.id, owned.name, domain.name, domain.organization.id)


LISTS: dict[str, Callable[[Ask], Any]] = {
    "organizations": lambda ask: ask.client.organizations.list(),
    "regions": lambda ask: ask.client.organizations.regions(),
    "models": lambda ask: ask.client.organizations.models(),
    "domains": lambda ask: ask.client.organizations.domains(),
    "assets": lambda ask: ask.client.organizations.list_assets().data,
    "personas": lambda ask: ask.client.organizations.get_personas().data,
    "categories": lambda ask: ask.client.organizations.categories.list(),
    "topics": lambda ask: ask.client.organizations.categories.topics(ask.category),
    "tags": lambda ask: ask.client.organizations.categories.tags(ask.category),
    "prompts": lambda ask: ask.client.organizations.categories.prompts(ask.category, limit=10_000).data,
}

PAGES: dict[str, Callable[[Ask], Any]] = {
    "answers v1": lambda ask: ask.client.prompts.answers(**ask.v1, pagination={"limit": 50}),
    "answers v2": lambda ask: ask.client.prompts.answers_v2(**ask.v2, limit=50),
    "visibility v1": lambda ask: ask.client.reports.visibility(
        **ask.v1, dimensions=["date", "asset_name", "model"], metrics=["visibility_score", "mentions_count"]
    ),
    "visibility v2": lambda ask: ask.client.reports.query_visibility(
        **ask.v2, group_by=["date", "model"], metrics=["visibility_score", "average_position"], scope="all", limit=50
    ),
    "citations v1": lambda ask: ask.client.reports.citations(
        **ask.v1, dimensions=["date", "url", "citation_category"], metrics=["count", "citation_share"]
    ),
    "citations v2": lambda ask: ask.client.reports.query_citations(
        **ask.v2, entity="domain", group_by=["date", "model"], metrics=["count", "rank"], scope="all", limit=50
    ),
    "sentiment v2": lambda ask: ask.client.reports.query_sentiment(
        **ask.v2, asset=ask.asset, group_by=["date", "theme"], metrics=["positive_sentiment", "occurrence"], limit=50
    ),
    "query fan-outs v2": lambda ask: ask.client.reports.query_query_fanouts(
        **ask.v2, group_by=["date", "prompt", "query"], metrics=["total_fanouts", "share"], limit=50
    ),
    "bots v2": lambda ask: ask.client.reports.get_bots_report_v2(
        **ask.visits, dimensions=["date", "bot_name", "path"], metrics=["count", "citations"]
    ),
    "referrals v2": lambda ask: ask.client.reports.get_referrals_report_v2(
        **ask.visits, dimensions=["date", "referral_source", "path"], metrics=["visits"]
    ),
}

EVENTS: dict[str, Callable[[Ask], Any]] = {
    "answers v2": lambda ask: ask.client.prompts.stream_answers_v2(**ask.v2),
    "visibility v1": lambda ask: ask.client.reports.stream_visibility(
        **ask.v1, dimensions=["date", "asset_name", "model"], metrics=["visibility_score", "mentions_count"]
    ),
    "visibility v2": lambda ask: ask.client.reports.stream_visibility_v2(
        **ask.v2, group_by=["date", "model"], metrics=["visibility_score", "average_position"], scope="all"
    ),
    "citations v1": lambda ask: ask.client.reports.stream_citations(
        **ask.v1, dimensions=["date", "url", "citation_category"], metrics=["count", "citation_share"]
    ),
    "citations v2": lambda ask: ask.client.reports.stream_citations_v2(
        **ask.v2, entity="domain", group_by=["date", "model"], metrics=["count", "rank"], scope="all"
    ),
    "sentiment v2": lambda ask: ask.client.reports.stream_sentiment_v2(
        **ask.v2, asset=ask.asset, group_by=["date", "theme"], metrics=["positive_sentiment", "occurrence"]
    ),
    "query fan-outs v2": lambda ask: ask.client.reports.stream_query_fanouts(
        **ask.v2, group_by=["date", "prompt", "query"], metrics=["total_fanouts", "share"]
    ),
}


def _filled(row: Any) -> int:
    """How many members of a typed row have a value."""
    assert isinstance(row, pydantic.BaseModel), f"untyped: {row!r}"
    return sum(value is not None for value in row.model_dump().values())


@pytest.mark.parametrize("name", LISTS)
def test_list_is_extracted(ask: Ask, name: str) -> None:
    rows = LISTS[name](ask)
    assert rows
    assert all(_filled(row) > 1 for row in rows)


@pytest.mark.parametrize("name", PAGES)
def test_page_is_extracted(ask: Ask, name: str) -> None:
    page = PAGES[name](ask)
    assert page.info
    assert page.data
    assert all(_filled(row) > 1 for row in page.data)


@pytest.mark.parametrize("name", EVENTS)
def test_event_stream_is_extracted(ask: Ask, name: str) -> None:
    summary, *rows = EVENTS[name](ask)
    # The client declares rows of version 1 streams as open objects.
    assert _filled(summary)
    assert rows
    assert all(row if isinstance(row, dict) else _filled(row) > 1 for row in rows)


def test_cursor_leads_to_every_row(ask: Ask) -> None:
    """Page by page and in one stream, the client sees the same rows."""
    asked: dict[str, Any] = {**ask.v2, "group_by": ["date", "model"], "metrics": ["visibility_score"], "scope": "all"}
    rows, cursor = [], None
    while True:
        page = ask.client.reports.query_visibility(**asked, limit=20, cursor=cursor)
        rows += page.data
        cursor = page.info.next_cursor
        if not cursor:
            break
    _, *streamed = ask.client.reports.stream_visibility_v2(**asked)
    assert 20 < len(rows) == page.info.total_results
    assert [row.model_dump() for row in rows] == [row.model_dump() for row in streamed]
