//! Tokens to tree, by recursive descent, with the precedence of the grammar.
//!
//! A part that cannot be read becomes [`Node::Wrong`] and reading goes on behind it, so that the faults
//! of the other parts are told at the same time. Nesting is bounded by [`DEPTH_MAX`]: no text, however
//! long or crooked, overflows the stack.

use std::ops::Range;

use super::ExprFault;
use super::ast::{Ast, Call, Factor, Node, Sign};
use super::lexer::{Kind, Token};

/// Brackets, `not` and unary minus within each other. A person loses track at a fifth of it; a level
/// takes 8 frames, so the whole stays under 512 KiB of stack even unoptimised (a thread has 2 MiB).
pub(super) const DEPTH_MAX: usize = 50;

/// The tree of the whole text, [`Node::Wrong`] where it cannot be read, and every fault.
pub(super) fn parse(text: &str, tokens: Vec<Token>, faults: Vec<ExprFault>) -> (Ast, Vec<ExprFault>) {
    let mut parser = Parser { text, tokens, at: 0, depth: 0, gave_up: false, faults };
    let mut tree = parser.or();
    while !parser.is(&Kind::End) {
        parser.leftover();
        let rest = parser.or();
        tree = Ast { span: tree.span.start..rest.span.end, node: Node::Wrong };
    }
    (tree, parser.faults)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// Nested too deep: the rest of the text is not read, so nothing is said about it.
    gave_up: bool,
    faults: Vec<ExprFault>,
}

