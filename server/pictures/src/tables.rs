//! The text twin of each picture: the same content as a table, for who cannot see it or wants the numbers.
//!
//! Beside [`crate::pictures`]: whatever a picture shows, its table says, in the same order and with the same digits.

use std::iter;

use crate::{
    data::{Cell, Counterfactuals, Decision, Effect, HeatMap, Importance, LocalEffects, Sample, TextMap},
    markup::{Markup, attributes},
    number::{self, Format},
    pictures::{beeswarm, counterfactuals as ways, dependence as by_value, effect as set, heat, passage},
    rank::Ranked,
    scale::bounded,
    text, words,
};

/// Longer tables are cut, and say so.
pub const ROWS_MAX: usize = 200;

/// Rows and columns of text. The first column names the row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// What it is a table of.
    pub caption: String,
    /// The heads of the columns.
    pub columns: Vec<Head>,
    /// Each as long as `columns`.
    pub rows: Vec<Vec<String>>,
}

/// The head of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What is in it.
    pub name: String,
    /// Numbers stand at the right.
    pub is_number: bool,
}

impl Table {
    fn new(caption: String, columns: &[(&str, bool)]) -> Self {
        let columns = columns.iter().map(|(name, is_number)| Head { name: (*name).to_owned(), is_number: *is_number });
        Self { caption, columns: columns.collect(), rows: Vec::new() }
    }

    /// Adds a row; the last that has room says how many were left out.
    fn fill(&mut self, rows: impl ExactSizeIterator<Item = Vec<String>>) {
        let left = rows.len().saturating_sub(ROWS_MAX);
        self.rows.extend(rows.take(ROWS_MAX));
        if left > 0 {
            let blank = self.columns.iter().skip(1).map(|_| String::new());
            let last = iter::once(format!("{} not listed", number::counted(left, "more row", "more rows")));
            self.rows.push(last.chain(blank).collect());
        }
    }

    /// As a `<table>` with caption and heads.
    pub fn to_html(&self) -> String {
        let mut markup = Markup::default();
        self.write(&mut markup);
        markup.finish()
    }

    pub(crate) fn write(&self, markup: &mut Markup) {
        let class = |at: usize| self.columns.get(at).filter(|head| head.is_number).map_or("words", |_| "number");
        markup.open("table", &[]);
        markup.with("caption", &[], &text::isolated(&self.caption));
        markup.open("thead", &[]);
        markup.open("tr", &[]);
        for (at, head) in self.columns.iter().enumerate() {
            markup.with("th", attributes! { "scope" => "col", "class" => class(at) }, &text::isolated(&head.name));
        }
        markup.close();
        markup.close();
        markup.open("tbody", &[]);
        for row in &self.rows {
            markup.open("tr", &[]);
            for (at, content) in row.iter().enumerate() {
                let content = text::isolated(content);
                if at == 0 {
                    markup.with("th", attributes! { "scope" => "row", "class" => class(at) }, &content);
                } else {
                    markup.with("td", attributes! { "class" => class(at) }, &content);
                }
            }
            markup.close();
            markup.line();
        }
        markup.close();
        markup.close();
    }
}

/// For waterfall, force and bar.
pub fn decision(decision: &Decision) -> Table {
    let ranked = Ranked::of(decision, ROWS_MAX);
    let has_errors = ranked.rows.iter().any(|row| row.standard_error.is_some());
    let has_values = ranked.rows.iter().any(|row| row.value.is_some());
    let share = words::share_head(&decision.quantity);
    let mut columns = vec![("feature", false)];
    columns.extend(has_values.then_some(("value", false)));
    columns.push((share.as_str(), true));
    columns.extend(has_errors.then_some(("standard error", true)));
    let name = text::clean(&decision.quantity.name);
    let start = words::start(decision);
    let mut table = Table::new(format!("From the {start} to this answer: {name}"), &columns);
    let line = |name: String, value: Option<String>, told: String, error: Option<String>| {
        let mut row = vec![name];
        row.extend(has_values.then(|| value.unwrap_or_default()));
        row.push(told);
        row.extend(has_errors.then(|| error.unwrap_or_default()));
        row
    };
    let value = |value: f64| words::value(&decision.quantity, &ranked, value);
    table.rows.push(line(
        if decision.base_is.is_none() { "average (the start)" } else { "start" }.to_owned(),
        None,
        value(ranked.base),
        None,
    ));
    for row in &ranked.rows {
        let error = row.standard_error.map(|error| ranked.format.fine(error).trim_start_matches('+').to_owned());
        table.rows.push(line(row.name.clone(), row.value.clone(), ranked.format.fine(row.share), error));
    }
    if ranked.shows_residual() {
        table.rows.push(line("not explained".to_owned(), None, ranked.format.fine(ranked.residual), None));
    }
    table.rows.push(line("this answer".to_owned(), None, value(ranked.output), None));
    table
}

