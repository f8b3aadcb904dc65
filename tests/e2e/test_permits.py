"""Tickets of special work on a plant's broker, read by rules."""

import time

from conftest import RULES
from support.peers import until
from test_faults import consumer

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


def test_the_permits_of_a_unit_are_told_upstream_and_the_consumer_takes_them(site):
    upstream = site.upstream()
    reader = consumer(site)
    site.start(extra_sources=source(site), rules=RULES + WORK)

    def told(number):
        """Its newest, of everything that was told of the unit."""
        units = [body["data"] for _, body in upstream.seen("permit/U-TA") if body]
        tickets = units[-1]["permits"] if units else []
        return next((each for each in tickets if each["ticketNum"] == number), {})

    until("a unit without permits", lambda: upstream.seen("permit/U-TA"))
    site.feed.publish("permit/DH-7", ticket("DH-7", 2), retain=True)
    until("the ticket in work", lambda: told("DH-7").get("inForce"))
    assert (told("DH-7")["kind"], told("DH-7")["ticketPosition"]) == ("hot_work", "Z-A")
    site.feed.publish("permit/SX-1", ticket("SX-1", 1, kind=2), retain=True)
    site.feed.publish("permit/DH-7", ticket("DH-7", 3), retain=True)
    until("its end", lambda: told("DH-7").get("status") == "closed")
    until("the other one", lambda: told("SX-1").get("status") == "before")

    def applied():
        units = [each["data"] for each in reader.applied() if each["type"] == "riskgate.permit.v1"]
        return {each["ticketNum"]: each["status"] for each in units[-1]["permits"]} if units else {}

    until(lambda: f"the consumer: {reader.log()}", lambda: applied() == {"DH-7": "closed", "SX-1": "before"})
