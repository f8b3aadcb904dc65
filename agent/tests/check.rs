//! `riskgate check`: the example passes, and each way to be wrong is told at its place.
//!
//! A broken configuration is `broken/_base`, a good one, with the files of its own folder laid over it.
//! What is said of it is a snapshot; read it as the person would who made the mistake.

use std::fs;
use std::path::{Path, PathBuf};

use riskgate::config::{Checked, Driver, RawFile, Synced, check, check_files, check_files_with, render};
use riskgate_drivers::modbus::{Bit, Kind};
use riskgate_drivers::opcua::{Password, User};
use riskgate_engine::Class;
use riskgate_point::{BadReason, Quality};
use serde_json::{Value, json};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn site() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/site")
}

fn files_of(folder: &Path) -> Vec<RawFile> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("an entry");
        (PathBuf::from(entry.file_name()), fs::read(entry.path()).expect("a file"))
    };
    entries.map(file).collect()
}

fn base() -> Vec<RawFile> {
    files_of(&tests().join("broken/_base"))
}

/// The base with files laid over it.
fn over_base(over: Vec<RawFile>) -> Vec<RawFile> {
    let mut files = base();
    files.retain(|(name, _)| !over.iter().any(|(other, _)| other == name));
    files.extend(over);
    files
}

fn checked(files: Vec<RawFile>) -> Checked {
    match check_files(files) {
        Ok(checked) => checked,
        Err(problems) => panic!("{problems}"),
    }
}

fn said_of(case: &str) -> String {
    match check_files(over_base(files_of(&tests().join("broken").join(case)))) {
        Ok(_) => panic!("{case} passes"),
        Err(problems) => problems.render(false),
    }
}

macro_rules! broken {
    ($($name:ident: $case:literal,)*) => {
        $(#[test]
        fn $name() {
            insta::with_settings!({ omit_expression => true }, {
                insta::assert_snapshot!($case, said_of($case));
            });
        })*

        const CASES: &[&str] = &[$($case),*];
    };
}

broken! {
    a_misspelt_key_gets_the_nearest: "01-misspelt-keys",
    a_missing_key_is_named_at_its_table: "02-missing-keys",
    a_value_of_another_type_is_told_what_to_be: "03-wrong-types",
    a_number_out_of_range_is_told_the_range: "04-numbers-out-of-range",
    a_duration_is_told_how_to_be_written: "05-durations",
    a_word_of_a_list_is_told_the_list: "06-words-of-a-list",
    syntax_errors_are_told_together: "07-syntax",
    a_second_gateway_is_shown_with_the_first: "08-second-gateway",
    an_id_that_stands_twice_is_shown_at_both_places: "09-ids-that-stand-twice",
    a_tag_that_stands_twice_is_shown_at_both_places: "10-tags-that-stand-twice",
    an_unknown_table_gets_the_nearest: "11-unknown-tables",
    a_list_written_as_one_table_is_explained: "12-a-list-written-as-one-table",
    a_console_open_to_the_network_is_refused: "13-console-open-to-the-network",
    a_console_takes_an_address_not_a_name: "14-console-by-name",
    the_fields_of_the_gateway_are_checked: "15-gateway-fields",
    a_source_that_does_not_exist_gets_the_nearest: "16-names-that-do-not-exist",
    a_register_beyond_the_last_is_refused: "17-registers",
    a_register_counts_from_the_base: "18-register-base",
    a_type_must_fit_its_table: "19-types-of-registers",
    a_node_id_is_checked: "20-nodes",
    a_point_of_a_feed_has_a_path_a_topic_and_an_end: "21-mqtt-points",
    a_topic_filter_is_checked: "22-topic-filters",
    l1_is_never_read_as_l: "23-l1-is-not-l",
    a_column_that_is_not_known_is_no_remark: "24-columns-not-known",
    a_column_that_stands_twice_is_shown_at_both_places: "25-column-twice",
    a_number_of_a_table_is_never_guessed: "26-numbers-of-a-table",
    a_table_without_tags_is_refused: "27-no-tag-column",
    a_ragged_row_is_refused: "28-ragged-rows",
    a_file_that_is_no_text_is_refused: "29-no-text",
    the_levels_of_gas_must_be_plain: "30-levels-of-gas",
    a_range_and_a_deadband_must_make_sense: "31-range-and-deadband",
    a_fault_of_a_workbook_names_sheet_row_and_column: "32-workbook",
    a_workbook_that_is_none_is_refused: "33-workbook-that-is-none",
    the_words_of_states_are_checked: "34-words-of-states",
    a_state_has_no_limits: "35-limits-of-a-state",
    what_follows_from_a_rule_is_checked: "36-what-follows-from-a-rule",
    classify2_lies_below_classify1: "37-classify",
    a_client_id_is_used_once_at_a_broker: "38-client-ids",
    no_password_stands_in_the_configuration: "39-passwords",
    a_host_is_no_url: "40-hosts",
    a_fault_in_gb18030_is_shown_readably: "41-gb18030",
    an_empty_configuration_is_told_what_it_lacks: "42-nothing-said",
    warnings_stand_among_the_errors: "43-a-feed-nobody-would-miss",
    a_name_in_a_rule_is_underlined_within_its_expression: "44-names-in-rules",
    an_expression_is_typed: "45-types-in-rules",
    limits_stand_in_their_order: "46-limits-out-of-order",
    a_camera_hangs_on_a_feed_of_sightings: "47-a-camera-of-a-feed-without-sightings",
    what_a_chinese_keyboard_writes_is_told_what_to_write: "48-as-a-chinese-keyboard-writes",
    security_of_opcua_is_told_what_it_takes: "49-opcua-security",
    subscriptions_and_who_chooses_them_are_checked: "60-subscriptions",
    what_tls_needs_is_told: "66-tls",
    a_status_speaks_for_the_whole_feed_in_two_words: "67-the-status-of-a-feed",
    the_broker_upstream_has_one_name_for_us_and_a_rate: "67-uplink",
    a_bit_of_a_register_is_checked: "70-bits-of-registers",
    a_field_says_its_registers_and_an_order_its_bytes: "71-fields-and-orders",
    the_fields_and_names_of_messages_are_checked: "71-fields-of-messages",
    a_list_says_where_its_tags_and_values_are: "72-lists-of-points",
    a_status_has_a_register_and_a_map: "72-status-beside-a-value",
    decimals_currents_and_periods_are_checked: "73-decimals-currents-and-periods",
    a_tag_is_found_in_one_list: "73-tags-of-lists",
    a_permit_is_told_in_words_of_the_standard: "74-permits",
    what_is_said_of_registers_is_for_modbus: "74-registers-of-other-sources",
    the_limits_of_a_device_are_checked: "75-limits-of-a-device",
    a_sparkplug_metric_is_named_whole: "75-sparkplug",
    the_events_of_a_server_are_asked_for_in_full: "80-events-of-a-server",
    a_serial_port_is_said_with_what_it_can_do: "80-serial-lines",
    a_condition_has_a_source_and_a_permit_a_unit: "81-conditions-and-permits-in-rules",
    a_device_that_dials_in_says_who_it_is: "81-devices-that-dial-in",
    sources_of_one_line_agree_on_it: "82-lines-that-are-shared",
    a_port_has_one_listener_and_a_serial_line_one_master: "82-two-masters-and-two-listeners",
    a_kind_of_rule_says_which_keys_it_needs: "83-kinds-of-rules",
    the_chain_hangs_together: "83-the-chain",
    a_list_is_checked_cell_by_cell: "84-lists-of-the-model",
    rules_that_read_each_other_in_a_circle_are_named: "84-rules-in-a-circle",
    an_area_encloses_something_and_an_alarm_can_end: "85-areas-and-returns",
    how_much_history_is_kept_is_a_duration_and_a_size: "90-history",
    an_act_from_upstream_names_its_persons: "92-uplink-commands",
    the_model_has_one_owner: "93-who-owns-the-model",
    a_model_that_the_files_own_is_commanded_by_nobody: "94-a-model-that-is-never-taken",
    what_a_shadow_rule_would_tell_stays_in_the_shadow: "95-shadow-rules",
}

