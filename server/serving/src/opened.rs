//! Files of folders that others may write into: opened without following a link, and judged by what was opened.
//!
//! What a path leads to may change between a look and the opening, so the look comes after: whoever swaps the file for
//! a link meanwhile, or the folder it lies in, gets nothing read, and a pipe in its place keeps nobody waiting. It does
//! not know what a file is for; folders further up are the caller's.

use std::{fs::File, io, path::Path};

use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
};

/// Why there is no file to read.
#[derive(Debug)]
pub(crate) enum Unopened {
    /// Nothing has this name.
    Missing,
    /// It is a link, or the folder is one.
    Link,
    /// It is a folder, a pipe or something else.
    NoFile,
    /// The system says why.
    Failed(io::Error),
}

impl From<Errno> for Unopened {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::Missing,
            Errno::LOOP => Self::Link,
            // A socket.
            Errno::NXIO => Self::NoFile,
            _ => Self::Failed(error.into()),
        }
    }
}

/// Opens a file to be read, and says how large it is.
pub(crate) fn open(path: &Path) -> Result<(File, u64), Unopened> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: File = match (path.parent().filter(|folder| !folder.as_os_str().is_empty()), path.file_name()) {
        (Some(folder), Some(name)) => {
            // With DIRECTORY a link is "no folder", like anything else that is none.
            let of_folder = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let folder = match rustix::fs::openat(CWD, folder, of_folder, Mode::empty()) {
                Err(Errno::NOTDIR) => return Err(Unopened::Link),
                folder => folder?,
            };
            rustix::fs::openat(folder, name, flags, Mode::empty())?.into()
        }
        _ => rustix::fs::open(path, flags, Mode::empty())?.into(),
    };
    let metadata = file.metadata().map_err(Unopened::Failed)?;
    if metadata.is_file() { Ok((file, metadata.len())) } else { Err(Unopened::NoFile) }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::{fs::symlink, net::UnixListener},
        sync::atomic::{AtomicBool, Ordering::Relaxed},
    };

    use super::*;

    #[test]
    fn only_files_are_opened_and_nothing_else_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("folder")).unwrap();
        fs::write(at("folder/file"), "four").unwrap();
        symlink(at("folder/file"), at("link")).unwrap();
        symlink(at("folder"), at("way")).unwrap();
        rustix::fs::mknodat(CWD, at("pipe"), rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        assert_eq!(open(&at("folder/file")).unwrap().1, 4);
        assert!(matches!(open(&at("link")), Err(Unopened::Link)));
        assert!(matches!(open(&at("way/file")), Err(Unopened::Link)));
        assert!(matches!(open(&at("none")), Err(Unopened::Missing)));
        for other in ["folder", "pipe", "socket"] {
            assert!(matches!(open(&at(other)), Err(Unopened::NoFile)), "{other}");
        }
    }

    /// Somebody who swaps a file for a link as fast as they can.
    #[test]
    fn a_file_that_is_swapped_for_a_link_meanwhile_lets_nobody_out() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("m")).unwrap();
        fs::write(at("secret"), "not = 'theirs'").unwrap();
        fs::write(at("m/good"), "").unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let _ = symlink(at("secret"), at("m/draft"));
                    fs::rename(at("m/draft"), at("m/model.toml")).unwrap();
                    fs::copy(at("m/good"), at("m/draft")).unwrap();
                    fs::rename(at("m/draft"), at("m/model.toml")).unwrap();
                }
            });
            for _ in 0..20_000 {
                let read = crate::repository::read_text(&at("m/model.toml"));
                assert!(!matches!(&read, Ok(Some(text)) if !text.is_empty()), "{read:?}");
            }
            done.store(true, Relaxed);
        });
    }
}
