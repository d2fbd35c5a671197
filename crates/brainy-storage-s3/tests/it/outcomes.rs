//! How a write ends when replies are lost, late or unclear.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use brainy_core::ErrorKind;
use brainy_storage::{Get, GetOptions, Precondition, Prefix, Revision, Store};
use brainy_storage_s3::{AccessKey, S3Options, S3Store};
use brainy_testkit::s3_endpoint::HttpFault;
use bytes::Bytes;

use crate::world::{BUCKET, Said, TIMEOUT, World, key, options};

fn status_before(status: u16) -> HttpFault {
    HttpFault::StatusBefore(status, "Fault".to_owned())
}

fn status_after(status: u16) -> HttpFault {
    HttpFault::StatusAfter(status, "Fault".to_owned())
}

/// Faults after which a write has taken effect, and those after which it has not. The client must not claim to know.
fn undecided() -> Vec<(HttpFault, bool)> {
    let mut faults = vec![
        (HttpFault::CloseBefore, false),
        (HttpFault::CloseAfter, true),
        (HttpFault::ResetAfter, true),
        (HttpFault::DelayAfter(TIMEOUT * 4), true),
    ];
    for status in [500, 502, 503, 504, 429, 408, 409] {
        faults.push((status_before(status), false));
        faults.push((status_after(status), true));
    }
    faults
}

#[tokio::test]
async fn a_create_without_a_clear_reply_is_unknown_and_sent_once() {
    let world = World::impatient();
    for (number, (fault, landed)) in undecided().into_iter().enumerate() {
        let name = format!("create/{number}");
        world.fault("PUT", fault.clone());
        world.endpoint.take_requests();
        let said = world.create(&name, "ours").await;
        assert!(said.is_unknown(), "{fault:?}: {said:?}");
        assert_eq!(world.stored(&name).is_some(), landed, "{fault:?}");
        // A slow request is written down when it is over, so it may not be there yet; a second one never is.
        assert!(world.endpoint.take_requests().len() <= 1, "{fault:?}");
    }
}

#[tokio::test]
async fn an_update_without_a_clear_reply_is_unknown_and_sent_once() {
    let world = World::impatient();
    for (number, (fault, landed)) in undecided().into_iter().enumerate() {
        let name = format!("update/{number}");
        assert_eq!(world.create(&name, "before").await, Said::Committed);
        let revision = world.revision(&name).await;
        world.fault("PUT", fault.clone());
        world.endpoint.take_requests();
        let said = world.update(&name, "ours", &revision).await;
        assert!(said.is_unknown(), "{fault:?}: {said:?}");
        assert_eq!(world.stored(&name).unwrap(), if landed { "ours" } else { "before" }, "{fault:?}");
        assert!(world.endpoint.take_requests().len() <= 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_write_that_lands_after_the_client_gave_up_was_called_unknown() {
    let world = World::impatient();
    world.fault("PUT", HttpFault::DelayBefore(TIMEOUT * 2));
    assert!(world.create("late", "ours").await.is_unknown());
    assert_eq!(world.stored("late"), None);
    let landed = async {
        while !matches!(world.store.get(&key("late"), GetOptions::whole()).await.map(|answer| answer.value), Ok(Get::Found(_))) {}
    };
    tokio::time::timeout(Duration::from_secs(20), landed).await.expect("the late write lands");
}

#[tokio::test]
async fn a_conflict_reply_with_a_rival_is_still_not_a_rejection() {
    let world = World::new();
    assert_eq!(world.create("slot", "rival").await, Said::Committed);
    world.fault("PUT", status_before(409));
    assert!(world.create("slot", "ours").await.is_unknown());
    assert_eq!(world.create("slot", "ours").await, Said::Rejected);
    assert_eq!(world.stored("slot").unwrap(), "rival");
}

#[tokio::test]
async fn a_refused_condition_is_a_rejection() {
    let world = World::new();
    assert_eq!(world.create("a", "1").await, Said::Committed);
    assert_eq!(world.create("a", "2").await, Said::Rejected);
    let first = world.revision("a").await;
    assert_eq!(world.update("a", "2", &first).await, Said::Committed);
    assert_eq!(world.update("a", "3", &first).await, Said::Rejected);
    assert_eq!(world.update("absent", "3", &first).await, Said::Rejected);
    assert_eq!(world.stored("a").unwrap(), "2");
    assert_eq!(world.stored("absent"), None);
}

#[tokio::test]
async fn what_was_certainly_not_sent_is_an_error_and_not_unknown() {
    // A port that was free a moment ago: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = S3Options::new(BUCKET).with_endpoint(format!("http://{address}"));
    let store = S3Store::open(nobody.with_access_key(AccessKey::new("id", "secret"))).unwrap();
    for precondition in [Precondition::IfAbsent, Precondition::IfMatch(Revision::new("\"1\""))] {
        let error = store.put(&key("a"), Bytes::new(), precondition).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("no connection"), "{error}");
    }
}

#[tokio::test]
async fn tls_needs_no_provider_of_the_process_and_a_failed_handshake_sends_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = S3Options::new(BUCKET).with_endpoint(format!("https://{}", listener.local_addr().unwrap()));
    let store = match S3Store::open(options.with_access_key(AccessKey::new("id", "secret"))) {
        Ok(store) => store,
        // A machine without any root certificate has no TLS, and says so.
        Err(error) => return assert!(error.to_string().contains("root certificates"), "{error}"),
    };
    // Answers the handshake with what is no handshake, and keeps what it was sent.
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let mut sent = Vec::new();
        drop(stream.read_to_end(&mut sent));
        sent
    });
    let error = store.put(&key("a"), Bytes::from_static(b"content"), Precondition::IfAbsent).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("no connection"), "{error}");
    let sent = server.join().unwrap();
    assert!(sent.starts_with(&[0x16, 0x03]) && !sent.windows(7).any(|part| part == b"content"), "a TLS handshake and nothing else");
}

