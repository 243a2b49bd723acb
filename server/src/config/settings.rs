//! What the values mean and which are allowed. Every complaint names the source, the key, the value, what
//! is allowed, and the default.

use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs as _},
    num::NonZeroU32,
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use candor_control::jobs::JobSettings;
use candor_domain::tensor::RANK_MAX;
use candor_http_api::{Contracts, HttpLimits};
use candor_insight::explanations::ExplanationSettings;
use candor_serving::{
    BatchingSettings, BreakerDefaults, CrossCheckSettings, EngineChoice, OverloadDefaults, PartLimits,
    RepositoryLimits, SchedulerSettings, VersionPolicy, oip::TensorLimits,
};
use toml::Value;

use super::{
    batching::{read_batching, read_scheduling},
    breaker::read_breaker,
    contracts::read_contracts,
    explanations::{read_explanations, read_jobs},
    grpc::GrpcSettings,
    health::HealthSettings,
    layers::{Layers, Report, Source},
    overload::{read_bodies, read_overload},
    reach::read_reach,
    residency::{AT_START, Residency, read_residency},
    threads::Threads,
};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Everything that wiring needs to know.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "config/default.toml says what each key means")]
pub struct Settings {
    pub http_addrs: Vec<SocketAddr>,
    pub connections_max: usize,
    pub keep_alive: Duration,
    pub header_read_max: Duration,
    pub http_limits: HttpLimits,
    pub grpc: GrpcSettings,
    pub health: HealthSettings,
    pub threads: Threads,
    pub contracts: Contracts,
    pub repository_dir: PathBuf,
    pub version_policy: VersionPolicy,
    pub load_all_at_start: bool,
    pub poll: Option<Duration>,
    pub engine: EngineChoice,
    pub ort_library: Option<PathBuf>,
    pub cross_check: CrossCheckSettings,
    pub scheduling: SchedulerSettings,
    pub batching: BatchingSettings,
    pub inline_run_max: Duration,
    pub inline_body_bytes_max: usize,
    pub inference_max: Duration,
    pub inflight_max: u32,
    pub requests_per_second_max: Option<NonZeroU32>,
    pub repository_limits: RepositoryLimits,
    pub call_depth_max: u32,
    pub breaker: BreakerDefaults,
    pub overload: OverloadDefaults,
    pub bodies_bytes_max: u64,
    pub residency: Residency,
    pub plugins: super::PluginSettings,
    pub explanations: ExplanationSettings,
    pub jobs: JobSettings,
    pub faults_enabled: bool,
    pub tokens_file: Option<PathBuf>,
    pub strict_readiness: bool,
    pub drain_delay: Duration,
    pub grace: Duration,
    pub data_dir: Option<PathBuf>,
    pub log_level: String,
    pub log_format: LogFormat,
}

pub(super) const GIB: u64 = 1 << 30;
pub(super) const DAY_MS: u64 = 24 * 3600 * 1000;

