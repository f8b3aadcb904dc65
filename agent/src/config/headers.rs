//! What the columns of tables are called, in Chinese and in English: of point tables here, of the lists of the
//! model in `lists`.
//!
//! A header that is not known is an error, never skipped: a limit in a column that nobody reads would not
//! trip. `L1` is refused by name: of gas it means the first level, which is H, and read as L it would be
//! the opposite.

use super::values::{half_width, nearest};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Column {
    Tag,
    Name,
    Source,
    Address,
    Type,
    Order,
    Scale,
    Offset,
    /// Where the number of decimals of the value is read.
    ScaleRegister,
    Eu,
    RangeLow,
    RangeHigh,
    OutOfRange,
    /// 4-20mA: the value is a current.
    Signal,
    /// The register that says of the value whether it is good.
    Status,
    StatusMap,
    Period,
    LowLow,
    Low,
    High,
    HighHigh,
    /// 一级报警 of a gas detector: H, or L where oxygen is lacking.
    LevelOne,
    /// 二级报警: HH, or LL.
    LevelTwo,
    Deadband,
    Delay,
    StaleAfter,
    Class,
    Measure,
    Confirm,
    Words,
    Guidance,
    Value,
    Quality,
    Time,
    /// Of an OPC UA source: how it is sampled and published.
    Subscription,
    /// Of an array of an OPC UA server.
    Element,
}

/// The column, its key, its Chinese name, and what else it is called.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Known<C>(
    pub(super) C,
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static [&'static str],
);

/// A column that can be told of.
pub(super) trait Named: Copy + Eq + Ord + std::hash::Hash {
    /// As it is called in faults that the engine finds.
    fn key(self) -> String;
    /// In both languages, for messages.
    fn label(self) -> String;
}

const COLUMNS: &[Known<Column>] = &[
    Known(Column::Tag, "tag", "位号", &["仪表位号", "测点位号", "测点", "点号", "tagname"]),
    Known(Column::Name, "name", "名称", &["测点名称", "描述", "用途", "description"]),
    Known(Column::Source, "source", "数据源", &["数据源编号", "数据来源"]),
    Known(
        Column::Address,
        "address",
        "地址",
        &["寄存器地址", "寄存器", "节点", "主题", "node", "topic", "register"],
    ),
    Known(Column::Type, "type", "数据类型", &["类型", "datatype"]),
    Known(Column::Order, "order", "字节序", &["字序", "byteorder"]),
    Known(Column::Scale, "scale", "系数", &["比例", "比例系数", "倍率"]),
    Known(Column::Offset, "offset", "偏移", &["偏移量"]),
    Known(Column::ScaleRegister, "scale_register", "小数位寄存器", &["系数寄存器", "小数位", "小数位数"]),
    Known(Column::Eu, "eu", "工程单位", &["单位", "计量单位"]),
    Known(Column::RangeLow, "range_low", "量程下限", &["量程低限", "下量程"]),
    Known(Column::RangeHigh, "range_high", "量程上限", &["量程高限", "上量程"]),
    Known(Column::OutOfRange, "out_of_range", "超量程", &["超量程处理"]),
    Known(Column::Signal, "signal", "信号", &["信号类型", "信号制"]),
    Known(Column::Status, "status", "状态寄存器", &["状态地址"]),
    Known(Column::StatusMap, "status_map", "状态映射", &["状态位", "状态位定义"]),
    Known(Column::Period, "period", "周期", &["采集周期", "轮询周期", "采样周期"]),
    Known(Column::LowLow, "LL", "低低报", &["低低报警", "低低报警值", "低低限"]),
    Known(Column::Low, "L", "低报", &["低报警", "低报警值", "低限"]),
    Known(Column::High, "H", "高报", &["高报警", "高报警值", "高限"]),
    Known(Column::HighHigh, "HH", "高高报", &["高高报警", "高高报警值", "高高限"]),
    Known(Column::LevelOne, "level_1", "一级报警", &["一级报警值", "一级报警设定值", "1级报警"]),
    Known(Column::LevelTwo, "level_2", "二级报警", &["二级报警值", "二级报警设定值", "2级报警"]),
    Known(Column::Deadband, "deadband", "死区", &["回差"]),
    Known(Column::Delay, "delay", "延时", &["报警延时"]),
    Known(Column::StaleAfter, "stale_after", "失效时间", &["失效时限"]),
    Known(Column::Class, "class", "类别", &["测点类别"]),
    Known(Column::Measure, "measure", "管控措施", &["管控措施编号", "措施"]),
    Known(Column::Confirm, "confirm", "确认", &["确认方式"]),
    Known(Column::Words, "words", "枚举", &["枚举值", "状态含义"]),
    Known(Column::Guidance, "guidance", "处置建议", &["处置措施"]),
    Known(Column::Value, "value", "取值路径", &["值路径"]),
    Known(Column::Quality, "quality", "质量路径", &[]),
    Known(Column::Time, "time", "时间路径", &[]),
    Known(Column::Subscription, "subscription", "订阅组", &["订阅"]),
    Known(Column::Element, "element", "数组下标", &["下标", "元素"]),
];

