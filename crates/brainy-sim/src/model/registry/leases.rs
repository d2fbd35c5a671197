//! Group c: the lease.

use brainy_coordination::internals::Mutant;

use super::super::lease::Leases;
use super::{ALL, Run, WALKS};

/// Clocks of three contenders, in milliseconds a tick: too fast and too slow by no more than ρ.
const CLOCKS: [u16; 3] = [101, 100, 99];

/// Every run of it.
pub(super) fn runs() -> Vec<Run> {
    let contenders = |count: usize, turns: u8| Leases { late: 1, ..Leases::new(&CLOCKS[..count], turns) };
    let paused = |case: Leases| Leases { pauses: 1, exclusive: false, ..case };
    let mut runs = Vec::new();
    for (count, turns) in [(2, 1), (2, 2), (3, 1), (3, 2)] {
        let effort = if count * turns > 4 { WALKS } else { ALL };
        let case = contenders(count, u8::try_from(turns).expect("few"));
        let name = |what: &str| format!("{count} contenders x {turns}, 1 late, {what}");
        let slice = count == 2 && turns == 1;
        runs.push(Run::new("c", name("clocks within rho"), case.clone(), effort).sliced(slice));
        runs.push(Run::new("c", name("one stands still: the fence alone"), paused(case.clone()), effort).sliced(slice));
        runs.push(
            Run::new("c", name("the lease vanishes"), Leases { vanishes: true, exclusive: false, ..case.clone() }, effort).sliced(slice),
        );
        runs.push(Run::new("c", name("the lease is set back"), Leases { restored: true, exclusive: false, ..case }, effort).sliced(slice));
    }
    let two = contenders(2, 2);
    let outside = Leases { exclusive: false, ..two.clone() };
    for (mutant, case, breaks) in [
        (Mutant::TakeOverTooEarly, two.clone(), &["P7"][..]),
        (Mutant::ExtendUnconfirmed, two.clone(), &["P7"]),
        (Mutant::RemakeVanished, Leases { vanishes: true, ..outside.clone() }, &["P7"]),
        (Mutant::TokenFromLeaseAlone, Leases { restored: true, ..outside.clone() }, &["P10"]),
        (Mutant::DropNonce, two.clone(), &["P7"]),
    ] {
        runs.push(Run::broken("c", mutant, Leases { mutant: Some(mutant), ..case }, ALL, breaks).sliced(true));
    }
    for (name, case) in [
        ("the holder believes until its release is confirmed", Leases { believes_on: true, ..two.clone() }),
        ("belief is counted from the reply", Leases { from_reply: true, slow_replies: true, turns: 1, ..two.clone() }),
        ("a renewal overwrites whatever is there", Leases { unconditional: true, ..contenders(3, 2) }),
        ("a machine stands still: belief is not exclusive", Leases { pauses: 1, ..two }),
        ("a machine stands still: records without a token", Leases { pauses: 1, unfenced: true, ..outside }),
    ] {
        runs.push(Run::new("c", name, case, ALL).breaking(&["P7"]).sliced(true));
    }
    runs
}
