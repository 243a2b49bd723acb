//! The one audited `unsafe` file of this room: runs a session through ONNX Runtime's C interface.
//!
//! Why not `ort::Session::run`: it takes `&mut self`, so every concurrent request would need a session
//! (and a copy of the weights) of its own or a lock. ONNX Runtime documents `OrtApi::Run` as safe to call
//! on one session from many threads, and for the CPU execution provider, the only one that this engine
//! registers, it is; `many_threads_share_one_session` in the conformance suite hammers exactly that. See
//! docs/decisions/0002-shared-session.md. It also spares what `ort` allocates per call: names are made
//! into C strings once, inputs are borrowed in place.
//!
//! Invariants: every pointer that the library gives is owned by a guard ([`Value`], [`Options`],
//! [`MemoryInfo`]) that releases it exactly once; the borrowed input data outlive the call.
#![allow(unsafe_code, reason = "the C interface of ONNX Runtime; every block says why it is sound")]

use std::{
    borrow::Cow,
    ffi::{CStr, CString, c_char, c_void},
    fs::File,
    io, ptr, slice,
    sync::Arc,
};

use crate::arena::Habit;
use candor_domain::{
    BytesArray, Cancel, Error, ErrorCode, Result, Shape, Signature, Tensor, TensorData, for_each_datatype,
    tensor::RANK_MAX,
};
use ort::{
    AsPointer as _,
    session::Session,
    sys::{
        ONNXTensorElementDataType as Element, OrtAllocator, OrtAllocatorType, OrtApi, OrtErrorCode, OrtMemType,
        OrtMemoryInfo, OrtRunOptions, OrtSession, OrtStatusPtr, OrtTypeInfo, OrtValue,
    },
};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

use crate::codes::{Side, code_of_run, element};

/// From the system's `linux/sched.h`.
#[cfg(target_os = "linux")]
const SCHED_FLAG_KEEP_POLICY: u64 = 0x08;

/// A session with everything that a run needs, prepared once.
pub(crate) struct Runner {
    session: Session,
    memory: MemoryInfo,
    input_names: Names,
    output_names: Names,
    habit: Habit,
    /// What the session reads its weights from, if it has not made them its own; let go after it.
    _weights: Option<Arc<Map>>,
}

// SAFETY: the session is only ever used through `OrtApi::Run`, which may be called from any number of
// threads at once with the CPU execution provider (module doc); `MemoryInfo` and `Names` are never
// written after `new`, and the names' pointers point into heap buffers owned beside them.
unsafe impl Send for Runner {}
// SAFETY: as above.
unsafe impl Sync for Runner {}

/// C strings and the pointers to them.
struct Names {
    pointers: Vec<*const c_char>,
    _strings: Vec<CString>,
}

impl Names {
    fn new<'a>(names: impl Iterator<Item = &'a str>) -> Result<Self> {
        let strings: Vec<_> = names
            .map(|name| CString::new(name).map_err(|_| Error::model("a tensor's name holds a NUL byte")))
            .collect::<Result<_>>()?;
        // A CString's bytes stay where they are on the heap when the CString itself moves.
        Ok(Self { pointers: strings.iter().map(|name| name.as_ptr()).collect(), _strings: strings })
    }
}

impl Runner {
    /// Of a session that was made of `weights`, if it was: those live as long as it.
    pub(crate) fn new(session: Session, signature: &Signature, weights: Option<Arc<Map>>) -> Result<Self> {
        Ok(Self {
            session,
            _weights: weights,
            memory: MemoryInfo::cpu()?,
            input_names: Names::new(signature.inputs.iter().map(|spec| &*spec.name))?,
            output_names: Names::new(signature.outputs.iter().map(|spec| &*spec.name))?,
            habit: Habit::default(),
        })
    }

