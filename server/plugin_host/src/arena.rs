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
    /// Memory of somebody else's that is given out first, and its lines.
    outside: Option<(*mut Line, usize)>,
    /// The next line of the block that is given out now, and how many are left of it.
    next: *mut Line,
    left: usize,
    given: usize,
    kept_bytes_max: usize,
}

impl Arena {
    /// An arena that keeps at most so many bytes between calls.
    pub fn new(kept_bytes_max: usize) -> Self {
        let blocks = vec![vec![Line([0; ALIGN]); FIRST_LINES]];
        let mut arena = Self { blocks, outside: None, next: std::ptr::null_mut(), left: 0, given: 0, kept_bytes_max };
        arena.reset();
        arena
    }

    /// From now on this memory is given out first, and its own only when that is used up.
    ///
    /// # Safety
    /// It must be aligned to [`ALIGN`], writable and nobody else's for as long as the arena is used.
    pub unsafe fn use_first(&mut self, start: *mut u8, bytes: usize) {
        self.outside = Some((start.cast(), bytes / ALIGN));
        self.reset();
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
    #[inline]
    pub fn reset(&mut self) {
        if self.blocks.len() > 1 {
            self.shrink();
        }
        if let Some((start, lines)) = self.outside {
            (self.next, self.left) = (start, lines);
        } else if let Some(block) = self.blocks.first_mut() {
            (self.next, self.left) = (block.as_mut_ptr(), block.len());
        }
        self.given = 0;
    }

    /// One block that would have been large enough, if so much may be kept.
    #[cold]
    fn shrink(&mut self) {
        let lines = self.blocks.iter().map(Vec::len).sum::<usize>();
        let lines = if lines * ALIGN <= self.kept_bytes_max { lines } else { FIRST_LINES };
        self.blocks.clear();
        self.blocks.push(vec![Line([0; ALIGN]); lines]);
    }

    /// So many zeroed bytes, aligned to [`ALIGN`]; valid until the next reset.
    #[cfg(test)]
    fn take(&mut self, bytes: usize) -> *mut u8 {
        self.take_with(bytes, 0).0
    }

    /// So many zeroed bytes, aligned to [`ALIGN`] and valid until the next reset; and behind them `more` bytes that
    /// whoever takes them writes before anybody reads them.
    #[inline]
    pub fn take_with(&mut self, bytes: usize, more: usize) -> (*mut u8, *mut u8) {
        let zeroed = bytes.div_ceil(ALIGN).max(1);
        let lines = zeroed + more.div_ceil(ALIGN);
        if self.left < lines {
            self.grow(lines);
        }
        let start = self.next;
        // SAFETY: the block has as many lines left, and nobody else was given them since the last reset.
        let behind = unsafe {
            self.next = start.add(lines);
            start.add(zeroed)
        };
        self.left -= lines;
        self.given += lines * ALIGN;
        if zeroed == 1 {
            // SAFETY: at least one line was given out. Most outputs are small, and a call of memset costs more.
            unsafe { start.write(Line([0; ALIGN])) };
        } else {
            // SAFETY: so many bytes were given out.
            unsafe { start.cast::<u8>().write_bytes(0, bytes) };
        }
        (start.cast(), behind.cast())
    }

    #[cold]
    fn grow(&mut self, lines: usize) {
        let mut block = vec![Line([0; ALIGN]); lines.max(FIRST_LINES)];
        (self.next, self.left) = (block.as_mut_ptr(), block.len());
        self.blocks.push(block);
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
    fn memory_of_somebody_else_is_given_out_first() {
        let (mut arena, mut own) = (Arena::new(1 << 20), vec![Line([7; ALIGN]); 4]);
        let range = own.as_ptr_range();
        let is_own = |start: *mut u8| range.contains(&start.cast_const().cast());
        // SAFETY: it outlives the arena, and is used by nobody else.
        unsafe { arena.use_first(own.as_mut_ptr().cast(), 4 * ALIGN) };
        for _ in 0..3 {
            let (first, second, third) = (arena.take(100), arena.take(1), arena.take(200));
            assert_eq!((is_own(first), is_own(second), is_own(third)), (true, true, false));
            // SAFETY: given out for as many bytes.
            assert!(unsafe { std::slice::from_raw_parts(first, 100) }.iter().all(|&byte| byte == 0));
            // SAFETY: as above.
            unsafe { first.write_bytes(9, 100) };
            arena.reset();
        }
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