#[tokio::test]
async fn a_refusal_of_the_request_itself_is_an_error_and_not_unknown() {
    let world = World::new();
    for (status, code, kind) in [
        (400, "InvalidRequest", ErrorKind::Invalid),
        (403, "AccessDenied", ErrorKind::Unavailable),
        (403, "SignatureDoesNotMatch", ErrorKind::Invalid),
        (404, "NoSuchBucket", ErrorKind::NotFound),
        (501, "NotImplemented", ErrorKind::Unsupported),
    ] {
        world.fault("PUT", HttpFault::StatusBefore(status, code.to_owned()));
        let error = world.store.put(&key("a"), Bytes::new(), Precondition::IfAbsent).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(&format!("{status} {code}")), "{error}");
        assert_eq!(world.stored("a"), None);
    }
}

#[tokio::test]
async fn an_unconditional_write_is_repeated_until_it_is_confirmed() {
    let world = World::new();
    for (number, fault) in [HttpFault::CloseAfter, HttpFault::CloseBefore, HttpFault::ResetAfter, status_after(503), status_before(500)]
        .into_iter()
        .enumerate()
    {
        let name = format!("blob/{number}");
        world.fault("PUT", fault.clone());
        world.endpoint.take_requests();
        let said = Said::of(world.store.put(&key(&name), Bytes::from_static(b"ours"), Precondition::None).await);
        assert_eq!(said, Said::Committed, "{fault:?}");
        assert_eq!(world.endpoint.take_requests().len(), 2, "{fault:?}");
        assert_eq!(world.stored(&name).unwrap(), "ours");
    }
}

#[tokio::test]
async fn a_missing_bucket_is_named() {
    let world = World::new();
    let mut elsewhere = options(&world.endpoint);
    elsewhere.bucket = "nowhere".to_owned();
    let store = S3Store::open(elsewhere).unwrap();
    let limit = std::num::NonZeroUsize::MIN;
    let errors = [
        store.get(&key("a"), GetOptions::whole()).await.map(drop).unwrap_err(),
        store.put(&key("a"), Bytes::new(), Precondition::IfAbsent).await.map(drop).unwrap_err(),
        store.put(&key("a"), Bytes::new(), Precondition::None).await.map(drop).unwrap_err(),
        store.put(&key("a"), Bytes::new(), Precondition::IfMatch(Revision::new("\"1\""))).await.map(drop).unwrap_err(),
        store.list(&Prefix::root(), None, limit).await.map(drop).unwrap_err(),
        store.delete(&key("a")).await.map(drop).unwrap_err(),
        store.delete_many(&[key("a"), key("b")]).await.map(drop).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains("bucket nowhere does not exist"), "{error}");
        assert!(error.store_time().is_some(), "{error}");
    }
}
