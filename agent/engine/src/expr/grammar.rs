//! The grammar of the language, as a text: the module documentation of [`super`] and `riskgate language` show it.
//!
//! Its terminals, which stand in double quotes, are held to those of the lexer by tests.

/// EBNF: `{ }` any number, `[ ]` at most one, `|` or.
pub const GRAMMAR: &str = include_str!("grammar.ebnf");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::lexer::{Kind, lex};
    use super::GRAMMAR;

    /// What stands in double quotes.
    fn terminals() -> BTreeSet<&'static str> {
        GRAMMAR.split('"').skip(1).step_by(2).collect()
    }

    /// The one token of a text, if it is one and sound.
    fn token(text: &str) -> Option<Kind> {
        let (tokens, faults) = lex(text);
        match tokens.as_slice() {
            [token, end] if faults.is_empty() && end.kind == Kind::End => Some(token.kind.clone()),
            _ => None,
        }
    }

    /// Signs and words that are tokens by themselves, found by trying.
    fn signs_of_the_lexer() -> BTreeSet<String> {
        let ascii = || (0x21..0x7f_u8).map(char::from);
        let one = ascii().map(String::from);
        let two = ascii().flat_map(|a| ascii().map(move |b| format!("{a}{b}")));
        let words = ["or", "and", "not"].map(str::to_owned);
        let is_sign = |text: &String| match token(text) {
            None
            | Some(Kind::Tag(_) | Kind::Text(_) | Kind::Number(_) | Kind::Duration(_) | Kind::Word(_)) => {
                false
            }
            Some(_) => true,
        };
        one.chain(two).chain(words).filter(is_sign).collect()
    }

    #[test]
    fn every_sign_of_the_lexer_stands_in_the_grammar() {
        for sign in signs_of_the_lexer() {
            assert!(terminals().contains(sign.as_str()), "{sign}");
        }
    }

    #[test]
    fn every_terminal_of_the_grammar_is_one_of_the_lexer() {
        let signs = signs_of_the_lexer();
        for terminal in terminals() {
            let sound = match terminal {
                "{" | "}" => token("{A}") == Some(Kind::Tag("A".to_owned())),
                "'" => token("'a'") == Some(Kind::Text("a".to_owned())),
                "." => token("1.5") == Some(Kind::Number(1.5)),
                "e" | "E" => token(&format!("1{terminal}3")) == Some(Kind::Number(1000.0)),
                "ms" | "s" | "m" | "h" | "d" => {
                    matches!(token(&format!("2{terminal}")), Some(Kind::Duration(_)))
                }
                sign => signs.contains(sign),
            };
            assert!(sound, "{terminal}");
        }
        // And no other unit of time.
        for unit in ('a'..='z').chain('A'..='Z').map(String::from).filter(|unit| unit != "e" && unit != "E") {
            let is_one = matches!(token(&format!("2{unit}")), Some(Kind::Duration(_)));
            assert_eq!(is_one, terminals().contains(unit.as_str()), "{unit}");
        }
    }
}
