"""OPC UA against servers of other makes: node-opcua keeps what others do not, asyncua is as simple as some
controllers are. The real binary reads them; what it made of that is seen upstream."""

import pytest

from support import peers
from support.node_server import NodeOpcUa
from support.peers import until
from support.proxy import Proxy

GATEWAY = """
[gateway]
company = "540170007"
id = "54017000701"
name = "端到端网关"

[uplink]
host = "127.0.0.1"
port = {port}
telemetry = "100ms"
"""

SOURCE = """
[[source]]
id = "opc"
name = "OPC"
kind = "opcua"
url = "{url}"
policy = "None"
publishing = "100ms"
sampling = "50ms"
keep_alive = "{keep_alive}"
history = "1h"

[[source.subscription]]
id = "percent"
deadband = "2%"

[[source.subscription]]
id = "absolute"
deadband = 0.5
"""


def row(tag, subscription="", element="", kind="f32"):
    """A point whose node has its tag as its name."""
    return f"{tag},opc,nsu=urn:riskgate:test;s={tag},{kind},{subscription},{element}\n"


class Line:
    """A server, a link to it that can be cut, the agent, and the platform."""

    def __init__(self, binary, folder, closers, server):
        self.closers = closers
        self.server = server
        self.proxy = self.own(Proxy(server.port))
        self.broker = self.own(peers.Mosquitto(folder / "broker"))
        self.upstream = self.own(peers.Upstream(self.broker.port))
        self.agent = self.own(peers.Agent(binary, folder, {}))

    def own(self, peer):
        self.closers.append(peer)
        return peer

    def start(self, *rows, keep_alive="2s"):
        table = "位号,数据源,地址,数据类型,订阅组,数组下标\n" + "".join(rows)
        url = self.server.url.replace(str(self.server.port), str(self.proxy.port))
        self.agent.write(
            {
                "gateway.toml": GATEWAY.format(port=self.broker.port),
                "sources.toml": SOURCE.format(url=url, keep_alive=keep_alive),
                "points.csv": table,
            }
        )
        self.agent.start()

    def told(self, tag):
        """Every reading of the point that went upstream: value, and whether it was good."""
        values = [each for _, body in self.upstream.seen("telemetry") for each in body["data"]["values"]]
        return [(each["value"], each["quality"]) for each in values if each["tag"] == tag]

    def good(self, tag):
        """Each value that it was told as good."""
        return {value for value, quality in self.told(tag) if quality == "good"}

    def until_told(self, tag, value, quality="good"):
        until(
            lambda: f"{tag} is {value} {quality}: {self.told(tag)}\n{self.agent.log()}",
            lambda: (value, quality) in self.told(tag),
        )

    def set_and_sampled(self, tag, *values):
        """One after the other, each once the server has sampled the one before."""
        for value in values:
            self.server.tell("set", name=tag, value=value)
            until(f"{tag} sampled", lambda value=value: self.server.tell("sampled", name=tag)["value"] == value)

    def forget(self):
        with self.upstream.lock:
            self.upstream.messages.clear()

    def until_link(self, state):
        def link():
            (source,) = self.agent.show("sources")
            return source["link"] == state

        until(lambda: f"the link is {state}\n{self.agent.log()}", link)

    def until_logged(self, *words):
        until(
            lambda: f"{words} in the log\n{self.agent.log()}",
            lambda: any(all(word in line for word in words) for line in self.agent.log().splitlines()),
        )


@pytest.fixture
def closers():
    closers = []
    try:
        yield closers
    finally:
        for peer in reversed(closers):
            peer.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    server = NodeOpcUa(tmp_path_factory.mktemp("node-opcua"))
    yield server
    server.close()


@pytest.fixture
def line(binary, tmp_path, closers, node):
    node.tell("reset")
    return Line(binary, tmp_path, closers, node)


def test_deadbands_elements_and_kinds_as_the_rows_say(line):
    line.server.tell("add", name="Ranged", value=50.0, range=[0, 100])
    line.server.tell("add", name="Plain", value=50.0)
    line.server.tell("add", name="Absolute", value=50.0, range=[0, 100])
    line.server.tell("add", name="Levels", value=[1.0, 2.0, 3.0, 4.0], array=True)
    line.server.tell("add", name="Batch", value="B-17", type="String")
    line.start(
        row("Ranged", "percent"),
        row("Plain", "percent"),
        row("Absolute", "absolute"),
        row("Levels", element="2"),
        row("Batch", kind="text"),
    )
    for tag, value in [("Ranged", 50.0), ("Plain", 50.0), ("Absolute", 50.0), ("Levels", 3.0), ("Batch", "B-17")]:
        line.until_told(tag, value)
    # Without an EURange a percentage is refused: the point is told of everything, and the log of that.
    line.until_logged("the server refuses the deadband", "Plain nsu=urn:riskgate:test;s=Plain")
    assert "Ranged nsu=" not in line.agent.log()
    for value in [50.4, 51.5]:
        for tag in ["Ranged", "Absolute", "Plain"]:
            line.server.tell("set", name=tag, value=value)
        line.until_told("Plain", value)
    line.until_told("Absolute", 51.5)
    line.server.tell("set", name="Ranged", value=55.0)
    line.until_told("Ranged", 55.0)
    assert line.good("Ranged") == {50.0, 55.0}, "1.5 are under 2 % of 100"
    assert line.good("Absolute") == {50.0, 51.5}
    line.server.tell("set", name="Levels", value=[1.0, 2.0, 7.5, 4.0])
    line.until_told("Levels", 7.5)
    line.server.tell("set", name="Ranged", value=55.1, status="BadSensorFailure")
    line.until_told("Ranged", None, "bad device_failure")


