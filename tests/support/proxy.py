"""A TCP proxy that does to connections what networks and devices do to them.

All faults are set and lifted while connections are open:

    hold_replies     (event) what the target says is lost; what it is told still arrives
    delay_s          each reply is held back for so long
    corrupt          (function) of each piece of a reply: what arrives in its place
    reorder          (event) a reply arrives in place of the next one, on whichever connection that is,
                     as out of the buffer of a serial converter
    cut()            all connections end now; new ones are made
    half_open()      all connections fall silent for ever; only the target is told. New ones are made
    down() and up()  in between new connections are refused
    black_hole       (event) new connections are taken, and nothing is ever answered on them

`passed` is what went out to the target.
"""

import contextlib
import socket
import threading

from .peers import free_port, until


class Proxy:
    """Forwards to a target port."""

    def __init__(self, target):
        self.target = target
        self.hold_replies = threading.Event()
        self.reorder = threading.Event()
        self.black_hole = threading.Event()
        self.closed = threading.Event()
        self.delay_s = 0.0
        self.corrupt = None
        self.passed = bytearray()
        self.visits = 0
        self.lock = threading.Lock()
        self.kept_back = None
        self.pairs = []
        self.silent = []
        self.port = free_port()
        self.up()

    def up(self):
        """Listens, on the same port as before."""
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def down(self):
        """New connections are refused. Those that are open stay."""
        # Ends the waiting thread as well, which a close alone does not.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def cut(self):
        for pair in self._taken():
            for end in pair:
                _shut(end)

    def half_open(self):
        for client, server in self._taken():
            # Referred to, so that it stays open.
            self.silent.append(client)
            _shut(server)

    def _taken(self):
        with self.lock:
            taken, self.pairs = self.pairs, []
        return taken

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.visits += 1
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = (client, server)
            with self.lock:
                self.pairs.append(pair)
            threading.Thread(target=self._outward, args=(pair,), daemon=True).start()
            threading.Thread(target=self._homeward, args=(pair,), daemon=True).start()

    def _outward(self, pair):
        client, server = pair
        try:
            while piece := client.recv(65536):
                if self.black_hole.is_set():
                    continue
                self.passed.extend(piece)
                server.sendall(piece)
        except OSError:
            pass
        self._end(pair)

    def _homeward(self, pair):
        client, server = pair
        try:
            while piece := server.recv(65536):
                if self.hold_replies.is_set() or self.black_hole.is_set():
                    continue
                if self.delay_s:
                    self.closed.wait(self.delay_s)
                if self.corrupt:
                    piece = self.corrupt(piece)
                if piece := self._in_turn(piece):
                    client.sendall(piece)
        except OSError:
            pass
        self._end(pair)

    def _in_turn(self, piece):
        """What goes on now: the piece itself, or while they change places the one before it."""
        with self.lock:
            before, self.kept_back = self.kept_back, None
            if self.reorder.is_set():
                self.kept_back = piece
                return before
            return piece

    def _end(self, pair):
        with self.lock:
            if pair not in self.pairs:
                # Half open, or cut already: what is to be told was told then.
                return
            self.pairs.remove(pair)
        for end in pair:
            _shut(end)

    @contextlib.contextmanager
    def cut_off(self):
        """What is open is closed, and nothing new passes within."""
        self.down()
        self.cut()
        yield
        self.up()

    def until_passed(self, piece):
        until(f"{piece!r} went through", lambda: piece in self.passed)

    def close(self):
        self.closed.set()
        try:
            self.down()
        except OSError:
            pass
        self.cut()
        for client in self.silent:
            client.close()


def _shut(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
