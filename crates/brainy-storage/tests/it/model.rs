//! A directory answers every sequence of requests exactly as memory does.

use std::num::NonZeroUsize;

use brainy_core::ErrorKind;
use brainy_storage::{Get, GetOptions, InMemoryStore, Key, LocalOptions, LocalStore, Outcome, Page, Precondition, Prefix, Revision, Store};
use bytes::Bytes;
use futures_executor::block_on;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{Scratch, key};

const NAMES: &[&str] = &["a", "b/c", "b/d", "b-", "b.0/x", "b/e/f"];
const PREFIXES: &[&str] = &["", "b", "b/e", "b.0", "z"];

#[derive(Clone, Debug)]
enum Condition {
    None,
    IfAbsent,
    Current,
    Of(u8),
}

#[derive(Clone, Debug)]
enum Request {
    Put(usize, u8, Condition),
    Get(usize),
    Range(usize, u64, u64),
    Changed(usize, Condition),
    List(usize, Option<usize>, usize),
    Delete(usize),
    DeleteMany(Vec<usize>),
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![1 => Just(Condition::None), 1 => Just(Condition::IfAbsent), 3 => Just(Condition::Current), 1 => (0..4_u8).prop_map(Condition::Of)]
}

fn request() -> impl Strategy<Value = Request> {
    let name = 0..NAMES.len();
    prop_oneof![
        6 => (name.clone(), 0..4_u8, condition()).prop_map(|(name, body, condition)| Request::Put(name, body, condition)),
        2 => name.clone().prop_map(Request::Get),
        1 => (name.clone(), 0..12_u64, 0..12_u64).prop_map(|(name, from, to)| Request::Range(name, from, to)),
        1 => (name.clone(), condition()).prop_map(|(name, condition)| Request::Changed(name, condition)),
        3 => (0..PREFIXES.len(), proptest::option::of(name.clone()), 1..4_usize).prop_map(|(prefix, after, limit)| Request::List(prefix, after, limit)),
        2 => name.clone().prop_map(Request::Delete),
        1 => vec(name, 0..4).prop_map(Request::DeleteMany),
    ]
}

/// Bodies are few, so that equal states come back; 0 is the empty one.
fn body(number: u8) -> Bytes {
    Bytes::from(vec![b'a' + number; usize::from(number) * 3])
}

fn revision(store: &dyn Store, name: &Key, condition: &Condition) -> Option<Revision> {
    match condition {
        Condition::Current => match block_on(store.get(name, GetOptions::whole())).unwrap().value {
            Get::Found(object) => Some(object.revision),
            _ => Some(Revision::new("none")),
        },
        Condition::Of(number) => Some(Revision::new(brainy_core::ContentHash::of(&body(*number)).to_string())),
        Condition::None | Condition::IfAbsent => None,
    }
}

#[derive(Debug, PartialEq)]
enum Told {
    Committed(Revision),
    Rejected,
    Found(Get),
    Listed(Page),
    Done,
    Failed(ErrorKind),
}

fn ask(store: &dyn Store, request: &Request) -> Told {
    let name = |at: &usize| key(NAMES[*at]);
    let found = |name: &Key, options| match block_on(store.get(name, options)) {
        Ok(answer) => Told::Found(answer.value),
        Err(error) => Told::Failed(error.kind()),
    };
    match request {
        Request::Put(at, number, condition) => {
            let name = name(at);
            let precondition = match (condition, revision(store, &name, condition)) {
                (_, Some(revision)) => Precondition::IfMatch(revision),
                (Condition::IfAbsent, None) => Precondition::IfAbsent,
                _ => Precondition::None,
            };
            match block_on(store.put(&name, body(*number), precondition)) {
                Ok(answer) => match answer.value {
                    Outcome::Committed(revision) => Told::Committed(revision),
                    Outcome::Rejected => Told::Rejected,
                    Outcome::Unknown(error) => panic!("{error}"),
                },
                Err(error) => Told::Failed(error.kind()),
            }
        }
        Request::Get(at) => found(&name(at), GetOptions::whole()),
        Request::Range(at, from, to) => found(&name(at), GetOptions::range(*from..*to)),
        Request::Changed(at, condition) => {
            let name = name(at);
            match revision(store, &name, condition) {
                Some(revision) => found(&name, GetOptions::if_changed_from(revision)),
                None => found(&name, GetOptions::whole()),
            }
        }
        Request::List(prefix, after, limit) => {
            let prefix = match PREFIXES[*prefix] {
                "" => Prefix::root(),
                text => Prefix::new(text).unwrap(),
            };
            let after = after.as_ref().map(name);
            match block_on(store.list(&prefix, after.as_ref(), NonZeroUsize::new(*limit).unwrap())) {
                Ok(answer) => Told::Listed(answer.value),
                Err(error) => Told::Failed(error.kind()),
            }
        }
        Request::Delete(at) => block_on(store.delete(&name(at))).map_or_else(|error| Told::Failed(error.kind()), |_| Told::Done),
        Request::DeleteMany(names) => {
            let names = names.iter().map(name).collect::<Vec<_>>();
            block_on(store.delete_many(&names)).map_or_else(|error| Told::Failed(error.kind()), |_| Told::Done)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_directory_and_memory_give_equal_answers(requests in vec(request(), 1..50)) {
        let scratch = Scratch::new();
        let open = || LocalStore::open(scratch.path(), LocalOptions::default()).unwrap();
        let (memory, first, second) = (InMemoryStore::new(), open(), open());
        for (at, request) in requests.iter().enumerate() {
            // Two handles in turn, as two processes would.
            let directory = if at % 2 == 0 { &first } else { &second };
            prop_assert_eq!(ask(directory, request), ask(&memory, request), "request {} of {:?}", at, requests);
        }
    }
}
