//! Which page of a list a caller wants: its size and where it begins.
//!
//! Before it: a query string. After it: the handler of a list. It knows no list.

use candor_domain::{Error, Result, names::quoted};

const SIZE: usize = 50;
const SIZE_MAX: usize = 500;

/// A page, as it was asked.
pub(crate) struct Page<'a> {
    /// Its size, as text.
    pub(crate) size: Option<&'a str>,
    /// What comes before it.
    pub(crate) token: Option<&'a str>,
}

impl Page<'_> {
    /// Its size.
    ///
    /// # Errors
    /// `InvalidInput` for one that there is not.
    pub(crate) fn size(&self) -> Result<usize> {
        let Some(raw) = self.size else { return Ok(SIZE) };
        raw.parse().ok().filter(|size| (1..=SIZE_MAX).contains(size)).ok_or_else(|| {
            Error::invalid("there is no page of this size")
                .at("query page_size")
                .expected(format!("1 to {SIZE_MAX}"))
                .got(quoted(raw))
        })
    }
}
