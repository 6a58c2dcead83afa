"""The status page in a browser: what it shows in each state, with scripts and without, without errors.

Screenshots stay under `target/ci/page`, to be looked at.
"""

import re
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
from kit.program import COMPLETE, KEY_REJECTED, until

STREAMS = ["minimal", "category_topics"]
NEVER = {"cron": "0 0 29 2 *", "timezone": "UTC"}
SCREENSHOTS = Path(__file__).parents[2] / "target/ci/page"
DESKTOP: ViewportSize = {"width": 1100, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 800}
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
            row.locator("svg").hover()
            expect(page.locator(".tip")).to_contain_text(
                re.compile(r"visibility_v2_by_day: 3 final, [\d,]+ rows, extracted")
            )
            # The viewer's clock is next to that of the job.
            expect(page.locator("#jobs .viewer").first).to_be_visible()
            # What one category lacks is seen by itself.
            page.get_by_label("Category").select_option(index=1)
            expect(page.locator("small", has_text="1 category").first).to_be_visible()
            page.goto(url)
            page.get_by_role("link", name="visibility_v2_by_day", exact=True).click()
            expect(page.get_by_role("heading", level=1)).to_have_text("visibility_v2_by_day")
            expect(page.locator("#days tbody tr")).to_have_count(90)
            _keep(page, "stream")
            page.get_by_role("link", name="← all streams").click()
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
        page.get_by_role("button", name="Show").click()
        expect(page.locator("small", has_text="1 category").first).to_be_visible()
        _keep(page, "without-script")


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
        expect(page.locator("#rate-limit")).to_contain_text("sent", timeout=30_000)
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
