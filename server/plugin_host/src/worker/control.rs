//! The socket between server and worker: the order with the memory, and frames in return.
//!
//! A frame is a length and JSON. Its length is bounded, and what it says is the worker's word and nothing more. It does
//! not know what an order leads to.

use std::{
    io::{ErrorKind, IoSlice, IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    time::Duration,
};

use rustix::{
    cmsg_space,
    io::Errno,
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags},
    time::{ClockId, clock_gettime},
};
use serde::{Deserialize, Serialize};

use crate::{manifest::Manifest, services::Age, tables::ComponentInfo};

/// What a worker says is short.
const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// An order holds a configuration, and that may hold files of a model.
const ORDER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What a worker is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// The server's process.
    pub parent: i32,
    /// The private copy of the library.
    pub library: PathBuf,
    /// Its digest.
    pub sha256: String,
    /// Libraries that it may need besides the system's.
    pub libraries: Vec<String>,
    /// What the folder says, which the library must agree with.
    pub manifest: Manifest,
    /// What to do with it.
    pub task: Task,
    /// Bytes of each region.
    pub region_bytes: usize,
    /// Bytes of address space.
    pub memory_bytes: u64,
    /// How old a host the plugin is to see.
    pub age: Age,
}

/// What a worker is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Task {
    /// Loads the library, says what is in it, and ends: a plugin's first contact is never with the server.
    Look,
    /// Makes an instance of this component with this configuration, and answers.
    Serve(String, String),
}

/// What a library turned out to offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Its components.
    pub components: Vec<ComponentInfo>,
    /// What built it, as JSON.
    pub build_info: String,
}

/// What a worker says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Frame {
    /// This is in the library.
    Found(Offer),
    /// The instance is there; its inputs and outputs as JSON, if it tells them.
    Ready(Option<String>),
    /// It is not, and why: a reason's word and the sentence.
    Refused(String, String),
    /// A line for the log.
    Log(i32, String),
    /// A number for the metrics; none for what JSON has no number for.
    Metric(i32, String, Option<f64>, String),
}

fn io(errno: Errno) -> std::io::Error {
    errno.into()
}

fn cut(what: &str) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, what.to_owned())
}

/// Sends the order, and with its first byte the memory.
pub fn send_order(socket: &UnixStream, order: &Order, memory: &OwnedFd) -> std::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds = [memory.as_fd()];
    if !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(cut("no room for the memory"));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(b"C")], &mut ancillary, SendFlags::NOSIGNAL).map_err(io)?;
    write(socket, order, ORDER_BYTES_MAX)
}

/// Takes the order and the memory.
pub fn take_order(socket: &UnixStream) -> std::io::Result<(Order, OwnedFd)> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let (mut ancillary, mut byte) = (RecvAncillaryBuffer::new(&mut space), [0]);
    rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        .map_err(io)?;
    let mut files = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            files.extend(fds);
        }
    }
    let memory = files.pop().ok_or_else(|| cut("the order came without its memory"))?;
    Ok((read(socket, ORDER_BYTES_MAX, None)?, memory))
}

/// Sends a frame.
pub fn send<T: Serialize>(socket: &UnixStream, frame: &T) -> std::io::Result<()> {
    write(socket, frame, FRAME_BYTES_MAX)
}

/// Takes a frame, whenever it comes.
pub fn receive<T: for<'de> Deserialize<'de>>(socket: &UnixStream) -> std::io::Result<T> {
    read(socket, FRAME_BYTES_MAX, None)
}

/// Takes a frame that is there, whole, before the time is over.
pub fn receive_until<T: for<'de> Deserialize<'de>>(socket: &UnixStream, until: Until) -> std::io::Result<T> {
    read(socket, FRAME_BYTES_MAX, Some(until))
}

/// The end of a time, for waits that the kernel does.
#[derive(Debug, Clone, Copy)]
pub struct Until(Duration);

impl Until {
    /// So long from now.
    pub fn after(span: Duration) -> Self {
        Self(now().saturating_add(span))
    }

    fn left(self) -> std::io::Result<Duration> {
        let left = self.0.saturating_sub(now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

fn write<T: Serialize>(mut socket: &UnixStream, frame: &T, most: usize) -> std::io::Result<()> {
    let json = serde_json::to_vec(frame)?;
    let len = u32::try_from(json.len()).ok().filter(|&len| len as usize <= most);
    let mut whole = len.ok_or_else(|| cut("the frame is too long"))?.to_le_bytes().to_vec();
    whole.extend(json);
    socket.write_all(&whole)
}

/// Fills all of it. A limit of the socket's would hold for each part that comes, and begin anew with each.
fn fill(mut socket: &UnixStream, mut bytes: &mut [u8], until: Option<Until>) -> std::io::Result<()> {
    let Some(until) = until else { return socket.read_exact(bytes) };
    while !bytes.is_empty() {
        socket.set_read_timeout(Some(until.left()?))?;
        match socket.read(bytes) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => bytes = bytes.get_mut(read..).unwrap_or_default(),
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read<T: for<'de> Deserialize<'de>>(socket: &UnixStream, most: usize, until: Option<Until>) -> std::io::Result<T> {
    let mut len = [0; 4];
    fill(socket, &mut len, until)?;
    let len = u32::from_le_bytes(len) as usize;
    if len > most {
        return Err(cut("the frame is too long"));
    }
    let mut json = vec![0; len];
    fill(socket, &mut json, until)?;
    Ok(serde_json::from_slice(&json)?)
}
