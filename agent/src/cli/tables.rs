//! The board as tables for a terminal: Chinese first, columns by the width of CJK letters, lines of ASCII,
//! because a terminal set for Chinese may draw box characters two cells wide.

mod indicator;
mod shadow;
mod withheld;

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use riskgate_engine::{AlarmKind, AlarmState, HazardStage, Level, Priority, RiskClass, Words};

use crate::config::ModelSource;
use crate::console::socket::What;
use crate::console::source::{CountsLine, SkipLine, SourceState};
use crate::console::view::{
    AlarmView, AsideView, BoardView, HazardView, ModelView, RefusedModelView, TaskView, UnitView,
};

/// Digits of a hazard's id that are shown; more where they do not tell two apart.
const ID_DIGITS_MIN: usize = 8;

/// The chosen part of the board. `width`: of the terminal; `None`: nothing is wrapped.
pub(super) fn render(view: &BoardView, what: What, width: Option<u16>) -> String {
    let draw = Draw { view, width, digits: id_digits(view) };
    match what {
        What::All => draw.all(),
        What::Alarms => draw.alarms(),
        What::Shelved => draw.shelved(),
        What::Suppressed => draw.suppressed(),
        What::OutOfService => draw.out_of_service(),
        What::Stops => draw.stops(),
        What::Shadow => draw.shadows(),
        What::Quality => draw.quality(),
        What::Indicators => draw.indicators(),
        What::Hazards => draw.hazards(),
        What::Candidates => draw.candidates(),
        What::Tasks => draw.tasks(),
        What::Units => draw.units(),
        What::Sources => draw.sources(),
        What::Outbox => draw.outbox(),
    }
}

/// Of a model that upstream owns: which, since when, and what it lacks.
fn model_line(model: &ModelView) -> Option<String> {
    if model.source == ModelSource::Files {
        return None;
    }
    let mut line = match (model.version, &model.since, &model.by) {
        (Some(version), Some(since), Some(by)) => {
            let since = since.get(..19).unwrap_or(since).replace('T', " ");
            format!("管控模型 model: 上级下发 from upstream, 版本 version {version}, {since}, {by}")
        }
        (_, _, _) => "管控模型 model: 尚未下发，按本地文件 none from upstream yet, the files hold".to_owned(),
    };
    if !model.orphans.is_empty() {
        line.push_str(&format!("，上级已无 orphans: {}", model.orphans.join(", ")));
    }
    if let Some(of) = &model.refused {
        let RefusedModelView { version, why } = of;
        line.push_str(&format!(
            "\n  版本 {version} 与本地文件不符，未采用；改好后 riskgate reload version {version} does not go with the \
             gateway's files and is not taken: {why}"
        ));
    }
    Some(line)
}

struct Draw<'a> {
    view: &'a BoardView,
    width: Option<u16>,
    digits: usize,
}

