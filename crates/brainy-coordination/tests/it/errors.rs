//! The contract of errors: each cause has its own variant and kind, and its text says what is left.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use brainy_coordination::{
    ChangeLog, Error, Fence, LogOptions, NewStore, Outcome, ProtocolOperation, Rejection, Token, Transaction, Withdrawal, create_store,
};
use brainy_core::{ErrorKind, StoreId};
use brainy_storage::{Answer, Get, GetOptions, InMemoryStore, Key, Precondition, Prefix, Store};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join};

use crate::driving::{add, commit, commit_alone, driven, slot_key};
use crate::register::Register;
use crate::stores::{Cut, Last, NoWrites, environment, fresh, opened, within};

/// One cause: how it is brought about, what it must be, and what its text must say is left.
struct Case {
    cause: &'static str,
    provoke: fn() -> Error,
    is: fn(&Error) -> bool,
    kind: ErrorKind,
    left: &'static str,
}

macro_rules! case {
    ($cause:literal, $provoke:expr, $is:pat, $kind:ident, $left:literal) => {
        Case { cause: $cause, provoke: $provoke, is: |error| matches!(error, $is), kind: ErrorKind::$kind, left: $left }
    };
}

#[test]
fn each_cause_has_its_own_error_and_says_what_is_left() {
    let cases = [
        case!("a reply does not come in time", no_reply, Error::NoReply(_), Unavailable, "nothing rests on it"),
        case!("a turn does not come in time", no_turn, Error::Deadline { .. }, Unavailable, "nothing was sent that could take effect"),
        case!("the store throttles", || refused(ErrorKind::Overloaded), Error::Throttled(_), Overloaded, "it had no effect"),
        case!("the store fails", || refused(ErrorKind::Unavailable), Error::Store(_), Unavailable, "nothing rests on it"),
        case!("writing is not allowed", || refused(ErrorKind::Unsupported), Error::Store(_), Unsupported, "nothing rests on it"),
        case!("a slot is corrupt", || planted(Plant::Garbage), Error::Bytes { .. }, Corrupt, "nothing of it was applied"),
        case!("a slot is another store's", || planted(Plant::Foreign), Error::ForeignObject { .. }, Corrupt, "nothing of it was applied"),
        case!(
            "a slot follows another log",
            || planted(Plant::Replaced),
            Error::RolledBack { .. },
            RolledBack,
            "nothing is acknowledged on top of it"
        ),
        case!("a blob is gone", || planted(Plant::NoBlob), Error::Missing { .. }, Corrupt, "nothing behind it is applied"),
        case!("a token is of the log's lost future", future, Error::RolledBack { .. }, RolledBack, "nothing is acknowledged on top of it"),
        case!("a token is another store's", foreign, Error::ForeignToken { .. }, Invalid, "the token is of store"),
        case!("the queue is full", || submitted(Handle::Full), Error::Overloaded { .. }, Overloaded, "this one was not taken"),
        case!("the handle only reads", || submitted(Handle::ReadOnly), Error::ReadOnly, Invalid, "nothing was sent"),
        case!("the handle is closed", || submitted(Handle::Closed), Error::Closed { .. }, Closed, "this handle is closed: done"),
        case!("there is no store", no_store, Error::NoStore { .. }, NotFound, "`brainy.json` is not there"),
    ];
    for Case { cause, provoke, is, kind, left } in cases {
        let error = provoke();
        assert!(is(&error), "{cause}: {error:?}");
        assert_eq!(error.kind(), kind, "{cause}: {error}");
        assert!(error.to_string().contains(left), "{cause}: {error}");
        assert_eq!(error.is_deadline(), cause.ends_with("in time"), "{cause}: {error}");
    }
}

/// What is asked of a handle whose store gives no answer any more.
fn in_silence(ask: impl for<'a> FnOnce(&'a ChangeLog<Register>) -> LocalBoxFuture<'a, Error>) -> Error {
    let (memory, clock, _) = fresh(71);
    let silent = Arc::new(Cut::new(Arc::new(memory), u64::MAX, Last::Lost));
    let environment = environment(Arc::<Cut>::clone(&silent), &clock, 72);
    clock.run(async {
        let log = opened(&environment).await;
        silent.left.store(0, Ordering::Release);
        ask(&log).await
    })
}

fn no_reply() -> Error {
    in_silence(|log| async { log.refresh(within(log.environment(), 5)).await.unwrap_err() }.boxed_local())
}

/// Somebody with more time waits for the store, and with him everybody who asks after him.
fn no_turn() -> Error {
    in_silence(|log| {
        let both = async {
            let [patient, late] = [60, 5].map(|seconds| log.refresh(within(log.environment(), seconds)));
            join(patient, late).await.1.unwrap_err()
        };
        both.boxed_local()
    })
}