impl Parser<'_> {
    fn kind(&self) -> &Kind {
        self.tokens.get(self.at).map_or(&Kind::End, |token| &token.kind)
    }

    fn span(&self) -> Range<usize> {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(0..0, |token| token.span.clone())
    }

    /// Where the last token that was read ends.
    fn end(&self) -> usize {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |token| token.span.end)
    }

    fn is(&self, kind: &Kind) -> bool {
        self.kind() == kind
    }

    fn step(&mut self) {
        // The last token is the end; it is never passed.
        self.at = (self.at + 1).min(self.tokens.len().saturating_sub(1));
    }

    fn accept(&mut self, kind: &Kind) -> bool {
        let found = self.is(kind);
        if found {
            self.step();
        }
        found
    }

    fn fault(&mut self, span: Range<usize>, message: impl Into<String>, hint: Option<&str>) {
        self.faults.push(ExprFault::error(span, message, hint.map(str::to_owned)));
    }

    fn ast(&self, start: usize, node: Node) -> Ast {
        Ast { node, span: start..self.end().max(start) }
    }

    fn or(&mut self) -> Ast {
        let start = self.span().start;
        let first = self.and();
        if !self.is(&Kind::Or) {
            return first;
        }
        let mut parts = vec![first];
        while self.accept(&Kind::Or) {
            parts.push(self.and());
        }
        self.ast(start, Node::Or(parts))
    }

    fn and(&mut self) -> Ast {
        let start = self.span().start;
        let first = self.not();
        if !self.is(&Kind::And) {
            return first;
        }
        let mut parts = vec![first];
        while self.accept(&Kind::And) {
            parts.push(self.not());
        }
        self.ast(start, Node::And(parts))
    }

    fn not(&mut self) -> Ast {
        let start = self.span().start;
        if !self.accept(&Kind::Not) {
            return self.comparison();
        }
        let inner = self.deeper(start, Self::not);
        self.ast(start, Node::Not(Box::new(inner)))
    }

    fn comparison(&mut self) -> Ast {
        let start = self.span().start;
        let first = self.sum();
        let mut rest = Vec::new();
        loop {
            let span = self.span();
            if let Kind::Compare(compare) = *self.kind() {
                self.step();
                rest.push((compare, span, self.sum()));
            } else if self.is(&Kind::Assign) {
                self.fault(span.clone(), "`=` compares nothing", Some("write <=, >=, == or !="));
                self.step();
                let right = self.sum();
                // Which comparison was meant is not known; its sides are not judged.
                rest.push((super::ast::Compare::Equal, span, Ast { node: Node::Wrong, span: right.span }));
            } else {
                break;
            }
        }
        if rest.is_empty() { first } else { self.ast(start, Node::Compare(Box::new(first), rest)) }
    }

    fn sum(&mut self) -> Ast {
        let start = self.span().start;
        let first = self.product();
        let mut parts = vec![(Sign::Plus, first)];
        loop {
            let sign = if self.accept(&Kind::Plus) {
                Sign::Plus
            } else if self.accept(&Kind::Minus) {
                Sign::Minus
            } else {
                break;
            };
            parts.push((sign, self.product()));
        }
        match <[(Sign, Ast); 1]>::try_from(parts) {
            Ok([(_, only)]) => only,
            Err(parts) => self.ast(start, Node::Sum(parts)),
        }
    }

    fn product(&mut self) -> Ast {
        let start = self.span().start;
        let first = self.negative();
        let mut parts = vec![(Factor::Times, first)];
        loop {
            let factor = if self.accept(&Kind::Star) {
                Factor::Times
            } else if self.accept(&Kind::Slash) {
                Factor::Per
            } else {
                break;
            };
            parts.push((factor, self.negative()));
        }
        match <[(Factor, Ast); 1]>::try_from(parts) {
            Ok([(_, only)]) => only,
            Err(parts) => self.ast(start, Node::Product(parts)),
        }
    }

    fn negative(&mut self) -> Ast {
        let start = self.span().start;
        if !self.accept(&Kind::Minus) {
            return self.primary();
        }
        let inner = self.deeper(start, Self::negative);
        self.ast(start, Node::Negative(Box::new(inner)))
    }

    fn primary(&mut self) -> Ast {
        let span = self.span();
        let node = match self.kind().clone() {
            Kind::Tag(tag) => Node::Tag(tag),
            Kind::Text(text) => Node::Text(text),
            Kind::Number(number) => Node::Number(number),
            Kind::Duration(duration) => Node::Duration(duration),
            Kind::Wrong => Node::Wrong,
            Kind::Word(word) => return self.word(word, span),
            Kind::Open => return self.group(span),
            Kind::Not => {
                let hint = "put the part with `not` in brackets";
                self.fault(span.clone(), "`not` has no place here", Some(hint));
                return self.not();
            }
            Kind::Or
            | Kind::And
            | Kind::Compare(_)
            | Kind::Plus
            | Kind::Minus
            | Kind::Star
            | Kind::Slash
            | Kind::Close
            | Kind::Comma
            | Kind::Assign
            | Kind::End => return self.missing(span),
        };
        self.step();
        Ast { node, span }
    }

    fn missing(&mut self, span: Range<usize>) -> Ast {
        if self.is(&Kind::Close) && self.depth == 0 {
            // It closes nothing, which is told when it is found left over.
            return Ast { node: Node::Wrong, span };
        }
        let before = if self.is(&Kind::End) { "at the end" } else { "here" };
        let hint = "a value is {TAG}, a number, 'text', a duration, a function or a part in brackets";
        self.fault(span.clone(), format!("a value is missing {before}"), Some(hint));
        Ast { node: Node::Wrong, span }
    }

    fn group(&mut self, open: Range<usize>) -> Ast {
        self.step();
        let inner = self.deeper(open.start, Self::or);
        let closed = self.close(open);
        if closed { inner } else { Ast { node: Node::Wrong, span: inner.span } }
    }

    fn close(&mut self, open: Range<usize>) -> bool {
        if self.accept(&Kind::Close) {
            return true;
        }
        let span = self.span();
        if self.gave_up {
            return false;
        }
        if self.is(&Kind::End) {
            self.fault(open, "the bracket is not closed", Some("add )"));
            return false;
        }
        if !self.is(&Kind::Wrong) {
            self.fault(span, "a `)`, a `,` or an operator is missing before this", None);
        }
        self.skip_to_close();
        false
    }

    /// Leaves the bracket that is open, past whatever else stands in it.
    fn skip_to_close(&mut self) {
        let mut open = 0_usize;
        loop {
            if self.is(&Kind::End) {
                return;
            }
            if self.is(&Kind::Open) {
                open += 1;
            }
            let closes = self.is(&Kind::Close);
            self.step();
            if closes {
                if open == 0 {
                    return;
                }
                open -= 1;
            }
        }
    }

    fn word(&mut self, word: String, span: Range<usize>) -> Ast {
        self.step();
        if self.is(&Kind::Open) {
            return self.call(word, span);
        }
        let (word, span) = self.whole_word(word, span);
        let (message, hint) = match word.as_str() {
            "true" | "false" => (
                format!("`{word}` is not a word of the language"),
                "a bool point stands for itself: {TAG}, or not {TAG}".to_owned(),
            ),
            _ => (
                format!("`{word}` is neither a tag nor a function"),
                format!(
                    "a tag stands in braces: {{{}}}; a text in quotes: '{word}'",
                    word.replace('}', "\\}")
                ),
            ),
        };
        self.fault(span.clone(), message, Some(&hint));
        Ast { node: Node::Wrong, span }
    }

    /// A tag without its braces falls into words, signs and numbers that touch: they are one slip.
    fn whole_word(&mut self, word: String, span: Range<usize>) -> (String, Range<usize>) {
        let mut end = span.end;
        while self.span().start == end
            && matches!(
                self.kind(),
                Kind::Minus | Kind::Slash | Kind::Number(_) | Kind::Duration(_) | Kind::Word(_) | Kind::Wrong
            )
        {
            end = self.span().end;
            self.step();
        }
        let whole = self.text.get(span.start..end).map_or(word, str::to_owned);
        (whole, span.start..end)
    }

    fn call(&mut self, name: String, name_span: Range<usize>) -> Ast {
        let start = name_span.start;
        let open = self.span();
        self.step();
        let mut call = Call { name, name_span, arguments: Vec::new(), named: Vec::new(), broken: false };
        if self.accept(&Kind::Close) {
            return self.ast(start, Node::Call(call));
        }
        if self.gives_up(start) {
            return self.ast(start, Node::Wrong);
        }
        self.depth += 1;
        loop {
            self.argument(&mut call);
            if !self.accept(&Kind::Comma) {
                break;
            }
        }
        self.depth -= 1;
        call.broken = !self.close(open);
        if call.broken && self.is(&Kind::End) {
            // What belongs to the call and what follows it is not known: neither is judged.
            return self.ast(start, Node::Wrong);
        }
        self.ast(start, Node::Call(call))
    }

    fn argument(&mut self, call: &mut Call) {
        let span = self.span();
        let assigned = self.tokens.get(self.at + 1).is_some_and(|token| token.kind == Kind::Assign);
        if assigned && let Kind::Word(name) = self.kind().clone() {
            self.step();
            self.step();
            let value = self.or();
            call.named.push((name, span, value));
            return;
        }
        let value = self.or();
        if !call.named.is_empty() && value.node != Node::Wrong {
            let hint = "arguments without a name stand before those with one";
            self.fault(value.span.clone(), "a name is missing before this argument", Some(hint));
        }
        call.arguments.push(value);
    }

    fn calls(&self) -> bool {
        self.tokens.get(self.at + 1).is_some_and(|token| token.kind == Kind::Open)
    }

    /// What follows a whole expression and is not its end.
    fn leftover(&mut self) {
        let span = self.span();
        if self.is(&Kind::Close) {
            self.fault(span, "this `)` closes nothing", Some("remove it, or add ( before"));
        } else if self.is(&Kind::Comma) {
            self.fault(span, "a `,` outside of a function's brackets", Some("write and, or"));
        } else if matches!(self.kind(), Kind::Word(_)) && !self.calls() {
            // A word alone is told as such.
            return;
        } else if !self.is(&Kind::Wrong) {
            let hint = "join conditions with and, or; numbers with + - * /";
            self.fault(span, "an operator is missing before this", Some(hint));
            return;
        }
        self.step();
        if self.is(&Kind::End) {
            // Nothing more to read: a missing value would be a second fault for one slip.
            self.tokens.truncate(self.at);
            self.tokens.push(Token { kind: Kind::Wrong, span: self.end()..self.end() });
            self.tokens.push(Token { kind: Kind::End, span: self.end()..self.end() });
        }
    }

    /// Where it is nested too deep, the rest of the text is not read.
    fn gives_up(&mut self, start: usize) -> bool {
        if self.depth < DEPTH_MAX {
            return false;
        }
        let message = format!("nested more than {DEPTH_MAX} deep");
        self.fault(start..self.span().end, message, Some("split it into more than one rule"));
        self.gave_up = true;
        self.at = self.tokens.len().saturating_sub(1);
        true
    }

    fn deeper(&mut self, start: usize, inner: fn(&mut Self) -> Ast) -> Ast {
        if self.gives_up(start) {
            return self.ast(start, Node::Wrong);
        }
        self.depth += 1;
        let ast = inner(self);
        self.depth -= 1;
        ast
    }
}
