//! What nobody would hear: critical rules that the loss of one feed keeps from firing, although they read another,
//! and calls for help from where no rule listens.

use std::time::Duration;

use riskgate_point::{PointId, SourceId};

use super::Rule;
use crate::expr::{Lost, Program, Reads};
use crate::{Draft, Fault, Item, PointDraft, Priority, RuleDraft, Severity};

const HINT: &str = "maybe(…) around what reads it: unknown then counts as true";
const HINT_POINTS: &str = "at_least(…) or `or` over points of both sources, or maybe(…) around what reads it";

/// A measure against which people act within minutes is not blind for longer than this before that is told.
const SHOWN_WITHIN: Duration = Duration::from_mins(5);

/// One source is down.
struct Without<'a> {
    draft: &'a Draft,
    source: SourceId,
}

impl Without<'_> {
    fn carries(&self, what: impl Fn(&crate::SourceDraft) -> bool) -> bool {
        self.draft.sources.get(usize::from(self.source.0)).is_some_and(what)
    }
}

impl<'a> Without<'a> {
    /// The point whose silence is the last to be told, where that is late.
    fn shows_late(&self, reads: &Reads) -> Option<&'a PointDraft> {
        let points = reads.points.iter().filter(|id| self.point(**id));
        let points = points.filter_map(|id| self.draft.points.get(usize::try_from(id.0).ok()?));
        points.max_by_key(|point| point.stale_after).filter(|point| point.stale_after > SHOWN_WITHIN)
    }
}

impl Lost for Without<'_> {
    fn point(&self, id: PointId) -> bool {
        let point = usize::try_from(id.0).ok().and_then(|at| self.draft.points.get(at));
        point.is_some_and(|point| point.source == self.source)
    }

    fn people(&self) -> bool {
        self.carries(|source| source.fixes)
    }

    fn permits(&self) -> bool {
        self.carries(|source| source.permits)
    }

    fn camera(&self, at: u32) -> bool {
        let camera = usize::try_from(at).ok().and_then(|at| self.draft.cameras.get(at));
        camera.is_some_and(|camera| camera.source == self.source)
    }

    fn conditions(&self, of: SourceId) -> bool {
        of == self.source
    }
}

/// A warning for each source without which a critical rule cannot fire, though another could say it too: a feed of
/// people, permits, sightings or conditions beside which it reads something else, or points of which it reads some
/// from another source as well.
///
/// Of a rule whose points all hang on one source no other text would help, and the fault alarms say that it is blind,
/// with its own priority: unless they say it late.
pub(super) fn warn(
    item: Item,
    rule: &RuleDraft,
    when: &Program,
    reads: &Reads,
    draft: &Draft,
    faults: &mut Vec<Fault>,
) {
    if rule.priority != Priority::Critical {
        return;
    }
    let all = (0..draft.sources.len()).filter_map(|at| u16::try_from(at).ok()).map(SourceId);
    let read = all.map(|source| Without { draft, source }).filter(|without| is_read(without, reads));
    let read: Vec<Without<'_>> = read.collect();
    let of_points = |without: &Without<'_>| reads.points.iter().any(|id| without.point(*id));
    let sources_of_points = read.iter().filter(|without| of_points(without)).count();
    for without in read.iter().filter(|without| !when.can_hold_without(*without)) {
        let (beside, late, hint) = if of_points(without) {
            (sources_of_points > 1, without.shows_late(reads), HINT_POINTS)
        } else {
            (read.len() > 1, None, HINT)
        };
        let id = draft.sources.get(usize::from(without.source.0)).map_or("", |source| &source.id);
        let message = format!("while source '{id}' is down this critical rule cannot fire");
        let (message, hint) = match late {
            Some(point) => {
                let after = point.stale_after;
                let hint = format!("a stale_after of '{}' of at most {SHOWN_WITHIN:?}", point.tag);
                (format!("{message}, and silence shows only after {after:?}"), hint)
            }
            None if beside => (message, hint.to_owned()),
            None => continue,
        };
        let (severity, hint) = (Severity::Warning, Some(hint));
        faults.push(Fault { severity, item, field: "when", span: None, message, hint });
    }
}

/// A warning where rules listen for calls for help, and none of them outside of the places that it names.
pub(super) fn warn_of_help(draft: &Draft, rules: &[Rule], faults: &mut Vec<Fault>) {
    let outside = super::outside(&draft.zones);
    let listens = |rule: &&RuleDraft| rules.iter().any(|of| of.id == rule.id && of.calls_for_help());
    let hears_all = rules.iter().any(|rule| rule.calls_for_help() && rule.zones.contains(&outside));
    let first = draft.rules.iter().enumerate().find(|(_, rule)| listens(rule)).filter(|_| !hears_all);
    if let Some((at, rule)) = first {
        faults.push(Fault {
            severity: Severity::Warning,
            item: Item::Rule(at),
            field: if rule.kind.is_some() { "kind" } else { "when" },
            span: None,
            message: "who calls for help outside of the places that rules name alarms nobody".to_owned(),
            hint: Some("sos() hears it anywhere, and so does kind = \"sos\" without a place".to_owned()),
        });
    }
}

fn is_read(without: &Without<'_>, reads: &Reads) -> bool {
    reads.points.iter().any(|id| without.point(*id))
        || (!reads.zones.is_empty() && without.people())
        || (!reads.permits.is_empty() && without.permits())
        || reads.cameras.iter().any(|at| without.camera(*at))
        || reads.conditions.contains(&without.source)
}