/// For the bars of a whole model.
pub fn importance(importance: &Importance) -> Table {
    let measure = text::clean(&importance.measure);
    let has_errors = importance.features.iter().any(|feature| feature.standard_error.is_some());
    let mut columns = vec![("feature", false), (measure.as_str(), true)];
    columns.extend(has_errors.then_some(("standard error", true)));
    let mut table = Table::new(format!("What matters most to this model: {measure}"), &columns);
    let (all, _) = crate::pictures::bar::split(importance, usize::MAX);
    table.fill(all.into_iter().map(|feature| {
        let mut row = vec![text::clean(&feature.name), number::plain(feature.weight, 4)];
        row.extend(
            has_errors.then(|| feature.standard_error.map_or_else(String::new, |error| number::plain(error, 2))),
        );
        row
    }));
    table
}

/// For a beeswarm.
pub fn sample(sample: &Sample) -> Table {
    let order = beeswarm::by_importance(sample);
    let format = Format::of(&sample.quantity, order.iter().map(|column| beeswarm::weight(column)));
    let axis = words::share_axis(&sample.quantity);
    let columns = [
        ("feature", false),
        ("mean absolute share", true),
        ("smallest", true),
        ("largest", true),
        ("on the whole", false),
    ];
    let mut table = Table::new(format!("How each feature moves this model: {axis}"), &columns);
    table.fill(order.into_iter().map(|column| {
        let finite = || column.shares.iter().copied().filter(|share| share.is_finite());
        vec![
            text::clean(&column.name),
            format.fine(beeswarm::weight(column)).trim_start_matches('+').to_owned(),
            format.fine(finite().reduce(f64::min).unwrap_or(f64::NAN)),
            format.fine(finite().reduce(f64::max).unwrap_or(f64::NAN)),
            beeswarm::tendency(column).to_owned(),
        ]
    }));
    table
}

/// For dependence: rows in ten parts of equal number by value, or by category, or by value where there are few.
pub fn dependence(sample: &Sample, feature: usize) -> Table {
    let Some(column) = sample.columns.get(feature) else { return Table::default() };
    let format = Format::of(&sample.quantity, column.shares.iter().copied());
    let name = text::clean(&column.name);
    let axis = words::share_axis(&sample.quantity);
    let columns = [(name.as_str(), false), ("rows", true), ("mean share", true)];
    let mut table = Table::new(format!("How “{name}” moves this model: {axis}"), &columns);
    let row = |name: String, rows: usize, mean: f64| {
        vec![name, number::count(u64::try_from(rows).unwrap_or(u64::MAX)), format.fine(mean)]
    };
    if column.values.iter().any(|value| matches!(value, Cell::Text(_))) {
        let categories = by_value::categories(column, ROWS_MAX);
        table.fill(categories.into_iter().map(|one| row(one.name, one.rows.len(), one.mean)));
        return table;
    }
    let (mut pairs, mut missing) = (Vec::new(), Vec::new());
    for (value, share) in column.values.iter().zip(&column.shares).filter(|(_, share)| share.is_finite()) {
        match value {
            Cell::Number(number) if number.is_finite() => pairs.push((*number, *share)),
            Cell::Number(_) | Cell::Text(_) | Cell::Missing(()) => missing.push(*share),
        }
    }
    pairs.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mean = |shares: &[f64]| shares.iter().map(|share| bounded(*share)).sum::<f64>() / number::real(shares.len());
    let xs: Vec<f64> = pairs.iter().map(|pair| pair.0).collect();
    let parts: Vec<&[(f64, f64)]> = if by_value::is_few(&xs) {
        pairs.chunk_by(|one, other| one.0.to_bits() == other.0.to_bits()).collect()
    } else {
        pairs.chunks(pairs.len().div_ceil(10).max(1)).collect()
    };
    for part in parts {
        let shares: Vec<f64> = part.iter().map(|pair| pair.1).collect();
        let (from, to) = (part.first().map_or(0.0, |pair| pair.0), part.last().map_or(0.0, |pair| pair.0));
        let [from, to] = [from, to].map(|value| number::plain(value, 3));
        let span = if from == to { from } else { format!("{from} to {to}") };
        table.rows.push(row(span, part.len(), mean(&shares)));
    }
    if !missing.is_empty() {
        table.rows.push(row("missing".to_owned(), missing.len(), mean(&missing)));
    }
    table
}

