//! Text to tokens, each with its bytes.
//!
//! What a hand slips into from another language or another keyboard (`≥`, `（`, `&&`, `"…"`) is a fault
//! with the right spelling as its hint, and is read on as what was meant, so that one slip is one fault.

use std::iter::Peekable;
use std::ops::Range;
use std::str::CharIndices;
use std::time::Duration;

use super::ExprFault;
use super::ast::Compare;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Tag(String),
    Text(String),
    Number(f64),
    Duration(Duration),
    Word(String),
    Or,
    And,
    Not,
    Compare(Compare),
    Plus,
    Minus,
    Star,
    Slash,
    Open,
    Close,
    Comma,
    Assign,
    /// A character that the language does not have; its fault is told.
    Wrong,
    End,
}

/// The tokens, the last of which is [`Kind::End`], and every character that does not belong.
pub(super) fn lex(text: &str) -> (Vec<Token>, Vec<ExprFault>) {
    let mut lexer = Lexer { text, chars: text.char_indices().peekable(), faults: Vec::new() };
    let mut tokens = Vec::new();
    while let Some((start, first)) = lexer.chars.next() {
        if first.is_whitespace() {
            continue;
        }
        let kind = lexer.token(start, first);
        tokens.push(Token { kind, span: start..lexer.here() });
    }
    tokens.push(Token { kind: Kind::End, span: text.len()..text.len() });
    (tokens, lexer.faults)
}

struct Lexer<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
    faults: Vec<ExprFault>,
}