impl Draw<'_> {
    fn all(&self) -> String {
        let view = self.view;
        let mut parts = vec![self.head()];
        let sections = [
            ("报警 alarms", view.alarms.len(), self.alarms()),
            ("待确认 candidates", view.candidates.len(), self.candidates()),
            ("隐患 hazards", view.hazards.len(), self.hazards()),
            ("排查任务 boosted, suspended and overdue tasks", view.tasks.len(), self.tasks()),
            ("单元 units", view.units.len(), self.units()),
            ("数据源 sources", view.sources.len(), self.sources()),
            ("待发队列 outbox", view.outbox.lanes.len(), self.outbox()),
        ];
        // What is rare is told where it is.
        let rare = [
            ("搁置 shelved", view.shelved.len(), self.shelved()),
            ("设计抑制 suppressed by design", view.suppressed.len(), self.suppressed()),
            ("停用 out of service", view.out_of_service.len(), self.out_of_service()),
            ("停用检维修 stopped units", view.stops.len(), self.stops()),
            ("试运行规则 shadow rules", view.shadows.len(), self.shadows()),
        ];
        let rare = rare.into_iter().filter(|(_, count, _)| *count > 0);
        let (first, others) = sections.split_at(1);
        for (title, count, table) in first.iter().cloned().chain(rare).chain(others.iter().cloned()) {
            parts.push(if count == 0 {
                format!("{title}: 无 none")
            } else {
                format!("{title}: {count}\n{table}")
            });
        }
        parts.push(self.history());
        parts.extend(self.next());
        parts.join("\n\n")
    }

    fn head(&self) -> String {
        let (view, gateway) = (self.view, &self.view.gateway);
        let clock = view.at.get(..19).unwrap_or(&view.at).replace('T', " ");
        let mut lines = vec![format!("{} {} {}  {clock}", gateway.name, gateway.company, gateway.id)];
        let covered = &gateway.coverage;
        lines.push(match covered.unwatched.as_slice() {
            [] => format!("自动化监控 coverage: {}/{}", covered.watched, covered.automatic),
            unwatched => format!(
                "自动化监控 coverage: {}/{}，未监控 unwatched: {}",
                covered.watched,
                covered.automatic,
                unwatched.join(", ")
            ),
        });
        lines.extend(model_line(&gateway.model));
        lines.extend(view.health.reasons.iter().map(|reason| format!("注意 attention: {reason}")));
        lines.join("\n")
    }

    /// What a person may do about what stands above.
    fn next(&self) -> Option<String> {
        let view = self.view;
        let mut lines = Vec::new();
        if let Some(alarm) = view.alarms.iter().find(|alarm| alarm.state.is_unseen()) {
            lines.push(format!("  riskgate ack {} --by 姓名", quoted(&alarm.id)));
        }
        if let Some(candidate) = view.candidates.first() {
            let id = self.id(candidate);
            lines.push(format!(
                "  riskgate confirm {id} --by 姓名      riskgate reject {id} --by 姓名 --why 原因"
            ));
        }
        if let Some(alarm) = view.alarms.iter().find(|alarm| alarm.state == AlarmState::Latched) {
            lines.push(format!("  riskgate reset {} --by 姓名", quoted(&alarm.id)));
        }
        (!lines.is_empty()).then(|| format!("下一步 Next:\n{}", lines.join("\n")))
    }

    fn table(&self, header: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_header(header.iter().copied());
        if let Some(width) = self.width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        table
    }

    /// In a flood by unit, so that a person sees where it is; nothing is left out.
    fn alarms(&self) -> String {
        let mut alarms: Vec<&AlarmView> = self.view.alarms.iter().collect();
        let flood = self.view.quality.flood;
        if flood {
            alarms.sort_by_key(|alarm| &alarm.unit);
        }
        let table = self.alarm_table(&alarms);
        if flood {
            format!("报警泛滥，按单元分组 ALARM FLOOD: grouped by unit\n{table}")
        } else {
            table
        }
    }

    fn alarm_table(&self, alarms: &[&AlarmView]) -> String {
        let header = ["级别 priority", "状态 state", "单元 unit", "内容 what", "持续 age", "编号 id"];
        let mut table = self.table(&header);
        for alarm in alarms {
            table.add_row([
                priority(alarm.priority).to_owned(),
                alarm_state(alarm),
                place(alarm),
                both(&alarm.words),
                self.age(&alarm.since),
                alarm.id.clone(),
            ]);
        }
        table.to_string()
    }

    fn hazards(&self) -> String {
        let header =
            ["编号 id", "状态 stage", "单元 unit", "内容 what", "期限 deadline", "责任人 liable", "提出 age"];
        let mut table = self.table(&header);
        for hazard in &self.view.hazards {
            let deadline = hazard.deadline.get(..16).unwrap_or(&hazard.deadline).replace('T', " ");
            let overdue = if hazard.overdue { "\n逾期 overdue" } else { "" };
            table.add_row([
                self.id(hazard),
                hazard_stage(hazard),
                hazard.unit_name.clone().unwrap_or_else(|| hazard.unit.clone()),
                both(&hazard.words),
                format!("{deadline}{overdue}"),
                hazard.liable_person.clone(),
                self.age(&hazard.raised),
            ]);
        }
        table.to_string()
    }

    fn candidates(&self) -> String {
        let mut table = self.table(&["编号 id", "单元 unit", "内容 what", "措施 measure", "等待 age"]);
        for hazard in &self.view.candidates {
            table.add_row([
                self.id(hazard),
                hazard.unit_name.clone().unwrap_or_else(|| hazard.unit.clone()),
                both(&hazard.words),
                hazard.measure_name.clone().unwrap_or_else(|| hazard.measure.clone()),
                self.age(&hazard.raised),
            ]);
        }
        table.to_string()
    }

    fn tasks(&self) -> String {
        let header = ["任务 task", "内容 content", "周期 cycle", "执行人 assignee", "原因 why"];
        let mut table = self.table(&header);
        for task in &self.view.tasks {
            let why: Vec<_> = task.boosts.iter().map(|boost| both(&boost.words)).collect();
            table.add_row([
                task.task.clone(),
                task.content.clone(),
                cycle(task),
                task.assignee.clone(),
                why.join("\n"),
            ]);
        }
        table.to_string()
    }

    fn units(&self) -> String {
        let mut table = self.table(&["单元 unit", "名称 name", "现等级 class", "基准 base", "原因 why"]);
        for unit in &self.view.units {
            let UnitView { unit, name, base, current, causes, .. } = unit;
            let why: Vec<_> = causes.iter().map(|cause| both(&cause.words)).collect();
            let (current, base) = (risk_class(*current).to_owned(), risk_class(*base).to_owned());
            table.add_row([unit.clone(), name.clone(), current, base, why.join("\n")]);
        }
        table.to_string()
    }

    fn sources(&self) -> String {
        let header = [
            "数据源 source",
            "连接 link",
            "持续 for",
            "好/可疑/坏 good/uncertain/bad",
            "往返 round trip",
            "读取 polls",
            "说明 why",
        ];
        let mut table = self.table(&header);
        for source in &self.view.sources {
            let clock = source.source_offset_ms.map(|offset| format!("时差 clock {offset:+} ms"));
            table.add_row([
                format!("{}\n{}", source.id, source.name),
                link(source.link).to_owned(),
                self.age(&source.since),
                format!("{} / {} / {}", source.good, source.uncertain, source.bad),
                round_trip(&source.counts),
                polls(&source.counts),
                source.why.clone().or(clock).unwrap_or_default(),
            ]);
        }
        let skipped = self.view.sources.iter().any(|source| !source.counts.skipped.is_empty());
        if skipped { format!("{table}\n\n{}", self.skipped()) } else { table.to_string() }
    }

    /// What came and could not be used, with the first example of each sort.
    fn skipped(&self) -> String {
        let header =
            ["数据源 source", "来自 place", "不可用 could not be used", "次数 count", "首例 first example"];
        let mut table = self.table(&header);
        for source in &self.view.sources {
            for skip in &source.counts.skipped {
                let SkipLine { place, reason, count, example } = skip;
                let count = count.to_string();
                table.add_row([source.id.clone(), place.clone(), reason.clone(), count, example.clone()]);
            }
        }
        table.to_string()
    }

    fn outbox(&self) -> String {
        let mut table = self.table(&["通道 lane", "待发 pending", "末序号 last"]);
        for lane in &self.view.outbox.lanes {
            table.add_row([lane.lane.clone(), lane.pending.to_string(), lane.last.to_string()]);
        }
        let mut said = table.to_string();
        for AsideView { what, count, oldest, why } in &self.view.outbox.set_aside {
            let oldest = oldest.as_deref().unwrap_or_default();
            // A text takes every write.
            let _written = write!(said, "\n不再发送 set aside: {what} {count}，最早 oldest {oldest}: {why}");
        }
        if let Some(head) = &self.view.outbox.journal {
            let _written = write!(said, "\n日志 journal: {}:{}", head.n, head.hash);
        }
        said
    }

    fn history(&self) -> String {
        let history = &self.view.history;
        let mib = |bytes: u64| format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20);
        let oldest = history.oldest.map_or_else(
            || "无 none".to_owned(),
            |oldest| crate::history::export::time(oldest, &jiff::tz::TimeZone::UTC),
        );
        let dropped = match history.dropped {
            0 => String::new(),
            dropped => format!("，丢失 dropped {dropped}"),
        };
        let failed =
            history.failed.as_ref().map(|why| format!("\n注意 attention: {why}")).unwrap_or_default();
        format!(
            "历史 history: {} 起 since {oldest}，本次已存 kept {} 个采样 samples{dropped}，写入 written {}{failed}",
            mib(history.file_bytes),
            history.kept,
            mib(history.written_bytes),
        )
    }

    fn id(&self, hazard: &HazardView) -> String {
        hazard.id.to_string().chars().take(self.digits).collect()
    }

    /// How long before the board's own time.
    fn age(&self, since: &str) -> String {
        let at = self.view.at.parse::<jiff::Timestamp>();
        match (at, since.parse::<jiff::Timestamp>()) {
            (Ok(at), Ok(since)) => span((at.as_millisecond() - since.as_millisecond()) / 1000),
            (Err(_), _) | (_, Err(_)) => "?".to_owned(),
        }
    }
}

