"""An edge node of Sparkplug B, version 3, on paho: births, data, deaths. Its protobuf is written by hand."""

import socket
import struct

import paho.mqtt.client as mqtt

INT64, DOUBLE, BOOLEAN = 4, 10, 11
PATIENCE_S = 30.0


def varint(number):
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def field(number, wire, data):
    return varint(number << 3 | wire) + data


def text(number, value):
    raw = value.encode()
    return field(number, 2, varint(len(raw)) + raw)


def metric(value, name=None, alias=None, datatype=None):
    body = text(1, name) if name is not None else b""
    body += field(2, 0, varint(alias)) if alias is not None else b""
    body += field(4, 0, varint(datatype)) if datatype is not None else b""
    if isinstance(value, bool):
        body += field(14, 0, varint(int(value)))
    elif isinstance(value, float):
        body += field(13, 1, struct.pack("<d", value))
    else:
        body += field(11, 0, varint(value))
    return field(2, 2, varint(len(body)) + body)


def payload(metrics, seq=None):
    return b"".join(metrics) + (field(3, 0, varint(seq)) if seq is not None else b"")


class EdgeNode:
    """`plant/edge1` with the device `P-101`: `Running` of its own under alias 1, the pump's `Pressure` under 2."""

    def __init__(self, port):
        self.port = port
        self.session = -1
        self.client = None

    def _topic(self, kind, device=""):
        return f"spBv1.0/plant/{kind}/edge1" + (f"/{device}" if device else "")

    def _bd_seq(self):
        return metric(self.session, name="bdSeq", datatype=INT64)

    def _publish(self, kind, metrics, device=""):
        body = payload(metrics, self.seq)
        self.seq = (self.seq + 1) % 256
        self.client.publish(self._topic(kind, device), body, qos=0).wait_for_publish(PATIENCE_S)

    def connect(self):
        self.session += 1
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.will_set(self._topic("NDEATH"), payload([self._bd_seq()]), qos=1)
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()

    def birth(self, pressure):
        self.seq = 0
        self._publish("NBIRTH", [self._bd_seq(), metric(True, "Running", 1, BOOLEAN)])
        self._publish("DBIRTH", [metric(pressure, "Pressure", 2, DOUBLE)], "P-101")

    def pressure(self, pressure):
        self._publish("DDATA", [metric(pressure, alias=2)], "P-101")

    def lose_one(self):
        """A message that never comes through."""
        self.seq = (self.seq + 1) % 256

    def die(self):
        """Without a word: the broker tells its will."""
        self.client.loop_stop()
        self.client.socket().shutdown(socket.SHUT_RDWR)

    def close(self):
        if self.client is not None:
            self.client.disconnect()
            self.client.loop_stop()