impl Lexer<'_> {
    fn token(&mut self, start: usize, first: char) -> Kind {
        match first {
            '{' => self.tag(start),
            '\'' => self.text(start, '\''),
            '0'..='9' => self.number(start),
            _ if first.is_alphabetic() || first == '_' => self.word(start),
            _ => self.sign(start, first),
        }
    }

    /// Where the next character begins: the end of what is read.
    fn here(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    fn since(&mut self, start: usize) -> &str {
        let end = self.here();
        self.text.get(start..end).unwrap_or_default()
    }

    fn accept(&mut self, wanted: char) -> bool {
        self.chars.next_if(|(_, next)| *next == wanted).is_some()
    }

    fn fault(&mut self, start: usize, message: impl Into<String>, hint: &str) {
        let span = start..self.here();
        self.faults.push(ExprFault::error(span, message, Some(hint.to_owned())));
    }

    fn tag(&mut self, start: usize) -> Kind {
        let mut tag = String::new();
        loop {
            match self.chars.next() {
                Some((_, '}')) => break,
                Some((_, '\\')) if self.accept('}') => tag.push('}'),
                Some((_, '\n')) | None => {
                    self.fault(start, "the tag is not closed", "write {TAG}; a } inside a tag is \\}");
                    return Kind::Wrong;
                }
                Some((_, other)) => tag.push(other),
            }
        }
        if tag.trim().is_empty() {
            self.fault(start, "an empty tag", "write the tag of a point between the braces: {TAG}");
            return Kind::Wrong;
        }
        Kind::Tag(tag)
    }

    fn text(&mut self, start: usize, quote: char) -> Kind {
        let mut text = String::new();
        loop {
            match self.chars.next() {
                Some((_, end)) if end == quote => {
                    if !self.accept(quote) {
                        break;
                    }
                    text.push(quote);
                }
                Some((_, other)) => text.push(other),
                None => {
                    self.fault(start, "the text is not closed", "write 'text'; a ' inside a text is ''");
                    return Kind::Wrong;
                }
            }
        }
        Kind::Text(text)
    }

    fn number(&mut self, start: usize) -> Kind {
        self.digits();
        // A point belongs to the number only where a digit follows.
        let mut ahead = self.chars.clone();
        if ahead.next().is_some_and(|(_, c)| c == '.')
            && ahead.next().is_some_and(|(_, c)| c.is_ascii_digit())
        {
            self.chars.next();
            self.digits();
        }
        let mut ahead = self.chars.clone();
        if ahead.next().is_some_and(|(_, c)| matches!(c, 'e' | 'E')) {
            ahead.next_if(|(_, c)| matches!(c, '+' | '-'));
            if ahead.next().is_some_and(|(_, c)| c.is_ascii_digit()) {
                self.chars = ahead;
                self.digits();
            }
        }
        let digits = self.since(start).to_owned();
        let suffix_start = self.here();
        while self.chars.next_if(|(_, c)| c.is_alphanumeric() || matches!(c, '_' | '.' | '%')).is_some() {}
        let suffix = self.since(suffix_start).to_owned();
        if suffix.is_empty() {
            self.plain_number(start, &digits)
        } else {
            self.duration(start, &digits, &suffix)
        }
    }

    fn digits(&mut self) {
        while self.chars.next_if(|(_, c)| c.is_ascii_digit()).is_some() {}
    }

    fn plain_number(&mut self, start: usize, digits: &str) -> Kind {
        match digits.parse::<f64>() {
            Ok(number) if number.is_finite() => Kind::Number(number),
            Ok(_) | Err(_) => {
                self.fault(start, "the number is too large", "numbers reach up to about 1.8e308");
                Kind::Wrong
            }
        }
    }

    fn duration(&mut self, start: usize, digits: &str, suffix: &str) -> Kind {
        let millis_each: u64 = match suffix {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => {
                let message = format!("`{digits}{suffix}` is neither a number nor a duration");
                let hint =
                    "numbers are in the point's own eu and carry none; durations are 500ms 30s 1m 2h 1d";
                self.fault(start, message, hint);
                return Kind::Wrong;
            }
        };
        let Ok(count) = digits.parse::<u64>() else {
            let message = format!("`{digits}{suffix}` is not a duration");
            self.fault(start, message, "durations are whole: write 90s for 1.5m, 1500ms for 1.5s");
            return Kind::Wrong;
        };
        match count.checked_mul(millis_each).filter(|millis| *millis <= LONGEST_MS) {
            Some(millis) => Kind::Duration(Duration::from_millis(millis)),
            None => {
                self.fault(start, "the duration is too long", "durations reach up to 3650d");
                Kind::Wrong
            }
        }
    }

    fn word(&mut self, start: usize) -> Kind {
        while self.chars.next_if(|(_, c)| c.is_alphanumeric() || *c == '_').is_some() {}
        let word = self.since(start).to_owned();
        let (kind, right) = match word.as_str() {
            "or" => return Kind::Or,
            "and" => return Kind::And,
            "not" => return Kind::Not,
            "OR" | "Or" | "或" => (Kind::Or, "or"),
            "AND" | "And" | "且" => (Kind::And, "and"),
            "NOT" | "Not" | "非" => (Kind::Not, "not"),
            _ => return Kind::Word(word),
        };
        self.fault(start, format!("`{word}` is not a word of the language"), &format!("write {right}"));
        kind
    }

    fn sign(&mut self, start: usize, first: char) -> Kind {
        match first {
            '(' => Kind::Open,
            ')' => Kind::Close,
            ',' => Kind::Comma,
            '+' => Kind::Plus,
            '-' => Kind::Minus,
            '*' => Kind::Star,
            '/' => Kind::Slash,
            '<' if self.accept('=') => Kind::Compare(Compare::LessEqual),
            '<' if self.accept('>') => self.slip(start, Kind::Compare(Compare::NotEqual), "!="),
            '<' => Kind::Compare(Compare::Less),
            '>' if self.accept('=') => Kind::Compare(Compare::GreaterEqual),
            '>' => Kind::Compare(Compare::Greater),
            '=' if self.accept('=') => Kind::Compare(Compare::Equal),
            '=' if self.accept('<') => self.slip(start, Kind::Compare(Compare::LessEqual), "<="),
            '=' if self.accept('>') => self.slip(start, Kind::Compare(Compare::GreaterEqual), ">="),
            '=' => Kind::Assign,
            '!' if self.accept('=') => Kind::Compare(Compare::NotEqual),
            '!' | '！' | '¬' => self.slip(start, Kind::Not, "not"),
            '&' => {
                self.accept('&');
                self.slip(start, Kind::And, "and")
            }
            '|' => {
                self.accept('|');
                self.slip(start, Kind::Or, "or")
            }
            '≤' | '≦' => self.slip(start, Kind::Compare(Compare::LessEqual), "<="),
            '≥' | '≧' => self.slip(start, Kind::Compare(Compare::GreaterEqual), ">="),
            '≠' => self.slip(start, Kind::Compare(Compare::NotEqual), "!="),
            '＜' => self.slip(start, Kind::Compare(Compare::Less), "<"),
            '＞' => self.slip(start, Kind::Compare(Compare::Greater), ">"),
            '（' => self.slip(start, Kind::Open, "("),
            '）' => self.slip(start, Kind::Close, ")"),
            '，' | '、' => self.slip(start, Kind::Comma, ","),
            '×' | '·' => self.slip(start, Kind::Star, "*"),
            '÷' => self.slip(start, Kind::Slash, "/"),
            '−' | '－' | '–' | '—' => self.slip(start, Kind::Minus, "-"),
            '＋' => self.slip(start, Kind::Plus, "+"),
            '"' => self.quoted(start, '"'),
            '“' => self.quoted(start, '”'),
            '‘' => self.quoted(start, '’'),
            '[' | ']' | '}' => {
                self.fault(start, format!("`{first}` has no place here"), "a tag stands in braces: {TAG}");
                Kind::Wrong
            }
            _ => {
                let hint = "the signs are ( ) , + - * / < <= > >= == != and the words or, and, not";
                self.fault(start, format!("`{first}` is not a sign of the language"), hint);
                Kind::Wrong
            }
        }
    }

    fn slip(&mut self, start: usize, meant: Kind, right: &str) -> Kind {
        let written = self.since(start).to_owned();
        self.fault(start, format!("`{written}` is not a sign of the language"), &format!("write {right}"));
        meant
    }

    fn quoted(&mut self, start: usize, quote: char) -> Kind {
        let kind = self.text(start, quote);
        if let Kind::Text(text) = &kind {
            let hint = format!("write '{}'", text.replace('\'', "''"));
            self.fault(start, "texts stand in single quotes", &hint);
        }
        kind
    }
}

/// 3650 days: longer than any window, and far from the end of a 64-bit count of nanoseconds.
const LONGEST_MS: u64 = 3_650 * 86_400_000;