/// So many letters that each id shown is the beginning of one hazard only.
fn id_digits(view: &BoardView) -> usize {
    let ids: Vec<String> =
        view.hazards.iter().chain(&view.candidates).map(|hazard| hazard.id.to_string()).collect();
    let cut = |id: &String, digits: usize| id.chars().take(digits).collect::<String>();
    (ID_DIGITS_MIN..36)
        .find(|digits| {
            let distinct: std::collections::BTreeSet<_> = ids.iter().map(|id| cut(id, *digits)).collect();
            distinct.len() == ids.len()
        })
        .unwrap_or(36)
}

fn place(alarm: &AlarmView) -> String {
    alarm.unit_name.clone().or_else(|| alarm.unit.clone()).unwrap_or_else(|| "全站 site".to_owned())
}

fn both(words: &Words) -> String {
    [words.zh.as_str(), words.en.as_str()]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

fn priority(priority: Priority) -> &'static str {
    match priority {
        Priority::Critical => "紧急 CRITICAL",
        Priority::High => "高 HIGH",
        Priority::Medium => "中 MEDIUM",
        Priority::Low => "低 LOW",
    }
}

fn alarm_state(alarm: &AlarmView) -> String {
    let mut text = match alarm.state {
        AlarmState::Normal => "正常 normal".to_owned(),
        AlarmState::Unacknowledged => "未确认 unacknowledged".to_owned(),
        AlarmState::Acknowledged => match &alarm.acknowledged_by {
            Some(by) => format!("已确认 acknowledged\n{by}"),
            None => "已确认 acknowledged".to_owned(),
        },
        AlarmState::Returned => "已恢复，未确认 returned".to_owned(),
        AlarmState::LatchedUnacknowledged => "锁存，未确认 latched, unacknowledged".to_owned(),
        AlarmState::Latched => "锁存，待复位 latched, to be reset".to_owned(),
    };
    if alarm.kind == AlarmKind::Fault {
        text.push_str("\n监测失效 monitoring lost");
    }
    if !alarm.durable {
        text.push_str("\n未落盘 not durable");
    }
    text
}

