//! What is read from replies: the store's time, ranges, listings; and what each call costs.

use std::num::NonZeroUsize;

use brainy_core::ErrorKind;
use brainy_storage::{Get, GetOptions, Outcome, Precondition, Prefix, Revision, Store, StoreTime};
use brainy_storage_s3::S3Store;
use brainy_testkit::s3_endpoint::HttpFault;
use bytes::Bytes;

use crate::world::{BUCKET, Said, World, key, options};

const DATE: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
const AT: Option<StoreTime> = Some(StoreTime::from_ms(1_445_412_480_000));

#[tokio::test]
async fn every_reply_carries_the_stores_own_time_refusals_and_errors_included() {
    let world = World::new();
    assert_eq!(world.create("a", "1").await, Said::Committed);
    let revision = world.revision("a").await;
    world.endpoint.set_date(Some(DATE));
    let store = &world.store;
    let body = Bytes::from_static(b"1");
    let stale = Precondition::IfMatch(Revision::new("\"00000000000000000000000000000000\""));
    let limit = NonZeroUsize::new(10).unwrap();
    let seen = [
        ("found", store.get(&key("a"), GetOptions::whole()).await.unwrap().at),
        ("ranged", store.get(&key("a"), GetOptions::range(0..1)).await.unwrap().at),
        ("absent", store.get(&key("b"), GetOptions::whole()).await.unwrap().at),
        ("not modified", store.get(&key("a"), GetOptions::if_changed_from(revision.clone())).await.unwrap().at),
        ("no such range", store.get(&key("a"), GetOptions::range(5..6)).await.unwrap_err().store_time()),
        ("rejected create", store.put(&key("a"), body.clone(), Precondition::IfAbsent).await.unwrap().at),
        ("rejected update", store.put(&key("a"), body.clone(), stale).await.unwrap().at),
        ("committed update", store.put(&key("a"), body.clone(), Precondition::IfMatch(revision)).await.unwrap().at),
        ("put", store.put(&key("a"), body.clone(), Precondition::None).await.unwrap().at),
        ("list", store.list(&Prefix::root(), None, limit).await.unwrap().at),
        ("delete", store.delete(&key("a")).await.unwrap().at),
        ("delete many", store.delete_many(&[key("a"), key("b")]).await.unwrap().at),
    ];
    for (what, at) in seen {
        assert_eq!(at, AT, "{what}");
    }
    for (status, kind) in [(403, ErrorKind::Unavailable), (500, ErrorKind::Unavailable), (503, ErrorKind::Overloaded)] {
        world.fault("GET", HttpFault::StatusBefore(status, "Fault".to_owned()));
        let error = store.get(&key("a"), GetOptions::whole()).await.unwrap_err();
        assert_eq!((error.kind(), error.store_time()), (kind, AT), "{error}");
    }
    world.fault("PUT", HttpFault::StatusAfter(503, "SlowDown".to_owned()));
    let unknown = store.put(&key("b"), body, Precondition::IfAbsent).await.unwrap();
    let Outcome::Unknown(error) = unknown.value else { panic!("{unknown:?}") };
    assert_eq!((unknown.at, error.store_time()), (AT, AT));
}

#[tokio::test]
async fn concurrent_calls_do_not_read_each_others_notes() {
    let world = World::new();
    assert_eq!(world.create("there", "1").await, Said::Committed);
    let (there, not_there) = (key("there"), key("not-there"));
    let both = || async { tokio::join!(world.store.get(&there, GetOptions::whole()), world.store.get(&not_there, GetOptions::whole())) };
    for (found, absent) in futures_util::future::join_all((0..50).map(|_| both())).await {
        assert!(matches!(found.unwrap().value, Get::Found(_)));
        assert_eq!(absent.unwrap().value, Get::Absent);
    }
}

#[tokio::test]
async fn a_read_whose_body_is_cut_is_an_error_and_a_ranged_one_is_taken_up_again() {
    let world = World::new();
    assert_eq!(world.create("a", "0123456789").await, Said::Committed);
    world.fault("GET", HttpFault::CutBody(4));
    let error = world.store.get(&key("a"), GetOptions::whole()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("the reply was lost"), "{error}");
    world.fault("GET", HttpFault::CutBody(4));
    let Get::Found(object) = world.store.get(&key("a"), GetOptions::range(1..9)).await.unwrap().value else { panic!("it is there") };
    assert_eq!((&*object.bytes, object.size), (b"12345678".as_slice(), 10));
}