impl Settings {
    /// Checks every value.
    ///
    /// # Errors
    /// A [`Report`] of all problems at once.
    pub fn read(layers: &mut Layers) -> Result<Self, Report> {
        let mut read = Reader(layers);
        let tokens_file = read.path("auth.tokens_file");
        let mut http_addrs = read.addresses("http.addr");
        let contracts = read_contracts(&mut read);
        if contracts.vertex.is_some() {
            let port = u16::try_from(read.whole("contracts.vertex_http_port", 0..=65_535)).unwrap_or(0);
            http_addrs.iter_mut().filter(|_| port > 0).for_each(|addr| addr.set_port(port));
        }
        let http_limits = read_http_limits(&mut read);
        let threads = Threads::read(&mut read);
        let grpc = GrpcSettings::read(&mut read, &http_limits);
        let doors = [("http.addr", http_addrs.as_slice()), ("grpc.addr", &grpc.addrs)];
        let faults_enabled = read_reach(&mut read, tokens_file.is_some(), doors);
        let settings = Self {
            connections_max: read.size("http.connections_max", 1..=1_000_000),
            keep_alive: Duration::from_secs(read.whole("http.keep_alive_s", 0..=DAY_MS / 1000)),
            // A clock with steps of half a second counts it: less would be no time at all.
            header_read_max: Duration::from_millis(read.whole("http.header_read_ms_max", 1000..=DAY_MS)),
            repository_dir: read.path("repository.dir").unwrap_or_default(),
            version_policy: read
                .parsed("repository.version_policy", VersionPolicy::parse)
                .unwrap_or(VersionPolicy::Latest(1)),
            load_all_at_start: read.word("repository.load_at_start", &AT_START),
            poll: Some(read.whole("repository.poll_s", 0..=DAY_MS / 1000)).filter(|s| *s > 0).map(Duration::from_secs),
            engine: read.word("engine.choice", &EngineChoice::WORDS),
            ort_library: read.path("engine.ort_library"),
            cross_check: CrossCheckSettings {
                at_load: read.boolean("cross_check.at_load"),
                live_share: read.number("cross_check.live_share", 0.0..=1.0),
                tolerance: read.number("cross_check.tolerance", 0.0..=1.0),
                file_bytes_max: read.whole("cross_check.file_bytes_max", 0..=1024 * GIB),
                queue_max: read.size("cross_check.queue_max", 1..=1_000_000),
            },
            threads: threads.clone(),
            scheduling: read_scheduling(&mut read, threads.pool),
            batching: read_batching(&mut read),
            inline_run_max: Duration::from_micros(read.whole("execution.inline_run_us_max", 0..=1_000_000)),
            inline_body_bytes_max: read.size("execution.inline_body_bytes_max", 0..=GIB),
            inference_max: read.millis("limits.inference_ms_max"),
            inflight_max: u32::try_from(read.whole("limits.inflight_per_model_max", 1..=1_000_000)).unwrap_or(1),
            requests_per_second_max: u32::try_from(read.whole("limits.requests_per_second_max", 0..=1_000_000_000))
                .ok()
                .and_then(NonZeroU32::new),
            repository_limits: read_repository(&mut read),
            call_depth_max: u32::try_from(read.whole("limits.call_depth_max", 2..=16)).unwrap_or(4),
            breaker: read_breaker(&mut read),
            overload: read_overload(&mut read),
            bodies_bytes_max: read_bodies(&mut read, &http_limits, &grpc),
            residency: read_residency(&mut read),
            plugins: super::PluginSettings::read(&mut read),
            explanations: read_explanations(&mut read, &threads),
            jobs: read_jobs(&mut read, &threads),
            faults_enabled,
            strict_readiness: read.boolean("health.strict"),
            health: HealthSettings::read(&mut read),
            drain_delay: Duration::from_millis(read.whole("shutdown.drain_delay_ms", 0..=DAY_MS)),
            grace: Duration::from_millis(read.whole("shutdown.grace_ms", 0..=DAY_MS)),
            data_dir: read.path("data.dir"),
            log_level: read.text("log.level"),
            log_format: read.word("log.format", &[("text", LogFormat::Text), ("json", LogFormat::Json)]),
            contracts,
            tokens_file,
            http_addrs,
            http_limits,
            grpc,
        };
        let problems = layers.take_problems();
        if problems.is_empty() { Ok(settings) } else { Err(Report(problems)) }
    }
}

fn read_repository(read: &mut Reader<'_>) -> RepositoryLimits {
    RepositoryLimits {
        model_bytes_max: read.whole("limits.model_bytes_max", 1..=1024 * GIB),
        parts: PartLimits {
            stages_max: read.size("limits.stages_max", 1..=256),
            members_max: read.size("limits.members_max", 1..=1024),
        },
    }
}

