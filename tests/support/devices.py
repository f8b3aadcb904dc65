"""Modbus devices that misbehave, as plants have them."""

import socket
import threading


class Misbehaving:
    """Accepts connections and either never answers or closes at once."""

    def __init__(self, closes):
        self.closes = closes
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.visits = 0
        self.held = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.visits += 1
            if self.closes:
                client.close()
            else:
                self.held.append(client)

    def close(self):
        self.listener.close()
        for client in self.held:
            client.close()
