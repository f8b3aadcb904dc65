"""Plant-side brokers: TLS, both versions of MQTT, last wills, floods, and that nothing is ever published."""

import os
import re
import socket
import threading
import time

import paho.mqtt.client as mqtt
import pytest
from support.papers import Authority
from support.peers import Agent, Feed, Mosquitto, Modbus, free_port, keeps_period, until
from support.proxy import Proxy

GATEWAY = """
[gateway]
company = "540170007"
id = "54017000701"
name = "端到端网关"

[uplink]
host = "127.0.0.1"
port = {uplink}
"""
HEADER = "位号,数据源,地址,数据类型,类别\n"
POINT = "X-1,feed,plant/x,f32,process\n"


def feed_source(port, extra="", name="feed"):
    return (
        f'[[source]]\nid = "{name}"\nname = "{name}"\nkind = "mqtt"\nhost = "127.0.0.1"\nport = {port}\n'
        f'stale_after = "10m"\n{extra}\n'
    )


class Plant:
    """A plant's broker, and an agent that reads one point of it. Nobody is upstream."""

    def __init__(self, binary, folder, closers):
        self.folder = folder
        self.closers = closers
        self.broker = self.own(Mosquitto(folder / "broker"))
        self.agent = self.own(Agent(binary, folder, {}))

    def own(self, peer):
        self.closers.append(peer)
        return peer

    def configure(self, sources, points=POINT):
        gateway = GATEWAY.format(uplink=free_port())
        # A reload takes up sources and points; the gateway's own part stays as it was written first.
        if not (self.agent.config / "gateway.toml").exists():
            self.agent.write({"gateway.toml": gateway})
        self.agent.write({"sources.toml": sources, "points.csv": HEADER + points})


@pytest.fixture
def plant(binary, tmp_path):
    closers = []
    try:
        yield Plant(binary, tmp_path, closers)
    finally:
        for peer in reversed(closers):
            peer.close()


def seen(agent, name="feed"):
    return next(source for source in agent.show("sources") if source["id"] == name)


def until_up(agent, name="feed"):
    until(lambda: f"{name} is up: {seen(agent, name)}\n{agent.log()}", lambda: seen(agent, name)["link"] == "up")


def until_down(agent, *words, name="feed"):
    def down():
        source = seen(agent, name)
        return source["link"] == "down" and all(word in source["why"] for word in words)

    until(lambda: f"{name} is down with {words}: {seen(agent, name)}", down)


class Secured:
    """A mosquitto that wants client certificates, and the papers of both sides in the folders of each."""

    def __init__(self, plant, client_certificates=True, settings=""):
        self.plant = plant
        self.authority = Authority("plant authority")
        self.papers = plant.folder / "broker-papers"
        self.authority.issue(self.papers, "broker")
        self.authority.write(self.papers / "ca.pem")
        self.ours = plant.agent.config
        self.authority.issue(self.ours, "gateway")
        self.authority.write(self.ours / "plant-ca.pem")
        # Started as root it would become another user, who may not read the papers.
        settings += "user root\n" if os.geteuid() == 0 else ""
        settings += f"cafile {self.papers / 'ca.pem'}\ncertfile {self.papers / 'broker.crt'}\nkeyfile {self.papers / 'broker.key'}\n"
        if client_certificates:
            settings += "require_certificate true\nuse_identity_as_username true\n"
        # Without TLS, for whoever feeds it.
        self.plain = free_port()
        settings += f"listener {self.plain} 127.0.0.1\nallow_anonymous true\n"
        self.broker = plant.own(Mosquitto(plant.folder / "secured", settings))

    OWN = 'tls = { ca_file = "plant-ca.pem", certificate_file = "gateway.crt", key_file = "gateway.key" }'
    NONE = 'tls = { ca_file = "plant-ca.pem" }'

    def configure(self, extra=OWN):
        self.plant.configure(feed_source(self.broker.port, extra))


@pytest.mark.parametrize("version, shown", [("auto", "p5"), ("5", "p5"), ("3.1.1", "p2")])
def test_a_broker_that_wants_client_certificates_is_read_in_either_version(plant, version, shown):
    secured = Secured(plant)
    secured.configure(f'{Secured.OWN}\nversion = "{version}"')
    agent = plant.agent.start()
    until_up(agent)
    feed = plant.own(Feed(secured.plain))
    feed.publish("plant/x", 12.5)
    until("the point is read", lambda: seen(agent)["bad"] == 0)
    (client,) = re.findall(r"connected from 127\.0\.0\.1:?\d* as riskgate-\S*feed \((p\d),.*u'gateway'", secured.broker.log())
    assert client == shown, secured.broker.log()


