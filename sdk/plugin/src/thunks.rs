//! From raw tables to traits and back: every function that a host calls, with a guard that no panic passes.
//!
//! Built at compile time, one table per component. Before it come the traits; after it comes `export!`. It does not
//! know what a kind means, only which shapes of calls it has.

use std::{
    any::Any,
    ffi::{CStr, c_char, c_void},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
};

use candor_plugin_abi as abi;

use crate::{Call, Component, Error, Inputs, Result, Status, host};

/// A kind of component, as the shapes of calls that it has.
pub trait Kind: 'static {
    /// What the author wrote.
    type Component: Component;
    /// The kind's name.
    const NAME: &'static CStr;
    /// Tensors to tensors.
    const RUN: Option<&'static abi::RunV1> = None;
    /// Batches to a state or artifacts.
    const FIT: Option<&'static abi::FitV1> = None;
    /// The choice of an arm.
    const ROUTE: Option<&'static abi::RouteV1> = None;
}

/// A kind that runs.
pub trait RunKind: Kind {
    /// Runs.
    ///
    /// # Errors
    /// The component's.
    fn run(component: &Self::Component, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()>;
}

/// A kind that is fitted.
pub trait FitKind: Kind {
    /// Begins.
    ///
    /// # Errors
    /// The component's.
    fn begin(component: &mut Self::Component, call: &Call<'_>) -> Result<()>;
    /// Some rows.
    ///
    /// # Errors
    /// The component's.
    fn batch(component: &mut Self::Component, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()>;
    /// Ends.
    ///
    /// # Errors
    /// The component's.
    fn finish(component: &mut Self::Component, call: &Call<'_>) -> Result<()>;
}

/// Bytes of a table, as the interface counts them.
pub const fn size_of<T>() -> u32 {
    #[allow(clippy::cast_possible_truncation, reason = "tables have some dozens of bytes")]
    let size = mem::size_of::<T>() as u32;
    size
}

/// Runs a component's work; whatever happens becomes a status, and why is told to the host.
fn guard(call: *mut abi::Call, work: impl FnOnce(&Call<'_>) -> Result<()>) -> i32 {
    // SAFETY: the host answers for the call that it hands to every function.
    let call = unsafe { Call::new(call) };
    match catch_unwind(AssertUnwindSafe(|| work(&call))) {
        Ok(Ok(())) => abi::OK,
        Ok(Err(error)) => tell(&call, &error),
        Err(payload) => tell(&call, &Error::new(Status::Panic, panicked(payload))),
    }
}

#[cold]
fn tell(call: &Call<'_>, error: &Error) -> i32 {
    call.set_error(error);
    error.status().code()
}

/// What a panic said. The payload is not dropped: its own drop might panic.
fn panicked(payload: Box<dyn Any + Send>) -> String {
    let message = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = message.or_else(|| payload.downcast_ref::<String>().cloned());
    mem::forget(payload);
    message.map_or_else(|| "it panicked".to_owned(), |message| format!("it panicked: {message}"))
}

/// The component behind an instance.
///
/// # Safety
/// `instance` must come from [`create`] of the same component and not be destroyed during `'a`.
unsafe fn shared<'a, C: Component>(instance: *mut abi::Instance) -> Result<&'a C> {
    // SAFETY: the caller's; `create` made it of a box, so it is aligned and whole.
    unsafe { instance.cast::<C>().as_ref() }.ok_or_else(|| Error::invalid("the host gave no instance"))
}

/// As [`shared`], alone.
///
/// # Safety
/// As [`shared`], and no other call on the instance may be under way.
unsafe fn alone<'a, C: Component>(instance: *mut abi::Instance) -> Result<&'a mut C> {
    // SAFETY: the caller's.
    unsafe { instance.cast::<C>().as_mut() }.ok_or_else(|| Error::invalid("the host gave no instance"))
}

/// `init` of a module that is compiled into another program: its panic hook is left alone.
///
/// # Safety
/// `host` must be a host's table.
pub unsafe extern "C-unwind" fn init(host: *const abi::Host) -> i32 {
    host::remember(host);
    abi::OK
}

unsafe extern "C-unwind" fn create<C: Component>(
    host: *const abi::Host,
    call: *mut abi::Call,
    config: abi::Str,
    out: *mut *mut abi::Instance,
) -> i32 {
    host::remember(host);
    guard(call, |call| {
        if out.is_null() {
            return Err(Error::invalid("the host gave no place for the instance"));
        }
        // SAFETY: the text lives during the call.
        let config = unsafe { config.bytes() };
        let config = if config.is_empty() { b"{}" } else { config };
        let config =
            serde_json::from_slice(config).map_err(|error| Error::invalid(format!("configuration: {error}")))?;
        let instance = Box::into_raw(Box::new(C::create(config, call)?));
        // SAFETY: not null, and the host's own place for a pointer.
        unsafe { out.write(instance.cast()) };
        Ok(())
    })
}

unsafe extern "C-unwind" fn destroy<C: Component>(instance: *mut abi::Instance) {
    if instance.is_null() {
        return;
    }
    let dropped = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `create` made it of a box, and the host gives it back once.
        drop(unsafe { Box::from_raw(instance.cast::<C>()) });
    }));
    if let Err(payload) = dropped {
        host::log(crate::Level::Error, &format!("an instance was dropped: {}", panicked(payload)));
    }
}

pub(crate) unsafe extern "C-unwind" fn run<K: RunKind>(
    instance: *mut abi::Instance,
    call: *mut abi::Call,
    values: *const abi::Value,
    n: u32,
) -> i32 {
    guard(call, |call| {
        // SAFETY: the host answers for the instance and the values during the call.
        let (component, inputs) = unsafe { (shared(instance)?, Inputs::new(values, n)) };
        K::run(component, call, &inputs)
    })
}

pub(crate) unsafe extern "C-unwind" fn begin<K: FitKind>(instance: *mut abi::Instance, call: *mut abi::Call) -> i32 {
    // SAFETY: the header says that `candor.fit/1` overlaps with no other call on the instance.
    guard(call, |call| K::begin(unsafe { alone(instance)? }, call))
}

pub(crate) unsafe extern "C-unwind" fn batch<K: FitKind>(
    instance: *mut abi::Instance,
    call: *mut abi::Call,
    values: *const abi::Value,
    n: u32,
) -> i32 {
    guard(call, |call| {
        // SAFETY: as in `begin`; the host answers for the values during the call.
        let (component, inputs) = unsafe { (alone(instance)?, Inputs::new(values, n)) };
        K::batch(component, call, &inputs)
    })
}

pub(crate) unsafe extern "C-unwind" fn finish<K: FitKind>(instance: *mut abi::Instance, call: *mut abi::Call) -> i32 {
    // SAFETY: as in `begin`.
    guard(call, |call| K::finish(unsafe { alone(instance)? }, call))
}

unsafe extern "C-unwind" fn save<C: Component>(instance: *mut abi::Instance, call: *mut abi::Call) -> i32 {
    guard(call, |call| {
        // SAFETY: the host answers for the instance.
        let component = unsafe { shared::<C>(instance)? };
        call.artifact("state", &component.save()?)
    })
}

unsafe extern "C-unwind" fn load<C: Component>(
    instance: *mut abi::Instance,
    call: *mut abi::Call,
    bytes: *const c_void,
    len: usize,
) -> i32 {
    guard(call, |_| {
        // SAFETY: the header says that `candor.state/1` overlaps with no other call on the instance, and that the
        // bytes live during the call.
        let (component, bytes) = unsafe { (alone::<C>(instance)?, abi::Str { ptr: bytes.cast(), len }.bytes()) };
        component.load(bytes)
    })
}

unsafe extern "C-unwind" fn describe<C: Component>(instance: *mut abi::Instance, call: *mut abi::Call) -> i32 {
    guard(call, |call| {
        // SAFETY: the host answers for the instance.
        let description = unsafe { shared::<C>(instance)? }.describe()?;
        let json = serde_json::to_vec(&description).map_err(|error| Error::internal(error.to_string()))?;
        call.artifact("describe.json", &json)
    })
}

/// Tables that belong to the component and not to its kind.
struct Own<C>(std::marker::PhantomData<C>);

impl<C: Component> Own<C> {
    const STATE: &'static abi::StateV1 = &abi::StateV1 {
        struct_size: size_of::<abi::StateV1>(),
        flags: 0,
        save: Some(save::<C>),
        load: Some(load::<C>),
    };
    const DESCRIBE: &'static abi::DescribeV1 =
        &abi::DescribeV1 { struct_size: size_of::<abi::DescribeV1>(), flags: 0, describe: Some(describe::<C>) };
}

unsafe extern "C-unwind" fn get_interface<K: Kind>(id: *const c_char) -> *const c_void {
    fn table<T>(table: Option<&'static T>) -> *const c_void {
        table.map_or(ptr::null(), |table| ptr::from_ref(table).cast())
    }
    if id.is_null() {
        return ptr::null();
    }
    // SAFETY: not null, and the header says that it ends with NUL.
    let id = unsafe { CStr::from_ptr(id) };
    if id == abi::RUN_V1 {
        table(K::RUN)
    } else if id == abi::FIT_V1 {
        table(K::FIT)
    } else if id == abi::ROUTE_V1 {
        table(K::ROUTE)
    } else if id == abi::STATE_V1 {
        table(K::Component::STATEFUL.then_some(Own::<K::Component>::STATE))
    } else if id == abi::DESCRIBE_V1 {
        table(Some(Own::<K::Component>::DESCRIBE))
    } else {
        ptr::null()
    }
}

/// A component's table.
#[must_use]
pub const fn component<K: Kind>() -> abi::Component {
    abi::Component {
        struct_size: size_of::<abi::Component>(),
        flags: K::Component::CLAIMS.flags(),
        id: K::Component::ID.as_ptr(),
        version: K::Component::VERSION.as_ptr(),
        kinds: K::NAME.as_ptr(),
        config_schema: K::Component::CONFIG_SCHEMA.as_ptr(),
        create: Some(create::<K::Component>),
        destroy: Some(destroy::<K::Component>),
        get_interface: Some(get_interface::<K>),
    }
}

const BUILD_INFO: &CStr = if cfg!(panic = "unwind") {
    c"{\"language\":\"rust\",\"sdk\":\"candor-plugin-sdk\",\"panic\":\"unwind\"}"
} else {
    c"{\"language\":\"rust\",\"sdk\":\"candor-plugin-sdk\",\"panic\":\"abort\"}"
};

/// A module's table.
#[must_use]
pub const fn module(components: &'static [&'static abi::Component]) -> abi::Module {
    #[allow(clippy::cast_possible_truncation, reason = "nobody writes so many components")]
    let n_components = components.len() as u32;
    abi::Module {
        magic: abi::MAGIC,
        abi_major: abi::ABI_MAJOR,
        // What the SDK cannot do without; newer fields are asked for by the table's size.
        abi_min_minor: 1,
        abi_built_minor: abi::ABI_MINOR,
        reserved: 0,
        struct_size: size_of::<abi::Module>(),
        flags: if cfg!(panic = "unwind") { 0 } else { abi::MODULE_PANIC_ABORT },
        build_info: BUILD_INFO.as_ptr(),
        init: Some(init),
        n_components,
        reserved2: 0,
        // A reference and a pointer are laid out alike.
        components: components.as_ptr().cast(),
    }
}
