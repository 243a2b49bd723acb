//! Memory with a page before and a page behind that nobody may touch: whoever reads or writes beyond it ends the
//! process, in whatever language it is written.
//!
//! For `check` only, in a process of its own. It does not know what lies in it.
#![allow(unsafe_code, reason = "maps memory and gives out pointers into it")]

use std::ptr;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

const PAGE: usize = 4096;
/// What lies where nobody should have written.
const CANARY: u8 = 0xc7;

/// Guarded memory.
pub(super) struct Guarded {
    map: *mut u8,
    pages: usize,
    start: usize,
    len: usize,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nothing uses any more. Failing would leave it there, and the process ends soon.
        let _ = unsafe { munmap(self.map.cast(), (self.pages + 2) * PAGE) };
    }
}

impl Guarded {
    /// `len` bytes: as near to the end as `align` allows, or right at the beginning.
    pub(super) fn new(len: usize, align: usize, at_end: bool) -> std::io::Result<Self> {
        let pages = len.div_ceil(PAGE).max(1);
        // SAFETY: a new mapping that nothing else lies in.
        let map = unsafe {
            mmap_anonymous(ptr::null_mut(), (pages + 2) * PAGE, ProtFlags::empty(), MapFlags::PRIVATE)?.cast::<u8>()
        };
        let start = if at_end { (pages * PAGE - len) / align * align } else { 0 };
        let guarded = Self { map, pages, start: PAGE + start, len };
        // SAFETY: the middle of our own mapping; it is written to its end.
        unsafe {
            mprotect(map.add(PAGE).cast(), pages * PAGE, MprotectFlags::READ | MprotectFlags::WRITE)?;
            map.add(PAGE).write_bytes(CANARY, pages * PAGE);
        }
        Ok(guarded)
    }

    /// Where it begins.
    pub(super) fn start(&self) -> *mut u8 {
        // SAFETY: within the mapping.
        unsafe { self.map.add(self.start) }
    }

    /// Puts zeros there.
    pub(super) fn zero(&self) {
        // SAFETY: so many bytes are there, and writable until they are sealed.
        unsafe { self.start().write_bytes(0, self.len) };
    }

    /// Puts bytes there; what does not fit is left out.
    pub(super) fn fill(&self, bytes: &[u8]) {
        // SAFETY: as above.
        unsafe { self.start().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len().min(self.len)) };
    }

    /// From now on nobody may write it.
    pub(super) fn seal(&self) -> std::io::Result<()> {
        // SAFETY: the middle of our own mapping.
        unsafe { mprotect(self.map.add(PAGE).cast(), self.pages * PAGE, MprotectFlags::READ)? };
        Ok(())
    }

    /// What lies there.
    pub(super) fn bytes(&self) -> Vec<u8> {
        // SAFETY: so many bytes are there, and written.
        unsafe { std::slice::from_raw_parts(self.start(), self.len).to_vec() }
    }

    /// Whether nobody has written beside it, as far as pages do not tell.
    pub(super) fn is_clean(&self) -> bool {
        // SAFETY: the middle of our own mapping, all of it written.
        let all = unsafe { std::slice::from_raw_parts(self.map.add(PAGE), self.pages * PAGE) };
        let before = self.start - PAGE;
        let beside = all.iter().take(before).chain(all.iter().skip(before + self.len));
        beside.into_iter().all(|&byte| byte == CANARY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_beside_it_shows() {
        let guarded = Guarded::new(100, 64, true).unwrap();
        guarded.fill(&[7; 100]);
        assert!(guarded.bytes() == [7; 100] && guarded.is_clean());
        assert_eq!(guarded.start().addr() % 64, 0);
        // SAFETY: within the page, and behind what was asked.
        unsafe { guarded.start().add(100).write(0) };
        assert!(!guarded.is_clean());
        let first = Guarded::new(5000, 4, false).unwrap();
        assert_eq!(first.start().addr() % PAGE, 0);
    }
}
