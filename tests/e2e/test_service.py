"""The agent as systemd sees it: ready, alive, stopping, and a log that a machine reads."""

import json
import socket

from support.peers import until


class Notified:
    """The socket that systemd would listen on."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.told = []

    def has(self, line):
        try:
            while True:
                self.told += self.socket.recv(4096).decode().splitlines()
        except BlockingIOError:
            pass
        return line in self.told

    def close(self):
        self.socket.close()


def test_systemd_is_told_ready_alive_and_stopping_and_the_journal_gets_json(site):
    notified = site.own(Notified(site.folder / "notify"))
    site.agent.environment = {
        "NOTIFY_SOCKET": str(notified.path),
        "WATCHDOG_USEC": "6000000",
        "JOURNAL_STREAM": "8:1",
    }
    agent = site.start()
    until("ready", lambda: notified.has("READY=1"))
    until("the watchdog is fed", lambda: notified.has("WATCHDOG=1"))
    assert agent.stop() == 0
    until("stopping", lambda: notified.has("STOPPING=1"))
    lines = [json.loads(line) for line in agent.log().splitlines()]
    events = [line.get("event") for line in lines]
    assert "started" in events and "stopped" in events, events
    assert not [line for line in lines if line["level"] == "ERROR"], agent.log()
