//! `candor.occlusion`. It does not know how answers change when parts are covered.

use std::ffi::CStr;

use candor_plugin_sdk::{
    Call, Claims, Component, Error, Explainer, Model as Lent, Question as Asked, Result, schema, version,
};
use serde::Deserialize;

use super::question::{Limits, Question, dim, told, write, write_integers};
use crate::{Covered, Image, Layout, Part, model::bounded, occlusion};

/// How many parts a row may have.
const PARTS_MAX: usize = 1 << 16;

/// How many numbers the heat of all images may have: 256 MiB.
const HEAT_MAX: usize = 1 << 25;

/// What the rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Of {
    Image,
    Tokens,
}

/// What the parts of an image are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Parts {
    Grid,
    Superpixels,
}

/// What covers a part of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Cover {
    Value,
    Mean,
    Blur,
}

/// The configuration; `occlusion.json` says the same to the host.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OcclusionConfig {
    of: Of,
    layout: Layout,
    parts: Parts,
    patch: [usize; 2],
    stride: Option<[usize; 2]>,
    superpixels: usize,
    compactness: f64,
    rounds: usize,
    cover: Cover,
    value: f64,
    blur: f64,
    mask_id: f64,
    keep_ids: Vec<f64>,
    batch_rows_max: usize,
    evaluations_max: u64,
}

impl Default for OcclusionConfig {
    fn default() -> Self {
        let Limits { batch_rows_max, evaluations_max } = Limits::default();
        Self {
            of: Of::Image,
            layout: Layout::Chw,
            parts: Parts::Grid,
            patch: [16, 16],
            stride: None,
            superpixels: 50,
            compactness: 0.2,
            rounds: 10,
            cover: Cover::Mean,
            value: 0.0,
            blur: 5.0,
            mask_id: 0.0,
            keep_ids: Vec::new(),
            batch_rows_max,
            evaluations_max,
        }
    }
}

/// How the answer changes when parts of an image, or tokens, are covered.
pub struct Occlusion {
    config: OcclusionConfig,
    limits: Limits,
}

impl Component for Occlusion {
    type Config = OcclusionConfig;
    const ID: &'static CStr = c"candor.occlusion";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../../occlusion.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: OcclusionConfig, _call: &Call<'_>) -> Result<Self> {
        let limits =
            Limits { batch_rows_max: config.batch_rows_max, evaluations_max: config.evaluations_max }.check()?;
        let stride = config.stride.unwrap_or(config.patch);
        let positive = [config.patch, stride].concat().iter().all(|size| *size > 0);
        if !positive || config.superpixels == 0 || config.superpixels > PARTS_MAX || !(1..=100).contains(&config.rounds)
        {
            return Err(Error::invalid(format!(
                "`patch`, `stride` and `superpixels` must be 1 or more, `superpixels` at most {PARTS_MAX}, `rounds` 1 to 100"
            )));
        }
        if !(config.blur > 0.0 && config.blur <= 100.0) {
            return Err(Error::invalid(format!(
                "`blur` is {}, expected more than 0 pixels and at most 100",
                config.blur
            )));
        }
        let finite = [config.value, config.mask_id].iter().chain(&config.keep_ids).all(|number| number.is_finite());
        if !(finite && config.compactness >= 0.0 && config.compactness.is_finite()) {
            return Err(Error::invalid(
                "`value`, `mask_id`, `keep_ids` or `compactness` is no finite number, or that is negative",
            ));
        }
        Ok(Self { config, limits })
    }
}

impl Explainer for Occlusion {
    fn explain(&self, call: &Call<'_>, asked: &Asked<'_>, lent: &Lent<'_>) -> Result<()> {
        let question = Question::of(asked)?;
        match self.config.of {
            Of::Image => self.image(call, &question, lent),
            Of::Tokens => self.tokens(call, &question, lent),
        }
    }
}

impl Occlusion {
    fn image(&self, call: &Call<'_>, question: &Question<'_>, lent: &Lent<'_>) -> Result<()> {
        let shape = question.integers("shape")?.ok_or_else(|| {
            Error::invalid(
                "there is no input `shape`: channels, height and width of the image, in the order of `layout`",
            )
        })?;
        let image = Image::new(&shape, self.config.layout, question.x.width()).map_err(told)?;
        let stride = self.config.stride.unwrap_or(self.config.patch);
        let grid = match self.config.parts {
            Parts::Grid => Some(image.grid(self.config.patch, stride, PARTS_MAX).map_err(told)?),
            Parts::Superpixels => None,
        };
        let mut model = question.model(self.limits, call, lent)?;
        let parts = grid.as_ref().map_or(self.config.superpixels, Vec::len);
        let asked = parts.checked_add(2).and_then(|each| each.checked_mul(question.x.len()));
        model.afford(asked, "give fewer rows or have fewer parts").map_err(told)?;
        let mut all = Vec::new();
        for row in question.x.rows() {
            call.check()?;
            let parts = grid.clone().unwrap_or_else(|| {
                let OcclusionConfig { superpixels, compactness, rounds, .. } = self.config;
                image.superpixels(row, superpixels, compactness, rounds)
            });
            let cover = match self.config.cover {
                Cover::Value => vec![self.config.value; row.len()],
                Cover::Mean => image.mean(row),
                Cover::Blur => image.blurred(row, self.config.blur),
            };
            let features: Vec<Vec<usize>> = parts.iter().map(|part| image.features(part)).collect();
            let covered = occlusion(&mut model, row, &cover, &features).map_err(told)?;
            all.push((parts, covered));
        }
        let outputs = model.outputs();
        let players = all.iter().map(|(parts, _)| parts.len()).max().unwrap_or(0);
        write_shares(call, &all.iter().map(|(_, covered)| covered).collect::<Vec<_>>(), players, outputs)?;
        write_parts(call, &image, &all, players)?;
        write_heat(call, &image, &all, outputs)
    }

