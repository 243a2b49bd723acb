//! What the configuration names: engines, models, addresses, tokens, data folder.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use candor_domain::EngineInfo;
use candor_engine_ort::library;
use candor_serving::Repository;
use rustix::fs::{Access, access};

use super::machine;
use crate::{
    cli::report::{Check, Mark, number},
    config::Settings,
    data::DataFolder,
    side_door::Place,
    wiring,
};

pub(super) fn look(settings: &Settings) -> Vec<Check> {
    let mut checks = engines(settings);
    checks.extend(models(settings));
    checks.extend(settings.http_addrs.iter().map(|addr| address("address", *addr, settings, "--http-addr")));
    let grpc = |addr, other: &str| address("grpc", addr, settings, other);
    checks.extend(side_door(&wiring::grpc_place(settings), grpc));
    checks.extend(side_door(&wiring::health_place(settings), health_address));
    checks.push(settings.tokens_file.as_deref().map_or_else(|| no_tokens(settings), tokens));
    checks.extend(data(settings.data_dir.as_deref()));
    checks
}

fn engines(settings: &Settings) -> Vec<Check> {
    let engines = match wiring::engines(settings) {
        Ok(engines) => engines,
        Err(error) => return vec![Check::from_error("engine", &error)],
    };
    let mut checks: Vec<Check> = engines.infos().flat_map(|info| engine(info, settings)).collect();
    checks.extend(engines.absent().map(|absent| Check::from_error("engine", &absent.why).warning()));
    checks
}

fn engine(info: &EngineInfo, settings: &Settings) -> Vec<Check> {
    let Some(path) = &info.library else {
        return vec![Check::ok("engine", format!("{} {}", info.name, info.version))];
    };
    let sha256 = info.library_sha256.as_deref().unwrap_or("unknown");
    let [major, minor] = library::VERSION_MIN;
    let text = format!(
        "{}: ONNX Runtime {} ({major}.{minor} or newer is needed)\n{}\nsha256 {sha256}",
        info.name,
        info.version,
        path.display()
    );
    let numbers: Vec<u32> = info.version.split('.').filter_map(|piece| piece.parse().ok()).collect();
    let mut checks = vec![if numbers.as_slice() < library::VERSION_MIN.as_slice() {
        Check::warn("engine", text).fix("its version cannot be told; it works, and nobody has tried it")
    } else {
        Check::ok("engine", text)
    }];
    let others = library::candidates(settings.ort_library.as_deref(), &wiring::library_folders());
    let same = |other: &PathBuf| other.canonicalize().ok() == info.library;
    let others: Vec<String> =
        others.iter().filter(|other| !same(other)).map(|other| other.display().to_string()).collect();
    if !others.is_empty() {
        checks.push(Check::ok("engine", format!("not used, because found later: {}", others.join(", "))));
    }
    checks
}

fn models(settings: &Settings) -> Vec<Check> {
    let opened = Repository::open(&settings.repository_dir, settings.repository_limits)
        .and_then(|repository| Ok((repository.models()?, repository)));
    let ((names, ignored), repository) = match opened {
        Ok(opened) => opened,
        Err(error) => return vec![Check::from_error("models", &error)],
    };
    let shown = repository.root().display();
    let mut checks = vec![if names.is_empty() {
        Check::warn("models", format!("no model in {shown}")).fix("put a file at <model>/<version>/model.onnx")
    } else {
        Check::ok("models", format!("{} in {shown}", number(names.len(), "model")))
    }];
    checks.extend(repository.advice().map(|advice| Check::from_error("models", &advice).warning()));
    checks.extend(ignored.into_iter().map(|why| Check::warn("models", format!("ignored: {why}"))));
    for name in &names {
        match repository.find(name) {
            Ok(model) => {
                let policy = model.manifest.versions.as_ref().unwrap_or(&settings.version_policy);
                let versions: Vec<_> = model.versions.iter().map(|found| found.version.clone()).collect();
                checks.extend(policy.select(&versions).err().map(|error| ill(name.as_str(), &error.to_string())));
                checks.extend(model.ignored.iter().map(|why| Check::warn("models", format!("{name}: ignored: {why}"))));
            }
            Err(error) => checks.push(ill(name.as_str(), &error.to_string())),
        }
    }
    checks
}

