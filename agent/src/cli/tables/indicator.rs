//! 排查任务完成率, 隐患整改率, 风险分析完成率 with what each was computed from.

use super::{Draw, span};
use crate::console::view::{RateView, WeekView};

impl Draw<'_> {
    pub(super) fn indicators(&self) -> String {
        let Some(of) = &self.view.indicators else {
            return "尚未统计：时钟未确认 not counted yet: it waits for a clock that is right".to_owned();
        };
        let mut table = self.table(&["指标 indicator", "本周 this week", "上周 last week"]);
        let last =
            |figure: &dyn Fn(&WeekView) -> String| of.last_week.as_ref().map_or("–".to_owned(), figure);
        let mut row = |name: &str, figure: &dyn Fn(&WeekView) -> String| {
            table.add_row([name.to_owned(), figure(&of.week), last(figure)]);
        };
        row("自 from", &|week| week.start.clone());
        row("统计时长 measured over", &|week| span(i64::try_from(week.covered_s).unwrap_or(i64::MAX)));
        row("排查任务完成率 tasks done", &|week| rate(week.tasks));
        row("未按时 missed", &|week| {
            let missed = week.missed.iter().map(|(task, times)| format!("{task} × {times}"));
            missed.collect::<Vec<_>>().join("\n")
        });
        row("停用免查 suspended", &|week| week.suspended.to_string());
        row("无记录来源 never recorded here", &|week| week.unknown.to_string());
        row("隐患整改率 hazards mended", &|week| rate(week.hazards));
        row("到期未验收 due and open", &|week| {
            week.open.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        });
        let mut lines = vec![table.to_string()];
        lines.push(format!("风险分析完成率 analysed: {}", rate(of.analysis)));
        for (object, lacks) in &of.lacking {
            let lacks = match lacks {
                riskgate_engine::Lacks::Unit => "单元 a unit",
                riskgate_engine::Lacks::Measure => "管控措施 a measure",
                riskgate_engine::Lacks::Event => "风险事件 an event",
                riskgate_engine::Lacks::Task => "排查任务 a task",
            };
            lines.push(format!("  {object}: 缺 lacks {lacks}"));
        }
        lines.join("\n")
    }
}

/// Of nothing there is no rate.
fn rate(of: RateView) -> String {
    let share = of.rate.map_or("–".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
    format!("{share} ({}/{})", of.part, of.of)
}
