//! The contract and its races on the server.

use std::sync::Arc;

use brainy_core::{OsEntropy, SystemClock};
use brainy_storage::conformance::{self, Options};
use brainy_storage::{MAX_PROBE_REQUESTS, Metered, Store, probe};

use crate::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_keeps_the_contract_races_included() {
    let server = Server::new().await;
    let stores: [Arc<dyn Store>; 2] = [server.store(), server.store()];
    // 64 creates at once in 10 rounds, as many updates, and 16 tasks that raise one counter 25 times, then 50.
    let options = Options::default();
    assert_eq!((options.racers, options.rounds, options.tasks), (64, 10, 16));
    let report = conformance::run(&stores, Arc::new(SystemClock), Arc::new(OsEntropy), options).await;
    println!("{}: {report}", server.label);
    assert!(report.is_ok(), "{}: {report}", server.label);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counter_raised_by_sixteen_tasks_fifty_times_is_exact() {
    let server = Server::new().await;
    let mut options = Options::default();
    options.increments = 50;
    let stores: [Arc<dyn Store>; 2] = [server.store(), server.store()];
    let ground = conformance::Ground::new(&stores, Arc::new(SystemClock), Arc::new(OsEntropy), options);
    conformance::a_counter_raised_by_compare_and_swap_is_exact(&ground).await.expect("the counter is exact");
    ground.clear().await.expect("the counter can be deleted");
}

#[tokio::test]
async fn the_server_passes_the_probe_within_its_budget_of_requests() {
    let server = Server::new().await;
    let metered = Metered::new(server.store());
    let report = probe(&metered, &SystemClock, &OsEntropy).await.expect("the server honours conditions");
    assert!(report.lists_after_write && report.store_time.is_some() && report.cleaned, "{report:?}");
    let requests = metered.snapshot().requests();
    assert!(requests as usize <= MAX_PROBE_REQUESTS, "{requests} requests");
}
