//! Checks of what a component claims and of how it lives: its schema, leaks, threads, cancellation, hosts of other ages.
//!
//! It knows no kind.

use std::{fs, sync::atomic::AtomicU32, thread};

use candor_plugin_abi as abi;
use serde_json::{Value, json};

use super::{
    Mark, Said,
    calls::{fail, fine, skip, status},
    sample::{Given, Spot},
    stand::{self, Made, Sizes},
    subject::{Subject, example},
};

/// How long instances are made and ended, and how many at least and at most.
const LEAK_NS: u64 = 1_500_000_000;
const LEAK_INSTANCES: (usize, usize) = (5_000, 20_000);
/// What may grow, in bytes per instance: less than the smallest leak that is worth a name.
const LEAK_BYTES: f64 = 64.0;
const CANCEL_NS: u64 = 100_000_000;

pub(super) fn schema(subject: &Subject) -> Said {
    let info = subject.info();
    let schema: Value = match serde_json::from_str(&info.config_schema) {
        Ok(schema) => schema,
        Err(error) => return fail(format!("its schema is no JSON: {error}")),
    };
    let validator = match jsonschema::validator_for(&schema) {
        Ok(validator) => validator,
        Err(error) => return fail(format!("its schema is no JSON Schema: {error}")),
    };
    let config: Value = serde_json::from_str(&example(&info.config_schema)).unwrap_or_default();
    if let Err(error) = validator.validate(&config) {
        let text = if schema.pointer("/examples/0").is_some() {
            format!("its schema does not accept its own example: {error}")
        } else {
            format!(
                "its schema has no `examples`, and does not accept {{}}: {error}; nothing can be called without one"
            )
        };
        return fail(text);
    }
    match subject.create(&config.to_string(), Sizes::default()) {
        Ok(_) => fine(format!("accepts its example {config}, and so does `create`")),
        Err(made) => fail(format!("its schema accepts {config}, and `create` does not ({})", status(&made))),
    }
}

/// Configurations that `create` must not die of, also those that a host would have kept from it.
pub(super) fn bad_configs(subject: &Subject) -> Said {
    let example: Value = serde_json::from_str(&subject.config).unwrap_or_default();
    let wrong =
        [json!(null), json!("text"), json!(-1), json!(1e308), json!([]), json!({}), json!([[[[]]]]), json!(true)];
    let mut configs: Vec<String> =
        ["", "{", "nul", "\u{0}", "[]", "1", "\"x\"", "{\"a\":{\"a\":{\"a\":1}}}"].map(str::to_owned).to_vec();
    configs.push("[".repeat(10_000));
    configs.push(json!({"unknown": "x".repeat(100_000)}).to_string());
    if let Value::Object(properties) = &example {
        for key in properties.keys() {
            for value in &wrong {
                let mut changed = properties.clone();
                changed.insert(key.clone(), value.clone());
                configs.push(Value::Object(changed).to_string());
            }
            let mut without = properties.clone();
            without.remove(key);
            configs.push(Value::Object(without).to_string());
        }
    }
    let count = configs.len();
    for config in configs {
        if let Err(made) = subject.create(&config, Sizes::default())
            && made.status == abi::PANIC
        {
            let shown: String = config.chars().take(60).collect();
            return fail(format!("it panicked at the configuration {shown} ({})", made.error));
        }
    }
    fine(format!("{count} configurations that are wrong: a status or an instance"))
}

fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn entries(folder: &str) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

/// Makes an instance, calls it and ends it.
fn life(subject: &Subject, given: Option<&Given>) -> Result<(), String> {
    let instance = subject.ready(Sizes::default())?;
    if let Some(given) = given {
        let _ = instance.run_in(given, Sizes::default(), &AtomicU32::new(0));
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "a slope")]
pub(super) fn memory(subject: &Subject) -> Said {
    let given = match Given::put(&subject.inputs(), Spot::Anywhere) {
        Ok(given) => subject.runs().then_some(given),
        Err(error) => return fail(error.to_string()),
    };
    let begin = stand::now_ns_here();
    let lives = |(least, most): (usize, usize), until: u64| -> Result<usize, String> {
        let mut made = 0;
        while made < least || (made < most && stand::now_ns_here() < until) {
            life(subject, given.as_ref())?;
            made += 1;
        }
        Ok(made)
    };
    // What is taken once is no leak.
    let measured = lives((LEAK_INSTANCES.0 / 10, LEAK_INSTANCES.1 / 10), begin + LEAK_NS / 4).and_then(|_| {
        let before = resident();
        Ok((before, lives(LEAK_INSTANCES, begin + LEAK_NS)?))
    });
    match measured {
        Err(why) => fail(why),
        Ok((before, made)) => {
            let grown = resident().saturating_sub(before) as f64;
            let each = grown / made.max(1) as f64;
            if grown > 1e6 && each > LEAK_BYTES {
                return fail(format!("{made} instances left {:.1} MB: {each:.0} bytes each", grown / 1e6));
            }
            fine(format!("{made} instances left nothing"))
        }
    }
}

pub(super) fn threads(subject: &Subject) -> Said {
    let now = || (entries("/proc/self/task"), entries("/proc/self/fd"));
    let (threads, files) = now();
    let given = Given::put(&subject.inputs(), Spot::Anywhere).ok().filter(|_| subject.runs());
    for _ in 0..50 {
        if let Err(why) = life(subject, given.as_ref()) {
            return fail(why);
        }
    }
    let (threads, files) = (now().0.saturating_sub(threads), now().1.saturating_sub(files));
    if threads > 0 {
        return fail(format!("{threads} threads are left behind after 50 instances; `destroy` must join them"));
    }
    // One or two are kept by libraries for good.
    if files > 4 {
        return fail(format!("{files} files are left open after 50 instances"));
    }
    fine("no thread and no file is left behind")
}