fn refused(kind: ErrorKind) -> Error {
    let clock = brainy_testkit::ManualClock::new();
    let environment = environment(Arc::new(NoWrites { inner: Arc::new(InMemoryStore::new()), kind }), &clock, 76);
    clock.run(create_store(&environment, &NewStore::new(vec![]), within(&environment, 5))).map(drop).unwrap_err()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Plant {
    Garbage,
    Foreign,
    Replaced,
    NoBlob,
}

async fn bytes_of(store: &dyn Store, key: &Key) -> Bytes {
    let Get::Found(object) = store.get(key, GetOptions::whole()).await.unwrap().value else { panic!("{key} is there") };
    object.bytes
}

/// What a handle at slot 1 says of the slot 2 that it finds; it stays where it was.
fn planted(plant: Plant) -> Error {
    let (memory, clock, plain) = fresh(77);
    let (other, _, foreign) = fresh(78);
    clock.run(async {
        let (reader, writer) = (opened(&plain).await, opened(&plain).await);
        commit_alone(&writer, &[add(1)]).await;
        reader.refresh(within(&plain, 60)).await.unwrap();
        let before = reader.digests().await.unwrap();
        match plant {
            Plant::Garbage => put(&memory, &slot_key(2), Bytes::from_static(b"garbage")).await,
            Plant::Foreign => {
                let log = opened(&foreign).await;
                commit_alone(&log, &[add(1), add(2)]).await;
                put(&memory, &slot_key(2), bytes_of(&other, &slot_key(2)).await).await;
            }
            Plant::Replaced => {
                // The log was restored to its beginning and went on in another way.
                memory.delete(&slot_key(1)).await.unwrap();
                let log = opened(&plain).await;
                commit_alone(&log, &[add(5), add(6)]).await;
            }
            Plant::NoBlob => {
                let large = Transaction::payload([b"add sum 2 2".to_vec(), vec![b' '; 100 << 10]].concat());
                commit_alone(&opened(&plain).await, &[large]).await;
                let limit = std::num::NonZeroUsize::new(9).unwrap();
                let blobs = memory.list(&Prefix::new("blob").unwrap(), None, limit).await.unwrap().value.entries;
                assert_eq!(blobs.len(), 1);
                memory.delete(&blobs[0].key).await.unwrap();
            }
        }
        let error = reader.refresh(within(&plain, 60)).await.unwrap_err();
        assert_eq!(reader.digests().await.unwrap(), before, "the handle stays where it was");
        error
    })
}

async fn put(store: &dyn Store, key: &Key, bytes: Bytes) {
    let Answer { value, .. } = store.put(key, bytes, Precondition::None).await.unwrap();
    assert!(matches!(value, brainy_storage::Outcome::Committed(_)), "{value:?}");
}

/// What a handle says of a token, made from its own position.
fn shown(change: fn(Token) -> Token) -> Error {
    let (_, clock, plain) = fresh(79);
    clock.run(async {
        let log = opened(&plain).await;
        log.reach(change(log.position()), within(&plain, 60)).await.unwrap_err()
    })
}

fn future() -> Error {
    shown(|token| Token { seq: token.seq + 1, ..token })
}

fn foreign() -> Error {
    shown(|token| Token { store: StoreId::from_bytes([9; 16]), ..token })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Handle {
    Full,
    ReadOnly,
    Closed,
}

fn submitted(handle: Handle) -> Error {
    let (_, clock, plain) = fresh(80);
    clock.run(async {
        let options = LogOptions::default().with_queue(1, 1 << 20).with_read_only(handle == Handle::ReadOnly);
        let log = ChangeLog::open(plain.clone(), Arc::new(Register::default()), options, within(&plain, 60)).await.unwrap();
        let waiting = (handle == Handle::Full).then(|| log.submit(&add(1), within(&plain, 60)).unwrap());
        if handle == Handle::Closed {
            log.stop("done");
        }
        let error = log.submit(&add(2), within(&plain, 60)).unwrap_err();
        drop(waiting);
        error
    })
}

fn no_store() -> Error {
    let (_, clock, _) = fresh(81);
    let empty = environment(Arc::new(InMemoryStore::new()), &clock, 82);
    clock
        .run(ChangeLog::open(empty.clone(), Arc::new(Register::default()), LogOptions::default(), within(&empty, 60)))
        .map(drop)
        .unwrap_err()
}

#[test]
fn a_fenced_write_is_no_error_of_the_call_but_an_outcome_that_names_the_fence() {
    let (_, clock, plain) = fresh(83);
    clock.run(async {
        let log = opened(&plain).await;
        let work: LocalBoxFuture<'_, Outcome> = async {
            for token in [1, 2] {
                commit(&log, &Transaction::protocol(ProtocolOperation::LeaseClaim { name: "job".into(), token })).await;
            }
            let stalled = add(1).with_fence(Fence { name: "job".into(), token: 1 });
            log.submit(&stalled, within(&plain, 60)).unwrap().outcome().await.unwrap()
        }
        .boxed_local();
        let outcome = driven(&log, work).await;
        let Outcome::Rejected(Withdrawal::Precondition { rejection, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!((rejection.code, log.machine().get("sum")), (Rejection::FENCED, 0));
    });
}
