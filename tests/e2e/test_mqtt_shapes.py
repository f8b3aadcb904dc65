"""What is in the messages of plant-side brokers: nodes of Sparkplug, video systems, lists of points, permits."""

import json
import pathlib
import threading

import paho.mqtt.client as mqtt
from support.peers import PATIENCE_S, until
from support.sparkplug import EdgeNode

CORPUS = pathlib.Path(__file__).parents[2] / "drivers/tests/corpus/mqtt_json"
HEADER = "位号,名称,数据源,地址,数据类型,工程单位,量程下限,量程上限,高报,高高报,死区,延时,类别,管控措施,确认\n"


def payload(name):
    return json.loads((CORPUS / f"{name}.json").read_text())


def source(site, name, extra):
    return f'\n[[source]]\nid = "{name}"\nname = "{name}"\nkind = "mqtt"\nhost = "127.0.0.1"\nport = {site.plant_broker.port}\n{extra}\n'


def rule(name, when):
    return f'\n[[rule]]\nid = "{name}"\nmeasure = "M-VIDEO"\nname = "{name}"\npriority = "high"\nwhen = "{when}"\nhazard = {{ confirm = "person" }}\n'


def start(site, sources, points="", rules=""):
    """Not waiting for points to be good: that is what is tested."""
    files = site.files(extra_sources=sources, rules=rules) if rules else site.files(extra_sources=sources)
    site.agent.write(files | {"more.csv": HEADER + points} if points else files)
    site.agent.start()
    return site.agent


def shown(agent, name):
    return next(line for line in agent.show("sources") if line["id"] == name)


def until_points(agent, name, good, bad):
    def counted():
        line = shown(agent, name)
        return (line["good"], line["bad"]) == (good, bad)

    until(lambda: f"{good} good, {bad} bad: {shown(agent, name)}\n{agent.log()}", counted)


def skipped(agent, name):
    return {skip["reason"]: skip for skip in shown(agent, name)["skipped"]}


def test_a_sparkplug_node_is_read_by_alias_dies_and_is_born_again_and_nothing_is_asked_of_it(site):
    asked = []
    listener = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    listener.on_message = lambda _client, _user, message: asked.append(message.topic)
    subscribed = threading.Event()
    listener.on_subscribe = lambda *_: subscribed.set()
    listener.connect("127.0.0.1", site.plant_broker.port)
    listener.subscribe([("spBv1.0/+/NCMD/#", 1), ("spBv1.0/+/DCMD/#", 1)])
    listener.loop_start()
    assert subscribed.wait(PATIENCE_S)
    points = "XS-9,运行,edge,plant/edge1#Running,bool,,,,,,,,equipment,,\n"
    points += "PT-9,压力,edge,spBv1.0/plant/DDATA/edge1/P-101#Pressure,f32,kPa,0,1000,,100,0,0s,process,M-LEVEL,auto\n"
    agent = start(site, source(site, "edge", 'points = [{ preset = "sparkplug-b" }]'), points)
    until("the source is up", lambda: shown(agent, "edge")["link"] == "up")
    node = site.own(EdgeNode(site.plant_broker.port))
    node.connect()
    node.birth(50.0)
    until_points(agent, "edge", 2, 0)
    node.pressure(150.0)
    alarms = until("the pressure trips", lambda: [one for one in agent.show("alarms") if one["id"] == "PT-9/HH"])
    assert "150" in json.dumps(alarms[0], ensure_ascii=False)
    node.die()
    until_points(agent, "edge", 0, 2)
    node.connect()
    node.birth(50.0)
    until_points(agent, "edge", 2, 0)
    node.lose_one()
    node.pressure(60.0)
    until_points(agent, "edge", 0, 2)
    gap = skipped(agent, "edge")["sequence_gap"]
    assert "which riskgate does not ask for" in gap["example"], gap
    node.pressure(61.0)
    until("its alias means nothing now", lambda: skipped(agent, "edge").get("unknown_alias", {}).get("count") == 2)
    node.birth(62.0)
    until_points(agent, "edge", 2, 0)
    listener.disconnect()
    listener.loop_stop()
    assert asked == []


