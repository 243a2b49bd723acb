//! Numbers as people read them: a few significant digits, a real minus sign, commas between thousands.
//!
//! Everything that is drawn or told gets its numbers here. It does not know what a number means, but for
//! [`Format`], which writes all numbers of one picture with the same decimals so that they can be added up.

use crate::data::{Quantity, Space};

/// What stands where a number should.
pub(crate) const NOT_A_NUMBER: &str = "not a number";
/// From here on a number is written as a power of ten.
const EXPONENT_MAX: i32 = 12;
const EXPONENT_MIN: i32 = -5;
/// From here on the decimals of its picture say nothing about a number.
const FIXED_MAX: f64 = 1e12;
/// More decimals than this are noise in a picture.
const DECIMALS_MAX: i32 = 6;

/// With so many significant digits, without trailing zeros.
pub(crate) fn plain(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return odd(value);
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = digits.max(1);
    let exponent = exponent(value, digits);
    if !(EXPONENT_MIN..EXPONENT_MAX).contains(&exponent) {
        return scientific(value, digits);
    }
    let decimals = i32::try_from(digits).unwrap_or(i32::MAX).saturating_sub(1).saturating_sub(exponent).max(0);
    let text = fixed(value, usize::try_from(decimals).unwrap_or(0));
    trimmed(&text).to_owned()
}

/// With exactly so many decimals; a zero has no sign.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return odd(value);
    }
    let text = format!("{:.decimals$}", value.abs());
    let is_zero = !text.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    let sign = if value < 0.0 && !is_zero { "−" } else { "" };
    format!("{sign}{}", grouped(&text, 5))
}

/// The same with a comma in 1,000 too, where it cannot be a year.
pub(crate) fn with_commas(told: &str) -> String {
    let (sign, digits) = told.find(|char: char| char.is_ascii_digit()).map_or(("", told), |at| told.split_at(at));
    if told.contains([',', '×', 'a']) { told.to_owned() } else { format!("{sign}{}", grouped(digits, 4)) }
}

/// [`fixed`] with a plus sign where it is one.
pub(crate) fn signed(value: f64, decimals: usize) -> String {
    let text = fixed(value, decimals);
    let is_zero = !text.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    if value > 0.0 && value.is_finite() && !is_zero { format!("+{text}") } else { text }
}

/// A whole number.
pub(crate) fn count(value: u64) -> String {
    grouped(&value.to_string(), 4)
}

/// "1 row", "2 rows".
pub(crate) fn counted(value: usize, one: &str, many: &str) -> String {
    let word = if value == 1 { one } else { many };
    format!("{} {word}", count(u64::try_from(value).unwrap_or(u64::MAX)))
}

/// A count as a coordinate.
#[allow(clippy::cast_precision_loss, reason = "counts of things that are drawn are far below 2^52")]
pub(crate) fn real(count: usize) -> f64 {
    count as f64
}

/// Read, not reckoned: the last bit of a power is not the same on all processors, and pictures are.
pub(crate) fn power_of_ten(exponent: i32) -> f64 {
    format!("1e{exponent}").parse().unwrap_or(1.0)
}

fn odd(value: f64) -> String {
    if value.is_nan() {
        NOT_A_NUMBER.to_owned()
    } else if value > 0.0 {
        "infinite".to_owned()
    } else {
        "−infinite".to_owned()
    }
}

/// The power of ten of the first digit, once rounded to so many digits.
fn exponent(value: f64, digits: usize) -> i32 {
    let text = format!("{:.*e}", digits.saturating_sub(1), value.abs());
    text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0)
}

fn scientific(value: f64, digits: usize) -> String {
    let text = format!("{:.*e}", digits.saturating_sub(1), value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let raised: String = exponent.chars().map(superscript).collect();
    let sign = if value < 0.0 { "−" } else { "" };
    format!("{sign}{} × 10{raised}", trimmed(mantissa))
}

fn superscript(digit: char) -> char {
    match digit {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        '9' => '⁹',
        _ => '⁰',
    }
}

fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Commas between thousands, from so many digits on: 2024 may be a year.
fn grouped(text: &str, digits_min: usize) -> String {
    let (whole, rest) = text.find('.').map_or((text, ""), |at| text.split_at(at));
    if whole.len() < digits_min {
        return text.to_owned();
    }
    let mut grouped = String::with_capacity(text.len() + whole.len() / 3);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped.push_str(rest);
    grouped
}

/// How the numbers of one picture are written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Format {
    /// 100 where probabilities are told in per cent.
    pub factor: f64,
    decimals: usize,
    is_scientific: bool,
    is_percent: bool,
}

