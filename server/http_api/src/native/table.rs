//! A table in one of its forms to the tensors of a version: for whatever takes rows.

use std::cell::Cell as Slot;

use candor_domain::{Result, Tensor};
use candor_serving::{
    ReadyVersion,
    features::{Spot, Table},
};

use super::{
    body::{self, Layout, Reading},
    head::Head,
    lines::{self, Lines},
    predict::Form,
};
use crate::limits::HttpLimits;

/// A table that was read.
pub(crate) struct ReadTable {
    /// All inputs of the signature, in its order.
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) rows: usize,
    /// What stands beside the table, in JSON.
    pub(crate) head: Head,
    /// Gaps that the manifest filled: the first places, and how many there were.
    pub(crate) filled: Vec<String>,
    pub(crate) filled_count: usize,
}

/// What may stand beside a table.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Beside {
    /// Members of a JSON body.
    pub(crate) more: &'static [&'static str],
    /// Whether the table may be left out.
    pub(crate) alone: bool,
}

/// Reads a body in `form`; without rows where it has no table and needs none.
///
/// # Errors
/// `InvalidInput` with everything that is wrong, each in its place.
pub(crate) fn read_table(
    version: &ReadyVersion,
    (body, form): (&[u8], Form),
    limits: &HttpLimits,
    beside: Beside,
) -> Result<ReadTable> {
    let set = version.features.as_ref().map_err(Clone::clone)?;
    let layout = Slot::new(match form {
        Form::Json => Layout::Objects,
        Form::JsonLines => Layout::Lines,
        Form::Csv { .. } => Layout::Csv,
    });
    let lines = Lines::default();
    let locate = |spot: Spot<'_>| body::locate(layout.get(), set, &lines, spot);
    let new_table = || Table::new(set, limits.tensors.elements_max, &locate);
    let is_csv = matches!(form, Form::Csv { .. });
    let mut table = if is_csv { new_table().with_gaps_called("an empty cell") } else { new_table() };
    let new_reading = || Reading::new(&layout, limits).with_more(beside.more).with_optional_table(beside.alone);
    let reading = new_reading();
    let mut head = Head { has_table: true, ..Head::default() };
    match form {
        Form::Json => {
            head = match body::read_quickly(body, &mut table, &reading) {
                Some(head) => head,
                None => {
                    layout.set(Layout::Objects);
                    table = new_table();
                    body::read(body, &mut table, &new_reading())?
                }
            };
        }
        Form::JsonLines => lines::read_json_lines(body, &mut table, &reading, &lines)?,
        Form::Csv { header } => lines::read_csv(body, header, &mut table, &lines)?,
    }
    let rows = table.rows();
    if !head.has_table && beside.alone {
        return Ok(ReadTable { inputs: Vec::new(), rows, head, filled: Vec::new(), filled_count: 0 });
    }
    let (inputs, gaps) = table.finish()?;
    let filled = gaps.first.iter().map(|gap| body::filled_at(layout.get(), set, &lines, *gap)).collect();
    Ok(ReadTable { inputs, rows, head, filled, filled_count: gaps.count })
}