#[test]
fn every_broken_folder_has_its_test() {
    let entries = fs::read_dir(tests().join("broken")).expect("the folder is there");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    let mut names: Vec<String> = names.filter(|name| name != "_base").collect();
    names.sort();
    assert_eq!(names, CASES);
    assert!(CASES.len() >= 30);
}

#[test]
fn the_example_passes_without_a_warning() {
    let checked = match check(&site()) {
        Ok(checked) => checked,
        Err(problems) => panic!("{problems}"),
    };
    assert_eq!(render(&checked.warnings, false), "");
    let mut said = checked.summary().join("\n");
    said = said.replace(&checked.hash, "(hash)");
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!("example", said);
    });
}

/// What a person does who needs one of them.
#[test]
fn the_sources_that_the_example_only_shows_pass_when_they_are_uncommented() {
    let mut files = files_of(&site());
    let place = files.iter().position(|(name, _)| name == Path::new("sources.toml")).expect("it has sources");
    let text = String::from_utf8(files.remove(place).1).expect("it is text");
    let mut within = false;
    let uncommented = |line: &str| {
        within = line == "# [[source]]" || (within && line.starts_with("# "));
        if within { line.trim_start_matches("# ").to_owned() } else { line.to_owned() }
    };
    let lines: Vec<String> = text.lines().map(uncommented).collect();
    files.push((PathBuf::from("sources.toml"), lines.join("\n").into_bytes()));
    let checked = checked(files);
    let said = render(&checked.warnings, false);
    let no_point = |warning: &str| warning.contains("no point names it");
    assert!(said.split("\n\n").all(|warning| no_point(warning) || warning.ends_with("warnings\n")), "{said}");
    let kinds: Vec<&str> = (checked.sources.iter())
        .filter_map(|source| {
            if let Driver::Modbus(device) = &source.driver { Some(device.endpoint.kind()) } else { None }
        })
        .collect();
    for kind in ["modbus-tcp", "modbus-rtu", "modbus-rtu-tcp", "modbus-dial-in"] {
        assert!(kinds.contains(&kind), "{kind} is not shown: {kinds:?}");
    }
}

