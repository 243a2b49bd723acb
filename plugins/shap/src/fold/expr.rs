//! How a column that a model reads comes of one feature: a small expression, computed as the runtime computes it.
//!
//! Numbers are held in 64 bits and rounded to what the graph holds after every step; for sums, products, quotients and
//! roots that gives the bits that 32-bit arithmetic gives. It does not know nodes.

use std::{collections::HashMap, sync::Arc};

use crate::refusal::Refusal;

/// Most steps of one column.
const COST_MAX: usize = 256;

/// What a value is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 32-bit floats.
    F32,
    /// 64-bit floats.
    F64,
    /// Integers.
    Int,
    /// Booleans, as 0 and 1.
    Bool,
    /// Text.
    Text,
}

/// A column. All of it comes of one feature at most.
#[derive(Debug, Clone)]
pub struct Expr {
    /// The feature; none for a constant.
    pub owner: Option<u32>,
    cost: usize,
    does: Does,
}

#[derive(Debug, Clone)]
enum Does {
    Feature(u32, Kind),
    Number(f64),
    Text(Vec<u8>),
    One(One, Arc<Expr>),
    Two(Two, Kind, Arc<Expr>, Arc<Expr>),
    Where(Arc<Expr>, Arc<Expr>, Arc<Expr>),
}

/// What is done with one number or text.
#[derive(Debug, Clone)]
pub enum One {
    /// To what a kind can hold.
    As(Kind),
    /// `old` becomes `new`; NaN equals NaN here.
    Impute(f64, f64),
    /// 1 if it is this category: numbers count as integers towards zero.
    IsNumber(f64),
    /// 1 if it is this text.
    IsText(Vec<u8>),
    /// By a table.
    Mapped(Arc<Table>),
    /// 1 above a threshold.
    Above(f64),
    /// Between two numbers.
    Clip(f64, f64),
    /// `-x`.
    Neg,
    /// `|x|`.
    Abs,
    /// The root.
    Sqrt(Kind),
    /// The integer below.
    Floor,
    /// The integer above.
    Ceil,
    /// 1 for 0, 0 for 1.
    Not,
    /// 1 if it is missing.
    IsNan,
}

/// What is done with two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the operators' own names")]
pub enum Two {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    And,
    Or,
}

/// Keys to values, of texts or numbers each.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Positions by text.
    pub texts: HashMap<Vec<u8>, usize>,
    /// Positions by number, as [`key`] has them.
    pub numbers: HashMap<u64, usize>,
    /// The values; the last is for what has no key.
    pub values: Vec<Entry>,
}

/// A value of a [`Table`].
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A number.
    Number(f64),
    /// A text.
    Text(Vec<u8>),
}

/// A number as a key: both zeros are one, and so are all NaN.
#[must_use]
pub fn key(number: f64) -> u64 {
    if number.is_nan() {
        return f64::NAN.to_bits();
    }
    if number == 0.0 { 0 } else { number.to_bits() }
}

/// What an expression comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Held<'a> {
    Number(f64),
    Text(&'a [u8]),
}

impl Held<'_> {
    const fn number(self) -> f64 {
        match self {
            Self::Number(number) => number,
            // Kinds are checked when expressions are made.
            Self::Text(_) => f64::NAN,
        }
    }
}

impl Expr {
    /// A feature as the graph's input holds it.
    #[must_use]
    pub const fn feature(feature: u32, kind: Kind) -> Self {
        Self { owner: Some(feature), cost: 1, does: Does::Feature(feature, kind) }
    }

    /// A constant.
    #[must_use]
    pub const fn number(number: f64) -> Self {
        Self { owner: None, cost: 1, does: Does::Number(number) }
    }

    /// A constant text.
    #[must_use]
    pub const fn text(text: Vec<u8>) -> Self {
        Self { owner: None, cost: 1, does: Does::Text(text) }
    }

    /// Something done with a column.
    ///
    /// # Errors
    /// When it takes too many steps.
    pub fn one(one: One, of: &Arc<Self>) -> Result<Arc<Self>, Refusal> {
        Self::made(&[of], Does::One(one, Arc::clone(of)))
    }

    /// Something done with two columns of one feature.
    ///
    /// # Errors
    /// When they are of two features, or it takes too many steps.
    pub fn two(two: Two, kind: Kind, a: &Arc<Self>, b: &Arc<Self>) -> Result<Arc<Self>, Refusal> {
        Self::made(&[a, b], Does::Two(two, kind, Arc::clone(a), Arc::clone(b)))
    }

    /// One of two columns, by a third.
    ///
    /// # Errors
    /// As [`Expr::two`].
    pub fn either(which: &Arc<Self>, a: &Arc<Self>, b: &Arc<Self>) -> Result<Arc<Self>, Refusal> {
        Self::made(&[which, a, b], Does::Where(Arc::clone(which), Arc::clone(a), Arc::clone(b)))
    }

    fn made(of: &[&Arc<Self>], does: Does) -> Result<Arc<Self>, Refusal> {
        let mut owners = of.iter().filter_map(|of| of.owner);
        let owner = owners.next();
        if let Some(other) = owners.find(|other| Some(*other) != owner) {
            let owner = owner.unwrap_or_default();
            return Err(Refusal::new(format!("it mixes the features {owner} and {other} into one column")));
        }
        let cost = of.iter().fold(1_usize, |sum, of| sum.saturating_add(of.cost));
        if cost > COST_MAX {
            return Err(Refusal::new(format!("a column takes more than {COST_MAX} steps")));
        }
        Ok(Arc::new(Self { owner, cost, does }))
    }