    /// Runs the graph; see [`candor_domain::Session::run`].
    pub(crate) fn run(&self, inputs: &[Tensor], wanted: &[usize], cancel: Option<&Cancel>) -> Result<Vec<Tensor>> {
        let gives_back = self.habit.gives_back(inputs.iter().map(|input| raw_parts(input.data()).1 as u64).sum());
        if cancel.is_none() && !gives_back {
            return self.run_with(inputs, wanted, ptr::null());
        }
        let options = Options::new()?;
        if gives_back {
            options.give_back()?;
        }
        let Some(cancel) = cancel else { return self.run_with(inputs, wanted, options.0) };
        if cancel.is_cancelled() {
            return Err(Error::new(ErrorCode::Cancelled, "cancelled before it ran"));
        }
        let handle = options.handle();
        let outcome = cancel.with_hook(move || handle.terminate(), || self.run_with(inputs, wanted, options.0));
        match outcome {
            Err(_) if cancel.is_cancelled() => Err(Error::new(ErrorCode::Cancelled, "cancelled while it ran")),
            outcome => outcome,
        }
    }

    fn run_with(&self, inputs: &[Tensor], wanted: &[usize], options: *const OrtRunOptions) -> Result<Vec<Tensor>> {
        if inputs.len() != self.input_names.pointers.len() {
            return Err(Error::new(ErrorCode::Internal, "a run was given a wrong number of inputs"));
        }
        let values: Vec<Value> = inputs.iter().map(|input| self.value(input)).collect::<Result<_>>()?;
        let names = &self.output_names.pointers;
        let output_names: Cow<'_, [*const c_char]> = if wanted.iter().copied().eq(0..names.len()) {
            Cow::Borrowed(names)
        } else {
            let some = wanted.iter().map(|&position| names.get(position).copied()).collect::<Option<_>>();
            Cow::Owned(
                some.ok_or_else(|| Error::new(ErrorCode::Internal, "a run was asked for an output that is not there"))?,
            )
        };
        let mut outputs: Vec<Value> = wanted.iter().map(|_| Value(ptr::null_mut())).collect();
        // SAFETY: `Value` is a transparent wrapper, so slices of them are slices of pointers; the outputs' the
        // call fills with values that the guards then own (null stays null on failure). Names, inputs and
        // their data outlive the call; the counts are the lengths of the arrays; the session pointer is
        // valid as long as `self.session`.
        let status = unsafe {
            (api().Run)(
                self.session.ptr().cast_mut().cast::<OrtSession>(),
                options,
                self.input_names.pointers.as_ptr(),
                values.as_ptr().cast::<*const OrtValue>(),
                values.len(),
                output_names.as_ptr(),
                output_names.len(),
                outputs.as_mut_ptr().cast::<*mut OrtValue>(),
            )
        };
        if let Some((code, message)) = failure(status) {
            return Err(Error::new(code_of_run(code, &message), format!("ONNX Runtime: {message}")));
        }
        let failed = |error: Error| Error::new(ErrorCode::EngineFailed, error.to_string());
        outputs.iter().map(|output| output.read().map_err(failed)).collect()
    }

    /// An input value that borrows the tensor's numbers, or copies its strings.
    fn value(&self, tensor: &Tensor) -> Result<Value> {
        let dims = tensor.shape().dims();
        let element = element(tensor.datatype());
        if let TensorData::Bytes(strings) = tensor.data() {
            return string_value(dims, strings);
        }
        let (data, bytes) = raw_parts(tensor.data());
        let mut value = Value(ptr::null_mut());
        // SAFETY: `data` is valid for `bytes` bytes and lives as long as `tensor`, which the caller of
        // `run` holds until the run is over; ONNX Runtime does not write to inputs.
        check(unsafe {
            (api().CreateTensorWithDataAsOrtValue)(
                self.memory.0,
                data.cast_mut(),
                bytes,
                dims.as_ptr(),
                dims.len(),
                element,
                &mut value.0,
            )
        })?;
        Ok(value)
    }
}

fn string_value(dims: &[i64], strings: &BytesArray) -> Result<Value> {
    let mut allocator: *mut OrtAllocator = ptr::null_mut();
    // SAFETY: gives the library's own default allocator, which is never freed.
    check(unsafe { (api().GetAllocatorWithDefaultOptions)(&mut allocator) })?;
    let mut value = Value(ptr::null_mut());
    let element = Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING;
    // SAFETY: `dims` is valid for its length; the value owns its memory.
    check(unsafe { (api().CreateTensorAsOrtValue)(allocator, dims.as_ptr(), dims.len(), element, &mut value.0) })?;
    for (index, string) in strings.iter().enumerate() {
        let mut buffer: *mut c_char = ptr::null_mut();
        // SAFETY: `index` is below the element count, which `Tensor` guarantees to be the shape's product.
        check(unsafe { (api().GetResizedStringTensorElementBuffer)(value.0, index, string.len(), &mut buffer) })?;
        if !string.is_empty() {
            // SAFETY: the call above made room for exactly `string.len()` bytes at `buffer`. Not a C
            // string: NUL bytes inside are kept.
            unsafe { ptr::copy_nonoverlapping(string.as_ptr(), buffer.cast::<u8>(), string.len()) };
        }
    }
    Ok(value)
}

