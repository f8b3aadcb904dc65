"""Real peers for the end-to-end tests: each on a free loopback port, each ended by its own id.

Nothing here sleeps for a guess: `until` asks a condition again and again until it holds or a
generous deadline says that it never will.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

import paho.mqtt.client as mqtt
from asyncua import Server, ua
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from support import schemas

PATIENCE_S = 60.0
LOOK_EVERY_S = 0.02


def until(what, condition, patience=PATIENCE_S):
    """The first truthy answer of `condition`; fails with `what` when there is none in time."""
    end = time.monotonic() + patience
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience:.0f} s: {what() if callable(what) else what}")
        time.sleep(LOOK_EVERY_S)


def keeps_period(moments, period_s, gaps=30):
    """Whether so many gaps, the last ones, are as they should be: in the middle, and all together. Waited for, because
    a machine that stalls for a moment says nothing about who is looked at."""
    window = moments[-gaps - 1 :]
    between = sorted(later - earlier for earlier, later in zip(window, window[1:]))
    if len(between) < gaps:
        return False
    return all(abs(gap - period_s) < period_s / 10 for gap in (between[gaps // 2], sum(between) / gaps))


def hold_port():
    """A socket that holds a port: bound, not listening. The system gives the port to nobody else, whoever connects is
    refused, and a server that is meant for it may listen there all the same, because both say SO_REUSEADDR as
    servers do; it may go and come back. `ports.rs` does the same for the tests in Rust."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


def port_of(held):
    return held.getsockname()[1]


# Never closed: what this process was given stays its own until it ends.
_held = []


def free_port():
    """A port for a server that cannot bind port 0, or that nobody is to serve."""
    _held.append(hold_port())
    return port_of(_held[-1])


def answers(port):
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Mosquitto:
    """Debian's broker, by default without persistence: a restart forgets every session and every message."""

    def __init__(self, folder, settings="", port=None):
        self.port = port or free_port()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.conf = folder / "mosquitto.conf"
        self.conf.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
            f"max_queued_messages 0\nlog_dest stderr\n{settings}"
        )
        self.process = None
        self.start()

    def start(self):
        binary = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
        assert binary, "mosquitto is missing: apt-get install mosquitto"
        log = open(self.folder / "mosquitto.log", "ab")
        self.process = subprocess.Popen([binary, "-c", self.conf], stderr=log, stdout=log)
        log.close()
        until("mosquitto listens", self.listens)

    def listens(self):
        listens = answers(self.port)
        # Looked at after the answer: who answers for one that has ended is another.
        assert self.process.poll() is None, f"mosquitto ended with {self.process.returncode}\n{self.log()}"
        return listens

    def log(self):
        return (self.folder / "mosquitto.log").read_text()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


