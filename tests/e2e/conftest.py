"""The plant of the end-to-end tests: one tank area, watched over Modbus, OPC UA and MQTT."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from support import peers  # noqa: E402

MODEL = """
[[unit]]
id = "U-TA"
name = "罐区A"
hazard_code = "540170007001"
base_class = "yellow"
liable_person = "王强"

[[measure]]
id = "M-LEVEL"
unit = "U-TA"
event = "储罐满溢"
name = "液位高高报警联锁"
classify1 = "1"
classify2 = "1-1"

[[measure]]
id = "M-TEMP"
unit = "U-TA"
event = "反应超温"
name = "反应器温度监测"
classify1 = "1"
classify2 = "1-1"

[[measure]]
id = "M-PEOPLE"
unit = "U-TA"
event = "人员聚集"
name = "罐区人员限员"
classify1 = "3"
classify2 = "3-1"

[[measure]]
id = "M-VIDEO"
unit = "U-TA"
event = "罐区火灾"
name = "视频烟雾识别"
classify1 = "4"
classify2 = "4-3"

[[task]]
id = "T-LEVEL"
measure = "M-LEVEL"
content = "检查液位计与联锁"
cycle = "8h"
assignee = "zhang"

[[zone]]
id = "Z-A"
name = "罐区A内"
unit = "U-TA"
limit = 2

[[camera]]
id = "CAM-1"
name = "罐区A北"
unit = "U-TA"
source = "plant-mqtt"
"""

RULES = """
[[rule]]
id = "tank-a-crowd"
measure = "M-PEOPLE"
name = "罐区A超员"
priority = "high"
when = "people('Z-A') > 2"
hazard = { level = "general", confirm = "auto", deadline = "24h" }

[[rule]]
id = "tank-a-smoke"
measure = "M-VIDEO"
name = "罐区A烟雾"
priority = "high"
when = "seen('U-TA', 'smoke', confidence = 0.6, window = 30s)"
hazard = { level = "general", confirm = "person", deadline = "24h" }

[[rule]]
id = "level-boost"
measure = "M-LEVEL"
name = "液位偏高加密排查"
priority = "low"
when = "{LT-101} >= 70"
task = { id = "T-LEVEL", cycle = "1h", hold = "4h" }
unit = { raise_to = "orange", hold = "10m" }
"""

POINTS = """位号,名称,数据源,地址,数据类型,工程单位,量程下限,量程上限,高报,高高报,死区,延时,类别,管控措施,确认
LT-101,T-101液位,dcs,holding:10,f32,%,0,100,80,90,1,2s,process,M-LEVEL,auto
PT-101,T-101压力,dcs,holding:12,f32,kPa,0,1000,,,,,process,,
TT-201,R-201温度,opc,nsu=urn:riskgate:test;s=TT-201,f32,℃,0,300,120,150,1,2s,process,M-TEMP,auto
"""


@pytest.fixture(scope="session")
def binary():
    """Built by tests/run before this suite starts."""
    path = pathlib.Path(os.environ["RISKGATE"])
    assert path.exists(), f"{path} is missing: run tests/run"
    return path


class Site:
    """All peers and the agent of one test."""

    def __init__(self, binary, folder, closers):
        self.folder = folder
        self.closers = closers
        self.plant_broker = self.own(peers.Mosquitto(folder / "plant-broker"))
        self.upstream_broker = self.own(peers.Mosquitto(folder / "upstream-broker"))
        self.modbus = self.own(peers.Modbus())
        self.opcua = self.own(peers.OpcUa({"TT-201": 20.0}))
        self.feed = self.own(peers.Feed(self.plant_broker.port))
        self.modbus.set_f32(10, 50.0)
        self.modbus.set_f32(12, 100.0)
        self.uplink_port = self.upstream_broker.port
        self.agent = peers.Agent(binary, folder, {})
        self.own(self.agent)

    def own(self, peer):
        self.closers.append(peer)
        return peer

    def upstream(self):
        return self.own(peers.Upstream(self.upstream_broker.port))

    def files(self, extra_sources="", rules=RULES, points=POINTS):
        gateway = f"""
[gateway]
company = "540170007"
id = "54017000701"
name = "端到端网关"

[uplink]
host = "127.0.0.1"
port = {self.uplink_port}
"""
        sources = f"""
[[source]]
id = "dcs"
name = "DCS"
kind = "modbus-tcp"
host = "127.0.0.1"
port = {self.modbus.port}
device_id = 1
period = "200ms"
timeout = "1s"

[[source]]
id = "opc"
name = "OPC"
kind = "opcua"
url = "{self.opcua.url}"
policy = "None"
publishing = "100ms"
sampling = "50ms"
keep_alive = "2s"

[[source]]
id = "plant-mqtt"
name = "人员与视频"
kind = "mqtt"
host = "127.0.0.1"
port = {self.plant_broker.port}
stale_after = "10m"
fixes = [{{ topic = "rtls/fix", tag = "$.tagId", person = "$.userId", zone = "$.areaId" }}]
sightings = [{{ topic = "video/alarm", camera = "$.camera", kind = "$.type", confidence = "$.score" }}]
"""
        return {
            "gateway.toml": gateway,
            "sources.toml": sources + extra_sources,
            "model.toml": MODEL,
            "rules.toml": rules,
            "points.csv": points,
        }

    def start(self, **changes):
        self.agent.write(self.files(**changes))
        self.agent.start()
        self.all_good()
        return self.agent

    def all_good(self):
        """Every source is up and every point has been read."""

        def good():
            sources = self.agent.show("sources")
            return all(source["link"] == "up" and source["bad"] == 0 for source in sources) and sources

        peers.until(lambda: f"all sources up: {self.agent.show('sources')}\n{self.agent.log()}", good)

    def settled(self):
        """Everything decided so far has been acknowledged by the broker."""

        def empty():
            outbox = self.agent.show("outbox")
            return all(lane["pending"] == 0 for lane in outbox["lanes"])

        peers.until(lambda: f"outbox empty: {self.agent.show('outbox')}", empty)


@pytest.fixture
def site(binary, tmp_path):
    closers = []
    try:
        yield Site(binary, tmp_path, closers)
    finally:
        # Also what was started before a peer failed to start.
        for peer in reversed(closers):
            peer.close()