fn read_http_limits(read: &mut Reader<'_>) -> HttpLimits {
    HttpLimits {
        body_bytes_max: read.size("limits.body_bytes_max", 1..=64 * GIB),
        decompressed_bytes_max: read.size("limits.decompressed_bytes_max", 1..=64 * GIB),
        body_read_max: read.millis("limits.body_read_ms_max"),
        // The parser's own bound is 128.
        json_depth_max: read.size("limits.json_depth_max", 4..=120),
        tensors: TensorLimits {
            elements_max: read.size("limits.tensor_elements_max", 1..=16 * GIB),
            rank_max: read.size("limits.tensor_rank_max", 1..=RANK_MAX as u64),
            tensors_max: read.size("limits.tensors_max", 1..=65_536),
            name_bytes_max: read.size("limits.name_bytes_max", 1..=1 << 20),
        },
        compress_bytes_min: read.size("http.compress_bytes_min", 0..=64 * GIB),
    }
}

/// Reads values and collects complaints; gives a harmless value after each complaint.
pub(super) struct Reader<'a>(pub(super) &'a mut Layers);

impl Reader<'_> {
    pub(super) fn value(&self, key: &str) -> Value {
        self.0.entry(key).map_or(Value::Boolean(false), |entry| entry.value.clone())
    }

    /// Whether somebody has set it.
    pub(super) fn is_chosen(&self, key: &str) -> bool {
        self.0.entry(key).is_some_and(|entry| entry.source != Source::Default)
    }

    pub(super) fn complain(&mut self, key: &str, what: impl fmt::Display) {
        let Some(entry) = self.0.entry(key) else { return };
        let default = Layers::default().entry(key).map(|entry| entry.value.to_string()).unwrap_or_default();
        let text = format!("{}: {key} = {}: {what} (default {default})", entry.source, entry.value);
        self.0.problem(text);
    }

    pub(super) fn whole(&mut self, key: &str, range: RangeInclusive<u64>) -> u64 {
        let number = match self.value(key) {
            Value::Integer(number) => u64::try_from(number).ok(),
            Value::String(text) if key.contains("bytes_") => parse_bytes(&text),
            Value::String(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_)
            | Value::Table(_) => None,
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                let unit = if key.contains("bytes_") { ", or a size such as \"64 MiB\"" } else { "" };
                self.complain(
                    key,
                    format_args!("must be a whole number from {} to {}{unit}", range.start(), range.end()),
                );
                *range.start()
            }
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "the whole numbers that are allowed are small")]
    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<f64>) -> f64 {
        let value = self.value(key);
        let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
        number.filter(|number| range.contains(number)).unwrap_or_else(|| {
            self.complain(key, format_args!("must be a number from {} to {}", range.start(), range.end()));
            *range.start()
        })
    }

    pub(super) fn size(&mut self, key: &str, range: RangeInclusive<u64>) -> usize {
        usize::try_from(self.whole(key, range)).unwrap_or(usize::MAX)
    }

    pub(super) fn millis(&mut self, key: &str) -> Duration {
        Duration::from_millis(self.whole(key, 1..=DAY_MS))
    }

    pub(super) fn boolean(&mut self, key: &str) -> bool {
        self.value(key).as_bool().unwrap_or_else(|| {
            self.complain(key, "must be true or false");
            false
        })
    }

    pub(super) fn text(&mut self, key: &str) -> String {
        self.value(key).as_str().map(str::to_owned).unwrap_or_else(|| {
            self.complain(key, "must be text in quotes");
            String::new()
        })
    }

    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
        Some(self.text(key)).filter(|text| !text.is_empty()).map(PathBuf::from)
    }

    fn parsed<T, E: fmt::Display>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        let text = self.text(key);
        parse(&text).map_err(|error| self.complain(key, error)).ok()
    }

    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> T {
        let text = self.text(key);
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, meaning)) => *meaning,
            None => {
                let known: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                self.complain(key, format_args!("must be {}", known.join(" or ")));
                #[allow(clippy::indexing_slicing, reason = "every call names at least one word")]
                words[0].1
            }
        }
    }

    pub(super) fn addresses(&mut self, key: &str) -> Vec<SocketAddr> {
        let text = self.text(key);
        match text.to_socket_addrs() {
            Ok(addresses) => addresses.collect(),
            Err(error) => {
                self.complain(key, format_args!("must be HOST:PORT, such as 127.0.0.1:8080 ({error})"));
                Vec::new()
            }
        }
    }
}

