//! An error and what caused it, in one line: for a log, a status or a person.

use std::error::Error;

/// The error, then each cause behind a colon. A cause that the text before it ends with is left out: some
/// libraries repeat it in their own words.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::chain;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Fault {
        said: &'static str,
        source: Option<Box<Self>>,
    }

    fn fault(said: &'static str, source: Option<Fault>) -> Fault {
        Fault { said, source: source.map(Box::new) }
    }

    #[test]
    fn each_cause_stands_once_behind_its_effect() {
        let refused = fault("connect: refused", Some(fault("refused", Some(fault("os error 111", None)))));
        assert_eq!(
            chain(&fault("reach the broker", Some(refused))),
            "reach the broker: connect: refused: os error 111"
        );
    }
}
