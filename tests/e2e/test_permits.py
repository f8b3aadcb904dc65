"""Tickets of special work on a plant's broker, read by rules."""

import time

from conftest import RULES
from support.peers import until

WORK = """
[[rule]]
id = "hot-work"
measure = "M-LEVEL"
name = "罐区A动火作业"
priority = "high"
when = "permit('U-TA', 'hot_work') and {LT-101} >= 40"
hazard = { level = "general", confirm = "auto", deadline = "24h" }

[[rule]]
id = "no-permit"
measure = "M-PEOPLE"
name = "罐区A无票作业"
priority = "medium"
when = "not permit('U-TA', 'confined_space')"
"""


def source(site):
    return f"""
[[source]]
id = "permits"
name = "作业票系统"
kind = "mqtt"
host = "127.0.0.1"
port = {site.plant_broker.port}
stale_after = "10m"

[[source.permits]]
preset = "jt"
topic = "permit/+"
"""


def ticket(number, stage, minutes=60, seconds=0, kind=1):
    now = time.time()
    stamp = lambda at: time.strftime("%Y%m%d%H%M%S", time.gmtime(at + 8 * 3600))
    return {
        "zyzbh": number,
        "zylx": kind,
        "dhzyjb": 1,
        "dqzt": stage,
        "fssstid": "Z-A",
        "zysskssj": stamp(now - 3600),
        "zyssjssj": stamp(now + 60 * minutes + seconds),
    }


def state(site, rule):
    found = [each["state"] for each in site.agent.show("alarms") if each["id"] == rule]
    return found[0] if found else "normal"


def test_a_ticket_in_work_is_an_operand_of_a_rule_until_it_is_closed(site):
    # Retained: how it stood before the agent came.
    site.feed.publish("permit/DH-7", ticket("DH-7", 2), retain=True)
    upstream = site.upstream()
    site.start(extra_sources=source(site), rules=RULES + WORK)
    until(lambda: f"the ticket: {site.agent.log()}", lambda: state(site, "hot-work") == "unacknowledged")
    [hazard] = until("its hazard", lambda: upstream.objects("hazard/U-TA")).values()
    assert "罐区A动火作业中（作业票DH-7）" in hazard["dangerDesc"]
    site.feed.publish("permit/DH-7", ticket("DH-7", 3), retain=True)
    until("its closing", lambda: state(site, "hot-work") == "returned")


def test_a_ticket_ends_by_the_clock_and_none_is_none_only_where_the_feed_is_heard(site):
    site.start(extra_sources=source(site), rules=RULES + WORK)
    # Nothing was ever heard of the feed: nobody knows.
    assert state(site, "no-permit") == "normal"
    site.feed.publish("permit/DH-8", ticket("DH-8", 2, minutes=0, seconds=20))
    until("work", lambda: state(site, "hot-work") == "unacknowledged")
    until("that there is no other ticket", lambda: state(site, "no-permit") == "unacknowledged")
    until("its end", lambda: state(site, "hot-work") == "returned")
