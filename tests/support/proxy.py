"""A TCP proxy that can hold back one direction, so that a test can stop the world between two steps."""

import contextlib
import socket
import threading

from .peers import until


class Proxy:
    """Forwards to a target port. While `hold_replies` is set nothing comes back; `passed` is what went out."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.hold_replies = threading.Event()
        self.refuses = threading.Event()
        self.passed = bytearray()
        self.open = True
        self.pairs = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while self.open:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refuses.is_set():
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            self.pairs.append((client, server))
            threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source, sink, outward):
        try:
            while piece := source.recv(65536):
                if outward:
                    self.passed.extend(piece)
                elif self.hold_replies.is_set():
                    continue
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @contextlib.contextmanager
    def cut_off(self):
        """What is open is closed, and nothing new passes within."""
        self.refuses.set()
        for pair in self.pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self.pairs.clear()
        yield
        self.refuses.clear()

    def until_passed(self, piece):
        until(f"{piece!r} went through", lambda: piece in self.passed)

    def close(self):
        self.open = False
        self.listener.close()
        for pair in self.pairs:
            for end in pair:
                end.close()