/// Columns that people keep for themselves.
const NOT_READ: [&str; 9] = ["备注", "说明", "序号", "安装位置", "no", "no.", "remark", "note", "comment"];

impl Column {
    fn known(self) -> Option<&'static Known<Column>> {
        COLUMNS.iter().find(|known| known.0 == self)
    }

    /// As it is called in faults that the engine finds.
    pub(super) fn key(self) -> String {
        self.known().map_or(String::new(), |known| known.1.to_ascii_lowercase())
    }

    /// In both languages, for messages.
    pub(super) fn label(self) -> String {
        self.known().map_or(String::new(), |known| format!("{} {}", known.1, known.2))
    }
}

impl Named for Column {
    fn key(self) -> String {
        self.key()
    }

    fn label(self) -> String {
        self.label()
    }
}

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header<C> {
    Column(C),
    /// A remark, or a blank header.
    NotRead,
    /// Not known; what to write instead.
    Unknown {
        hint: String,
    },
}

/// Reads one header of a point table.
pub(super) fn header(text: &str) -> Header<Column> {
    match header_of(COLUMNS, text) {
        Header::Column(known) => Header::Column(known.0),
        Header::NotRead => Header::NotRead,
        Header::Unknown { hint } => Header::Unknown { hint: hint_of_points(&plain(text)).unwrap_or(hint) },
    }
}

/// Reads one header. Letter case, blanks, a star for "required", and a remark in brackets do not matter.
pub(super) fn header_of<C>(columns: &'static [Known<C>], text: &str) -> Header<&'static Known<C>> {
    let name = plain(text);
    if name.is_empty() || name.starts_with('_') || NOT_READ.contains(&name.as_str()) {
        return Header::NotRead;
    }
    let called = |known: &&Known<C>| {
        known.1.eq_ignore_ascii_case(&name) || known.2 == name || known.3.contains(&name.as_str())
    };
    if let Some(known) = columns.iter().find(called) {
        return Header::Column(known);
    }
    let names =
        columns.iter().flat_map(|known| [known.1, known.2].into_iter().chain(known.3.iter().copied()));
    let hint = match nearest(&name, names) {
        Some(near) => format!("did you mean '{near}'? A column that is not to be read begins with _"),
        None => "a column that is not to be read begins with _".to_owned(),
    };
    Header::Unknown { hint }
}

fn hint_of_points(name: &str) -> Option<String> {
    let level = |digit: &str| {
        name.strip_prefix('l')
            .map(|rest| rest.trim_start_matches(['-', '_']))
            .is_some_and(|rest| rest.starts_with(digit))
    };
    if level("1") || level("2") {
        let hint = "of gas the first and second level are 一级报警 and 二级报警, or H and HH; \
                    L and LL are where a lack of oxygen alarms";
        return Some(hint.to_owned());
    }
    (name == "unit").then(|| "an engineering unit is eu 工程单位".to_owned())
}

fn plain(text: &str) -> String {
    let narrow = half_width(text).to_lowercase();
    let without_remark = match narrow.split_once('(') {
        Some((name, _)) if !name.trim().is_empty() => name.to_owned(),
        Some(_) | None => narrow,
    };
    without_remark.chars().filter(|c| !c.is_whitespace() && *c != '*').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_says_one_column() {
        let mut seen = std::collections::HashSet::new();
        for known in COLUMNS {
            for name in [known.1, known.2].iter().chain(known.3) {
                assert!(seen.insert(name.to_lowercase()), "{name} stands twice");
                assert_eq!(header(name), Header::Column(known.0), "{name}");
            }
        }
    }

    #[test]
    fn stars_brackets_blanks_and_letter_case_do_not_matter() {
        assert_eq!(header("位号*"), Header::Column(Column::Tag));
        assert_eq!(header(" hh "), Header::Column(Column::HighHigh));
        assert_eq!(header("一级报警（L1）"), Header::Column(Column::LevelOne));
        assert_eq!(header("量程 上限(%)"), Header::Column(Column::RangeHigh));
        assert_eq!(header("备注"), Header::NotRead);
        assert_eq!(header("_安装日期"), Header::NotRead);
    }

    #[test]
    fn l1_is_never_l() {
        for name in ["L1", "L2", "l1", "L1报警", "L-1", "Ｌ１"] {
            let Header::Unknown { hint } = header(name) else { panic!("{name} was read") };
            assert!(hint.contains("一级报警") && hint.contains("HH"), "{hint}");
        }
    }

    #[test]
    fn a_misspelt_header_gets_the_nearest() {
        let Header::Unknown { hint } = header("高高报价") else { panic!("it was read") };
        assert!(hint.contains("'高高报'") || hint.contains("'高高报警'"), "{hint}");
    }
}
