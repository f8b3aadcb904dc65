"""Modbus against devices of other makes, and through everything that networks and lines do to them."""

import random
import re

import pytest

from support import peers
from support.modbus_peers import Dtu, LibModbus, Pymodbus, SerialPair, build_libmodbus_server, register_at
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
telemetry = "1s"
"""

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
name = "液位报警"
classify1 = "1"
classify2 = "1-1"
"""

SOURCE = '[[source]]\nid = "dev"\nname = "设备"\nperiod = "200ms"\ntimeout = "{timeout}"\ndevice_id = 1\n'
HEAD = "位号,数据源,地址,数据类型\n"


class Plant:
    """One Modbus source, the agent, and what it tells upstream."""

    def __init__(self, binary, folder, closers):
        self.folder = folder
        self.closers = closers
        self.broker = self.own(peers.Mosquitto(folder / "broker"))
        self.upstream = self.own(peers.Upstream(self.broker.port))
        self.agent = self.own(peers.Agent(binary, folder, {}))

    def own(self, peer):
        self.closers.append(peer)
        return peer

    def start(self, way, points, timeout="300ms"):
        files = {
            "gateway.toml": GATEWAY.format(port=self.broker.port),
            "model.toml": MODEL,
            "sources.toml": SOURCE.format(timeout=timeout) + way,
            "points.csv": HEAD + "".join(f"{tag},dev,{address},{kind}\n" for tag, address, kind in points),
        }
        self.agent.write(files)
        self.agent.start()

    def source(self):
        return self.agent.show("sources")[0]

    def until_all_good(self, n_points):
        def good():
            source = self.source()
            return source["link"] == "up" and source["good"] == n_points

        until(lambda: f"all good: {self.source()}\n{self.agent.log()}", good)

    def until_down(self):
        until(lambda: f"down: {self.source()}\n{self.agent.log()}", lambda: self.source()["link"] == "down")

    def readings(self):
        """Each reading that upstream was told: tag, value, quality."""
        batches = [body["data"]["values"] for _, body in self.upstream.seen("telemetry")]
        return [(each["tag"], each["value"], each["quality"]) for values in batches for each in values]

    def told(self, n_good, n_refused=0):
        """The readings, when so many points were told as good, and so many as refused."""

        def n_told(told):
            return len({tag for tag, _, quality in self.readings() if quality == told})

        all_told = lambda: n_told("good") >= n_good and n_told("bad refused_address") >= n_refused
        until(lambda: f"telemetry: {self.readings()}", all_told)
        return self.readings()


@pytest.fixture
def plant(binary, tmp_path):
    closers = []
    try:
        yield Plant(binary, tmp_path, closers)
    finally:
        for peer in reversed(closers):
            peer.close()


@pytest.fixture(scope="session")
def libmodbus(tmp_path_factory):
    return build_libmodbus_server(tmp_path_factory.mktemp("libmodbus"))


def over_tcp(port, kind="modbus-tcp"):
    return f'kind = "{kind}"\nhost = "127.0.0.1"\nport = {port}\n'


def over_serial(path):
    return f'kind = "modbus-rtu"\npath = "{path}"\nbaud = 9600\n'


def peer_of(name, plant, libmodbus):
    """A device of the make, and how it is reached."""
    make, way = name.split(" ", 1)
    if way == "rtu":
        line = plant.own(SerialPair())
        path = line.device_path
        plant.own(LibModbus(libmodbus, path) if make == "libmodbus" else Pymodbus("rtu", path))
        return over_serial(line.agent_path)
    if make == "libmodbus":
        return over_tcp(plant.own(LibModbus(libmodbus)).port)
    device = plant.own(Pymodbus("tcp" if way == "tcp" else "rtu over tcp"))
    return over_tcp(device.port, "modbus-tcp" if way == "tcp" else "modbus-rtu-tcp")


def registers(addresses, table="holding"):
    return [(f"{table}-{address}", f"{table}:{address}", "u16") for address in addresses]


def check_values(readings):
    """No reading holds anything but what the device holds there, and none is bad with a value."""
    for tag, value, quality in readings:
        table, address = tag.split("-")
        right = int(address) % 3 == 0 if table in ("coil", "discrete") else register_at(int(address))
        assert (value == right and quality == "good") or (value is None and quality.startswith("bad")), (tag, value, quality)


