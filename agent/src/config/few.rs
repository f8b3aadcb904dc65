//! A map of a handful of entries, in the order of their keys: the cells of a row, the keys of an item.
//!
//! A tree would take several times the room of what is in it, for each of 10,000 rows at once, and that
//! would be the most memory that the agent ever holds. Entries that come in order are added at no cost;
//! it is not for many that come in none.

use std::borrow::Borrow;

#[derive(Debug, Clone)]
pub(super) struct Few<K, V>(Vec<(K, V)>);

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> Few<K, V> {
    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(of, _)| of.borrow().cmp(key))
    }

    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(self.place(key).ok()?).map(|(_, value)| value)
    }

    pub(super) fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_ok()
    }

    /// Adds an entry, unless there is one under this key: then that one stays.
    pub(super) fn add(&mut self, key: K, value: V) {
        if let Err(place) = self.place(&key) {
            self.0.insert(place, (key, value));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives back the room for entries that do not come.
    pub(super) fn close(&mut self) {
        self.0.shrink_to_fit();
    }
}

/// Of entries under the same key the first stays.
impl<K: Ord, V> FromIterator<(K, V)> for Few<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let mut few = Self(Vec::with_capacity(entries.size_hint().0));
        entries.for_each(|(key, value)| few.add(key, value));
        few
    }
}

#[cfg(test)]
mod tests {
    use super::Few;

    #[test]
    fn the_first_under_a_key_stays_and_the_order_is_that_of_the_keys() {
        let few: Few<&str, i32> = [("b", 1), ("a", 2), ("b", 3)].into_iter().collect();
        assert_eq!(few.iter().collect::<Vec<_>>(), [(&"a", &2), (&"b", &1)]);
        assert_eq!((few.get("b"), few.get("c")), (Some(&1), None));
    }
}