    fn tokens(&self, call: &Call<'_>, question: &Question<'_>, lent: &Lent<'_>) -> Result<()> {
        let players = question.players()?;
        let (rows, width) = (question.x.len(), question.x.width());
        let mut model = question.model(self.limits, call, lent)?;
        let asked = players.len().checked_add(2).and_then(|each| each.checked_mul(rows));
        model.afford(asked, "give fewer rows, or group tokens to words").map_err(told)?;
        let cover = vec![self.config.mask_id; width];
        let (mut all, mut kept) = (Vec::new(), Vec::new());
        for row in question.x.rows() {
            let free = |at: &&usize| row.get(**at).is_some_and(|id| !self.config.keep_ids.contains(id));
            let parts: Vec<Vec<usize>> =
                players.iter().map(|features| features.iter().filter(free).copied().collect()).collect();
            kept.extend(parts.iter().map(|part| i64::from(!part.is_empty())));
            all.push(occlusion(&mut model, row, &cover, &parts).map_err(told)?);
        }
        write_shares(call, &all.iter().collect::<Vec<_>>(), players.len(), model.outputs())?;
        write_integers(call, "covered", &[rows, players.len()], &kept)
    }
}

fn write_shares(call: &Call<'_>, all: &[&Covered], players: usize, outputs: usize) -> Result<()> {
    let rows = all.len();
    let mut shares = Vec::with_capacity(rows * players * outputs);
    for covered in all {
        shares.extend_from_slice(&covered.attributions);
        // A row of fewer parts than others has shares of 0 at its end.
        shares.resize(shares.len() + players * outputs - covered.attributions.len(), 0.0);
    }
    let flat =
        |of: fn(&Covered) -> &[f64]| -> Vec<f64> { all.iter().flat_map(|covered| of(covered)).copied().collect() };
    write(call, "attributions", &[rows, players, outputs], &shares)?;
    write(call, "base", &[rows, outputs], &flat(|covered| &covered.base))?;
    write(call, "output", &[rows, outputs], &flat(|covered| &covered.output))?;
    let asked: Vec<i64> =
        all.iter().map(|covered| dim(covered.attributions.len() / outputs.max(1)).saturating_add(2)).collect();
    write_integers(call, "evaluations", &[rows], &asked)
}

/// The boxes of all parts and, where no two overlap, the part of each pixel.
fn write_parts(call: &Call<'_>, image: &Image, all: &[(Vec<Part>, Covered)], players: usize) -> Result<()> {
    let (mut areas, mut owners, mut apart) = (Vec::new(), Vec::new(), true);
    for (parts, _) in all {
        for at in 0..players {
            areas.extend(parts.get(at).map_or([0; 4], |part| part.area.map(dim)));
        }
        let mut owner = vec![-1_i64; image.pixels()];
        for (at, part) in parts.iter().enumerate() {
            for &pixel in &part.pixels {
                if let Some(owner) = owner.get_mut(pixel) {
                    apart &= *owner == -1;
                    *owner = dim(at);
                }
            }
        }
        owners.extend(owner);
    }
    write_integers(call, "areas", &[all.len(), players, 4], &areas)?;
    let sizes: Vec<i64> = all.iter().map(|(parts, _)| dim(parts.len())).collect();
    write_integers(call, "parts", &[all.len()], &sizes)?;
    if apart { write_integers(call, "segments", &[all.len(), image.height, image.width], &owners) } else { Ok(()) }
}

/// For each pixel the mean of the shares of the parts that cover it.
fn write_heat(call: &Call<'_>, image: &Image, all: &[(Vec<Part>, Covered)], outputs: usize) -> Result<()> {
    bounded("the heat of all images", all.len().saturating_mul(image.pixels()), outputs, HEAT_MAX).map_err(told)?;
    let mut heat = Vec::with_capacity(all.len() * image.pixels() * outputs);
    for (parts, covered) in all {
        let (mut sums, mut counts) = (vec![0.0; image.pixels() * outputs], vec![0.0_f64; image.pixels()]);
        for (part, shares) in parts.iter().zip(covered.attributions.chunks_exact(outputs.max(1))) {
            for &pixel in &part.pixels {
                let sums = sums.get_mut(pixel * outputs..).unwrap_or_default();
                sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share);
                counts.iter_mut().skip(pixel).take(1).for_each(|count| *count += 1.0);
            }
        }
        for (sums, count) in sums.chunks_exact(outputs.max(1)).zip(counts) {
            heat.extend(sums.iter().map(|sum| sum / count.max(1.0)));
        }
    }
    write(call, "heat", &[all.len(), image.height, image.width, outputs], &heat)
}
