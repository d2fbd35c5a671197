//! The contract, and the refusal of servers that do not keep it.

use std::sync::Arc;

use brainy_core::{ErrorKind, OsEntropy, SystemClock};
use brainy_storage::conformance::{self, Ground, Options};
use brainy_storage::{MAX_PROBE_REQUESTS, Store, probe};
use brainy_storage_s3::S3Store;
use brainy_testkit::s3_endpoint::Mode;

use crate::world::{World, options};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_keeps_the_contract() {
    let world = World::new();
    // Two handles, so that writers race over sockets of their own.
    let stores: [Arc<dyn Store>; 2] = [world.store, Arc::new(S3Store::open(options(&world.endpoint)).unwrap())];
    let report = conformance::run(&stores, Arc::new(SystemClock), Arc::new(OsEntropy), Options::default()).await;
    println!("{report}");
    assert!(report.is_ok(), "{report}");
}

#[tokio::test]
async fn an_exact_server_passes_the_probe_within_its_budget_of_requests() {
    let world = World::new();
    let report = probe(&*world.store, &SystemClock, &OsEntropy).await.unwrap();
    assert!(report.lists_after_write && report.store_time.is_some() && report.cleaned, "{report:?}");
    let requests = world.endpoint.requests().len();
    assert!(requests <= MAX_PROBE_REQUESTS, "{requests} requests");
    assert_eq!(world.endpoint.keys("things"), Vec::<String>::new());
}

#[tokio::test]
async fn a_server_that_ignores_conditions_is_refused_by_the_probe() {
    let world = World::with_mode(Mode::IgnoreConditions);
    let error = probe(&*world.store, &SystemClock, &OsEntropy).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

#[tokio::test]
async fn a_server_that_checks_without_atomicity_is_refused_by_the_probe_and_by_the_races() {
    let world = World::with_mode(Mode::NonAtomic);
    let error = probe(&*world.store, &SystemClock, &OsEntropy).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let ground = Ground::new(&[world.store], Arc::new(SystemClock), Arc::new(OsEntropy), Options::default());
    let broken = [
        conformance::exactly_one_of_racing_creates_wins(&ground).await,
        conformance::exactly_one_of_racing_updates_wins(&ground).await,
        conformance::a_counter_raised_by_compare_and_swap_is_exact(&ground).await,
    ];
    assert!(broken.iter().all(Result::is_err), "{broken:?}");
}
