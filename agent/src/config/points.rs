//! The rows of all point tables (点表) as points: what the engine is to know of each. How its source reads
//! it is made in `binding`.

use std::collections::HashMap;
use std::time::Duration;

use riskgate_drivers::scaling::{OutOfRange, Scaling};
use riskgate_engine::{Class, Confirm, Limits, PointDraft, Watch, Watched};
use riskgate_point::{PointId, SourceId};

use super::binding::{self, Read, Type};
use super::fields::{Asked, Origin};
use super::gas_levels;
use super::headers::{Column, header};
use super::model::{CLASSES, CONFIRMS};
use super::place::{Faults, File, Place};
use super::row::{self, Line};
use super::sources::modbus::{STALE_POLL_MIN, good_for};
use super::sources::{Kind, STALE_MAX, STALE_MIN, Source};
use super::table::{Row, Sheet, columns_of, header_row, without_header};
use super::values::{duration, suggest};

const REQUIRED: [Column; 3] = [Column::Tag, Column::Source, Column::Address];
/// On-delay of H and L.
const DELAY_MAX: Duration = Duration::from_secs(3600);
/// Three keep-alives missed are no accident.
const STALE_KEEP_ALIVES: u32 = 3;
/// Of the range, for process and equipment. A gas detector's alarm is not to be held back.
const DEADBAND_OF_RANGE: f64 = 0.01;

const CLASSES_ZH: [(&str, Class); 16] = [
    ("工艺", Class::Process),
    ("过程", Class::Process),
    ("设备", Class::Equipment),
    ("气体", Class::Gas),
    ("可燃气体", Class::Gas),
    ("有毒气体", Class::Gas),
    ("GDS", Class::Gas),
    ("消防", Class::Fire),
    ("火灾", Class::Fire),
    ("安全仪表", Class::Sis),
    ("联锁", Class::Sis),
    ("人员", Class::People),
    ("作业", Class::Permit),
    ("作业票", Class::Permit),
    ("视频", Class::Video),
    ("系统", Class::System),
];
const CONFIRMS_ZH: [(&str, Confirm); 2] = [("自动", Confirm::Auto), ("人工", Confirm::Person)];

const OUT_OF_RANGE: [(&str, OutOfRange); 2] = [("clamp", OutOfRange::Clamp), ("bad", OutOfRange::Bad)];
const OUT_OF_RANGE_ZH: [(&str, OutOfRange); 2] = [("限幅", OutOfRange::Clamp), ("坏值", OutOfRange::Bad)];

/// Columns that are only for numbers.
const OF_NUMBERS: [Column; 14] = [
    Column::Scale,
    Column::Offset,
    Column::ScaleRegister,
    Column::RangeLow,
    Column::RangeHigh,
    Column::OutOfRange,
    Column::Signal,
    Column::LowLow,
    Column::Low,
    Column::High,
    Column::HighHigh,
    Column::LevelOne,
    Column::LevelTwo,
    Column::Deadband,
];

/// The points, and where the row of each stands. Apart, because the one stays and the other goes.
#[derive(Default)]
pub(super) struct Points {
    pub(super) drafts: Vec<PointDraft>,
    pub(super) origins: Vec<Origin>,
}

/// All points in the order of the files, each row gone once it is read, and the drivers' share of each in `sources`.
pub(super) fn read(sheets: Vec<Sheet>, files: &[File], sources: &mut [Source], faults: &Faults) -> Points {
    let mut points = Points::default();
    // 100,000 of them are not to be moved about while they grow.
    let of_rest = |sheet: &Sheet| sheet.rest.as_ref().map_or(0, |rest| rest.count);
    let count = sheets.iter().map(|sheet| sheet.rows.len() + of_rest(sheet)).sum();
    points.drafts.reserve_exact(count);
    points.origins.reserve_exact(count);
    let mut addresses = HashMap::new();
    for sheet in sheets {
        let Some(at) = header_row(&sheet.rows) else {
            let place = sheet.rows.first().map_or(sheet.whole, |row| row.start);
            let hint = "the header needs tag 位号, source 数据源 and address 地址".to_owned();
            faults.error(place, "this table has no column tag 位号", hint);
            faults.unreadable_part();
            continue;
        };
        let silent = Faults::default();
        let rest = sheet.rest.iter().flat_map(|rest| rest.rows(files, &silent));
        let mut rows = sheet.rows.into_iter().skip(at).chain(rest);
        let Some(header_row) = rows.next() else { continue };
        let columns = columns(&header_row, faults);
        let keys = keys(&columns);
        for row in rows {
            without_header(&row, &header_row, faults);
            let line = Line::new(&row, &columns, faults);
            if let Some(draft) = point(&line, points.drafts.len(), sources, &mut addresses, faults) {
                points.drafts.push(draft);
                points.origins.push(line.origin(Column::Tag, &keys));
            }
        }
    }
    for source in sources {
        source.close();
    }
    points
}

