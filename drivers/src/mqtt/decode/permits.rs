//! Permits of special work out of a message: each as it stands now.
//!
//! A permit that the broker has kept is no old news but how the ticket stands, so that what is open is known
//! after a restart: it is told like any other, and marked. One whose kind or stage cannot be read is left
//! out, because either guess could hide open work.

use std::collections::BTreeMap;

use riskgate_point::{Permit, PermitKind, PermitStage, Report, Wall};
use serde_json::Value as Json;

use super::values::{Name, name, truth_of};
use super::{At, Field, Reader, Skip};
use crate::mqtt::fields::{PermitFields, Where};

impl Reader<'_> {
    pub(super) fn permits(&mut self, fields: &PermitFields, whole: &Json) {
        let topic = self.message.topic;
        for element in self.each(fields.many.as_ref(), whole) {
            self.permit(fields, At { element, whole, topic });
        }
    }

    fn permit(&mut self, fields: &PermitFields, at: At<'_>) {
        let Some(id) = self.needed(&fields.id, Field::Id, at) else { return };
        let Some(told) = self.needed(&fields.kind, Field::Kind, at) else { return };
        let Some(kind) = fields
            .kinds
            .get(&*told)
            .copied()
            .or_else(|| usual(&told, fields, &fields.kind, &fields.kinds, kind))
        else {
            let example = || format!("'{told}' is no kind of special work; say in kinds which it is");
            return self.skip_with(Skip::Unusable(Field::Kind), example);
        };
        let Some(stage) = self.stage(fields, at) else { return };
        let place = self.wanted(fields.place.as_ref(), Field::Place, at);
        let permit = Permit {
            source: self.message.source,
            id,
            kind,
            level: self.level(fields, kind, at),
            stage,
            place: place.map(|place| fields.places.get(&*place).map_or(place, std::sync::Arc::clone)),
            start: self.end_of_time(fields.start.as_ref(), Field::Start, at),
            end: self.end_of_time(fields.end.as_ref(), Field::End, at),
            guardian: self.wanted(fields.guardian.as_ref(), Field::Guardian, at),
            source_time: self.time_at(fields.time.as_ref(), at),
            received: self.message.received,
            backfill: self.message.retained,
        };
        self.decoded.reports.push(Report::Permit(Box::new(permit)));
    }

    fn stage(&mut self, fields: &PermitFields, at: At<'_>) -> Option<PermitStage> {
        if let Some(cancelled) = &fields.cancelled {
            match at.find(cancelled).map(|found| truth_of(&found)) {
                Some(Some(true)) => return Some(PermitStage::After),
                Some(Some(false)) | None => {}
                Some(None) => self.skip(Skip::Unusable(Field::Cancelled)),
            }
        }
        let told = self.needed(&fields.stage, Field::Stage, at)?;
        let usual = || usual(&told, fields, &fields.stage, &fields.stages, stage);
        let stage = fields.stages.get(&*told).copied().or_else(usual);
        if stage.is_none() {
            let example = || format!("'{told}' is no stage of a ticket; say in stages which it is");
            self.skip_with(Skip::Unusable(Field::Stage), example);
        }
        stage
    }

    fn level(&mut self, fields: &PermitFields, kind: PermitKind, at: At<'_>) -> Option<u8> {
        let from = fields.level.as_ref()?;
        let told = self.wanted(Some(from), Field::Level, at)?;
        let usual = || usual(&told, fields, from, &fields.levels, |told| level(told, kind));
        let level = fields.levels.get(&*told).copied().or_else(usual);
        if level.is_none() {
            self.skip(Skip::Unusable(Field::Level));
        }
        level
    }

    /// A ticket may have no end yet; null and the empty text say so.
    fn end_of_time(&mut self, field: Option<&Where>, of: Field, at: At<'_>) -> Option<Wall> {
        let found = at.find(field?);
        match found.as_deref().map(name) {
            Some(Name::Nothing) => None,
            Some(Name::Is(_) | Name::Unusable) | None => self.instant(found.as_deref(), of),
        }
    }
}

/// What a code means by the exchange standard; but where the platform has numbers of its own, or the
/// configuration says what numbers mean, one that it leaves out means nothing. What is fixed there is ours.
fn usual<T>(
    told: &str,
    fields: &PermitFields,
    from: &Where,
    own: &BTreeMap<String, T>,
    means: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let is_number = |code: &str| !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_digit());
    let is_fixed = matches!(from, Where::Fixed(_));
    let is_own = || !fields.standard_numbers || own.keys().any(|code| is_number(code));
    if is_number(told.trim()) && !is_fixed && is_own() { None } else { means(told) }
}

/// By the exchange standard's number, by our word, or as it is called on site.
pub fn kind(told: &str) -> Option<PermitKind> {
    const KINDS: [(&str, &str, &str, PermitKind); 8] = [
        ("1", "hot_work", "动火", PermitKind::HotWork),
        ("2", "confined_space", "受限空间", PermitKind::ConfinedSpace),
        ("3", "blind_plate", "盲板抽堵", PermitKind::BlindPlate),
        ("4", "height", "高处", PermitKind::Height),
        ("5", "lifting", "吊装", PermitKind::Lifting),
        ("6", "temporary_power", "临时用电", PermitKind::TemporaryPower),
        ("7", "earthwork", "动土", PermitKind::Earthwork),
        ("8", "road_closing", "断路", PermitKind::RoadClosing),
    ];
    let plain = told.trim().trim_end_matches("作业");
    let is = |(number, word, zh, _): &&(&str, &str, &str, PermitKind)| {
        *number == plain || word.eq_ignore_ascii_case(plain) || *zh == plain
    };
    KINDS.iter().find(is).map(|(.., kind)| *kind)
}

pub fn stage(told: &str) -> Option<PermitStage> {
    match told.trim().to_ascii_lowercase().as_str() {
        "1" | "before" | "作业前" => Some(PermitStage::Before),
        "2" | "working" | "作业中" => Some(PermitStage::Working),
        "3" | "after" | "作业后" => Some(PermitStage::After),
        _ => None,
    }
}

/// Of hot work 特级 is the first, so that 一级 is the second; of the others 一级 is the first.
fn level(told: &str, kind: PermitKind) -> Option<u8> {
    /// 高处作业 has four.
    const LEVEL_MAX: u8 = 4;
    const WORDS: [[&str; 3]; 4] =
        [["一级", "I", "Ⅰ"], ["二级", "II", "Ⅱ"], ["三级", "III", "Ⅲ"], ["四级", "IV", "Ⅳ"]];
    let told = told.trim();
    if let Ok(number) = told.parse::<u8>() {
        return (1..=LEVEL_MAX).contains(&number).then_some(number);
    }
    let first = match kind {
        PermitKind::HotWork if told == "特级" => return Some(1),
        PermitKind::HotWork => 2,
        PermitKind::ConfinedSpace
        | PermitKind::BlindPlate
        | PermitKind::Height
        | PermitKind::Lifting
        | PermitKind::TemporaryPower
        | PermitKind::Earthwork
        | PermitKind::RoadClosing => 1,
    };
    let plain = |word: &str| word == told || told.strip_suffix('级') == Some(word);
    (first..).zip(&WORDS).find(|(_, words)| words.iter().any(|word| plain(word))).map(|(level, _)| level)
}

#[cfg(test)]
mod tests;
