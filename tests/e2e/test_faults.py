"""What must not be lost, doubled or delayed when something breaks."""

import json
import pathlib
import subprocess
import sys
import time

from support.devices import Misbehaving
from support.peers import free_port, keeps_period, until
from support.proxy import Proxy

CONSUMER = pathlib.Path(__file__).parents[1] / "support" / "consumer.py"
LEVELS = 20
ONE_LEVEL = (
    "位号,名称,数据源,地址,数据类型,工程单位,量程下限,量程上限,高报,高高报,死区,延时,类别,管控措施,确认\n"
    "LT-101,T-101液位,dcs,holding:10,f32,%,0,100,80,90,1,2s,process,M-LEVEL,auto\n"
)


def consumer(site, root="riskgate/v1/540170007/54017000701"):
    """The reference consumer of the README, as a process of its own."""
    out = open(site.folder / "consumer.jsonl", "wb")
    process = subprocess.Popen(
        [sys.executable, "-u", CONSUMER, "127.0.0.1", str(site.upstream_broker.port), root],
        stdout=out,
        stderr=open(site.folder / "consumer.log", "wb"),
    )
    out.close()

    class Consumer:
        def applied(self):
            lines = (site.folder / "consumer.jsonl").read_text().splitlines()
            return [json.loads(line) for line in lines if line.endswith("}")]

        def log(self):
            return (site.folder / "consumer.log").read_text()

        def close(self):
            process.terminate()
            process.wait()

    return site.own(Consumer())


def hazards(applied):
    """Each (id, revision) that the consumer applied, of hazards."""
    return [(each["data"]["id"], each["data"]["revision"]) for each in applied if each["type"] == "riskgate.hazard.v1"]


def many_levels():
    """A point table of LEVELS tanks, each with a measure of its own."""
    head = "位号,数据源,地址,数据类型,量程下限,量程上限,高高报,类别,管控措施,确认\n"
    rows = [f"LT-{n:03},dcs,holding:{2 * n},f32,0,100,90,process,M-{n:03},auto\n" for n in range(LEVELS)]
    return head + "".join(rows)


def many_measures():
    each = '[[measure]]\nid = "M-{n:03}"\nunit = "U-TA"\nevent = "满溢"\nname = "液位 {n}"\nclassify1 = "1"\nclassify2 = "1-1"\n'
    return "".join(each.format(n=n) for n in range(LEVELS))


def test_a_broker_killed_for_ten_seconds_loses_no_hazard(site):
    files = site.files(points=many_levels(), rules="")
    files["measures.toml"] = many_measures()
    site.agent.write(files)
    site.agent.start()
    site.all_good()
    reader = consumer(site)
    for n in range(LEVELS // 2):
        site.modbus.set_f32(2 * n, 95.0)
    until("some hazards", lambda: len(site.agent.show("hazards")) >= 3)
    site.upstream_broker.kill()
    down = time.monotonic()
    for n in range(LEVELS // 2, LEVELS):
        site.modbus.set_f32(2 * n, 95.0)
    until("all are decided while the broker is away", lambda: len(site.agent.show("hazards")) == LEVELS)
    until("ten seconds have passed", lambda: time.monotonic() - down > 10)
    site.upstream_broker.start()
    decided = {each["id"] for each in site.agent.show("hazards")}
    until(
        lambda: f"every hazard is applied: {len(hazards(reader.applied()))}\n{reader.log()}\n{site.agent.log()}",
        lambda: decided <= {hazard for hazard, _ in hazards(reader.applied())},
    )
    site.settled()
    applied = hazards(reader.applied())
    assert len(applied) == len(set(applied)), "applied once by (id, revision)"
    assert {hazard for hazard, _ in applied} == decided


def test_killed_between_decision_and_acknowledgement_the_hazard_arrives_once(site):
    proxy = site.own(Proxy(site.upstream_broker.port))
    site.uplink_port = proxy.port
    reader = consumer(site)
    agent = site.start()
    proxy.hold_replies.set()
    site.modbus.set_f32(10, 95.0)
    (hazard,) = until("the hazard is decided", lambda: agent.show("hazards"))
    proxy.until_passed(hazard["id"].encode())
    until("nothing was acknowledged", lambda: any(lane["pending"] for lane in agent.show("outbox")["lanes"]))
    agent.kill()
    proxy.hold_replies.clear()
    agent.start()
    site.all_good()
    until("the hazard is applied", lambda: hazards(reader.applied()))
    site.settled()
    assert [each["id"] for each in agent.show("hazards")] == [hazard["id"]], "still open, not doubled"
    applied = hazards(reader.applied())
    assert len(applied) == len(set(applied)) and {each for each, _ in applied} == {hazard["id"]}


def test_killed_before_anything_was_sent_the_hazard_arrives(site):
    agent = site.start()
    reader = consumer(site)
    site.upstream_broker.kill()
    site.modbus.set_f32(10, 95.0)
    (hazard,) = until("the hazard is decided", lambda: agent.show("hazards"))
    agent.kill()
    site.upstream_broker.start()
    agent.start()
    until("the hazard is applied", lambda: hazard["id"] in {each for each, _ in hazards(reader.applied())})
    site.settled()
    assert [each["id"] for each in agent.show("hazards")] == [hazard["id"]]
    assert {each for each, _ in hazards(reader.applied())} == {hazard["id"]}


def test_the_consumer_hears_each_topic_that_has_a_sequence(site):
    agent = site.start()
    reader = consumer(site)
    for words in (["stop", "U-TA", "--why", "年度检修", "--by", "王敏"], ["start", "U-TA", "--by", "王敏"]):
        done = agent.command(*words)
        assert done.returncode == 0, done.stderr
    until(
        "the stop of the unit is applied, its begin and its end",
        lambda: sum(each["type"] == "riskgate.stop.v1" for each in reader.applied()) >= 2,
    )


def test_dead_sources_leave_the_period_of_the_others_alone(site):
    silent, closes = site.own(Misbehaving(closes=False)), site.own(Misbehaving(closes=True))
    ports = {"silent": silent.port, "closes": closes.port, "refuses": free_port()}
    extra = "".join(
        f'[[source]]\nid = "{name}"\nname = "{name}"\nkind = "modbus-tcp"\nhost = "127.0.0.1"\n'
        f'port = {port}\ndevice_id = 1\nperiod = "200ms"\ntimeout = "300ms"\n'
        for name, port in ports.items()
    )
    rows = "".join(f"X-{name},,{name},holding:0,u16,,,,,,,,process,,\n" for name in ports)
    site.agent.write(site.files(extra_sources=extra, points=ONE_LEVEL + rows))
    polls = []
    site.modbus.on_request = lambda: polls.append(time.monotonic())
    agent = site.agent.start()

    def dead():
        links = {source["id"]: source for source in agent.show("sources")}
        return links["dcs"]["link"] == "up" and all(links[name]["link"] == "down" and links[name]["why"] for name in ports)

    until(lambda: f"the dead are told: {agent.show('sources')}", dead)
    until("the dead were tried more than once", lambda: closes.visits > 2)
    began = len(polls)
    until(lambda: f"the living is polled at its period: {polls[began:]}", lambda: keeps_period(polls[began:], 0.2))
