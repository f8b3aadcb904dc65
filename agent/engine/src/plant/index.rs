//! Who is touched by what: for each point, zone, camera, source or unit the rules that read it, in rule order.
//!
//! One flat list with the start of each run, so that a sample costs two loads and no hash. Built once.

/// `owners` runs of small numbers, one run for each owner.
#[derive(Debug, Default)]
pub(crate) struct Index {
    starts: Vec<u32>,
    members: Vec<u32>,
}

impl Index {
    /// From (owner, member) pairs in any order; each run comes out sorted and without repeats.
    /// A pair whose owner is not below `owners` is left out.
    pub(crate) fn build(owners: usize, pairs: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut pairs: Vec<(u32, u32)> = pairs.into_iter().collect();
        pairs.sort_unstable();
        pairs.dedup();
        let mut starts = Vec::with_capacity(owners + 1);
        let mut members = Vec::with_capacity(pairs.len());
        let mut rest = pairs.into_iter().peekable();
        for owner in (0u32..).take(owners) {
            starts.push(u32::try_from(members.len()).unwrap_or(u32::MAX));
            while let Some((_, member)) = rest.next_if(|(of, _)| *of == owner) {
                members.push(member);
            }
        }
        starts.push(u32::try_from(members.len()).unwrap_or(u32::MAX));
        Self { starts, members }
    }

    /// Empty for an owner that is not there.
    pub(crate) fn of(&self, owner: u32) -> &[u32] {
        let run = || {
            let owner = usize::try_from(owner).ok()?;
            let start = usize::try_from(*self.starts.get(owner)?).ok()?;
            let end = usize::try_from(*self.starts.get(owner + 1)?).ok()?;
            self.members.get(start..end)
        };
        run().unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::Index;

    #[test]
    fn each_owner_has_its_own_run_sorted_and_without_repeats() {
        let index = Index::build(4, [(2, 7), (0, 3), (2, 1), (2, 7), (9, 9)]);
        assert_eq!(index.of(0), [3]);
        assert!(index.of(1).is_empty());
        assert_eq!(index.of(2), [1, 7]);
        assert!(index.of(3).is_empty());
        assert!(index.of(4).is_empty());
    }
}
