//! The life of a version: discovered → loading → ready → draining → unloaded, or failed.
//!
//! Only the registry moves a version, and only along [`Lifecycle::may_become`].

/// State of one version of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lifecycle {
    /// Seen in the repository, not asked for.
    Discovered,
    /// A session is being made and warmed up.
    Loading,
    /// Answers requests.
    Ready,
    /// Takes no new requests; finishes those that it has.
    Draining,
    /// Gone from memory.
    Unloaded,
    /// Could not be loaded; the reason stands beside it.
    Failed,
}

impl Lifecycle {
    /// Whether the step from here to `next` is one of the written transitions.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use Lifecycle::{Discovered, Draining, Failed, Loading, Ready, Unloaded};
        matches!(
            (self, next),
            (Discovered | Unloaded | Failed, Loading)
                | (Loading, Ready | Failed)
                | (Ready, Draining)
                | (Draining, Unloaded)
        )
    }

    /// The word of the Triton repository index for this state.
    #[must_use]
    pub const fn index_state(self) -> &'static str {
        match self {
            Self::Discovered | Self::Unloaded | Self::Failed => "UNAVAILABLE",
            Self::Loading => "LOADING",
            Self::Ready => "READY",
            Self::Draining => "UNLOADING",
        }
    }

    /// The state as a word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Discovered => "discovered",
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Unloaded => "unloaded",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lifecycle::{self, *};

    #[test]
    fn ready_is_reached_only_through_loading_and_left_only_through_draining() {
        const ALL: [Lifecycle; 6] = [Discovered, Loading, Ready, Draining, Unloaded, Failed];
        for from in ALL {
            assert_eq!(from.may_become(Ready), from == Loading);
            assert_eq!(Ready.may_become(from), from == Draining);
            assert_eq!(Draining.may_become(from), from == Unloaded);
            assert!(!from.may_become(Discovered));
        }
    }
}
