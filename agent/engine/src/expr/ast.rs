//! A text as its grammar sees it: names are still text, and nothing has a type.
//!
//! Chains of `or`, `and`, `+ -` and `* /` are lists, so a long chain is not a deep tree: depth comes from
//! brackets, `not` and unary minus alone, and the parser bounds it.

use std::ops::Range;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ast {
    pub(super) node: Node,
    /// Bytes of the text; without the brackets around it.
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Or(Vec<Ast>),
    And(Vec<Ast>),
    Not(Box<Ast>),
    /// One comparison, or more where the text chains them (a fault that the type checker tells).
    Compare(Box<Ast>, Vec<(Compare, Range<usize>, Ast)>),
    /// The first sign is always plus.
    Sum(Vec<(Sign, Ast)>),
    /// The first factor always multiplies.
    Product(Vec<(Factor, Ast)>),
    Negative(Box<Ast>),
    /// `{TAG}`, with its escapes resolved.
    Tag(String),
    Number(f64),
    Text(String),
    Duration(Duration),
    Call(Call),
    /// A part that the parser could not read; its fault is told.
    Wrong,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) name_span: Range<usize>,
    pub(super) arguments: Vec<Ast>,
    /// `name = value`, each with the bytes of its name.
    pub(super) named: Vec<(String, Range<usize>, Ast)>,
    /// Its bracket holds more than could be read; the fault is told.
    pub(super) broken: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Plus,
    Minus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Factor {
    Times,
    Per,
}

impl Compare {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
        }
    }

    /// The same comparison with its sides exchanged.
    pub(super) fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            Self::Equal | Self::NotEqual => self,
        }
    }

    pub(super) fn is_equality(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual)
    }

    pub(super) fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterEqual => left >= right,
            Self::Equal => left == right,
            Self::NotEqual => left != right,
        }
    }
}
