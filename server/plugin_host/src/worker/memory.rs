//! The memory that server and worker share: two regions, one for each direction, and a page of words: one that says
//! "stop", and two bells.
//!
//! A message is a head of a few bytes per tensor, and the tensors' bytes behind it, each on a cache line of its own. The
//! reader copies the head before it looks at it, and bytes before it judges them: the writer may change both at any
//! time. The file is sealed, so that it cannot be cut under the reader. It does not know calls.
#![allow(unsafe_code, reason = "maps memory that another process writes")]

use std::{
    borrow::Cow,
    os::fd::OwnedFd,
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

use candor_domain::{
    error::{Error, ErrorCode, Result},
    tensor::{BytesArray, Datatype, Shape, Tensor, TensorData},
};
use rustix::{
    event::Timespec,
    fs::{MemfdFlags, SealFlags},
    mm::{MapFlags, ProtFlags},
    thread::futex,
};

use crate::values::{self, RANK_MAX};

const PAGE: usize = 4096;
const HEAD_BYTES_MAX: usize = 256 * 1024;
const TENSORS_MAX: u32 = 256;
const NAME_BYTES_MAX: usize = 256;
const LINE: usize = 64;

/// The whole memory, mapped.
pub struct Memory {
    start: *mut u8,
    region_bytes: usize,
}

// SAFETY: a mapping may be used from any thread; who reads and who writes is agreed by the bells.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this length, and nobody has a pointer into it any more. A failure leaks it.
        let _ = unsafe { rustix::mm::munmap(self.start.cast(), Self::bytes(self.region_bytes)) };
    }
}

/// Tensors with their names.
pub type Named = Vec<(String, Tensor)>;

/// One direction.
#[derive(Clone, Copy)]
pub struct Region<'m> {
    start: *mut u8,
    len: usize,
    lives: std::marker::PhantomData<&'m Memory>,
}

/// A tensor to be written.
pub struct Item<'a> {
    /// Its name.
    pub name: &'a str,
    /// The type of its elements.
    pub datatype: Datatype,
    /// Sizes of its dimensions.
    pub dims: &'a [i64],
    /// Its bytes.
    pub payload: Cow<'a, [u8]>,
}

impl<'a> Item<'a> {
    /// A tensor of the server's.
    pub fn of(name: &'a str, tensor: &'a Tensor) -> Self {
        let (datatype, dims) = (tensor.datatype(), tensor.shape().dims());
        Self { name, datatype, dims, payload: values::bytes(tensor.data()) }
    }
}

impl Memory {
    const fn bytes(region_bytes: usize) -> usize {
        PAGE + 2 * region_bytes
    }

    /// New memory, sealed so that nobody can change its size.
    pub fn create(region_bytes: usize) -> rustix::io::Result<(Self, OwnedFd)> {
        let region_bytes = region_bytes.next_multiple_of(PAGE);
        let file = rustix::fs::memfd_create("candor-plugin", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&file, Self::bytes(region_bytes) as u64)?;
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok((Self::map(&file, region_bytes)?, file))
    }

    /// Maps memory of this size.
    pub fn map(file: &OwnedFd, region_bytes: usize) -> rustix::io::Result<Self> {
        let region_bytes = region_bytes.next_multiple_of(PAGE);
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping that nothing else lies in; the file is at least as long and cannot be cut.
        let start =
            unsafe { rustix::mm::mmap(ptr::null_mut(), Self::bytes(region_bytes), protection, flags, file, 0)? };
        Ok(Self { start: start.cast(), region_bytes })
    }

    /// Not 0: stop.
    pub fn cancel(&self) -> &AtomicU32 {
        // SAFETY: the first word of the mapping, aligned to its page, only ever used as an atomic.
        unsafe { AtomicU32::from_ptr(self.start.cast()) }
    }