fn hazard_stage(hazard: &HazardView) -> String {
    let mut text = match hazard.stage {
        HazardStage::Candidate => "待确认 candidate",
        HazardStage::Rectifying => "整改中 rectifying",
        HazardStage::AwaitingAcceptance => "待验收 awaiting acceptance",
        HazardStage::Accepted => "已验收 accepted",
        HazardStage::Rejected => "误报 rejected",
    }
    .to_owned();
    if hazard.level == Level::Major {
        text.push_str("\n重大 major");
    }
    if hazard.returned.is_some() {
        text.push_str("\n数值已恢复 returned");
    }
    if !hazard.durable {
        text.push_str("\n未落盘 not durable");
    }
    text
}

fn risk_class(class: RiskClass) -> &'static str {
    match class {
        RiskClass::Red => "重大 red",
        RiskClass::Orange => "较大 orange",
        RiskClass::Yellow => "一般 yellow",
        RiskClass::Blue => "低 blue",
    }
}

/// The newest, and the longest since the start.
fn round_trip(counts: &CountsLine) -> String {
    match (counts.round_trip_us, counts.round_trip_max_us) {
        (Some(newest), Some(longest)) => format!("{}\n最长 max {}", millis(newest), millis(longest)),
        (Some(_) | None, _) => "—".to_owned(),
    }
}