/// The example with the blocks that are commented out in it: a block begins at its `# [[`.
#[test]
fn what_is_commented_out_in_the_example_passes_too() {
    let mut files = files_of(&site());
    let mut blocks = 0;
    for (name, bytes) in &mut files {
        if name.extension().is_none_or(|of| of != "toml") {
            continue;
        }
        let text = String::from_utf8(bytes.clone()).expect("UTF-8");
        let mut within = false;
        let line = |line: &str| {
            let plain = line.strip_prefix("# ").filter(|_| within || line.starts_with("# [["));
            within = plain.is_some();
            blocks += usize::from(line.starts_with("# [["));
            plain.unwrap_or(line).to_owned() + "\n"
        };
        *bytes = text.lines().map(line).collect::<String>().into_bytes();
    }
    assert!(blocks >= 6, "{blocks}");
    checked(files);
}

#[test]
fn the_twelve_rules_that_a_plant_expects_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/twelve-rules");
    let checked = check(&folder).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(render(&checked.warnings, false), "");
    let kinds = fs::read_to_string(folder.join("rules.toml")).expect("the rules");
    for kind in riskgate_engine::KINDS.iter().filter(|kind| kind.name != "range") {
        assert!(kinds.contains(&format!("\"{}\"", kind.name)), "{} is not shown", kind.name);
    }
}

/// Else a Frigate that is gone would look alive for as long as its broker does.
#[test]
fn frigate_alone_is_watched_by_its_own_last_will() {
    let status = |extra: &str, points: &str| {
        let sources =
            base().into_iter().find(|(name, _)| name == Path::new("sources.toml")).expect("sources").1;
        let frigate = format!(
            "[[source]]\nid = \"nvr\"\nname = \"n\"\nkind = \"mqtt\"\nhost = \"h\"\n{extra}\n\
             [[source.sightings]]\npreset = \"frigate\"\ntopic = \"site1/frigate/events\"\n"
        );
        let points = format!("tag,source,address,type,stale_after\nLT-101,dcs,holding:100,u16,\n{points}");
        let sources = [sources, frigate.into_bytes()].concat();
        let files = vec![
            (PathBuf::from("sources.toml"), sources),
            (PathBuf::from("points.csv"), points.into_bytes()),
        ];
        let checked = checked(over_base(files));
        let warned = render(&checked.warnings, false).contains("only a lost link tells that it is dead");
        let status = checked.sources.iter().find(|source| source.name == "nvr").and_then(|source| {
            let Driver::Mqtt(feed) = &source.driver else { panic!("{source:?}") };
            feed.status.as_ref().map(|status| status.topic.clone())
        });
        (status, warned)
    };
    assert_eq!(status("", ""), (Some("site1/frigate/available".to_owned()), false));
    assert_eq!(status("status = { topic = \"a/b\" }", ""), (Some("a/b".to_owned()), false));
    assert_eq!(status("", "A,nvr,plant/level,,60s\n").0, None, "it knows nothing of the level");
}

#[test]
fn the_base_of_the_broken_ones_passes() {
    assert_eq!(render(&checked(base()).warnings, false), "");
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let problems = check(Path::new("no/such/folder")).expect_err("it is not there");
    assert!(
        problems.to_string().starts_with("no/such/folder: error: 未能读取文件夹 reading the folder"),
        "{problems}"
    );
    let nothing = check_files(Vec::new()).expect_err("nothing to run");
    assert!(nothing.to_string().contains("there is no *.toml file here"), "{nothing}");
}

#[test]
fn problems_of_a_folder_name_their_files_from_where_the_person_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("deep")).expect("a folder");
    fs::write(folder.path().join("deep/a.toml"), "[gatway]\n").expect("a file");
    let problems = check(folder.path()).expect_err("it is wrong");
    let start = format!("{}:1:2: error:", folder.path().join("deep/a.toml").display());
    assert!(problems.to_string().contains(&start), "{problems}");
}

/// All that a point table gives, as text, to compare two of them.
fn plant_of(table: Vec<u8>) -> String {
    let checked = checked(over_base(vec![(PathBuf::from("points.csv"), table)]));
    format!("{:?}\n{:?}", checked.plant.points(), checked.sources)
}

