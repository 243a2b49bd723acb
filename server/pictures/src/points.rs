//! Many points, drawn small: one path for each colour.
//!
//! After [`crate::tint`]. It does not know what the points stand for.

use std::collections::BTreeMap;

use crate::{canvas::Canvas, markup::coordinate, tint::Tint};

/// So many times all colours are drawn one over the other, so that none hides the rest.
const LAYERS: usize = 8;

/// Points by layer and colour.
#[derive(Debug, Default)]
pub(crate) struct Points {
    paths: BTreeMap<(usize, Tint), String>,
    added: usize,
}

impl Points {
    pub fn add(&mut self, x: f64, y: f64, tint: Tint) {
        let path = self.paths.entry((self.added % LAYERS, tint)).or_default();
        self.added += 1;
        path.push('M');
        path.push_str(&coordinate(x));
        path.push(' ');
        path.push_str(&coordinate(y));
        path.push_str("h0");
    }

    pub fn has(&self, tint: Tint) -> bool {
        self.paths.keys().any(|(_, own)| *own == tint)
    }

    pub fn draw(&self, canvas: &mut Canvas<'_>, size: f64) {
        for ((_, tint), path) in &self.paths {
            match tint {
                Tint::Step(step) => canvas.dots(&format!("v{step}"), size, path),
                Tint::Plain => canvas.dots("none", size, path),
                Tint::Missing => {
                    canvas.dots("none", size, path);
                    canvas.dots("hole", size - 2.2, path);
                }
            }
        }
    }
}

/// Where the points of a swarm lie beside its middle, from −1 to 1: those that would cover each other are stacked
/// to both sides in turn. `xs` are pixels; `size` is that of a point.
pub(crate) fn swarm(xs: &[f64], size: f64, room: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..xs.len()).collect();
    let x = |at: usize| xs.get(at).copied().unwrap_or(0.0);
    order.sort_by(|one, other| x(*one).total_cmp(&x(*other)));
    let mut layers = vec![0_u32; xs.len()];
    let (mut bin, mut layer, mut deepest) = (f64::NEG_INFINITY, 0, 0);
    for at in order {
        let own = (x(at) / (size * 0.75)).floor();
        layer = if own > bin { 0 } else { layer + 1 };
        bin = own;
        deepest = deepest.max(layer);
        if let Some(place) = layers.get_mut(at) {
            *place = layer;
        }
    }
    let half = f64::from(deepest.div_ceil(2)).max(1.0);
    // As tight as they must be, and no wider than points beside each other.
    let step = (room / half).min(size * 0.9);
    layers
        .into_iter()
        .map(|layer| {
            let side = if layer % 2 == 0 { 1.0 } else { -1.0 };
            side * f64::from(layer.div_ceil(2)) * step
        })
        .collect()
}

/// Which of so many rows are drawn when only `most` are: evenly through all, the same each time.
pub(crate) fn sampled(rows: usize, most: usize) -> Vec<usize> {
    let most = most.clamp(1, 20_000);
    if rows <= most {
        return (0..rows).collect();
    }
    (0..most).map(|at| at * rows / most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_one_place_are_stacked_within_the_room() {
        let offsets = swarm(&[10.0, 10.0, 10.0, 60.0], 4.0, 12.0);
        assert_eq!(offsets, [0.0, -3.6, 3.6, 0.0]);
        let many = swarm(&[5.0; 1000], 4.0, 12.0);
        assert!(many.iter().all(|offset| offset.abs() <= 12.0));
    }

    #[test]
    fn a_part_of_the_rows_is_spread_over_all() {
        assert_eq!(sampled(3, 10), [0, 1, 2]);
        assert_eq!(sampled(10, 5), [0, 2, 4, 6, 8]);
        assert_eq!(sampled(10, 0), [0]);
    }
}
