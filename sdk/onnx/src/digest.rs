//! What a model is made of, as sha256: the graph's bytes and every byte of other files that it uses.
//!
//! A digest of `model.onnx` alone stays the same when weights beside it are exchanged; this one does not.

use std::{
    collections::BTreeMap,
    io::{Read, Seek, SeekFrom},
};

use sha2::{Digest as _, Sha256};

use crate::{
    error::{Error, ErrorKind, Result},
    external::{Folder, SafePath, check_range},
    limits::Limits,
    model::Model,
    tensor::Tensor,
    walk::{Place, Visit, walk},
};

/// Digest of a model's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentDigest {
    /// Of the file alone.
    pub file: [u8; 32],
    /// Of everything. The same as `file` for a model that lies in one file.
    pub content: [u8; 32],
    /// The other files, and how many of their bytes are used.
    pub external: BTreeMap<SafePath, u64>,
}

impl ContentDigest {
    /// Computes it; `file` is what `model` was read from.
    ///
    /// # Errors
    /// `External` when a file cannot be read or is not what the graph says, `Limit` when there is too much.
    pub fn of(file: &[u8], model: &Model, folder: &Folder, limits: &Limits) -> Result<Self> {
        let own: [u8; 32] = Sha256::digest(file).into();
        let ranges = external_ranges(model)?;
        let mut whole = Sha256::new();
        whole.update(b"candor content 1\0");
        whole.update(own);
        let (mut external, mut total) = (BTreeMap::new(), 0_u64);
        for (path, ranges) in ranges {
            let ranges = merged(ranges);
            let bytes = ranges.iter().map(|(start, end)| end - start).sum::<u64>();
            total = total.saturating_add(bytes);
            if total > limits.external_bytes {
                return Err(Error::new(ErrorKind::Limit, "the external data are too large")
                    .expected(format!("at most {} bytes", limits.external_bytes)));
            }
            whole.update((path.as_str().len() as u64).to_le_bytes());
            whole.update(path.as_str());
            whole.update((ranges.len() as u64).to_le_bytes());
            let mut opened = folder.open(&path)?;
            for (start, end) in ranges {
                whole.update(start.to_le_bytes());
                whole.update(end.to_le_bytes());
                feed(&mut opened.file, start, end - start, &mut whole).map_err(|error| error.at(&path))?;
            }
            external.insert(path, bytes);
        }
        let content = if external.is_empty() { own } else { whole.finalize().into() };
        Ok(Self { file: own, content, external })
    }
}

/// Ranges that tensors anywhere in the model use, by file.
fn external_ranges(model: &Model) -> Result<BTreeMap<SafePath, Vec<(u64, u64)>>> {
    struct Ranges(Result<BTreeMap<SafePath, Vec<(u64, u64)>>>);
    impl Visit for Ranges {
        fn tensor(&mut self, tensor: &Tensor, place: &Place<'_>) {
            let (Some(external), Ok(ranges)) = (tensor.external(), &mut self.0) else { return };
            let wanted = tensor.raw_bytes().unwrap_or(u64::MAX);
            let range = SafePath::parse(&external.location).and_then(|path| {
                check_range(external, wanted, u64::MAX).map(|()| (path, (external.offset, external.offset + wanted)))
            });
            match range {
                Ok((path, range)) => ranges.entry(path).or_default().push(range),
                Err(error) => self.0 = Err(error.at(tensor.place()).at(place)),
            }
        }
    }
    let mut ranges = Ranges(Ok(BTreeMap::new()));
    walk(model, &mut ranges);
    ranges.0
}

/// Ranges without overlap, so that each byte is read once however often it is named.
fn merged(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (start, end) in ranges {
        match merged.last_mut() {
            Some((_, last)) if start <= *last => *last = end.max(*last),
            _ => merged.push((start, end)),
        }
    }
    merged
}

fn feed(file: &mut std::fs::File, start: u64, length: u64, whole: &mut Sha256) -> Result<()> {
    let fault = |why: &str| Error::new(ErrorKind::External, format!("external data {why}"));
    file.seek(SeekFrom::Start(start)).map_err(|error| fault(&format!("cannot be read: {error}")))?;
    let (mut left, mut buffer) = (length, vec![0_u8; 1 << 16]);
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..want).unwrap_or_default();
        let read = file.read(part).map_err(|error| fault(&format!("cannot be read: {error}")))?;
        if read == 0 {
            return Err(fault("end beyond the file").expected(format!("{left} more bytes")));
        }
        whole.update(part.get(..read).unwrap_or_default());
        left = left.saturating_sub(read as u64);
    }
    Ok(())
}
