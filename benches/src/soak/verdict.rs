//! What a soak found, as a table, and what is wrong with it.

use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr, thread, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    Endings, GRACE,
    clients::{Ending, KINDS},
    streams,
    watch::{self, HEALTH_MAX, Health, Watched},
};
use crate::{http, stats::figure, timer::Moment};

/// Memory may rise by so much over the second half: a share of what there is, and a little that allocators keep.
const RISE_SHARE_MAX: f64 = 0.05;
const RISE_MIB_MAX: f64 = 4.0;

/// Whose answers the server's own counters are held against: those that ask iris.
const ASKS_IRIS: [&str; 2] = ["iris, well-behaved", "bodies that trickle"];

/// All that is known at the end.
pub struct Verdict {
    pub length: Duration,
    pub endings: Endings,
    /// What clients could not explain.
    pub complaints: Vec<String>,
    pub watched: Watched,
    /// `/metrics` when nobody asked any more.
    pub counters: BTreeMap<String, f64>,
    /// How long the end took.
    pub stopped: Result<Duration>,
    pub log: String,
}

/// The counters when nothing is under way any more.
pub fn counters_at_rest(addr: SocketAddr, patience: Duration) -> Result<BTreeMap<String, f64>> {
    let began = Moment::now();
    loop {
        let (status, body) = http::get(addr, "/metrics")?;
        ensure!(status == 200, "/metrics: status {status}");
        let counters = parsed(std::str::from_utf8(&body).context("/metrics is no text")?);
        let is_busy = |(name, value): (&String, &f64)| {
            *value > 0.0 && (name.starts_with("candor_requests_in_flight") || name.ends_with("_queue_length"))
        };
        let Some((name, value)) = counters.iter().find(|(name, value)| is_busy((name, value))) else {
            return Ok(counters);
        };
        if began.elapsed() > patience {
            bail!("after {} s without clients, {name} is {value}", patience.as_secs());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Name with labels, and value.
fn parsed(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' ').and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?))))
        .collect()
}

impl Verdict {
    /// Where memory began and how much it rose over the second half, by the line through its samples.
    fn memory(&self) -> Option<(f64, f64)> {
        let samples = &self.watched.memory;
        let half = samples.get(samples.len() / 2..)?;
        let (start, per_second) = watch::line(half)?;
        Some((start, per_second * (half.last()?.0 - half.first()?.0)))
    }

    fn count(&self, kind: &str, ending: Ending) -> u64 {
        self.endings.iter().filter(|((name, how), _)| *name == kind && *how == ending).map(|(_, count)| *count).sum()
    }

    /// Successes on iris, as clients have counted them and as the server has.
    fn successes(&self) -> (u64, f64) {
        let plain: u64 = ASKS_IRIS.iter().map(|kind| self.count(kind, Ending::Status(200))).sum();
        let streamed = self.count("gRPC streams", Ending::Status(200)) * streams::MESSAGES as u64;
        let own = self.counters.iter().filter(|(name, _)| {
            name.starts_with("candor_requests_total") && name.contains("model=\"iris\"") && name.contains("\"success\"")
        });
        (plain + streamed, own.map(|(_, value)| value).sum())
    }

    /// What happened.
    pub fn table(&self) -> String {
        let mut text = String::from("| client | how many | ends |\n|---|---:|---|\n");
        for kind in &KINDS {
            let ends: Vec<String> = self
                .endings
                .iter()
                .filter(|((name, _), _)| *name == kind.name)
                .map(|((_, ending), count)| format!("{} × {count}", word(*ending)))
                .collect();
            let _ = writeln!(text, "| {} | {} | {} |", kind.name, kind.threads, ends.join(", "));
        }
        let (start, rise) = self.memory().unwrap_or_default();
        let most = self.watched.memory.iter().map(|(_, mib)| *mib).fold(0.0, f64::max);
        let (asked, counted) = self.successes();
        let _ = writeln!(text, "\n| watched | |\n|---|---|");
        for (what, is) in [
            ("length", format!("{:.1} minutes", self.length.as_secs_f64() / 60.0)),
            ("health listener", told(&self.watched.health)),
            ("health at the main door", told(&self.watched.door)),
            (
                "memory",
                format!(
                    "{} MiB at half time, {rise:+.1} MiB over the second half, {} at most",
                    figure(start),
                    figure(most)
                ),
            ),
            ("successes on iris", format!("{asked} as clients counted, {counted} as the server did")),
            (
                "end",
                match &self.stopped {
                    Ok(took) => format!("in order, after {} s", figure(took.as_secs_f64())),
                    Err(error) => format!("{error:#}"),
                },
            ),
        ] {
            let _ = writeln!(text, "| {what} | {is} |");
        }
        text
    }

