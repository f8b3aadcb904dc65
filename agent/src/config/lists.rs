//! The lists of the model as tables, CSV or workbook: objects, units, events, measures, tasks, persons, zones,
//! and the days of the calendar. Each is known by the header of its own ids, and reads as its TOML table does.
//!
//! A list may name another by the same header (`单元编号` in a list of measures): it is the list of which it
//! has the most columns.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::fields::{Fields, Origin};
use super::headers::{Header, Known, Named, header_of};
use super::place::{Faults, Place, Placed};
use super::row::{Line, asked};
use super::table::{ROWS_ABOVE_HEADER_MAX, Row, Sheet, columns_of, without_header};

/// One list: its table in TOML, and its columns, the first that of its ids. A column's key is that of TOML.
#[derive(Debug)]
pub(super) struct List {
    pub(super) table: &'static str,
    columns: &'static [Known<&'static str>],
}

pub(super) type ListColumn = &'static Known<&'static str>;

impl Named for ListColumn {
    fn key(self) -> String {
        self.0.to_owned()
    }

    fn label(self) -> String {
        format!("{} {}", self.1, self.2)
    }
}

const fn known(
    key: &'static str,
    name: &'static str,
    zh: &'static str,
    more: &'static [&'static str],
) -> Known<&'static str> {
    Known(key, name, zh, more)
}

const NAME: Known<&str> =
    known("name", "name", "名称", &["姓名", "单元名称", "对象名称", "事件名称", "措施名称", "区域名称"]);
const OF_UNIT: Known<&str> =
    known("unit", "unit_id", "单元编号", &["风险单元编号", "风险分析单元编号", "单元编码"]);

static LISTS: [List; 8] = [
    List {
        table: "task",
        columns: &[
            known("id", "task_id", "任务编号", &["排查任务编号", "任务编码"]),
            known("measure", "measure_id", "措施编号", &["管控措施编号", "措施编码"]),
            known("content", "content", "排查内容", &["隐患排查内容"]),
            known("cycle", "cycle", "排查周期", &["巡检周期", "周期"]),
            known("cycle_unit", "cycle_unit", "周期单位", &["排查周期单位"]),
            known("start", "start", "任务开始时间", &["开始时间"]),
            known("work_start", "work_start", "工作开始时间", &["上班时间"]),
            known("work_end", "work_end", "工作结束时间", &["下班时间"]),
            known("work_days", "work_days", "工作日类型", &[]),
            known("work_type", "work_type", "任务类型", &["包保类型"]),
            known("task_num", "task_num", "包保序号", &["包保任务编号"]),
            known("assignee", "assignee", "排查班组", &["排查人", "责任班组"]),
        ],
    },
    List {
        table: "measure",
        columns: &[
            known("id", "measure_id", "措施编号", &["管控措施编号", "措施编码"]),
            OF_UNIT,
            known("event", "event_id", "事件编号", &["风险事件编号", "风险事件", "事件编码"]),
            NAME,
            known("description", "description", "措施描述", &["管控措施描述"]),
            known("classify1", "classify1", "措施大类", &["管控措施分类1", "措施分类1"]),
            known("classify2", "classify2", "措施小类", &["管控措施分类2", "措施分类2"]),
            known("classify3", "classify3", "措施细类", &["管控措施分类3", "措施分类3"]),
            known("check", "check", "隐患排查内容", &["排查内容"]),
            known("automatic", "automatic", "自动化监控", &["管控方式"]),
            known("auto_record", "auto_record", "自动记录", &["自动排查记录"]),
            known("points", "points", "测点", &["绑定测点"]),
            known("zones", "zones", "区域", &["绑定区域"]),
            known("cameras", "cameras", "摄像头", &["绑定摄像头"]),
            known("permits", "permits", "作业单元", &["绑定作业"]),
        ],
    },
    List {
        table: "event",
        columns: &[known("id", "event_id", "事件编号", &["风险事件编号", "事件编码"]), OF_UNIT, NAME],
    },
    List {
        table: "zone",
        columns: &[
            known("id", "zone_id", "区域编号", &["作业区域编号", "区域编码"]),
            NAME,
            OF_UNIT,
            known("limit", "limit", "限员", &["最大人数", "限员人数"]),
            known("polygon", "polygon", "边界", &["区域边界", "坐标"]),
            known("floor", "floor", "楼层", &["层"]),
            known("roles", "roles", "允许角色", &["允许岗位"]),
        ],
    },
    List {
        table: "person",
        columns: &[
            known("id", "person_id", "人员编号", &["工号", "人员编码"]),
            NAME,
            known("role", "role", "角色", &["岗位", "人员类型"]),
            known("tags", "tags", "定位标签", &["标签", "定位卡", "卡号"]),
        ],
    },
    List {
        table: "unit",
        columns: &[
            OWN_UNIT,
            NAME,
            known("hazard_code", "hazard_code", "风险分析对象编码", &["对象编码", "对象编号", "object_id"]),
            known("base_class", "base_class", "风险等级", &["固有风险等级", "基准等级"]),
            known("department", "department", "责任部门", &[]),
            known("liable_person", "liable_person", "责任人", &[]),
        ],
    },
    List {
        table: "object",
        columns: &[
            known("id", "object_id", "风险分析对象编码", &["对象编码", "对象编号", "hazard_code"]),
            NAME,
            known("major", "major", "重大危险源", &["是否重大危险源"]),
        ],
    },
    List {
        table: "day",
        columns: &[
            known("date", "date", "日期", &[]),
            known("workday", "workday", "工作日", &["是否工作日", "法定工作日"]),
        ],
    },
];

