"""Alarms that a control system keeps itself, read by rules; and what riskgate may ask of it."""

import pytest
from conftest import RULES
from support.node_server import NodeOpcUa
from support.peers import free_port, until

REFRESH = "ns=0;i=3875"

TRIP = """
[[rule]]
id = "dcs-trip"
measure = "M-LEVEL"
name = "DCS液位高高报警"
priority = "critical"
when = "condition('dcs-opc', 'HighHigh')"
hazard = { level = "general", confirm = "auto", deadline = "24h" }
"""


@pytest.fixture
def dcs(site):
    return site.own(NodeOpcUa(site.folder / "dcs"))


def source(url):
    return f"""
[[source]]
id = "dcs-opc"
name = "罐区DCS"
kind = "opcua"
url = "{url}"
policy = "None"
publishing = "100ms"
keep_alive = "1s"
events = true
"""


def alarm(site):
    found = [each for each in site.agent.show("alarms") if each["id"] == "dcs-trip"]
    return found[0] if found else None


def link(site):
    [found] = [each["link"] for each in site.agent.show("sources") if each["id"] == "dcs-opc"]
    return found


def active(site):
    return (alarm(site) or {}).get("state") in ("unacknowledged", "acknowledged")


def test_an_alarm_of_a_control_system_raises_a_hazard_and_its_return_is_evidence(site, dcs):
    dcs.tell("alarm", name="LIA-101", condition="HighHigh", high=80)
    site.start(extra_sources=source(dcs.url), rules=RULES + TRIP)
    upstream = site.upstream()
    assert not active(site)

    dcs.tell("set", name="LIA-101", value=90)
    until(lambda: f"the alarm: {site.agent.log()}", lambda: active(site))
    hazard = until("the hazard", lambda: upstream.objects("hazard/U-TA"))
    [hazard] = hazard.values()
    assert "罐区DCS报警激活" in hazard["dangerDesc"] and "LIA-101/HighHigh" in hazard["dangerDesc"]

    # The server keeps a branch of the unacknowledged state, which is not how it stands.
    dcs.tell("set", name="LIA-101", value=10)
    until("its return", lambda: alarm(site)["state"] == "returned")
    [hazard] = site.agent.show("hazards")
    assert hazard["stage"] == "rectifying" and hazard["returned"]


def test_what_a_control_system_kept_while_it_was_away_is_known_again_after_a_refresh(site, dcs):
    dcs.tell("alarm", name="LIA-101", condition="HighHigh", high=80)
    dcs.tell("set", name="LIA-101", value=90)
    site.start(extra_sources=source(dcs.url), rules=RULES + TRIP)
    until(lambda: f"what stood before: {site.agent.log()}", lambda: active(site))

    # It comes back with the alarm gone; nothing is cleared before it has said so.
    dcs.kill()
    until("the loss", lambda: link(site) != "up")
    assert active(site)
    dcs.start()
    dcs.tell("alarm", name="LIA-101", condition="HighHigh", high=80)
    until("its return", lambda: alarm(site)["state"] == "returned")


def test_a_control_system_that_is_not_there_blinds_the_measure_that_its_alarms_watch(site):
    nobody = source(f"opc.tcp://127.0.0.1:{free_port()}") + "\n"
    files = site.files(extra_sources=nobody, rules=RULES + TRIP)
    files["patience.toml"] = '[patience]\nusual = "1s"\n'
    site.agent.write(files)
    site.agent.start()
    fault = until(
        "the fault of the source",
        lambda: [each for each in site.agent.show("alarms") if each["id"] == "fault:source:dcs-opc"],
    )
    assert fault[0]["blinds"] == ["M-LEVEL"]
    assert alarm(site) is None


def test_the_only_method_that_is_ever_called_at_a_server_is_condition_refresh(site, dcs):
    dcs.tell("alarm", name="LIA-101", condition="HighHigh", high=80)
    site.start(extra_sources=source(dcs.url), rules=RULES + TRIP)
    for drops in range(1, 4):
        dcs.tell("set", name="LIA-101", value=90)
        until("the alarm", lambda: active(site))
        dcs.tell("set", name="LIA-101", value=10)
        until("its return", lambda: not active(site))
        dcs.tell("drop", subscriptions=True)
        until("a refresh after the loss", lambda n=drops: len(dcs.tell("calls")["calls"]) > n)
    assert set(dcs.tell("calls")["calls"]) == {REFRESH}
