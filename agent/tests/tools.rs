//! `riskgate probe`, `scan` and `browse` as processes, against devices and a server that are really there.

use std::collections::{BTreeMap, BTreeSet};
use std::future;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opcua::crypto::SecurityPolicy;
use opcua::server::ServerBuilder;
use opcua::server::address_space::VariableBuilder;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::types::{DataTypeId, MessageSecurityMode, NodeId, ObjectId, ReferenceTypeId, Variant};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};

/// A machine under load is slow, not hung.
const LONG: Duration = Duration::from_secs(60);
const PLANT: &str = "urn:riskgate:plant";

/// Devices behind one connection. An id that is not there is silent.
struct Devices {
    /// Of each device id, the holding registers that it has.
    registers: BTreeMap<u8, BTreeMap<u16, u16>>,
    asked: watch::Sender<u8>,
    functions: Mutex<BTreeSet<u8>>,
}

struct Line {
    devices: Arc<Devices>,
    address: SocketAddr,
    runtime: Runtime,
}

struct Answers(Arc<Devices>);

impl Service for Answers {
    type Request = SlaveRequest<'static>;
    type Response = Option<Response>;
    type Exception = ExceptionCode;
    type Future = future::Ready<Result<Option<Response>, ExceptionCode>>;

    fn call(&self, SlaveRequest { slave, request }: Self::Request) -> Self::Future {
        self.0.functions.lock().expect("not poisoned").insert(request.function_code().value());
        self.0.asked.send_replace(slave);
        let Some(registers) = self.0.registers.get(&slave) else { return future::ready(Ok(None)) };
        let Request::ReadHoldingRegisters(address, count) = request else {
            return future::ready(Err(ExceptionCode::IllegalFunction));
        };
        let words: Option<Vec<u16>> =
            (0..count).map(|at| registers.get(&address.checked_add(at)?).copied()).collect();
        let refused = ExceptionCode::IllegalDataAddress;
        future::ready(words.map(|words| Some(Response::ReadHoldingRegisters(words))).ok_or(refused))
    }
}

impl Line {
    fn of(registers: BTreeMap<u8, BTreeMap<u16, u16>>) -> Self {
        let devices = Devices { registers, asked: watch::channel(0).0, functions: Mutex::default() };
        let devices = Arc::new(devices);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let served = Arc::clone(&devices);
        drop(runtime.handle().spawn(async move {
            let service = |_: SocketAddr| Ok(Some(Answers(Arc::clone(&served))));
            let connected = |stream, address| future::ready(accept_tcp_connection(stream, address, service));
            Server::new(listener).serve(&connected, |_| {}).await
        }));
        Self { devices, address, runtime }
    }

    /// One device, number 1: these words from their addresses on, and `filled` with zeros.
    fn with(filled: std::ops::Range<u16>, words: &[(u16, u16)]) -> Self {
        let mut registers: BTreeMap<u16, u16> = filled.map(|address| (address, 0)).collect();
        registers.extend(words.iter().copied());
        Self::of([(1, registers)].into())
    }

    /// Runs `riskgate probe modbus` on it.
    fn probe(&self, arguments: &str) -> Said {
        said(&format!("probe modbus {} {arguments}", self.address))
    }

    fn only_read(&self) {
        let functions = self.devices.functions.lock().expect("not poisoned");
        assert!(
            !functions.is_empty() && functions.iter().all(|code| (1..=4).contains(code)),
            "{functions:?}"
        );
    }
}

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Said {
    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn holds(&self, text: &str) {
        assert!(
            self.out.contains(text) || self.err.contains(text),
            "no '{text}' in\n{}\n{}",
            self.out,
            self.err
        );
    }

    /// The header and the row behind it, as they would be pasted.
    fn pasted(&self) -> String {
        let lines: Vec<&str> = self.out.lines().skip_while(|line| !line.starts_with("tag,")).collect();
        assert!(lines.len() >= 2, "{}", self.out);
        lines.join("\n") + "\n"
    }
}

fn riskgate(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_riskgate"));
    command.args(arguments.split_whitespace()).stdin(Stdio::null()).env_remove("RISKGATE_LOG");
    command
}

fn said(arguments: &str) -> Said {
    riskgate(arguments).output().expect("it runs").into()
}