@pytest.mark.parametrize("name", ["pymodbus tcp", "pymodbus rtu", "pymodbus rtu over tcp", "libmodbus tcp", "libmodbus rtu"])
def test_devices_of_two_makes_are_read_over_tcp_and_serial_lines(plant, libmodbus, name):
    points = registers([0, 1, 2, 100, 500, 999]) + registers([3, 700], "input")
    if name.startswith("libmodbus"):
        points += [(f"{table}-{at}", f"{table}:{at}", "bool") for table in ("coil", "discrete") for at in (0, 1, 9, 900)]
    plant.start(peer_of(name, plant, libmodbus), points)
    plant.until_all_good(len(points))
    readings = plant.told(len(points))
    check_values(readings)
    assert {tag for tag, _, quality in readings if quality == "good"} == {tag for tag, _, _ in points}


def test_addresses_that_a_device_does_not_have_are_named_and_its_others_are_read(plant, libmodbus):
    points = registers(range(990, 1003))
    plant.start(peer_of("libmodbus tcp", plant, libmodbus), points)
    until(lambda: f"ten good, three bad: {plant.source()}", lambda: (plant.source()["good"], plant.source()["bad"]) == (10, 3))
    readings = plant.told(10, 3)
    check_values(readings)
    refused = {tag for tag, _, quality in readings if quality == "bad refused_address"}
    assert {"holding-1000", "holding-1001", "holding-1002"} <= refused
    assert plant.source()["link"] == "up"
    sentence = r"refuses holding 1000, holding 1001, holding 1002 \(exception 2, illegal data address\).*address_base"
    until(lambda: f"said with a hint: {plant.agent.log()}", lambda: re.search(sentence, plant.agent.log()))


def rattled(rng):
    """A piece of a reply with one byte changed, every third time."""

    def corrupt(piece):
        if rng.random() > 0.3:
            return piece
        at = rng.randrange(len(piece))
        return piece[:at] + bytes([piece[at] ^ rng.randrange(1, 256)]) + piece[at + 1 :]

    return corrupt


def rattled_header(rng):
    """TCP guards its bytes, and Modbus TCP has no sum of its own: what goes wrong are the headers of lying
    gateways."""

    def corrupt(piece):
        head = bytearray(piece)
        if rng.random() < 0.3 and len(head) > 8:
            head[rng.randrange(8)] ^= rng.randrange(1, 256)
        return bytes(head)

    return corrupt


def count_of(plant, text):
    return plant.agent.log().count(text)


@pytest.mark.parametrize("kind", ["modbus-tcp", "modbus-rtu-tcp"])
def test_what_a_network_does_never_makes_a_wrong_value_and_is_recovered_from(plant, kind):
    device = plant.own(Pymodbus("tcp" if kind == "modbus-tcp" else "rtu over tcp"))
    proxy = plant.own(Proxy(device.port))
    rng = random.Random(7)
    points = registers(range(0, 40)) + registers(range(200, 210)) + registers(range(300, 400, 9))
    n_points = len(points)
    plant.start(over_tcp(proxy.port, kind), points)
    plant.until_all_good(n_points)

    def polled(n_requests):
        """So much has gone out to the device meanwhile."""
        before = len(proxy.passed)
        until(lambda: f"it is asked on: {plant.source()}", lambda: len(proxy.passed) - before > n_requests * 12)

    # Answers that come after their time; the line must not mistake them for later ones.
    proxy.delay_s = 0.5
    plant.until_down()
    polled(3)
    proxy.delay_s = 0.0
    plant.until_all_good(n_points)

    # Some come in time and some do not.
    proxy.delay_s = 0.28
    polled(6)
    proxy.delay_s = 0.0
    plant.until_all_good(n_points)

    for _ in range(3):
        visits = proxy.visits
        proxy.cut()
        until("a new connection", lambda: proxy.visits > visits)
        plant.until_all_good(n_points)

    visits = proxy.visits
    proxy.half_open()
    until("a new connection", lambda: proxy.visits > visits)
    plant.until_all_good(n_points)

    proxy.corrupt = rattled(rng) if kind == "modbus-rtu-tcp" else rattled_header(rng)
    polled(20)
    proxy.corrupt = None
    plant.until_all_good(n_points)

    proxy.reorder.set()
    polled(4)
    proxy.reorder.clear()
    plant.until_all_good(n_points)

    proxy.black_hole.set()
    plant.until_down()
    proxy.black_hole.clear()
    plant.until_all_good(n_points)

    proxy.down()
    proxy.cut()
    plant.until_down()
    assert "connecting failed" in plant.source()["why"], plant.source()
    proxy.up()
    plant.until_all_good(n_points)
    check_values(plant.told(n_points))


