//! Reads a shared library as bytes: whether it is a plugin for this machine, before anything of it runs.
//!
//! It goes by the dynamic segment, as the loader does, and not by section headers, which a library need not have. All
//! offsets come from the file and are checked. Before it comes the file's digest; after it come negotiation and the
//! loader. It does not know which versions this host speaks.

use candor_plugin_abi as abi;

use crate::refusal::{Reason, Refusal, Verdict};

/// The frozen head of a module, as it lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Tells a plugin from any other library.
    pub magic: u64,
    /// Its major version.
    pub abi_major: u16,
    /// The least minor version that it needs.
    pub abi_min_minor: u16,
    /// The minor version that it was built with.
    pub abi_built_minor: u16,
    /// The size of its table.
    pub struct_size: u32,
    /// Such as `MODULE_PANIC_ABORT`.
    pub flags: u32,
}

/// What a library says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// The head of its module.
    pub head: Head,
    /// The libraries that it needs.
    pub needed: Vec<String>,
    /// Whether it has search paths of its own.
    pub search_paths: bool,
    /// Whether it wants a stack that can be executed.
    pub exec_stack: bool,
    /// Whether the loader would have to write to its code.
    pub text_relocations: bool,
    /// Whether it takes from the little static space for thread-locals: some loads later there is none left.
    pub static_tls: bool,
    /// How many symbols others can see, its module among them.
    pub exports: u64,
    /// The newest glibc that it asks for, such as `2.34`; empty if it asks for none.
    pub glibc: String,
}

/// The machine's number in ELF files.
const MACHINE: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
const HEAD_BYTES: usize = 24;
const SYMBOL_BYTES: u64 = 24;
/// More symbols than any library has; bounds the walk through a hostile table.
const SYMBOLS_MAX: u64 = 4_000_000;
/// Libraries that one may need.
const NEEDED_MAX: usize = 256;
/// A library's name, and that of a module.
const NAME_BYTES_MAX: usize = 255;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_GNU_STACK: u32 = 0x6474_e551;

fn broken(what: &str) -> Refusal {
    Refusal::new(Reason::NotALibrary, format!("the library is broken: {what}"))
        .hint("build it again, or copy it again: it may have been cut")
}

/// Bytes with bounds.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn get(self, at: u64, len: usize) -> Option<&'a [u8]> {
        let start = usize::try_from(at).ok()?;
        self.0.get(start..start.checked_add(len)?)
    }

    fn u16(self, at: u64) -> Option<u16> {
        self.get(at, 2)?.try_into().ok().map(u16::from_le_bytes)
    }

    fn u32(self, at: u64) -> Option<u32> {
        self.get(at, 4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(self, at: u64) -> Option<u64> {
        self.get(at, 8)?.try_into().ok().map(u64::from_le_bytes)
    }

    /// A name up to its NUL, which comes soon.
    fn text(self, at: u64) -> Option<&'a [u8]> {
        let rest = self.0.get(usize::try_from(at).ok()?..)?;
        let rest = rest.get(..rest.len().min(NAME_BYTES_MAX + 1))?;
        rest.get(..rest.iter().position(|&byte| byte == 0)?)
    }
}

/// A program header.
#[derive(Clone, Copy)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    file_bytes: u64,
}

/// The parts of the dynamic segment that matter.
#[derive(Default)]
struct Dynamic {
    symbols: Option<u64>,
    strings: Option<u64>,
    hash: Option<u64>,
    gnu_hash: Option<u64>,
    needed: Vec<u64>,
    search_paths: bool,
    text_relocations: bool,
    static_tls: bool,
}

struct File<'a> {
    bytes: Bytes<'a>,
    segments: Vec<Segment>,
}

/// Reads a library.
///
/// # Errors
/// `NotALibrary` for what the loader would not take, `NotAPlugin` for a library without a module.
pub fn inspect(bytes: &[u8]) -> Verdict<Inspected> {
    let file = File { bytes: Bytes(bytes), segments: segments(Bytes(bytes))? };
    let dynamic = file.dynamic()?;
    let strings = dynamic.strings.and_then(|address| file.offset(address));
    let strings = strings.ok_or_else(|| broken("it has no table of names"))?;
    let needed = dynamic.needed.iter().map(|at| {
        let name = strings.checked_add(*at).and_then(|at| file.bytes.text(at));
        let name = name.ok_or_else(|| broken("the name of a library that it needs lies outside the file"))?;
        Ok(String::from_utf8_lossy(name).into_owned())
    });
    Ok(Inspected {
        head: file.head(&dynamic, strings)?,
        needed: needed.collect::<Verdict<_>>()?,
        search_paths: dynamic.search_paths,
        exec_stack: file.segments.iter().any(|segment| segment.kind == PT_GNU_STACK && segment.flags & 1 != 0),
        text_relocations: dynamic.text_relocations,
        static_tls: dynamic.static_tls,
        exports: file.exports(&dynamic),
        glibc: file.glibc(strings),
    })
}

