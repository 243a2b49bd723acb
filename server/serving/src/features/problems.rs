//! What is wrong with a table: each thing once, at its first place, with the number of the others.

use candor_domain::Error;

use super::Stop;

/// Different things, and places of all of them, before reading stops.
const THINGS_MAX: usize = 16;
const PLACES_MAX: usize = 1000;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    told: Vec<Told>,
    places: usize,
}

/// Something that is wrong, at its first place.
#[derive(Debug)]
struct Told {
    error: Error,
    /// How many places it is wrong at.
    places: usize,
}

impl Problems {
    /// Remembers one more; `place` says where, for what is new.
    ///
    /// # Errors
    /// [`Stop`] when there is enough of it.
    pub(super) fn add(&mut self, error: Error, place: impl FnOnce() -> String) -> Result<(), Stop> {
        self.places += 1;
        match self.told.iter_mut().find(|told| told.error.what() == error.what()) {
            // What is wrong in every row is told once.
            Some(told) => told.places += 1,
            None => self.told.push(Told { error: error.at(place()), places: 1 }),
        }
        if self.told.len() < THINGS_MAX && self.places < PLACES_MAX { Ok(()) } else { Err(Stop) }
    }

    /// Forgets what was wrong before something that alone counts.
    ///
    /// # Errors
    /// Always [`Stop`].
    pub(super) fn replace(&mut self, error: Error) -> Result<(), Stop> {
        self.told = vec![Told { error, places: 1 }];
        Err(Stop)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// All of it in one error, the first one leading.
    pub(super) fn into_error(self) -> Option<Error> {
        let mut errors = self.told.into_iter().map(Told::into_error);
        errors.next().map(|first| first.with_others(errors.collect()))
    }
}

impl Told {
    fn into_error(self) -> Error {
        match self.places.saturating_sub(1) {
            0 => self.error,
            1 => self.error.with_suffix(", and in one more place"),
            more => self.error.with_suffix(&format!(", and in {more} more places")),
        }
    }
}
