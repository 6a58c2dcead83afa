"""The status page in a browser: what it shows in each state, with scripts and without, without errors.

Screenshots stay under `target/ci/page`, to be looked at.
"""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

from kit import program
from kit.account import Account
from kit.job import Job, today
from kit.program import COMPLETE, KEY_REJECTED, SOME_FAILED, until

STREAMS = ["minimal", "category_topics"]
NEVER = {"cron": "0 0 29 2 *", "timezone": "UTC"}
SCREENSHOTS = Path(__file__).parents[2] / "target/ci/page"
DESKTOP: ViewportSize = {"width": 1100, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 780}
# Nothing but this machine is asked for anything.
FLAGS = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of the system."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", *FLAGS])
        yield running
        running.close()


@contextmanager
def _opened(
    browser: Browser, *, dark: bool = False, phone: bool = False, scripts: bool = True, ends: bool = False
) -> Iterator[Page]:
    """A page that must stay without an error, and must send requests to its own server only.

    When the server ends, the browser itself reports the broken connection.
    """
    context: BrowserContext = browser.new_context(
        viewport=PHONE if phone else DESKTOP,
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
        timezone_id="Europe/Berlin",
        locale="en-GB",
    )
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: wrong.append(asked.url) if not re.match("http://127|data:", asked.url) else None)
    yield page
    # Names in backticks are rendered as code.
    assert "`" not in page.inner_text("body"), page.inner_text("body")
    context.close()
    assert not [one for one in wrong if not (ends and "net::ERR_" in one)], wrong


