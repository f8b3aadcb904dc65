#!/usr/bin/env python3
"""An OPC UA server for the end-to-end suite (asyncua 2.1.0), told by lines on standard input what to do.

    opcua_server.py PORT --var Tank.Level=40.0 --var Tank.Valve=true

Each variable is `nsu=urn:riskgate:test;s=NAME`. A value is JSON (40.0 is a Double, 40 an Int64, true a
Boolean); what is no JSON is a String. It prints `ready` when it listens, and `ok LINE` for each line done:

    set NAME VALUE    a new value, good, with the present time as its source time
    bad NAME          the value's status becomes BadSensorFailure
    good NAME         the value's status is good again
    add NAME VALUE    a variable that was not there
    remove NAME       a variable that is there no more

The end of standard input ends it.
"""

import argparse
import asyncio
import json
import logging
import sys
from datetime import datetime, timezone

from asyncua import Server, ua

NAMESPACE = "urn:riskgate:test"


def parse(text):
    """A value as JSON, or else as the text that it is."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def variant(value):
    if isinstance(value, bool):
        return ua.Variant(value, ua.VariantType.Boolean)
    if isinstance(value, int):
        return ua.Variant(value, ua.VariantType.Int64)
    if isinstance(value, float):
        return ua.Variant(value, ua.VariantType.Double)
    return ua.Variant(str(value), ua.VariantType.String)


class Plant:
    def __init__(self, server, index):
        self.server = server
        self.index = index
        self.nodes = {}
        self.values = {}

    async def add(self, name, value):
        node_id = ua.NodeId(name, self.index)
        browse_name = ua.QualifiedName(name, self.index)
        self.nodes[name] = await self.server.nodes.objects.add_variable(node_id, browse_name, variant(value))
        await self.set(name, value)

    async def set(self, name, value, status=ua.StatusCodes.Good):
        self.values[name] = value
        now = datetime.now(timezone.utc)
        told = ua.DataValue(
            variant(value), ua.StatusCode(status), SourceTimestamp=now, ServerTimestamp=now
        )
        await self.nodes[name].write_value(told)

    async def do(self, line):
        command, name, *rest = line.split(maxsplit=2)
        if command == "set":
            await self.set(name, parse(rest[0]))
        elif command == "bad":
            await self.set(name, self.values[name], ua.StatusCodes.BadSensorFailure)
        elif command == "good":
            await self.set(name, self.values[name])
        elif command == "add":
            await self.add(name, parse(rest[0]))
        elif command == "remove":
            await self.server.delete_nodes([self.nodes.pop(name)])
        else:
            raise ValueError(f"unknown command {command}")


async def lines():
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        if text := line.decode().strip():
            yield text


async def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("port", type=int)
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--var", action="append", default=[], metavar="NAME=VALUE")
    arguments.add_argument("--verbose", action="store_true")
    options = arguments.parse_args()
    logging.basicConfig(level=logging.INFO if options.verbose else logging.ERROR, stream=sys.stderr)

    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://{options.host}:{options.port}/")
    server.set_server_name("riskgate test plant")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    plant = Plant(server, await server.register_namespace(NAMESPACE))
    for pair in options.var:
        name, _, value = pair.partition("=")
        await plant.add(name, parse(value))
    async with server:
        print("ready", flush=True)
        async for line in lines():
            try:
                await plant.do(line)
                print(f"ok {line}", flush=True)
            except Exception as error:  # the test that sent the line must learn of it
                print(f"error {line}: {error!r}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