/// `"64 MiB"`, `"2GiB"`, `"100 kB"`, `"1024"`.
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use candor_http_api::{contracts::Contract, routes::ROUTES};

    use super::*;

    fn read(layers: impl FnOnce(&mut Layers)) -> Result<Settings, String> {
        let mut all = Layers::default();
        layers(&mut all);
        Settings::read(&mut all).map_err(|report| report.to_string())
    }

    #[test]
    fn the_defaults_are_valid() {
        let settings = read(|_| ()).unwrap();
        assert_eq!(settings.http_limits.body_bytes_max, 64 << 20);
        assert_eq!(settings.inline_body_bytes_max, 64 << 10);
        assert!(settings.poll.is_none() && settings.requests_per_second_max.is_none());
    }

    #[test]
    fn later_layers_win_and_flags_win_last() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[http]\nworkers = 3\naddr = '127.0.0.1:1'\nkeep_alive_s = 9\n").unwrap();
        let settings = read(|layers| {
            layers.add_file(file.path());
            let env = [("CANDOR_HTTP_WORKERS", "4"), ("CANDOR_HTTP_ADDR", "127.0.0.1:2"), ("HOME", "/")];
            layers.add_environment(env.into_iter().map(|(name, value)| (name.into(), value.into())));
            layers.add_flag("--http-addr", "127.0.0.1:3");
            layers.add_assignment("limits.body_bytes_max=2 MiB");
            layers.add_assignment("cross_check.live_share=0.25");
        });
        let settings = settings.unwrap();
        assert_eq!(settings.threads.http, 4);
        assert_eq!(settings.http_addrs, ["127.0.0.1:3".parse().unwrap()]);
        assert_eq!(settings.keep_alive, Duration::from_secs(9));
        assert_eq!(settings.http_limits.body_bytes_max, 2 << 20);
        assert_eq!(settings.cross_check.live_share, 0.25);
    }

    #[test]
    fn all_problems_stand_in_one_report() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "chache = 1\n[cross_check]\nlive_share = 2\n[http]\nworkers = -1\n[limits]\nbody_bytes_max = '0'\n[log]\nformat = 'xml'\n",
        )
        .unwrap();
        let report = read(|layers| {
            layers.add_file(file.path());
            layers.add_assignment("limits.json_depth_mx=3");
            layers.add_assignment("nothing");
        });
        let report = report.unwrap_err();
        for words in [
            "the configuration has 7 problems:",
            "cross_check.live_share = 2: must be a number from 0 to 1 (default 0.0)",
            "chache: unknown key",
            "http.workers = -1: must be a whole number from 0 to 512 (default 0)",
            "limits.body_bytes_max = \"0\": must be a whole number from 1 to 68719476736, or a size such as \"64 MiB\" (default \"64 MiB\")",
            "log.format = \"xml\": must be \"text\" or \"json\" (default \"text\")",
            "--set: limits.json_depth_mx: unknown key; did you mean `limits.json_depth_max`?",
            "--set nothing: expected KEY=VALUE",
        ] {
            assert!(report.contains(words), "{report}\nlacks: {words}");
        }
    }

    #[test]
    fn listening_beyond_loopback_needs_tokens_or_a_word() {
        let beyond = |layers: &mut Layers| layers.add_flag("--http-addr", "0.0.0.0:0");
        assert!(read(beyond).unwrap_err().contains("listening beyond loopback needs auth.tokens_file"));
        let with = |flag: &'static str, text: &'static str| {
            read(move |layers| {
                beyond(layers);
                layers.add_flag(flag, text);
            })
        };
        assert!(with("--insecure", "true").is_ok());
        assert!(with("--tokens-file", "tokens.toml").is_ok());
    }

    #[test]
    fn what_vertex_says_counts_only_where_it_is_asked() {
        let variables = |layers: &mut Layers| {
            let env = [
                ("CANDOR_CONTRACTS_VERTEX_HEALTH_ROUTE", "/alive"),
                ("AIP_HEALTH_ROUTE", "/overruled"),
                ("AIP_PREDICT_ROUTE", "/v1/endpoints/1/deployedModels/2:predict"),
                ("AIP_HTTP_PORT", "9090"),
                ("AIP_STORAGE_URI", "gs://x"),
            ];
            layers.add_environment(env.into_iter().map(|(name, value)| (name.into(), value.into())));
        };
        let off = read(variables).unwrap();
        assert!(off.contracts.vertex.is_none());
        assert_eq!(off.http_addrs[0].port(), 8080);
        let on = read(|layers| {
            variables(layers);
            layers.add_assignment("contracts.vertex=true");
        });
        let on = on.unwrap();
        let paths = on.contracts.vertex.unwrap();
        assert_eq!((&*paths.health, &*paths.predict), ("/alive", "/v1/endpoints/1/deployedModels/2:predict"));
        assert_eq!(on.http_addrs, ["127.0.0.1:9090".parse().unwrap()]);
        // Where it is off, even nonsense is nobody's business.
        let nonsense = |layers: &mut Layers| {
            layers.add_environment([("AIP_HTTP_PORT".to_owned(), "many".to_owned())].into_iter());
        };
        assert!(read(nonsense).is_ok());
    }

    #[test]
    fn paths_of_vertex_are_paths_and_not_candors_own() {
        let with = |path: &'static str| {
            read(move |layers| {
                layers.add_assignment("contracts.vertex=true");
                layers.add_assignment(&format!("contracts.vertex_predict_route={path}"));
            })
        };
        for good in ["/predict", "/v1/endpoints/7/deployedModels/8:predict", "/invoke", "/vertex/x", "/healthy"] {
            assert!(with(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "predict", "/a b", "/{model}", "/a/*", "//x", "/a/../b"] {
            assert!(with(bad).unwrap_err().contains("contracts.vertex_predict_route"), "{bad}");
        }
        for own in ROUTES.iter().filter(|route| route.contract != Some(Contract::Vertex)) {
            let names = ["{model}", "{version}", "{label}", "{name}", "{plugin}", "{background}", "{job}", "{file:.*}"];
            let path = names.iter().fold(own.path.to_owned(), |path, name| path.replace(name, "1"));
            assert!(with(path.clone().leak()).unwrap_err().contains("is a path of Candor's own"), "{path}");
        }
        for own in ["/v2/x", "/api/x", "/docs/a/b"] {
            assert!(with(own).unwrap_err().contains("is a path of Candor's own"), "{own}");
        }
        assert!(with("/vertex/health").unwrap_err().contains("must not be contracts.vertex_health_route"));
    }

    #[test]
    fn unknown_variables_are_a_warning() {
        let mut layers = Layers::default();
        let env = [("CANDOR_HTTP_ADR", "x"), ("CANDOR_SERVICE_HOST", "10.0.0.1")];
        layers.add_environment(env.into_iter().map(|(name, value)| (name.into(), value.into())));
        assert!(layers.warnings[0].contains("did you mean CANDOR_HTTP_ADDR?"));
        assert!(Settings::read(&mut layers).is_ok());
    }

    #[test]
    fn every_flag_has_a_key_and_sizes_are_read() {
        for (_, key) in super::super::FLAGS {
            assert!(Layers::default().entry(key).is_some(), "{key}");
        }
        assert_eq!(parse_bytes("64 MiB"), Some(64 << 20));
        assert_eq!(parse_bytes("100kB"), Some(100_000));
        for bad in ["", "x", "1 TB", "-1", "99999999999999999999", "20000000000 GiB"] {
            assert_eq!(parse_bytes(bad), None, "{bad}");
        }
    }
}