/// Under which keys the engine's faults find a column. It knows the limits by their own names only.
fn keys(columns: &HashMap<Column, u32>) -> Asked {
    let mut keys = row::asked(columns);
    for (level, sides) in [(Column::LevelOne, ["l", "h"]), (Column::LevelTwo, ["ll", "hh"])] {
        // Behind the columns of these names, which go first.
        let at = columns.get(&level).copied();
        keys.extend(sides.iter().filter_map(|side| Some((Box::from(*side), at?))));
    }
    keys.into()
}

fn columns(row: &Row, faults: &Faults) -> HashMap<Column, u32> {
    let columns = columns_of(row, header, faults);
    for column in REQUIRED {
        if !columns.contains_key(&column) {
            faults.error(row.start, format!("this table has no column {}", column.label()), None);
            if column == Column::Tag {
                faults.unreadable_part();
            }
        }
    }
    columns
}

/// Where each register is read, to tell of a row that was copied and not changed.
type Addresses = HashMap<(SourceId, String), Place>;

fn point(
    line: &Line<'_>,
    at: usize,
    sources: &mut [Source],
    addresses: &mut Addresses,
    faults: &Faults,
) -> Option<PointDraft> {
    let tag = line.required(Column::Tag)?;
    let said = |column| line.said(column).map(|cell| cell.value.clone()).unwrap_or_default();
    let (name, eu) = (said(Column::Name), said(Column::Eu));
    let source = source(line, sources, faults);
    let read_by = source.and_then(|id| sources.get(usize::from(id.0)));
    let kind = binding::value_type(line).or_else(|| binding::implied_type(line, read_by));
    let words = binding::words(line, kind, read_by);
    let class = line.word(Column::Class, &CLASSES, &CLASSES_ZH);
    warn_of_class(line, class, &eu, faults);
    let class = class.unwrap_or(Class::Process);
    let is_number = words.is_none() && kind.is_none_or(Type::is_number);
    if !is_number {
        refuse_numbers(line);
    }
    let range = range(line);
    let limits = limits(line, class, &tag.value, &name, &eu);
    let deadband = deadband(line, class, range, is_number);
    let stale_after = stale_after(line, read_by);
    let scaling = if is_number { scaling(line, range) } else { Scaling::IDENTITY };
    warn_of_no_reading(line, class, scaling, faults);
    let read = Read { point: PointId(u32::try_from(at).ok()?), kind, words, scaling };
    let word_list = read.word_list();
    let (words_absent, text) = (read.words.is_none(), kind.is_some_and(Type::is_text));
    if let Some(id) = source
        && let Some(source) = sources.get_mut(usize::from(id.0))
    {
        source.named = true;
        if let Kind::Opcua(server) = &source.kind {
            binding::opcua::warn_of_deadband(line, class, is_number, &server.groups, faults);
        }
        binding::bind(line, source, read);
        warn_of_copy(line, id, addresses, faults);
    }
    Some(PointDraft {
        tag: tag.value.clone(),
        name,
        source: source.unwrap_or(SourceId(0)),
        class,
        eu,
        words: word_list,
        boolean: kind == Some(Type::Bool) && words_absent,
        text,
        range,
        deadband,
        stale_after,
        watch: Watched::from(Watch {
            limits,
            delay: line.duration(Column::Delay, Duration::ZERO..=DELAY_MAX).unwrap_or_default(),
            measure: line.said(Column::Measure).map(|cell| cell.value.clone()),
            confirm: line.word(Column::Confirm, &CONFIRMS, &CONFIRMS_ZH).unwrap_or_default(),
            guidance: said(Column::Guidance),
        }),
    })
}

