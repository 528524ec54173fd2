"""The page to look at, in a real browser: what it shows, whom it lets in, and what it makes of
hostile names. Any error on the browser's console fails the test, so its strict policy holds."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import debian
import pytest
from playwright.sync_api import expect, sync_playwright
from system.command import HANSE, SRC, environment, hanse
from system.dash_page import FAILING, HOSTILE, LEASES, MACHINES
from system.nodes import Node
from system.real import until

from hanse.errors import NotAllowed
from hanse.payloads.parcel import wrap
from hanse.remote.address import Address
from hanse.remote.dial import PARCEL, Dial
from hanse.wire import api

TESTS = Path(__file__).parents[1]
SHOWN = HOSTILE.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def browser():
    if shutil.which("chromium") is None:
        debian.install("chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])],
        )
        yield found
        found.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    context.set_default_timeout(30_000)
    made, said = context.new_page(), []
    made.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    made.on("pageerror", lambda error: said.append(str(error)))
    made.on("dialog", lambda dialog: (said.append("a dialog"), dialog.dismiss()))
    yield made
    assert made.evaluate("window.hurt") is None
    assert [words for words in said if "Failed to load resource" not in words] == []
    context.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    started = Node(tmp_path_factory.mktemp("node") / "there").start()
    yield started
    started.close()


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """Makes codes of a page with a thousand jobs and a thousand sites, half of which move."""
    home = tmp_path_factory.mktemp("made")
    home.chmod(0o700)
    with subprocess.Popen(
        [sys.executable, "-m", "system.dash_page", str(home / "state"), "1000", "1000"],
        stdout=subprocess.PIPE, text=True,
        env=environment(home, PYTHONPATH=os.pathsep.join(map(str, (SRC, TESTS, TESTS.parent)))),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        url, _, code = process.stdout.readline().strip().partition("/#code=")
        dial = Dial(Address(url, "", session(url, code).secret))
        yield lambda: f"{url}/#code={dial.ask('POST', '/dash/codes', api.DashCode).code}"
        process.terminate()


def session(url, code):
    """What a browser gets for a code. Raises NotAllowed."""
    return Dial(Address(url, "", "")).ask(
        "POST", "/dash/session", api.DashSession, api.Redeem(code=code)
    )


def address(node):
    """Where `hanse dash` sends a browser."""
    told = node.command("dash", "--no-open", "--quiet", "--home", node.place.home)
    assert told.returncode == 0, told.stderr
    return told.stdout.strip()


def fails(x):
    print("it comes to", x)
    if x % 10 == 3:
        raise ValueError(f"not {x} <b>bold</b>")
    return x


def waits(path):
    until(path.exists)


# --- what it shows --------------------------------------------------------------------------------
def test_a_job_of_a_node_is_followed_without_loading_the_page_anew(node, page, tmp_path):
    page.goto(address(node))
    expect(page.get_by_role("status").filter(has_text="live")).to_be_visible()
    with node.connect() as client:
        job = client.map(waits, [tmp_path / "a", tmp_path / "b"], name="followed")
        row = page.get_by_role("row", name="followed")
        expect(row).to_contain_text("running")
        (tmp_path / "a").touch()
        expect(row).to_contain_text("1 of 2")
        page.get_by_role("link", name="followed").click()
        expect(page.locator(".waits")).to_contain_text("1 of 2 items are done")
        (tmp_path / "b").touch()
        list(job)
        expect(page.locator("article")).to_contain_text("done")
        expect(page.locator(".waits")).to_contain_text("is done")


def test_a_job_that_runs_takes_until_now_whatever_the_clock_of_the_browser_says(
    node, page, tmp_path
):
    page.clock.install(time=time.time() + 3 * 3600)
    page.goto(address(node))
    with node.connect() as client:
        job = client.map(waits, [tmp_path / "a"], name="long")
        took = page.get_by_role("row", name="long").locator("td[data-name=Took]")
        expect(took).to_have_text(re.compile(r"s$"))
        page.clock.fast_forward("10:00")
        expect(took).to_have_text(re.compile("^10 min$"))
        (tmp_path / "a").touch()
        list(job)
        expect(took).to_have_text(re.compile(r"s$"))


def test_leases_that_run_and_the_machines_that_run_them_are_shown(node, page, tmp_path):
    page.goto(address(node))
    with node.connect() as client:
        job = client.map(waits, [tmp_path / "a"], name="at work now")
        page.get_by_role("link", name="at work now").click()
        page.get_by_role("link", name="Timeline").click()
        canvas, told = page.get_by_label("Leases over time"), page.locator("#lease")

        def says(words):
            canvas.press("n")  # which does nothing before leases are there
            return words in told.inner_text()

        until(lambda: says("Items 0 to 0 at"))
        expect(told).to_contain_text("out for")
        page.get_by_role("link", name="Machines").click()
        expect(page.get_by_role("row", name="at work now")).to_contain_text("at work")
        (tmp_path / "a").touch()
        list(job)
        expect(page.locator("tbody")).not_to_contain_text("at work now")
        page.go_back()
        until(lambda: says("1 done"))
    bars = node.dial().ask("GET", f"/dash/jobs/{job.id}/leases", dict)["bars"]
    assert bars[0]["stop_ms"] > bars[0]["start_ms"]


def test_what_a_job_has_cost_stands_in_its_row_and_on_its_page_when_the_node_is_back(
    page, tmp_path
):
    node = Node(tmp_path / "there", "--price", "1000", "--cpus", "1").start()
    try:
        with node.connect() as client:
            job = client.map(fails, range(2, 4), name="paid", on_error="collect", budget=1000)
            list(job)
        node.kill()
        node.start()
        page.goto(address(node))
        row = page.get_by_role("row", name="paid")
        expect(row.locator("td[data-name=Cost]")).to_have_text(re.compile("^[0-9.]+$"))
        page.get_by_role("link", name="paid").click()
        expect(page.locator("dl.facts")).to_contain_text(re.compile("cost[0-9]"))
    finally:
        node.close()


def test_failures_have_tracebacks_and_a_replay_command_and_logs_are_read_on(node, page):
    with node.connect() as client:
        job = client.map(fails, range(20), name="failing", on_error="collect")
        list(job)
    page.goto(address(node))
    page.get_by_role("link", name="failing").click()
    page.get_by_role("link", name="Failures").click()
    first = page.locator("details").first
    expect(first).to_contain_text("ValueError: not 3 <b>bold</b>")
    expect(first).to_contain_text("Traceback (most recent call last)")
    expect(first).to_contain_text(f"hanse replay {job.id} 3")
    page.get_by_role("link", name="Log").click()
    expect(page.locator("pre.log")).to_contain_text("it comes to 19")
    page.get_by_label("Only of this item").fill("7")
    expect(page.locator("pre.log div:visible")).to_have_text("[7] it comes to 7")


def test_the_record_tells_when_and_where_each_lease_ran_even_after_the_node_was_killed(
    page, tmp_path
):
    node = Node(tmp_path / "there").start()
    try:
        check_timeline(node, page)
    finally:
        node.close()


def check_timeline(node, page):
    with node.connect() as client:
        assert list(client.map(abs, range(1000), name="timed")) == list(range(1000))
        job = client.job("timed").id
    node.kill()
    node.start()
    bars = node.dial().ask("GET", f"/dash/jobs/{job}/leases", dict)["bars"]
    assert sum(bar["done"] for bar in bars) == 1000
    assert all(bar["start_ms"] <= bar["stop_ms"] and bar["site"] for bar in bars)
    page.goto(address(node))
    page.get_by_role("link", name="timed").click()
    page.get_by_role("link", name="Timeline").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as a trace").click()
    trace = json.loads(Path(download.value.path()).read_text())
    leases = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert sum(event["args"]["done"] for event in leases) == 1000
    assert {event["pid"] for event in leases} == {
        event["pid"] for event in trace["traceEvents"] if event["name"] == "process_name"
    }


def test_sites_of_a_node_are_told_by_its_route_its_command_and_its_page(node, page):
    (site,) = node.dial().ask("GET", "/v1/sites", list[api.SiteSeen])
    assert site.incarnation == 1
    assert site.capacity.cpus_milli >= 1000
    assert site.python == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert site.packages
    told = node.command("sites", "--json", "--home", node.place.home)
    assert json.loads(told.stdout)["sites"][0]["id"] == site.id
    page.goto(address(node))
    page.get_by_role("link", name="Sites").click()
    expect(page.get_by_role("row", name=site.id)).to_contain_text(re.compile("idle|at work"))


def test_a_program_without_a_node_is_shown_from_its_records_while_it_runs_and_later(page, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import hanse, pathlib, time\n"
        "def wait(x):\n"
        "    while not pathlib.Path('go').exists(): time.sleep(0.05)\n"
        "    return x\n"
        "with hanse.connect() as client: list(client.map(wait, range(3), name='at home'))\n"
    )
    home = tmp_path / "home"
    env = environment(home, HANSE_URL="here", PYTHONPATH=str(SRC))
    with subprocess.Popen([sys.executable, program], env=env, cwd=tmp_path) as running:
        until(lambda: hanse("job", "at home", home=home, HANSE_URL="here").returncode == 0)
        dash = subprocess.Popen(
            [*HANSE, "dash", "--no-open", "--quiet"], env=env, stdout=subprocess.PIPE, text=True
        )
        assert dash.stdout is not None
        page.goto(dash.stdout.readline().strip())
        page.get_by_role("link", name="at home").click()
        expect(page.locator(".waits")).to_contain_text("0 of 3 items are done")
        (tmp_path / "go").touch()
        assert running.wait() == 0
        expect(page.locator("article")).to_contain_text("done")
        page.get_by_role("link", name="Timeline").click()
        expect(page.get_by_label("Leases over time")).to_be_visible()
        dash.terminate()
        assert dash.wait() == 0
        dash.stdout.close()


# --- very many, and hostile -----------------------------------------------------------------------
def test_a_thousand_jobs_and_sites_are_listed_filtered_sorted_and_kept_up_to_date(made_up, page):
    page.goto(made_up())
    counted = page.locator("section[aria-label=jobs] .tools [role=status]")
    expect(counted).to_have_text("1,001")
    page.keyboard.press("/")
    page.keyboard.type("job 779")
    expect(counted).to_have_text("1 of 1,001")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("job 779")
    page.get_by_role("link", name="Sites").click()
    expect(page.locator("section[aria-label=sites] .tools [role=status]")).to_have_text("1,000")
    page.get_by_role("button", name="Leases").click()
    expect(page.locator("tbody tr").first.locator("td").nth(5)).to_have_text("16")
    moved = page.locator("tbody tr td:nth-child(1)").first
    before = moved.text_content()
    expect(moved).not_to_have_text(before or "", timeout=60_000)  # others have the most now
    assert page.locator("tbody tr").count() == 100  # what is not looked at costs no elements


def test_sites_have_their_region_their_price_and_whether_they_are_spot(made_up, page):
    page.goto(made_up())
    page.get_by_role("link", name="Sites").click()
    page.locator("#filter").fill("site-0001")
    row = page.get_by_role("row", name="ann/site-0001")
    expect(row).to_contain_text("region-1")
    expect(row).to_contain_text("0.000058 spot")
    page.locator("#filter").fill("region-2")
    expect(page.locator("section[aria-label=sites] .tools [role=status]")).to_have_text(
        "143 of 1,000"
    )


def test_hostile_names_and_output_are_text_and_never_markup(made_up, page):
    page.goto(made_up())
    for place in ("jobs", "sites"):
        page.evaluate("place => { location.hash = '#/' + place }", place)
        page.locator("#filter").fill("<script>")
        row = page.locator("tbody tr").first
        expect(row).to_contain_text(SHOWN)
    for part in ("", "/failures", "/log"):
        page.evaluate("at => { location.hash = at }", f"#/jobs/{FAILING}{part}")
        expect(page.locator("article")).to_contain_text(SHOWN)
    page.evaluate("at => { location.hash = at }", "#/jobs/<img src=x onerror=window.hurt=1>")
    expect(page.locator("article")).to_contain_text("12 hex digits")
    assert page.locator("script").count() == 1
    assert page.locator("main img").count() == 0
    policy = page.goto(page.url.partition("#")[0] + "?").headers["content-security-policy"]
    assert "require-trusted-types-for 'script'" in policy  # not even by mistake


def test_the_timeline_is_moved_by_keys_and_says_in_words_what_it_shows(made_up, page):
    page.goto(made_up())
    page.get_by_role("status").filter(has_text="live").wait_for()
    page.evaluate("at => { location.hash = at }", f"#/jobs/{FAILING}/timeline")
    canvas, told = page.get_by_label("Leases over time"), page.locator("#lease")
    until(lambda: canvas.evaluate("c => c.getContext('2d').getImageData(20, 50, 1, 1).data[3]"))
    canvas.focus()
    canvas.press("n")
    expect(told).to_contain_text("Items 0 to 9 at rack0/machine-00: 10 done")
    before = canvas.screenshot()
    for key in ("+", "+", "ArrowRight"):
        canvas.press(key)
    until(lambda: canvas.screenshot() != before)
    for key in ("0", "n", "n", "n"):
        canvas.press(key)
    expect(told).to_contain_text("Items 30 to 39 at rack0/machine-03: 9 done, 2 attempts failed")
    canvas.hover(position={"x": 20, "y": 48})
    expect(told).to_contain_text("machine-00")
    assert MACHINES * LEASES == 800


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_all_of_it_in_its_width_light_and_dark(made_up, page, scheme):
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme=scheme)
    page.goto(made_up())
    expect(page.locator("tbody tr").first).to_be_visible()
    for place in ("jobs", "sites", *(f"jobs/{FAILING}{p}" for p in ("", "/failures", "/timeline"))):
        page.evaluate("place => { location.hash = '#/' + place }", place)
        expect(page.locator("main")).to_be_visible()
        expect(page.locator("tbody tr, .waits, details, canvas").first).to_be_visible()
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, place
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")


# --- whom it lets in ------------------------------------------------------------------------------
def test_a_code_lets_one_browser_in_once_to_look_and_no_more(node, page):
    where = address(node)
    page.goto(where)
    expect(page.locator("#status")).to_have_text("live")
    code = where.partition("#code=")[2]
    assert page.url == f"{node.url}/"  # neither history nor a glance over the shoulder has it
    with pytest.raises(NotAllowed):
        session(node.url, code)
    secret = page.evaluate("JSON.parse(sessionStorage.getItem('hanse-session')).secret")
    kept = page.evaluate(
        "[document.cookie, JSON.stringify({...localStorage}), document.body.outerHTML]"
    )
    assert kept[0] == ""
    assert all(each not in "".join(kept) for each in (secret, code))
    for name in ("log", "node/audit.log"):
        text = (node.home / name).read_text()
        assert secret not in text
        assert code not in text
    browser = Dial(Address(node.url, "", secret))
    browser.ask("GET", "/v1/sites", list[api.SiteSeen])
    for method, path, about in (
        ("POST", "/v1/jobs/j-0123456789ab/cancel", api.CancelRange()),
        ("DELETE", "/v1/jobs/j-0123456789ab", None),
        ("GET", "/v1/links", None),
    ):
        if method != "GET":
            with pytest.raises(NotAllowed):
                browser.ask(method, path, type(None), about)
    page.reload()
    expect(page.locator("#status")).to_have_text("live")
    page.get_by_role("button", name="Leave").click()
    expect(page.get_by_role("heading", name="Hanse")).to_be_visible()


def test_a_browser_is_out_at_once_when_the_token_that_let_it_in_is_revoked(node, page):
    told = node.command(
        "token", "create", "--role", "read", "--for", "eve", "--json", "--home", node.place.home
    )
    made = json.loads(told.stdout)
    away = hanse(
        "dash", "--no-open", "-q", home=node.home.parent / "away", HANSE_TOKEN=made["token"]
    )
    page.goto(away.stdout.strip())
    expect(page.locator("#status")).to_have_text("live")
    assert node.command("token", "revoke", made["id"], "--home", node.place.home).returncode == 0
    page.evaluate("location.hash = '#/jobs/j-0123456789ab'")
    expect(page.get_by_role("alert")).to_contain_text("may look no longer")


def test_what_is_wrong_lets_nobody_in(node, page):
    page.goto(f"{node.url}/#code=guessed")
    expect(page.get_by_role("alert")).to_contain_text("too old")
    page.get_by_label("Address or code").fill(address(node))
    page.get_by_role("button", name="Look").click()
    expect(page.locator("#status")).to_have_text("live")
    body = b"".join(wrap(api.Redeem(code=address(node).partition("code=")[2])))
    for told, status in (
        ({"host": "evil.example"}, 421),  # DNS rebinding
        ({"origin": "https://evil.example"}, 403),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
        connection.request("POST", "/dash/session", body, {"content-type": PARCEL} | told)
        assert connection.getresponse().status == status
        connection.close()
    for path in ("/dash/about", "/dash/events", "/dash/jobs/j-0123456789ab", "/v1/sites"):
        with pytest.raises(NotAllowed):
            Dial(Address(node.url, "", "5e" * 32)).ask("GET", path, object)