fn raw_parts(data: &TensorData) -> (*const c_void, usize) {
    trait Parts {
        fn parts(&self) -> (*const c_void, usize);
    }
    impl<T: Copy> Parts for Vec<T> {
        fn parts(&self) -> (*const c_void, usize) {
            (self.as_ptr().cast(), size_of_val(self.as_slice()))
        }
    }
    impl Parts for BytesArray {
        fn parts(&self) -> (*const c_void, usize) {
            (ptr::null(), 0)
        }
    }
    for_each_datatype!(data, vector => vector.parts())
}

fn api() -> &'static OrtApi {
    ort::api()
}

/// An `OrtValue`, released once.
#[repr(transparent)]
struct Value(*mut OrtValue);

impl Drop for Value {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: owned by this guard alone.
            unsafe { (api().ReleaseValue)(self.0) };
        }
    }
}

impl Value {
    /// Copies a value into a tensor of ours.
    fn read(&self) -> Result<Tensor> {
        let mut is_tensor = 0;
        if self.0.is_null() {
            return Err(Error::new(ErrorCode::EngineFailed, "the graph left an output empty"));
        }
        // SAFETY: a live value.
        check(unsafe { (api().IsTensor)(self.0, &mut is_tensor) })?;
        if is_tensor == 0 {
            return Err(Error::new(ErrorCode::EngineFailed, "an output is not a tensor"));
        }
        let (element, shape) = self.element_and_shape()?;
        let elements = shape.elements();
        let mut data: *mut c_void = ptr::null_mut();
        if element == Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING {
            return Tensor::new(shape, TensorData::Bytes(self.read_strings(elements)?));
        }
        // SAFETY: a live tensor value.
        check(unsafe { (api().GetTensorMutableData)(self.0, &mut data) })?;
        Tensor::new(shape, copy_elements(element, data, elements)?)
    }

    fn element_and_shape(&self) -> Result<(Element, Shape)> {
        let mut element = Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
        let (mut dims, mut rank) = (ptr::null(), 0);
        // SAFETY: a live tensor value; the results are ours. There since 1.24, the oldest library that is loaded.
        check(unsafe {
            (api().GetTensorElementTypeAndShapeDataReference)(self.0, &mut element, &mut dims, &mut rank)
        })?;
        if rank > RANK_MAX {
            return Err(Error::new(ErrorCode::EngineFailed, format!("an output has {rank} dimensions"))
                .expected(format!("at most {RANK_MAX}")));
        }
        // SAFETY: `dims` points to `rank` sizes within the value, which lives as long as `self`; for a scalar it may be
        // null.
        let dims = if rank == 0 || dims.is_null() { &[] } else { unsafe { slice::from_raw_parts(dims, rank) } };
        Ok((element, Shape::new(dims)?))
    }