    /// The column's number in a row of features. `words` are the texts that features of text are codes of.
    ///
    /// # Errors
    /// When a code is of no text.
    pub fn of_row(&self, row: &[f64], words: &[&[u8]]) -> Result<f64, Refusal> {
        Ok(self.held(row, words)?.number())
    }

    fn held<'a>(&'a self, row: &[f64], words: &'a [&'a [u8]]) -> Result<Held<'a>, Refusal> {
        Ok(match &self.does {
            Does::Feature(feature, Kind::Text) => Held::Text(word(*feature, row, words)?),
            Does::Feature(feature, kind) => {
                Held::Number(kind.held(row.get(*feature as usize).copied().unwrap_or(f64::NAN)))
            }
            Does::Number(number) => Held::Number(*number),
            Does::Text(text) => Held::Text(text),
            Does::One(one, of) => one.done(of.held(row, words)?),
            Does::Two(Two::Equal, _, a, b) => {
                Held::Number(f64::from(u8::from(a.held(row, words)? == b.held(row, words)?)))
            }
            Does::Two(two, kind, a, b) => {
                Held::Number(kind.held(two.done(a.held(row, words)?.number(), b.held(row, words)?.number())))
            }
            Does::Where(which, a, b) => {
                let taken = if which.held(row, words)?.number() == 0.0 { b } else { a };
                taken.held(row, words)?
            }
        })
    }
}

/// The text of a code; what is missing is empty.
fn word<'a>(feature: u32, row: &[f64], words: &'a [&'a [u8]]) -> Result<&'a [u8], Refusal> {
    let code = row.get(feature as usize).copied().unwrap_or(f64::NAN);
    if code.is_nan() {
        return Ok(&[]);
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared with the number again")]
    let at = code as usize;
    #[allow(clippy::cast_precision_loss, reason = "there are fewer words than that")]
    let found = words.get(at).filter(|_| at as f64 == code);
    found.copied().ok_or_else(|| {
        let count = words.len();
        Refusal::new(format!("feature {feature} holds text: {code} is the code of none of the {count} `words`"))
    })
}

impl Kind {
    /// What a number is in this kind.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "that is the rounding")]
    pub fn held(self, number: f64) -> f64 {
        match self {
            Self::F32 => f64::from(number as f32),
            Self::F64 | Self::Text => number,
            Self::Int => truncated(number),
            Self::Bool => f64::from(u8::from(number != 0.0)),
        }
    }
}

/// Towards zero; what is no 64-bit integer becomes the smallest, as with ONNX Runtime on x86.
fn truncated(number: f64) -> f64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) { number.trunc() } else { -LIMIT }
}

impl One {
    fn done<'a>(&'a self, held: Held<'a>) -> Held<'a> {
        let x = held.number();
        let flag = |is: bool| f64::from(u8::from(is));
        Held::Number(match self {
            Self::As(kind) => kind.held(x),
            Self::Impute(old, new) => {
                if x == *old || (x.is_nan() && old.is_nan()) {
                    *new
                } else {
                    x
                }
            }
            Self::IsNumber(category) => flag(truncated(x) == *category),
            Self::IsText(category) => flag(held == Held::Text(category)),
            Self::Mapped(table) => return table.of(held),
            Self::Above(threshold) => flag(x > *threshold),
            Self::Clip(low, high) => {
                let x = if x < *low { *low } else { x };
                if x > *high { *high } else { x }
            }
            Self::Neg => -x,
            Self::Abs => x.abs(),
            Self::Sqrt(kind) => kind.held(x.sqrt()),
            Self::Floor => x.floor(),
            Self::Ceil => x.ceil(),
            Self::Not => flag(x == 0.0),
            Self::IsNan => flag(x.is_nan()),
        })
    }
}

impl Two {
    fn done(self, a: f64, b: f64) -> f64 {
        let flag = |is: bool| f64::from(u8::from(is));
        let missing = a.is_nan() || b.is_nan();
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
            Self::Min | Self::Max if missing => f64::NAN,
            Self::Min => a.min(b),
            Self::Max => a.max(b),
            Self::Less => flag(a < b),
            Self::LessOrEqual => flag(a <= b),
            Self::Greater => flag(a > b),
            Self::GreaterOrEqual => flag(a >= b),
            Self::Equal => flag(a == b),
            Self::And => flag(a != 0.0 && b != 0.0),
            Self::Or => flag(a != 0.0 || b != 0.0),
        }
    }
}

impl Table {
    fn of<'a>(&'a self, held: Held<'a>) -> Held<'a> {
        let found = match held {
            Held::Number(number) => self.numbers.get(&key(number)),
            Held::Text(text) => self.texts.get(text),
        };
        let value = found.and_then(|at| self.values.get(*at)).or(self.values.last());
        match value {
            Some(Entry::Number(number)) => Held::Number(*number),
            Some(Entry::Text(text)) => Held::Text(text),
            None => Held::Number(f64::NAN),
        }
    }
}