fn segments(bytes: Bytes<'_>) -> Verdict<Vec<Segment>> {
    let not = |got: &str| {
        Refusal::new(Reason::NotALibrary, "the file is no shared library for this machine")
            .expected(format!("a 64-bit little-endian ELF library for {}", std::env::consts::ARCH))
            .got(got)
    };
    match bytes.0 {
        [] => return Err(not("an empty file")),
        [0x7f, b'E', b'L', b'F', ..] => {}
        _ => return Err(not("something that is no ELF file")),
    }
    if bytes.get(4, 2) != Some(&[2, 1]) {
        return Err(not("an ELF file of another width or byte order"));
    }
    let field = |value: Option<u16>| value.ok_or_else(|| broken("its header is cut"));
    let (kind, machine) = (field(bytes.u16(16))?, field(bytes.u16(18))?);
    if machine != MACHINE {
        return Err(not(&format!("an ELF file for machine {machine}")));
    }
    if kind != 3 {
        return Err(not("an ELF file that is no shared library"));
    }
    let first = bytes.u64(32).ok_or_else(|| broken("its header is cut"))?;
    let (size, count) = (field(bytes.u16(54))?, field(bytes.u16(56))?);
    let segments = (0..u64::from(count)).map(|at| {
        let start = first.checked_add(at * u64::from(size))?;
        Some(Segment {
            kind: bytes.u32(start)?,
            flags: bytes.u32(start.checked_add(4)?)?,
            offset: bytes.u64(start.checked_add(8)?)?,
            address: bytes.u64(start.checked_add(16)?)?,
            file_bytes: bytes.u64(start.checked_add(32)?)?,
        })
    });
    let segments: Option<Vec<Segment>> = segments.collect();
    let segments = segments.ok_or_else(|| broken("its program headers lie outside the file"))?;
    let whole = segments
        .iter()
        .filter(|segment| segment.kind == PT_LOAD || segment.kind == PT_DYNAMIC)
        .all(|segment| usize::try_from(segment.file_bytes).is_ok_and(|len| bytes.get(segment.offset, len).is_some()));
    if whole { Ok(segments) } else { Err(broken("it is shorter than its headers say")) }
}