const OWN_UNIT: Known<&str> = Known("id", OF_UNIT.1, OF_UNIT.2, OF_UNIT.3);

/// The list that the rows are, the place of its header, and how many of its columns that names. Of lists with
/// as many columns, the one whose items hang below the other's.
pub(super) fn recognise(rows: &[Row]) -> Option<(&'static List, usize, usize)> {
    let mut best: Option<(&'static List, usize, usize)> = None;
    for list in &LISTS {
        for (at, row) in rows.iter().take(ROWS_ABOVE_HEADER_MAX).enumerate() {
            let named: Vec<ListColumn> = row
                .cells
                .values()
                .filter_map(|cell| match header_of(list.columns, &cell.value) {
                    Header::Column(column) => Some(column),
                    Header::NotRead | Header::Unknown { .. } => None,
                })
                .collect();
            let own = list.columns.first().is_some_and(|id| named.contains(&id));
            if own && named.len() > 1 && best.is_none_or(|(_, _, names)| named.len() > names) {
                best = Some((list, at, named.len()));
            }
        }
    }
    best
}

/// What is asked of an item by its keys, whether it is a table of TOML or a row.
pub(super) trait Asked {
    fn faults(&self) -> &Faults;
    fn text(&mut self, key: &'static str) -> Option<Placed<String>>;
    fn required_text(&mut self, key: &'static str) -> Option<Placed<String>>;
    /// One word of a list; `more` are other ways to say the same.
    fn word<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        more: &[(&str, T)],
    ) -> Option<T>;
    fn flag(&mut self, key: &'static str) -> Option<bool>;
    fn whole(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32>;
    fn texts(&mut self, key: &'static str) -> Vec<String>;
    fn error(&self, key: &'static str, message: String, hint: Option<String>);
    fn has(&self, key: &'static str) -> bool;
    fn missing(&self, key: &'static str);
}

impl Asked for Fields<'_> {
    fn faults(&self) -> &Faults {
        Fields::faults(self)
    }

    fn text(&mut self, key: &'static str) -> Option<Placed<String>> {
        Fields::text(self, key)
    }

    fn required_text(&mut self, key: &'static str) -> Option<Placed<String>> {
        Fields::required_text(self, key)
    }

    fn word<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        _: &[(&str, T)],
    ) -> Option<T> {
        Fields::word(self, key, words)
    }

    fn flag(&mut self, key: &'static str) -> Option<bool> {
        Fields::flag(self, key)
    }

    fn whole(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        Fields::integer(self, key, range)
    }

    fn texts(&mut self, key: &'static str) -> Vec<String> {
        Fields::texts(self, key).unwrap_or_default().into_iter().map(|text| text.value).collect()
    }

    fn error(&self, key: &'static str, message: String, hint: Option<String>) {
        Fields::error(self, key, message, hint);
    }

    fn has(&self, key: &'static str) -> bool {
        Fields::has(self, key)
    }

    fn missing(&self, key: &'static str) {
        Fields::missing(self, key);
    }
}

/// A row of a list.
pub(super) struct Cells<'a> {
    list: &'static List,
    line: Line<'a, ListColumn>,
    faults: &'a Faults,
}

const YES: [(&str, bool); 8] = [
    ("true", true),
    ("false", false),
    ("1", true),
    ("0", false),
    ("yes", true),
    ("no", false),
    ("班", true),
    ("休", false),
];
const YES_ZH: [(&str, bool); 4] = [("是", true), ("否", false), ("自动化监控", true), ("隐患排查", false)];

impl Cells<'_> {
    fn column(&self, key: &str) -> Option<ListColumn> {
        self.list.columns.iter().find(|known| known.0 == key)
    }

    fn place(&self, key: &str) -> Place {
        self.column(key).map_or(Place::NOWHERE, |column| self.line.place(column))
    }
}

impl Asked for Cells<'_> {
    fn faults(&self) -> &Faults {
        self.faults
    }

    fn text(&mut self, key: &'static str) -> Option<Placed<String>> {
        self.line.said(self.column(key)?).cloned()
    }

    fn required_text(&mut self, key: &'static str) -> Option<Placed<String>> {
        self.line.required(self.column(key)?).cloned()
    }

    fn word<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        more: &[(&str, T)],
    ) -> Option<T> {
        self.line.word(self.column(key)?, words, more)
    }

    fn flag(&mut self, key: &'static str) -> Option<bool> {
        // 管控方式 says it in the standard's numbers: 1 自动化监控, 2 隐患排查.
        let numbered = [("1", true), ("2", false)];
        let words = if key == "automatic" { &numbered[..] } else { &YES };
        self.line.word(self.column(key)?, words, &YES_ZH)
    }

    fn whole(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        self.line.whole(self.column(key)?, range)
    }

    fn texts(&mut self, key: &'static str) -> Vec<String> {
        let cell = self.column(key).and_then(|column| self.line.said(column));
        let parts = cell.into_iter().flat_map(|cell| cell.value.split([',', ';', '，', '；', '、']));
        parts.map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
    }

    fn error(&self, key: &'static str, message: String, hint: Option<String>) {
        self.faults.error(self.place(key), message, hint);
    }

    fn has(&self, key: &'static str) -> bool {
        self.column(key).is_some_and(|column| self.line.said(column).is_some())
    }

    fn missing(&self, key: &'static str) {
        let Some(column) = self.column(key) else { return };
        if self.line.has(column) {
            self.line.error(column, format!("{} is empty", column.label()), None);
        }
    }
}

/// Every item of one list; `required` are the keys without which the table is none.
pub(super) fn items<T>(
    sheets: &[Sheet],
    table: &str,
    required: &[&str],
    faults: &Faults,
    mut read: impl FnMut(&mut Cells<'_>) -> Option<T>,
) -> Vec<(T, Origin)> {
    let mut items = Vec::new();
    for sheet in sheets {
        let Some(list) = sheet.list.filter(|list| list.table == table) else { continue };
        let Some((_, at, _)) = recognise(&sheet.rows) else { continue };
        let Some((header, rows)) = sheet.rows.get(at..).and_then(<[Row]>::split_first) else { continue };
        let columns: HashMap<ListColumn, u32> =
            columns_of(header, |text| header_of(list.columns, text), faults);
        let Some(id) = list.columns.first() else { continue };
        for column in list.columns.iter().filter(|column| required.contains(&column.0)) {
            if !columns.contains_key(&column) {
                faults.error(header.start, format!("this list has no column {}", column.label()), None);
            }
        }
        let keys = asked(&columns).into();
        for row in rows {
            without_header(row, header, faults);
            let mut cells = Cells { list, line: Line::new(row, &columns, faults), faults };
            let origin = cells.line.origin(id, &keys);
            items.extend(read(&mut cells).map(|item| (item, origin)));
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::csv;

    #[track_caller]
    fn is(header: &str, table: Option<&str>) {
        let sheet = csv(0, header, &Faults::default());
        assert_eq!(sheet.list.map(|list| list.table), table, "{header}");
    }

    #[test]
    fn each_header_of_a_list_says_one_of_its_columns() {
        for list in &LISTS {
            let mut seen = std::collections::HashSet::new();
            for known in list.columns {
                for name in [known.1, known.2].iter().chain(known.3) {
                    assert!(seen.insert(name.to_lowercase()), "{name} stands twice in {}", list.table);
                    assert_eq!(header_of(list.columns, name), Header::Column(known), "{name}");
                }
            }
        }
    }

    #[test]
    fn a_list_is_known_by_its_ids_and_told_from_the_lists_that_name_them() {
        is("单元编号,单元名称,对象编码,风险等级,责任人\n", Some("unit"));
        is("unit_id,name,hazard_code,base_class,liable_person\n", Some("unit"));
        is("对象编码,对象名称,重大危险源\n", Some("object"));
        is("事件编号,单元编号,事件名称\n", Some("event"));
        is("措施编号,单元编号,风险事件,措施名称,措施大类,措施小类\n", Some("measure"));
        is("任务编号;措施编号;排查内容;排查周期;周期单位\n", Some("task"));
        is("工号\t姓名\t岗位\t卡号\n", Some("person"));
        is("区域编号,名称,单元编号,限员,边界\n", Some("zone"));
        is("日期,工作日\n2026-10-01,休\n", Some("day"));
        is("位号,数据源,地址,管控措施编号\n", None);
        is("仪表,名称,数据源,地址,管控措施编号,高报\n", None);
        is("x,y\n", None);
    }
}
