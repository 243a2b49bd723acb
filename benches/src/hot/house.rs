//! The models and what is asked of them: three of the samples under thousands of names, said to take different amounts
//! of memory, and popular by Zipf's law whatever they take.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    cases::{self, Case, Format},
    open_loop::Drawn,
    servers,
};

/// Samples, and the megabytes that a session of each is said to take. What really is in memory is less: the point is who
/// stays, and the machine of a benchmark is small.
const KINDS: [(&str, u64); 3] = [("iris", 5), ("digits", 10), ("breast_cancer", 20)];

/// Popularity of the model at rank r is 1 / r to the power of this.
const EXPONENT: f64 = 1.0;

/// The models.
pub struct Many {
    cases: Vec<Case>,
    /// Sums of popularity up to each rank.
    sums: Vec<f64>,
    /// The model at each rank.
    order: Vec<u32>,
}

impl Many {
    /// Makes a repository of so many.
    pub fn make(samples: &Path, into: &Path, count: u32) -> Result<Self> {
        let cases = KINDS.iter().map(|(kind, _)| cases::case_of(samples, kind, 1)).collect::<Result<Vec<_>>>()?;
        for model in 0..count {
            let (case, megabytes) = Self::kind_of(&cases, model).context("there are no kinds")?;
            let folder = into.join(name(model));
            fs::create_dir_all(folder.join("1")).context("cannot make a folder for a model")?;
            servers::copy(&case.folder.join("model.onnx"), &folder.join("1/model.onnx"))?;
            fs::write(folder.join("model.toml"), format!("[residency]\nbytes = {}\n", megabytes * 1_000_000))?;
        }
        let weights = (1..=count).map(|rank| f64::from(rank).powf(-EXPONENT));
        let sums = weights.scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Ok(Self { cases, sums: sums.collect(), order: shuffled(count) })
    }

    fn kind_of(cases: &[Case], model: u32) -> Option<(&Case, u64)> {
        let kind = model as usize % KINDS.len();
        Some((cases.get(kind)?, KINDS.get(kind)?.1))
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.order.len()).unwrap_or(u32::MAX)
    }

    /// Bytes in which so many fit, on average.
    pub fn budget(&self, fit: u32) -> u64 {
        let megabytes: u64 = KINDS.iter().map(|(_, megabytes)| megabytes).sum();
        u64::from(fit) * megabytes * 1_000_000 / KINDS.len() as u64
    }

    /// A model by its popularity; `drawn` is from 0 up to 1.
    pub fn by_popularity(&self, drawn: f64) -> u32 {
        let whole = self.sums.last().copied().unwrap_or(0.0);
        let rank = self.sums.partition_point(|sum| *sum <= drawn * whole);
        self.order.get(rank.min(self.order.len().saturating_sub(1))).copied().unwrap_or(0)
    }

    /// A request to a model over a connection to `host`.
    pub fn request(&self, model: u32, host: &str) -> Vec<u8> {
        let body = Self::kind_of(&self.cases, model).map_or(&[][..], |(case, _)| case.body(Format::Json));
        let head = format!(
            "POST /v2/models/{}/infer HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            name(model),
            body.len()
        );
        [head.as_bytes(), body].concat()
    }
}

fn name(model: u32) -> String {
    format!("m{model:05}")
}

/// Each model once, in an order that has nothing to do with its kind, and is always the same.
fn shuffled(count: u32) -> Vec<u32> {
    let (mut order, mut drawn): (Vec<u32>, _) = ((0..count).collect(), Drawn(42));
    for end in (1..order.len()).rev() {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "some thousands"
        )]
        let other = (drawn.next() * (end + 1) as f64) as usize;
        order.swap(end, other.min(end));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn popularity_is_zipfs_and_every_model_has_a_rank() {
        let mut order = shuffled(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
        let sums: Vec<f64> = vec![1.0, 1.5, 1.5 + 1.0 / 3.0];
        let many = Many { cases: vec![], sums, order: vec![7, 8, 9] };
        assert_eq!((many.by_popularity(0.0), many.by_popularity(0.54), many.by_popularity(0.55)), (7, 7, 8));
        assert_eq!((many.by_popularity(0.82), many.by_popularity(0.999_999)), (9, 9));
        assert_eq!(many.budget(3), 35_000_000);
    }
}