#[test]
fn encodings_and_delimiters_give_equal_plants() {
    let table = base().into_iter().find(|(name, _)| name == Path::new("points.csv")).expect("a table").1;
    let text = String::from_utf8(table).expect("UTF-8");
    // Its OPC UA address holds a semicolon.
    let semicolons = text.replace("ns=2;s=Trip", "\"ns=2;s=Trip\"").replace(',', ";");
    let crlf = text.replace('\n', "\r\n");
    let expected = plant_of(text.clone().into_bytes());
    let variants: [(&str, Vec<u8>); 6] = [
        ("a byte order mark", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
        ("GB18030", encoding_rs::GB18030.encode(&text).0.into_owned()),
        ("GB18030 as Excel saves it", encoding_rs::GB18030.encode(&crlf).0.into_owned()),
        ("semicolons", semicolons.into_bytes()),
        ("tabs", text.replace(',', "\t").into_bytes()),
        ("line ends of Windows", crlf.into_bytes()),
    ];
    for (what, bytes) in variants {
        assert_eq!(plant_of(bytes), expected, "{what}");
    }
}

fn with_points(rows: &str) -> Checked {
    let header = "tag,name,source,address,type,eu,range_low,range_high,L,一级报警,二级报警,deadband,class\n";
    let table = format!("{header}LT-101,,dcs,holding:100,u16,,,,,,,,\n{rows}");
    checked(over_base(vec![(PathBuf::from("points.csv"), table.into_bytes())]))
}

#[test]
fn the_first_and_second_level_of_gas_are_h_and_hh_and_of_a_lack_of_oxygen_l_and_ll() {
    let checked = with_points(
        "GD-1,可燃气体,dcs,holding:1,u16,%LEL,0,100,,25,50,,gas\nGD-2,氧气,dcs,holding:2,u16,%VOL,0,30,,19.5,18,,gas\n",
    );
    let limits = |tag: &str| {
        let point = checked.plant.point_id(tag).and_then(|id| checked.plant.point(id)).expect("a point");
        assert_eq!(point.class, Class::Gas);
        (point.limits.ll, point.limits.l, point.limits.h, point.limits.hh)
    };
    assert_eq!(limits("GD-1"), (None, None, Some(25.0), Some(50.0)));
    assert_eq!(limits("GD-2"), (Some(18.0), Some(19.5), None, None));
}

#[test]
fn a_deadband_that_is_not_said_is_one_percent_of_the_range_and_none_for_gas() {
    let checked = with_points(
        "A,,dcs,holding:1,u16,,0,200,,,,,process\nB,,dcs,holding:2,u16,,0,200,,,,,gas\nC,,dcs,holding:3,u16,,,,,,,,process\nD,,dcs,holding:4,u16,,0,200,,,,0.5,process\n",
    );
    let deadbands: Vec<f64> = checked.plant.points().iter().skip(1).map(|point| point.deadband).collect();
    assert_eq!(deadbands, [2.0, 0.0, 0.0, 0.5]);
}

#[test]
fn a_text_without_words_is_free_and_compared_with_texts() {
    let points = "tag,source,address,type\nLT-101,dcs,holding:1,u16\nBATCH,sis,ns=2;s=Batch,text\n";
    let rule = |when: &str| {
        format!(
            "[[rule]]\nid = \"r\"\nmeasure = \"M-1\"\nname = \"换批\"\npriority = \"low\"\nwhen = \"{when}\"\n"
        )
    };
    let files = |when: &str| {
        let file = |name: &str, text: String| (PathBuf::from(name), text.into_bytes());
        over_base(vec![file("points.csv", points.to_owned()), file("rules.toml", rule(when))])
    };
    let checked = checked(files("{BATCH} == 'B-17'"));
    let point = checked.plant.points().iter().find(|point| point.tag == "BATCH").expect("the point");
    assert!(point.text && point.words.is_empty());
    let Err(refused) = check_files(files("{BATCH} > 17")) else { panic!("it passes") };
    let refused = refused.render(false);
    assert!(refused.contains("a text is compared with a number"), "{refused}");
}

#[test]
fn what_is_not_refreshed_in_three_polls_or_keep_alives_is_stale() {
    let sources = |extra: &str| {
        let text = format!(
            "[[source]]\nid = \"dcs\"\nname = \"d\"\nkind = \"modbus-tcp\"\nhost = \"h\"\n{extra}\n\
             [[source]]\nid = \"sis\"\nname = \"s\"\nkind = \"opcua\"\nurl = \"opc.tcp://h\"\nkeep_alive = \"4s\"\n\
             [[source.subscription]]\nid = \"slow\"\npublishing = \"10s\"\n\
             [[source]]\nid = \"people\"\nname = \"p\"\nkind = \"mqtt\"\nhost = \"h\"\nheartbeat = \"hb\"\n\
             [[source]]\nid = \"video\"\nname = \"v\"\nkind = \"mqtt\"\nhost = \"h\"\nheartbeat = \"hb\"\n\
             sightings = [{{ topic = \"v\", camera = \"$.c\", kind = \"$.k\" }}]\n"
        );
        (PathBuf::from("sources.toml"), text.into_bytes())
    };
    let table = "tag,source,address,type,subscription\nLT-101,dcs,holding:1,u16,\nB,sis,i=5,,\nC,people,a/b,,\nD,sis,i=6,,slow\n";
    let seconds = |extra: &str| -> Vec<u64> {
        let points = (PathBuf::from("points.csv"), table.as_bytes().to_vec());
        let checked = checked(over_base(vec![sources(extra), points]));
        checked.plant.points().iter().map(|point| point.stale_after.as_secs()).collect()
    };
    assert_eq!(seconds(""), [5, 12, 60, 30]);
    assert_eq!(seconds("period = \"4s\""), [12, 12, 60, 30]);
}

#[test]
fn a_value_is_read_with_the_registers_beside_it() {
    let checked = check(&site()).expect("the example passes");
    let device = |name: &str| {
        let source = checked.sources.iter().find(|source| source.name == name).expect("a source");
        let Driver::Modbus(device) = &source.driver else { panic!("{name} speaks Modbus") };
        device.clone()
    };
    let ax100 = device("ax100").points;
    let (register, map) =
        ax100[0].beside.as_ref().and_then(|beside| beside.status.clone()).expect("a status");
    assert_eq!((ax100[0].address, register.address), (0x0102, 0x0101));
    assert_eq!(map.quality(1 << 12), Quality::Bad(BadReason::CommFailure));
    assert_eq!(map.quality(1 << 8), Quality::Good);
    assert_eq!(map.word(1 << 8).map(|word| &**word), Some("一级报警"));
    assert!(ax100[2].state.is_some() && ax100[2].beside.is_none());
    assert_eq!((ax100[3].kind, ax100[3].every.get()), (Kind::Bit(Bit::new(8).expect("a bit")), 5));

    let toxic = &device("toxic").points[0];
    let decimals = toxic.beside.as_ref().and_then(|beside| beside.decimals.clone()).expect("decimals");
    assert_eq!((decimals.address, decimals.every.get()), (17, 180));
    assert_eq!(decimals.good_for.as_secs(), 540);

    let of = |tag: &str| checked.plant.points().iter().find(|point| point.tag == tag).expect("a point");
    assert_eq!(of("GD-201-S").words, ["正常", "通讯故障", "故障", "二级报警", "一级报警", "屏蔽"]);
    assert!(of("GC-1-M").boolean && of("BN-201").text);
    // Read every 10 s, so three of them.
    assert_eq!(of("BN-201").stale_after.as_secs(), 30);
}

#[test]
fn a_bit_is_a_bool_though_its_row_says_no_type() {
    let checked =
        with_points("A,,dcs,holding:1.3,,,,,,,,,\nB,,dcs,coil:1,,,,,,,,,\nC,,dcs,discrete:1,bool,,,,,,,,\n");
    assert!(checked.plant.points().iter().skip(1).all(|point| point.boolean));
}

#[test]
fn the_hash_follows_names_and_bytes_and_not_the_order_of_reading() {
    let hash = |files| checked(files).hash;
    let first = hash(base());
    let mut turned = base();
    turned.reverse();
    assert_eq!(hash(turned), first);
    let mut changed = base();
    changed.iter_mut().for_each(|(_, bytes)| bytes.push(b'\n'));
    assert_ne!(hash(changed), first);
    let mut renamed = base();
    renamed.iter_mut().for_each(|(name, _)| *name = Path::new("sub").join(&*name));
    assert_ne!(hash(renamed), first);
}

#[test]
fn certificates_are_read_when_the_agent_starts_and_not_by_check() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in base() {
        fs::write(folder.path().join(name), bytes).expect("a file");
    }
    let sources = fs::read_to_string(folder.path().join("sources.toml")).expect("a file");
    let host = "host = \"10.0.0.9\"";
    let tls = format!("{host}\ntls = {{ ca_file = \"plant-ca.pem\" }}");
    fs::write(folder.path().join("sources.toml"), sources.replace(host, &tls)).expect("a file");
    let mut checked = check(folder.path()).expect("check opens no certificate");
    let mut told = || {
        let errors = checked.load_secrets(folder.path()).expect_err("it cannot be used");
        let [error] = errors.as_slice() else { panic!("{errors:?}") };
        let cause = std::error::Error::source(error).expect("it has a cause");
        format!("{error}: {cause}")
    };
    assert!(told().starts_with("TLS 文件有问题 the TLS files of source 'video': reading "), "{}", told());
    fs::write(folder.path().join("plant-ca.pem"), "no certificate").expect("a file");
    assert!(told().contains("plant-ca.pem holds no certificate in PEM form"), "{}", told());
    let feed = checked.sources.iter().find_map(|source| match &source.driver {
        Driver::Mqtt(feed) if feed.host == "10.0.0.9" => Some(feed),
        Driver::Modbus(_) | Driver::Opcua(_) | Driver::Mqtt(_) => None,
    });
    assert_eq!(feed.map(|feed| feed.port), Some(8883), "the usual port under TLS");
}

