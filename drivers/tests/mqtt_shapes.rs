//! Messages as known systems send them, and what a fuzzer has found, are read again; and then bytes of chance.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use riskgate_drivers::mqtt::decode::fuzz;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    let entries = fs::read_dir(&folder).expect("the corpus is there");
    let files: Vec<_> =
        entries.map(|entry| fs::read(entry.expect("an entry").path()).expect("a file")).collect();
    assert!(files.len() >= 15, "{} files in {}", files.len(), folder.display());
    files
}

#[test]
fn the_corpus_of_json_is_read() {
    corpus("mqtt_json").iter().for_each(|data| fuzz::json(data));
}

#[test]
fn the_corpus_of_sparkplug_is_read() {
    corpus("sparkplug").iter().for_each(|data| fuzz::sparkplug(data));
}

/// A few bytes of a good message are others: that goes deeper than noise does.
fn spoilt(name: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let files = corpus(name);
    (prop::sample::select(files), prop::collection::vec((any::<usize>(), any::<u8>()), 1..6)).prop_map(
        |(mut data, changes)| {
            let length = data.len().max(1);
            for (at, byte) in changes {
                if let Some(old) = data.get_mut(at % length) {
                    *old = byte;
                }
            }
            data
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn spoilt_json_is_too(data in spoilt("mqtt_json")) {
        fuzz::json(&data);
    }

    #[test]
    fn spoilt_sparkplug_is_too(data in spoilt("sparkplug")) {
        fuzz::sparkplug(&data);
    }

    #[test]
    fn bytes_of_chance_are_too(data in prop::collection::vec(any::<u8>(), 0..500)) {
        fuzz::json(&data);
        fuzz::sparkplug(&data);
    }
}
