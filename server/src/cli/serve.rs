//! `candor serve`: starts, says what it serves, and stops in order.

use std::{fmt::Write as _, process::ExitCode};

use candor_domain::{Error, ErrorCode, Lifecycle, PluginState, PluginView, Plugins as _, Result};
use candor_serving::Engines;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use super::{problem::Failure, screen};
use crate::{
    config::{LogFormat, Settings, Threads},
    shutdown::Signals,
    wiring::{self, RunningServer},
};

pub(super) fn run(settings: &Settings) -> ExitCode {
    if let Err(error) = start_log(settings) {
        return Failure::of_arguments(error).report();
    }
    let code = match actix_web::rt::System::new().block_on(serve(settings)) {
        Ok(()) => 0,
        Err(error) => {
            Failure::from(error).report();
            1
        }
    };
    // Not by way of the C library's farewells: there ONNX Runtime takes itself apart, and crashes when a load
    // or a run that nobody waits for is still at it.
    signal_hook::low_level::exit(code)
}

fn start_log(settings: &Settings) -> Result<()> {
    // A bare level is for our own crates; libraries speak up from warnings on.
    let is_level = settings.log_level.chars().all(char::is_alphabetic);
    let directives = if is_level { format!("warn,candor={}", settings.log_level) } else { settings.log_level.clone() };
    let filter = EnvFilter::try_new(directives).map_err(|error| {
        Error::invalid(format!("log.level = \"{}\": {error}", settings.log_level))
            .hint("such as info, or info,candor_serving=debug")
    })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match settings.log_format {
        LogFormat::Text => {
            lines.with_target(false).with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed()
        }
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    Ok(())
}

async fn serve(settings: &Settings) -> Result<()> {
    let mut signals = Signals::listen()
        .map_err(|error| Error::new(ErrorCode::Internal, format!("cannot handle signals: {error}")))?;
    let (running, server) = wiring::start(settings)?;
    let serving = actix_web::rt::spawn(server);
    let why = tokio::select! {
        biased;
        why = signals.next() => why,
        loaded = running.load(settings.load_all_at_start) => {
            loaded?;
            screen::print(&banner(&running, &settings.threads)?);
            signals.next().await
        }
    };
    tracing::info!("{why}: draining; once more, a second from now or later, to end at once");
    running.abandon_loads();
    tokio::select! {
        () = running.stop() => {}
        second = signals.second() => {
            return Err(Error::new(ErrorCode::Internal, format!("{second}: ended without draining")));
        }
    }
    tracing::info!("stopped");
    match serving.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Error::new(ErrorCode::Internal, format!("the HTTP server failed: {error}"))),
        Err(error) => Err(Error::new(ErrorCode::Internal, format!("the HTTP server was lost: {error}"))),
    }
}

/// What is served, by what, and where to read on.
fn banner(running: &RunningServer, threads: &Threads) -> Result<String> {
    let registry = running.registry();
    let mut text = format!("\ncandor {}\n{}", env!("CARGO_PKG_VERSION"), engine_lines(registry.engines()));
    text.push_str(&format!("  models   {}\n", registry.repository().root().display()));
    if let Some(advice) = registry.repository().advice() {
        text.push_str(&format!("         ! {advice}\n"));
    }
    for entry in registry.index()? {
        let version = entry.version.as_ref().map_or("–", |version| version.as_str());
        let reason = if entry.reason.is_empty() { String::new() } else { format!("  {}", entry.reason) };
        let by = entry.version.as_ref().and_then(|version| registry.engine_of(&entry.model, version));
        let by = by.map(|engine| format!("  {}", engine.name)).unwrap_or_default();
        let mark = if entry.state == Lifecycle::Ready { ' ' } else { '!' };
        text.push_str(&format!(
            "         {mark} {:<24} {version:<8} {}{by}{reason}\n",
            entry.model.as_str(),
            entry.state.word()
        ));
    }
    text.push_str(&plugin_lines(&running.plugins().plugins()));
    for addr in running.addrs() {
        text.push_str(&format!("  serving  http://{addr}/v2\n  docs     http://{addr}/docs/\n"));
    }
    for addr in running.grpc_addrs() {
        text.push_str(&format!("  gRPC     {addr}\n"));
    }
    if let Some(trouble) = running.grpc_trouble() {
        text.push_str(&format!("  gRPC   ! {trouble}\n"));
    }
    for addr in running.health_addrs() {
        text.push_str(&format!("  health   http://{addr}/health/live\n"));
    }
    if let Some(trouble) = running.health_trouble() {
        text.push_str(&format!("  health ! {trouble}\n"));
    }
    text.push_str(&format!("  threads  {}\n", threads.line(!running.grpc_addrs().is_empty())));
    Ok(text)
}

/// The plugins, and why some of them are not ready.
fn plugin_lines(plugins: &[PluginView]) -> String {
    let mut text = String::new();
    for plugin in plugins {
        let head = if text.is_empty() { "  plugins " } else { "          " };
        let mark = if plugin.state == PluginState::Ready { ' ' } else { '!' };
        let version = plugin.version.as_deref().unwrap_or("–");
        let why = plugin.reason.as_ref().map(|(word, _)| format!("  {word}: see the log")).unwrap_or_default();
        let (state, place) = (plugin.state.word(), plugin.place.word());
        let _ = writeln!(text, "{head}{mark} {:<24} {version:<8} {state}  {place}{why}", plugin.name);
    }
    text
}

/// The engines, best first, and how to get those that are not there.
fn engine_lines(engines: &Engines) -> String {
    let mut text = String::new();
    for info in engines.infos() {
        let head = if text.is_empty() { "  engine " } else { "         " };
        let _ = writeln!(text, "{head}  {} {}", info.name, info.version);
        if let (Some(path), Some(sha256)) = (&info.library, &info.library_sha256) {
            let _ = write!(text, "  library  {}\n           sha256 {sha256}\n", path.display());
        }
    }
    for absent in engines.absent() {
        let _ = writeln!(text, "         ! without {}: {}", absent.name, absent.why.what());
        if let Some(hint) = absent.why.details().hint {
            let _ = writeln!(text, "           {}", screen::indented(hint.trim(), 11));
        }
    }
    text
}
