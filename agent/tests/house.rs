//! The house holds: arrows between the crates, what the engine may not know, what the drivers may not do,
//! and what stands at the top of the repository.
#![expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that finds another shape should stop there"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the agent lies in the repository").to_path_buf()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

/// Every package reachable from each workspace crate through normal dependencies, as cargo resolves them.
fn reachable() -> BTreeMap<String, BTreeSet<String>> {
    let platform = format!("--filter-platform={}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline", &platform])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let names: BTreeMap<String, String> = list(&metadata["packages"])
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let mut direct: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for node in list(&metadata["resolve"]["nodes"]) {
        let normal = |dep: &&Value| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
        let deps = list(&node["deps"]).iter().filter(normal).map(|dep| text(&dep["pkg"])).collect();
        direct.insert(text(&node["id"]), deps);
    }
    let mut all = BTreeMap::new();
    for member in list(&metadata["workspace_members"]) {
        let start = text(member);
        let mut seen = BTreeSet::new();
        let mut open = vec![start.clone()];
        while let Some(package) = open.pop() {
            for dep in &direct[&package] {
                if seen.insert(dep.clone()) {
                    open.push(dep.clone());
                }
            }
        }
        all.insert(names[&start].clone(), seen.iter().map(|id| names[id].clone()).collect());
    }
    all
}

#[test]
fn the_arrows_between_the_crates_are_those_of_the_design() {
    let reachable = reachable();
    let own = |name: &str| -> Vec<&str> {
        reachable[name].iter().map(String::as_str).filter(|dep| dep.starts_with("riskgate")).collect()
    };
    assert_eq!(own("riskgate"), ["riskgate-drivers", "riskgate-engine", "riskgate-point"]);
    assert_eq!(own("riskgate-drivers"), ["riskgate-point"]);
    assert_eq!(own("riskgate-engine"), ["riskgate-point"]);
    assert!(own("riskgate-point").is_empty());
}

#[test]
fn the_engine_knows_no_runtime_no_storage_and_no_protocol() {
    let reachable = reachable();
    let words = ["tokio", "rusqlite", "rumqttc", "opcua", "modbus", "mio", "socket2", "tracing", "fastrand"];
    let foreign: Vec<&String> = reachable["riskgate-engine"]
        .iter()
        .filter(|dep| words.iter().any(|word| dep.contains(word)))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

/// jiff is in the engine for the arithmetic of the calendar alone: clippy forbids the functions of it that read the
/// clock, and built for the engine it has no zones to look up. The site's zone comes in with the plant.
#[test]
fn the_engine_looks_up_no_zone() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "-p", "riskgate-engine", "-e", "features,normal", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(tree.contains("jiff feature \"std\""), "{tree}");
    assert!(!tree.contains("tz"), "{tree}");
}

#[test]
fn the_one_provider_of_tls_is_ring() {
    for (package, deps) in reachable() {
        for other in ["openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys"] {
            assert!(!deps.contains(other), "{package} holds {other}");
        }
    }
}

#[test]
fn no_mqtt_library_that_could_publish_is_among_the_drivers() {
    let drivers = &reachable()["riskgate-drivers"];
    let mqtt: Vec<&String> = drivers.iter().filter(|dep| dep.contains("mqtt")).collect();
    assert!(mqtt.is_empty(), "{mqtt:?}");
}

fn sources_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of ours") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                sources_below(&path, found);
            }
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// The lines of a source file up to its unit tests, without comments: a test may play the device.
fn product_lines(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("a source file is text");
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    let code = |line: &&str| !line.trim_start().starts_with("//");
    text[..end].lines().filter(code).collect::<Vec<_>>().join("\n")
}

