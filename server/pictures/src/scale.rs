//! From values to pixels, and the round numbers that stand on an axis.
//!
//! Before everything that draws along an axis. Any values are taken: none, equal, huge ones. It draws nothing.

use crate::number;

/// Beyond this, differences of two values would not be numbers any more.
const VALUE_MAX: f64 = 1e300;

/// A straight axis: values `low..=high` on pixels `from..=to` (which may run backwards).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

/// A value that can be reckoned with.
pub(crate) const fn bounded(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(-VALUE_MAX, VALUE_MAX) }
}

impl Scale {
    /// Holds all finite values, with a margin of `margin` of their span on both sides.
    pub fn around(values: impl Iterator<Item = f64>, margin: f64, from: f64, to: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()).map(bounded) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let span = high - low;
        // Values that differ by rounding alone would make a picture of nothing.
        if span <= 1e-12 * low.abs().max(high.abs()) || span < f64::MIN_POSITIVE * 1e6 {
            let half = if low == 0.0 { 0.5 } else { low.abs() / 2.0 };
            return Self { low: low - half, high: high + half, from, to };
        }
        Self { low: low - span * margin, high: high + span * margin, from, to }
    }

    /// Where a value stands; outside of the axis at its end.
    pub fn at(&self, value: f64) -> f64 {
        let share = (bounded(value) - self.low) / (self.high - self.low);
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Does the axis show this value?
    pub fn holds(&self, value: f64) -> bool {
        value >= self.low && value <= self.high
    }

    /// Values with labels, at most about so many, at steps of 1, 2 or 5 times a power of ten. `factor` is what labels
    /// are multiplied by; where `is_whole`, no step is smaller than 1.
    pub fn ticks(&self, most: usize, factor: f64, is_whole: bool) -> Vec<Tick> {
        let span = (self.high - self.low) * factor;
        let most = number::real(most.max(2)) + 0.9;
        let power = number::power_of_ten(exponent(span / most));
        let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * power).into_iter().find(|step| span / *step <= most);
        let step = step.unwrap_or(10.0 * power).max(if is_whole { 1.0 } else { 0.0 });
        if !(step.is_finite() && step > 0.0) {
            return Vec::new();
        }
        let first = (self.low * factor / step).ceil();
        // A zero of the axis is not 1e-17.
        let places = (0_u8..32).map(|at| (first + f64::from(at)) * step);
        let places: Vec<f64> = places.take_while(|place| *place <= self.high * factor + step * 1e-9).collect();
        let decimals = usize::try_from(-exponent(step)).unwrap_or(0);
        let largest = places.iter().map(|place| place.abs()).fold(0.0, f64::max);
        let is_plain = decimals <= 5 && largest < 1e9;
        places
            .into_iter()
            .map(|place| Tick {
                x: self.at(place / factor),
                label: match (is_plain, largest >= 1e4) {
                    (true, true) => number::with_commas(&number::fixed(place, decimals)),
                    (true, false) => number::fixed(place, decimals),
                    (false, _) => number::plain(place, 3),
                },
            })
            .collect()
    }
}

/// A round value on an axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub x: f64,
    pub label: String,
}

/// The power of ten of a positive number, without the rounding of a logarithm.
fn exponent(value: f64) -> i32 {
    let text = format!("{value:e}");
    text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, factor: f64) -> Vec<String> {
        let ticks = Scale::around([low, high].into_iter(), 0.0, 0.0, 100.0).ticks(6, factor, false);
        ticks.into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_and_have_the_decimals_that_they_need() {
        assert_eq!(labels(0.0, 1.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(0.0, 1.0, 100.0), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(labels(-0.3, 0.31, 1.0), ["−0.2", "−0.1", "0.0", "0.1", "0.2", "0.3"]);
        assert_eq!(labels(0.0, 52_000.0, 1.0), ["0", "10,000", "20,000", "30,000", "40,000", "50,000"]);
        assert_eq!(labels(0.0, 3e-9, 1.0)[1], "5 × 10⁻¹⁰");
        let whole = Scale::around([0.0, 4.0].into_iter(), 0.0, 0.0, 100.0).ticks(9, 1.0, true);
        assert_eq!(whole.into_iter().map(|tick| tick.label).collect::<Vec<_>>(), ["0", "1", "2", "3", "4"]);
    }

    #[test]
    fn places_follow_values() {
        let scale = Scale::around([0.0, 10.0].into_iter(), 0.0, 100.0, 0.0);
        assert!((scale.at(2.5) - 75.0).abs() < 1e-12 && (scale.at(99.0) - 0.0).abs() < 1e-12);
        assert!(scale.holds(10.0) && !scale.holds(10.1));
    }

    #[test]
    fn no_values_make_no_trouble() {
        let cases: [&[f64]; 7] =
            [&[], &[f64::NAN], &[3.0, 3.0], &[0.0], &[-1e308, 1e308], &[1e-320], &[f64::INFINITY, 1.0]];
        for values in cases {
            let scale = Scale::around(values.iter().copied(), 0.05, 0.0, 100.0);
            for value in values.iter().chain(&[f64::MAX, f64::NAN]) {
                assert!((0.0..=100.0).contains(&scale.at(*value)), "{values:?} {value}");
            }
            for tick in scale.ticks(6, 100.0, false) {
                assert!((0.0..=100.0).contains(&tick.x), "{values:?} {tick:?}");
            }
        }
    }
}