def test_a_subscription_that_outlives_its_session_is_taken_over(line):
    line.server.tell("add", name="Level", value=40.0)
    line.start(row("Level"))
    line.until_told("Level", 40.0)
    line.forget()
    with line.proxy.cut_off():
        line.until_link("down")
        line.set_and_sampled("Level", 41.0, 42.0, 43.0)
        line.server.tell("drop", subscriptions=False)
        assert line.server.tell("count")["sessions"] == 0
    line.until_link("up")
    line.until_told("Level", 43.0)
    assert [value for value, quality in line.told("Level") if quality == "good"][:3] == [41.0, 42.0, 43.0]
    line.until_logged("subscriptions of the last session", "n_taken_over=1", "n_gone=0")
    assert line.server.tell("count")["subscriptions"] == 1


def test_what_was_missed_is_read_from_the_history(line):
    line.server.tell("add", name="Level", value=40.0, history=True)
    line.server.tell("add", name="Forgotten", value=1.0)
    line.start(row("Level"), row("Forgotten"))
    line.until_told("Level", 40.0)
    line.until_told("Forgotten", 1.0)
    line.forget()
    with line.proxy.cut_off():
        line.until_link("down")
        line.server.tell("drop", subscriptions=True)
        for value in [41.0, 42.0, 43.0, 44.0]:
            line.server.tell("set", name="Level", value=value)
    for value in [41.0, 42.0, 43.0, 44.0]:
        line.until_told("Level", value)
    past = [value for value, quality in line.told("Level") if quality == "good" and value < 44.0]
    assert past == [41.0, 42.0, 43.0]
    line.until_logged("read from the server's history", "n_samples=3", "1 points: Bad")


def test_restarts_and_nodes_that_come_and_go(line):
    line.server.tell("add", name="Level", value=40.0)
    line.start(row("Level"), row("Later"))
    line.until_told("Level", 40.0)
    line.until_told("Later", None, "bad refused_address")
    line.until_logged("the server refuses items", "Later nsu=urn:riskgate:test;s=Later (BadNodeIdUnknown)")
    line.server.tell("add", name="Later", value=7.0)
    line.until_told("Later", 7.0)
    line.server.tell("remove", name="Later")
    line.forget()
    line.server.tell("add", name="Later", value=8.0)
    line.until_told("Later", 8.0)
    for value in [50.0, 60.0]:
        line.server.kill()
        line.until_link("down")
        line.server.start()
        line.server.tell("add", name="Level", value=value)
        line.until_told("Level", value)


def test_a_subscription_that_falls_silent_is_made_anew_and_the_others_do_not_notice(line):
    line.server.tell("add", name="Level", value=40.0)
    line.server.tell("add", name="Flow", value=1.0)
    line.start(row("Level"), row("Flow", "absolute"), keep_alive="1s")
    line.until_told("Level", 40.0)
    line.until_told("Flow", 1.0)
    line.server.tell("mute", name="Flow")
    line.server.tell("set", name="Flow", value=9.0)
    line.until_told("Flow", None, "bad comm_failure")
    line.until_told("Flow", 9.0)
    line.server.tell("set", name="Level", value=41.0)
    line.until_told("Level", 41.0)
    assert {quality for _, quality in line.told("Level")} == {"good"}
    line.until_logged("has ended or fallen silent", "n_points=1")
    (source,) = line.agent.show("sources")
    assert source["link"] == "up"


def test_a_half_open_link_is_noticed_and_comes_back(line):
    line.server.tell("add", name="Level", value=40.0)
    line.start(row("Level"))
    line.until_told("Level", 40.0)
    for value in [41.0, 42.0]:
        line.forget()
        line.proxy.half_open()
        line.server.tell("set", name="Level", value=value)
        line.until_told("Level", None, "bad comm_failure")
        line.until_told("Level", value)


def test_a_server_that_was_restarted_is_subscribed_anew_and_asked_for_no_subscription(binary, tmp_path, closers):
    server = peers.OpcUa({"Level": 40.0})
    closers.append(server)
    line = Line(binary, tmp_path, closers, server)
    line.start(row("Level"))
    line.until_told("Level", 40.0)
    server.shut()
    line.until_link("down")
    server.variables["Level"] = 50.0
    server.open()
    line.until_told("Level", 50.0)
    line.until_logged("the server was restarted, and its subscriptions ended", "n_gone=1")
    # It keeps no history and answers that there was nothing.
    line.until_logged("read from the server's history", "n_samples=0")
    server.set("Level", 51.0)
    line.until_told("Level", 51.0)