#[tokio::test]
async fn a_server_that_does_not_answer_makes_a_read_unavailable_and_one_that_throttles_says_so() {
    let world = World::impatient();
    assert_eq!(world.create("a", "1").await, Said::Committed);
    for (fault, kind) in [
        (HttpFault::StatusBefore(503, "SlowDown".to_owned()), ErrorKind::Overloaded),
        (HttpFault::StatusBefore(429, "TooManyRequests".to_owned()), ErrorKind::Overloaded),
        (HttpFault::StatusBefore(400, "ExpiredToken".to_owned()), ErrorKind::Unavailable),
        (HttpFault::CloseBefore, ErrorKind::Unavailable),
        (HttpFault::DelayAfter(crate::world::TIMEOUT * 4), ErrorKind::Unavailable),
    ] {
        world.fault("GET", fault.clone());
        let error = world.store.get(&key("a"), GetOptions::whole()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
    }
    assert_eq!(world.revision("a").await.as_str(), "\"c4ca4238a0b923820dcc509a6f75849b\"", "the quoted ETag is the revision");
}

#[tokio::test]
async fn calls_cost_one_request_and_learning_that_nothing_changed_no_body() {
    let world = World::new();
    assert_eq!(world.create("log/1", "1").await, Said::Committed);
    assert_eq!(world.create("log/2", "2").await, Said::Committed);
    let revision = world.revision("log/1").await;
    let (log, one) = (Prefix::new("log").unwrap(), NonZeroUsize::MIN);
    world.endpoint.take_requests();
    let costs = |what: &str| {
        let requests = world.endpoint.take_requests();
        assert_eq!(requests.len(), 1, "{what}: {requests:?}");
        requests.into_iter().next().unwrap()
    };
    let store = &world.store;
    assert_eq!(store.get(&key("log/1"), GetOptions::if_changed_from(revision)).await.unwrap().value, Get::NotModified);
    assert_eq!(costs("not modified").status, Some(304));
    assert_eq!(store.get(&key("log/3"), GetOptions::whole()).await.unwrap().value, Get::Absent);
    assert_eq!(costs("absent").status, Some(404));
    let page = store.list(&log, None, one).await.unwrap().value;
    assert!(page.more && page.entries.len() == 1, "{page:?}");
    assert!(costs("a listing").query.contains("max-keys=1"), "only what is wanted is listed");
    let page = store.list(&log, Some(&key("log/1")), NonZeroUsize::new(1000).unwrap()).await.unwrap().value;
    assert!(!page.more && page.entries.len() == 1 && page.entries[0].key == key("log/2"), "{page:?}");
    assert!(costs("a listing after a key").query.contains("start-after=prefix%2Flog%2F1"));
    store.delete(&key("log/1")).await.unwrap();
    assert_eq!(costs("a delete").method, "DELETE");
    store.delete_many(&[key("log/1"), key("log/2"), key("log/3")]).await.unwrap();
    assert_eq!(costs("many deletes").method, "POST");
    assert_eq!(world.endpoint.keys(BUCKET), Vec::<String>::new());
}

#[tokio::test]
async fn what_strangers_put_under_the_prefix_is_passed_over() {
    let world = World::new();
    let mut whole_bucket = options(&world.endpoint);
    whole_bucket.prefix = "prefix/Log".to_owned();
    let stranger = S3Store::open(whole_bucket).unwrap();
    drop(stranger.put(&key("x"), Bytes::new(), Precondition::None).await.unwrap());
    assert_eq!(world.create("log", "1").await, Said::Committed);
    let page = world.store.list(&Prefix::root(), None, NonZeroUsize::new(10).unwrap()).await.unwrap().value;
    assert_eq!(page.entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["log"]);
}

#[tokio::test]
async fn unquoted_etags_are_sent_where_they_are_asked_for() {
    let world = World::new();
    let store = S3Store::open(options(&world.endpoint).with_unquoted_etags(true)).unwrap();
    assert_eq!(world.create("a", "1").await, Said::Committed);
    let revision = world.revision("a").await;
    let name = key("a");
    let update = |revision: Revision| store.put(&name, Bytes::from_static(b"2"), Precondition::IfMatch(revision));
    assert_eq!(Said::of(update(revision.clone()).await), Said::Committed);
    assert_eq!(Said::of(update(revision).await), Said::Rejected);
}

#[test]
fn a_store_outlives_the_runtime_it_was_used_in() {
    let world = World::new();
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        // Each takes the connections of the one before with it.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(world.create(name, "1")), Said::Committed, "runtime {number}");
    }
}

/// The system before this one took a missing lock object for a failure, because the server called it by another name than expected: nobody ever held the lock,
/// and no count was ever written.
#[tokio::test]
async fn s2_what_is_missing_is_absent_by_whatever_name_and_can_be_made_at_once() {
    let world = World::new();
    let revision = Revision::new("\"00000000000000000000000000000000\"");
    for (n, code) in ["NoSuchKey", "NotFound", "KeyNotFound", "404", ""].into_iter().enumerate() {
        let name = format!("counts/{n}");
        world.fault("GET", HttpFault::StatusBefore(404, code.to_owned()));
        assert_eq!(world.store.get(&key(&name), GetOptions::whole()).await.unwrap().value, Get::Absent, "{code:?}");
        world.fault("PUT", HttpFault::StatusBefore(404, code.to_owned()));
        assert_eq!(world.update(&name, "1", &revision).await, Said::Rejected, "{code:?}: there is nothing to replace");
        assert_eq!(world.create(&name, "1").await, Said::Committed, "{code:?}");
        assert_eq!(world.create(&name, "2").await, Said::Rejected, "{code:?}");
    }
    // A bucket that is missing is no missing object: nothing may be concluded from it.
    world.fault("GET", HttpFault::StatusBefore(404, "NoSuchBucket".to_owned()));
    let error = world.store.get(&key("counts/0"), GetOptions::whole()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    world.fault("PUT", HttpFault::StatusBefore(404, "NoSuchBucket".to_owned()));
    assert!(matches!(world.create("counts/none", "1").await, Said::Failed(_)));
}
