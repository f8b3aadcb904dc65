//! What goes in comes out; what is damaged is found; and how many bytes a sample of each kind takes.

use proptest::prelude::*;
use riskgate_point::Finite;

use super::*;

fn any_value() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        any::<bool>().prop_map(|on| Some(Value::Bool(on))),
        any::<i64>().prop_map(|number| Some(Value::Int(number))),
        any::<f64>().prop_map(|number| Finite::new(number).map(Value::Float)),
        (0_i32..4_096).prop_map(|step| Value::float(f64::from(step) * 100.0 / 4_095.0)),
        "[a-z开关]{0,6}".prop_map(|text| Some(Value::text(&text))),
    ]
}

fn any_row() -> impl Strategy<Value = Row> {
    let time = prop_oneof![any::<i64>(), 1_700_000_000_000_i64..1_700_000_300_000];
    let source = prop::option::of(prop_oneof![any::<i64>(), 1_700_000_000_000_i64..1_700_000_300_000]);
    (time, source, any_value(), 0..QUALITIES.len(), any::<bool>()).prop_map(
        |(at, source, value, quality, backfill)| Row {
            at: Wall(at),
            source_time: source.map(Wall),
            value,
            quality: QUALITIES[quality],
            backfill,
        },
    )
}

/// What a point may have read.
pub(in crate::history) fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec(any_row(), 0..80)
}

proptest! {
    #[test]
    fn any_block_comes_back_as_it_was(rows in rows(), base in any::<i64>()) {
        let bytes = encode(&rows, Wall(base));
        prop_assert_eq!(decode(&bytes, Wall(base)), Ok(rows));
    }

    #[test]
    fn any_bytes_are_a_block_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let rows = decode(&bytes, Wall(0)).map_or(0, |rows| rows.len());
        prop_assert!(rows <= bytes.len() * 8);
    }

    #[test]
    fn a_damaged_block_is_a_block_or_an_error(
        rows in prop::collection::vec(any_row(), 1..60),
        place in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let mut bytes = encode(&rows, Wall(0));
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        drop(decode(&bytes, Wall(0)));
        bytes.truncate(place);
        prop_assert!(decode(&bytes, Wall(0)) != Ok(rows));
    }
}

/// Noise that is the same each time.
struct Noise(u64);

impl Noise {
    fn below(&mut self, end: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((self.0 >> 33) % end).unwrap()
    }

    /// About normal, with a deviation of 1.
    fn normal(&mut self) -> f64 {
        let sum: i64 = (0..12).map(|_| self.below(1_000_000)).sum();
        f64::from(i32::try_from(sum - 6_000_000).unwrap()) / 1e6
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it rounds to a step of the converter")]
fn stepped(number: f64) -> f64 {
    number.round() as i32 as f64
}

/// Readings each second, a few ms late, as a poll of a device brings them; only what changed is kept.
fn series(n: i64, mut value: impl FnMut(&mut Noise, i64) -> Value) -> Vec<Row> {
    let mut noise = Noise(7);
    let mut rows: Vec<Row> = Vec::new();
    for second in 0..n {
        let at = Wall(1_700_000_000_000 + second * 1_000 + noise.below(5));
        let value = Some(value(&mut noise, second));
        if rows.last().is_none_or(|last| last.value != value) {
            rows.push(Row { at, source_time: None, value, quality: Quality::Good, backfill: false });
        }
    }
    rows
}

fn float(number: f64) -> Value {
    Value::float(number).unwrap()
}

#[expect(clippy::cast_possible_truncation, reason = "as a device sends it")]
fn narrow(number: f64) -> Value {
    float(f64::from(number as f32))
}

/// `cargo test -p riskgate --lib history::codec -- --nocapture bytes` prints them.
#[test]
fn bytes_a_sample_of_each_kind_stay_low_in_blocks_of_300() {
    let level = |noise: &mut Noise, second: i64| {
        2_048.0 + 300.0 * (f64::from(i32::try_from(second).unwrap()) / 900.0).sin() + 1.5 * noise.normal()
    };
    let kinds: Vec<(&str, Vec<Row>)> = vec![
        (
            "4-20 mA, 12 bit, scaled to 0-100",
            series(7_200, |noise, second| float(stepped(level(noise, second)) * 100.0 / 4_095.0)),
        ),
        (
            "4-20 mA, 12 bit, scaled, 32 bit",
            series(7_200, |noise, second| narrow(stepped(level(noise, second)) * 100.0 / 4_095.0)),
        ),
        (
            "16 bit of 0-27648, scaled",
            series(7_200, |noise, second| float(stepped(level(noise, second) * 6.75) * 250.0 / 27_648.0)),
        ),
        (
            "32 bit float of a DCS, all noise",
            series(7_200, |noise, second| narrow(level(noise, second) / 40.0)),
        ),
        (
            "one decimal place",
            series(7_200, |noise, second| float(stepped(level(noise, second) * 0.5) / 10.0)),
        ),
        (
            "setpoint",
            series(60_000, |noise, _| {
                float(stepped(f64::from(i32::try_from(noise.below(120)).unwrap()) / 118.5) * 5.0 + 40.0)
            }),
        ),
        ("boolean", series(60_000, |noise, _| Value::Bool(noise.below(40) == 0))),
        (
            "enumeration",
            series(60_000, |noise, _| {
                Value::text(["运行", "停止", "检修"][usize::try_from(noise.below(60) / 29).unwrap()])
            }),
        ),
        ("counter", series(7_200, |_, second| Value::Int(9_000_000 + second * 3 / 2))),
    ];
    let mut told = Vec::new();
    for (kind, rows) in kinds {
        let blocks: Vec<&[Row]> = rows.chunks(300).filter(|block| block.len() >= 100).collect();
        assert!(!blocks.is_empty(), "{kind}");
        let n: usize = blocks.iter().map(|block| block.len()).sum();
        let bytes: usize = blocks.iter().map(|block| encode(block, block[0].at).len()).sum();
        let each = bytes as f64 / n as f64;
        println!("{kind}: {each:.2} B a sample ({n} samples)");
        told.push((kind, each));
    }
    let with_times: Vec<Row> = series(600, |noise, second| narrow(level(noise, second) / 40.0))
        .into_iter()
        .map(|row| Row { source_time: Some(Wall(row.at.0 - 40 - row.at.0 % 17)), ..row })
        .collect();
    let each = encode(&with_times, with_times[0].at).len() as f64 / with_times.len() as f64;
    println!("32 bit float with source's times: {each:.2} B a sample");
    assert!(each < 4.5, "{each}");
    for (kind, each) in told {
        let most = if kind.contains("all noise") { 3.5 } else { 2.5 };
        assert!(each < most, "{kind}: {each}");
    }
}