def test_known_video_systems_need_no_fields_and_repeat_themselves_in_vain(site):
    sightings = """
[[source.sightings]]
preset = "frigate"
cameras = { tank_east = "CAM-2" }
[[source.sightings]]
preset = "onvif"
cameras = { acc8e00001 = "CAM-2" }
kinds = { NoHelmet = "no_helmet" }
[[source.sightings]]
preset = "hikvision"
topic = "hik/alert"
cameras = { "10.0.0.21/1" = "CAM-2" }
"""
    camera = '\n[[camera]]\nid = "CAM-2"\nname = "罐区A东"\nunit = "U-TA"\nsource = "video"\n'
    kinds = ["flame", "no_helmet", "intrusion"]
    rules = "".join(rule(kind, f"seen('U-TA', '{kind}', confidence = 0.6, window = 1h)") for kind in kinds)
    agent = start(site, source(site, "video", 'stale_after = "10m"' + sightings) + camera, rules=rules)
    until("the source is up", lambda: shown(agent, "video")["link"] == "up")

    def candidates():
        return sorted(one["cause"] for one in agent.show("candidates"))

    site.feed.publish("frigate/events", payload("frigate_false_positive"))
    site.feed.publish("acc8e00001/onvif-ej/RuleEngine/CellMotionDetector/Motion", payload("onvif_initialized"))
    site.feed.publish("hik/alert", payload("hikvision_heartbeat"))
    site.feed.publish("frigate/events", payload("frigate_new"))
    until("Frigate's fire", lambda: candidates() == ["flame"])
    site.feed.publish("acc8e00001/onvif-ej/tns1:RuleEngine/tns1:FieldDetector/tns1:ObjectsInside/&1", payload("onvif_simple_items"))
    until("the camera's own rule", lambda: candidates() == ["flame", "no_helmet"])
    site.feed.publish("hik/alert", payload("hikvision_alert"))
    until("the recorder's alert", lambda: candidates() == ["flame", "intrusion", "no_helmet"])
    # A person has judged it; the same object is told again, and then is gone.
    (fire,) = [one for one in agent.show("candidates") if one["cause"] == "flame"]
    assert agent.command("reject", fire["id"], "--by", "李雷", "--why", "焊接").returncode == 0
    site.feed.publish("frigate/events", payload("frigate_update"))
    site.feed.publish("frigate/events", payload("frigate_end"))
    site.feed.publish("frigate/events", {"type": "new"})
    until("all of it was read", lambda: "missing_event" in skipped(agent, "video"))
    assert candidates() == ["intrusion", "no_helmet"], "a repeat is not a new one"


def test_a_list_of_points_tells_of_its_senders_devices_and_of_what_is_late(site):
    points = [("LT-9", "YW001", "%"), ("TT-9", "WD001", "℃")]
    rows = "".join(f"{tag},{tag},quota,540170007002G0001{code},f32,{eu},0,100,,90,0,0s,process,,\n" for tag, code, eu in points)
    listed = """
stale_after = "10m"
[[source.points]]
topic = "plant/540170007/report"
many = "$.report.datas[*]"
tag = "$.quotaId"
value = "$.value"
time = "message:$.report.collectTime"
connected = "$.report.isConnectDataSource"
replay = "$[?@.reportType == 'continues']"
"""
    agent = start(site, source(site, "quota", listed), rows)
    until("the source is up", lambda: shown(agent, "quota")["link"] == "up")
    topic = "plant/540170007/report"
    site.feed.publish(topic, payload("quota_report"))
    until_points(agent, "quota", 2, 0)
    unknown = skipped(agent, "quota")["unknown_tag"]
    assert unknown["count"] == 1 and "540170007002G0009YL001" in unknown["example"]
    site.feed.publish(topic, payload("quota_source_lost"))
    until_points(agent, "quota", 0, 2)
    late = payload("quota_replay")
    late["report"]["datas"][0]["value"] = 99.0
    site.feed.publish(topic, late)
    site.feed.publish(topic, payload("quota_report"))
    until_points(agent, "quota", 2, 0)
    assert not [one for one in agent.show("alarms") if one["id"].startswith("LT-9")], "what is late trips no limit"


def test_a_permit_that_the_broker_kept_is_known_from_the_start_and_ends_when_it_is_closed(site):
    ticket = payload("jt_permit") | {"zysskssj": 1_700_000_000, "zyssjssj": 4_000_000_000}
    site.feed.publish("permit/DH-20261101-007", ticket, retain=True)
    permits = """
stale_after = "10m"
[[source.permits]]
preset = "jt"
topic = "permit/+"
places = { "FXQ-03" = "U-TA" }
"""
    agent = start(site, source(site, "tickets", permits), rules=rule("hot-work", "permit('U-TA', 'hot_work')"))

    def state():
        return [one["state"] for one in agent.show("alarms") if one["id"] == "hot-work"]

    until(lambda: f"the ticket is known: {agent.show('alarms')} {agent.log()}", lambda: state() == ["unacknowledged"])
    site.feed.publish("permit/DH-20261101-007", ticket | {"dqzt": 3}, retain=True)
    until(lambda: f"it is closed: {agent.show('alarms')}", lambda: state() == ["returned"])