@pytest.mark.parametrize("newest", ["", "tls_version tlsv1.2\n"])
def test_each_refusal_says_which_side_refuses_why_and_what_to_do(plant, newest):
    secured = Secured(plant, settings=newest)
    secured.configure(Secured.NONE)
    agent = plant.agent.start()
    until_down(agent, "the broker refuses us without a certificate", "write tls.certificate_file")
    secured.configure()
    Authority("another authority").issue(secured.ours, "gateway")
    assert agent.command("reload").returncode == 0
    until_down(agent, "the broker refuses our certificate: it does not know who signed it")
    secured.authority.issue(secured.ours, "gateway", days=(-30, -1))
    assert agent.command("reload").returncode == 0
    until_down(agent, "the broker refuses our certificate: it has expired", "renew tls.certificate_file")
    # Without a reload: a renewed certificate is taken up by itself.
    secured.authority.issue(secured.ours, "gateway")
    until_up(agent)
    secured.authority.issue(secured.papers, "broker", names=["mq1.plant"])
    secured.broker.kill()
    secured.broker.start()
    until_down(agent, "we refuse the broker's certificate", "not made out to '127.0.0.1' but to mq1.plant", "server_name")
    secured.configure(Secured.OWN.replace(" }", ', server_name = "mq1.plant" }'))
    assert agent.command("reload").returncode == 0
    until_up(agent)


def test_certificates_renewed_on_both_sides_while_the_broker_restarts_reconnect(plant):
    secured = Secured(plant)
    secured.configure()
    agent = plant.agent.start()
    until_up(agent)
    feed = plant.own(Feed(secured.plain))
    feed.publish("plant/x", 1.0)
    until("the point is read", lambda: seen(agent)["bad"] == 0)
    secured.broker.kill()
    until_down(agent)
    # A new authority, too: of the old papers nothing is of use any more.
    secured.authority = Authority("plant authority, second")
    secured.authority.write(secured.papers / "ca.pem")
    secured.authority.write(secured.ours / "plant-ca.pem")
    secured.authority.issue(secured.papers, "broker")
    secured.authority.issue(secured.ours, "gateway")
    secured.broker.start()
    until_up(agent)
    plant.own(Feed(secured.plain)).publish("plant/x", 2.0)
    until("the point is read again", lambda: seen(agent)["bad"] == 0)


def test_a_file_that_is_not_there_is_told_at_the_start_and_a_reload_takes_up_a_new_one(plant):
    secured = Secured(plant)
    secured.configure()
    (secured.ours / "gateway.key").unlink()
    done = plant.agent.process_once()
    assert done.returncode != 0
    assert "the TLS files of source 'feed'" in done.stderr and "gateway.key" in done.stderr, done.stderr
    secured.authority.issue(secured.ours, "gateway")
    agent = plant.agent.start()
    until_up(agent)
    connected = secured.broker.log().count("feed (p5")
    assert "not changed" in agent.command("reload").stdout
    secured.authority.issue(secured.ours, "gateway")
    assert "now run" in agent.command("reload").stdout
    until("it is connected anew", lambda: secured.broker.log().count("feed (p5") > connected)
    (secured.ours / "gateway.key").write_text("no key")
    refused = agent.command("reload")
    assert refused.returncode != 0 and "gateway.key holds no private key" in refused.stderr, refused.stderr


def test_tls_and_no_tls_are_told_apart(plant):
    secured = Secured(plant, client_certificates=False)
    plant.configure(feed_source(secured.plain, Secured.NONE))
    agent = plant.agent.start()
    until_down(agent, "8883 is usual for TLS")
    plant.configure(feed_source(secured.broker.port))
    assert agent.command("reload").returncode == 0
    until_down(agent, "TLS")
    secured.configure(Secured.NONE)
    assert agent.command("reload").returncode == 0
    until_up(agent)


def packets(stream):
    """The first byte and the body of each packet of a client."""
    at = 0
    while at < len(stream):
        first, length, shift, at = stream[at], 0, 0, at + 1
        while True:
            byte, at = stream[at], at + 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        yield first, bytes(stream[at : at + length])
        at += length


def test_nothing_is_ever_published_to_a_plant_broker(plant):
    proxies = {version: plant.own(Proxy(plant.broker.port)) for version in ("5", "3.1.1")}
    status = 'status = { topic = "plant/status" }\nheartbeat = "plant/alive"'
    fixes = 'fixes = [{ topic = "rtls/#", tag = "$.t" }]'
    sources = [
        feed_source(proxy.port, f'version = "{version}"\n{status}\n{fixes}', name=f"v{version[0]}")
        for version, proxy in proxies.items()
    ]
    plant.configure("".join(sources), points="".join(f"X-{n},v{n},plant/x,f32,process\n" for n in "53"))
    agent = plant.agent.start()
    feed = plant.own(Feed(plant.broker.port))
    for name in ("v5", "v3"):
        until_up(agent, name)
    for at in range(50):
        feed.publish("plant/x", at)
        feed.publish("rtls/1", {"t": "1"})
        feed.publish("plant/alive", at)
    feed.publish("plant/status", "junk")
    feed.publish("rtls/1", "junk")
    for proxy in proxies.values():
        until("a sign of life was asked for", lambda: b"\xc0\x00" in proxy.passed)
    assert agent.stop() == 0
    for proxy in proxies.values():
        until("it said goodbye", lambda: proxy.passed.endswith(b"\xe0\x00"))
        sent = list(packets(proxy.passed))
        kinds = {first >> 4 for first, _ in sent}
        assert kinds == {1, 8, 4, 12, 14}, "CONNECT, SUBSCRIBE, PUBACK, PINGREQ, DISCONNECT"
        ((_, connect),) = [packet for packet in sent if packet[0] >> 4 == 1]
        assert connect[7] & 0b0000_0100 == 0, "no will of ours"
        assert connect[7] & 0b0000_0010, "a clean session"