#[test]
fn passwords_are_read_when_the_agent_starts_and_not_by_check() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in base() {
        fs::write(folder.path().join(name), bytes).expect("a file");
    }
    let sources = fs::read_to_string(folder.path().join("sources.toml")).expect("a file");
    let url = "url = \"opc.tcp://10.0.0.6:4840\"";
    let login = format!("{url}\nuser = \"gw\"\npassword_file = \"sis.password\"");
    fs::write(folder.path().join("sources.toml"), sources.replace(url, &login)).expect("a file");
    let mut checked = check(folder.path()).expect("check opens no password");
    let errors = checked.load_secrets(folder.path()).expect_err("there is none");
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().contains("sis.password of source 'sis'"), "{}", errors[0]);
    fs::write(folder.path().join("sis.password"), "open sesame\n").expect("a file");
    checked.load_secrets(folder.path()).expect("it is there");
    let user = User::Password { name: "gw".to_owned(), password: Password::new("open sesame") };
    assert_eq!(user_of(&checked), &user);
    let shown = format!("{checked:?}");
    assert!(shown.contains("Password(…)") && !shown.contains("sesame"), "no log may hold it");
}

fn user_of(checked: &Checked) -> &User {
    let user = checked.sources.iter().find_map(|source| match &source.driver {
        Driver::Opcua(server) => Some(&server.user),
        Driver::Modbus(_) | Driver::Mqtt(_) => None,
    });
    user.expect("an OPC UA source")
}

