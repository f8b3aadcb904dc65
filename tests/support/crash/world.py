"""The processes of one seed: the real agent, mosquitto, a Modbus server of pymodbus, a receiver; and the steps that
befall them."""

import dataclasses
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import threading
import time

from support import peers
from support.crash import plan as plans
from support.crash.receiver import Receiver

ROOT = "riskgate/v1/540170007/54017000701"
HEADERS = "位号,名称,数据源,地址,数据类型,工程单位,量程下限,量程上限,高报,高高报,死区,延时,类别,管控措施,确认"
EVERY_POINT = [*plans.POINTS, plans.LAST]


def address(point):
    return EVERY_POINT.index(point)


def limit_of(point, version):
    return plans.MOVED_LIMITS[version] if point == plans.MOVED else plans.LIMIT


def files(folder, version, ports):
    """The configuration. Every second measure wants a person to confirm its hazard."""
    point_rows, measures = [HEADERS], []
    for number, point in enumerate(EVERY_POINT):
        delay = "300ms" if point in plans.DELAYED else "0s"
        # A hazard comes at once where it is not confirmed by a person.
        confirm = "person" if number % 2 and point != plans.LAST else "auto"
        limits = f"{limit_of(point, version)},{plans.LIMIT_HIGH}"
        measure = f"M-{point}"
        row = [point, f"{point}液位", "plc", f"holding:{number}", "u16", "%", "0", "100", limits, "0", delay]
        point_rows.append(",".join([*row, "process", measure, confirm]))
        measures.append(
            f'[[measure]]\nid = "{measure}"\nunit = "U-{number % 2}"\nevent = "储罐满溢"\nname = "{point}液位监测"\n'
            'classify1 = "1"\nclassify2 = "1-1"\n'
        )
    units = [
        f'[[unit]]\nid = "U-{number}"\nname = "罐区{number}"\nhazard_code = "54017000700{number}"\n'
        'base_class = "yellow"\nliable_person = "王强"\n'
        for number in range(2)
    ]
    task = '[[task]]\nid = "T-1"\nmeasure = "M-P-01"\ncontent = "检查液位计"\ncycle = "8h"\nassignee = "zhang"\n'
    rules = """
[[rule]]
id = "boost"
measure = "M-P-01"
name = "加密排查"
priority = "low"
when = "{P-01} >= 60"
task = { id = "T-1", cycle = "1h", hold = "1s" }
unit = { raise_to = "orange", hold = "1s" }
"""
    gateway = f"""
[gateway]
company = "540170007"
id = "54017000701"
name = "崩溃试验网关"

[uplink]
host = "127.0.0.1"
port = {ports.broker}
telemetry = "200ms"

[console]
http = "127.0.0.1:{ports.http}"
socket = "{folder / "riskgate.sock"}"

[store]
dir = "{folder / "state"}"

[[source]]
id = "plc"
name = "PLC"
kind = "modbus-tcp"
host = "127.0.0.1"
port = {ports.modbus}
device_id = 1
period = "50ms"
timeout = "1s"
"""
    return {
        "gateway.toml": gateway,
        "model.toml": "\n".join([*units, *measures, task]),
        "points.csv": "\n".join(point_rows) + "\n",
        "rules.toml": rules,
    }


@dataclasses.dataclass(frozen=True)
class Ports:
    broker: int
    http: int
    modbus: int