    /// The bell of requests: the number of the last call that was asked.
    pub fn asked(&self) -> Bell<'_> {
        self.bell(LINE)
    }

    /// The bell of replies: the number of the last call that was answered, if the worker is honest.
    pub fn answered(&self) -> Bell<'_> {
        self.bell(2 * LINE)
    }

    fn bell(&self, at: usize) -> Bell<'_> {
        // SAFETY: a word of the first page, on a line of its own, only ever used as an atomic.
        Bell(unsafe { AtomicU32::from_ptr(self.start.wrapping_add(at).cast()) })
    }

    /// Says "stop", or takes it back.
    pub fn set_cancel(&self, stop: bool) {
        self.cancel().store(u32::from(stop), Ordering::Relaxed);
    }

    /// From the server to the worker.
    pub fn request(&self) -> Region<'_> {
        self.region(PAGE)
    }

    /// From the worker to the server.
    pub fn reply(&self) -> Region<'_> {
        self.region(PAGE + self.region_bytes)
    }

    fn region(&self, at: usize) -> Region<'_> {
        Region { start: self.start.wrapping_add(at), len: self.region_bytes, lives: std::marker::PhantomData }
    }
}

/// A word that is waited for.
#[derive(Clone, Copy)]
pub struct Bell<'m>(&'m AtomicU32);

impl Bell<'_> {
    /// What it says.
    pub fn word(self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Says something, and wakes who waits. Memory that was written before is seen by who reads it.
    pub fn ring(self, word: u32) {
        self.0.store(word, Ordering::Release);
        self.wake();
    }

    /// Wakes who waits.
    pub fn wake(self) {
        // Nobody waiting is no failure, and there is no other.
        let _ = futex::wake(self.0, futex::Flags::empty(), 1);
    }

    /// Waits while it says this, for so long at most; or for no reason.
    pub fn wait(self, word: u32, nanos: Option<u64>) {
        let timeout = nanos.map(|nanos| Timespec {
            tv_sec: i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(nanos % 1_000_000_000).unwrap_or(0),
        });
        // It has changed, the time is over, a signal came: who waits looks again in any case.
        let _ = futex::wait(self.0, futex::Flags::empty(), word, timeout.as_ref());
    }
}

/// A tensor where it lies in a region.
pub struct Lying<'m> {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub datatype: Datatype,
    /// Sizes of its dimensions.
    pub dims: Vec<i64>,
    /// Its bytes, as [`Item::payload`].
    pub bytes: &'m [u8],
}

fn lie(what: &str) -> Error {
    Error::new(ErrorCode::EngineFailed, format!("the message in shared memory cannot be: {what}"))
}

/// The head of a message, copied.
struct Head(Vec<u8>, usize);

impl Head {
    fn take(&mut self, len: usize) -> Option<&[u8]> {
        let end = self.1.checked_add(len)?;
        let part = self.0.get(self.1..end)?;
        self.1 = end;
        Some(part)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }
}

impl<'m> Region<'m> {
    fn write(&self, at: usize, bytes: &[u8]) -> Option<()> {
        let end = at.checked_add(bytes.len())?;
        if end > self.len {
            return None;
        }
        // SAFETY: within the region; the other process may look, which raw copies allow for.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.add(at), bytes.len()) };
        Some(())
    }

    fn within(&self, at: usize, len: usize) -> Option<*const u8> {
        let end = at.checked_add(len)?;
        (end <= self.len).then(|| self.start.wrapping_add(at).cast_const())
    }

