//! Which point has a tag: the points' places in the order of their tags, so that no tag is kept twice.
//!
//! Looked up where people and configurations name a point; a sample names it by its place.

use riskgate_point::PointId;

use crate::PointDraft;

#[derive(Debug, Default)]
pub(super) struct Tags(Vec<PointId>);

impl Tags {
    pub(super) fn of(points: &[PointDraft]) -> Self {
        let mut places: Vec<PointId> = (0..).map(PointId).zip(points).map(|(id, _)| id).collect();
        places.sort_by_key(|id| (tag(points, *id), *id));
        Self(places)
    }

    /// Where a tag is there twice, the first point holds: that is a fault of its own.
    pub(super) fn point(&self, points: &[PointDraft], wanted: &str) -> Option<PointId> {
        let at = self.0.partition_point(|id| tag(points, *id) < wanted);
        self.0.get(at).copied().filter(|id| tag(points, *id) == wanted)
    }
}

fn tag(points: &[PointDraft], id: PointId) -> &str {
    usize::try_from(id.0).ok().and_then(|at| points.get(at)).map_or("", |point| point.tag.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;
    use crate::site::point;

    #[test]
    fn each_tag_leads_to_its_first_point_and_no_other_to_any() {
        let points = ["TI-2", "LI", "", "TI-10", "LI"].map(|tag| point(tag, Class::Process));
        let tags = Tags::of(&points);
        for (tag, place) in [("TI-2", 0), ("LI", 1), ("", 2), ("TI-10", 3)] {
            assert_eq!(tags.point(&points, tag), Some(PointId(place)), "{tag}");
        }
        for tag in ["A", "LI-", "TI", "TI-3", "位号"] {
            assert_eq!(tags.point(&points, tag), None, "{tag}");
        }
    }
}
