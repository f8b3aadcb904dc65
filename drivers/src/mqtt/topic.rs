//! Topic filters: which subscriptions a message is for, and which filters the broker needs to hear.
//!
//! Pure. A broker may send one message once for each of our filters that it matches. So filters that
//! another one covers are not sent at all, and the routing to subscriptions is ours alone. It does not
//! check that a filter is well-formed: the configuration and the broker do.

use std::collections::{HashMap, HashSet};

const SINGLE: &str = "+";
const REST: &str = "#";

/// Whether a filter matches a topic, by MQTT 3.1.1 section 4.7: `+` is one level, `#` is the level above
/// and all below, and a wildcard in the first level does not match a topic that begins with `$`.
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && (filter.starts_with(SINGLE) || filter.starts_with(REST)) {
        return false;
    }
    let mut levels = topic.split('/');
    for want in filter.split('/') {
        if want == REST {
            return true;
        }
        match levels.next() {
            Some(level) if want == SINGLE || want == level => {}
            Some(_) | None => return false,
        }
    }
    levels.next().is_none()
}

/// Every topic that `narrow` matches, `wide` matches too.
pub fn covers(wide: &str, narrow: &str) -> bool {
    if narrow.starts_with('$') && (wide.starts_with(SINGLE) || wide.starts_with(REST)) {
        return false;
    }
    let mut levels = narrow.split('/');
    for want in wide.split('/') {
        if want == REST {
            return true;
        }
        match levels.next() {
            Some(REST) | None => return false,
            Some(level) if want == SINGLE || want == level => {}
            Some(_) => return false,
        }
    }
    levels.next().is_none()
}

/// The filters to subscribe to: each once, and none that another covers.
pub fn to_subscribe(filters: &[&str]) -> Vec<String> {
    // Only wildcards cover others, and there are few: thousands of topics are not compared with each other.
    let mut wild: Vec<&str> = Vec::new();
    for filter in filters.iter().filter(|filter| is_wild(filter)) {
        if !wild.iter().any(|other| covers(other, filter)) {
            wild.retain(|other| !covers(filter, other));
            wild.push(filter);
        }
    }
    let mut seen: HashSet<&str> = HashSet::new();
    let mut wanted = Vec::new();
    for filter in filters {
        let covered = if is_wild(filter) {
            !wild.contains(filter)
        } else {
            wild.iter().any(|wide| covers(wide, filter))
        };
        if !covered && seen.insert(filter) {
            wanted.push((*filter).to_owned());
        }
    }
    wanted
}

fn is_wild(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

/// Finds the filters that match a topic, by their place in the list given.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    exact: HashMap<String, Vec<usize>>,
    wild: Vec<(String, usize)>,
}

impl Routes {
    pub fn new<'f>(filters: impl IntoIterator<Item = &'f str>) -> Self {
        let mut routes = Self::default();
        for (place, filter) in filters.into_iter().enumerate() {
            if is_wild(filter) {
                routes.wild.push((filter.to_owned(), place));
            } else {
                routes.exact.entry(filter.to_owned()).or_default().push(place);
            }
        }
        routes
    }

    /// Each matching place once, ascending.
    pub fn places(&self, topic: &str) -> Vec<usize> {
        let mut places: Vec<usize> = self.exact.get(topic).cloned().unwrap_or_default();
        places.extend(self.wild.iter().filter(|(filter, _)| matches(filter, topic)).map(|(_, place)| *place));
        places.sort_unstable();
        places
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn filters_match_as_the_standard_has_it() {
        for (filter, topic, expect) in [
            ("gas/1", "gas/1", true),
            ("gas/1", "gas/2", false),
            ("gas/1", "gas/1/raw", false),
            ("gas/+", "gas/1", true),
            ("gas/+", "gas", false),
            ("gas/+", "gas/", true),
            ("gas/+", "gas/1/raw", false),
            ("+/+", "/gas", true),
            ("+", "/gas", false),
            ("gas/#", "gas", true),
            ("gas/#", "gas/1/raw", true),
            ("gas/#", "gasoline/1", false),
            ("#", "gas/1", true),
            ("gas/+/raw", "gas/1/raw", true),
            ("gas/+/raw", "gas/1/2/raw", false),
            ("+/1/#", "gas/1", true),
            ("#", "$SYS/uptime", false),
            ("+/uptime", "$SYS/uptime", false),
            ("$SYS/#", "$SYS/uptime", true),
            ("Gas", "gas", false),
        ] {
            assert_eq!(matches(filter, topic), expect, "{filter} {topic}");
        }
    }

    #[test]
    fn a_filter_that_another_covers_is_not_subscribed_to() {
        for (filters, expect) in [
            (vec!["a/b", "a/b"], vec!["a/b"]),
            (vec!["a/b", "a/+", "c"], vec!["a/+", "c"]),
            (vec!["a/#", "a/+/c", "a"], vec!["a/#"]),
            (vec!["a/+/c", "a/#", "b"], vec!["a/#", "b"]),
            (vec!["a/+", "+/b"], vec!["a/+", "+/b"]),
            (vec!["a/+", "a/#"], vec!["a/#"]),
            (vec!["#", "$SYS/uptime"], vec!["#", "$SYS/uptime"]),
            (vec![], vec![]),
        ] {
            assert_eq!(to_subscribe(&filters), expect, "{filters:?}");
        }
    }

    #[test]
    fn a_message_finds_all_its_subscriptions() {
        let routes = Routes::new(["a/b", "a/+", "#", "a/b", "c"]);
        assert_eq!(routes.places("a/b"), [0, 1, 2, 3]);
        assert_eq!(routes.places("x"), [2]);
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![Just("a"), Just("b"), Just("+"), Just("")];
        (prop::collection::vec(level, 1..4), any::<bool>()).prop_map(|(mut levels, rest)| {
            if rest {
                levels.push(REST);
            }
            levels.join("/")
        })
    }

    fn topic() -> impl Strategy<Value = String> {
        let level = prop_oneof![Just("a"), Just("b"), Just("c"), Just(""), Just("$x")];
        prop::collection::vec(level, 1..5).prop_map(|levels| levels.join("/"))
    }

    proptest! {
        #[test]
        fn what_the_broker_is_asked_for_matches_what_was_wanted(filters in prop::collection::vec(filter(), 0..6), topic in topic()) {
            let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
            let subscribed = to_subscribe(&filters);
            let wanted = filters.iter().any(|filter| matches(filter, &topic));
            prop_assert_eq!(subscribed.iter().any(|filter| matches(filter, &topic)), wanted);
            let routes = Routes::new(filters.iter().copied());
            let expect: Vec<usize> = (0..filters.len()).filter(|place| matches(filters[*place], &topic)).collect();
            prop_assert_eq!(routes.places(&topic), expect);
        }

        #[test]
        fn no_subscribed_filter_covers_another(filters in prop::collection::vec(filter(), 0..6)) {
            let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
            let subscribed = to_subscribe(&filters);
            for (at, wide) in subscribed.iter().enumerate() {
                for (other, narrow) in subscribed.iter().enumerate() {
                    prop_assert!(at == other || !covers(wide, narrow), "{} covers {}", wide, narrow);
                }
            }
        }
    }
}
