//! A component in use by one model, wherever it runs: in this process or in processes of its own.
//!
//! Before it: the catalog. It is what serving calls. It does not know models, only what is lent to a call.

use std::{
    cell::Cell,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use candor_domain::{
    Clock, Component, ComponentCall, ComponentOrigin, Datatype, Dim, Models, Signature, Tensor, TensorSpec,
    error::Result,
};
use candor_plugin_abi as abi;

use super::{
    Catalog,
    entry::{Entry, Running},
};
use crate::{
    call::{CallContext, CallLimits},
    live::Live,
    refusal::{Reason, Refusal, Verdict},
    services::LentModel,
    tables::ComponentInfo,
    worker::Isolated,
};

/// A component in use.
pub struct Opened {
    info: ComponentInfo,
    entry: Arc<Entry>,
    clock: Arc<dyn Clock>,
    deadline: Duration,
    place: Place,
}

enum Place {
    Here(Arc<Live>),
    Apart(Arc<Isolated>),
}

/// What serving lends, as the interface has it.
struct Lent<'a>(&'a dyn Models);

impl LentModel for Lent<'_> {
    fn predict(&self, model: &str, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        self.0.call(model, inputs)
    }
}

thread_local! {
    /// A call to be used again, so that a call allocates as little as it can. Taken out while it is used: the model
    /// that a component calls may call a component on the same thread.
    static CALL: Cell<Option<CallContext>> = const { Cell::new(None) };
}

impl Opened {
    pub(super) fn open(catalog: &Catalog, entry: &Arc<Entry>, id: &str, config_json: &str) -> Verdict<Arc<Self>> {
        let gone = || Refusal::new(Reason::Failed, format!("{} is not ready", entry.name())).at(entry.name());
        let _turn = entry.opening();
        let info = entry.component(id).ok_or_else(gone)?;
        // The configuration is checked where the instance is made: a schema is a program of the plugin's, and may take any
        // time and memory.
        let place = match entry.running() {
            Running::Not => return Err(gone()),
            Running::Here(plugin) => Place::Here(plugin.open(id, config_json)?),
            Running::Apart => {
                let verified = entry.verified().ok_or_else(gone)?;
                let library = catalog.host.keep(&verified)?;
                let around = (Arc::from(catalog.services.of(entry.name())), Arc::clone(&catalog.clock));
                let how = (catalog.settings.worker.clone(), catalog.worker_settings(&verified));
                let counts = Arc::clone(&entry.counts);
                Place::Apart(Arc::new(Isolated::open((&verified, library), (id, config_json), how, around, counts)?))
            }
        };
        let deadline = Duration::from_millis(entry.deadline_ms());
        let clock = Arc::clone(&catalog.clock);
        let opened = Arc::new(Self { info, entry: Arc::clone(entry), clock, deadline, place });
        entry.use_of(&opened);
        Ok(opened)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.info.id
    }

    /// What it says of itself.
    #[must_use]
    pub fn info(&self) -> &ComponentInfo {
        &self.info
    }

    /// Its processes, if it runs in some.
    #[must_use]
    pub fn isolated(&self) -> Option<&Arc<Isolated>> {
        match &self.place {
            Place::Here(_) => None,
            Place::Apart(isolated) => Some(isolated),
        }
    }

    /// Whether it may run on a thread that others wait for.
    pub(super) fn is_inline(&self) -> bool {
        matches!(self.place, Place::Here(_)) && self.info.flags & abi::COMPONENT_INLINE != 0
    }

    pub(super) fn is_deterministic(&self) -> bool {
        self.info.flags & abi::COMPONENT_DETERMINISTIC != 0
    }

    /// What it takes and gives in its configuration, if it tells.
    ///
    /// # Errors
    /// `Tables` for a description that cannot be read.
    pub(crate) fn signature(&self) -> Verdict<Option<Signature>> {
        let json = match &self.place {
            Place::Apart(isolated) => isolated.described(),
            Place::Here(live) => {
                let mut call = CallContext::new(CallLimits::default());
                let told = live.healthy()?.describe(&mut call);
                let refuse =
                    |error: candor_domain::Error| Refusal::new(Reason::Failed, error.to_string()).at(self.id());
                told.map_err(refuse)?.map(|json| String::from_utf8_lossy(&json).into_owned())
            }
        };
        let read = |json: String| {
            let refuse = |what: String| {
                Refusal::new(Reason::Tables, format!("what it tells of its inputs and outputs cannot be: {what}"))
            };
            signature(&json).map_err(|what| refuse(what).at(self.id()))
        };
        json.map(read).transpose()
    }

