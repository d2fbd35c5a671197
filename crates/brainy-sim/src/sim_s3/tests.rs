use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use brainy_core::{Clock, ErrorKind};
use brainy_storage::{Answer, Get, GetOptions, Key, Outcome, Precondition, Prefix, Revision, Store};
use bytes::Bytes;

use super::*;
use crate::fault::Fault;
use crate::scheduler::End;
use crate::wire::Latencies;

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

/// What `work` comes to over a simulated S3 whose first requests meet `faults` in turn, with how many requests there were and how many milliseconds it took.
fn under<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    faults: &[Option<Fault>],
    work: fn(Arc<dyn Store>) -> F,
) -> (T, u64, u64) {
    let scheduler = Scheduler::new(5);
    let wire = Wire::new(&scheduler, Latencies::S3);
    let mut faults: std::collections::VecDeque<_> = faults.to_vec().into();
    wire.set_script(move |_| faults.pop_front().flatten());
    let seen = Arc::new(Mutex::new(None));
    let process = {
        let (seen, wire) = (Arc::clone(&seen), wire.clone());
        scheduler.process("client", move |life| {
            let (seen, wire) = (Arc::clone(&seen), wire.clone());
            Box::pin(async move {
                let result = work(SimS3::store(&wire, life.process())).await;
                let ms = life.clock().now().since_origin().as_millis();
                *seen.lock().unwrap() = Some((result, u64::try_from(ms).unwrap()));
            })
        })
    };
    scheduler.start(process);
    assert_eq!(scheduler.run_for(Duration::from_secs(1_000)), End::Idle);
    scheduler.end();
    let (result, ms) = seen.lock().unwrap().take().expect("it came to an end");
    (result, wire.matrix().requests(), ms)
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Committed(_) => "committed",
        Outcome::Rejected => "rejected",
        Outcome::Unknown(_) => "unknown",
    }
}

#[test]
fn bulk_requests_are_repeated_by_the_real_client_in_virtual_time() {
    let work = |store: Arc<dyn Store>| async move {
        name(&store.put(&key("blob/1"), Bytes::from_static(b"x"), Precondition::None).await.unwrap().value)
    };
    let (said, requests, calm) = under(&[], work);
    assert_eq!((said, requests), ("committed", 1));
    assert!(calm < 1_000, "{calm} ms");
    let repetition = u64::try_from(REPETITION.as_millis()).unwrap();
    for fault in [Fault::FailBefore, Fault::ErrorAfter, Fault::SlowDown, Fault::ResetAfter, Fault::LostReply, Fault::LostRequest] {
        let (said, requests, ms) = under(&[Some(fault), Some(fault)], work);
        // A write that was repeated may have taken effect more than once: it is reported as what the client knows.
        assert!(said == "committed" && requests >= 3, "{fault:?}: {said} after {requests}");
        assert!(ms >= 2 * repetition, "{fault:?}: {ms} ms");
    }
    // Five repetitions and no more.
    let (said, requests, _) = under(&[Some(Fault::FailBefore); 20], work);
    assert_eq!((said, requests), ("unknown", 6));
}

#[test]
fn the_clients_own_patience_is_enforced_for_it() {
    let create = |store: Arc<dyn Store>| async move {
        name(&store.put(&key("log/1"), Bytes::from_static(b"x"), Precondition::IfAbsent).await.unwrap().value)
    };
    let (said, requests, ms) = under(&[Some(Fault::LostReply)], create);
    let patience = u64::try_from(Latencies::S3.client_timeout.as_millis()).unwrap();
    assert_eq!((said, requests), ("unknown", 1));
    assert!((patience..patience + 1_000).contains(&ms), "{ms} ms");
}

#[test]
fn a_ranged_read_that_is_cut_is_taken_up_again_and_a_whole_one_is_an_error() {
    let read = |store: Arc<dyn Store>| async move {
        drop(store.put(&key("segment/1"), Bytes::from_static(b"0123456789"), Precondition::None).await.unwrap());
        let Get::Found(part) = store.get(&key("segment/1"), GetOptions::range(1..9)).await.unwrap().value else { panic!("it is there") };
        let whole = store.get(&key("segment/1"), GetOptions::whole()).await.unwrap_err();
        (part.bytes, part.size, whole.kind(), whole.to_string().contains("the reply was lost"))
    };
    let faults = [None, Some(Fault::Truncated), None, Some(Fault::Truncated)];
    let (seen, requests, _) = under(&faults, read);
    assert_eq!((seen, requests), ((Bytes::from_static(b"12345678"), 10, ErrorKind::Unavailable, true), 4));
}