    fn read(&self, at: usize, len: usize) -> Option<Vec<u8>> {
        let from = self.within(at, len)?;
        let mut bytes = vec![0; len];
        // SAFETY: within the region; copied once, and judged afterwards.
        unsafe { ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), len) };
        Some(bytes)
    }

    /// Where tensors may be written before their message is: behind the longest head. [`Self::put`] leaves them there.
    pub fn room(&self) -> (*mut u8, usize) {
        let head = (4 + HEAD_BYTES_MAX).next_multiple_of(PAGE).min(self.len);
        (self.start.wrapping_add(head), self.len - head)
    }

    /// Where bytes lie in the region, if they do.
    fn place_of(&self, bytes: &[u8]) -> Option<usize> {
        let at = bytes.as_ptr().addr().checked_sub(self.start.addr())?;
        (at.checked_add(bytes.len())? <= self.len).then_some(at)
    }

    /// Writes a message: a lead of the caller's, and tensors. Those that lie in the region's room stay where they are.
    ///
    /// # Errors
    /// `TooLarge` when it does not fit.
    pub fn put(&self, lead: &[u8], items: &[Item<'_>]) -> Result<()> {
        let mut head = Vec::with_capacity(64 + lead.len() + items.len() * 96);
        let size = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
        head.extend(size(lead.len()));
        head.extend(lead);
        head.extend(size(items.len()));
        let head_bytes =
            head.len() + items.iter().map(|item| 28 + item.name.len() + item.dims.len() * 8).sum::<usize>();
        let lies = |item: &Item<'_>| self.place_of(&item.payload).map(|at| at + item.payload.len());
        let behind = items.iter().filter_map(lies).max().unwrap_or(0);
        let mut at = (4 + head_bytes).max(behind).next_multiple_of(LINE);
        let too_large = || {
            Error::new(ErrorCode::TooLarge, "the tensors do not fit into the plugin's shared memory")
                .expected(format!("at most {} bytes", self.len))
        };
        for item in items {
            head.extend(size(item.name.len()));
            head.extend(item.name.as_bytes());
            let index = Datatype::ALL.iter().position(|&datatype| datatype == item.datatype).unwrap_or(0);
            head.extend(size(index));
            head.extend(size(item.dims.len()));
            item.dims.iter().for_each(|dim| head.extend(dim.to_le_bytes()));
            let there = self.place_of(&item.payload);
            head.extend((there.unwrap_or(at) as u64).to_le_bytes());
            head.extend((item.payload.len() as u64).to_le_bytes());
            if there.is_none() {
                self.write(at, &item.payload).ok_or_else(too_large)?;
                at = (at + item.payload.len()).next_multiple_of(LINE);
            }
        }
        if head.len() > HEAD_BYTES_MAX {
            return Err(too_large());
        }
        self.write(4, &head).and_then(|()| self.write(0, &size(head.len()))).ok_or_else(too_large)
    }

    /// Reads a message: the lead, and the tensors, copied.
    ///
    /// # Errors
    /// `EngineFailed` for a message that cannot be.
    pub fn take(&self) -> Result<(Vec<u8>, Named)> {
        self.message(|place| {
            let data = if place.datatype == Datatype::Bytes {
                strings(&self.read(place.at, place.len).ok_or_else(|| lie("its head is cut"))?, place.shape.elements())?
            } else {
                // SAFETY: so many bytes lie within the region; copied once, and judged afterwards.
                unsafe { values::copied_from(place.datatype, place.shape.elements(), place.from, place.len)? }
            };
            Ok((place.name, Tensor::new(place.shape, data)?))
        })
    }

    /// Reads a message where it lies: nothing but its head is copied.
    ///
    /// # Safety
    /// Whoever writes the region must be honest, and not write until the tensors are gone: the server, as its worker
    /// sees it.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub unsafe fn borrow(&self) -> Result<(Vec<u8>, Vec<Lying<'m>>)> {
        self.message(|place| {
            let size = place.datatype.element_bytes().and_then(|size| size.checked_mul(place.shape.elements()));
            if place.datatype != Datatype::Bytes && size != Some(place.len) {
                return Err(lie("a tensor's bytes"));
            }
            // SAFETY: so many bytes lie within the region, and the caller answers for who writes them.
            let bytes = unsafe { std::slice::from_raw_parts(place.from, place.len) };
            Ok(Lying { name: place.name, datatype: place.datatype, dims: place.shape.dims().to_vec(), bytes })
        })
    }

    /// Reads a message, whose tensors `take` takes.
    fn message<T>(&self, take: impl Fn(Place) -> Result<T>) -> Result<(Vec<u8>, Vec<T>)> {
        let cut = || lie("its head is cut");
        let len = self.read(0, 4).and_then(|len| Some(u32::from_le_bytes(len.try_into().ok()?))).ok_or_else(cut)?;
        let len = usize::try_from(len).ok().filter(|&len| len <= HEAD_BYTES_MAX);
        let len = len.ok_or_else(|| lie("its head is too long"))?;
        let mut head = Head(self.read(4, len).ok_or_else(cut)?, 0);
        let lead = head.u32().ok_or_else(cut)? as usize;
        let lead = head.take(lead).ok_or_else(cut)?.to_vec();
        let count = head.u32().filter(|&count| count <= TENSORS_MAX).ok_or_else(|| lie("it has too many tensors"))?;
        // Each is copied. Many that all named the same bytes would take any amount of memory.
        let mut left = self.len;
        let tensors = (0..count).map(|_| take(self.place(&mut head, &mut left)?)).collect::<Result<Vec<_>>>();
        Ok((lead, tensors?))
    }

    fn place(&self, head: &mut Head, left: &mut usize) -> Result<Place> {
        let cut = || lie("its head is cut");
        let name =
            head.u32().map(|len| len as usize).filter(|&len| len <= NAME_BYTES_MAX).ok_or_else(|| lie("a name"))?;
        let name = head.take(name).ok_or_else(cut)?.to_vec();
        let name = String::from_utf8(name).map_err(|_| lie("a name is no UTF-8"))?;
        let datatype = head.u32().and_then(|index| Datatype::ALL.get(index as usize)).copied();
        let datatype = datatype.ok_or_else(|| lie("an unknown type"))?;
        let rank =
            head.u32().map(|rank| rank as usize).filter(|&rank| rank <= RANK_MAX).ok_or_else(|| lie("a rank"))?;
        let dims = (0..rank).map(|_| head.u64().map(u64::cast_signed)).collect::<Option<Vec<i64>>>().ok_or_else(cut)?;
        let (at, len) = (head.u64().ok_or_else(cut)?, head.u64().ok_or_else(cut)?);
        let place = usize::try_from(at).ok().zip(usize::try_from(len).ok());
        let (at, len) = place.ok_or_else(|| lie("a place"))?;
        let from = self.within(at, len).ok_or_else(|| lie("a tensor lies outside the memory"))?;
        *left = left.checked_sub(len).ok_or_else(|| lie("its tensors lie upon each other"))?;
        let shape = Shape::new(&dims).map_err(|error| lie(error.what()))?;
        Ok(Place { name, datatype, shape, from, at, len })
    }
}

