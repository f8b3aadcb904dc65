//! Critical rules that the loss of one feed keeps from firing, although they read another.

use riskgate_point::{PointId, SourceId};

use crate::expr::{Lost, Program, Reads};
use crate::{Draft, Fault, Item, Priority, RuleDraft, Severity};

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

/// A warning for each feed of people, permits, sightings or conditions without which a critical rule cannot
/// fire, though it reads another. Of points the fault alarms say it, one by one; and a rule that reads one feed
/// alone is blind with it, which the fault alarm of the feed says.
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
    if read.len() < 2 {
        return;
    }
    let tells = |without: &&Without<'_>| !reads.points.iter().any(|id| without.point(*id));
    for without in read.iter().filter(tells).filter(|without| !when.can_hold_without(*without)) {
        let id = draft.sources.get(usize::from(without.source.0)).map_or("", |source| &source.id);
        faults.push(Fault {
            severity: Severity::Warning,
            item,
            field: "when",
            span: None,
            message: format!("while source '{id}' is down this critical rule cannot fire"),
            hint: Some("maybe(…) around what reads it: unknown then counts as true".to_owned()),
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
