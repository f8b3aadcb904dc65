"""What registers can hold, and what stands beside them: pymodbus writes it, riskgate says what it read."""

from pymodbus.client.mixin import ModbusClientMixin
from support.peers import until

TYPES = ModbusClientMixin.DATATYPE

HEADER = (
    "位号,数据源,地址,数据类型,字节序,系数,小数位寄存器,信号,量程下限,量程上限,状态寄存器,状态映射,周期,枚举,类别,管控措施\n"
)
OTHERS = """LT-101,dcs,holding:900,f32,,,,,,,,,,,,
TT-201,opc,nsu=urn:riskgate:test;s=TT-201,f32,,,,,,,,,,,,
"""
AX100 = "msb3=通讯故障;msb4=故障;msb6=二级报警;msb7=一级报警;msb8=屏蔽"


def words(value, kind, order="big"):
    """As pymodbus writes it."""
    return ModbusClientMixin.convert_to_registers(value, kind, word_order=order)


def swapped(registers):
    return [(word & 0xFF) << 8 | word >> 8 for word in registers]


# Tag; address, type and order; what the registers from there on hold; what is read.
VALUES = [
    ("U16", "holding:0,u16,", [65436], "65436"),
    ("I16", "holding:1,i16,", words(-100, TYPES.INT16), "-100"),
    ("U32-ABCD", "holding:2,u32,ABCD", words(2271560481, TYPES.UINT32), "2271560481"),
    ("U32-CDAB", "holding:4,u32,CDAB", words(2271560481, TYPES.UINT32, "little"), "2271560481"),
    ("I32-BADC", "holding:6,i32,BADC", swapped(words(-70000, TYPES.INT32)), "-70000"),
    ("I32-DCBA", "holding:8,i32,DCBA", swapped(words(-70000, TYPES.INT32, "little")), "-70000"),
    ("F32-CDAB", "holding:10,f32,CDAB", words(12.25, TYPES.FLOAT32, "little"), "12.25"),
    ("U64", "holding:12,u64,ABCD", words(9007199254740993, TYPES.UINT64), "9007199254740993"),
    ("I64-LOW", "holding:16,i64,GHEFCDAB", words(-9007199254740993, TYPES.INT64, "little"), "-9007199254740993"),
    ("F64", "holding:20,f64,", words(-0.5, TYPES.FLOAT64), "-0.5"),
    ("TEXT", "holding:24,string:4,", words("PUMP-7", TYPES.STRING) + [0], "PUMP-7"),
    ("GBK", "holding:28,gbk:2,", [0xB9DE, 0xC7F8], "罐区"),
    ("BIT-ON", "holding:30.15,,", [0x8001], "true"),
    ("BIT-OFF", "holding:30.1,bool,", [0x8001], "false"),
    ("HIGH", "holding:31,u8h,", [0xAB12], "171"),
    ("LOW", "holding:31,u8l,", [0xAB12], "18"),
    ("BCD16", "holding:32,bcd16,", [0x1234], "1234"),
    ("BCD32", "holding:33,bcd32,CDAB", [0x5678, 0x1234], "12345678"),
    ("HEX", "holding:0x23,u16,", [4711], "4711"),
    ("SLOW", "holding:300,u16,", [17], "17"),
]


def test_each_type_reads_what_another_library_wrote(site):
    rows = ""
    for tag, what, registers, _ in VALUES:
        address = what.split(",")[0].removeprefix("holding:").split(".")[0]
        site.modbus.set_registers(int(address, 0), registers)
        period = "60s" if tag == "SLOW" else ""
        rows += f"{tag},dcs,{what},,,,,,,,{period},,,\n"
    site.agent.write(site.files(points=HEADER + OTHERS + rows))
    done = site.agent.process_once()
    assert done.returncode == 0, done.stdout + done.stderr
    cells = [line.split() for line in done.stdout.splitlines()]
    read = {line[1]: line[3:5] for line in cells if len(line) > 5 and line[2] == "dcs"}
    for tag, _, _, value in VALUES:
        assert read[tag] == [value, "good"], done.stdout


