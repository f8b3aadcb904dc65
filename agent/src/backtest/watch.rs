//! What a configuration would have told, rule by rule.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use riskgate_engine::{AlarmRecord, Effect, HazardRecord, Plant};
use riskgate_point::Wall;
use uuid::Uuid;

use super::tags::Tags;

/// Episodes of a rule that are kept; of a rule with more nobody wants to see each. 160 kB.
const EPISODES_MAX: usize = 10_000;
/// So many onsets within so long are chatter (ISA-18.2).
const CHATTER: usize = 3;
const CHATTER_WITHIN_MS: i64 = 60_000;

/// From onset to return; `None`: it is still going on when the files end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Episode {
    pub(super) onset: Wall,
    pub(super) end: Option<Wall>,
}

/// One rule, or one fault alarm.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    pub(super) id: String,
    pub(super) shadow: bool,
    /// Onsets.
    pub(super) alarms: u64,
    pub(super) hazards: u64,
    pub(super) repeats: u64,
    /// Onsets that were the third or a further one within a minute.
    pub(super) chatter: u64,
    /// The first of them, in order.
    pub(super) episodes: Vec<Episode>,
    pub(super) is_open: bool,
    /// Part of the whole time for which nobody could say.
    pub(super) unknown: f64,
    newest: Vec<Wall>,
    /// The number of the newest episode.
    seen: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Run {
    /// In the order of the configuration.
    pub(super) rules: Vec<Line>,
    /// Of points and sources that the files hold, by id.
    pub(super) faults: Vec<Line>,
}

#[derive(Debug)]
pub(super) struct Watch {
    rules: Vec<Line>,
    places: HashMap<String, usize>,
    faults: BTreeMap<String, Line>,
    /// Repeats of each hazard so far.
    repeats: HashMap<Uuid, u32>,
}

impl Watch {
    pub(super) fn over(plant: &Plant) -> Self {
        let line = |rule: &riskgate_engine::Rule| Line {
            id: rule.id().to_owned(),
            shadow: rule.is_shadow(),
            ..Line::default()
        };
        let rules: Vec<Line> = plant.rules().iter().map(line).collect();
        let places = rules.iter().enumerate().map(|(at, line)| (line.id.clone(), at)).collect();
        Self { rules, places, faults: BTreeMap::new(), repeats: HashMap::new() }
    }

    pub(super) fn see(&mut self, effect: &Effect) {
        match effect {
            Effect::Alarm(alarm) => self.alarm(alarm),
            Effect::Hazard(hazard) => self.hazard(hazard),
            Effect::Shadow(shadow) => {
                let line = self.line(&shadow.rule);
                match shadow.since {
                    Some(since) if shadow.episodes > line.seen => line.begin(since, shadow.episodes),
                    Some(_) => {}
                    None => line.end(shadow.changed),
                }
            }
            Effect::Task(_)
            | Effect::Unit(_)
            | Effect::Stop(_)
            | Effect::Record(_)
            | Effect::Indicator(_) => {}
        }
    }

    fn alarm(&mut self, alarm: &AlarmRecord) {
        let line = self.line(&alarm.id);
        if !alarm.state.is_active() {
            line.end(alarm.changed);
        } else if alarm.episode > line.seen {
            line.begin(alarm.since, alarm.episode);
        }
    }

    fn hazard(&mut self, hazard: &HazardRecord) {
        let before = self.repeats.insert(hazard.id, hazard.repeats);
        let line = self.line(&hazard.rule);
        match before {
            None => line.hazards += 1,
            Some(before) => line.repeats += u64::from(hazard.repeats.saturating_sub(before)),
        }
    }

    fn line(&mut self, id: &str) -> &mut Line {
        let Self { rules, places, faults, .. } = self;
        match places.get(id).and_then(|at| rules.get_mut(*at)) {
            Some(line) => line,
            None => {
                faults.entry(id.to_owned()).or_insert_with(|| Line { id: id.to_owned(), ..Line::default() })
            }
        }
    }

    pub(super) fn run(self, plant: &Plant, unknown: &[Duration], whole: Duration, tags: &Tags) -> Run {
        let mut rules = self.rules;
        for (line, unknown) in rules.iter_mut().zip(unknown) {
            line.unknown = if whole.is_zero() { 0.0 } else { unknown.as_secs_f64() / whole.as_secs_f64() };
        }
        // Of what is not in the files, nothing was lost.
        let sources: Vec<&str> = plant
            .points()
            .iter()
            .filter(|point| tags.has(&point.tag))
            .filter_map(|point| Some(plant.source(point.source)?.id.as_str()))
            .collect();
        let held = |line: &Line| match (line.id.strip_prefix("fault:source:"), line.id.strip_prefix("fault:"))
        {
            (Some(source), _) => sources.contains(&source),
            (None, Some(tag)) => tags.has(tag),
            (None, None) => true,
        };
        Run { rules, faults: self.faults.into_values().filter(held).collect() }
    }
}

impl Line {
    fn begin(&mut self, onset: Wall, number: u64) {
        self.seen = number;
        self.alarms += 1;
        self.is_open = true;
        self.newest.retain(|at| onset.0.saturating_sub(at.0) < CHATTER_WITHIN_MS);
        self.newest.push(onset);
        self.chatter += u64::from(self.newest.len() >= CHATTER);
        if self.episodes.len() < EPISODES_MAX {
            self.episodes.push(Episode { onset, end: None });
        }
    }

    fn end(&mut self, at: Wall) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        let kept = u64::try_from(self.episodes.len()).unwrap_or(u64::MAX);
        if let Some(last) = self.episodes.last_mut().filter(|_| kept == self.alarms) {
            last.end = Some(at);
        }
    }

    /// Where there are more than are kept, the onset of the last one that is.
    pub(super) fn kept_until(&self) -> Option<Wall> {
        let kept = u64::try_from(self.episodes.len()).unwrap_or(u64::MAX);
        self.episodes.last().filter(|_| kept < self.alarms).map(|last| last.onset)
    }

    /// Of the episodes kept that ended; of an even number the mean of the two in the middle.
    pub(super) fn median(&self) -> Option<Duration> {
        let lengths =
            self.episodes.iter().filter_map(|of| u64::try_from(of.end?.0.saturating_sub(of.onset.0)).ok());
        let mut lengths: Vec<Duration> = lengths.map(Duration::from_millis).collect();
        lengths.sort_unstable();
        let (below, above) = (lengths.len().saturating_sub(1) / 2, lengths.len() / 2);
        Some((*lengths.get(below)? + *lengths.get(above)?) / 2)
    }
}
