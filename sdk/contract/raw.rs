//! The plugin of the matrix in Rust without the SDK, from the header alone: for compilers that are older than the SDK.
//!
//! `rustc --edition 2021 --crate-type cdylib raw.rs` is all it takes; 1.63 does. It is compiled by the matrix only, and
//! shares nothing with the SDK on purpose: it is a third reading of the header.

use std::{
    ffi::CStr,
    mem::size_of,
    os::raw::{c_char, c_void},
    panic::{catch_unwind, AssertUnwindSafe},
    ptr, slice,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Str {
    ptr: *const u8,
    len: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Dtype {
    code: u8,
    bits: u8,
    lanes: u16,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Tensor {
    data: *mut c_void,
    device: [i32; 2],
    ndim: i32,
    dtype: Dtype,
    shape: *const i64,
    strides: *const i64,
    byte_offset: u64,
}

#[repr(C)]
pub struct Value {
    name: Str,
    t: Tensor,
    flags: u64,
    reserved: u64,
}

#[repr(C)]
pub struct Call {
    struct_size: u32,
    flags: u32,
    fns: *const CallFns,
    cancel: *const AtomicU32,
    deadline_ns: u64,
    request_id: Str,
    params_json: Str,
}

#[repr(C)]
pub struct CallFns {
    struct_size: u32,
    reserved: u32,
    output: unsafe extern "C" fn(*mut Call, Str, Dtype, i32, *const i64, *mut Tensor) -> i32,
    output_strings: unsafe extern "C" fn(*mut Call, Str, i32, *const i64, *const Str) -> i32,
    set_error: unsafe extern "C" fn(*mut Call, i32, Str),
    progress: unsafe extern "C" fn(*mut Call, f64, Str),
    artifact: unsafe extern "C" fn(*mut Call, Str, *const c_void, usize) -> i32,
}

#[repr(C)]
pub struct Host {
    struct_size: u32,
    abi_major: u16,
    abi_minor: u16,
    own: *mut c_void,
    log: unsafe extern "C" fn(*mut c_void, i32, Str),
    metric: unsafe extern "C" fn(*mut c_void, Str, i32, f64, Str),
    get_extension: unsafe extern "C" fn(*mut c_void, *const c_char) -> *const c_void,
    now_ns: unsafe extern "C" fn(*mut c_void) -> u64,
}

#[repr(C)]
pub struct Component {
    struct_size: u32,
    flags: u32,
    id: *const u8,
    version: *const u8,
    kinds: *const u8,
    config_schema: *const u8,
    create: unsafe extern "C" fn(*const Host, *mut Call, Str, *mut *mut Instance) -> i32,
    destroy: unsafe extern "C" fn(*mut Instance),
    get_interface: unsafe extern "C" fn(*const c_char) -> *const c_void,
}

#[repr(C)]
pub struct Module {
    magic: u64,
    abi_major: u16,
    abi_min_minor: u16,
    abi_built_minor: u16,
    reserved: u16,
    struct_size: u32,
    flags: u32,
    build_info: *const u8,
    init: Option<unsafe extern "C" fn(*const Host) -> i32>,
    n_components: u32,
    reserved2: u32,
    components: *const &'static Component,
}
unsafe impl Sync for Component {}
unsafe impl Sync for Module {}

#[repr(C)]
pub struct Run {
    struct_size: u32,
    flags: u32,
    run: unsafe extern "C" fn(*mut Instance, *mut Call, *const Value, u32) -> i32,
}

#[repr(C)]
pub struct Describe {
    struct_size: u32,
    flags: u32,
    describe: unsafe extern "C" fn(*mut Instance, *mut Call) -> i32,
}

pub struct Instance {
    host: *const Host,
    factor: f32,
}

const OK: i32 = 0;
const INVALID: i32 = 1;
const UNSUPPORTED: i32 = 2;
const CANCELLED: i32 = 5;
const PANIC: i32 = 9;
const F32: Dtype = Dtype { code: 2, bits: 32, lanes: 1 };
const I64: Dtype = Dtype { code: 0, bits: 64, lanes: 1 };

// Where fields end: what a host must at least say that its table has.
const CALL_REQUEST_ID: u32 = 48;
const FNS_PROGRESS: u32 = 40;
const FNS_ARTIFACT: u32 = 48;
const HOST_LOG: u32 = 24;
const HOST_NOW: u32 = 48;

fn text(text: &str) -> Str {
    Str { ptr: text.as_ptr(), len: text.len() }
}

unsafe fn bytes<'a>(text: Str) -> &'a [u8] {
    if text.len == 0 { &[] } else { slice::from_raw_parts(text.ptr, text.len) }
}

unsafe fn fail(call: *mut Call, status: i32, why: &str) -> i32 {
    ((*(*call).fns).set_error)(call, status, text(why));
    status
}

/// No panic leaves it.
unsafe fn guard(call: *mut Call, work: impl FnOnce() -> i32) -> i32 {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(status) => status,
        Err(payload) => {
            let why = payload.downcast_ref::<&str>().map_or("it panicked".to_owned(), |why| (*why).to_owned());
            std::mem::forget(payload);
            fail(call, PANIC, &why)
        }
    }
}

unsafe extern "C" fn create(host: *const Host, call: *mut Call, config: Str, out: *mut *mut Instance) -> i32 {
    guard(call, || {
        let config = String::from_utf8_lossy(bytes(config)).into_owned();
        let number = config.split(':').nth(1).map(|rest| rest.trim_matches(|c: char| !c.is_ascii_digit() && c != '.'));
        let factor: f32 = number.and_then(|number| number.parse().ok()).unwrap_or(0.0);
        if factor == 0.0 {
            return fail(call, INVALID, "`factor` is 0");
        }
        if (*host).struct_size >= HOST_LOG {
            ((*host).log)((*host).own, 3, text("contract: made"));
        }
        *out = Box::into_raw(Box::new(Instance { host, factor }));
        OK
    })
}

unsafe extern "C" fn destroy(instance: *mut Instance) {
    drop(Box::from_raw(instance));
}

unsafe fn output(call: *mut Call, name: &str, dtype: Dtype, shape: &[i64]) -> Result<*mut c_void, i32> {
    let mut out = std::mem::MaybeUninit::<Tensor>::uninit();
    let status =
        ((*(*call).fns).output)(call, text(name), dtype, shape.len() as i32, shape.as_ptr(), out.as_mut_ptr());
    if status != OK {
        return Err(status);
    }
    let out = out.assume_init();
    Ok(out.data.cast::<u8>().add(out.byte_offset as usize).cast())
}

unsafe fn dims<'a>(of: *const i64, ndim: i32) -> &'a [i64] {
    if ndim == 0 { &[] } else { slice::from_raw_parts(of, ndim as usize) }
}

unsafe fn scale(instance: &Instance, call: *mut Call, x: &Tensor) -> Result<(), i32> {
    if (x.dtype.code, x.dtype.bits) != (F32.code, F32.bits) {
        return Err(fail(call, INVALID, "expected float32"));
    }
    let (shape, strides) = (dims(x.shape, x.ndim), dims(x.strides, x.ndim));
    let y = output(call, "y", F32, shape)?.cast::<f32>();
    let from = x.data.cast::<u8>().add(x.byte_offset as usize).cast::<f32>();
    for at in 0..shape.iter().product::<i64>() {
        let (mut rest, mut offset) = (at, 0);
        for (size, stride) in shape.iter().zip(strides).rev() {
            offset += rest % size * stride;
            rest /= size;
        }
        *y.add(at as usize) = *from.offset(offset as isize) * instance.factor;
    }
    *output(call, "rank", I64, &[1])?.cast::<i64>() = i64::from(x.ndim);
    if (*(*call).fns).struct_size >= FNS_PROGRESS {
        ((*(*call).fns).progress)(call, 0.5, text("half"));
    }
    Ok(())
}

unsafe fn seen(instance: &Instance, call: *mut Call) -> Result<(), i32> {
    let (host, fns) = (instance.host, (*call).fns);
    let out = output(call, "seen", I64, &[3])?.cast::<i64>();
    *out = i64::from((*host).struct_size >= HOST_NOW && ((*host).now_ns)((*host).own) != 0);
    *out.add(1) = i64::from((*call).struct_size >= CALL_REQUEST_ID && (*call).request_id.len > 0);
    *out.add(2) = i64::from(
        (*fns).struct_size >= FNS_ARTIFACT && ((*fns).artifact)(call, text("seen"), b"bytes".as_ptr().cast(), 5) == OK,
    );
    Ok(())
}

unsafe fn waits(call: *mut Call) -> Result<(), i32> {
    for _ in 0..10_000 {
        if !(*call).cancel.is_null() && (*(*call).cancel).load(Ordering::Relaxed) != 0 {
            return Err(fail(call, CANCELLED, "nobody waits"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

unsafe fn work(instance: &Instance, call: *mut Call, values: &[Value]) -> Result<(), i32> {
    let find = |name: &str| values.iter().find(|value| bytes(value.name) == name.as_bytes());
    if let Some(x) = find("x") {
        return scale(instance, call, &x.t);
    }
    if let Some(words) = find("words") {
        let t = &words.t;
        let from = t.data.cast::<u8>().add(t.byte_offset as usize).cast::<Str>();
        return match ((*(*call).fns).output_strings)(call, text("words"), t.ndim, t.shape, from) {
            OK => Ok(()),
            status => Err(status),
        };
    }
    if find("seen").is_some() {
        return seen(instance, call);
    }
    if find("wait").is_some() {
        return waits(call);
    }
    if find("panic").is_some() {
        panic!("as asked");
    }
    Err(fail(call, INVALID, "expected x, words, seen, wait or panic"))
}

unsafe extern "C" fn run(instance: *mut Instance, call: *mut Call, values: *const Value, n: u32) -> i32 {
    guard(call, || {
        let values = if n == 0 { &[] } else { slice::from_raw_parts(values, n as usize) };
        work(&*instance, call, values).err().unwrap_or(OK)
    })
}

unsafe extern "C" fn describe(_instance: *mut Instance, call: *mut Call) -> i32 {
    const JSON: &str = "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,-1]}],\
                        \"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[-1,-1]}]}";
    if (*(*call).fns).struct_size < FNS_ARTIFACT {
        return UNSUPPORTED;
    }
    ((*(*call).fns).artifact)(call, text("describe.json"), JSON.as_ptr().cast(), JSON.len())
}

static RUN: Run = Run { struct_size: size_of::<Run>() as u32, flags: 0, run };
static DESCRIBE: Describe = Describe { struct_size: size_of::<Describe>() as u32, flags: 0, describe };

unsafe extern "C" fn get_interface(id: *const c_char) -> *const c_void {
    match CStr::from_ptr(id).to_bytes() {
        b"candor.run/1" => (&RUN as *const Run).cast(),
        b"candor.describe/1" => (&DESCRIBE as *const Describe).cast(),
        _ => ptr::null(),
    }
}

static CONTRACT: Component = Component {
    struct_size: size_of::<Component>() as u32,
    flags: 3,
    id: b"test.contract\0".as_ptr(),
    version: b"0.1.0\0".as_ptr(),
    kinds: b"predictor\0".as_ptr(),
    config_schema: concat!(
        "{\"type\":\"object\",\"properties\":{\"factor\":{\"type\":\"number\"}},\"required\":[\"factor\"]}",
        "\0"
    )
    .as_ptr(),
    create,
    destroy,
    get_interface,
};

static COMPONENTS: [&Component; 1] = [&CONTRACT];

#[no_mangle]
#[allow(non_upper_case_globals)]
pub static candor_module_v1: Module = Module {
    magic: 0x3150_524F_444E_4143,
    abi_major: 0,
    abi_min_minor: 1,
    abi_built_minor: 1,
    reserved: 0,
    struct_size: size_of::<Module>() as u32,
    flags: 0,
    build_info: b"{\"language\":\"rust\",\"sdk\":\"none\",\"panic\":\"unwind\"}\0".as_ptr(),
    init: None,
    n_components: 1,
    reserved2: 0,
    components: COMPONENTS.as_ptr(),
};
