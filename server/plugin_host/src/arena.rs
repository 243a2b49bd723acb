//! Memory for a call's outputs: zeroed, aligned, and used again by the next call.
//!
//! Blocks never move while they are used. What one call wrote is overwritten before the next sees it, so that no
//! answer leaks into another. It does not know tensors.
#![allow(unsafe_code, reason = "gives out parts of blocks as pointers")]

/// What outputs are aligned to.
pub const ALIGN: usize = 64;

/// A cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; ALIGN]);

const FIRST_LINES: usize = 64;

/// Memory that is given out piece by piece, and taken back at once.
pub struct Arena {
    blocks: Vec<Vec<Line>>,
    /// The block that is given out now, and how many of its lines are.
    block: usize,
    used: usize,
    given: usize,
    kept_bytes_max: usize,
}

impl Arena {
    /// An arena that keeps at most so many bytes between calls.
    pub fn new(kept_bytes_max: usize) -> Self {
        Self { blocks: vec![vec![Line([0; ALIGN]); FIRST_LINES]], block: 0, used: 0, given: 0, kept_bytes_max }
    }

    /// How many bytes are given out, rounded up to lines.
    pub fn given(&self) -> usize {
        self.given
    }

    /// How many bytes there are, given out or not.
    pub fn held(&self) -> usize {
        self.blocks.iter().map(Vec::len).sum::<usize>() * ALIGN
    }

    /// Takes everything back.
    pub fn reset(&mut self) {
        if self.blocks.len() > 1 {
            // One block that would have been large enough, if so much may be kept.
            let lines = self.blocks.iter().map(Vec::len).sum::<usize>();
            let lines = if lines * ALIGN <= self.kept_bytes_max { lines } else { FIRST_LINES };
            self.blocks.clear();
            self.blocks.push(vec![Line([0; ALIGN]); lines]);
        }
        (self.block, self.used, self.given) = (0, 0, 0);
    }

    /// So many zeroed bytes, aligned to [`ALIGN`]; valid until the next reset.
    pub fn take(&mut self, bytes: usize) -> *mut u8 {
        let start = self.take_as_it_is(bytes);
        if bytes <= ALIGN {
            // SAFETY: at least one line was given out. Most outputs are small, and a call of memset costs more.
            unsafe { start.cast::<Line>().write(Line([0; ALIGN])) };
        } else {
            // SAFETY: so many bytes were given out.
            unsafe { start.write_bytes(0, bytes) };
        }
        start
    }

    /// So many bytes that whoever takes them writes before anybody reads them.
    pub fn take_as_it_is(&mut self, bytes: usize) -> *mut u8 {
        let lines = bytes.div_ceil(ALIGN).max(1);
        let fits = self.blocks.get(self.block).is_some_and(|block| block.len() - self.used >= lines);
        if !fits {
            self.grow(lines);
        }
        let block = self.blocks.get_mut(self.block).map_or(std::ptr::null_mut(), Vec::as_mut_ptr);
        // SAFETY: the block has as many lines left, and nobody else was given them since the last reset.
        let start = unsafe { block.add(self.used).cast::<u8>() };
        self.used += lines;
        self.given += lines * ALIGN;
        start
    }

    #[cold]
    fn grow(&mut self, lines: usize) {
        self.blocks.push(vec![Line([0; ALIGN]); lines.max(FIRST_LINES)]);
        (self.block, self.used) = (self.blocks.len() - 1, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_zeroed_aligned_apart_and_stay_where_they_are() {
        let mut arena = Arena::new(1 << 20);
        for round in 0..4 {
            let pieces: Vec<(*mut u8, usize)> =
                [1, 64, 100_000, 0, 65, 500_000].into_iter().map(|bytes| (arena.take(bytes), bytes)).collect();
            for &(start, bytes) in &pieces {
                assert_eq!(start.addr() % ALIGN, 0);
                // SAFETY: given out for as many bytes.
                let piece = unsafe { std::slice::from_raw_parts_mut(start, bytes) };
                assert!(piece.iter().all(|&byte| byte == 0), "round {round} sees another's bytes");
                piece.fill(0xff);
            }
            assert!(arena.given() >= 600_130);
            arena.reset();
            assert_eq!(arena.given(), 0);
        }
        assert_eq!(arena.blocks.len(), 1);
    }

    #[test]
    fn no_more_is_kept_than_allowed() {
        let mut arena = Arena::new(1 << 16);
        arena.take(1 << 20);
        arena.reset();
        assert_eq!(arena.blocks.len(), 1);
        assert!(arena.blocks[0].len() * ALIGN <= 1 << 16);
    }
}
