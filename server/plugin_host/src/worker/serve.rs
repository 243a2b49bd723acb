//! The worker: takes its order, gives up what it does not need, loads the plugin, and answers until the server is gone.
//!
//! Everything up to the load is ours; from the load on the process belongs to the plugin, and nobody believes it. It
//! ends with the server: by the kernel's signal, or when the socket is closed.
#![allow(unsafe_code, reason = "reads inputs where the server has put them")]

use std::{
    borrow::Cow,
    io::{Error, ErrorKind, Read as _, Result},
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use candor_domain::{error::ErrorCode, tensor::Datatype};
use candor_plugin_abi as abi;
use rustix::{
    process::{Resource, Rlimit, Signal},
    time::{ClockId, clock_gettime},
};

use super::{
    confine::confine,
    control::{self, Frame, Offer, Order, Task},
    memory::{self, Item, Lying, Memory},
};
use crate::{
    call::{CallContext, CallLimits},
    elf, file, library,
    live::Live,
    negotiate::{self, Isolation},
    refusal::{Reason, Refusal, Verdict},
    services::{Age, HostTable, LogLevel, MetricKind, Services},
    tables::{self, CheckedModule, Component},
    values::{self, Values},
};

/// A description is a page.
const DESCRIPTION_BYTES_MAX: usize = 256 * 1024;

/// Lines and numbers over the socket.
#[derive(Clone)]
struct Voice(Arc<Mutex<UnixStream>>);

impl Voice {
    fn say(&self, frame: &Frame) {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody hears that nobody hears.
        let _ = control::send(&socket, frame);
    }
}

impl Services for Voice {
    fn log(&self, level: LogLevel, message: &str) {
        self.say(&Frame::Log(level.code(), message.chars().take(4096).collect()));
    }
    fn metric(&self, kind: MetricKind, name: &str, value: f64, labels_json: &str) {
        if name.len() + labels_json.len() < 4096 {
            self.say(&Frame::Metric(kind.code(), name.to_owned(), Some(value), labels_json.to_owned()));
        }
    }
    fn now_ns(&self) -> u64 {
        let now = clock_gettime(ClockId::Monotonic);
        u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
    }
    fn of(&self, _plugin: &str) -> Box<dyn Services> {
        Box::new(self.clone())
    }
}

/// Serves one component of one plugin; `socket` is what the server gave as standard input. Returns when the server is
/// gone.
///
/// # Errors
/// When there is no server at the other end, or the system refuses what a worker needs.
pub fn serve(socket: OwnedFd) -> Result<()> {
    let socket = UnixStream::from(socket);
    let (order, memory) = control::take_order(&socket)?;
    give_up(&order)?;
    let memory = Memory::map(&memory, order.region_bytes)?;
    let voice = Arc::new(Mutex::new(socket.try_clone()?));
    let services = Voice(Arc::clone(&voice));
    let refused = |refusal: &Refusal| {
        control::send(&socket, &Frame::Refused(refusal.reason().word().to_owned(), refusal.error().to_string()))
    };
    let module = match load(&order) {
        Ok(module) => module,
        Err(refusal) => return refused(&refusal),
    };
    match &order.task {
        Task::Look => {
            let components = module.components.iter().map(|component| component.info.clone()).collect();
            // `init` belongs to the first contact too.
            match crate::host::init(&order.manifest.name, &module, HostTable::leak_as(Box::new(services), order.age)) {
                Ok(()) => control::send(&socket, &Frame::Found(Offer { components, build_info: module.build_info })),
                Err(refusal) => refused(&refusal),
            }
        }
        Task::Serve(component, config_json) => {
            match open(&module, (component, config_json), services.clone(), order.age) {
                Ok(live) => {
                    control::send(&socket, &Frame::Ready(described(&live, order.age)))?;
                    let mut call = CallContext::new_as(CallLimits::default(), order.age);
                    let (room, bytes) = memory.reply().room();
                    // SAFETY: the worker's own half of the memory, which the server only reads, and mapped as long as it runs.
                    unsafe { call.put_outputs_at(room, bytes) };
                    leave_with(socket.try_clone()?)?;
                    answer(&live, &mut call, &memory, &services)
                }
                Err(refusal) => refused(&refusal),
            }
        }
    }
}

/// Its inputs and outputs, if it tells them in as many words as anybody reads.
fn described(live: &Live, age: Age) -> Option<String> {
    let mut call = CallContext::new_as(CallLimits::default(), age);
    let json = live.healthy().ok()?.describe(&mut call).ok()??;
    String::from_utf8(json).ok().filter(|json| json.len() <= DESCRIPTION_BYTES_MAX)
}

/// What a worker must not do or use, before anything of the plugin runs.
fn give_up(order: &Order) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent != Some(order.parent) {
        return Err(Error::new(ErrorKind::BrokenPipe, "the server is gone"));
    }
    let limit =
        |resource, most| rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    limit(Resource::As, order.memory_bytes)?;
    limit(Resource::Nofile, 64)?;
    limit(Resource::Core, 0)?;
    rustix::thread::set_no_new_privs(true)?;
    confine()
}

