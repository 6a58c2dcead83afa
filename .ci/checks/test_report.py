"""The SQL that the report shows gives its figures in DuckDB, and the page is whole in a browser without scripts.

Screenshots stay under `target/ci/report`, to be looked at.
"""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pytest
from playwright.sync_api import Page as BrowserPage
from playwright.sync_api import sync_playwright

from kit import program
from kit.program import COMPLETE

SCREENSHOTS = Path(__file__).parents[2] / "target/ci/report"
NO_VALUE = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
# By how much a figure may differ from its value: half of the last digit that is shown.
SCALES = {"share": 100.0, "share-points": 100.0, "growth": 100.0, "percent": 1.0, "points": 1.0, "rank": 1.0}
Cell = tuple[str, str, str]


class Page(HTMLParser):
    """The figures of the page: the SQL, the shown cells with their columns and formats, and the tables of charts."""

    def __init__(self) -> None:
        super().__init__()
        self.figures: list[dict[str, Any]] = []
        self.open: list[str] = []
        self.into: list[str] | None = None
        self.hidden = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        got = {name: value or "" for name, value in attributes}
        if tag == "figure":
            self.figures.append({"id": got["id"], "sql": [], "heads": [], "rows": [], "lines": False, "tiles": []})
            return
        if not self.figures:
            return
        figure = self.figures[-1]
        if "aria-hidden" in got and tag == "span":
            self.hidden += 1
        elif tag == "code" and "data-sql" in got:
            self.into = figure["sql"]
        elif tag == "table" and "data-lines" in got:
            figure["lines"] = True
        elif tag == "tr":
            figure["rows"].append([])
        elif tag == "th" and "data-column" in got:
            figure["heads"].append((got["data-column"], got["data-format"]))
        elif tag == "time":
            figure["rows"][-1].append([got["datetime"]])
        elif tag in ("td", "th") and figure["rows"] and not (tag == "th" and got.get("scope") == "row"):
            self.into = []
            figure["rows"][-1].append(self.into)
        elif "data-column" in got:
            self.into = []
            figure["tiles"].append((got["data-column"], got["data-format"], self.into))

    def handle_endtag(self, tag: str) -> None:
        if tag == "span" and self.hidden:
            self.hidden -= 1
        elif tag in ("td", "th", "code", "dd", "time", "span"):
            self.into = None

    def handle_data(self, data: str) -> None:
        if self.into is not None and not self.hidden:
            self.into.append(data)


def assert_shown(shown: str, kind: str, value: Any, where: str) -> None:
    """`shown` is `value`, rounded as its format says."""
    if value is None:
        assert shown in (NO_VALUE, "new"), f"{where}: {shown}"
    elif kind in ("text", "day") or isinstance(value, str):
        wanted = str(value)
        if kind == "day":
            wanted = duckdb.execute("select strftime(?::date, '%a %-d %b')", [value]).fetchall()[0][0]
        assert shown == wanted, f"{where}: {shown}, not {wanted}"
    else:
        number = float(re.sub("[ ,%+\u202f]", "", shown).replace(MINUS, "-"))
        digits = 0.5 if kind == "count" else 0.05
        assert abs(number - value * SCALES.get(kind, 1.0)) <= digits + 1e-6, f"{where}: {shown}, not {value}"


def compare(figure: dict[str, Any], database: duckdb.DuckDBPyConnection) -> int:
    """Every shown cell has the value that DuckDB finds; returns how many there are."""
    cursor = database.execute("".join(figure["sql"]))
    names = [column[0] for column in cursor.description or []]
    found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    texts = [["".join(cell) for cell in row] for row in figure["rows"]]
    if figure["lines"]:
        [name] = set(names) - {"place", "total", "owned", "date", "share_of_voice", "visits"}
        [value] = set(names) & {"share_of_voice", "visits"}
        heads, days = texts[0][1:], {row[0]: row[1:] for row in texts[1:]}
        shown = {(head, day): cell for day, row in days.items() for head, cell in zip(heads, row, strict=True)}
        kind = "share" if value == "share_of_voice" else "count"
        for row in found:
            assert_shown(shown.pop((row[name], row["date"])), kind, row[value], figure["id"])
        assert set(shown.values()) <= {NO_VALUE}, figure["id"]
        return len(found)
    if figure["tiles"]:
        for column, kind, text in figure["tiles"]:
            assert_shown("".join(text), kind, found[0][column], f"{figure['id']} {column}")
        return len(figure["tiles"])
    assert len(texts) - 1 == len(found), figure["id"]
    for shown_row, row in zip(texts[1:], found, strict=True):
        for cell, (column, kind) in zip(shown_row, figure["heads"], strict=True):
            assert_shown(cell, kind, row[column], f"{figure['id']} {column}")
    return len(found) * len(figure["heads"])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake of the demo, in a directory whose name SQL must escape."""
    root = tmp_path_factory.mktemp("report") / "it's a lake"
    program.run("demo", "--to", root, cwd=root.parent, key=False).expect(COMPLETE)
    return root


def test_sql_of_every_figure_gives_its_numbers_in_duckdb(demo: Path) -> None:
    html = (demo / "report.html").read_text()
    assert len(html) < 500_000
    page = Page()
    page.feed(html)
    options = ["--set", f"destination.url={demo}", "--target", "duckdb"]
    database = duckdb.connect()
    database.execute(program.run("ddl", *options, cwd=demo.parent, key=False).expect(COMPLETE).stdout)
    compared = {figure["id"]: compare(figure, database) for figure in page.figures}
    # Three categories with six figures, two sites with four, and the coverage.
    assert len(compared) == 3 * 6 + 2 * 4 + 1, sorted(compared)
    assert min(compared.values()) > 0, compared
    assert sum(compared.values()) > 1000, compared


def requests_of(page: BrowserPage) -> list[str]:
    """What the page requests from now on."""
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    return requested


def test_page_is_whole_without_scripts_on_every_screen(demo: Path) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        for name, width, scheme in (("light", 1100, "light"), ("dark", 1100, "dark"), ("phone", 360, "light")):
            context = browser.new_context(
                viewport={"width": width, "height": 900},
                color_scheme="dark" if scheme == "dark" else "light",
                java_script_enabled=name == "phone",
            )
            page = context.new_page()
            requested = requests_of(page)
            page.goto((demo / "report.html").as_uri())
            page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
            fetched = [url for url in requested if not url.startswith("data:")]
            assert fetched == [(demo / "report.html").as_uri()], "nothing is fetched"
            if name == "phone":
                wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                assert page.evaluate(wide) <= 0
                named = "s => document.getElementById(s.getAttribute('aria-describedby'))"
                unnamed = f"[...document.querySelectorAll('svg')].filter(s => !({named})(s)).length"
                assert page.evaluate(unnamed) == 0, "each chart has a text"
                assert page.evaluate("document.querySelectorAll('svg').length") > 0
            context.close()
        page = browser.new_page()
        page.goto((demo / "report.html").as_uri())
        page.pdf(path=SCREENSHOTS / "print.pdf", format="A4")
        browser.close()
    assert (SCREENSHOTS / "print.pdf").stat().st_size > 10_000
