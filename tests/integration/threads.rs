//! Who steps back behind whom, and how connections spread over workers.

use std::{collections::BTreeMap, fs};

use candor_tests::{Models, Plan};

/// The nice values of this process's threads, by name.
fn nice_values() -> BTreeMap<String, Vec<i64>> {
    let mut found = BTreeMap::<String, Vec<i64>>::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        // A thread may end while it is looked at.
        let Ok(stat) = fs::read_to_string(task.unwrap().path().join("stat")) else { continue };
        let (name, rest) = (stat.split('(').nth(1).unwrap(), stat.rsplit(')').next().unwrap());
        let nice = rest.split_whitespace().nth(16).unwrap().parse().unwrap();
        found.entry(name.split(')').next().unwrap().to_owned()).or_default().push(nice);
    }
    found
}

#[test]
fn threads_that_load_step_back_and_none_that_serve() {
    let base = nice_values().into_values().flatten().max().unwrap();
    let server = Plan::with(Models::copies(&["iris", "digits", "simple"])).start();
    for (name, values) in nice_values() {
        let loads = name == "candor-load";
        assert!(!values.is_empty() && values.iter().all(|&nice| (nice > base) == loads), "{name}: {values:?}");
    }
    server.stop_and_expect_clean();
}

#[test]
fn threads_inside_a_run_are_as_high_as_those_that_answer() {
    let base = nice_values().into_values().flatten().max().unwrap();
    let server = Plan::with(Models::copies(&["iris", "digits"])).set("engine.intra_op_threads=2").start();
    for (name, values) in nice_values() {
        assert!(values.iter().all(|&nice| nice <= base), "{name}: {values:?}");
    }
    server.stop_and_expect_clean();
}
