"""What an engineer types when a value is wrong, against servers of another make."""

import struct
import subprocess

from support import peers


def typed(binary, *words):
    done = subprocess.run([binary, *words], capture_output=True, text=True, timeout=peers.PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_pymodbus_is_scanned_and_a_wrong_order_is_found(binary):
    device = peers.Modbus(device_id=3)
    try:
        high, low = struct.unpack(">HH", struct.pack(">f", 47.53))
        device.set_registers(100, [low, high])
        address = f"127.0.0.1:{device.port}"
        scanned = typed(binary, "scan", "modbus", address, "--from", "3", "--to", "3", "--register", "101")
        assert f"{high} (0x{high:04X})" in scanned
        probed = typed(
            binary, "probe", "modbus", address, "--unit", "3", "--register", "40102", "--expect", "47.5"
        )
        assert probed.splitlines()[-1] == "TAG-1,SOURCE,holding:100,f32,CDAB"
    finally:
        device.close()


def test_asyncua_is_browsed(binary):
    server = peers.OpcUa({"TT-201": 20.5, "Pump": True})
    try:
        words = ["browse", "opcua", server.url, "--policy", "None"]
        tree = typed(binary, *words)
        line = next(line for line in tree.splitlines() if "TT-201" in line)
        assert "nsu=urn:riskgate:test;s=TT-201" in line and "Double" in line and "20.5" in line and "good" in line
        rows = typed(binary, *words, "--filter", "pump", "--csv", "--source", "opc").splitlines()
        assert rows == ["tag,name,source,address,type", 'Pump,Pump,opc,"nsu=urn:riskgate:test;s=Pump",bool']
    finally:
        server.close()
