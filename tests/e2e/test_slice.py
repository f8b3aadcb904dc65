"""A limit crossed at the plant is exactly one hazard upstream, whichever protocol brought it."""

import signal
import time
import urllib.error
import urllib.request

from support.peers import until


def hazard_of(upstream, measure):
    return [fields for fields in upstream.objects("hazard/").values() if fields["riskMeasureId"] == measure]


def test_a_limit_crossed_over_modbus_is_one_hazard_with_its_evidence(site):
    upstream = site.upstream()
    site.start()
    site.modbus.set_f32(10, 95.0)
    until("the hazard arrives", lambda: hazard_of(upstream, "M-LEVEL"))
    site.settled()
    (hazard,) = hazard_of(upstream, "M-LEVEL")
    assert hazard["riskUnitId"] == "U-TA"
    assert hazard["hazardCode"] == "540170007001"
    assert hazard["dangerSrc"] == 9
    assert hazard["dangerState"] == 0
    assert hazard["cause"] == "limit:LT-101"
    operands = {operand["text"]: operand for operand in hazard["evidence"]["operands"]}
    assert operands["{LT-101}"]["value"] == 95.0
    assert operands["{LT-101}"]["quality"] == "good"
    assert [topic for topic, _ in upstream.seen("hazard/")] and all(
        topic == "hazard/U-TA" for topic, _ in upstream.seen("hazard/")
    )


def test_a_limit_crossed_over_opcua_is_one_hazard(site):
    upstream = site.upstream()
    site.start()
    site.opcua.set("TT-201", 180.0)
    until("the hazard arrives", lambda: hazard_of(upstream, "M-TEMP"))
    site.settled()
    (hazard,) = hazard_of(upstream, "M-TEMP")
    assert hazard["cause"] == "limit:TT-201"
    (operand,) = [each for each in hazard["evidence"]["operands"] if each["text"] == "{TT-201}"]
    assert operand["value"] == 180.0
    assert operand["sourceTime"]


def test_tags_in_a_zone_and_a_sighting_over_mqtt_are_one_hazard_and_one_candidate(site):
    upstream = site.upstream()
    site.start()
    for tag, person in [("T1", "p1"), ("T2", "p2"), ("T3", "p2")]:
        site.feed.publish("rtls/fix", {"tagId": tag, "userId": person, "areaId": "Z-A"})
    site.feed.publish("video/alarm", {"camera": "CAM-1", "type": "smoke", "score": 0.9})
    until("the candidate arrives", lambda: upstream.objects("candidate/"))
    site.settled()
    assert hazard_of(upstream, "M-PEOPLE") == [], "two tags of one person count once"
    site.feed.publish("rtls/fix", {"tagId": "T4", "userId": "p3", "areaId": "Z-A"})
    until("the hazard arrives", lambda: hazard_of(upstream, "M-PEOPLE"))
    site.settled()
    (hazard,) = hazard_of(upstream, "M-PEOPLE")
    assert hazard["cause"] == "tank-a-crowd"
    (candidate,) = upstream.objects("candidate/").values()
    assert candidate["riskMeasureId"] == "M-VIDEO"
    assert "dangerState" not in candidate
    assert not hazard_of(upstream, "M-VIDEO"), "a candidate never goes on hazard/"


def test_a_rule_boosts_a_task_and_raises_the_unit(site):
    upstream = site.upstream()
    site.start()
    site.modbus.set_f32(10, 72.0)
    until("the unit's colour", lambda: any(body["data"]["riskClass"] == 2 for _, body in upstream.seen("risk/U-TA")))
    boosted = until("the boost", lambda: upstream.seen("task/U-TA"))
    assert boosted[-1][1]["data"]["riskMeasureId"] == "M-LEVEL"
    assert until("the push to the assignee", lambda: upstream.seen("task/by/zhang"))
    assert site.agent.show("tasks")[0]["task"] == "T-LEVEL"


