//! What a fuzzer has found for the frames of Modbus is replayed, and then some bytes of chance.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use riskgate_drivers::modbus::fuzz;

#[test]
fn the_corpus_makes_no_answer_of_what_is_none() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/modbus_frames");
    let entries = fs::read_dir(&folder).expect("the corpus is there");
    let paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    assert!(paths.len() >= 50, "{} files in {}", paths.len(), folder.display());
    for path in paths {
        fuzz::frames(&fs::read(path).expect("a file"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_of_chance_make_no_answer_of_what_is_none(data in prop::collection::vec(any::<u8>(), 0..2000)) {
        fuzz::frames(&data);
    }
}
