//! What is kept for the fuzzer of OPC UA events is replayed, each also with bytes of it changed by chance.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use riskgate_drivers::opcua::fuzz;

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/opcua_events");
    let entries = fs::read_dir(&folder).expect("the corpus is there");
    let paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    assert!(paths.len() >= 50, "{} files in {}", paths.len(), folder.display());
    paths.into_iter().map(|path| fs::read(path).expect("a file")).collect()
}

#[test]
fn the_corpus_makes_no_wrong_condition() {
    for data in corpus() {
        fuzz::events(&data);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_it_makes_a_wrong_condition(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for mut data in corpus() {
            for (at, byte) in &changes {
                let at = at.index(data.len());
                data[at] = *byte;
            }
            fuzz::events(&data);
        }
    }
}