#[test]
fn a_users_certificate_is_read_when_the_agent_starts_and_says_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).expect("a file");
    for (name, bytes) in base() {
        put(&name.to_string_lossy(), &bytes);
    }
    let sources = fs::read_to_string(folder.path().join("sources.toml")).expect("a file");
    let url = "url = \"opc.tcp://10.0.0.6:4840\"";
    let login = format!("{url}\nuser_certificate = \"gw.der\"\nuser_key_file = \"gw-key.pem\"");
    put("sources.toml", sources.replace(url, &login).as_bytes());
    let mut checked = check(folder.path()).expect("check opens neither");
    assert!(matches!(user_of(&checked), User::Certificate(_)));
    let why = |checked: &mut Checked| {
        let errors = checked.load_secrets(folder.path()).expect_err("they are no user");
        riskgate::app::secrets_text(&errors)
    };
    let missing = why(&mut checked);
    assert!(missing.contains("source 'sis'") && missing.contains("there is no file"), "{missing}");
    put("gw.der", b"no certificate");
    assert!(why(&mut checked).contains("gw.der cannot be used"), "{}", why(&mut checked));
}

#[test]
fn a_source_of_opcua_is_secured_unless_it_says_that_it_is_not() {
    let channel = |more: &str| {
        let sources = String::from_utf8(
            files_of(&tests().join("broken/_base"))
                .into_iter()
                .find(|(name, _)| name == Path::new("sources.toml"))
                .expect("the base's sources")
                .1,
        )
        .expect("UTF-8");
        let url = "url = \"opc.tcp://10.0.0.6:4840\"";
        let sources = sources.replace(url, &format!("{url}\n{more}"));
        let checked = checked(over_base(vec![(PathBuf::from("sources.toml"), sources.into_bytes())]));
        let said = checked.sources.iter().find_map(|source| match &source.driver {
            Driver::Opcua(server) => Some((server.security.channel.to_string(), server.security.trust_first)),
            Driver::Modbus(_) | Driver::Mqtt(_) => None,
        });
        said.expect("an OPC UA source")
    };
    let secured = |text: &str, first| (text.to_owned(), first);
    assert_eq!(channel(""), secured("security and mode SignAndEncrypt", false));
    assert_eq!(channel("mode = \"Sign\"\ntrust = \"first\""), secured("security and mode Sign", true));
    let named = "policy = \"Aes256Sha256RsaPss\"\ntrust = \"listed\"";
    assert_eq!(channel(named), secured("Aes256Sha256RsaPss SignAndEncrypt", false));
    assert_eq!(channel("policy = \"None\""), secured("policy None", false));
}

mod no_bytes_panic {
    use proptest::prelude::*;

    use super::*;

    /// A good file with a few bytes changed goes deeper than noise does.
    fn spoil(mut bytes: Vec<u8>, changes: &[(usize, u8)]) -> Vec<u8> {
        let length = bytes.len().max(1);
        for (at, byte) in changes {
            if let Some(old) = bytes.get_mut(at % length) {
                *old = *byte;
            }
        }
        bytes
    }

    fn workbook() -> Vec<u8> {
        fs::read(site().join("points-gds.xlsx")).expect("the example's workbook")
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn as_a_file_of_any_kind(bytes: Vec<u8>) {
            for name in ["a.toml", "a.csv", "a.xlsx"] {
                let said = check_files(over_base(vec![(PathBuf::from(name), bytes.clone())]));
                if let Err(problems) = said {
                    prop_assert!(!problems.render(true).is_empty());
                }
            }
        }

        #[test]
        fn as_text_of_a_table(text in "[位号LT,;\t\"\r\n=0-9a-z{}\\[\\]]{0,80}") {
            for name in ["a.toml", "a.csv"] {
                let said = check_files(over_base(vec![(PathBuf::from(name), text.clone().into_bytes())]));
                if let Err(problems) = said {
                    prop_assert!(!problems.render(false).is_empty());
                }
            }
        }

        #[test]
        fn as_a_spoilt_file(which: usize, changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
            let mut files = base();
            files.push((PathBuf::from("gds.xlsx"), workbook()));
            let spoilt = which % files.len();
            files[spoilt].1 = spoil(files[spoilt].1.clone(), &changes);
            if let Err(problems) = check_files(files) {
                prop_assert!(!problems.render(true).is_empty());
            }
        }
    }
}