/// A configuration whose one source is `source`, with a table of points that was pasted.
fn site(source: &str, points: &str) -> TempDir {
    let dir = TempDir::new().expect("a directory");
    let store = dir.path().join("state");
    let text = format!(
        r#"
[gateway]
company = "540170007"
id = "54017000701"
name = "试验网关"
[uplink]
host = "127.0.0.1"
port = 1
[store]
dir = "{}"
[[source]]
{source}
[[unit]]
id = "U-1"
name = "罐区"
hazard_code = "540170007001"
base_class = "yellow"
liable_person = "王强"
"#,
        store.display()
    );
    std::fs::write(dir.path().join("riskgate.toml"), text).expect("written");
    std::fs::write(dir.path().join("points.csv"), points).expect("written");
    dir
}

fn modbus_source(line: &Line) -> String {
    format!(
        "id = \"dcs\"\nname = \"dcs\"\nkind = \"modbus-tcp\"\nhost = \"127.0.0.1\"\nport = {}\ndevice_id = 1",
        line.address.port()
    )
}

/// The line of `riskgate run --once` that names the tag.
fn once(dir: &Path, tag: &str) -> String {
    said(&format!("check {}", dir.display())).ends(0);
    let read = said(&format!("run --once --config {}", dir.display())).ends(0);
    read.out.lines().find(|line| line.contains(tag)).expect("a line of the tag").to_owned()
}

