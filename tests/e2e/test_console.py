"""What the operator on night shift sees: the control room's page, in a real browser."""

import os

import pytest

from support import browser, peers


@pytest.fixture
def page(site):
    program = browser.program()
    if program is None:
        assert not os.environ.get("CHROMIUM"), f"CHROMIUM={os.environ['CHROMIUM']} is no program"
        pytest.skip("no chromium here: install the package, or name the program in CHROMIUM")
    return lambda: site.own(browser.Page(program, f"http://127.0.0.1:{site.agent.http}/"))


def test_an_alarm_is_read_on_the_page_as_it_comes_and_goes_quiet_when_acknowledged(site, page):
    site.start()
    shown = page()
    peers.until(lambda: f"an empty board:\n{shown.text()}", lambda: "当前无报警" in shown.text())

    site.modbus.set_f32(10, 95.0)
    words = [
        "高\nHIGH", "罐区A", "T-101液位 高高报", "95 %", "未确认 unacknowledged", "已落盘",
        "riskgate ack LT-101/HH --by 姓名",
    ]
    peers.until(
        lambda: f"the alarm, with all of {words}:\n{shown.text()}",
        lambda: all(word in shown.text() for word in words),
    )
    # A browser is silent until it is clicked: the page asks for that as long as something waits.
    assert "开启声音" in shown.text()
    assert shown.run("document.title").startswith("(")
    # Of the point that it was judged by, and of all points.
    assert shown.run("[...document.querySelectorAll('#alarms a')].map((link) => link.getAttribute('href')).join(' ')").endswith("/trend?tag=LT-101")
    assert shown.run("document.querySelector('section h2 a').getAttribute('href')") == "/trend"

    done = site.agent.command("ack", "LT-101/HH", "--by", "夜班王敏")
    assert done.returncode == 0, done.stderr
    peers.until(
        lambda: f"the name of who acknowledged:\n{shown.text()}",
        lambda: "已确认 acknowledged · 夜班王敏" in shown.text(),
    )
    assert "riskgate ack LT-101/HH" not in shown.text()


def test_a_candidate_is_offered_with_both_answers(site, page):
    site.start()
    shown = page()
    for _ in range(2):
        site.feed.publish("video/alarm", {"camera": "CAM-1", "type": "smoke", "score": 0.9})
    peers.until(
        lambda: f"the candidate:\n{shown.text()}",
        lambda: "罐区A烟雾" in shown.text() and "riskgate confirm " in shown.text(),
    )
    # Confirming must not be easier than rejecting: either costs the plant where it is wrong.
    assert "riskgate reject " in shown.text() and "--why 原因" in shown.text()


def test_a_page_that_has_lost_its_gateway_says_so(site, page):
    site.start()
    shown = page()
    peers.until(lambda: f"a board:\n{shown.text()}", lambda: "当前无报警" in shown.text())
    site.agent.stop()
    peers.until(
        lambda: f"the banner:\n{shown.text()}",
        lambda: "与网关的连接已断开" in shown.text() and "当前无报警" not in shown.text(),
    )