    /// What should not have happened.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong: Vec<String> = Vec::new();
        for ((name, ending), count) in &self.endings {
            let kind = KINDS.iter().find(|kind| kind.name == *name);
            if !kind.is_some_and(|kind| kind.allowed.contains(ending)) {
                wrong.push(format!("{name}: {count} × {}", word(*ending)));
            }
        }
        wrong.extend(self.complaints.iter().cloned());
        for kind in &KINDS {
            // Otherwise the strain was not what it says.
            if !self.endings.keys().any(|(name, _)| *name == kind.name) {
                wrong.push(format!("{}: did nothing", kind.name));
            }
        }
        let Watched { health, door, .. } = &self.watched;
        if health.late > 0 || health.asked == 0 {
            let limit = HEALTH_MAX.as_millis();
            wrong.push(format!("health: {} of {} answers took longer than {limit} ms", health.late, health.asked));
        }
        for (place, health) in [("the health listener", health), ("the main door", door)] {
            let first = health.failed.first();
            wrong.extend(
                first.map(|first| format!("health at {place}: {} failed, the first: {first}", health.failed.len())),
            );
        }
        match self.memory() {
            None => wrong.push("memory: not watched".to_owned()),
            Some((start, rise)) if rise > start * RISE_SHARE_MAX + RISE_MIB_MAX => {
                wrong.push(format!("memory: rose by {rise:.1} MiB from {start:.1} MiB over the second half"));
            }
            Some(_) => {}
        }
        let (asked, counted) = self.successes();
        #[allow(clippy::cast_precision_loss, reason = "some million requests")]
        if (asked as f64 - counted).abs() > 0.5 {
            wrong.push(format!("counters: clients of iris got {asked} answers, the server counted {counted}"));
        }
        match &self.stopped {
            Err(error) => wrong.push(format!("the end: {error:#}")),
            Ok(took) if *took > GRACE => {
                wrong.push(format!("the end: took {:.1} s, more than the grace", took.as_secs_f64()))
            }
            Ok(_) => {}
        }
        let told = self.log.lines().filter(|line| line.contains("ERROR") || line.contains("panicked"));
        wrong.extend(told.take(5).map(|line| format!("the server's log: {line}")));
        wrong
    }
}

fn told(health: &Health) -> String {
    format!(
        "{} times asked, {} later than {} ms, {} failed; longest {} ms (the watch itself woke {} ms late at most)",
        health.asked,
        health.late,
        HEALTH_MAX.as_millis(),
        health.failed.len(),
        figure(health.longest.as_secs_f64() * 1e3),
        figure(health.overslept.as_secs_f64() * 1e3)
    )
}

fn word(ending: Ending) -> String {
    match ending {
        Ending::Status(status) => status.to_string(),
        Ending::Closed => "closed by the server".to_owned(),
        Ending::Left => "left".to_owned(),
        Ending::Wrong => "NOT EXPLAINED".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict() -> Verdict {
        let endings = KINDS.iter().map(|kind| ((kind.name, kind.allowed[0]), 1)).collect();
        let health = Health { asked: 10, ..Health::default() };
        let memory = (0..100).map(|at| (f64::from(at), 50.0)).collect();
        let iris = "candor_requests_total{model=\"iris\",version=\"2\",outcome=\"success\"} 22\n";
        Verdict {
            length: Duration::from_secs(100),
            endings,
            complaints: Vec::new(),
            watched: Watched { health, door: Health::default(), memory },
            counters: parsed(&format!("# HELP x\n{iris}candor_ready 1\n")),
            stopped: Ok(Duration::from_secs(1)),
            log: String::new(),
        }
    }

    #[test]
    fn what_holds_has_nothing_wrong_and_what_does_not_is_told() {
        assert_eq!(verdict().wrong(), Vec::<String>::new());
        type Break = fn(&mut Verdict);
        let breaks: [(Break, &str); 7] = [
            (|one| one.endings.extend([(("iris, well-behaved", Ending::Status(500)), 3)]), "3 × 500"),
            (|one| one.endings.retain(|(name, _), _| *name != "gRPC streams"), "did nothing"),
            (|one| one.watched.health.late = 1, "health: 1 of 10"),
            (|one| one.watched.memory.iter_mut().for_each(|(at, mib)| *mib += *at), "memory: rose by"),
            (|one| one.counters.clear(), "counters: "),
            (|one| one.stopped = Ok(GRACE * 2), "the end: took"),
            (|one| one.log = "2026 ERROR woe".to_owned(), "log: 2026 ERROR woe"),
        ];
        for (break_it, word) in breaks {
            let mut broken = verdict();
            break_it(&mut broken);
            assert!(broken.wrong().iter().any(|line| line.contains(word)), "{word}: {:?}", broken.wrong());
        }
        assert!(verdict().table().contains("| successes on iris | 22 as clients counted, 22 as the server did |"));
    }
}