    /// Bytes that this thread holds for the outputs of its next call.
    #[must_use]
    pub fn held_bytes() -> usize {
        let call = CALL.take();
        let held = call.as_ref().map_or(0, CallContext::held_bytes);
        CALL.set(call);
        held
    }

    fn here(&self, live: &Live, inputs: &[(&str, &Tensor)], of: &ComponentCall<'_>) -> Result<Vec<(String, Tensor)>> {
        let instance = live.healthy().map_err(|refusal| refusal.error().clone())?;
        let end = self.clock.now().after(self.deadline);
        let end = of.deadline.map_or(end, |deadline| deadline.min(end));
        let _held = self.entry.overdue.begin(end);
        let mut call = CALL.take().unwrap_or_else(|| CallContext::new(CallLimits::default()));
        call.set_deadline_ns(end.0.max(1));
        let flag = call.cancel_flag();
        flag.store(0, Ordering::Relaxed);
        let make = |call: &mut CallContext| match of.models {
            None => instance.infer(call, inputs),
            Some(models) => call.with_model(&Lent(models), |call| instance.infer(call, inputs)),
        };
        let answer = match of.cancel {
            None => make(&mut call),
            Some(cancel) => cancel.with_hook(move || flag.store(1, Ordering::Relaxed), || make(&mut call)),
        };
        // A thread keeps what it may, also if it never makes a call again.
        call.clear();
        CALL.set(Some(call));
        answer
    }

    /// How long a call may take from now.
    fn left(&self, of: &ComponentCall<'_>) -> Duration {
        of.deadline.map_or(self.deadline, |deadline| self.clock.now().until(deadline).min(self.deadline))
    }
}

impl Component for Opened {
    fn run(&self, inputs: &[(&str, &Tensor)], call: &ComponentCall<'_>) -> Result<Vec<(String, Tensor)>> {
        match &self.place {
            Place::Apart(isolated) => isolated.infer_within(inputs, call.cancel, self.left(call)),
            Place::Here(live) => {
                let counts = &self.entry.counts;
                counts.calls.fetch_add(1, Ordering::Relaxed);
                let answer = self.here(live, inputs, call);
                if answer.is_err() {
                    counts.errors.fetch_add(1, Ordering::Relaxed);
                }
                answer
            }
        }
    }

    fn origin(&self) -> ComponentOrigin {
        let (version, sha256) = self.entry.origin();
        ComponentOrigin { plugin: self.entry.name().to_owned(), version, sha256 }
    }
}

/// Reads what a component tells of itself.
pub(crate) fn signature(json: &str) -> Result<Signature, String> {
    #[derive(serde::Deserialize)]
    struct Told {
        #[serde(default)]
        inputs: Vec<Port>,
        #[serde(default)]
        outputs: Vec<Port>,
    }
    #[derive(serde::Deserialize)]
    struct Port {
        name: String,
        datatype: String,
        shape: Option<Vec<i64>>,
    }
    let spec = |port: Port| -> Result<TensorSpec, String> {
        let known = Datatype::ALL.into_iter().find(|datatype| datatype.name() == port.datatype);
        let datatype = known.ok_or_else(|| format!("`{}` is no datatype", port.datatype))?;
        let dim = |size: i64| if size < 0 { Dim::Any(None) } else { Dim::Fixed(size) };
        let dims = port.shape.map(|shape| shape.into_iter().map(dim).collect());
        Ok(TensorSpec { name: port.name.into(), datatype, dims })
    };
    let told: Told = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let side = |ports: Vec<Port>| ports.into_iter().map(spec).collect::<Result<Vec<_>, _>>();
    Ok(Signature { inputs: side(told.inputs)?, outputs: side(told.outputs)? })
}
