//! One request's way in and out of a contract.

use std::{
    borrow::Cow,
    cell::{Cell as Slot, RefCell},
    sync::Arc,
};

use actix_web::web::Bytes;
use candor_domain::{Error, Result, Tensor, Version};
use candor_serving::{
    BatchNote, CacheNote, Codec, InferRequest, Ran, ReadyVersion,
    features::{FeatureSet, RowCount, Spot, Table},
};

use super::{
    body::{self, Content, Context},
    frame, tokens,
    write::{self, Carries},
};
use crate::{
    limits::HttpLimits,
    native::{self, Layout, Lines, Reading},
    wire::ReplyEncoding,
};

/// Whose words a body is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    TfServing,
    Kserve,
    Invocations,
    Vertex,
}

impl Dialect {
    /// Every member that a body may have.
    pub(super) const fn members(self) -> &'static [&'static str] {
        match self {
            Self::TfServing => &["instances", "inputs", "signature_name"],
            Self::Kserve => &["instances"],
            Self::Invocations => &["instances", "inputs", "dataframe_split", "dataframe_records", "params"],
            Self::Vertex => &["instances", "parameters"],
        }
    }

    /// The members that hold a table, of which a body has one.
    pub(super) const fn forms(self) -> &'static str {
        match self {
            Self::TfServing => "\"instances\" or \"inputs\"",
            Self::Kserve | Self::Vertex => "\"instances\"",
            Self::Invocations => "\"instances\", \"inputs\", \"dataframe_split\" or \"dataframe_records\"",
        }
    }

    /// Whether predictions are labels, probabilities and values by row, and not tensors.
    pub(super) const fn speaks_in_rows(self) -> bool {
        matches!(self, Self::Invocations | Self::Vertex)
    }
}

/// How a body writes what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// An object.
    Json,
    /// One row a line, each an object or a list.
    JsonLines,
    /// RFC 4180.
    Csv {
        /// Whether the first line holds names, if the media type says so.
        header: Option<bool>,
    },
}

/// Where things stand in the body that is being read.
pub(super) struct Spots {
    /// Where the rows are.
    pub(super) root: Slot<&'static str>,
    /// The feature of each column of a `dataframe_split`.
    pub(super) columns: RefCell<Vec<Option<usize>>>,
    /// The line of each row.
    lines: Lines,
}

impl Spots {
    fn new() -> Self {
        Self { root: Slot::new("/instances"), columns: RefCell::default(), lines: Lines::default() }
    }

    fn locate(&self, layout: Layout, set: &FeatureSet, spot: Spot<'_>) -> String {
        let columns = self.columns.borrow();
        let root = self.root.get();
        if root.starts_with("/dataframe_split") {
            let column = spot.feature.and_then(|name| set.index(name));
            let column = column.and_then(|index| columns.iter().position(|column| *column == Some(index)));
            return match (spot.row, column) {
                (Some(row), Some(column)) => format!("{root}/{row}/{column}"),
                (Some(row), None) => format!("{root}/{row}"),
                (None, Some(column)) => format!("/dataframe_split/columns/{column}"),
                // A name that is no feature's is not yet among the columns.
                (None, None) if spot.feature.is_some() => format!("/dataframe_split/columns/{}", columns.len()),
                (None, None) if columns.is_empty() => root.to_owned(),
                (None, None) => "/dataframe_split".to_owned(),
            };
        }
        let place = native::locate(layout, set, &self.lines, spot);
        let rest = ["/rows", "/columns"].into_iter().find_map(|own| place.strip_prefix(own));
        match rest {
            Some(rest) => format!("{root}{rest}"),
            None => place,
        }
    }
}

/// What a request held, for its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// So many rows.
    Rows(usize),
    /// Whole tensors, of so many rows.
    Whole(usize),
}

/// One request's way in and out of a contract.
pub(crate) struct ContractCodec {
    body: Bytes,
    dialect: Dialect,
    form: Form,
    encoding: ReplyEncoding,
    limits: Arc<HttpLimits>,
    held: Held,
    filled: usize,
}

/// A reply's bytes and what its headers must say of them.
pub(crate) struct ContractReply {
    pub(crate) bytes: Vec<u8>,
    pub(crate) coding: Option<&'static str>,
    /// Gaps that were filled as the manifest says. The contracts have no place for them but a header.
    pub(crate) filled: usize,
    /// The version that would have answered if its breaker were not open.
    pub(crate) fallback_from: Option<Version>,
    pub(crate) batch: Option<BatchNote>,
    pub(crate) cache: Option<CacheNote>,
}

impl ContractCodec {
    /// A codec for a body in `form`, in the words of `dialect`.
    pub(crate) fn new(
        body: Bytes,
        dialect: Dialect,
        form: Form,
        encoding: ReplyEncoding,
        limits: Arc<HttpLimits>,
    ) -> Self {
        Self { body, dialect, form, encoding, limits, held: Held::Rows(0), filled: 0 }
    }

