//! A session that is there at once and not the fastest, and its twin that is, made on the side and put in its place.
//!
//! ONNX Runtime spends most of making a session on bringing weights into the order in which it multiplies them fastest.
//! Without that a session runs, only slower. `copies` makes the first; a thread of its own makes the twin. A run that
//! began on the one ends on it. Knows no file.

#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        mpsc::{Sender, channel},
    },
    thread::Builder,
};

use arc_swap::ArcSwap;
use candor_domain::{Cancel, Result, Session, Signature, Tensor};

use crate::{
    maker::Maker,
    raw::{Map, Runner},
};

/// Whether the session has gone. Held while a twin is made, so that a session takes all of its memory along.
type Turn = Arc<Mutex<bool>>;

/// A session whose place its twin takes.
pub(crate) struct TwinSession {
    runner: Arc<ArcSwap<Runner>>,
    turn: Turn,
}

impl Session for TwinSession {
    fn run(&self, inputs: &[Tensor], wanted: &[usize], cancel: Option<&Cancel>) -> Result<Vec<Tensor>> {
        self.runner.load().run(inputs, wanted, cancel)
    }
}

impl Drop for TwinSession {
    fn drop(&mut self) {
        // Waits for a twin that is being made just now.
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

/// A twin to be made. Holds nothing that the session would have to wait for.
struct Order {
    runner: Weak<ArcSwap<Runner>>,
    weights: Weak<Map>,
    graph_bytes: usize,
    turn: Turn,
    signature: Signature,
}

/// The thread that makes twins; it ends when this goes.
pub(crate) struct Twins {
    orders: Sender<Order>,
    #[cfg(test)]
    made: Arc<AtomicU64>,
}

impl Twins {
    /// `step_back` lets the threads of others go before this one.
    pub(crate) fn start(maker: Maker, step_back: fn()) -> std::io::Result<Self> {
        let (orders, inbox) = channel::<Order>();
        #[cfg(test)]
        let (made, counted) = {
            let made = Arc::<AtomicU64>::default();
            (Arc::clone(&made), made)
        };
        Builder::new().name("candor-twin".into()).spawn(move || {
            step_back();
            for order in inbox {
                if order.carry_out(&maker) {
                    tracing::debug!("a twin has taken its place");
                    #[cfg(test)]
                    counted.fetch_add(1, Relaxed);
                }
            }
        })?;
        Ok(Self {
            orders,
            #[cfg(test)]
            made,
        })
    }

    /// A session that runs on `first`, made of `weights`, until its twin is there.
    /// The graph is the first `graph_bytes` of those.
    pub(crate) fn session(
        &self,
        first: Runner,
        (weights, graph_bytes): (&Arc<Map>, usize),
        signature: &Signature,
    ) -> TwinSession {
        let runner = Arc::new(ArcSwap::from_pointee(first));
        let turn = Turn::default();
        // Fails only when the thread is lost, and then the first session does.
        let _ = self.orders.send(Order {
            runner: Arc::downgrade(&runner),
            weights: Arc::downgrade(weights),
            graph_bytes,
            turn: Arc::clone(&turn),
            signature: signature.clone(),
        });
        TwinSession { runner, turn }
    }

    /// Twins that have taken their places.
    #[cfg(test)]
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Relaxed)
    }
}

impl Order {
    /// Says whether there was a twin to be made and it is in its place.
    fn carry_out(&self, maker: &Maker) -> bool {
        let gone = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (false, Some(place), Some(weights)) = (*gone, self.runner.upgrade(), self.weights.upgrade()) else {
            return false;
        };
        let graph = weights.bytes().get(..self.graph_bytes).unwrap_or_default();
        let twin = maker.of_copy(graph, false).map_err(|error| error.to_string());
        let twin = twin.and_then(|twin| {
            Runner::new(twin, &self.signature, Some(Arc::clone(&weights))).map_err(|error| error.to_string())
        });
        let is_made = match twin {
            Ok(twin) => {
                drop(place.swap(Arc::new(twin)));
                // What the twin has made its own need not be there twice.
                weights.rest();
                true
            }
            Err(why) => {
                tracing::warn!("a session stays slower than it could be: {why}");
                false
            }
        };
        // Before the turn: after it the session, and nobody else, holds what there is.
        drop((place, weights));
        drop(gone);
        is_made
    }
}