def test_what_a_serial_line_does_never_makes_a_wrong_value_and_is_recovered_from(plant, libmodbus):
    line = plant.own(SerialPair())
    plant.own(LibModbus(libmodbus, line.device_path))
    points = registers(range(0, 40)) + registers(range(200, 210))
    n_points = len(points)
    plant.start(over_serial(line.agent_path), points)
    plant.until_all_good(n_points)

    line.corrupt = rattled(random.Random(11))
    seen = len(plant.readings())
    until("it is noticed", lambda: any(quality.startswith("bad") for _, _, quality in plant.readings()[seen:]))
    line.corrupt = None
    plant.until_all_good(n_points)

    line.broken.set()
    plant.until_down()
    line.broken.clear()
    plant.until_all_good(n_points)

    # Every answer comes after its time.
    line.delay_s = 1.0
    plant.until_down()
    line.delay_s = 0.0
    plant.until_all_good(n_points)
    check_values(plant.told(n_points))


def test_a_link_that_is_lost_is_told_once_however_long_it_is_away(plant):
    device = plant.own(Pymodbus("tcp"))
    proxy = plant.own(Proxy(device.port))
    points = registers(range(0, 10))
    plant.start(over_tcp(proxy.port), points, timeout="1s")
    plant.until_all_good(len(points))
    proxy.black_hole.set()
    proxy.cut()
    plant.until_down()
    visits = proxy.visits
    until("it was tried again and again", lambda: proxy.visits >= visits + 2)
    readings = [quality for tag, _, quality in plant.readings() if tag == "holding-0"]
    assert readings.count("bad comm_failure") <= 1, readings
    assert count_of(plant, "no reply within") == 1, plant.agent.log()
    proxy.black_hole.clear()
    plant.until_all_good(len(points))
    check_values(plant.told(len(points)))


def test_a_device_behind_a_dtu_that_dials_in_is_read_and_read_again_when_it_dials_anew(plant):
    device = plant.own(Pymodbus("rtu over tcp"))
    port = peers.free_port()
    points = registers(range(0, 10)) + registers([500])
    way = f'kind = "modbus-dial-in"\nlisten = "127.0.0.1:{port}"\nregistration = "DTU-01"\nconnect_timeout = "200ms"\n'
    plant.start(way, points)
    plant.until_down()
    stranger = plant.own(Dtu(port, b"DTU-99", device.port))
    until(lambda: f"it listens: {plant.agent.log()}", lambda: peers.answers(port))
    stranger.dial()
    refused = r"'DTU-99' from 127\.0\.0\.1:\d+ is refused"
    until(lambda: f"the stranger is told: {plant.agent.log()}", lambda: re.search(refused, plant.agent.log()))
    counted = [("unknown_registration", 1)]
    until(
        lambda: f"and counted: {plant.source()['skipped']}",
        lambda: counted == [(skip["reason"], skip["count"]) for skip in plant.source()["skipped"] if "DTU" in skip["example"]],
    )
    dtu = plant.own(Dtu(port, b"DTU-01", device.port))
    dtu.dial()
    plant.until_all_good(len(points))
    # It dials anew while the old connection still seems to live, then goes and comes.
    dtu.dial()
    plant.until_all_good(len(points))
    dtu.hang_up()
    plant.until_down()
    dtu.dial()
    plant.until_all_good(len(points))
    check_values(plant.told(len(points)))


def test_a_redundant_device_is_read_at_its_second_address(plant):
    first, second = Pymodbus("tcp"), plant.own(Pymodbus("tcp"))
    points = registers(range(0, 10))
    try:
        plant.start(over_tcp(first.port) + f'second_host = "127.0.0.1"\nsecond_port = {second.port}\n', points)
        plant.until_all_good(len(points))
    finally:
        first.close()
    said = f"127.0.0.1:{second.port} is in use now"
    until(lambda: f"the second is told: {plant.agent.log()}", lambda: said in plant.agent.log())
    plant.until_all_good(len(points))
    check_values(plant.told(len(points)))