    fn read_strings(&self, elements: usize) -> Result<BytesArray> {
        let mut bytes = 0;
        // SAFETY: a live string tensor.
        check(unsafe { (api().GetStringTensorDataLength)(self.0, &mut bytes) })?;
        let mut content = vec![0_u8; bytes];
        let mut starts = vec![0_usize; elements];
        // SAFETY: `content` and `starts` have exactly the lengths that are passed.
        check(unsafe {
            (api().GetStringTensorContent)(self.0, content.as_mut_ptr().cast(), bytes, starts.as_mut_ptr(), elements)
        })?;
        let ends = starts.iter().copied().skip(1).chain([bytes]);
        Ok(starts.iter().zip(ends).map(|(&start, end)| content.get(start..end).unwrap_or_default()).collect())
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the rest are element types that a signature cannot have")]
fn copy_elements(element: Element, data: *const c_void, elements: usize) -> Result<TensorData> {
    fn copy<T: Copy>(data: *const c_void, elements: usize) -> Vec<T> {
        if elements == 0 || data.is_null() {
            return Vec::new();
        }
        // SAFETY: `data` holds `elements` elements of the type that the value declares, which the match
        // below pairs with `T`; ONNX Runtime aligns its buffers to at least 16 bytes; `T` is a plain
        // number for which every bit pattern is valid.
        unsafe { slice::from_raw_parts(data.cast::<T>(), elements) }.to_vec()
    }
    Ok(match element {
        Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL => {
            TensorData::Bool(copy::<u8>(data, elements).into_iter().map(|byte| u8::from(byte != 0)).collect())
        }
        Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 => TensorData::Uint8(copy(data, elements)),
        Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16 => TensorData::Uint16(copy(data, elements)),
        Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32 => TensorData::Uint32(copy(data, elements)),
        Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64 => TensorData::Uint64(copy(data, elements)),
        Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8 => TensorData::Int8(copy(data, elements)),
        Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16 => TensorData::Int16(copy(data, elements)),
        Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 => TensorData::Int32(copy(data, elements)),
        Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 => TensorData::Int64(copy(data, elements)),
        Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 => TensorData::Fp16(copy(data, elements)),
        Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16 => TensorData::Bf16(copy(data, elements)),
        Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT => TensorData::Fp32(copy(data, elements)),
        Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE => TensorData::Fp64(copy(data, elements)),
        other => {
            return Err(Error::new(ErrorCode::EngineFailed, format!("an output has element type {other:?}")));
        }
    })
}

/// Run options, through which another thread can end a run.
struct Options(*mut OrtRunOptions);

/// The same options in the hands of whoever cancels. Used only inside [`Cancel::with_hook`], so never
/// after the options are gone.
#[derive(Clone, Copy)]
struct OptionsHandle(*mut OrtRunOptions);

// SAFETY: `RunOptionsSetTerminate` sets a flag that a run reads; ending a run from another thread is what
// the library offers it for.
unsafe impl Send for OptionsHandle {}

impl OptionsHandle {
    fn terminate(self) {
        // SAFETY: `Cancel::with_hook` never calls this after it has returned, and the options outlive it.
        // A failure to set a flag leaves nothing to do.
        let _ = check(unsafe { (api().RunOptionsSetTerminate)(self.0) });
    }
}

impl Options {
    fn new() -> Result<Self> {
        let mut options = ptr::null_mut();
        // SAFETY: gives new options, owned by the guard.
        check(unsafe { (api().CreateRunOptions)(&mut options) })?;
        Ok(Self(options))
    }

    /// At its end, what the arena of the processor's memory does not use goes back.
    fn give_back(&self) -> Result<()> {
        let (key, value) = (c"memory.enable_memory_arena_shrinkage", c"cpu:0");
        // SAFETY: live options; C strings that the library copies.
        check(unsafe { (api().AddRunConfigEntry)(self.0, key.as_ptr(), value.as_ptr()) })
    }

    fn handle(&self) -> OptionsHandle {
        OptionsHandle(self.0)
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: owned by this guard alone.
        unsafe { (api().ReleaseRunOptions)(self.0) };
    }
}

impl Side {
    /// Whether the graph declares a shape, and be it a scalar's, for the tensor at `index`. The `ort`
    /// crate gives the same empty shape for both.
    pub(crate) fn declares_shape(self, session: &Session, index: usize) -> Result<bool> {
        struct Info(*mut OrtTypeInfo);
        impl Drop for Info {
            fn drop(&mut self) {
                // SAFETY: owned by this guard alone.
                unsafe { (api().ReleaseTypeInfo)(self.0) };
            }
        }
        let session = session.ptr().cast::<OrtSession>();
        let mut info = ptr::null_mut();
        let type_info = match self {
            Self::Input => api().SessionGetInputTypeInfo,
            Self::Output => api().SessionGetOutputTypeInfo,
        };
        // SAFETY: a live session; an index beyond the end gives an error; the guard owns the result.
        check(unsafe { type_info(session, index, &mut info) })?;
        let info = Info(info);
        let mut tensor = ptr::null();
        // SAFETY: a live info; the result points into it, and is null when it describes no tensor.
        check(unsafe { (api().CastTypeInfoToTensorInfo)(info.0, &mut tensor) })?;
        // SAFETY: not null, and lives as long as `info`.
        Ok(!tensor.is_null() && unsafe { (api().TensorTypeAndShape_HasShape)(tensor) })
    }
}

/// A description of plain CPU memory.
struct MemoryInfo(*mut OrtMemoryInfo);

impl MemoryInfo {
    fn cpu() -> Result<Self> {
        let mut info = ptr::null_mut();
        // SAFETY: gives a new description, owned by the guard.
        check(unsafe {
            (api().CreateCpuMemoryInfo)(OrtAllocatorType::OrtDeviceAllocator, OrtMemType::OrtMemTypeDefault, &mut info)
        })?;
        Ok(Self(info))
    }
}

impl Drop for MemoryInfo {
    fn drop(&mut self) {
        // SAFETY: owned by this guard alone.
        unsafe { (api().ReleaseMemoryInfo)(self.0) };
    }
}

/// Turns a status into a result and releases it.
fn check(status: OrtStatusPtr) -> Result<()> {
    let Some((code, message)) = failure(status) else { return Ok(()) };
    let ours =
        if code == OrtErrorCode::ORT_INVALID_ARGUMENT { ErrorCode::InvalidInput } else { ErrorCode::EngineFailed };
    Err(Error::new(ours, format!("ONNX Runtime: {message}")))
}

/// What went wrong in a call, if something did.
fn failure(status: OrtStatusPtr) -> Option<(OrtErrorCode, String)> {
    let status = status.0;
    if status.is_null() {
        return None;
    }
    // SAFETY: a status that is not null is live until released below; its message is a C string that
    // lives as long.
    let told = unsafe {
        let message = CStr::from_ptr((api().GetErrorMessage)(status)).to_string_lossy().into_owned();
        let code = (api().GetErrorCode)(status);
        (api().ReleaseStatus)(status);
        (code, message)
    };
    Some(told)
}

/// Gives memory that the C allocator holds free, ours and the library's, back to the system. Says whether any was.
pub(crate) fn trim() -> bool {
    // SAFETY: glibc's function, which any thread may call at any time.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    return unsafe { libc::malloc_trim(0) == 1 };
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    false
}

/// See [`crate::take_turns`].
#[cfg(target_os = "linux")]
pub(crate) fn take_turns(nice: i32, nanos: u64) -> io::Result<()> {
    // SAFETY: a struct of numbers, for which zeros are right.
    let mut wanted: libc::sched_attr = unsafe { std::mem::zeroed() };
    wanted.size = u32::try_from(size_of_val(&wanted)).unwrap_or_default();
    wanted.sched_flags = SCHED_FLAG_KEEP_POLICY;
    (wanted.sched_nice, wanted.sched_runtime) = (nice, nanos);
    // SAFETY: Linux reads `size` bytes of the struct, which lives, and changes the calling thread's share of time alone.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wanted, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The bytes of a file, mapped and not read. Only for files that nobody else writes or cuts short: see `copies`.
pub(crate) struct Map {
    start: *mut c_void,
    bytes: usize,
}

// SAFETY: nothing writes through it, and it stays where it is until it is dropped.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// Maps the first `bytes` of a file, of which there must be some.
    pub(crate) fn of(file: &File, bytes: usize) -> io::Result<Self> {
        // SAFETY: a new mapping, at an address that the system chooses.
        let start = unsafe { mmap(ptr::null_mut(), bytes, ProtFlags::READ, MapFlags::PRIVATE, file, 0)? };
        Ok(Self { start, bytes })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: mapped and readable as long as `self`; the file is not written while it is (type doc).
        unsafe { slice::from_raw_parts(self.start.cast(), self.bytes) }
    }

    /// Takes its pages out of this process; the file has them when they are read again.
    pub(crate) fn rest(&self) {
        // SAFETY: a private mapping of a file that was never written to reads the same after as before. That the system
        // does not take the advice changes nothing.
        let _ = unsafe { madvise(self.start, self.bytes, Advice::LinuxDontNeed) };
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: mapped by `of`, unmapped once; who borrowed from `bytes` has ended.
        let _ = unsafe { munmap(self.start, self.bytes) };
    }
}