impl Format {
    /// Three significant digits for the largest of `shares`, and as many decimals for everything else.
    pub fn of(quantity: &Quantity, shares: impl Iterator<Item = f64>) -> Self {
        let is_percent = quantity.space == Space::Probability;
        let factor = if is_percent { 100.0 } else { 1.0 };
        let largest = shares.filter(|share| share.is_finite()).map(f64::abs).fold(0.0, f64::max) * factor;
        let decimals = if largest > 0.0 { 2 - exponent(largest, 3) } else { 2 };
        let is_scientific = !largest.is_finite() || !(2 - EXPONENT_MAX..=DECIMALS_MAX).contains(&decimals);
        let decimals = usize::try_from(decimals.clamp(0, DECIMALS_MAX)).unwrap_or(0);
        Self { factor, decimals, is_scientific, is_percent }
    }

    /// A value of the quantity: "73.1 %", "52,345".
    pub fn value(&self, value: f64) -> String {
        let text = self.number(value);
        if self.is_percent && value.is_finite() { format!("{text} %") } else { text }
    }

    /// A value where the axis says that it is in per cent.
    pub fn number(&self, value: f64) -> String {
        let value = value * self.factor;
        if self.is_scientific || value.abs() >= FIXED_MAX {
            plain(value, 4)
        } else {
            with_commas(&fixed(value, self.decimals))
        }
    }

    /// A share with its sign: "+12.3".
    pub fn share(&self, share: f64) -> String {
        let share = share * self.factor;
        if !self.is_scientific && share.abs() < FIXED_MAX {
            return with_commas(&signed(share, self.decimals));
        }
        let sign = if share > 0.0 && share.is_finite() { "+" } else { "" };
        format!("{sign}{}", plain(share, 3))
    }

    /// [`Self::share`], but a small one that would read as zero keeps its first digit.
    pub fn fine(&self, share: f64) -> String {
        if !self.is_scientific && share != 0.0 && share.is_finite() && share.abs() < self.half_digit() {
            let sign = if share > 0.0 { "+" } else { "" };
            return format!("{sign}{}", plain(share * self.factor, 1));
        }
        self.share(share)
    }

    /// Half of the last digit that is shown.
    pub fn half_digit(&self) -> f64 {
        let decimals = i32::try_from(self.decimals).unwrap_or(0);
        if self.is_scientific { 0.0 } else { 0.5 * power_of_ten(-decimals) / self.factor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_digits_and_no_more() {
        let told: Vec<String> =
            [0.0, 1.0, 0.123_456, -2.5, 1234.5, 52_345.4, 1e-7, -3.21e15, 0.000_123_45].map(|v| plain(v, 4)).into();
        assert_eq!(
            told,
            ["0", "1", "0.1235", "−2.5", "1234", "52,345", "1 × 10⁻⁷", "−3.21 × 10¹⁵", "0.0001234"],
            "ties round to even, as the standard library does"
        );
        assert_eq!(plain(9.9996, 4), "10");
        assert_eq!([f64::NAN, f64::INFINITY].map(|v| plain(v, 3)), ["not a number", "infinite"]);
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!([-0.001, 0.0, 0.001, 0.5].map(|v| signed(v, 2)), ["0.00", "0.00", "0.00", "+0.50"]);
    }

    #[test]
    fn one_picture_has_one_number_of_decimals() {
        let raw = Quantity { name: "price".into(), ..Quantity::default() };
        let format = Format::of(&raw, [0.213, -0.0514].into_iter());
        assert_eq!((format.share(0.213), format.share(-0.0514), format.value(1.0)).1, "−0.051");
        let percent = Quantity { space: Space::Probability, ..raw.clone() };
        let format = Format::of(&percent, [0.213, f64::NAN].into_iter());
        assert_eq!((format.value(0.731), format.share(0.213)), ("73.1 %".to_owned(), "+21.3".to_owned()));
        assert!((format.half_digit() - 0.0005).abs() < 1e-15);
        let tiny = Format::of(&raw, [3.3e-12].into_iter());
        assert_eq!(tiny.share(3.3e-12), "+3.3 × 10⁻¹²");
        let price = Format::of(&raw, [38_900.0].into_iter());
        assert_eq!((price.share(-8300.0), price.value(f64::NAN)), ("−8,300".to_owned(), "not a number".to_owned()));
        let large = Format::of(&raw, [3.3e20, 1.0].into_iter());
        assert_eq!(large.share(-3.3e20), "−3.3 × 10²⁰");
    }

    #[test]
    fn counts_have_words() {
        assert_eq!((counted(1, "row", "rows"), counted(12_345, "row", "rows")), ("1 row".into(), "12,345 rows".into()));
    }
}
