//! What is not annunciated and why, stopped units, and how good the alarms are.

use super::{Draw, alarm_state, both, minute, place, priority, span};
use crate::console::view::{AlarmView, CoverView, QualityWindowView};

impl Draw<'_> {
    pub(super) fn shelved(&self) -> String {
        self.covered(&self.view.shelved, |alarm| alarm.shelved.as_ref())
    }

    pub(super) fn out_of_service(&self) -> String {
        let table = self.covered(&self.view.out_of_service, |alarm| alarm.out_of_service.as_ref());
        let unwatched = &self.view.quality.unwatched;
        if unwatched.is_empty() {
            return table;
        }
        let names = unwatched.iter().map(|of| match &of.measure_name {
            Some(name) => format!("{} {name}", of.measure),
            None => of.measure.clone(),
        });
        format!(
            "{table}\n无人监测的措施 measures that nobody watches: {}",
            names.collect::<Vec<_>>().join("、")
        )
    }

    fn covered<'v>(
        &self,
        alarms: &'v [AlarmView],
        cover: impl Fn(&'v AlarmView) -> Option<&'v CoverView>,
    ) -> String {
        let mut table = self.table(&[
            "编号 id",
            "级别 priority",
            "状态 state",
            "单元 unit",
            "内容 what",
            "至 until",
            "谁 by",
            "原因 why",
        ]);
        for (alarm, cover) in alarms.iter().filter_map(|alarm| Some((alarm, cover(alarm)?))) {
            let until = cover.until.as_deref().map_or("不限 no end".to_owned(), minute);
            table.add_row([
                alarm.id.clone(),
                priority(alarm.priority).to_owned(),
                alarm_state(alarm),
                place(alarm),
                both(&alarm.words),
                until,
                cover.by.clone(),
                cover.why.clone(),
            ]);
        }
        table.to_string()
    }

    pub(super) fn suppressed(&self) -> String {
        self.alarm_table(&self.view.suppressed.iter().collect::<Vec<_>>())
    }

    pub(super) fn stops(&self) -> String {
        let mut table = self.table(&["单元 unit", "名称 name", "已停 for", "谁 by", "原因 why"]);
        for stop in &self.view.stops {
            let name = stop.unit_name.clone().unwrap_or_default();
            let row = [stop.unit.clone(), name, self.age(&stop.since), stop.by.clone(), stop.why.clone()];
            table.add_row(row);
        }
        table.to_string()
    }

    pub(super) fn quality(&self) -> String {
        let quality = &self.view.quality;
        let mut table = self.table(&["EEMUA 191", "近一天 day", "近一周 week"]);
        let mut row = |name: &str, figure: &dyn Fn(&QualityWindowView) -> String| {
            table.add_row([name.to_owned(), figure(&quality.day), figure(&quality.week)]);
        };
        row("统计时长 measured over", &|of| span(i64::try_from(of.covered_s).unwrap_or(i64::MAX)));
        row("报警数 annunciated", &|of| of.annunciated.to_string());
        row("每10分钟平均 per 10 min", &|of| format!("{:.2}", of.per_10_min));
        row("每10分钟峰值 peak in 10 min", &|of| of.peak_10_min.to_string());
        row("泛滥时间占比 time in flood", &|of| percent(of.flood_share));
        row("优先级分布 priorities", &|of| {
            let shares = of.by_priority.iter().rev();
            shares
                .map(|(of, share)| format!("{} {}", priority(*of), percent(*share)))
                .collect::<Vec<_>>()
                .join("\n")
        });
        row("最频繁 worst", &|of| {
            let worst = of.worst.iter().map(|worst| format!("{} × {}", worst.alarm, worst.annunciated));
            worst.collect::<Vec<_>>().join("\n")
        });
        let mut lines = vec![table.to_string()];
        let list = |ids: &[String]| if ids.is_empty() { "无 none".to_owned() } else { ids.join(" ") };
        let flood = if quality.flood { "是 YES" } else { "否 no" };
        for (name, value) in [
            ("报警泛滥 in flood", flood.to_owned()),
            ("当前报警 standing", quality.standing.to_string()),
            ("抖动 chattering", list(&quality.chattering)),
            ("陈旧（超过24小时）stale", list(&quality.stale)),
            ("搁置 shelved", quality.shelved.to_string()),
            ("设计抑制 suppressed", quality.suppressed.to_string()),
            ("停用 out of service", quality.out_of_service.to_string()),
        ] {
            lines.push(format!("{name}: {value}"));
        }
        lines.join("\n")
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
