//! Rows or columns of cells into tensors.
//!
//! A door opens rows (or grows columns), asks for features by name and puts cells; whatever is wrong is
//! remembered by place, so that a caller reads all of it at once, and reading stops when there is too much.

use candor_domain::{Error, Result, Shape, Tensor};

use super::{
    FeatureKind, FeatureSet, FeatureSpec, RowCount,
    cell::{Cell, Store},
    problems::Problems,
    spec::{Place, filler_cell},
};

/// A place in the caller's table.
#[derive(Debug, Clone, Copy)]
pub struct Spot<'a> {
    /// The row, from 0; `None` for all of them.
    pub row: Option<usize>,
    /// The feature as the caller wrote it; `None` for the row itself.
    pub feature: Option<&'a str>,
}

/// A gap that was filled as the manifest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filled {
    /// The row, from 0.
    pub row: usize,
    /// Position of the feature.
    pub feature: usize,
}

/// The gaps of a table.
#[derive(Debug, Default)]
pub struct Gaps {
    /// The first [`GAPS_TOLD_MAX`] of them.
    pub first: Vec<Filled>,
    /// How many there were.
    pub count: usize,
}

/// Gaps that are told one by one.
pub const GAPS_TOLD_MAX: usize = 1000;

/// Reading should stop; [`Table::finish`] says why.
#[derive(Debug)]
pub struct Stop;

/// A table that is being read.
pub struct Table<'a> {
    set: &'a FeatureSet,
    /// How the caller's format writes a place.
    locate: &'a dyn Fn(Spot<'_>) -> String,
    elements_max: usize,
    rows: usize,
    stores: Vec<Store>,
    /// Sizes that the rows of each input have, as far as they are known; for inputs that are one feature.
    shapes: Vec<Vec<Option<usize>>>,
    /// Columns of all inputs together.
    columns: usize,
    /// Elements of nested lists of all inputs together.
    pushed: usize,
    /// The last row, counted from 1, in which each feature was seen.
    seen: Vec<usize>,
    seen_in_row: usize,
    /// The feature that comes next if this row is like the last one.
    next: usize,
    gaps: Gaps,
    /// What a gap is called in the caller's format.
    gap_word: &'static str,
    problems: Problems,
}

