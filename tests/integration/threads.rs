//! Who steps back behind whom, and how connections spread over workers.

use std::{collections::BTreeMap, fs};

use candor_tests::{
    Connection, Grpc, Models, Plan, Request, TestServer,
    counters::scrape,
    grpc::{proto::ServerReadyRequest, typed_request},
    infer::{iris, path},
    until,
};

use super::health::{begin, held, stops};

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
fn threads_that_load_step_back_behind_dear_runs_and_those_behind_all_others() {
    let base = nice_values().into_values().flatten().max().unwrap();
    let server = Plan::with(Models::copies(&["iris", "digits", "simple"])).start();
    for (name, values) in nice_values() {
        let wanted = match name.as_str() {
            "candor-load" | "candor-keep" | "candor-twin" | "candor-check" | "candor-free" | "candor-unload"
            | "candor-explain" | "candor-job" => base.max(10),
            // The first half; the others stand behind them, for models that are hardly ever idle.
            "candor-infer" => {
                let behind = values.iter().filter(|&&nice| nice == base.max(10)).count();
                assert_eq!(behind * 2, values.len(), "{values:?}");
                assert!(values.iter().all(|nice| [base.max(5), base.max(10)].contains(nice)), "{values:?}");
                continue;
            }
            _ => base,
        };
        assert!(!values.is_empty() && values.iter().all(|&nice| nice == wanted), "{name}: {values:?}");
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

/// What each HTTP thread has had, by the name of a metric.
fn by_worker(server: &TestServer, metric: &str) -> Vec<i64> {
    let samples = scrape(server).0.into_iter().filter(|sample| sample.name == metric);
    #[allow(clippy::cast_possible_truncation, reason = "a count of a test")]
    let mut found: Vec<_> = samples.map(|sample| (sample.labels["worker"].clone(), sample.value as i64)).collect();
    found.sort();
    found.into_iter().map(|(_, value)| value).collect()
}

/// How much more each thread has had since.
fn since(server: &TestServer, metric: &str, before: &[i64]) -> Vec<i64> {
    by_worker(server, metric).iter().zip(before).map(|(now, before)| now - before).collect()
}

fn spread(counts: &[i64]) -> i64 {
    counts.iter().max().unwrap() - counts.iter().min().unwrap()
}

const OPEN: &str = "candor_http_worker_connections";
const OPENED: &str = "candor_http_worker_accepted_total";
const REQUESTS: &str = "candor_http_worker_requests_total";

#[test]
fn clients_that_stay_are_spread_evenly_and_so_is_their_work() {
    let server = Plan::with(Models::copies(&["iris"])).set("http.workers=4").start();
    let (opened, requests) = (by_worker(&server, OPENED), by_worker(&server, REQUESTS));
    let mut clients: Vec<Connection> = (0..40).map(|_| Connection::open(server.addr())).collect();
    let request = Request::post(path("iris")).json(&iris());
    for _ in 0..25 {
        clients.iter_mut().for_each(|client| assert_eq!(client.ask(&request).status, 200));
    }
    let open = by_worker(&server, OPEN);
    assert!(open.len() == 4 && open.iter().all(|&open| (10..=11).contains(&open)), "{open:?}");
    assert!(spread(&since(&server, OPENED, &opened)) <= 1);
    let asked = since(&server, REQUESTS, &requests);
    assert!(asked.iter().sum::<i64>() >= 1000 && spread(&asked) <= 25, "{asked:?}");
    // Many who come and go beside them are spread just so, and move nobody who stays.
    let opened = by_worker(&server, OPENED);
    for _ in 0..400 {
        assert_eq!(server.get("/v2/health/live").status, 200);
    }
    let came = since(&server, OPENED, &opened);
    assert!(came.iter().sum::<i64>() >= 400 && spread(&came) <= 1, "{came:?}");
    drop(clients);
    until("all have gone", || (by_worker(&server, OPEN).iter().sum::<i64>() <= 1).then_some(()));
}

/// What actix gives no setting for; docs/decisions/0019-connections.md says why that is borne.
#[test]
fn threads_take_turns_whatever_becomes_of_the_connections() {
    let server = Plan::with(Models::copies(&["iris"])).start();
    // One who stays and one who goes, by turns, over two threads: all who stay are with the same thread.
    let stay: Vec<Connection> = (0..10)
        .map(|_| {
            let mut connection = Connection::open(server.addr());
            assert_eq!(connection.ask(&Request::get("/v2/health/live")).status, 200);
            assert_eq!(server.get("/v2/health/live").status, 200);
            connection
        })
        .collect();
    let mut open = by_worker(&server, OPEN);
    open.sort_unstable();
    assert!(open[0] <= 1 && open[1] >= 10, "{open:?}");
    drop(stay);
}

#[test]
fn who_comes_to_a_thread_that_is_held_waits_for_it_and_nobody_else_does() {
    let (server, gate) = held(|plan| plan);
    let mut stuck = begin(&server, false);
    assert!(gate.wait_for(1));
    let mut clients: Vec<Connection> = (0..20).map(|_| Connection::open(server.addr())).collect();
    clients.iter_mut().for_each(|client| client.send(&Request::get("/v2/health/live").bytes()));
    let answered = |clients: &[Connection]| clients.iter().filter(|client| client.has_reply()).count();
    until("every other one is answered", || (answered(&clients) == 10).then_some(()));
    gate.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.reply().status, 200));
    assert_eq!(stuck.reply().status, 200);
}

#[test]
fn no_grpc_client_waits_for_a_thread_that_is_held() {
    let (server, gate) = held(|plan| plan);
    let request = typed_request("held", stops()["inputs"].as_array().unwrap());
    let first = Grpc::open(server.grpc_addr());
    let mut client = first.client();
    let stuck = first.begin(async move { client.model_infer(request).await });
    assert!(gate.wait_for(1));
    for _ in 0..20 {
        let grpc = Grpc::open(server.grpc_addr());
        let ready = grpc.wait(grpc.client().server_ready(ServerReadyRequest {})).unwrap();
        assert!(ready.into_inner().ready);
    }
    gate.open();
    assert!(first.wait(stuck).unwrap().is_ok());
}
