//! What a fuzzer has found for the packets of MQTT is replayed, and then some bytes of chance.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use riskgate_drivers::mqtt::wire::fuzz;

#[test]
fn the_corpus_is_read_the_same_in_whatever_pieces_it_comes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/mqtt_wire");
    let entries = fs::read_dir(&folder).expect("the corpus is there");
    let paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    assert!(paths.len() >= 50, "{} files in {}", paths.len(), folder.display());
    for path in paths {
        fuzz::packets(&fs::read(path).expect("a file"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_of_chance_are_too(data in prop::collection::vec(any::<u8>(), 0..2000)) {
        fuzz::packets(&data);
    }
}