fn source(line: &Line<'_>, sources: &[Source], faults: &Faults) -> Option<SourceId> {
    let named = line.required(Column::Source)?;
    let at = sources.iter().position(|source| source.id == named.value);
    if at.is_none() && !faults.has_unreadable_part() {
        let hint = suggest(&named.value, sources.iter().map(|source| source.id.as_str()));
        line.error(Column::Source, format!("there is no source '{}'", named.value), hint);
    }
    u16::try_from(at?).ok().map(SourceId)
}

fn warn_of_class(line: &Line<'_>, class: Option<Class>, eu: &str, faults: &Faults) {
    let of_gas = eu.to_ascii_uppercase().contains("LEL");
    if of_gas && class != Some(Class::Gas) && (class.is_some() || line.said(Column::Class).is_none()) {
        let hint = "write gas in the column class 类别, or the point is judged as process".to_owned();
        faults.warning(line.place(Column::Eu), format!("a point in {eu} that is not of class gas"), hint);
    }
}

fn warn_of_no_reading(line: &Line<'_>, class: Class, scaling: Scaling, faults: &Faults) {
    if scaling.out_of_range == OutOfRange::Bad && matches!(class, Class::Gas | Class::Fire | Class::Sis) {
        let message = "beyond its range this point has no reading, where it should alarm".to_owned();
        let hint = "leave it empty: the value is then held to the end of the range, and trips HH".to_owned();
        faults.warning(line.place(Column::OutOfRange), message, hint);
    }
}

fn warn_of_copy(line: &Line<'_>, source: SourceId, addresses: &mut Addresses, faults: &Faults) {
    let Some(address) = line.text(Column::Address) else { return };
    let part = |column| line.text(column).map(|cell| cell.value.as_str()).unwrap_or_default();
    let key = (source, format!("{}\n{}\n{}", address.value, part(Column::Value), part(Column::Element)));
    match addresses.get(&key) {
        Some(first) => {
            let message = format!("address '{}' is read by another point too", address.value);
            faults.warning_with(address.place, message, *first, "the other one");
        }
        None => {
            addresses.insert(key, address.place);
        }
    }
}

fn refuse_numbers(line: &Line<'_>) {
    for column in OF_NUMBERS {
        if let Some(cell) = line.said(column) {
            let hint = "leave it empty; what a state means is said by a rule, when = \"{TAG}\"".to_owned();
            line.wrong(column, &cell.value, "is for a point that reads a number", hint);
        }
    }
}

fn range(line: &Line<'_>) -> Option<(f64, f64)> {
    let (low, high) = (line.number(Column::RangeLow), line.number(Column::RangeHigh));
    let said = |column| line.said(column).is_some();
    match (low, high) {
        (Some(low), Some(high)) if low < high => Some((low, high)),
        (Some(low), Some(high)) => {
            let message =
                format!("the range {low} to {high} is empty: its low end is not below its high end");
            line.error(Column::RangeHigh, message, None);
            None
        }
        (Some(_), None) if !said(Column::RangeHigh) => {
            line.error(Column::RangeHigh, "the range has a low end and no high end", None);
            None
        }
        (None, Some(_)) if !said(Column::RangeLow) => {
            line.error(Column::RangeLow, "the range has a high end and no low end", None);
            None
        }
        (Some(_) | None, Some(_) | None) => None,
    }
}

