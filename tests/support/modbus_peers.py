"""Modbus devices of other makes, over TCP and over a serial line, for the end-to-end tests.

All of them hold the same: a register seven times its address and 1000, so that a value at the wrong
point is seen, and beyond address 999 nothing.
"""

import os
import select
import socket
import subprocess
import threading
import tty

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from .peers import PATIENCE_S, InLoop, answers, free_port, until

SOURCE = os.path.join(os.path.dirname(__file__), "modbus_server.c")
ADDRESSES = 1000


def register_at(address):
    return address * 7 + 1000


class SerialPair:
    """Two serial ports, joined by a wire that can be broken, noisy or slow. Each end is a path."""

    def __init__(self):
        self.masters, self.ends = [], []
        for _ in range(2):
            master, end = os.openpty()
            tty.setraw(end)
            self.masters.append(master)
            # Kept open, so that the line lives on while a device or the agent has let go of its port.
            self.ends.append(end)
        self.agent_path, self.device_path = [os.ttyname(end) for end in self.ends]
        self.broken = threading.Event()
        self.corrupt = None
        self.delay_s = 0.0
        self.stop_read, self.stop_write = os.pipe()
        self.closed = threading.Event()
        self.thread = threading.Thread(target=self._pump, daemon=True)
        self.thread.start()

    def _pump(self):
        agent, device = self.masters
        while True:
            ready, _, _ = select.select([agent, device, self.stop_read], [], [])
            if self.stop_read in ready:
                return
            for side in ready:
                piece = os.read(side, 4096)
                if self.broken.is_set():
                    continue
                if side == device:
                    if self.delay_s:
                        self.closed.wait(self.delay_s)
                    if self.corrupt:
                        piece = self.corrupt(piece)
                os.write(agent if side == device else device, piece)

    def close(self):
        self.closed.set()
        os.write(self.stop_write, b"x")
        self.thread.join(PATIENCE_S)
        for descriptor in [*self.masters, *self.ends, self.stop_read, self.stop_write]:
            os.close(descriptor)


class Pymodbus(InLoop):
    """pymodbus, with registers only: `tcp`, `rtu` over a serial port, or RTU frames over TCP."""

    def __init__(self, way, path=None, device_id=1):
        super().__init__()
        self.port = free_port()
        self.server = None

        async def serve():
            words = [register_at(address) for address in range(ADDRESSES)]
            device = SimDevice(device_id, simdata=[SimData(0, values=words, datatype=DataType.REGISTERS)])
            if way == "rtu":
                self.server = ModbusSerialServer(device, port=path, baudrate=9600)
            else:
                framer = FramerType.SOCKET if way == "tcp" else FramerType.RTU
                self.server = ModbusTcpServer(device, framer=framer, address=("127.0.0.1", self.port))
            await self.server.serve_forever(background=True)

        self.call(serve())
        if way != "rtu":
            until("pymodbus listens", lambda: answers(self.port))

    def close(self):
        self.call(self.server.shutdown())
        self.end()


class Dtu:
    """A DTU: dials in to the agent, says who it is, and passes bytes on between it and a device behind it."""

    def __init__(self, agent_port, registration, device_port):
        self.agent_port, self.registration, self.device_port = agent_port, registration, device_port
        self.ends = []
        self.threads = []

    def dial(self):
        """Once more, as after it lost its network: the old connection is left as it is."""
        agent = socket.create_connection(("127.0.0.1", self.agent_port), timeout=PATIENCE_S)
        agent.sendall(self.registration)
        device = socket.create_connection(("127.0.0.1", self.device_port), timeout=PATIENCE_S)
        self.ends += [agent, device]
        for source, sink in [(agent, device), (device, agent)]:
            source.settimeout(None)
            thread = threading.Thread(target=self._pass_on, args=(source, sink), daemon=True)
            thread.start()
            self.threads.append(thread)

    @staticmethod
    def _pass_on(source, sink):
        try:
            while piece := source.recv(4096):
                sink.sendall(piece)
        except OSError:
            pass
        # What has ended at one side ends at the other.
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def hang_up(self):
        for end in self.ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.hang_up()
        for thread in self.threads:
            thread.join(PATIENCE_S)
        for end in self.ends:
            end.close()


def build_libmodbus_server(folder):
    """The server of modbus_server.c; fails with the compiler's own words."""
    binary = folder / "modbus_server"
    built = subprocess.run(["cc", "-O1", "-Wall", "-o", binary, SOURCE, "-lmodbus"], capture_output=True, text=True)
    assert built.returncode == 0, f"needs gcc and libmodbus-dev\n{built.stderr}"
    return binary


class LibModbus:
    """libmodbus, with all four tables."""

    def __init__(self, binary, path=None, device_id=1):
        self.port = free_port()
        words = ["rtu", path, str(device_id)] if path else ["tcp", str(self.port)]
        self.process = subprocess.Popen([binary, *words], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n", f"it ended with {self.process.wait()}"

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