/// The base with a model that upstream owns, and this one from there.
fn with_model(version: u64, model: Value) -> Result<Checked, riskgate::config::Problems> {
    let owner = "[model]\nsource = \"upstream\"\n[[task]]\nid = \"T-2\"\nmeasure = \"M-1\"\ncontent = \"x\"\n\
                 cycle = \"8h\"\nassignee = \"ban-a\"\n";
    let files = over_base(vec![(PathBuf::from("more.toml"), owner.as_bytes().to_vec())]);
    check_files_with(files, &Synced::new(version, model))
}

#[test]
fn what_the_files_name_and_upstream_has_not_stays_and_the_rest_is_upstreams() {
    let unit = json!({
        "id": "tank-b", "riskUnitName": "罐区B", "hazardCode": "540170007002", "riskClass": "2",
        "hazardLiablePerson": "李四", "updateTime": "20261123080000",
    });
    let event = json!({ "id": "E-1", "riskUnitId": "tank-b", "riskEventName": "泄漏" });
    let measure = json!({
        "id": "M-9", "riskEventId": "E-1", "riskMeasureDesc": "巡检", "dataSrc": "2", "classify1": 3, "classify2": "3-2",
    });
    let model = json!({ "units": [unit], "events": [event], "measures": [measure], "tasks": [] });
    let Ok(of) = with_model(1, model.clone()) else { panic!("refused") };
    assert_eq!(of.orphans, ["M-1"], "a rule is bound to it");
    let ids = |ids: Vec<&str>| ids.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let units = of.plant.units().iter().map(|unit| unit.id.clone()).collect::<Vec<_>>();
    assert_eq!(units, ids(vec!["tank-b", "tank-a"]), "its zones and cameras are of tank-a");
    let events = of.plant.events().iter().map(|event| (event.id.as_str(), event.unit.as_str()));
    assert_eq!(events.collect::<Vec<_>>(), [("E-1", "tank-b"), ("储罐满溢", "tank-a")]);
    assert!(of.plant.tasks().iter().all(|task| task.id != "T-2"), "no rule boosts it");
    let Ok(next) = with_model(2, model) else { panic!("refused") };
    assert_eq!(next.files, of.files);
    assert_ne!(next.hash, of.hash, "another version is another configuration");
}

/// Each value of the document by its path, the containers too.
fn paths(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| paths(field, &format!("{at}/{name}"), all));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| paths(item, &format!("{at}/{n}"), all));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn a_model_with_any_one_value_wrong_or_gone_is_taken_or_refused_at_a_place() {
    let readme = fs::read_to_string(tests().join("../../README.md")).expect("the README");
    let block = readme.split("```json\n").find(|block| block.contains("\"measures\"")).expect("a document");
    let document: Value = serde_json::from_str(block.split("```").next().expect("its end")).expect("JSON");
    let model = document["model"].clone();
    assert!(with_model(7, model.clone()).is_ok());
    let mut all = Vec::new();
    paths(&model, "", &mut all);
    let wrong = [json!(null), json!("\u{0}/+#")];
    let (mut taken, mut refused) = (0, 0);
    for path in &all {
        for value in &wrong {
            let mut broken = model.clone();
            *broken.pointer_mut(path).expect("there") = value.clone();
            match with_model(7, broken) {
                Ok(_) => taken += 1,
                Err(problems) => {
                    refused += 1;
                    let text = problems.render(false);
                    assert!(
                        text.lines().any(|line| line.contains("error: ") && !line.starts_with("error")),
                        "{path}: {text}"
                    );
                }
            }
        }
    }
    assert!(refused > taken && taken > 0, "{refused} refused, {taken} taken");
}

/// The same with these files more.
fn with_files(more: &str, model: Value) -> Result<Checked, riskgate::config::Problems> {
    let text = format!("[model]\nsource = \"upstream\"\n{more}");
    let files = over_base(vec![(PathBuf::from("more.toml"), text.into_bytes())]);
    check_files_with(files, &Synced::new(1, model))
}

/// A measure of the files, with what more it says.
fn own_measure(id: &str, unit: &str, event: &str, more: &str) -> String {
    format!(
        "[[measure]]\nid = \"{id}\"\nunit = \"{unit}\"\nevent = \"{event}\"\nname = \"{id}\"\n\
         classify1 = \"3\"\nclassify2 = \"3-2\"\n{more}\n"
    )
}

/// Upstream's chain: one measure of tank-b, and `E-1` is an event there.
fn of_tank_b() -> Value {
    let unit = json!({
        "id": "tank-b", "riskUnitName": "罐区B", "hazardCode": "540170007002", "riskClass": "2",
        "hazardLiablePerson": "李四",
    });
    let event = json!({ "id": "E-1", "riskUnitId": "tank-b", "riskEventName": "泄漏" });
    let measure = json!({
        "id": "M-9", "riskEventId": "E-1", "riskMeasureDesc": "巡检", "dataSrc": "2", "classify1": 3, "classify2": "3-2",
    });
    json!({ "units": [unit], "events": [event], "measures": [measure], "tasks": [] })
}

