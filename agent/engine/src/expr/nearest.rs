//! The name that was probably meant.

use strsim::damerau_levenshtein;

/// Names longer than this are not searched for: the cost grows with the square of the length.
const LETTERS_MAX: usize = 64;

/// The nearest of `names`, if one is near enough to be worth a guess: the same but for case, or at most a
/// third of its letters away. Of equally near ones the first.
pub(crate) fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = wrong.chars().count();
    if letters > LETTERS_MAX {
        return None;
    }
    let lower = wrong.to_lowercase();
    let apart_max = (letters / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for name in names {
        if name.chars().count().abs_diff(letters) > apart_max {
            continue;
        }
        let apart = damerau_levenshtein(&lower, &name.to_lowercase());
        if apart <= apart_max && best.is_none_or(|(least, _)| apart < least) {
            best = Some((apart, name));
        }
    }
    best.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn case_and_slips_are_forgiven_and_strangers_are_not_guessed() {
        let names = ["GD-101", "GD-102", "TI-101"];
        assert_eq!(nearest("gd-102", names), Some("GD-102"));
        assert_eq!(nearest("GD102", names), Some("GD-102"));
        assert_eq!(nearest("TI-110", names), Some("TI-101"));
        assert_eq!(nearest("PUMP", names), None);
        assert_eq!(nearest(&"x".repeat(100_000), names), None);
    }
}
