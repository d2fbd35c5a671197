use proptest::prelude::*;

use super::*;

const TTL: Duration = Duration::from_secs(15);

fn at(ms: u64) -> Moment {
    Moment::after_origin(Duration::from_millis(ms))
}

fn held(token: u64, since: Moment) -> Option<Seen> {
    Some(Seen { token, held: true, ttl: TTL, since, forsaken: false })
}

#[test]
fn a_held_lease_is_taken_only_after_its_whole_life_was_seen_unchanged() {
    let until = at(1_000).after(watched_for(TTL));
    assert_eq!(until, at(16_150));
    assert_eq!(turn(held(4, at(1_000)), 4, true, at(16_149)), Turn::Wait { until });
    assert_eq!(turn(held(4, at(1_000)), 4, true, until), Turn::Take { token: 5 });
}

#[test]
fn a_free_or_forsaken_lease_is_taken_at_once() {
    let seen = held(4, at(1_000)).unwrap();
    for seen in [Seen { held: false, ..seen }, Seen { forsaken: true, ..seen }] {
        assert_eq!(turn(Some(seen), 4, true, at(1_000)), Turn::Take { token: 5 });
    }
}

// INV-21.
#[test]
fn inv_21_a_token_is_above_the_lease_and_above_every_claim() {
    let free = |token| Some(Seen { held: false, ..held(token, at(0)).unwrap() });
    assert_eq!(turn(free(4), 9, true, at(0)), Turn::Take { token: 10 });
    assert_eq!(turn(free(9), 4, true, at(0)), Turn::Take { token: 10 });
    assert_eq!(turn(free(u64::MAX), 4, true, at(0)), Turn::Exhausted);
    assert_eq!(turn(free(4), u64::MAX, true, at(0)), Turn::Exhausted);
}

// INV-22.
#[test]
fn inv_22_a_lease_that_was_there_and_is_gone_is_not_made_again() {
    assert_eq!(turn(None, 0, false, at(0)), Turn::Create { token: 1 });
    assert_eq!(turn(None, 1, false, at(0)), Turn::Vanished, "the log knows that somebody held it");
    assert_eq!(turn(None, 0, true, at(0)), Turn::Vanished, "this observer knows it");
    assert_eq!(turn(None, u64::MAX, false, at(0)), Turn::Vanished);
}

#[test]
fn a_changed_state_is_watched_anew_even_if_only_its_nonce_changed() {
    let (revision, nonce) = (Revision::new("a"), Nonce::from_bytes([1; 16]));
    let first = Sight::after(None, &revision, nonce, at(5));
    assert_eq!(Sight::after(Some(&first), &revision, nonce, at(9)), first);
    assert_eq!(Sight::after(Some(&first), &revision, Nonce::from_bytes([2; 16]), at(9)).since, at(9));
    assert_eq!(Sight::after(Some(&first), &Revision::new("b"), nonce, at(9)).since, at(9));
}

// INV-23.
#[test]
fn inv_23_only_a_confirmed_renewal_extends_and_none_revives() {
    let mut belief = Belief::begun(at(0), TTL);
    assert!(belief.holds(at(14_849)) && !belief.holds(at(14_850)));
    belief.unconfirmed(at(5_000), TTL);
    assert_eq!(belief.until(), Some(at(14_850)));
    assert!(belief.confirmed(at(5_000), TTL, at(9_000)));
    assert_eq!(belief.until(), Some(at(19_850)));
    assert!(belief.confirmed(at(4_000), TTL, at(9_100)), "an older one takes nothing back");
    assert_eq!(belief.until(), Some(at(19_850)));
    assert!(!belief.confirmed(at(19_000), TTL, at(19_850)), "the reply came after the end");
    assert!(!belief.holds(at(19_851)) && !belief.confirmed(at(19_900), TTL, at(19_901)));
}

#[test]
fn a_keeper_renews_at_a_third_looks_when_in_doubt_and_frees_at_the_end() {
    let belief = Belief::begun(at(0), TTL);
    assert_eq!(step(&belief, at(5_000), true, at(4_999)), Step::Sleep { until: at(5_000) });
    assert_eq!(step(&belief, at(5_000), true, at(5_000)), Step::Renew);
    assert_eq!(step(&belief, at(5_000), false, at(5_000)), Step::Look);
    assert_eq!(step(&belief, at(90_000), true, at(14_000)), Step::Sleep { until: at(14_850) });
    assert_eq!(step(&belief, at(5_000), true, at(14_850)), Step::Free);
    let mut ended = belief;
    ended.end();
    assert_eq!(step(&ended, at(5_000), true, at(1)), Step::Free);
}

proptest! {
    /// The commit lies between the holder's sending and the observer's reply; each clock goes right within ρ. The holder has stopped before the observer may.
    #[test]
    fn a_holder_stops_before_an_observer_may_begin_whatever_their_clocks(
        ttl_ms in 100_u64..86_400_000, sent in 0_u64..1_000_000, until_commit in 0_u64..60_000, until_sight in 0_u64..60_000,
        holder_ppm in -9_900_i128..=9_900, observer_ppm in -9_900_i128..=9_900,
    ) {
        let ttl = Duration::from_millis(ttl_ms);
        let world = |span: Duration, ppm: i128| i128::try_from(span.as_nanos()).unwrap() * 1_000_000 / (1_000_000 + ppm);
        let sight = sent + until_commit + until_sight;
        let stops = i128::from(sent) * 1_000_000 + world(believed_for(ttl), holder_ppm);
        let begins = i128::from(sight) * 1_000_000 + world(watched_for(ttl), observer_ppm);
        prop_assert!(stops < begins, "stops at {stops}, begins at {begins}");
    }
}