#[test]
fn a_measure_that_the_files_bind_something_to_is_an_orphan_where_upstream_has_it_no_more() {
    let more = own_measure("M-2", "tank-a", "储罐满溢", "zones = [\"dike\"]")
        + &own_measure("M-3", "tank-a", "储罐满溢", "auto_record = true")
        + &own_measure("M-4", "tank-a", "储罐满溢", "");
    let of = with_files(&more, of_tank_b()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(of.orphans, ["M-2", "M-3", "M-1"], "M-4 is nothing but a copy");
}

#[test]
fn orphans_of_two_units_with_one_event_by_its_words_or_its_id_are_kept() {
    let unit = |id: &str| {
        format!(
            "[[unit]]\nid = \"{id}\"\nname = \"{id}\"\nhazard_code = \"540170007003\"\nbase_class = \"blue\"\n\
             liable_person = \"王强\"\n"
        )
    };
    let of = |event: &str, more: &str| {
        let more = unit("tank-c")
            + &unit("tank-d")
            + &own_measure("M-5", "tank-c", event, "auto_record = true")
            + &own_measure("M-6", "tank-d", event, "auto_record = true")
            + &own_measure("M-7", "tank-d", event, "auto_record = true")
            + more;
        let checked = with_files(&more, of_tank_b()).unwrap_or_else(|problems| panic!("{problems}"));
        let mut ids: Vec<String> = checked.plant.events().iter().map(|event| event.id.clone()).collect();
        let events = |unit: &str| {
            let events = checked.plant.events().iter().filter(|event| event.unit == unit);
            events.map(|event| event.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!((events("tank-c"), events("tank-d")), (vec!["泄漏".to_owned()], vec!["泄漏".to_owned()]));
        for measure in checked.plant.measures() {
            let mut own = checked.plant.events().iter().filter(|event| event.unit == measure.unit);
            assert!(own.any(|event| event.id == measure.event), "{measure:?}");
        }
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
    };
    of("泄漏", "");
}

#[test]
fn an_event_that_upstream_has_moved_to_another_unit_stays_for_the_orphan_of_the_first() {
    let event = "[[event]]\nid = \"E-1\"\nunit = \"tank-a\"\nname = \"泄漏\"\n\
                 [[event]]\nid = \"E-0\"\nunit = \"tank-a\"\nname = \"储罐满溢\"\n";
    let more = event.to_owned() + &own_measure("M-5", "tank-a", "E-1", "auto_record = true");
    let of = with_files(&more, of_tank_b()).unwrap_or_else(|problems| panic!("{problems}"));
    let events = of.plant.events().iter().map(|event| (event.unit.as_str(), event.name.as_str()));
    let events: std::collections::BTreeSet<_> = events.collect();
    assert_eq!(Vec::from_iter(events), [("tank-a", "储罐满溢"), ("tank-a", "泄漏"), ("tank-b", "泄漏")]);
    assert!(of.orphans.contains(&"M-5".to_owned()));
}

#[test]
fn the_name_of_the_code_says_whether_an_object_is_major() {
    let major = |object: Value, unit: (&str, &str)| {
        let mut model = of_tank_b();
        let row = model["units"][0].as_object_mut().expect("a row");
        row.remove("hazardCode");
        row.insert(unit.0.to_owned(), json!(unit.1));
        if !object.is_null() {
            model["objects"] = json!([object]);
        }
        let of = with_files("", model).map_err(|problems| problems.render(false))?;
        let unit = of.plant.unit("tank-b").expect("the unit");
        Ok::<bool, String>(of.plant.is_major(unit))
    };
    let code = "540170007002";
    let one = |name: &str| json!({ name: code, "hazardName": "罐区" });
    assert_eq!(major(one("hazardCode"), ("hazardCode", code)), Ok(true));
    assert_eq!(major(one("hazardCode1"), ("hazardCode1", code)), Ok(false));
    let blank = json!({ "hazardCode": "", "hazardCode1": code, "hazardName": "罐区" });
    assert_eq!(major(blank, ("hazardCode1", code)), Ok(false));
    assert_eq!(major(Value::Null, ("hazardCode", code)), Ok(true), "by the unit alone");
    assert_eq!(major(Value::Null, ("hazardCode1", code)), Ok(false), "by the unit alone");
    let wrong = [
        (json!({ "hazardCode": code, "hazardName": "罐区", "major": false }), "hazardCode", "'major'"),
        (json!({ "hazardCode1": code, "hazardName": "罐区", "major": 1 }), "hazardCode1", "'major'"),
        (json!({ "hazardCode": code, "hazardCode1": "2", "hazardName": "罐区" }), "hazardCode", "both"),
        (one("hazardCode"), "hazardCode1", "the object"),
    ];
    for (object, name, why) in wrong {
        let said = major(object, (name, code)).expect_err("refused");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn of_a_flood_of_faults_a_model_is_told_some_and_the_number_of_the_others() {
    let mut model = of_tank_b();
    model["measures"] = json!(vec![json!({}); 20_000]);
    let problems = with_files("", model).expect_err("refused");
    assert!(problems.diagnostics.len() <= 1_100, "{}", problems.diagnostics.len());
    assert!(problems.left_out > 100_000, "{}", problems.left_out);
    assert!(problems.render(false).contains(&format!("{} more", problems.left_out)));
}