/// For partial dependence.
pub fn effect(effect: &Effect) -> Table {
    let format = Format::of(&effect.quantity, effect.mean.iter().copied());
    let name = text::clean(&effect.feature);
    let axis = words::axis(&effect.quantity);
    let axis = if effect.is_centred { format!("change of {axis}") } else { axis };
    let mean = format!("average {axis}");
    let mut columns = vec![(name.as_str(), false), (mean.as_str(), true)];
    if !effect.rows.is_empty() {
        columns.extend([("smallest of the rows", true), ("largest of the rows", true)]);
    }
    let mut table = Table::new(format!("What the model says when “{name}” is set"), &columns);
    let pairs: Vec<(&Cell, &f64)> = effect.grid.iter().zip(&effect.mean).collect();
    table.fill(pairs.into_iter().enumerate().map(|(at, (value, mean))| {
        let mut row = vec![set::cell(value), format.number(*mean)];
        if !effect.rows.is_empty() {
            let here = || effect.rows.iter().filter_map(|row| row.get(at).copied()).filter(|value| value.is_finite());
            row.push(format.number(here().reduce(f64::min).unwrap_or(f64::NAN)));
            row.push(format.number(here().reduce(f64::max).unwrap_or(f64::NAN)));
        }
        row
    }));
    table
}

/// For accumulated local effects.
pub fn local_effects(effects: &LocalEffects) -> Table {
    let format = Format::of(&effects.quantity, effects.effects.iter().copied());
    let name = text::clean(&effects.feature);
    let change = format!("change of {}", words::axis(&effects.quantity));
    let mut columns = vec![(name.as_str(), true), (change.as_str(), true)];
    if !effects.counts.is_empty() {
        columns.push(("rows up to here", true));
    }
    let mut table = Table::new(format!("What a change of “{name}” does, all else as it was"), &columns);
    let pairs: Vec<(&f64, &f64)> = effects.edges.iter().zip(&effects.effects).collect();
    table.fill(pairs.into_iter().enumerate().map(|(at, (edge, effect))| {
        let mut row = vec![number::plain(*edge, 5), format.fine(*effect)];
        if !effects.counts.is_empty() {
            let count = at.checked_sub(1).and_then(|at| effects.counts.get(at)).copied().unwrap_or(0);
            row.push(number::count(count));
        }
        row
    }));
    table
}

/// For a heat map: the twenty strongest parts.
pub fn heat_map(map: &HeatMap) -> Table {
    let format = Format::of(&map.quantity, map.shares.iter().copied());
    let share = words::share_head(&map.quantity);
    let columns = [("part", false), (share.as_str(), true)];
    let parts = heat::strongest(map, 20);
    let name = text::clean(&map.quantity.name);
    let caption = format!("{name}: the {} strongest of {} parts of the image", parts.len(), map.shares.len());
    let mut table = Table::new(caption, &columns);
    table.fill(
        parts
            .into_iter()
            .map(|part| vec![format!("row {}, column {}", part.row + 1, part.column + 1), format.fine(part.share)]),
    );
    table
}

/// For a text map: the words by the size of their shares.
pub fn text_map(map: &TextMap) -> Table {
    let format = Format::of(&map.quantity, map.tokens.iter().map(|token| token.share));
    let share = words::share_head(&map.quantity);
    let columns = [("word", false), ("place", true), (share.as_str(), true)];
    let name = text::clean(&map.quantity.name);
    let mut table = Table::new(format!("{name}: the words of the text, the strongest first"), &columns);
    let words = passage::strongest_of(map, usize::MAX);
    table.fill(words.map(|(place, word, share)| vec![word, place.to_string(), format.fine(share)]));
    table
}

/// For counterfactuals: a row for each change.
pub fn counterfactuals(all: &Counterfactuals) -> Table {
    let columns = [("way", true), ("feature", false), ("now", false), ("then", false), ("the model would say", false)];
    let mut table = Table::new("What would have changed this answer".to_owned(), &columns);
    let rows: Vec<Vec<String>> = all
        .found
        .iter()
        .enumerate()
        .flat_map(|(at, one)| {
            let reached = all.quantity.as_ref().zip(one.output);
            let reached = reached.map(|(quantity, output)| format!(" ({})", ways::reached(quantity, output)));
            let then = format!("{}{}", text::isolated(&text::clean(&one.then)), reached.unwrap_or_default());
            one.changes.iter().enumerate().map(move |(place, change)| {
                let [name, from, to] = [&change.name, &change.from, &change.to].map(|part| text::clean(part));
                let said = if place == 0 { then.clone() } else { "(with the row above)".to_owned() };
                vec![(at + 1).to_string(), name, from, to, said]
            })
        })
        .collect();
    table.fill(rows.into_iter());
    table
}
