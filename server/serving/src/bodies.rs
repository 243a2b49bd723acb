//! How much memory the bodies of all requests may take together, whatever the door.
//!
//! A door counts a body as it comes, so that a client that trickles holds no more than it has sent, and gives back
//! what was counted when the body is dropped. Nobody waits for room: a body that finds none is refused, and what had
//! come of it is free for others; so two half bodies never wait for each other.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use candor_domain::{Error, Reason, Result};
use crossbeam_utils::CachePadded;

/// The bytes of all bodies.
#[derive(Debug)]
pub struct Bodies {
    bytes_max: u64,
    bytes: CachePadded<AtomicU64>,
    refused: AtomicU64,
}

impl Bodies {
    /// No bodies, of which all together may take `bytes_max`.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self { bytes_max, bytes: CachePadded::default(), refused: AtomicU64::new(0) }
    }

    /// Bytes that are held now.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Bytes that may be held.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Bodies that found no room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Refuses a body of which is known beforehand that it finds no room now. Holds nothing: it has yet to come.
    ///
    /// # Errors
    /// `Overloaded` when there is no room.
    pub fn check(&self, bytes: u64) -> Result<()> {
        let free = self.bytes_max.saturating_sub(self.bytes());
        if bytes <= free { Ok(()) } else { Err(self.refuse()) }
    }

    fn refuse(&self) -> Error {
        self.refused.fetch_add(1, Relaxed);
        Error::no_room(Reason::Memory, "the bodies of all requests together take as much memory as they may")
            .at("limits.bodies_bytes_max")
            .expected(format!("at most {} bytes", self.bytes_max))
            .retry_after_s(1)
    }
}

/// What is counted of one body; given back when dropped. `B` is how it reaches [`Bodies`]: borrowed where it stays in
/// one place, shared where it travels.
#[derive(Debug)]
pub struct Held<B: Deref<Target = Bodies>> {
    bodies: B,
    bytes: u64,
}

impl<B: Deref<Target = Bodies>> Held<B> {
    /// Nothing yet.
    pub fn nothing(bodies: B) -> Self {
        Self { bodies, bytes: 0 }
    }

    /// Bytes that are counted.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Counts `more` bytes.
    ///
    /// # Errors
    /// `Overloaded` when there is no room for them.
    pub fn grow(&mut self, more: usize) -> Result<()> {
        let (more, bytes_max) = (more as u64, self.bodies.bytes_max);
        let grown = |bytes: u64| bytes.checked_add(more).filter(|bytes| *bytes <= bytes_max);
        self.bodies.bytes.fetch_update(Relaxed, Relaxed, grown).map_err(|_| self.bodies.refuse())?;
        self.bytes += more;
        Ok(())
    }

    /// Gives back all but `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let back = self.bytes.saturating_sub(bytes as u64);
        self.bodies.bytes.fetch_sub(back, Relaxed);
        self.bytes -= back;
    }
}

impl Held<&Bodies> {
    /// The same, able to travel.
    #[must_use]
    pub fn shared(mut self, bodies: &Arc<Bodies>) -> Held<Arc<Bodies>> {
        Held { bodies: Arc::clone(bodies), bytes: std::mem::take(&mut self.bytes) }
    }
}

impl<B: Deref<Target = Bodies>> Drop for Held<B> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.bodies.bytes.fetch_sub(self.bytes, Relaxed);
        }
    }
}

/// A body and what is counted of it, for buffers that can be made of an owner.
#[derive(Debug)]
pub struct Counted<T> {
    body: T,
    _held: Held<Arc<Bodies>>,
}

impl<T> Counted<T> {
    /// `body`, which is counted until it is dropped.
    #[must_use]
    pub fn new(body: T, held: Held<Arc<Bodies>>) -> Self {
        Self { body, _held: held }
    }
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Counted<T> {
    fn as_ref(&self) -> &[u8] {
        self.body.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_grow_until_there_is_no_room_and_give_back_what_they_had() {
        let bodies = Arc::new(Bodies::new(100));
        let mut one = Held::nothing(&*bodies);
        let mut other = Held::nothing(Arc::clone(&bodies));
        one.grow(60).unwrap();
        other.grow(40).unwrap();
        let error = one.grow(1).unwrap_err();
        assert_eq!((error.reason(), error.retry_after()), (Some(Reason::Memory), Some(1)));
        assert_eq!(error.place(), Some("limits.bodies_bytes_max"));
        assert_eq!((one.bytes(), bodies.bytes(), bodies.refused()), (60, 100, 1));
        assert!(bodies.check(1).is_err() && bodies.check(0).is_ok());
        // Who is refused leaves, and the other goes on.
        drop(one);
        other.grow(60).unwrap();
        other.shrink_to(10);
        assert_eq!(bodies.bytes(), 10);
        drop(other);
        assert_eq!(bodies.bytes(), 0);
    }

    #[test]
    fn what_travels_is_given_back_where_it_ends() {
        let bodies = Arc::new(Bodies::new(100));
        let mut held = Held::nothing(&*bodies);
        held.grow(7).unwrap();
        let counted = Counted::new(vec![1_u8; 7], held.shared(&bodies));
        assert_eq!((bodies.bytes(), counted.as_ref().len()), (7, 7));
        std::thread::spawn(move || drop(counted)).join().unwrap();
        assert_eq!(bodies.bytes(), 0);
    }

    #[test]
    fn threads_that_come_and_go_leave_nothing_behind() {
        let bodies = Arc::new(Bodies::new(1000));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for size in 0..5_000 {
                        let mut held = Held::nothing(&*bodies);
                        let _ = held.grow(size % 400);
                        let _ = held.grow(size % 7);
                        assert!(bodies.bytes() <= 1000, "never more than they may, not even for a moment");
                    }
                });
            }
        });
        assert_eq!(bodies.bytes(), 0);
    }
}