@contextmanager
def _serving(job: Job) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The daemon, and the address of its page."""
    log = job.dir / "stderr.log"
    before = len(log.read_text()) if log.exists() else 0
    arguments = ["--config", str(job.dir / "jobs.toml"), "--set", "server.listen=127.0.0.1:0", "serve"]
    daemon = program.start(*arguments, cwd=job.dir)
    try:
        said = until("the page", lambda: re.search(r"status page is at (\S+/)", log.read_text()[before:]))
        yield daemon, said[1]
    finally:
        daemon.kill()
        daemon.wait()


def _keep(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def _keep_all(browser: Browser, url: str, name: str) -> None:
    """In light and dark, on a desk and on a phone. Nothing is wider than the screen."""
    for dark in (False, True):
        for phone in (False, True):
            with _opened(browser, dark=dark, phone=phone) as page:
                page.goto(url)
                expect(page.locator("#live")).to_have_text("updates automatically")
                width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                assert width <= 0, f"{name}: {width} pixels too wide"
                _keep(page, f"{name}-{'dark' if dark else 'light'}-{'phone' if phone else 'desk'}")


def test_page_of_an_empty_lake_says_when_the_first_run_starts(
    tmp_path: Path, account: Account, browser: Browser
) -> None:
    job = Job(tmp_path, account.url, STREAMS, job_settings=NEVER)
    with _serving(job) as (_, url), _opened(browser) as page:
        page.goto(url)
        expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is exported yet.")
        expect(page.locator(".next").first).to_contain_text("nightly")
        _keep(page, "empty")


def test_page_of_a_year_is_small_and_shows_each_day(tmp_path: Path, account: Account, browser: Browser) -> None:
    start = str(today("eastern") - timedelta(days=365))
    job = Job(tmp_path, account.url, STREAMS, job_settings=NEVER | {"start": start})
    job.run("run").expect(COMPLETE)
    with _serving(job) as (_, url):
        _keep_all(browser, url, "year")
        with _opened(browser) as page:
            answer = page.goto(url)
            assert answer is not None
            assert len(answer.body()) < 100_000
            expect(page.get_by_role("heading", level=1)).to_have_text("Everything due is exported.")
            row = page.locator("li", has=page.get_by_role("link", name="visibility_v2_by_day", exact=True))
            row.locator("svg").first.hover()
            expect(page.locator(".tip")).to_contain_text(
                re.compile(r"visibility_v2_by_day: 3 of 3 scopes final, [\d,]+ rows, extracted")
            )
            # The viewer's clock is next to that of the job.
            expect(page.locator("#jobs .viewer").first).to_be_visible()
            # What one category lacks is seen by itself.
            page.get_by_label("Category").select_option(index=1)
            expect(page.locator("small", has_text="1 category").first).to_be_visible()
            # The filter is applied as it is typed, keeps the focus, and is part of the address.
            page.goto(url)
            page.get_by_label("Stream", exact=True).press_sequentially("visibility")
            expect(page.locator("#matches")).to_contain_text(re.compile(r"2 of \d+ streams"))
            expect(page.locator("#streams .rows > li")).to_have_count(2)
            expect(page.get_by_label("Stream", exact=True)).to_be_focused()
            assert page.url.endswith("/?stream=visibility"), page.url
            expect(page.locator("#streams svg.line path").first).to_have_attribute("d", re.compile(r"^M\d+ \d+"))
            expect(page.locator("#jobs svg.bars title").first).to_have_text(re.compile("duration of the last 1 run"))
            page.goto(url)
            page.get_by_role("link", name="visibility_v2_by_day", exact=True).click()
            expect(page.get_by_role("heading", level=1)).to_have_text("visibility_v2_by_day")
            expect(page.locator("#days tbody tr")).to_have_count(90)
            _keep(page, "stream")
            page.get_by_role("link", name="← status").click()
            expect(page.locator("#coverage")).to_be_visible()


def test_page_needs_no_script(tmp_path: Path, account: Account, browser: Browser) -> None:
    job = Job(tmp_path, account.url, STREAMS, job_settings=NEVER)
    job.run("run").expect(COMPLETE)
    with _serving(job) as (_, url), _opened(browser, scripts=False) as page:
        page.goto(url)
        expect(page.get_by_role("heading", level=1)).to_have_text("Everything due is exported.")
        expect(page.locator("#live")).to_have_text("reload to update")
        page.locator("summary", has_text="complete").click()
        expect(page.locator(".inside")).to_contain_text("deferred to the next run")
        page.get_by_label("Category").select_option(index=1)
        page.get_by_label("Stream", exact=True).fill("visibility")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("small", has_text="1 category").first).to_be_visible()
        expect(page.locator("#streams .rows > li")).to_have_count(2)
        _keep(page, "without-script")
        page.locator("summary", has_text="complete").click()
        page.get_by_role("link", name="slices of this run").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Run of nightly")
        expect(page.locator("#slices summary", has_text="visibility_v2_by_day")).to_contain_text("3 slices")
        _keep(page, "run")
        # Links of the footer lead to the same files from every page.
        expect(page.get_by_role("link", name="JSON")).to_have_attribute("href", "../status.json")


def test_page_shows_problems_with_their_messages_folded(tmp_path: Path, account: Account, browser: Browser) -> None:
    job = Job(tmp_path, account.url, [*STREAMS, "citations_v1"], job_settings=NEVER)
    job.run("run").expect(COMPLETE)
    # One category loses its rows, and the type of a column changes in all of them.
    account.fault("fewer_rows", rows=1, stream="visibility_v2_by_day", category=account.category()["name"])
    account.fault("bad_value", column="count", value='"x"', stream="citations_v1")
    job.days = 20
    job.job_settings = NEVER | {"start": str(today("eastern") - timedelta(days=20))}
    job.write()
    job.run("run").expect(SOME_FAILED)
    with _serving(job) as (_, url):
        _keep_all(browser, url, "problems")
        with _opened(browser) as page:
            page.goto(url)
            expect(page.get_by_role("heading", level=1)).to_contain_text(
                "Not everything is exported: the last run of nightly failed"
            )
            cards = page.locator("#problems .card")
            expect(cards.first.locator("h3")).to_have_text(
                re.compile(r"\d+ of \d+ slices failed in the last run of nightly\.")
            )
            expect(cards.first).to_contain_text("Published files are kept.")
            message = page.get_by_text("is an integer, but the API sent")
            assert not any(one.is_visible() for one in message.all())
            cards.first.locator("summary").focus()
            page.keyboard.press("Enter")
            expect(message.first).to_be_visible()
            page.get_by_role("combobox", name="Show").select_option("problems")
            expect(page.locator("#streams").get_by_role("link", name="citations_v1", exact=True)).to_be_visible()
            expect(page.locator("#streams").get_by_role("link", name="models", exact=True)).to_have_count(0)


def test_page_says_that_files_are_there_without_a_ledger(tmp_path: Path, account: Account, browser: Browser) -> None:
    job = Job(tmp_path, account.url, STREAMS, job_settings=NEVER)
    job.run("run").expect(COMPLETE)
    shutil.rmtree(job.lake / "_profound_export")
    with _serving(job) as (_, url), _opened(browser) as page:
        page.goto(url)
        expect(page.get_by_role("heading", level=1)).to_have_text("The lake cannot be read.")
        expect(page.locator("#problems .card").first).to_contain_text("but no ledger")
        expect(page.locator("#problems .card").first).to_contain_text("profound-export ledger rebuild")
        assert "Nothing is exported yet" not in page.inner_text("body")


def test_page_of_200_categories_is_small(tmp_path: Path, browser: Browser) -> None:
    options = ("--categories", "200", "--prompts", "2", "--assets", "1", "--answer-bytes", "100")
    with Account(tmp_path, *options) as account:
        job = Job(tmp_path, account.url, ["visibility_v2_by_day", "bots_v2", "category_topics"], job_settings=NEVER)
        job.run("run").expect(COMPLETE)
        with _serving(job) as (_, url):
            _keep_all(browser, url, "many")
            with _opened(browser) as page:
                answer = page.goto(url)
                assert answer is not None
                assert len(answer.body()) < 300_000
                expect(page.locator("small", has_text="200 categories").first).to_be_visible()


def test_open_page_updates_during_a_run(tmp_path: Path, account: Account, browser: Browser) -> None:
    # Long enough to be looked at.
    account.fault("drip", bytes=100, milliseconds=200, stream="visibility_v2_by_day")
    job = Job(tmp_path, account.url, STREAMS, job_settings=NEVER)
    with _serving(job) as (daemon, url), _opened(browser, ends=True) as page:
        page.goto(url)
        expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is exported yet.")
        job.job_settings = {"cron": "*/3 * * * * *", "timezone": "UTC"}
        job.write()
        daemon.send_signal(signal.SIGHUP)
        expect(page.locator("#running progress")).to_be_visible(timeout=30_000)
        expect(page.locator("#rate-limit")).to_contain_text("used", timeout=30_000)
        _keep(page, "running")
        account.clear_faults()
        expect(page.locator("#runs summary").first).to_contain_text("complete", timeout=60_000)
        expect(page.get_by_role("heading", level=1)).to_have_text("Everything due is exported.", timeout=60_000)
        page.locator("#runs summary").first.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#runs .inside").first).to_be_visible()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(timeout=30) == COMPLETE
        # What is shown is old from now on, and the page says so.
        expect(page.locator("#live")).to_have_text("not connected, data may be outdated", timeout=30_000)


def test_page_says_that_the_key_was_rejected(tmp_path: Path, account: Account, browser: Browser) -> None:
    job = Job(tmp_path, account.url, STREAMS, job_settings=NEVER)
    job.run("run").expect(COMPLETE)
    account.fault("revoke_key")
    job.run("run").expect(KEY_REJECTED)
    with _serving(job) as (_, url):
        _keep_all(browser, url, "key-rejected")
        with _opened(browser) as page:
            page.goto(url)
            expect(page.get_by_role("heading", level=1)).to_contain_text("The API rejected the key")
            expect(page.locator("#headline .next").first).to_contain_text("Make a new key")