    /// Reads the body; `None` means that it is in the table, or that the table says what is wrong.
    fn read(
        &self,
        version: &ReadyVersion,
        table: &mut Option<Table<'_>>,
        reading: &mut Reading<'_>,
        spots: &Spots,
    ) -> Result<Option<Content>> {
        let features = || version.features.as_ref().map_err(Clone::clone);
        match (self.form, table) {
            (Form::Json, table) => {
                let body = match self.dialect {
                    Dialect::TfServing => tokens::quoted(&self.body)?,
                    Dialect::Kserve | Dialect::Invocations | Dialect::Vertex => Cow::Borrowed(&*self.body),
                };
                if matches!(body, Cow::Owned(_)) {
                    reading.number_of = tokens::number;
                }
                body::read(&body, table, Context { version, dialect: self.dialect, reading, spots })
            }
            (Form::JsonLines, Some(table)) => {
                reading.layout.set(Layout::Lines);
                native::read_json_lines(&self.body, table, reading, &spots.lines).map(|()| None)
            }
            (Form::Csv { header }, Some(table)) => {
                let header = header.unwrap_or_else(|| frame::has_header(&self.body, table.set()));
                reading.layout.set(Layout::Csv);
                native::read_csv(&self.body, header, table, &spots.lines).map(|()| None)
            }
            (Form::JsonLines | Form::Csv { .. }, None) => features().map(|_| None),
        }
    }
}

impl Codec for ContractCodec {
    type Reply = ContractReply;

    fn body_bytes(&self) -> usize {
        self.body.len()
    }

    fn decode(&mut self, version: &ReadyVersion) -> Result<InferRequest> {
        let layout = Slot::new(Layout::Objects);
        let spots = Spots::new();
        let set = version.features.as_ref().ok();
        let locate = |spot: Spot<'_>| set.map_or_else(String::new, |set| spots.locate(layout.get(), set, spot));
        let mut table = set.map(|set| Table::new(set, self.limits.tensors.elements_max, &locate));
        let mut reading = Reading::new(&layout, &self.limits);
        let content = self.read(version, &mut table, &mut reading, &spots)?;
        let inputs = match (content, table) {
            (Some(Content::Rows(inputs, rows)), _) => {
                self.held = Held::Rows(rows);
                inputs
            }
            (Some(Content::Whole(inputs)), _) => {
                self.held = Held::Whole(rows_of(version, &inputs));
                inputs
            }
            (Some(Content::Table) | None, Some(table)) => {
                let rows = table.rows();
                let (inputs, filled) = table.finish()?;
                self.filled = filled.count;
                let whole = reading.layout.get() == Layout::Columns;
                self.held = if whole { Held::Whole(rows) } else { Held::Rows(rows) };
                inputs
            }
            (Some(Content::Table) | None, None) => {
                return Err(Error::new(candor_domain::ErrorCode::Internal, "the table is missing"));
            }
        };
        Ok(InferRequest { inputs, outputs: (0..version.signature.outputs.len()).collect(), timeout: None, priority: 0 })
    }

    fn encode(self, ran: Ran<'_>) -> Result<ContractReply> {
        let Ran { version, fallback_from, batch, cache, outputs, .. } = ran;
        let carries = match self.dialect {
            Dialect::TfServing => Carries::NanToo,
            Dialect::Kserve | Dialect::Invocations | Dialect::Vertex => Carries::Json,
        };
        let bytes = match (self.dialect.speaks_in_rows(), self.held) {
            (true, Held::Rows(rows) | Held::Whole(rows)) => {
                // Where rows cannot be told, the whole request is one.
                native::write_predictions(version, &outputs, if counts_rows(version) { rows } else { 1 })?
            }
            (false, Held::Rows(rows)) => write::by_row(version, &outputs, rows, carries)?,
            (false, Held::Whole(_)) => write::whole(version, &outputs, carries)?,
        };
        let encoding =
            if bytes.len() >= self.limits.compress_bytes_min { self.encoding } else { ReplyEncoding::Identity };
        let (bytes, coding) = encoding.apply(bytes)?;
        let (filled, fallback_from) = (self.filled, fallback_from.cloned());
        Ok(ContractReply { bytes, coding, filled, fallback_from, batch, cache })
    }
}

/// Whether the first dimension counts rows; if not, a request is one row.
pub(super) fn counts_rows(version: &ReadyVersion) -> bool {
    version.features.as_ref().is_ok_and(|set| set.rows() != RowCount::Single)
}

/// The rows of whole tensors.
fn rows_of(version: &ReadyVersion, inputs: &[Tensor]) -> usize {
    let first = inputs.first().and_then(|tensor| tensor.shape().dims().first()).copied();
    let first = first.filter(|_| counts_rows(version));
    first.and_then(|size| usize::try_from(size).ok()).unwrap_or(1)
}
