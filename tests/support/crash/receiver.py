"""The receiver: a client of its own that is never ended, and writes down all that arrives."""

import collections
import datetime
import json
import threading
import time
import uuid

import paho.mqtt.client as mqtt

from support import peers

# `connection` counts the receiver's own connections.
Arrival = collections.namedtuple("Arrival", "at connection topic body retain dup")
RESEND_MAX = 10_000


class Receiver:
    def __init__(self, port, root, session, pause_s):
        self.root = root
        self.lock = threading.Lock()
        self.arrivals = []
        self.connections = 0
        self.subscribed = threading.Event()
        name = f"receiver-{uuid.uuid4().hex[:8]}"
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, clean_session=not session)
        self.client.reconnect_delay_set(min_delay=pause_s, max_delay=pause_s)
        self.client.on_connect = self._connected
        self.client.on_disconnect = lambda *_: self.subscribed.clear()
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = self._take
        self.client.connect("127.0.0.1", port, keepalive=5)
        self.client.loop_start()
        peers.until("the broker answers the subscription", self.subscribed.is_set)

    def _connected(self, client, *_):
        self.connections += 1
        client.subscribe(f"{self.root}/#", qos=1)

    def _take(self, _client, _user, message):
        topic = message.topic.removeprefix(self.root + "/")
        body = json.loads(message.payload) if message.payload else None
        arrival = Arrival(time.monotonic(), self.connections, topic, body, message.retain, message.dup)
        with self.lock:
            self.arrivals.append(arrival)

    def so_far(self):
        with self.lock:
            return list(self.arrivals)

    def find(self, wanted):
        return next((arrival for arrival in self.so_far() if wanted(arrival)), None)

    def ask_again(self, epoch, lane, first, last):
        """One `cmd/resend` for each range, and its answer: the rows stand before it."""
        for start in range(first, last + 1, RESEND_MAX):
            name = uuid.uuid4().hex
            expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)
            command = {
                "id": name,
                "by": "receiver",
                "expires": expires.isoformat(),
                "epoch": epoch,
                "lane": lane,
                "from": start,
                "to": min(last, start + RESEND_MAX - 1),
            }
            self.client.publish(f"{self.root}/cmd/resend", json.dumps(command), qos=1)
            answer = peers.until("an answer to resend", lambda: self.find(lambda it: it.topic == f"reply/{name}"))
            assert answer.body["data"]["ok"], answer.body

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()
