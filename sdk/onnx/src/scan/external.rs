//! External data and sparse tensors: files that are there, ranges within them, indices within the whole.

use std::collections::{BTreeMap, BTreeSet};

use super::{Scan, Topic};
use crate::{
    error::{Error, ErrorKind, Result},
    external::{Folder, SafePath, check_range},
    limits::Limits,
    tensor::{SparseTensor, Tensor},
    walk::{Place, Visit},
};

/// Indices in another file that are read to be checked.
const INDEX_BYTES_MAX: u64 = 64 << 20;

pub(super) struct Files<'a> {
    folder: &'a Folder,
    limits: &'a Limits,
    scan: &'a mut Scan,
    /// What each file is, looked at once.
    seen: BTreeMap<SafePath, std::result::Result<u64, Error>>,
    /// Ranges in use, by file.
    ranges: BTreeSet<(SafePath, u64, u64)>,
}

impl<'a> Files<'a> {
    pub(super) const fn new(folder: &'a Folder, limits: &'a Limits, scan: &'a mut Scan) -> Self {
        Self { folder, limits, scan, seen: BTreeMap::new(), ranges: BTreeSet::new() }
    }

    /// Says what concerns all files together.
    pub(super) fn sum_up(self) {
        let total = self.ranges.iter().fold(0_u64, |sum, (_, start, end)| sum.saturating_add(end - start));
        if total > self.limits.external_bytes {
            let error = Error::new(ErrorKind::Limit, "the external data are too large");
            let error = error.expected(format!("at most {} bytes", self.limits.external_bytes)).got(total.to_string());
            self.scan.refuse(Topic::External, error);
        }
        let mut last: Option<&(SafePath, u64, u64)> = None;
        for range in &self.ranges {
            if last.is_some_and(|last| last.0 == range.0 && range.1 < last.2) {
                let what = "tensors share parts of the external data without being the same";
                self.scan.warn(Topic::External, Error::new(ErrorKind::External, what).at(&range.0));
                break;
            }
            last = Some(range);
        }
    }

    fn file(&mut self, path: &SafePath) -> std::result::Result<u64, Error> {
        if let Some(known) = self.seen.get(path) {
            return known.clone();
        }
        let opened = self.folder.open(path);
        if opened.as_ref().is_ok_and(|opened| opened.hard_linked) {
            let what = "a file of external data has other names too (hard links), by which it can be changed";
            self.scan.warn(Topic::External, Error::new(ErrorKind::External, what).at(path));
        }
        let found = opened.map(|opened| opened.bytes);
        self.seen.insert(path.clone(), found.clone());
        found
    }

    fn check(&mut self, tensor: &Tensor) -> Result<()> {
        let Some(external) = tensor.external() else { return Ok(()) };
        let path = SafePath::parse(&external.location)?;
        let wanted = tensor.raw_bytes().unwrap_or(u64::MAX);
        check_range(external, wanted, self.file(&path)?)?;
        self.ranges.insert((path, external.offset, external.offset.saturating_add(wanted)));
        Ok(())
    }

    fn check_sparse(&self, tensor: &SparseTensor) -> Result<()> {
        let dense = Tensor { dims: tensor.dims.clone(), ..tensor.values.clone() };
        let bytes = dense.raw_bytes().unwrap_or(u64::MAX);
        if bytes > self.limits.static_bytes {
            return Err(Error::new(ErrorKind::Limit, "a sparse tensor is too large when it is written out")
                .expected(format!("at most {} bytes", self.limits.static_bytes))
                .got(bytes.to_string()));
        }
        if tensor.indices.external().is_some() && tensor.indices.raw_bytes().is_none_or(|bytes| bytes > INDEX_BYTES_MAX)
        {
            return Err(Error::new(ErrorKind::External, "the indices of a sparse tensor are too many to be checked"));
        }
        let indices = tensor.indices.resolve(self.folder)?;
        let indices = indices.values::<i64>()?;
        // Flat indices count through the whole; the others through each dimension.
        let flat = [dense.elements()];
        let bounds = if tensor.indices.dims.len() == 2 { &*tensor.dims } else { &flat };
        let outside = |(index, bound): (&i64, &u64)| u64::try_from(*index).is_ok_and(|index| index < *bound);
        match indices.iter().zip(bounds.iter().cycle()).find(|pair| !outside(*pair)) {
            None => Ok(()),
            Some((index, bound)) => Err(Error::invalid("an index of a sparse tensor lies outside of it")
                .expected(format!("0 to {}", bound.saturating_sub(1)))
                .got(index.to_string())),
        }
    }
}

impl Visit for Files<'_> {
    fn tensor(&mut self, tensor: &Tensor, place: &Place<'_>) {
        if let Err(error) = self.check(tensor) {
            self.scan.refuse(Topic::External, error.at(tensor.place()).at(place));
        }
    }

    fn sparse(&mut self, tensor: &SparseTensor, place: &Place<'_>) {
        if let Err(error) = self.check_sparse(tensor) {
            let topic = if error.kind() == ErrorKind::External { Topic::External } else { Topic::Sparse };
            self.scan.refuse(topic, error.at(tensor.values.place()).at(place));
        }
    }
}