class World:
    def __init__(self, plan, binary, folder):
        self.plan, self.binary, self.folder = plan, binary, folder
        # Of its own, as runs stand beside each other, while a broker is down too; the seed has no part in it.
        held = [peers.hold_port() for _ in range(3)]
        self.ports = Ports(*map(peers.port_of, held))
        self.version = 0
        self.values = dict.fromkeys(EVERY_POINT, 10)
        # When the agent ended, however it did.
        self.ends = []
        self.kills = 0
        # (token, deed): acts of which the agent has said that they are durable.
        self.durable_acts = []
        self.process = None
        self.stopping = False
        # The connection that holds the store's file, and whether one did while the agent stopped.
        self.held = None
        self.was_held = False
        self.began = time.monotonic()
        self.steps = open(folder / "steps.log", "w", buffering=1)
        self.closers = [*(port.close for port in held), self.steps.close]
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self):
        settings = f"persistence true\npersistence_location {self.folder / 'broker'}/\nautosave_interval 1\n"
        # Started by root, it would become another user, who may not write there.
        settings += "user root\n" if os.geteuid() == 0 else ""
        self.broker = peers.Mosquitto(
            self.folder / "broker",
            settings if self.plan.persistent else "",
            self.ports.broker,
        )
        self.closers.append(self.broker.kill)
        self.plant = peers.Modbus(port=self.ports.modbus)
        self.closers.append(self.plant.close)
        self.receiver = Receiver(self.ports.broker, ROOT, self.plan.session, self.plan.receiver_pause_s)
        self.closers.append(self.receiver.close)
        self.closers.append(self.abandon)
        self.closers.append(self.release)
        for point in EVERY_POINT:
            self.set(point, 10)
        self.write(0)

    def close(self):
        while self.closers:
            self.closers.pop()()

    def note(self, *words):
        print(f"{(time.monotonic() - self.began) * 1000:8.0f}", *words, file=self.steps)

    def run(self):
        """Every step at its time, or as soon after it as the steps before allow."""
        person = Person(self)
        try:
            for step in self.plan.steps:
                pause = self.began + step.at_ms / 1000 - time.monotonic()
                if pause > 0:
                    # The plan says when: there is nothing to wait for.
                    time.sleep(pause)
                self.note(step.who, step.what, step.detail)
                self.step(step, person)
        finally:
            person.end()

    def step(self, step, person):
        match step.who, step.what:
            case "plant", "set":
                self.set(*step.detail)
            case "agent", "start":
                self.start()
            case "agent", "kill":
                self.kill()
            case "agent", "stop":
                self.terminate()
            case "agent", "reload":
                self.write(step.detail)
                if self.is_up():
                    self.process.send_signal(signal.SIGHUP)
            case "broker", "start":
                self.broker.start()
            case "broker", "freeze":
                self.broker.process.send_signal(signal.SIGSTOP)
            case "broker", "thaw":
                self.broker.process.send_signal(signal.SIGCONT)
            case "broker", "kill":
                self.broker.kill()
            case "broker", "stop":
                self.broker.close()
            case "store", "hold":
                self.hold()
            case "store", "release":
                self.release()
            case "person", "act":
                person.act()
            case other:
                raise AssertionError(f"no such step: {other}")

    # The plant.

    def set(self, point, value):
        self.plant.set_registers(address(point), [value])
        self.values[point] = value

    # The agent.

    def write(self, version):
        """Whole or not at all, file by file: a reload must not find half a file."""
        self.version = version
        config = self.folder / "config"
        config.mkdir(exist_ok=True)
        for name, text in files(self.folder, version, self.ports).items():
            fresh = self.folder / f"{name}.new"
            fresh.write_text(text)
            fresh.rename(config / name)

    def start(self):
        """Behind the last one's end; nothing where it runs."""
        if self.process is not None and self.process.poll() is None:
            if not self.stopping:
                return
            self.process.wait(peers.PATIENCE_S)
        self.reap()
        # A store that is held cannot be opened: that is another test.
        self.release()
        self.stopping = self.was_held = False
        with open(self.folder / "agent.log", "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "run", "--config", self.folder / "config"],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def reap(self):
        """The one that has ended must have had a reason."""
        if self.process is None:
            return
        code = self.process.poll()
        assert code is not None, "it runs"
        self.note("agent ended", code)
        allowed = {-signal.SIGKILL}
        if self.stopping:
            # Before it listens for the signal, the signal ends it.
            allowed |= {0, -signal.SIGTERM}
        if self.stopping and self.was_held:
            # It says that what it had decided is not on disk, and so it does.
            allowed.add(1)
        assert code in allowed, f"the agent ended by itself with {code}"
        self.process = None
        self.ends.append(time.monotonic())

    def kill(self):
        if self.process is None:
            return
        was_running = self.process.poll() is None
        self.process.kill()
        self.process.wait()
        self.kills += was_running
        self.reap()

    def abandon(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def terminate(self):
        if self.process is not None and self.process.poll() is None:
            self.stopping = True
            self.was_held = self.held is not None
            self.process.terminate()

    def stop(self):
        self.terminate()
        if self.process is not None:
            self.process.wait(peers.PATIENCE_S)
            self.reap()

    def is_up(self):
        return self.process is not None and self.process.poll() is None and peers.answers(self.ports.http)

    def ask(self, question, patience=12.0):
        """The agent's answer; `None` where none came."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(patience)
            try:
                line.connect(str(self.folder / "riskgate.sock"))
                line.sendall(json.dumps(question).encode() + b"\n")
                answer = line.makefile("rb").readline()
            except OSError:
                return None
        return json.loads(answer) if answer.endswith(b"\n") else None

    def show(self, what):
        answer = self.ask({"ask": "show", "what": what})
        return answer["shown"] if answer and answer["answer"] == "shown" else None

    # The store.

    def hold(self):
        if self.held is not None or not self.is_up():
            return
        held = sqlite3.connect(self.folder / "state" / "state.db", timeout=0.2, isolation_level=None)
        try:
            held.execute("BEGIN IMMEDIATE")
            self.held = held
            self.was_held = True
        except sqlite3.OperationalError:
            held.close()

    def release(self):
        if self.held is not None:
            self.held.execute("ROLLBACK")
            self.held.close()
            self.held = None

    # The end of all faults.

    def calm(self):
        """Everything is as it should be; returns how long it took until the agent was upstream."""
        self.release()
        self.note("the faults are over")
        if self.broker.process.poll() is not None:
            self.broker.start()
        self.broker.process.send_signal(signal.SIGCONT)
        if self.process is not None and self.stopping:
            self.process.wait(peers.PATIENCE_S)
        began = time.monotonic()
        self.start()
        peers.until("the agent answers", self.is_up)
        peers.until("the receiver is there", self.receiver.subscribed.is_set)
        peers.until("the agent is upstream", self.connected)
        return time.monotonic() - began

    def connected(self):
        board = self.show("all")
        return board is not None and board["uplink"]["connected"]

    def settled(self):
        """The lanes, where nothing is pending in any of them."""
        outbox = self.show("outbox")
        is_empty = outbox is not None and all(lane["pending"] == 0 for lane in outbox["lanes"])
        return outbox["lanes"] if is_empty else None


class Person:
    """Works beside everything else: an act waits for its commit."""

    def __init__(self, world):
        self.world = world
        self.draw = random.Random(world.plan.seed + 1)
        self.waiting = threading.Semaphore(0)
        self.ended = False
        self.count = 0
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def act(self):
        self.waiting.release()

    def end(self):
        self.ended = True
        self.waiting.release()
        self.thread.join(peers.PATIENCE_S)

    def _work(self):
        while True:
            self.waiting.acquire()
            if self.ended:
                return
            board = self.world.show("all")
            if board:
                self._act_on(board)

    def _act_on(self, board):
        alarms = [("acknowledge", {"alarm": alarm["id"]}) for alarm in board["alarms"]]
        next_deed = {"candidate": "confirm", "rectifying": "rectify", "awaiting_acceptance": "accept"}
        hazards = [
            (next_deed[hazard["stage"]], {"hazard": hazard["id"]})
            for hazard in [*board["candidates"], *board["hazards"]]
        ]
        possible = sorted([*alarms, *hazards, *hazards], key=str)
        if not possible:
            return
        deed, fields = self.draw.choice(possible)
        self.count += 1
        token = f"李雷-{self.count}"
        if "hazard" in fields:
            fields = {**fields, "why": "现场核实"}
        answer = self.world.ask({"ask": "act", "by": token, "deed": deed, **fields})
        self.world.note("person", token, deed, fields, answer)
        if answer and answer["answer"] == "done" and answer["durable"]:
            self.world.durable_acts.append((token, deed))
