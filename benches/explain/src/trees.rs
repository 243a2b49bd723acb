//! Exact shares of trees beside shap's C extension, by the same trees: the ONNX file that scikit-learn's model was
//! exported to.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use candor_measure::timer::Moment;
use candor_plugin_shap::{
    fold::{Folded, Model},
    matrix::{Background, Matrix},
    trees::{Perturbation, Sight},
};

use crate::cases::{Case, Stage, Work};

/// Numbers that tables may have: the component's default.
const CELLS_MAX: usize = (64 << 20) / 8;

/// Rows of a call.
const ROWS: [usize; 2] = [1, 1000];

/// All cases.
pub fn cases(stage: &Stage<'_>) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for name in stage.models.leaves.keys() {
        let path = stage.folder.join(format!("{name}.onnx"));
        let file = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let folded = Arc::new(Folded::read(&file)?);
        for perturbation in [Perturbation::PathDependent, Perturbation::Interventional] {
            let (sight, prepare_ms) = sight(stage, &folded, perturbation)?;
            for rows in ROWS {
                let (method, work) = match perturbation {
                    Perturbation::PathDependent => ("TreeSHAP, path-dependent", "tree_path"),
                    Perturbation::Interventional => ("TreeSHAP, interventional, 100 rows", "tree_rows"),
                };
                let ours = ours(stage, &folded, &sight, rows);
                cases.push(Case { method, work, model: name.clone(), rows, prepare_ms, tolerance: 1e-5, ours });
            }
        }
    }
    Ok(cases)
}

fn sight(stage: &Stage<'_>, folded: &Folded, perturbation: Perturbation) -> Result<(Arc<Sight>, f64)> {
    let Model::Trees(forest) = &folded.model else { bail!("{} is no tree ensemble", folded.place) };
    let features = stage.models.features;
    let cells = match perturbation {
        Perturbation::PathDependent => stage.train.clone(),
        Perturbation::Interventional => {
            stage.rows.get(stage.rows.len() - stage.models.background * features..).unwrap_or_default().to_vec()
        }
    };
    let rows = Matrix::new(cells.len() / features, features, cells).context("rows of another width")?;
    let start = Moment::now();
    let background = Background::new(folded.columns(&rows, &[])?, None).context("no background")?;
    let sight = Sight::new(forest, &folded.owners(), features, background, perturbation, CELLS_MAX)?;
    Ok((Arc::new(sight), start.elapsed().as_secs_f64() * 1e3))
}

/// The whole way from features to shares, as a question takes it.
fn ours(stage: &Stage<'_>, folded: &Arc<Folded>, sight: &Arc<Sight>, count: usize) -> Work {
    let (folded, sight, features) = (Arc::clone(folded), Arc::clone(sight), stage.models.features);
    let all = stage.rows.clone();
    Box::new(move |first| {
        let Model::Trees(forest) = &folded.model else { bail!("no tree ensemble") };
        let cells = all.get(first * features..(first + count) * features).context("no such rows")?;
        let rows = Matrix::new(count, features, cells.to_vec()).context("rows of another width")?;
        let columns = folded.columns(&rows, &[])?;
        let found = sight.shares::<anyhow::Error>(forest, &columns, (&[true], false), &mut || Ok(()))?;
        Ok(found.shares)
    })
}