def test_a_candidate_goes_through_the_hands_of_named_persons(site):
    upstream = site.upstream()
    agent = site.start()
    site.feed.publish("video/alarm", {"camera": "CAM-1", "type": "smoke", "score": 0.9})
    (candidate,) = until("the candidate", lambda: agent.show("candidates"))
    hazard_id = candidate["id"]
    nameless = agent.command("confirm", hazard_id)
    assert nameless.returncode == 2 and "--by" in nameless.stderr
    assert agent.command("rectify", hazard_id, "--by", "李雷").returncode == 1, "a candidate cannot be rectified"
    for deed, state in [("confirm", 0), ("rectify", 1), ("accept", 9)]:
        done = agent.command(deed, hazard_id[:8], "--by", "李雷", "--why", "现场核实")
        assert done.returncode == 0, done.stderr
        until(f"state {state} upstream", lambda: upstream.objects("hazard/").get(hazard_id, {}).get("dangerState") == state)
    assert agent.show("hazards") == []
    (alarm,) = [alarm for alarm in agent.show("alarms") if alarm["id"] == "tank-a-smoke"]
    assert alarm["state"] == "unacknowledged"
    assert agent.command("ack", "tank-a-smoke", "--by", "韩梅").returncode == 0
    until("acknowledged", lambda: agent.show("alarms")[0]["acknowledged_by"] == "韩梅")


def test_a_rejected_candidate_stays_rejected_while_its_episode_lasts(site):
    agent = site.start()
    site.feed.publish("video/alarm", {"camera": "CAM-1", "type": "smoke", "score": 0.9})
    (candidate,) = until("the candidate", lambda: agent.show("candidates"))
    assert agent.command("reject", candidate["id"], "--by", "李雷").returncode != 0, "a reason is needed"
    assert agent.command("reject", candidate["id"], "--by", "李雷", "--why", "蒸汽").returncode == 0
    site.feed.publish("video/alarm", {"camera": "CAM-1", "type": "smoke", "score": 0.95})
    site.modbus.set_f32(10, 95.0)
    until("a later hazard", lambda: agent.show("hazards"))
    assert agent.show("candidates") == []


def test_sigterm_drains_and_leaves_a_retained_word(site):
    agent = site.start()
    site.modbus.set_f32(10, 95.0)
    until("the hazard is decided", lambda: agent.show("hazards"))
    began = time.monotonic()
    assert agent.stop() == 0
    assert time.monotonic() - began < 6.0
    late = site.upstream()
    state = until("retained state", lambda: late.seen("state"))
    assert state[-1][1]["status"] == "stopped"
    assert "ERROR" not in agent.log() and "panicked" not in agent.log(), agent.log()


def test_once_reads_every_point_and_says_what_it_cannot_read(site):
    site.agent.write(site.files())
    done = site.agent.process_once()
    assert done.returncode == 0, done.stdout + done.stderr
    for expected in ["LT-101", "50", "TT-201", "20", "good"]:
        assert expected in done.stdout, done.stdout
    site.modbus.shut()
    done = site.agent.process_once()
    assert done.returncode == 1
    assert "comm_failure" in done.stdout and "127.0.0.1" in done.stdout + done.stderr, done.stdout + done.stderr
    site.modbus.open()


def test_reload_swaps_the_rules_and_keeps_the_open_hazard(site):
    agent = site.start()
    site.modbus.set_f32(10, 95.0)
    (hazard,) = until("the hazard", lambda: agent.show("hazards"))
    site.agent.write(site.files(points=site.files()["points.csv"].replace(",80,90,", ",60,97,")))
    done = agent.command("reload")
    assert done.returncode == 0, done.stdout + done.stderr
    until("the HH alarm ends", lambda: "LT-101/HH" not in [alarm["id"] for alarm in agent.show("alarms") if alarm["state"] != "returned"])
    assert [each["id"] for each in agent.show("hazards")] == [hazard["id"]]
    site.agent.write(site.files(rules="[[rule]]\nid = 'x'\nmeasure = 'M-NONE'\nwhen = '{LT-1O1} > 3'\npriority = 'low'\n"))
    refused = agent.command("reload")
    assert refused.returncode == 1
    assert "rules.toml:3" in refused.stdout + refused.stderr, refused.stdout + refused.stderr
    assert agent.show("sources"), "the running configuration stays"


def test_the_local_port_only_reads(site):
    agent = site.start()
    base = f"http://127.0.0.1:{agent.http}"
    for path, expected in [("/metrics", b"riskgate_points"), ("/healthz", b"ok"), ("/readyz", b""), ("/", b"riskgate")]:
        with urllib.request.urlopen(base + path) as answer:
            assert answer.status == 200
            assert expected in answer.read()
    try:
        urllib.request.urlopen(base + "/api/board", data=b"{}")
        raise AssertionError("a POST was taken")
    except urllib.error.HTTPError as refused:
        assert refused.code == 405


def test_sighup_reloads(site):
    agent = site.start()
    site.agent.write(site.files(points=site.files()["points.csv"].replace(",80,90,", ",40,97,")))
    agent.process.send_signal(signal.SIGHUP)
    until("the new H trips", lambda: "LT-101/H" in [alarm["id"] for alarm in agent.show("alarms")])
