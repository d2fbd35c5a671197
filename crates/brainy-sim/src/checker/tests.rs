use brainy_core::SetHash;
use brainy_storage::Key;

use super::*;
use crate::Bucket;
use crate::accounts::{Accounts, Command, Kind};
use crate::collecting;
use crate::domain::{Bank, Domain};
use crate::history::Resolved;
use crate::random::Random;
use crate::reference;
use crate::run::{Settings, fast, services, simulate};
use crate::shape::Shape;
use crate::witness::SeenIntent;

/// A run without a fault, which kept every promise.
fn calm() -> (Events, Reference<Accounts>, Witness, Rules) {
    let shape = Shape::fixed();
    let bank = Bank { padded: shape.padded };
    let run = simulate(1, &mut Random::new(1, 0), &shape, Settings::default(), &fast(), bank, &services(), |_| {});
    let (events, witness) = (run.plan.history.events().clone(), run.wire.witness());
    let horizon = shape.constants.horizon_slots;
    let reference = reference::replay(&bank, &witness, horizon);
    let rules = Rules { scan_slots: shape.constants.scan_slots, horizon, carried: shape.carried };
    (events, reference, witness, rules)
}

/// The promises that the checker finds broken once `change` was made to what was seen.
fn broken(change: impl FnOnce(&mut Events, &mut Reference<Accounts>, &mut Witness)) -> BTreeSet<&'static str> {
    let (mut events, mut reference, mut witness, rules) = calm();
    change(&mut events, &mut reference, &mut witness);
    let collected = collecting::check(&witness, &reference, &Bucket::default(), &Shape::fixed().constants, None);
    check(&events, &reference, &witness, rules).into_iter().chain(collected).map(|violation| violation.property).collect()
}

/// The first call that was acknowledged.
fn acknowledged(events: &mut Events) -> &mut Call {
    let found = events.calls.iter_mut().find(|call| matches!(call.ending, Ending::Told(Outcome::Committed(_))));
    found.expect("some call was acknowledged")
}

#[test]
fn a_history_that_kept_every_promise_is_let_through() {
    assert_eq!(broken(|_, _, _| {}), BTreeSet::new());
}

#[test]
fn each_promise_that_is_broken_in_a_history_is_named() {
    let has = |found: BTreeSet<&'static str>, property: &str, what: &str| assert!(found.contains(property), "{what}: {found:?}");
    let elsewhere = broken(|events, _, _| {
        if let Ending::Told(Outcome::Committed(receipt)) = &mut acknowledged(events).ending {
            receipt.version.ordinal += 1;
        }
    });
    has(elsewhere, "P1", "acknowledged at another place");
    let never = broken(|events, reference, _| {
        let unique = acknowledged(events).unique;
        for at in &reference.by_unique[&unique] {
            reference.copies[*at].effective = false;
        }
    });
    has(never, "P1", "acknowledged and never done");
    let twice = broken(|events, reference, _| {
        let unique = acknowledged(events).unique;
        let copies = reference.by_unique.get_mut(&unique).expect("it was acknowledged");
        let effective = copies.iter().copied().find(|at| reference.copies[*at].effective).expect("it took effect");
        copies.push(reference.copies.len());
        reference.copies.push(reference.copies[effective]);
    });
    has(twice, "P1", "done twice");
    let refused = broken(|events, _, _| acknowledged(events).ending = Ending::Refused("never sent".into()));
    has(refused, "P2", "refused and done");
    let withdrawn = broken(|events, _, _| {
        let call = acknowledged(events);
        let (op, process, at) = (call.op.expect("a receipt names it"), call.process, call.asked);
        events.resolved.push(Resolved { process, op, at, outcome: Outcome::Rejected(Withdrawal::NotSent) });
    });
    has(withdrawn, "P2", "resolved as never sent, and done");
    let before = broken(|events, _, _| {
        let call = acknowledged(events);
        call.asked = call.ended.expect("it was acknowledged");
    });
    has(before, "P3", "done before it was asked for");
    let old = broken(|events, _, witness| {
        let tail = witness.tail();
        let look = events.looks.iter_mut().find(|look| look.latest && look.token.seq < tail).expect("a look in the middle");
        (look.asked, look.answered) = (Duration::from_secs(1_000), Duration::from_secs(1_001));
    });
    has(old, "P4", "a look at the past");
    let early = broken(|events, _, _| {
        let look = events.looks.iter_mut().find(|look| look.token.seq > 0).expect("a look at a slot");
        (look.asked, look.answered) = (Duration::ZERO, Duration::ZERO);
    });
    has(early, "P4", "a look at the future");
    let another = broken(|events, _, _| {
        events.looks.iter_mut().find(|look| look.token.seq > 0).expect("a look at a slot").machine = SetHash::default();
    });
    has(another, "P5", "another state");
    let books = broken(|events, _, _| {
        let mut look = events.looks.iter().find(|look| look.token.seq > 0).expect("a look at a slot").clone();
        look.bookkeeping = SetHash::default();
        events.looks.push(look);
    });
    has(books, "P5", "another bookkeeping");
    has(broken(|_, _, witness| witness.created_again.push((1, Duration::ZERO))), "P8", "a slot created twice");
    let late = broken(|_, _, witness| {
        let key = Key::new(format!("inbox/{:020}/{:032x}/{:020}", 0, 7, 1)).expect("digits make a key");
        witness.intents.push(SeenIntent { key, tail: 0, readable: true });
    });
    has(late, "P9", "an intent that nobody carried");
    has(broken(|events, _, _| events.complaints.push("it cannot commit".into())), "P10", "a repair is needed");
}

#[test]
fn a_recount_misses_what_was_not_done_and_what_was_done_twice() {
    let (events, reference, _, _) = calm();
    let bank = Bank { padded: None };
    let effective = reference.effective(&events);
    assert_eq!(bank.recount(&effective, &reference.machine), None);
    for kind in [Kind::Count, Kind::Open] {
        let is_one = |payload: &&[u8]| Command::decode(payload).is_some_and(|command| command.kind == kind);
        let at = effective.iter().position(is_one).expect("the run has every kind");
        let mut without = effective.clone();
        without.remove(at);
        assert!(bank.recount(&without, &reference.machine).is_some(), "{kind:?} left out");
        let mut twice = effective.clone();
        twice.insert(at, effective[at]);
        assert!(bank.recount(&twice, &reference.machine).is_some(), "{kind:?} done twice");
    }
}