class Readings:
    """The last reading of each point that went upstream."""

    def __init__(self, upstream):
        self.upstream = upstream

    def of(self, tag):
        batches = [body["data"]["values"] for _, body in self.upstream.seen("telemetry")]
        said = [reading for batch in batches for reading in batch if reading["tag"] == tag]
        return (said[-1]["value"], said[-1]["quality"]) if said else None

    def wait(self, tag, value, quality):
        until(lambda: f"{tag} reads {value} {quality}: {self.of(tag)}", lambda: self.of(tag) == (value, quality))


def live(site, rows, rules=""):
    upstream = site.upstream()
    site.start(points=HEADER + OTHERS + rows, rules=rules)
    return upstream, Readings(upstream)


def test_a_value_stands_as_the_status_beside_it_says_and_the_status_feeds_rules(site):
    site.modbus.set_registers(257, [0, 123])
    rows = (
        f"GD-1,dcs,holding:0x0102,u16,,0.1,,,0,100,holding:0x0101,{AX100},,,gas,\n"
        f"GD-1-S,dcs,holding:0x0101,status,,,,,,,,{AX100},,,gas,\n"
    )
    rules = """
[[rule]]
id = "panel"
measure = "M-LEVEL"
name = "控制器二级报警"
priority = "high"
when = "{GD-1-S} == '二级报警'"
hazard = { level = "general", confirm = "auto", deadline = "24h" }
"""
    upstream, readings = live(site, rows, rules)
    readings.wait("GD-1", 12.3, "good")
    readings.wait("GD-1-S", "正常", "good")
    for bit, quality, word in [
        (3, "bad comm_failure", "通讯故障"),
        (4, "bad device_failure", "故障"),
        (8, "bad masked", "屏蔽"),
    ]:
        site.modbus.set_registers(257, [0x8000 >> bit, 123])
        readings.wait("GD-1", None, quality)
        readings.wait("GD-1-S", word, "good")
    assert not upstream.seen("hazard/")
    site.modbus.set_registers(257, [0x8000 >> 6 | 0x8000 >> 4, 512])
    readings.wait("GD-1-S", "二级报警", "good")
    readings.wait("GD-1", None, "bad device_failure")
    until("the alarm that stands beside the fault is a hazard", lambda: upstream.objects("hazard/"))
    site.modbus.set_registers(257, [0x8000 >> 7, 251])
    readings.wait("GD-1", 25.1, "good")


def test_a_value_follows_the_decimals_in_another_register(site):
    site.modbus.set_registers(0, [1234])
    site.modbus.set_registers(17, [1])
    _, readings = live(site, "TX-1,dcs,holding:0,u16,,,holding:0x11,,,,,,,,,\n")
    readings.wait("TX-1", 123.4, "good")
    site.modbus.set_registers(17, [3])
    readings.wait("TX-1", 1.234, "good")
    site.modbus.set_registers(17, [99])
    readings.wait("TX-1", None, "bad config_error")
    site.modbus.set_registers(17, [0])
    readings.wait("TX-1", 1234, "good")


def test_a_cut_current_loop_fails_once_it_has_lasted(site):
    site.modbus.set_registers(0, [12000])
    _, readings = live(site, "PT-1,dcs,holding:0,u16,,0.001,,4-20mA,0,200,,,,,,\n")
    readings.wait("PT-1", 100.0, "good")
    site.modbus.set_registers(0, [20700])
    readings.wait("PT-1", 200.0, "uncertain over_range")
    site.modbus.set_registers(0, [0])
    readings.wait("PT-1", 0.0, "uncertain under_range")
    readings.wait("PT-1", None, "bad device_failure")
    site.modbus.set_registers(0, [4000])
    readings.wait("PT-1", 0.0, "good")