#[test]
fn every_reply_has_the_stores_time_and_means_what_s3_means() {
    let work = |store: Arc<dyn Store>| async move {
        let (a, b) = (key("lease/a"), key("lease/b"));
        let created = store.put(&a, Bytes::from_static(b"1"), Precondition::IfAbsent).await.unwrap();
        let Outcome::Committed(revision) = created.value else { panic!("{created:?}") };
        let mut times = vec![created.at];
        let mut put = async |key: &Key, condition| {
            let Answer { value, at, .. } = store.put(key, Bytes::from_static(b"2"), condition).await.unwrap();
            times.push(at);
            name(&value)
        };
        let other = Precondition::IfMatch(Revision::new("\"0\""));
        assert_eq!(put(&a, Precondition::IfAbsent).await, "rejected");
        assert_eq!(put(&a, other.clone()).await, "rejected");
        assert_eq!(put(&b, other).await, "rejected");
        assert_eq!(put(&a, Precondition::IfMatch(revision.clone())).await, "committed");
        let unchanged = store.get(&a, GetOptions::if_changed_from(Revision::new("\"c81e728d9d4c2f636f067f89cc14862c\""))).await.unwrap();
        let changed = store.get(&a, GetOptions::if_changed_from(revision)).await.unwrap();
        let Get::Found(object) = &changed.value else { panic!("{changed:?}") };
        let same = store.get(&a, GetOptions::if_changed_from(object.revision.clone())).await.unwrap();
        assert_eq!(same.value, Get::NotModified);
        let absent = store.get(&b, GetOptions::whole()).await.unwrap();
        assert_eq!(absent.value, Get::Absent);
        times.extend([unchanged.at, changed.at, same.at, absent.at]);
        let error = store.get(&a, GetOptions::range(5..6)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        times.push(error.store_time());
        times
    };
    let (times, requests, _) = under(&[], work);
    assert_eq!(requests, 10);
    let first = times[0].expect("replies have a date").as_ms();
    assert!(times.iter().all(|time| time.is_some_and(|time| (first..first + 5_000).contains(&time.as_ms()))), "{times:?}");
}

#[test]
fn listings_come_in_pages_and_deletes_in_one_request_for_many() {
    let work = |store: Arc<dyn Store>| async move {
        let keys: Vec<_> = (0..5).map(|number| key(&format!("log/{number}"))).collect();
        for key in &keys {
            drop(store.put(key, Bytes::from_static(b"abc"), Precondition::IfAbsent).await.unwrap());
        }
        let (log, most) = (Prefix::new("log").unwrap(), NonZeroUsize::new(100).unwrap());
        let page = store.list(&log, Some(&keys[0]), most).await.unwrap();
        assert!(page.at.is_some() && !page.value.more);
        let names: Vec<_> = page.value.entries.iter().map(|entry| (entry.key.to_string(), entry.size)).collect();
        assert_eq!(names, [("log/1".into(), 3), ("log/2".into(), 3), ("log/3".into(), 3), ("log/4".into(), 3)]);
        store.delete_many(&keys[1..4]).await.unwrap();
        store.delete(&keys[4]).await.unwrap();
        store.list(&Prefix::root(), None, most).await.unwrap().value
    };
    // The second page of the listing follows a short one, and the deletion is repeated after a 200 that holds an error.
    let faults = [None, None, None, None, None, Some(Fault::ShortPage), Some(Fault::ShortPage), None, Some(Fault::FailBefore)];
    let (left, requests, _) = under(&faults, work);
    assert!(!left.more && left.entries.len() == 1, "{left:?}");
    assert!((12..=14).contains(&requests), "{requests} requests");
}

#[test]
fn what_is_not_signed_as_it_is_sent_is_refused() {
    let scheduler = Scheduler::new(1);
    let wire = Wire::new(&scheduler, Latencies::S3);
    /// Passes requests on with one thing changed.
    #[derive(Debug)]
    struct Changed(SimS3, fn(&mut HttpRequest));
    #[async_trait]
    impl HttpService for Changed {
        async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
            self.1(&mut request);
            self.0.call(request).await
        }
    }
    let changes: [fn(&mut HttpRequest); 4] = [
        |request| *request.body_mut() = Bytes::from_static(b"another").into(),
        |request| *request.uri_mut() = "http://sims3.localhost/bucket/services/store/b".parse().unwrap(),
        |request| drop(request.headers_mut().remove("if-none-match")),
        |request| drop(request.headers_mut().remove("authorization")),
    ];
    for change in changes {
        let time = VirtualTime::new().unwrap();
        let options =
            S3Options::new(BUCKET).with_prefix(PREFIX).with_endpoint(ENDPOINT).with_access_key(AccessKey::new(ACCESS_KEY, SECRET_KEY));
        let transport = |silence| {
            let inner = SimS3 { wire: wire.clone(), process: ProcessId(0), time: time.clone(), silence };
            HttpClient::new(Changed(inner, change))
        };
        let store = Simulated::new(options, time.clone(), transport).unwrap();
        let name = key("a");
        let put = store.put(&name, Bytes::from_static(b"x"), Precondition::IfAbsent);
        let error = futures_util::FutureExt::now_or_never(put).expect("it never comes to the bucket").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert_eq!(wire.matrix().requests(), 0);
}
