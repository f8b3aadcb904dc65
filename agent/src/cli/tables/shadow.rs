//! What shadow rules would have told.

use super::{Draw, both, span};

impl Draw<'_> {
    pub(super) fn shadows(&self) -> String {
        let mut table = self.table(&[
            "规则 rule",
            "名称 name",
            "次数 episodes",
            "正在进行 going on for",
            "最近一次 last onset",
            "累计时长 lasted",
            "本应提示 would have said",
        ]);
        for of in &self.view.shadows {
            table.add_row([
                of.rule.clone(),
                both(&of.name),
                of.episodes.to_string(),
                of.since.as_deref().map_or_else(|| "否 no".to_owned(), |since| self.age(since)),
                of.last_onset
                    .as_deref()
                    .map(|at| at.get(..19).unwrap_or(at).replace('T', " "))
                    .unwrap_or_default(),
                span(i64::try_from(of.lasted_s).unwrap_or(i64::MAX)),
                both(&of.words),
            ]);
        }
        table.to_string()
    }
}