fn ill(name: &str, why: &str) -> Check {
    Check::warn("models", format!("{name} would not be served: {why}"))
        .fix(format!("`candor model check` with the folder of {name} tells more"))
}

fn address(what: &'static str, addr: SocketAddr, settings: &Settings, flag: &str) -> Check {
    let check = bound(what, addr, flag);
    if check.mark == Mark::Ok && !addr.ip().is_loopback() && settings.tokens_file.is_none() {
        return Check::warn(what, format!("{addr} is free, and whoever reaches it may do everything"))
            .fix("a tokens file (docs/OPERATIONS.md), unless the whole network is trusted");
    }
    check
}

fn bound(what: &'static str, addr: SocketAddr, flag: &str) -> Check {
    match TcpListener::bind(addr) {
        Ok(_) if addr.port() == 0 => Check::ok(what, format!("{addr}: a free port will be taken")),
        Ok(_) => Check::ok(what, format!("{addr} is free")),
        Err(error) => Check::from_error(what, &wiring::cannot_bind(&[addr], &error, flag)),
    }
}

/// That a default is taken keeps no server from starting.
fn side_door(place: &Place<'_>, check: impl Fn(SocketAddr, &str) -> Check) -> Vec<Check> {
    let Place { addrs, is_chosen, other, .. } = place;
    let checks = addrs.iter().map(|addr| check(*addr, other));
    checks.map(|check| if check.mark == Mark::Fail && !is_chosen { check.warning() } else { check }).collect()
}

/// Whoever reaches the health listener learns no more than that the server is there.
fn health_address(addr: SocketAddr, other: &str) -> Check {
    let check = bound("health", addr, other);
    if check.mark == Mark::Ok && addr.ip().is_loopback() {
        let port = addr.port();
        let text =
            format!("{}; probes of Kubernetes come from outside: they need --health-addr 0.0.0.0:{port}", check.text);
        return Check::ok("health", text);
    }
    check
}

fn no_tokens(settings: &Settings) -> Check {
    let where_ = if settings.http_addrs.iter().all(|addr| addr.ip().is_loopback()) { " on this machine" } else { "" };
    Check::ok("tokens", format!("no tokens file: everybody{where_} may do everything"))
}

fn tokens(path: &Path) -> Check {
    let shown = path.display();
    if let Err(error) = wiring::read_tokens(path) {
        return Check::from_error("tokens", &error);
    }
    /// Whoever may write the file may add a token.
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode()) & 0o777;
    if mode & WRITABLE_BY_OTHERS == 0 {
        Check::ok("tokens", format!("{shown} is valid, mode {mode:o}"))
    } else {
        Check::warn("tokens", format!("{shown} can be written by others (mode {mode:o}), who could add a token"))
            .fix(format!("chmod go-w {shown}"))
    }
}

fn data(folder: Option<&Path>) -> Vec<Check> {
    let Some(folder) = folder else {
        return vec![Check::ok("data", "no data folder: the server writes nothing")];
    };
    let shown = folder.display();
    if folder.exists() {
        return vec![match DataFolder::probe(folder) {
            Ok(()) => Check::ok("data", format!("{shown} can be written")),
            Err(error) => Check::from_error("data", &error),
        }];
    }
    let above = machine::existing(folder);
    vec![match access(&above, Access::WRITE_OK) {
        Ok(()) => Check::ok("data", format!("{shown} will be made")),
        Err(error) => Check::fail("data", format!("{shown} cannot be made in {}: {error}", above.display()))
            .fix("name a folder that can be written with --data"),
    }]
}
