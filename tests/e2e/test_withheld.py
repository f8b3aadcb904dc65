"""A shelf silences and no more, a stopped unit is told upstream, and both outlive a crash."""

import os

import pytest

from support import browser
from support.peers import until


def alarms(upstream, alarm):
    """Everything that was told of one alarm, the newest last."""
    return [body["data"] for _, body in upstream.seen("alarm/") if body["data"]["id"] == alarm]


def ids(site, what):
    return [alarm["id"] for alarm in site.agent.show(what)]


def act(site, *words):
    done = site.agent.command(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_shelved_alarm_is_silent_raises_its_hazard_and_is_heard_when_it_is_unshelved(site):
    upstream = site.upstream()
    site.start()
    act(site, "shelve", "LT-101/HH", "--for", "2h", "--why", "液位计校验", "--by", "王敏")
    assert ids(site, "shelved") == ["LT-101/HH"]
    site.modbus.set_f32(10, 95.0)
    until("the hazard arrives", lambda: upstream.objects("hazard/"))
    until("H is heard", lambda: "LT-101/H" in ids(site, "alarms"))
    assert "LT-101/HH" not in ids(site, "alarms")
    (shelved,) = site.agent.show("shelved")
    assert shelved["state"] == "unacknowledged"
    assert (shelved["shelved"]["by"], shelved["shelved"]["why"]) == ("王敏", "液位计校验")
    told = alarms(upstream, "LT-101/HH")[-1]
    assert told["annunciated"] is False and told["shelved"]["by"] == "王敏"

    # A crash ends no shelf.
    site.agent.kill()
    site.agent.start()
    until("the shelf is back", lambda: ids(site, "shelved") == ["LT-101/HH"])

    act(site, "unshelve", "LT-101/HH", "--by", "王敏")
    assert "LT-101/HH" in ids(site, "alarms") and ids(site, "shelved") == []
    until("upstream hears of it", lambda: alarms(upstream, "LT-101/HH")[-1]["annunciated"])
    assert alarms(upstream, "LT-101/HH")[-1]["turn"]["event"] == "unshelved"

    refused = site.agent.command("shelve", "LT-101/HH", "--for", "9h", "--why", "太久", "--by", "王敏")
    assert refused.returncode == 1 and "8 h" in refused.stderr and "不超过8小时" in refused.stderr


def test_a_stopped_unit_suspends_its_tasks_and_withholds_its_process_alarms(site):
    upstream = site.upstream()
    site.start()
    act(site, "stop", "U-TA", "--why", "年度检修", "--by", "王敏")
    (stop,) = site.agent.show("stops")
    assert (stop["unit"], stop["why"]) == ("U-TA", "年度检修")
    site.modbus.set_f32(10, 95.0)
    until("both limits are suppressed", lambda: {"LT-101/H", "LT-101/HH"} <= set(ids(site, "suppressed")))
    # People go on.
    for tag in ["1", "2", "3"]:
        site.feed.publish("rtls/fix", {"tagId": f"T{tag}", "userId": f"p{tag}", "areaId": "Z-A"})
    until("the crowd is heard", lambda: ids(site, "alarms") == ["tank-a-crowd"])
    until("its hazard arrives", lambda: upstream.objects("hazard/"))
    assert [hazard["riskMeasureId"] for hazard in upstream.objects("hazard/").values()] == ["M-PEOPLE"]
    (task,) = [task for task in site.agent.show("tasks") if task["task"] == "T-LEVEL"]
    assert task["suspended"]

    site.agent.kill()
    site.agent.start()
    until("it is stopped still", lambda: site.agent.show("stops"))

    act(site, "start", "U-TA", "--by", "李雷")
    until("the hazard that was owed arrives", lambda: len(upstream.objects("hazard/")) == 2)
    until("both are heard", lambda: {"LT-101/H", "LT-101/HH"} <= set(ids(site, "alarms")))
    assert site.agent.show("stops") == [] and ids(site, "suppressed") == []
    until("the stop has its end", lambda: upstream.objects("stop/")["U-TA:1"]["stopEndTime"])
    stop = upstream.objects("stop/")["U-TA:1"]
    assert (stop["riskUnitId"], stop["stopReason"], stop["endedBy"]) == ("U-TA", "年度检修", "李雷")
    assert stop["hazardCode"] == "540170007001"
    until("both are counted as heard", lambda: site.agent.show("quality")["day"]["annunciated"] >= 2)


def test_the_page_shows_what_is_silenced_apart(site):
    program = browser.program()
    if program is None:
        assert not os.environ.get("CHROMIUM"), f"CHROMIUM={os.environ['CHROMIUM']} is no program"
        pytest.skip("no chromium here: install the package, or name the program in CHROMIUM")
    site.start()
    page = site.own(browser.Page(program, f"http://127.0.0.1:{site.agent.http}/"))
    site.modbus.set_f32(10, 85.0)
    until("the alarm is shown", lambda: "riskgate ack LT-101/H" in page.text())
    act(site, "ack", "level-boost", "--by", "王敏")
    act(site, "shelve", "LT-101/H", "--for", "2h", "--why", "液位计校验", "--by", "王敏")
    words = ["搁置", "液位计校验", "条件成立 active", "riskgate unshelve LT-101/H", "报警质量"]
    until(f"the shelf, with {words}", lambda: all(word in page.text() for word in words))
    assert "riskgate ack LT-101/H" not in page.text()
    assert page.run("document.title") == "riskgate", "nothing waits for anybody"
    act(site, "out-of-service", "TT-201", "--why", "送检", "--by", "李雷")
    until("what is out of service", lambda: "riskgate in-service TT-201/HH" in page.text())
    until("its measure is not watched", lambda: "反应器温度监测" in page.text())
    act(site, "stop", "U-TA", "--why", "年度检修", "--by", "王敏")
    until("the stop", lambda: "停用检维修" in page.text() and "riskgate start U-TA" in page.text())
    # A silence that somebody made is not told as safety.
    until("what the silence hides", lambda: "条被搁置、抑制或停用" in page.text())
    assert "当前无报警\n" not in page.text()