/// Microseconds as milliseconds with one decimal.
fn millis(micros: u64) -> String {
    format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100)
}

fn polls(counts: &CountsLine) -> String {
    let CountsLine { polls, polls_failed, polls_late, connects, .. } = counts;
    let some = |count: &u64, words: &str| (*count > 0).then(|| format!("{words} {count}"));
    let parts = [
        Some(polls.to_string()),
        some(polls_failed, "失败 failed"),
        some(polls_late, "迟 late"),
        some(connects, "连接 connects"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

fn link(state: SourceState) -> &'static str {
    match state {
        SourceState::Connecting => "连接中 connecting",
        SourceState::Up => "正常 up",
        SourceState::Down => "断开 DOWN",
    }
}

fn cycle(task: &TaskView) -> String {
    let mut lines = Vec::new();
    if task.cycle_s != task.base_cycle_s {
        let seconds = |seconds: u64| span(i64::try_from(seconds).unwrap_or(i64::MAX));
        lines.push(format!("{} -> {}", seconds(task.base_cycle_s), seconds(task.cycle_s)));
    }
    if task.suspended.is_some() {
        lines.push("单元停用，暂停 suspended".to_owned());
    }
    if let Some(since) = task.overdue.as_deref() {
        lines.push(format!("超期 overdue since {}", minute(since)));
    }
    for due in task.boosts.iter().filter_map(|boost| boost.due.as_deref()) {
        lines.push(format!("加查一次 once by {}", minute(due)));
    }
    lines.join("\n")
}

/// A stamp as a person reads it.
fn minute(stamp: &str) -> String {
    stamp.get(..16).unwrap_or(stamp).replace('T', " ")
}

/// The two largest units that are not zero.
fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (name, size) in units {
        if rest >= size {
            parts.push(format!("{}{name}", rest / size));
            rest %= size;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// As a shell has to be given it.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "_.,:/@%+-".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;
    use crate::console::sample;
    use crate::console::view::{CoverView, UnwatchedView, WorstView};

    fn board() -> BoardView {
        BoardView::of(&sample::handle())
    }

    #[test]
    fn columns_line_up_where_chinese_stands_in_them() {
        for width in [None, Some(100)] {
            let table = render(&board(), What::Alarms, width);
            let widths: Vec<_> = table.lines().map(UnicodeWidthStr::width).collect();
            assert!(widths.len() > 8, "{table}");
            assert!(widths.iter().all(|line| Some(line) == widths.first()), "{widths:?}\n{table}");
            if let Some(width) = width {
                assert!(widths.iter().all(|line| *line <= usize::from(width)), "{table}");
            }
        }
    }

    #[test]
    fn the_whole_board_says_what_stands_and_what_to_do_next() {
        let text = render(&board(), What::All, None);
        for said in [
            "罐区网关 540170007 54017000701  2026-11-23 21:40:34",
            "自动化监控 coverage: ",
            "紧急 CRITICAL",
            "未落盘 not durable",
            "监测失效 monitoring lost",
            "断开 DOWN",
            "8h -> 1h",
            "重大 red",
            "整改中 rectifying",
            "riskgate ack GD-101/HH --by 姓名",
            "riskgate confirm 22222222 --by 姓名",
        ] {
            assert!(text.contains(said), "{said}\n{text}");
        }
    }

    #[test]
    fn a_task_that_is_overdue_says_since_when() {
        let mut view = board();
        assert!(!render(&view, What::Tasks, None).contains("overdue"));
        view.tasks[0].overdue = Some("2026-11-23T21:00:00.000+08:00".to_owned());
        let text = render(&view, What::Tasks, None);
        assert!(text.contains("超期 overdue since 2026-11-23 21:00"), "{text}");
    }

    #[test]
    fn what_is_silenced_says_who_why_and_until_when_and_a_flood_is_grouped_by_unit() {
        let mut view = board();
        assert!(!render(&view, What::All, None).contains("搁置 shelved"), "what is rare is told where it is");
        let cover = CoverView {
            by: "王敏".to_owned(),
            why: "液位计校验".to_owned(),
            since: view.at.clone(),
            until: Some("2026-11-23T23:40:34.000+08:00".to_owned()),
        };
        let mut alarm = view.alarms[0].clone();
        alarm.shelved = Some(cover.clone());
        view.shelved.push(alarm.clone());
        alarm.out_of_service = Some(CoverView { until: None, ..cover });
        view.out_of_service.push(alarm);
        view.quality.unwatched = vec![UnwatchedView {
            measure: "M-TA-003".to_owned(),
            measure_name: Some("可燃气体检测报警".to_owned()),
        }];
        let text = render(&view, What::All, None);
        for said in
            ["搁置 shelved: 1", "2026-11-23 23:40", "液位计校验", "停用 out of service: 1", "不限 no end"]
        {
            assert!(text.contains(said), "{said}\n{text}");
        }
        assert!(text.contains("measures that nobody watches: M-TA-003 可燃气体检测报警"), "{text}");

        assert!(!render(&view, What::Alarms, None).contains("FLOOD"));
        view.quality.flood = true;
        let text = render(&view, What::Alarms, None);
        assert!(text.contains("ALARM FLOOD") && text.lines().count() > view.alarms.len(), "{text}");
        view.quality.day.worst = vec![WorstView { alarm: "LI-101/H".to_owned(), annunciated: 12 }];
        view.quality.day.flood_share = 0.125;
        let text = render(&view, What::Quality, None);
        for said in ["LI-101/H × 12", "12.5 %", "报警泛滥 in flood: 是 YES", "抖动 chattering: 无 none"]
        {
            assert!(text.contains(said), "{said}\n{text}");
        }
    }

    #[test]
    fn sources_say_how_they_are_read_and_what_could_not_be_used() {
        let text = render(&board(), What::Sources, None);
        for said in
            ["4.2 ms", "最长 max 311.0 ms", "失败 failed 3", "时差 clock -120 ms", "connection refused"]
        {
            assert!(text.contains(said), "{said} is missing from\n{text}");
        }
        let skip = text.lines().find(|line| line.contains("missing_tag")).expect("what was skipped");
        assert!(
            ["people", "rtls/+", "12", r#"{"zone":"A"}"#].iter().all(|part| skip.contains(part)),
            "{skip}"
        );
    }

    #[test]
    fn an_empty_board_says_so_and_asks_for_nothing() {
        let text = render(&BoardView::of(&sample::empty_handle()), What::All, None);
        assert!(text.contains("报警 alarms: 无 none") && !text.contains("Next"), "{text}");
        assert!(text.contains("注意 attention: the pump has not turned yet"), "{text}");
    }

    #[test]
    fn ids_are_shown_as_long_as_they_must_be() {
        let mut view = board();
        assert_eq!(id_digits(&view), 8);
        let twin = view.hazards.first().map(|hazard| hazard.id.as_u128() ^ 1).unwrap();
        view.candidates.iter_mut().for_each(|hazard| hazard.id = uuid::Uuid::from_u128(twin));
        view.candidates.truncate(1);
        assert_eq!(id_digits(&view), 36);
    }

    #[test]
    fn spans_are_read_at_a_glance() {
        let texts = [-5, 0, 59, 60, 3661, 90_061, 86_400].map(span);
        assert_eq!(texts, ["0s", "0s", "59s", "1m", "1h 1m", "1d 1h", "1d"]);
    }

    #[test]
    fn an_id_is_quoted_where_a_shell_needs_it() {
        assert_eq!(quoted("fault:source:dcs-1"), "fault:source:dcs-1");
        assert_eq!(quoted("1#罐/HH"), "'1#罐/HH'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
