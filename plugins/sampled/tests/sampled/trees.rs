//! The model of the fixtures: scikit-learn's boosted trees, with margin and probability as outputs.

use serde_json::Value;

pub struct Trees {
    start: f64,
    trees: Vec<Tree>,
}

struct Tree {
    feature: Vec<i64>,
    threshold: Vec<f64>,
    left: Vec<i64>,
    right: Vec<i64>,
    value: Vec<f64>,
}

pub fn numbers(of: &Value) -> Vec<f64> {
    serde_json::from_value(of.clone()).unwrap()
}

pub fn integers(of: &Value) -> Vec<i64> {
    serde_json::from_value(of.clone()).unwrap()
}

impl Trees {
    pub fn of(model: &Value) -> Self {
        let tree = |tree: &Value| Tree {
            feature: integers(&tree["feature"]),
            threshold: numbers(&tree["threshold"]),
            left: integers(&tree["left"]),
            right: integers(&tree["right"]),
            value: numbers(&tree["value"]),
        };
        Self {
            start: model["start"].as_f64().unwrap(),
            trees: model["trees"].as_array().unwrap().iter().map(tree).collect(),
        }
    }

    pub fn margin(&self, row: &[f64]) -> f64 {
        self.start + self.trees.iter().map(|tree| tree.leaf(row)).sum::<f64>()
    }

    pub fn answer(&self, row: &[f64]) -> Vec<f64> {
        let margin = self.margin(row);
        vec![margin, 1.0 / (1.0 + (-margin).exp())]
    }
}

impl Tree {
    fn leaf(&self, row: &[f64]) -> f64 {
        let mut at = 0;
        while self.left[at] >= 0 {
            // As scikit-learn compares.
            let goes_left = f64::from(row[self.feature[at] as usize] as f32) <= self.threshold[at];
            at = if goes_left { self.left[at] } else { self.right[at] } as usize;
        }
        self.value[at]
    }
}