/// Where a message says that a tensor lies: within the region, and nothing more is known of it.
struct Place {
    name: String,
    datatype: Datatype,
    shape: Shape,
    from: *const u8,
    at: usize,
    len: usize,
}

/// Strings: the end of each, then their bytes.
fn strings(bytes: &[u8], count: usize) -> Result<TensorData> {
    let mut array = BytesArray::default();
    each_string(bytes, count, |string| array.push(string))?;
    Ok(TensorData::Bytes(array))
}

/// Strings of a tensor, one after the other.
///
/// # Errors
/// `EngineFailed` for bytes that are no such strings.
pub fn each_string<'b>(bytes: &'b [u8], count: usize, mut take: impl FnMut(&'b [u8])) -> Result<()> {
    let ends = count.checked_mul(8).and_then(|len| bytes.split_at_checked(len));
    let (ends, bytes) = ends.ok_or_else(|| lie("fewer strings than its shape says"))?;
    let mut start = 0;
    for end in ends.as_chunks::<8>().0 {
        let end = usize::try_from(u64::from_le_bytes(*end)).ok();
        let string =
            end.and_then(|end| bytes.get(start..end)).ok_or_else(|| lie("a string lies outside its tensor"))?;
        take(string);
        start += string.len();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(datatype: Datatype) -> Tensor {
        Tensor::new(Shape::new(&[2, 3]).unwrap(), TensorData::zeros(datatype, 6)).unwrap()
    }

    #[test]
    fn messages_go_there_and_back() {
        let (memory, file) = Memory::create(1 << 16).unwrap();
        let other = Memory::map(&file, 1 << 16).unwrap();
        let words =
            Tensor::new(Shape::new(&[3]).unwrap(), TensorData::Bytes(["a", "", "longer"].iter().collect())).unwrap();
        for datatype in Datatype::ALL {
            let one = tensor(datatype);
            memory.request().put(b"lead", &[Item::of("x", &one), Item::of("words", &words)]).unwrap();
            let (lead, tensors) = other.request().take().unwrap();
            assert_eq!(
                (lead.as_slice(), tensors.as_slice()),
                (&b"lead"[..], &[("x".into(), one), ("words".into(), words.clone())][..])
            );
        }
        memory.set_cancel(true);
        assert_eq!(other.cancel().load(Ordering::Relaxed), 1);
        let large = Tensor::new(Shape::new(&[1 << 16]).unwrap(), TensorData::zeros(Datatype::Fp32, 1 << 16)).unwrap();
        assert_eq!(memory.request().put(b"", &[Item::of("x", &large)]).unwrap_err().code(), ErrorCode::TooLarge);
    }

    /// Every word of the head, changed to what hurts most: an error or tensors, never a read outside.
    #[test]
    fn a_lying_head_is_refused() {
        let (memory, _file) = Memory::create(1 << 14).unwrap();
        let region = memory.reply();
        let (one, flags) = (tensor(Datatype::Fp32), tensor(Datatype::Bool));
        let mut refused = 0;
        for at in 0..200 {
            for value in [0, 1, 0x7f, 0xff] {
                region.put(b"12345678", &[Item::of("x", &one), Item::of("flags", &flags)]).unwrap();
                region.write(at, &[value; 8]).unwrap();
                refused += usize::from(region.take().is_err());
            }
        }
        assert!(refused > 300, "only {refused} of 800 were refused");
        region.put(b"", &[Item::of("flags", &flags)]).unwrap();
        region.write(64, &[7]).unwrap();
        assert!(region.take().unwrap_err().to_string().contains("neither 0 nor 1"));
    }

    /// A reply of a few bytes for each tensor must not make the server copy the whole memory for each.
    #[test]
    fn tensors_that_share_their_bytes_are_refused() {
        let (memory, _file) = Memory::create(1 << 20).unwrap();
        let region = memory.reply();
        let half = |datatype| {
            let elements = (1 << 19) / if datatype == Datatype::Fp32 { 4 } else { 1 };
            Tensor::new(Shape::new(&[elements]).unwrap(), TensorData::zeros(datatype, elements as usize)).unwrap()
        };
        let (large, small) = (half(Datatype::Fp32), tensor(Datatype::Bool));
        region.put(b"", &[Item::of("x", &large), Item::of("y", &small)]).unwrap();
        assert_eq!(region.take().unwrap().1.len(), 2);
        // Where the head stands that says "x": its length, name, type, rank, size, place and bytes.
        let of_x = region.read(12, 37).unwrap();
        let count = 3_u32;
        let mut head = [0_u32.to_le_bytes(), count.to_le_bytes()].concat();
        (0..count).for_each(|_| head.extend(&of_x));
        region.write(4, &head).unwrap();
        region.write(0, &u32::try_from(head.len()).unwrap().to_le_bytes()).unwrap();
        let error = region.take().unwrap_err().to_string();
        assert!(error.contains("upon each other"), "{error}");
    }

    #[test]
    fn what_was_written_into_the_room_is_not_copied() {
        let (memory, _file) = Memory::create(1 << 20).unwrap();
        let region = memory.reply();
        let (start, bytes) = region.room();
        assert!(bytes > 700 << 10 && start.addr() % LINE == 0);
        let one = tensor(Datatype::Int64);
        let own = values::bytes(one.data());
        // SAFETY: within the room, which nobody else uses.
        let there = unsafe {
            start.add(LINE).copy_from_nonoverlapping(own.as_ptr(), own.len());
            std::slice::from_raw_parts(start.add(LINE), own.len())
        };
        let item = |payload| Item { name: "x", datatype: Datatype::Int64, dims: &[2, 3], payload };
        region.put(b"lead", &[item(Cow::Borrowed(there)), Item::of("own", &one), item(Cow::Borrowed(there))]).unwrap();
        let (lead, tensors) = region.take().unwrap();
        assert_eq!(lead, b"lead");
        assert!(tensors.iter().all(|(_, tensor)| *tensor == one) && tensors.len() == 3);
    }

    #[test]
    fn nobody_can_cut_it() {
        let (_memory, file) = Memory::create(PAGE).unwrap();
        assert!(rustix::fs::ftruncate(&file, 0).is_err());
    }
}