pub(super) fn concurrent(subject: &Subject) -> Said {
    if !subject.runs() {
        return skip("it does not run");
    }
    if !subject.claims(abi::COMPONENT_CONCURRENT) {
        return skip("it does not say that threads may share an instance");
    }
    let all = subject.ready(Sizes::default()).and_then(|instance| {
        let inputs: Vec<Vec<_>> =
            (1..=4).map(|rows| subject.inputs().iter().map(|sample| sample.rows(rows)).collect()).collect();
        let serial: Vec<Made> =
            inputs.iter().map(|inputs| instance.run(inputs, Spot::Anywhere)).collect::<Result<_, _>>()?;
        let wrong = thread::scope(|scope| {
            let hammer = |at: usize| {
                let (instance, inputs, serial) = (&instance, &inputs, &serial);
                move || {
                    let Some((inputs, serial)) = inputs.get(at).zip(serial.get(at)) else { return 0 };
                    let other = |_: &usize| {
                        instance.run(inputs, Spot::Anywhere).is_ok_and(|made| made.outputs != serial.outputs)
                    };
                    (0..300_usize).filter(other).count()
                }
            };
            let threads: Vec<_> = (0..4).map(|at| scope.spawn(hammer(at))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or(1)).sum::<usize>()
        });
        Ok(wrong)
    });
    match all {
        Err(why) => fail(why),
        Ok(0) => fine("1200 calls by 4 threads, each answered as alone"),
        Ok(wrong) => fail(format!("{wrong} of 1200 calls by 4 threads were answered otherwise than alone")),
    }
}

pub(super) fn deterministic(subject: &Subject) -> Said {
    if !subject.runs() {
        return skip("it does not run");
    }
    if !subject.claims(abi::COMPONENT_DETERMINISTIC) {
        return skip("it does not say that the same inputs give the same outputs");
    }
    let inputs = subject.inputs();
    let mut first: Option<Made> = None;
    for _ in 0..5 {
        let made = subject.ready(Sizes::default()).and_then(|instance| {
            let _ = instance.run(&inputs, Spot::Anywhere)?;
            instance.run(&inputs, Spot::Anywhere)
        });
        match (made, &first) {
            (Err(why), _) => return fail(why),
            (Ok(made), Some(first)) if made.outputs != first.outputs => {
                return fail("the same inputs gave other outputs in another instance");
            }
            (Ok(made), _) => first = Some(made),
        }
    }
    fine("5 instances gave the same")
}

/// Whoever has left is noticed: by the flag, before or during the call.
pub(super) fn cancel(subject: &Subject) -> Said {
    if !subject.runs() {
        return skip("it does not run");
    }
    let large: Vec<_> = subject.inputs().iter().map(|sample| sample.rows(20_000)).collect();
    let given = match Given::put(&large, Spot::Anywhere) {
        Ok(given) => given,
        Err(error) => return fail(error.to_string()),
    };
    let instance = match subject.ready(Sizes::default()) {
        Ok(instance) => instance,
        Err(why) => return fail(why),
    };
    let mut best = u64::MAX;
    for _ in 0..3 {
        let begin = stand::now_ns_here();
        let made = instance.run_in(&given, Sizes::default(), &stand::raised());
        best = best.min(stand::now_ns_here() - begin);
        if made.status == abi::PANIC {
            return fail(format!("it panicked ({})", made.error));
        }
    }
    let millis = best / 1_000_000;
    if best > CANCEL_NS {
        return (
            Mark::Warn,
            format!("20,000 rows took {millis} ms though nobody waited any more; ask `Call::check` now and then"),
        );
    }
    fine(format!("returns in {millis} ms when nobody waits any more"))
}

fn aged(subject: &Subject, all: &[Sizes]) -> Result<usize, String> {
    for sizes in all {
        let instance = match subject.create(&subject.config, *sizes) {
            Ok(instance) => instance,
            Err(made) if made.status == abi::PANIC => return Err(format!("{sizes:?}: it panicked ({})", made.error)),
            Err(_) => continue,
        };
        let given = Given::put(&subject.inputs(), Spot::End).map_err(|error| error.to_string())?;
        let made = instance.run_in(&given, *sizes, &AtomicU32::new(0));
        if !made.clean || made.status == abi::PANIC {
            return Err(format!("{sizes:?}: {}", status(&made)));
        }
    }
    Ok(all.len())
}

pub(super) fn older_host(subject: &Subject) -> Said {
    let call = [16, 24, 32, 48].map(|size| Sizes { call: Some(size), ..Sizes::default() });
    let fns = [16, 24, 32, 40].map(|size| Sizes { fns: Some(size), ..Sizes::default() });
    let host = [16, 24, 32, 40].map(|size| Sizes { host: Some(size), ..Sizes::default() });
    match aged(subject, &[call, fns, host].concat()) {
        Ok(count) => fine(format!("{count} hosts whose tables end earlier")),
        Err(why) => (Mark::Warn, why),
    }
}

pub(super) fn newer_host(subject: &Subject) -> Said {
    let more = |size: usize| Some(size + 64);
    let sizes = Sizes {
        call: more(size_of::<abi::Call>()),
        fns: more(size_of::<abi::CallFns>()),
        host: more(size_of::<abi::Host>()),
    };
    match aged(subject, &[sizes]) {
        Ok(_) => fine("a host whose tables go on, with poison there"),
        Err(why) => fail(why),
    }
}