/// Loads by the same steps as the server: the copy may have been changed since.
fn load(order: &Order) -> Verdict<CheckedModule> {
    let found = file::read(&order.library, false)?;
    if found.sha256 != order.sha256 {
        return Err(Refusal::new(Reason::WrongDigest, "the private copy was changed").at(order.library.display()));
    }
    let inspected = elf::inspect(&found.bytes)?;
    negotiate::versions(&inspected.head)?;
    negotiate::place(&inspected, Isolation::Process, &order.libraries)?;
    drop(found);
    let loaded = library::load(&order.library)?;
    let module = tables::check(loaded.module())?;
    tables::agree(&order.manifest, &tables::head(loaded.module()), &module)?;
    Ok(module)
}

fn open(module: &CheckedModule, (id, config_json): (&str, &str), services: Voice, age: Age) -> Verdict<Live> {
    let host = HostTable::leak_as(Box::new(services), age);
    crate::host::init(id, module, host)?;
    let find = |component: &&Component| component.info.id == id;
    let component = module.components.iter().find(find);
    let component = component.ok_or_else(|| Refusal::new(Reason::Tables, format!("there is no component `{id}`")))?;
    Live::new(component, host, config_json)
}

/// Ends the process when the server lets go of the socket, on which it says nothing any more.
fn leave_with(mut socket: UnixStream) -> Result<()> {
    thread::Builder::new().name("plugin-server".to_owned()).stack_size(64 * 1024).spawn(move || {
        while socket.read(&mut [0; 8]).is_ok_and(|read| read > 0) {}
        std::process::exit(0);
    })?;
    Ok(())
}

/// Answers until the server is gone.
fn answer(live: &Live, call: &mut CallContext, memory: &Memory, clock: &Voice) -> ! {
    let mut answered = 0;
    loop {
        let asked = memory.asked().word();
        if asked == answered {
            memory.asked().wait(asked, None);
            continue;
        }
        one(live, memory, call, clock);
        answered = asked;
        memory.answered().ring(answered);
    }
}

/// What lies in the memory, as the plugin sees it.
fn values_of<'m>(inputs: &'m [Lying<'m>]) -> candor_domain::Result<Values<'m>> {
    let mut strings = Vec::new();
    let mut parts = Vec::with_capacity(inputs.len());
    for input in inputs {
        let mut start = input.bytes.as_ptr();
        if input.datatype == Datatype::Bytes {
            let count = input.dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).product();
            let mut list = Vec::with_capacity(count);
            memory::each_string(input.bytes, count, |string| list.push(abi::Str::of_bytes(string)))?;
            start = list.as_ptr().cast();
            strings.push(list);
        }
        parts.push((input.name.as_str(), input.datatype, input.dims.as_slice(), start));
    }
    Ok(Values::of_parts(parts).with(strings))
}

/// One call: from the memory, into the memory.
fn one(live: &Live, memory: &Memory, call: &mut CallContext, clock: &Voice) {
    // SAFETY: the server wrote it, and waits until it is answered.
    let (lead, status) = match unsafe { memory.request().borrow() } {
        Err(error) => (Vec::new(), Err(error)),
        Ok((lead, inputs)) => {
            let remaining = lead.get(8..16).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
            call.set_deadline_ns(if remaining == 0 { 0 } else { clock.now_ns().saturating_add(remaining) });
            call.borrow_cancel(memory.cancel());
            let values = values_of(&inputs);
            let ran = live.healthy().map_err(|refusal| refusal.error().clone());
            (lead, values.and_then(|values| ran.and_then(|instance| instance.run(call, &values))))
        }
    };
    let mut lead = lead.get(..8).unwrap_or_default().to_vec();
    let wrote = match status {
        Err(error) => Err(error),
        Ok(()) => {
            let outputs: Vec<_> = call.outputs().iter().collect();
            let items: Vec<Item<'_>> = outputs
                .iter()
                .map(|output| Item {
                    name: output.name(),
                    datatype: output.datatype(),
                    dims: output.dims(),
                    payload: match output.strings() {
                        Some(strings) if output.datatype() == Datatype::Bytes => values::string_bytes(strings),
                        Some(_) | None => Cow::Borrowed(output.bytes()),
                    },
                })
                .collect();
            lead.push(0);
            memory.reply().put(&lead, &items)
        }
    };
    if let Err(error) = wrote {
        let code = ErrorCode::ALL.iter().position(|&code| code == error.code()).unwrap_or(0);
        lead.truncate(8);
        lead.push(1);
        lead.push(u8::try_from(code).unwrap_or(0));
        lead.extend(error.to_string().bytes().take(4096));
        // It has no tensors, so it fits.
        let _ = memory.reply().put(&lead, &[]);
    }
}