class InLoop:
    """A thread with an event loop of its own, for the asyncio servers."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def call(self, coroutine, patience=PATIENCE_S):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(patience)

    def end(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(PATIENCE_S)


class Modbus(InLoop):
    """pymodbus with one device of 1,000 registers, holding and input alike."""

    def __init__(self, device_id=1, port=None):
        super().__init__()
        self.device_id = device_id
        self.port = port or free_port()
        self.words = {}
        self.server = None
        self.on_request = lambda: None
        self.open()

    def _trace(self, sending, pdu):
        if not sending:
            self.on_request()
        return pdu

    def open(self):
        async def serve():
            registers = SimData(0, count=1000, values=0, datatype=DataType.REGISTERS)
            device = SimDevice(self.device_id, simdata=[registers])
            self.server = ModbusTcpServer(device, address=("127.0.0.1", self.port), trace_pdu=self._trace)
            await self.server.serve_forever(background=True)

        self.call(serve())
        until("pymodbus listens", lambda: answers(self.port))
        for address, words in self.words.items():
            self.set_registers(address, words)

    def shut(self):
        self.call(self.server.shutdown())

    def set_registers(self, address, words):
        self.words[address] = words
        self.call(self.server.async_setValues(self.device_id, 16, address, words))

    def set_f32(self, address, number):
        self.set_registers(address, list(struct.unpack(">HH", struct.pack(">f", number))))

    def close(self):
        self.shut()
        self.end()


class OpcUa(InLoop):
    """asyncua with variables below `urn:riskgate:test`, security None."""

    URI = "urn:riskgate:test"

    def __init__(self, variables):
        super().__init__()
        self.port = free_port()
        self.url = f"opc.tcp://127.0.0.1:{self.port}/riskgate"
        self.variables = variables
        self.nodes = {}
        self.server = None
        self.open()

    def open(self):
        async def serve():
            server = Server()
            await server.init()
            server.set_endpoint(self.url)
            server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
            index = await server.register_namespace(self.URI)
            for name, value in self.variables.items():
                node_id = ua.NodeId(name, index)
                self.nodes[name] = await server.nodes.objects.add_variable(node_id, name, value)
            await server.start()
            self.server = server

        self.call(serve())

    def shut(self):
        self.call(self.server.stop())

    def set(self, name, value):
        self.variables[name] = value
        self.call(self.nodes[name].write_value(value))

    def set_bad(self, name, status=ua.StatusCodes.BadSensorFailure):
        bad = ua.DataValue(ua.Variant(None), StatusCode=ua.StatusCode(status))
        self.call(self.nodes[name].write_value(bad))

    def close(self):
        self.shut()
        self.end()


class Upstream:
    """What the platform sees: everything below one root, in order of arrival."""

    def __init__(self, port, root="riskgate/v1/540170007/54017000701"):
        self.root = root
        self.lock = threading.Lock()
        self.messages = []
        # What does not fit its schema: told when the test closes.
        self.misfits = []
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.reconnect_delay_set(min_delay=1, max_delay=1)
        self.client.on_connect = lambda client, *_: client.subscribe(f"{root}/#", qos=1)
        self.client.on_message = self._take
        self.subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.subscribed.wait(PATIENCE_S), "the broker did not answer the subscription"

    def _take(self, _client, _user, message):
        topic = message.topic.removeprefix(self.root + "/")
        body = json.loads(message.payload) if message.payload else None
        misfit = None if body is None or topic.startswith("cmd/") else schemas.misfit(topic, body)
        with self.lock:
            if misfit:
                self.misfits.append(misfit)
            self.messages.append((topic, body, message.retain))

    def seen(self, prefix):
        with self.lock:
            return [(topic, body) for topic, body, _ in self.messages if topic.startswith(prefix)]

    def objects(self, prefix):
        """The highest revision of each object under a topic, by `data.id`."""
        newest = {}
        for _, body in self.seen(prefix):
            fields = body["data"]
            if fields["id"] not in newest or newest[fields["id"]]["revision"] < fields["revision"]:
                newest[fields["id"]] = fields
        return newest

    def publish(self, topic, body):
        self.client.publish(f"{self.root}/{topic}", json.dumps(body), qos=1).wait_for_publish(PATIENCE_S)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()
        assert not self.misfits, "\n".join(self.misfits)


class Feed:
    """A plain MQTT client on the plant's side: it publishes tags and sightings."""

    def __init__(self, port):
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def publish(self, topic, body, retain=False):
        sent = self.client.publish(topic, json.dumps(body), qos=1, retain=retain)
        sent.wait_for_publish(PATIENCE_S)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class Agent:
    """The real binary on a configuration folder of its own."""

    def __init__(self, binary, folder, files):
        self.binary = binary
        self.folder = folder
        self.config = folder / "config"
        self.socket = folder / "riskgate.sock"
        self.http = free_port()
        self.write(files)
        self.environment = {}
        self.process = None
        self.log_path = folder / "agent.log"

    def write(self, files):
        self.config.mkdir(parents=True, exist_ok=True)
        console = f'[console]\nhttp = "127.0.0.1:{self.http}"\nsocket = "{self.socket}"\n'
        store = f'[store]\ndir = "{self.folder / "state"}"\n'
        (self.config / "local.toml").write_text(console + store)
        for name, text in files.items():
            (self.config / name).write_text(text)

    def start(self):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [self.binary, "run", "--config", self.config],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **self.environment},
        )
        log.close()
        until(self.log, self.ready)
        return self

    def process_once(self):
        return subprocess.run(
            [self.binary, "run", "--config", self.config, "--once"], capture_output=True, text=True, timeout=PATIENCE_S
        )

    def ready(self):
        assert self.process.poll() is None, f"the agent ended with {self.process.returncode}\n{self.log()}"
        return answers(self.http)

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else "no log"

    def command(self, *words):
        return subprocess.run(
            [self.binary, *words, "--socket", self.socket], capture_output=True, text=True, timeout=PATIENCE_S
        )

    def show(self, what=None):
        # Of an agent that has only just started, the list of sources is empty still.
        if what == "sources":
            return until("a source is shown", lambda: self.shown(what))
        return self.shown(what)

    def shown(self, what):
        done = self.command("show", *([what] if what else []), "--json")
        assert done.returncode == 0, done.stderr + self.log()
        return json.loads(done.stdout)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.stop()