fn halves(value: f32) -> (u16, u16) {
    let [a, b, c, d] = value.to_be_bytes();
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

#[test]
fn one_wrong_guess_is_diagnosed_and_the_pasted_row_reads_the_right_value() {
    let (high, low) = halves(47.53);
    let line = Line::with(0..300, &[(100, low), (101, high)]);
    // The engineer believes ABCD at 101.
    let believed = site(&modbus_source(&line), "tag,source,address,type\nLT-101,dcs,holding:101,f32\n");
    assert!(!once(believed.path(), "LT-101").contains("47.53"), "the wrong guess is wrong");
    let probed = line.probe("--unit 1 --register 101 --expect 47.5 --tag LT-101 --source dcs").ends(0);
    assert_eq!(probed.pasted(), "tag,source,address,type,order\nLT-101,dcs,holding:100,f32,CDAB\n");
    probed.holds("address_base = 1");
    probed.holds("--expect 47.53");
    let read = site(&modbus_source(&line), &probed.pasted());
    let shown = once(read.path(), "LT-101");
    assert!(shown.contains("47.53") && shown.contains("good"), "{shown}");
    line.only_read();
}

#[test]
fn where_two_readings_agree_both_rows_are_told_until_more_digits_decide() {
    let (high, low) = halves(47.53);
    let line = Line::with(0..300, &[(100, low), (101, high), (102, 475)]);
    let probed = line.probe("--register 101 --expect 47.5").ends(0);
    probed.holds("only one of these rows is right");
    let pasted = "tag,source,address,type,order\nTAG-1,SOURCE,holding:101,f32,ABCD\nTAG-1,SOURCE,holding:100,f32,CDAB\n";
    assert_eq!(probed.pasted(), pasted);
    let decided = line.probe("--register 101 --expect 47.53").ends(0);
    assert_eq!(decided.pasted(), "tag,source,address,type,order\nTAG-1,SOURCE,holding:100,f32,CDAB\n");
}

#[test]
fn each_sort_of_row_is_read_by_the_agent_as_the_probe_shows_it() {
    let texts = [(30, 0xB9DE_u16), (31, 0xC7F8)];
    let words = [(10, 475_u16), (20, 0x5678), (21, 0x1234), (40, 0x4028), (41, 0x8000)];
    let words: Vec<(u16, u16)> = words.into_iter().chain(texts).collect();
    let line = Line::with(0..300, &words);
    for (arguments, row, value) in [
        ("--register 10 --range 40..60", "A,dcs,holding:10,u16,ABCD,0.1", "47.5"),
        ("--register 20 --expect 305419896", "A,dcs,holding:20,u32,CDAB", "305419896"),
        ("--register 30 --expect 罐区 --count 2", "A,dcs,holding:30,gbk:2", "罐区"),
        ("--register 40 --expect 12.25", "A,dcs,holding:40,f64", "12.25"),
    ] {
        let probed = line.probe(&format!("{arguments} --tag A --source dcs")).ends(0);
        probed.holds(row);
        let shown = once(site(&modbus_source(&line), &probed.pasted()).path(), "dcs");
        assert!(shown.contains(value), "{arguments}: {shown}");
    }
}

#[test]
fn a_register_that_is_refused_hides_no_other() {
    let (high, low) = halves(21.37);
    let line = Line::with(100..106, &[(100, high), (101, low)]);
    let probed = line.probe("--register 100 --expect 21.4").ends(0);
    probed.holds("holding 99: exception 2");
    probed.holds("TAG-1,SOURCE,holding:100,f32");
}

#[test]
fn the_old_habit_is_explained() {
    let (high, low) = halves(63.25);
    let line = Line::with(0..300, &[(100, high), (101, low)]);
    let probed = line.probe("--register 40101 --expect 63.25").ends(0);
    probed.holds("报文地址 100 on the wire");
    probed.holds("TAG-1,SOURCE,holding:100,f32");
}

#[test]
fn what_cannot_be_told_says_the_next_step() {
    let line = Line::with(0..300, &[]);
    line.probe("--register 100 --expect 47.5").ends(1).holds("try --table input");
    line.probe("--register 100").ends(1).holds("--expect 47.5");
    line.probe("--register 100 --table input --expect 1").ends(1).holds("no such table");
    line.probe("--register 100 --device-id 9 --timeout 100ms").ends(1).holds("check device_id");
    line.probe("--register 1e5 --expect 1").ends(2).holds("write 100, 0x64 or 40101");
    said("probe modbus 127.0.0.1:1 --register 1").ends(1).holds("check host, port");
    said("probe modbus /dev/no-such-port --register 1").ends(1).holds("/dev/serial/by-id");
    said("probe modbus /dev/ttyS9 --rtu --register 1").ends(2).holds("leave --rtu out");
}

fn two_devices() -> Line {
    Line::of([(1, [(0, 4711)].into()), (3, BTreeMap::new())].into())
}

#[test]
fn a_value_or_an_exception_is_an_answer_to_a_scan() {
    let line = two_devices();
    let scanned = said(&format!("scan modbus {} --from 1 --to 4 --timeout 1s", line.address)).ends(0);
    scanned.holds("4711 (0x1267)");
    scanned.holds("异常码 exception 2");
    scanned.holds("2 个站号有应答");
    scanned.holds("if none answers about 4 s");
    assert!(!scanned.err.contains('\r'), "no bar where there is no terminal: {}", scanned.err);
    line.only_read();
    let none = said(&format!("scan modbus {} --from 20 --to 22 --timeout 50ms", line.address)).ends(1);
    none.holds("nobody answers");
    said(&format!("scan modbus {} --from 9 --to 3", line.address)).ends(2);
    said("scan modbus 127.0.0.1:1").ends(1).holds("check host, port");
}

#[test]
fn a_scan_that_is_ended_shows_what_was_found() {
    let line = two_devices();
    let mut asked = line.devices.asked.subscribe();
    let mut command = riskgate(&format!("scan modbus {} --timeout 1s", line.address));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    line.runtime.block_on(async {
        tokio::time::timeout(LONG, asked.wait_for(|id| *id > 3)).await.expect("in time").expect("asked");
    });
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    let ended = Said::from(child.wait_with_output().expect("it ends")).ends(1);
    ended.holds("2 个站号有应答");
    ended.holds("interrupted");
}

/// A real server: Plant / Tank A / Level, Name, Trend; Plant / Tank B / Level; and a circle.
struct Nodes {
    _runtime: Runtime,
    port: u16,
    _pki: TempDir,
}

impl Nodes {
    fn start() -> Self {
        let listener = StdListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("set");
        let port = listener.local_addr().expect("an address").port();
        let pki = TempDir::new().expect("a directory");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let within = runtime.enter();
        let metadata = NamespaceMetadata { namespace_uri: PLANT.to_owned(), ..NamespaceMetadata::default() };
        let (server, handle) = ServerBuilder::new()
            .application_name("plant")
            .application_uri("urn:plant")
            .product_uri("urn:plant")
            .host("127.0.0.1")
            .port(port)
            .pki_dir(pki.path())
            .create_sample_keypair(false)
            .discovery_urls(vec![format!("opc.tcp://127.0.0.1:{port}/")])
            .add_endpoint(
                "only",
                ("/", SecurityPolicy::None, MessageSecurityMode::None, &["ANONYMOUS"] as &[&str]),
            )
            .with_node_manager(simple_node_manager(metadata, "ours"))
            .build()
            .expect("a server");
        let namespace = handle.get_namespace_index(PLANT).expect("our namespace");
        let nodes = handle.node_managers().get_by_name::<SimpleNodeManager>("ours").expect("ours");
        let id = |name: &str| NodeId::new(namespace, name.to_owned());
        {
            let mut space = nodes.address_space().write();
            space.add_folder(&id("plant"), "Plant", "Plant", &ObjectId::ObjectsFolder.into());
            space.add_folder(&id("a"), "Tank A", "Tank A", &id("plant"));
            space.add_folder(&id("b"), "Tank B", "Tank B", &id("plant"));
            for tank in ["a", "b"] {
                for (name, data_type, value) in [
                    ("Level", DataTypeId::Float, Variant::Float(72.5)),
                    ("Name", DataTypeId::String, Variant::String("罐".into())),
                    ("Trend", DataTypeId::Int32, Variant::from(vec![1_i32, 2, 3])),
                ] {
                    VariableBuilder::new(&id(&format!("{tank}.{name}")), name, name)
                        .data_type(data_type)
                        .value(value)
                        .organized_by(id(tank))
                        .insert(&mut *space);
                }
            }
            // A folder that holds the one that it lies in.
            space.insert_reference(&id("b"), &id("plant"), ReferenceTypeId::Organizes);
        }
        drop(runtime.handle().spawn(async move {
            server.run_with(TcpListener::from_std(listener).expect("a listener")).await
        }));
        drop(within);
        Self { _runtime: runtime, port, _pki: pki }
    }

    fn url(&self) -> String {
        format!("opc.tcp://127.0.0.1:{}", self.port)
    }
}

#[test]
fn a_tree_shows_names_nodes_types_values_and_no_circle_twice() {
    let server = Nodes::start();
    let tree = said(&format!("browse opcua --policy None {}", server.url())).ends(0);
    let lines: Vec<&str> = tree.out.lines().collect();
    let place = |text: &str| lines.iter().position(|line| line.contains(text));
    assert!(
        place("  Plant") < place("    Tank A") && place("    Tank A") < place("      Level"),
        "{}",
        tree.out
    );
    let level = lines.get(place("s=a.Level").expect("the level")).expect("its line");
    for cell in ["nsu=urn:riskgate:plant;s=a.Level", "Float", "72.5", "good"] {
        assert!(level.contains(cell), "{level}");
    }
    tree.holds("Int32[3]");
    tree.holds("Plant (见上 see above)");
    assert!(!tree.out.contains("ServerStatus"), "the server's own node is not listed: {}", tree.out);
    let below = said(&format!("browse opcua --policy None {} Plant --filter b.level", server.url())).ends(0);
    assert!(below.out.contains("b.Level") && below.out.contains("Tank B") && !below.out.contains("a.Level"));
    let flat = said(&format!("browse opcua --policy None {} --depth 1", server.url())).ends(0);
    assert!(flat.out.contains("Plant") && !flat.out.contains("Tank"), "{}", flat.out);
}

#[test]
fn rows_that_were_browsed_are_read_by_the_agent() {
    let server = Nodes::start();
    let rows = said(&format!("browse opcua --policy None {} Plant --csv --source opc", server.url())).ends(0);
    rows.holds("2 个不能作测点");
    let pasted = rows.pasted();
    assert_eq!(pasted.lines().count(), 5, "{pasted}");
    assert!(pasted.contains("Level,Level,opc,\"nsu=urn:riskgate:plant;s=a.Level\",f32\n"), "{pasted}");
    assert!(pasted.contains("Tank B.Level,Level,opc,\"nsu=urn:riskgate:plant;s=b.Level\",f32\n"), "{pasted}");
    let source = format!(
        "id = \"opc\"\nname = \"opc\"\nkind = \"opcua\"\npolicy = \"None\"\nurl = \"{}\"",
        server.url()
    );
    let shown = once(site(&source, &pasted).path(), "Tank B.Level");
    assert!(shown.contains("72.5") && shown.contains("good"), "{shown}");
}

#[test]
fn a_browse_that_is_cut_or_finds_nothing_says_so() {
    let server = Nodes::start();
    said(&format!("browse opcua --policy None {} --max 3", server.url()))
        .ends(1)
        .holds("the bound is reached");
    said(&format!("browse opcua --policy None {} Plant/Tank9", server.url()))
        .ends(1)
        .holds("'Plant' has no 'Tank9'; it has: Tank A, Tank B");
    said(&format!("browse opcua --policy None {} nsu=urn:other;s=x", server.url())).ends(1).holds(PLANT);
    said("browse opcua --policy None 10.0.0.6:4840").ends(1).holds("write opc.tcp://");
    said("browse opcua opc.tcp://127.0.0.1:1").ends(2).holds("--policy None");
    said("browse opcua --policy None opc.tcp://127.0.0.1:1")
        .ends(1)
        .holds("check that the OPC UA server runs");
}