impl File<'_> {
    /// Where an address lies in the file.
    fn offset(&self, address: u64) -> Option<u64> {
        let inside = |segment: &&Segment| {
            segment.kind == PT_LOAD && address.checked_sub(segment.address).is_some_and(|at| at < segment.file_bytes)
        };
        let segment = self.segments.iter().find(inside)?;
        segment.offset.checked_add(address - segment.address)
    }

    fn dynamic(&self) -> Verdict<Dynamic> {
        let segment = self.segments.iter().find(|segment| segment.kind == PT_DYNAMIC);
        let segment = segment.ok_or_else(|| broken("it has no dynamic segment"))?;
        let mut dynamic = Dynamic::default();
        for at in (0..segment.file_bytes / 16).map(|entry| segment.offset.saturating_add(entry * 16)) {
            let (tag, value) = (self.bytes.u64(at), self.bytes.u64(at.saturating_add(8)));
            let (Some(tag), Some(value)) = (tag, value) else { return Err(broken("its dynamic segment is cut")) };
            match tag {
                0 => break,
                1 if dynamic.needed.len() >= NEEDED_MAX => return Err(broken("it needs too many libraries")),
                1 => dynamic.needed.push(value),
                4 => dynamic.hash = Some(value),
                5 => dynamic.strings = Some(value),
                6 => dynamic.symbols = Some(value),
                15 | 29 => dynamic.search_paths = true,
                22 => dynamic.text_relocations = true,
                30 => {
                    dynamic.text_relocations |= value & 4 != 0;
                    dynamic.static_tls |= value & 16 != 0;
                }
                0x6fff_fef5 => dynamic.gnu_hash = Some(value),
                _ => {}
            }
        }
        Ok(dynamic)
    }

    /// How many symbols there are: the old table says it, the new one is walked to its last chain.
    fn symbol_count(&self, dynamic: &Dynamic) -> Option<u64> {
        if let Some(hash) = dynamic.hash.and_then(|address| self.offset(address)) {
            return self.bytes.u32(hash.checked_add(4)?).map(u64::from);
        }
        let hash = self.offset(dynamic.gnu_hash?)?;
        let (buckets, first) = (u64::from(self.bytes.u32(hash)?), u64::from(self.bytes.u32(hash.checked_add(4)?)?));
        let filter_words = u64::from(self.bytes.u32(hash.checked_add(8)?)?);
        let bucket = hash.checked_add(16)?.checked_add(filter_words.checked_mul(8)?)?;
        let chains = bucket.checked_add(buckets.checked_mul(4)?)?;
        let mut last = 0;
        for at in 0..buckets.min(SYMBOLS_MAX) {
            last = last.max(u64::from(self.bytes.u32(bucket + at * 4)?));
        }
        if last < first {
            return Some(first);
        }
        while last < SYMBOLS_MAX && self.bytes.u32(chains.checked_add((last - first) * 4)?)? & 1 == 0 {
            last += 1;
        }
        Some(last + 1)
    }

    /// Symbols that are defined here, and not hidden.
    fn exports(&self, dynamic: &Dynamic) -> u64 {
        let symbols = dynamic.symbols.and_then(|address| self.offset(address));
        let count = self.symbol_count(dynamic).filter(|&count| count <= SYMBOLS_MAX);
        let (Some(symbols), Some(count)) = (symbols, count) else { return 0 };
        let is_seen = |at: u64| -> Option<bool> {
            let symbol = symbols.checked_add(at * SYMBOL_BYTES)?;
            let &[info, other] = self.bytes.get(symbol.checked_add(4)?, 2)? else { return None };
            // Global or weak, of default visibility, and in a section.
            let defined = self.bytes.u16(symbol.checked_add(6)?)? != 0;
            Some(defined && matches!(info >> 4, 1 | 2) && other & 3 == 0)
        };
        (0..count).filter(|&at| is_seen(at) == Some(true)).count() as u64
    }

    /// The names of versions lie among the names of symbols.
    fn glibc(&self, strings: u64) -> String {
        const MARK: &[u8] = b"\0GLIBC_2.";
        const NAMES_MAX: usize = 4 << 20;
        let rest = usize::try_from(strings).ok().and_then(|at| self.bytes.0.get(at..)).unwrap_or_default();
        let rest = rest.get(..rest.len().min(NAMES_MAX)).unwrap_or_default();
        let minor = |at: usize| {
            let digits = rest.get(at + MARK.len()..)?;
            let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
            std::str::from_utf8(digits.get(..end)?).ok()?.parse::<u32>().ok()
        };
        let marks = rest.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
        marks.filter_map(|(at, _)| minor(at)).max().map(|minor| format!("2.{minor}")).unwrap_or_default()
    }

    fn head(&self, dynamic: &Dynamic, strings: u64) -> Verdict<Head> {
        let symbols = dynamic.symbols.and_then(|address| self.offset(address));
        let symbols = symbols.ok_or_else(|| broken("it has no table of symbols"))?;
        let count = self.symbol_count(dynamic).filter(|&count| count <= SYMBOLS_MAX);
        let count = count.ok_or_else(|| broken("its table of symbols has no end"))?;
        let found = (0..count).find_map(|at| {
            let symbol = symbols.checked_add(at * SYMBOL_BYTES)?;
            let name = strings.checked_add(u64::from(self.bytes.u32(symbol)?))?;
            // Defined here, and of that name.
            let defined = self.bytes.u16(symbol.checked_add(6)?)? != 0;
            (defined && self.bytes.text(name)? == abi::MODULE_SYMBOL.as_bytes()).then_some(symbol)
        });
        let Some(symbol) = found else {
            return Err(Refusal::new(Reason::NotAPlugin, "the library is no plugin")
                .expected(format!("an exported object `{}`", abi::MODULE_SYMBOL))
                .got(format!("{count} symbols, none of them of that name"))
                .hint("in Rust use `export!`, in C CANDOR_DEFINE_MODULE"));
        };
        let kind = self.bytes.get(symbol.saturating_add(4), 1).and_then(|byte| byte.first()).map(|byte| byte & 15);
        if kind != Some(1) {
            return Err(Refusal::new(Reason::NotAPlugin, format!("`{}` is no object", abi::MODULE_SYMBOL)));
        }
        let address = self.bytes.u64(symbol.saturating_add(8));
        let at = address.and_then(|address| self.offset(address));
        let head = at.and_then(|at| read_head(Bytes(self.bytes.get(at, HEAD_BYTES)?)));
        head.ok_or_else(|| {
            Refusal::new(Reason::NotAPlugin, format!("the first bytes of `{}` are not in the file", abi::MODULE_SYMBOL))
                .hint("the module must be constant data")
        })
    }
}

fn read_head(bytes: Bytes<'_>) -> Option<Head> {
    Some(Head {
        magic: bytes.u64(0)?,
        abi_major: bytes.u16(8)?,
        abi_min_minor: bytes.u16(10)?,
        abi_built_minor: bytes.u16(12)?,
        struct_size: bytes.u32(16)?,
        flags: bytes.u32(20)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_few() {
        let mut bytes = vec![b'n'; 300];
        bytes.push(0);
        assert_eq!(Bytes(&bytes).text(0), None, "a library may point at the same long text any number of times");
        assert_eq!(Bytes(&bytes).text(100).map(<[u8]>::len), Some(200));
        assert_eq!(Bytes(&bytes[..300]).text(100), None, "no end");
        let needed = |count: usize| {
            let mut bytes = [1_u64.to_le_bytes(), 0_u64.to_le_bytes()].concat().repeat(count);
            bytes.extend([0; 16]);
            let file_bytes = bytes.len() as u64;
            let segment = Segment { kind: PT_DYNAMIC, flags: 0, offset: 0, address: 0, file_bytes };
            let file = File { bytes: Bytes(&bytes), segments: vec![segment] };
            file.dynamic().map(|dynamic| dynamic.needed.len()).map_err(|refusal| refusal.to_string())
        };
        assert_eq!(needed(NEEDED_MAX), Ok(NEEDED_MAX));
        assert!(needed(NEEDED_MAX + 1).unwrap_err().contains("too many libraries"));
    }
}