def test_last_will_ignored_so_a_dead_feed_looks_alive(plant):
    """It does not: the broker answers all the while, and tells that the feed is gone."""
    # As Frigate writes it: a plain word, kept by the broker.
    status = 'status = { topic = "frigate/available", online = "online", offline = "offline" }'
    plant.configure(feed_source(plant.broker.port, status))

    def start_feed():
        feed = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        feed.will_set("frigate/available", "offline", qos=1, retain=True)
        feed.connect("127.0.0.1", plant.broker.port)
        feed.loop_start()
        feed.publish("frigate/available", "online", qos=1, retain=True).wait_for_publish(10)
        feed.publish("plant/x", "1", qos=1).wait_for_publish(10)
        return feed

    def die(feed):
        feed.loop_stop()
        feed.socket().close()

    feed = start_feed()
    agent = plant.agent.start()
    until_up(agent)
    feed.publish("plant/x", "2", qos=1).wait_for_publish(10)
    until("the point is read", lambda: seen(agent)["bad"] == 0)
    die(feed)
    until_down(agent, "the feed said that it is gone ('offline' on frigate/available)", "the broker answers")
    assert seen(agent)["bad"] == 1
    agent.kill()
    agent.start()
    until_down(agent, "the feed said that it is gone")
    feed = start_feed()
    until_up(agent)
    die(feed)


class Flood:
    """Junk at QoS 0 as fast as the broker takes it, over a bare socket."""

    # MQTT 3.1.1, a clean session, and a name of six letters.
    CONNECT = b"\x10\x12\x00\x04MQTT\x04\x02\x00\x00\x00\x06"

    def __init__(self, port, name, topic, payload):
        assert len(name) == 6
        head = len(topic).to_bytes(2, "big") + topic
        length = len(head) + len(payload)
        assert length < 128
        self.one = bytes([0x30, length]) + head + payload
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(self.CONNECT + name)
        assert self.socket.recv(4) == b"\x20\x02\x00\x00"
        self.open = True
        self.thread = threading.Thread(target=self._pour, daemon=True)
        self.thread.start()

    def _pour(self):
        piece = self.one * 200
        try:
            while self.open:
                self.socket.sendall(piece)
                time.sleep(0.002)
        except OSError:
            pass

    def close(self):
        self.open = False
        self.thread.join(10)
        self.socket.close()


def resident_kib(process):
    status = open(f"/proc/{process.pid}/status").read()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])


def test_a_flood_of_junk_harms_neither_a_neighbour_nor_the_memory(plant):
    polls = []
    modbus = plant.own(Modbus())
    neighbour = (
        f'[[source]]\nid = "dcs"\nname = "DCS"\nkind = "modbus-tcp"\nhost = "127.0.0.1"\nport = {modbus.port}\n'
        'device_id = 1\nperiod = "200ms"\n'
    )
    plant.configure(neighbour + feed_source(plant.broker.port), points=POINT + "LT-101,dcs,holding:10,f32,process\n")
    agent = plant.agent.start()
    until_up(agent)
    until_up(agent, "dcs")
    modbus.on_request = lambda: polls.append(time.monotonic())
    until("the neighbour is polled", lambda: len(polls) > 5)
    before = resident_kib(agent.process)

    def told(reason):
        """At which counts the log told it."""
        line = rf'part of a message could not be used.*?reason="?{reason}"? count=(\d+)'
        return [int(count) for count in re.findall(line, agent.log())]

    def flood(name, payload):
        return plant.own(Flood(plant.broker.port, name, b"plant/x", payload))

    junk = {"not_json": (b"flood1", b"{junk"), "unusable_value": (b"flood2", b'{"v": "junk"}')}
    for reason, what in junk.items():
        alone = flood(*what)
        until(lambda: f"a flood of {reason}: {told(reason)}", lambda: max(told(reason), default=0) >= 100_000)
        assert resident_kib(agent.process) - before < 20 * 1024
        alone.close()
    both = [flood(*what) for what in junk.values()]
    start = len(polls)
    until(lambda: f"the neighbour is polled at its period: {polls[start:]}", lambda: keeps_period(polls[start:], 0.2))
    for one in both:
        one.close()
    until_up(agent)
    for reason in junk:
        counts = told(reason)
        assert counts == [10**power for power in range(len(counts))], "told at powers of ten"
