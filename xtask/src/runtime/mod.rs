//! `cargo xtask runtime`: ONNX Runtime's library, beside the binary that will load it.
//!
//! Before serve, test and bench. [`pins`] says which files are accepted, [`fetch`] gets one; this
//! module decides whether there is anything to do, and explains when nothing works. It does not know
//! how the server looks for the library, only that it looks beside itself.

mod fetch;
mod pins;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::house::House;
use pins::{Pins, Way};

/// The command: `runtime [--profile debug|release]`.
pub fn command(house: &House, args: &[String]) -> Result<()> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let profile = match words.as_slice() {
        [] => "debug",
        ["--profile", profile @ ("debug" | "release")] => profile,
        _ => bail!("`runtime` takes --profile debug|release or nothing"),
    };
    let library = ensure(house, profile)?;
    println!("  {} is in place", house.shown(&library));
    Ok(())
}

/// The library beside the binary of this profile; fetched when it is not there.
pub fn ensure(house: &House, profile: &str) -> Result<PathBuf> {
    ensure_in(house, &house.target(profile))
}

/// The library in this folder, and in its deps/, where cargo puts the binaries of tests.
pub fn ensure_in(house: &House, folder: &Path) -> Result<PathBuf> {
    let library = find_or_fetch(house, folder)?;
    if let Some(name) = library.file_name() {
        let deps = folder.join("deps");
        fs::create_dir_all(&deps).with_context(|| format!("cannot make {}", deps.display()))?;
        fetch::link(&library, &deps.join(name))?;
    }
    Ok(library)
}

fn find_or_fetch(house: &House, folder: &Path) -> Result<PathBuf> {
    let pins = Pins::read(&house.path("xtask/runtime.toml"))?;
    let ways: Vec<&Way> = pins.here().collect();
    if let Some(found) = in_place(folder, &ways) {
        return Ok(found);
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut tried = Vec::new();
    for way in ways {
        match obtain(house, way, folder) {
            Ok(library) => {
                warn_of_others(folder, &library);
                return Ok(library);
            }
            Err(error) => {
                println!("  {} did not work", way.title());
                tried.push(format!("- {}: {error:#}", way.title()));
            }
        }
    }
    if let Some(own) = others(folder, None).into_iter().next() {
        println!("  using {}, which is not one of the pinned files", house.shown(&own));
        return Ok(own);
    }
    bail!(explanation(&house.shown(folder), &tried))
}

/// A library that is already there and is the right one.
fn in_place(folder: &Path, ways: &[&Way]) -> Option<PathBuf> {
    ways.iter()
        .map(|way| (folder.join(way.file_name()), way))
        .find(|(path, way)| fetch::verify(path, way).is_ok())
        .map(|(path, _)| path)
}

/// Gets the library by one way, through the cache in target/runtime/, into the profile's folder.
fn obtain(house: &House, way: &Way, folder: &Path) -> Result<PathBuf> {
    let cache = house.target("runtime");
    let cached = cache.join(way.file_name());
    if fetch::verify(&cached, way).is_err() {
        println!("  fetching ONNX Runtime: {}", way.title());
        fetch::fetch(way, &cache)?;
    }
    let library = folder.join(way.file_name());
    fetch::place(&cached, &library)?;
    Ok(library)
}

/// Libraries in the folder besides the given one.
fn others(folder: &Path, except: Option<&Path>) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy());
            name.is_some_and(|name| name.starts_with("libonnxruntime.so"))
        })
        .filter(|path| Some(path.as_path()) != except)
        .collect();
    found.sort();
    found
}

fn warn_of_others(folder: &Path, library: &Path) {
    for other in others(folder, Some(library)) {
        println!("  warning: {} is there too; remove it, or the server may take it", other.display());
    }
}

/// What was tried, what each said, and what can be done by hand.
fn explanation(folder: &str, tried: &[String]) -> String {
    let said = if tried.is_empty() {
        format!("- xtask/runtime.toml has no entry for this processor ({})", std::env::consts::ARCH)
    } else {
        tried.join("\n")
    };
    format!(
        "no ONNX Runtime library\ntried:\n{said}\nby hand: put libonnxruntime.so.<version> into \
         {folder}/, beside the binary, or start the server with \
         `candor serve --ort-library PATH`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house_with(pins: &str) -> (tempfile::TempDir, House) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("xtask")).unwrap();
        fs::write(folder.path().join("xtask/runtime.toml"), pins).unwrap();
        let house = House::at(folder.path());
        (folder, house)
    }

    fn pin(arch: &str, sha256: &str) -> String {
        format!(
            "[[way]]\narch = '{arch}'\nkind = 'npm'\npackage = 'none'\nversion = '9.9.9'\n\
             inside = 'package/lib.so.1'\nsha256 = ['{sha256}']\n"
        )
    }

    #[test]
    fn a_right_file_in_place_is_enough() {
        let (_keep, house) = house_with("");
        fs::create_dir_all(house.target("debug")).unwrap();
        let file = house.target("debug/libonnxruntime.so.9.9.9");
        fs::write(&file, "onnx").unwrap();
        let sum = crate::wheel::sha256(&file).unwrap();
        fs::write(house.path("xtask/runtime.toml"), pin(std::env::consts::ARCH, &sum)).unwrap();
        assert_eq!(ensure(&house, "debug").unwrap(), file);
    }

    #[test]
    fn the_cache_serves_both_profiles() {
        let (_keep, house) = house_with("");
        fs::create_dir_all(house.target("runtime")).unwrap();
        let cached = house.target("runtime/libonnxruntime.so.9.9.9");
        fs::write(&cached, "onnx").unwrap();
        let sum = crate::wheel::sha256(&cached).unwrap();
        fs::write(house.path("xtask/runtime.toml"), pin(std::env::consts::ARCH, &sum)).unwrap();
        for profile in ["debug", "release"] {
            let library = ensure(&house, profile).unwrap();
            assert!(house.target(profile).join("deps/libonnxruntime.so.9.9.9").is_file());
            assert_eq!(fs::read(library).unwrap(), b"onnx");
        }
    }

    #[test]
    fn an_unknown_processor_is_explained() {
        let (_keep, house) = house_with(&pin("abacus", "00"));
        let error = ensure(&house, "debug").unwrap_err().to_string();
        assert!(error.contains("no entry for this processor"), "{error}");
        assert!(error.contains("--ort-library"), "{error}");
        assert!(error.contains("target/debug/, beside"), "{error}");
    }

    #[test]
    fn a_library_put_by_hand_is_the_last_resort() {
        let (_keep, house) = house_with(&pin("abacus", "00"));
        fs::create_dir_all(house.target("debug")).unwrap();
        let own = house.target("debug/libonnxruntime.so.1.25.0");
        fs::write(&own, "mine").unwrap();
        assert_eq!(ensure(&house, "debug").unwrap(), own);
    }

    #[test]
    fn the_command_refuses_other_words() {
        let (_keep, house) = house_with("");
        let error = command(&house, &["--profile".to_owned(), "fast".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("debug|release"));
    }
}