fn limits(line: &Line<'_>, class: Class, tag: &str, name: &str, eu: &str) -> Limits {
    let own = Limits {
        ll: line.number(Column::LowLow),
        l: line.number(Column::Low),
        h: line.number(Column::High),
        hh: line.number(Column::HighHigh),
    };
    let levels = [Column::LevelOne, Column::LevelTwo];
    let Some(said) = levels.into_iter().find(|column| line.said(*column).is_some()) else { return own };
    let [one, two] = levels.map(|column| line.number(column));
    if class != Class::Gas {
        let hint = "write gas in the column class 类别, or the value in H 高报".to_owned();
        line.error(said, format!("{} is of gas detectors", said.label()), hint);
        return own;
    }
    match gas_levels::limits(gas_levels::is_oxygen(tag, name, eu), one, two) {
        Ok(levels) => {
            let pairs = [(own.ll, levels.ll), (own.l, levels.l), (own.h, levels.h), (own.hh, levels.hh)];
            if pairs.iter().any(|(own, level)| own.is_some() && level.is_some()) {
                let hint =
                    "一级报警 is H and 二级报警 HH (of a lack of oxygen L and LL): keep one".to_owned();
                line.error(said, "this limit is said in two columns", hint);
            }
            Limits {
                ll: own.ll.or(levels.ll),
                l: own.l.or(levels.l),
                h: own.h.or(levels.h),
                hh: own.hh.or(levels.hh),
            }
        }
        Err(why) => {
            line.error(said, format!("{}: {why}", said.label()), None);
            own
        }
    }
}

fn deadband(line: &Line<'_>, class: Class, range: Option<(f64, f64)>, is_number: bool) -> f64 {
    let span = range.map(|(low, high)| high - low);
    if let Some(said) = line.number(Column::Deadband) {
        if said < 0.0 || span.is_some_and(|span| said >= span) {
            let most =
                span.map_or("0 or more".to_owned(), |span| format!("0 to less than the range, {span}"));
            line.wrong(Column::Deadband, &said.to_string(), "is out of range", format!("allowed: {most}"));
        }
        return said;
    }
    match (class, span) {
        (Class::Process | Class::Equipment, Some(span)) if is_number => span * DEADBAND_OF_RANGE,
        (Class::Process | Class::Equipment, Some(_) | None) => 0.0,
        (
            Class::System
            | Class::Video
            | Class::Permit
            | Class::People
            | Class::Gas
            | Class::Fire
            | Class::Sis,
            _,
        ) => 0.0,
    }
}

fn stale_after(line: &Line<'_>, source: Option<&Source>) -> Duration {
    let own = line.duration(Column::StaleAfter, STALE_MIN..=STALE_MAX);
    if let Some(own) = own {
        return own;
    }
    match source.map(|source| (&source.kind, source)) {
        Some((Kind::Modbus { device, .. }, _)) => {
            // What is wrong with a period is told where the point is bound.
            let own = line.said(Column::Period).and_then(|cell| duration(&cell.value));
            good_for(own.unwrap_or_default().max(device.period))
        }
        Some((Kind::Opcua(server), _)) => {
            let group = binding::opcua::group_of(line, &server.groups);
            group.map_or(server.keep_alive, |group| group.keep_alive) * STALE_KEEP_ALIVES
        }
        Some((Kind::Mqtt(_), source)) => match source.stale_after {
            Some(after) => after,
            None => {
                if line.said(Column::StaleAfter).is_none() && !source.origin.has("stale_after") {
                    let hint = "write it in this row, or heartbeat or stale_after in the source".to_owned();
                    let message = "nothing tells when this point is stale: its source has neither heartbeat nor stale_after";
                    line.error(Column::StaleAfter, message, hint);
                }
                STALE_POLL_MIN
            }
        },
        Some((Kind::Unknown, _)) | None => STALE_POLL_MIN,
    }
}

fn scaling(line: &Line<'_>, range: Option<(f64, f64)>) -> Scaling {
    let scale = line.number(Column::Scale).unwrap_or(1.0);
    if scale == 0.0 {
        line.wrong(Column::Scale, "0", "would make every reading the same", None);
    }
    let offset = line.number(Column::Offset).unwrap_or(0.0);
    let out_of_range = line.word(Column::OutOfRange, &OUT_OF_RANGE, &OUT_OF_RANGE_ZH).unwrap_or_default();
    if line.said(Column::OutOfRange).is_some() && range.is_none() {
        let hint = "write range_low 量程下限 and range_high 量程上限".to_owned();
        line.error(Column::OutOfRange, "nothing says what the range is", hint);
    }
    Scaling { scale, offset, range, out_of_range }
}