impl<'a> Table<'a> {
    /// An empty table for the features of `set`.
    #[must_use]
    pub fn new(set: &'a FeatureSet, elements_max: usize, locate: &'a dyn Fn(Spot<'_>) -> String) -> Self {
        Self {
            set,
            locate,
            elements_max,
            rows: 0,
            stores: set.layouts.iter().map(|layout| Store::of(layout.datatype)).collect(),
            shapes: set.layouts.iter().map(|layout| layout.sizes.clone()).collect(),
            columns: set.layouts.iter().filter_map(|layout| layout.columns).sum(),
            pushed: 0,
            seen: vec![0; set.features.len()],
            seen_in_row: 0,
            next: 0,
            gaps: Gaps::default(),
            gap_word: "null",
            problems: Problems::default(),
        }
    }

    /// Has gaps called by another word than null in messages.
    #[must_use]
    pub fn with_gaps_called(mut self, word: &'static str) -> Self {
        self.gap_word = word;
        self
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The features.
    #[must_use]
    pub fn set(&self) -> &'a FeatureSet {
        self.set
    }

    /// Remembers what is wrong at a place.
    ///
    /// # Errors
    /// [`Stop`] when there is enough of it.
    pub fn problem(&mut self, spot: Spot<'_>, error: Error) -> Result<(), Stop> {
        let place = || (self.locate)(spot);
        self.problems.add(error, place)
    }

    /// Makes room for `rows` rows.
    ///
    /// # Errors
    /// [`Stop`] when an input would have more elements than it may.
    pub fn grow(&mut self, rows: usize) -> Result<(), Stop> {
        if rows <= self.rows {
            return Ok(());
        }
        if self.set.rows_max.is_some_and(|max| rows > max) {
            let max = self.set.rows_max.unwrap_or(1);
            let expected = match self.set.rows {
                RowCount::Free => format!("at most {max} rows"),
                RowCount::Exactly(_) | RowCount::Single => self.expected_rows(),
            };
            let error = Error::invalid("the request has more rows than this model takes at once");
            return self
                .problems
                .replace(error.expected(expected).got(format!("{rows} or more")).hint("split the request"));
        }
        if rows.saturating_mul(self.columns).saturating_add(self.pushed) > self.elements_max {
            return self.problems.replace(too_large(self.elements_max).got(format!("{rows} or more rows")));
        }
        self.rows = rows;
        for (store, layout) in self.stores.iter_mut().zip(&self.set.layouts) {
            if let Some(columns) = layout.columns {
                store.grow(rows.saturating_mul(columns));
            }
        }
        Ok(())
    }

    fn expected_rows(&self) -> String {
        match self.set.rows {
            RowCount::Free => "at least 1 row".to_owned(),
            RowCount::Exactly(rows) => format!("{rows} rows, no more and no fewer"),
            RowCount::Single => "1 row, which holds the whole request".to_owned(),
        }
    }

    /// Begins the next row.
    ///
    /// # Errors
    /// As [`Self::grow`].
    pub fn open_row(&mut self) -> Result<(), Stop> {
        self.seen_in_row = 0;
        self.next = 0;
        self.grow(self.rows + 1)
    }

    /// The feature called `name` in the row that is open; `None` when there is none, or it was there
    /// before, which is remembered as a problem.
    ///
    /// # Errors
    /// [`Stop`] when there are too many problems.
    pub fn find(&mut self, name: &str) -> Result<Option<usize>, Stop> {
        let row = self.rows.checked_sub(1);
        let Some(index) = self.look_up(name) else {
            return self.unknown(Spot { row, feature: Some(name) }, name).map(|()| None);
        };
        self.see(index, Spot { row, feature: Some(name) })
    }

    /// The column called `name`, as [`Self::find`] for tables that come by column.
    ///
    /// # Errors
    /// [`Stop`] when there are too many problems.
    pub fn find_column(&mut self, name: &str) -> Result<Option<usize>, Stop> {
        let spot = Spot { row: None, feature: Some(name) };
        let Some(index) = self.look_up(name) else { return self.unknown(spot, name).map(|()| None) };
        match self.seen.get(index) {
            Some(0) => Ok(Some(index)),
            Some(_) | None => {
                self.problem(spot, Error::invalid(format!("column '{name}' stands there twice"))).map(|()| None)
            }
        }
    }

    fn look_up(&mut self, name: &str) -> Option<usize> {
        let guess = self.set.features.get(self.next).filter(|feature| *feature.name == *name);
        let index = if guess.is_some() { self.next } else { self.set.index(name)? };
        self.next = index + 1;
        Some(index)
    }

    fn unknown(&mut self, spot: Spot<'_>, name: &str) -> Result<(), Stop> {
        let shown = candor_domain::names::quoted(name);
        let error = Error::invalid(format!("the model has no feature {shown}")).expected(self.set.names());
        let error = match self.set.closest(name) {
            Some(close) => error.hint(format!("did you mean '{close}'?")),
            None => error,
        };
        self.problem(spot, error)
    }

    /// Marks a feature as seen in the open row.
    fn see(&mut self, index: usize, spot: Spot<'_>) -> Result<Option<usize>, Stop> {
        match self.seen.get_mut(index) {
            Some(seen) if *seen != self.rows => {
                *seen = self.rows;
                self.seen_in_row += 1;
                Ok(Some(index))
            }
            Some(_) | None => {
                let name = spot.feature.unwrap_or_default();
                self.problem(spot, Error::invalid(format!("feature '{name}' stands there twice"))).map(|()| None)
            }
        }
    }

    /// Puts a value into a column feature of a row that there is.
    ///
    /// # Errors
    /// [`Stop`] when there are too many problems.
    pub fn put(&mut self, row: usize, feature: usize, cell: &Cell<'_>) -> Result<(), Stop> {
        let Some(spec) = self.set.features.get(feature) else { return Err(Stop) };
        let Place::Column(column) = spec.place else {
            return self.wrong_type(row, spec, &format!("{cell}"));
        };
        if cell.is_gap() {
            return self.put_gap(row, feature, spec, cell);
        }
        let width = self.set.layouts.get(spec.input).and_then(|layout| layout.columns).unwrap_or(1);
        let index = row.saturating_mul(width).saturating_add(column);
        let fits = self.stores.get_mut(spec.input).is_some_and(|store| store.set(index, cell));
        if !fits {
            let number = matches!(cell, Cell::Unsigned(_) | Cell::Signed(_) | Cell::Float(_));
            if !number || !matches!(spec.kind(), FeatureKind::Number | FeatureKind::Integer) {
                return self.wrong_type(row, spec, &cell.to_string());
            }
            let error = Error::invalid(format!("feature '{}' has a value that does not fit", spec.name));
            let error = error.expected(spec.expectation()).got(cell.to_string());
            return self.problem(Spot { row: Some(row), feature: Some(&spec.name) }, error);
        }
        match spec.refusal_of(cell) {
            None => Ok(()),
            Some(why) => {
                let error = Error::invalid(format!("feature '{}' {why}", spec.name));
                let error = error.expected(spec.expectation()).got(cell.to_string());
                let close = match cell {
                    Cell::Text(text) => {
                        crate::likeness::closest(text, spec.notes.categories.iter().map(String::as_str))
                    }
                    Cell::Null | Cell::Bool(_) | Cell::Unsigned(_) | Cell::Signed(_) | Cell::Float(_) => None,
                };
                let error = match close {
                    Some(close) => error.hint(format!("did you mean \"{close}\"?")),
                    None => error,
                };
                self.problem(Spot { row: Some(row), feature: Some(&spec.name) }, error)
            }
        }
    }

    /// A value of a kind that the feature cannot have, as `got` shows it.
    ///
    /// # Errors
    /// [`Stop`] when there are too many problems.
    pub fn wrong_type(&mut self, row: usize, spec: &FeatureSpec, got: &str) -> Result<(), Stop> {
        let expected = match &spec.place {
            Place::Column(_) => spec.expectation(),
            Place::Whole(dims) => {
                let dims: Vec<_> = dims.iter().map(ToString::to_string).collect();
                format!("a nested list of shape [{}], each element {}", dims.join(", "), spec.expectation())
            }
        };
        let error = Error::invalid(format!("feature '{}' has the wrong type", spec.name)).expected(expected);
        self.problem(Spot { row: Some(row), feature: Some(&spec.name) }, error.got(got))
    }

    fn put_gap(&mut self, row: usize, feature: usize, spec: &FeatureSpec, cell: &Cell<'_>) -> Result<(), Stop> {
        let Some(filler) = &spec.notes.impute else {
            let got = if matches!(cell, Cell::Null) { self.gap_word.to_owned() } else { cell.to_string() };
            let error = Error::invalid(format!("feature '{}' {}", spec.name, gap_word(cell)))
                .expected(spec.expectation())
                .got(got)
                .hint("gaps are filled only where the model's model.toml declares `impute` for the feature");
            return self.problem(Spot { row: Some(row), feature: Some(&spec.name) }, error);
        };
        self.fill(row, feature, spec, &filler_cell(filler));
        Ok(())
    }

    fn fill(&mut self, row: usize, feature: usize, spec: &FeatureSpec, cell: &Cell<'_>) {
        let Place::Column(column) = spec.place else { return };
        let width = self.set.layouts.get(spec.input).and_then(|layout| layout.columns).unwrap_or(1);
        let index = row.saturating_mul(width).saturating_add(column);
        // The filler was tried when the version was loaded.
        if self.stores.get_mut(spec.input).is_some_and(|store| store.set(index, cell)) {
            self.gaps.count += 1;
            if self.gaps.first.len() < GAPS_TOLD_MAX {
                self.gaps.first.push(Filled { row, feature });
            }
        }
    }

    /// Appends an element to a feature that is a nested list.
    ///
    /// # Errors
    /// [`Stop`] when there are too many problems, or too many elements.
    pub fn push(&mut self, row: usize, feature: usize, cell: &Cell<'_>) -> Result<(), Stop> {
        let Some(spec) = self.set.features.get(feature) else { return Err(Stop) };
        let Some(store) = self.stores.get_mut(spec.input) else { return Err(Stop) };
        let index = store.len();
        self.pushed += 1;
        if self.rows.saturating_mul(self.columns).saturating_add(self.pushed) > self.elements_max {
            return self.problems.replace(too_large(self.elements_max));
        }
        store.grow(index + 1);
        if store.set(index, cell) { Ok(()) } else { self.wrong_type(row, spec, &format!("{cell} in the list")) }
    }

    /// The sizes of a nested list that are known: of the declared dimensions, and of lists before.
    #[must_use]
    pub fn sizes(&self, feature: usize) -> &[Option<usize>] {
        let input = self.set.features.get(feature).map(|spec| spec.input);
        input.and_then(|input| self.shapes.get(input)).map_or(&[], Vec::as_slice)
    }

    /// Ends a list at `depth` of a nested list with so many members; all lists of one depth have the same.
    ///
    /// # Errors
    /// [`Stop`], because what follows would be read at the wrong places.
    pub fn end_list(&mut self, row: usize, feature: usize, depth: usize, members: usize) -> Result<(), Stop> {
        let Some(spec) = self.set.features.get(feature) else { return Err(Stop) };
        let Some(size) = self.shapes.get_mut(spec.input).and_then(|shape| shape.get_mut(depth)) else {
            return Err(Stop);
        };
        match *size {
            Some(size) if size != members => {
                let error = Error::invalid(format!("feature '{}' has a list of the wrong length", spec.name))
                    .expected(format!("{size} members in dimension {depth} of each row"))
                    .got(members.to_string());
                let _ = self.problem(Spot { row: Some(row), feature: Some(&spec.name) }, error);
                Err(Stop)
            }
            _ => {
                *size = Some(members);
                Ok(())
            }
        }
    }

    /// Ends the open row: what was not given is filled by its default, or missed.
    ///
    /// # Errors
    /// [`Stop`] when there are too many problems.
    pub fn close_row(&mut self) -> Result<(), Stop> {
        if self.seen_in_row == self.set.features.len() {
            return Ok(());
        }
        let row = self.rows.saturating_sub(1);
        for (feature, spec) in self.set.features.iter().enumerate() {
            if self.seen.get(feature) == Some(&self.rows) {
                continue;
            }
            match &spec.notes.default {
                Some(filler) => self.fill(row, feature, spec, &filler_cell(filler)),
                None => self.missing(Some(row), spec)?,
            }
        }
        Ok(())
    }

    /// Ends the names of columns whose values come by row: none that has no default is missing.
    ///
    /// # Errors
    /// [`Stop`] when something is wrong with the names.
    pub fn close_names(&mut self) -> Result<(), Stop> {
        for (feature, spec) in self.set.features.iter().enumerate() {
            if self.seen.get(feature) == Some(&0) && spec.notes.default.is_none() {
                self.missing(None, spec)?;
            }
        }
        self.seen.fill(0);
        if self.problems.is_empty() { Ok(()) } else { Err(Stop) }
    }

    /// Marks a whole row of values without names as given.
    pub fn see_all(&mut self) {
        self.seen_in_row = self.set.features.len();
        self.seen.fill(self.rows);
    }

    /// Ends a column of so many values.
    pub fn close_column(&mut self, feature: usize, values: usize) {
        if let Some(seen) = self.seen.get_mut(feature) {
            // One more, so that a column without values counts as seen.
            *seen = values.saturating_add(1);
        }
    }

    /// Ends a table that came by column: columns are equally long, and none is missing.
    ///
    /// # Errors
    /// [`Stop`] when there are too many problems.
    pub fn close_columns(&mut self) -> Result<(), Stop> {
        for (feature, spec) in self.set.features.iter().enumerate() {
            let values = self.seen.get(feature).copied().unwrap_or(0).checked_sub(1);
            match (values, &spec.notes.default) {
                (Some(values), _) if values == self.rows => {}
                (Some(values), _) => {
                    let error = Error::invalid(format!("column '{}' is shorter than the longest", spec.name))
                        .expected(format!("{} values", self.rows))
                        .got(values.to_string());
                    self.problem(Spot { row: None, feature: Some(&spec.name) }, error)?;
                }
                (None, Some(filler)) => {
                    (0..self.rows).for_each(|row| self.fill(row, feature, spec, &filler_cell(filler)));
                }
                (None, None) => self.missing(None, spec)?,
            }
        }
        Ok(())
    }

    fn missing(&mut self, row: Option<usize>, spec: &FeatureSpec) -> Result<(), Stop> {
        let error =
            Error::invalid(format!("feature '{}' is missing", spec.name)).expected(spec.expectation()).got("nothing");
        self.problem(Spot { row, feature: None }, error)
    }

    /// The tensors in the signature's order, and the gaps that were filled.
    ///
    /// # Errors
    /// `InvalidInput` with all problems; the first one leads.
    pub fn finish(mut self) -> Result<(Vec<Tensor>, Gaps)> {
        let right = match self.set.rows {
            RowCount::Free => self.rows > 0,
            RowCount::Exactly(rows) => self.rows == rows,
            RowCount::Single => self.rows == 1,
        };
        if !right && self.problems.is_empty() {
            let what = if self.rows == 0 { "there are no rows" } else { "there are too few rows" };
            let error = Error::invalid(what).expected(self.expected_rows()).got(format!("{} rows", self.rows));
            let _ = self.problem(Spot { row: None, feature: None }, error);
        }
        if let Some(error) = self.problems.into_error() {
            return Err(error);
        }
        let single = self.set.rows == RowCount::Single;
        let mut tensors = Vec::with_capacity(self.stores.len());
        for ((store, layout), sizes) in self.stores.into_iter().zip(&self.set.layouts).zip(self.shapes) {
            let rows = (!single).then_some(self.rows);
            let row_dims: Vec<usize> = match layout.columns {
                Some(columns) => layout.is_vector.then_some(columns).into_iter().collect(),
                None => sizes.into_iter().map(|size| size.unwrap_or(0)).collect(),
            };
            let dims = rows.into_iter().chain(row_dims).map(|size| i64::try_from(size).unwrap_or(i64::MAX));
            tensors.push(Tensor::new(Shape::new(&dims.collect::<Vec<_>>())?, store.into_data())?);
        }
        Ok((tensors, self.gaps))
    }
}

fn gap_word(cell: &Cell<'_>) -> &'static str {
    if matches!(cell, Cell::Null) { "has no value" } else { "is not a number" }
}

fn too_large(elements_max: usize) -> Error {
    Error::invalid("the table is too large")
        .expected(format!("at most {elements_max} elements of all inputs together (limits.tensor_elements_max)"))
        .hint("split the request")
}