#[test]
fn no_driver_holds_a_call_that_writes_to_the_plant() {
    let mut files = Vec::new();
    sources_below(&root().join("drivers/src"), &mut files);
    assert!(files.len() > 5, "the drivers have moved: {files:?}");
    // Of tokio-modbus, async-opcua and any MQTT library, by the names of their calls.
    let forbidden = [
        "write_single",
        "write_multiple",
        "masked_write",
        "read_write_multiple",
        "WriteSingle",
        "WriteMultiple",
        "MaskWrite",
        "ReadWriteMultiple",
        "Request::Custom",
        ".write(",
        "call_one",
        ".call(",
        "WriteRequest",
        "CallRequest",
        "publish(",
        "publish_bytes",
        "publish_tracked",
        "try_publish",
    ];
    for path in files {
        let code = product_lines(&path);
        let within = |protocol: &str| path.components().any(|part| part.as_os_str() == protocol);
        // An OPC UA client asks its server to publish to it: that is how it reads. And it may ask it to tell
        // its conditions again, in one place, by one method.
        let is_refresh = path.ends_with("opcua/refresh.rs");
        let known =
            |call: &str| (call == "publish(" && within("opcua")) || (call == "call_one" && is_refresh);
        if is_refresh {
            let methods: Vec<&str> = code.split("MethodId::").skip(1).collect();
            assert!(matches!(methods[..], [one] if one.starts_with("ConditionType_ConditionRefresh)")));
            assert_eq!(code.matches("call_one").count(), 1);
        }
        for call in forbidden {
            assert!(known(call) || !code.contains(call), "{} holds {call}", path.display());
        }
    }
}

/// The library speaks all function codes; it plays devices in tests and in the demo.
#[test]
fn no_modbus_client_but_our_own_is_in_the_drivers_and_it_has_four_function_codes() {
    assert!(!reachable()["riskgate-drivers"].contains("tokio-modbus"));
    let frame = product_lines(&root().join("drivers/src/modbus/frame/mod.rs"));
    let functions = frame.split("enum Function {").nth(1).expect("the function codes are an enum");
    let functions: Vec<&str> =
        functions.split('}').next().expect("it ends").split(',').map(str::trim).collect();
    assert_eq!(functions, ["Coils", "DiscreteInputs", "HoldingRegisters", "InputRegisters", ""]);
    let codes = frame.split("fn code(self) -> u8 {").nth(1).expect("they become bytes in one place");
    let codes: Vec<&str> = codes.split("=> ").skip(1).take(5).map(|rest| &rest[..1]).collect();
    assert_eq!(codes[..4], ["1", "2", "3", "4"]);
}

#[test]
fn only_one_file_reads_clocks() {
    let mut files = Vec::new();
    for folder in ["agent/src", "agent/engine/src", "drivers/src", "drivers/point/src"] {
        sources_below(&root().join(folder), &mut files);
    }
    for path in files.iter().filter(|path| !path.ends_with("agent/src/clock.rs")) {
        let code = product_lines(path);
        for clock in
            ["SystemTime::now", "std::time::Instant::now", "Timestamp::now", "Zoned::now", "clock_gettime"]
        {
            assert!(!code.contains(clock), "{} reads {clock}", path.display());
        }
    }
}

#[test]
fn the_consumer_of_the_readme_is_the_one_that_the_tests_run() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("a file of ours");
    let (readme, consumer) = (read("README.md"), read("tests/support/consumer.py"));
    let blocks: Vec<&str> = readme.split("\n```python\n").skip(1).collect();
    assert_eq!(blocks.len(), 2, "README.md holds the consumer, and the inspector of the journal");
    let block = blocks[0].split("```\n").next().expect("a block ends");
    assert!(
        block == consumer,
        "README.md and tests/support/consumer.py differ: copy the file into the block"
    );
    let pinned = read("tests/requirements.txt");
    for said in pinned.lines().filter(|line| line.starts_with("paho-mqtt")) {
        assert!(readme.contains(said), "README.md names another release than {said}");
    }
}

#[test]
fn the_top_of_the_repository_holds_what_the_rules_name() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE",
        "README.md",
        "agent",
        "config",
        "drivers",
        "systemd",
        "tests",
        "target",
        "state", // an agent that was run here by hand
    ];
    for entry in std::fs::read_dir(root()).expect("the repository") {
        let name = entry.expect("readable").file_name().to_string_lossy().into_owned();
        assert!(name.starts_with('.') || allowed.contains(&name.as_str()), "{name}");
    }
}
