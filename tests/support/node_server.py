"""An OPC UA server of a second make (node-opcua), as a process of its own: it keeps history, and a
subscription outlives its session there. `support/node_opcua/server.js` holds what it can be told."""

import json
import pathlib
import queue
import shutil
import subprocess
import threading

from .peers import PATIENCE_S, free_port

HERE = pathlib.Path(__file__).parent / "node_opcua"
INSTALLED = pathlib.Path(__file__).parents[2] / "target" / "node-opcua"
# Node and the server's packages start slowly on a busy machine.
START_S = 120.0


class NodeOpcUa:
    SCRIPT = "server.js"

    def __init__(self, folder, port=None):
        nodes = list(INSTALLED.glob("node_modules/node-linux-*/bin/node"))
        assert nodes, f"{INSTALLED} holds no Node: run tests/support/node_opcua/install"
        self.node = nodes[0]
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.url = f"opc.tcp://127.0.0.1:{self.port}/riskgate"
        self.start()

    def start(self):
        # Modules are looked for beside the script.
        script = shutil.copy(HERE / self.SCRIPT, INSTALLED / self.SCRIPT)
        log = open(self.folder / "node-opcua.log", "ab")
        self.process = subprocess.Popen(
            [self.node, script, str(self.port), self.folder / "keys"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        log.close()
        self.answers = queue.Queue()
        threading.Thread(target=self._listen, args=(self.process.stdout, self.answers), daemon=True).start()
        assert self._next(START_S) == {"ready": True}

    @staticmethod
    def _listen(stdout, answers):
        for line in stdout:
            # The library writes on standard output too.
            if line.startswith("{"):
                answers.put(json.loads(line))

    def _next(self, patience):
        try:
            return self.answers.get(timeout=patience)
        except queue.Empty:
            raise AssertionError((self.folder / "node-opcua.log").read_text()) from None

    def tell(self, do, **words):
        self.process.stdin.write(json.dumps({"do": do, **words}) + "\n")
        self.process.stdin.flush()
        answer = self._next(PATIENCE_S)
        assert answer.get("ok"), answer
        return answer

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.kill()


class SecuredNodeOpcUa(NodeOpcUa):
    """It lets nobody in before a person trusts him: `support/node_opcua/secured.js`."""

    SCRIPT = "secured.js"

    def trust_rejected(self):
        """What a person does at the server."""
        clients = self.folder / "keys" / "keys"
        rejected = list((clients / "rejected").iterdir())
        for file in rejected:
            file.rename(clients / "trusted" / "certs" / file.name)
        return [file.name for file in rejected]

    def sessions(self):
        """Those that are open, and those that ever were."""
        counted = self.tell("count")
        return counted["sessions"], counted["ever"]
