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
    let vanishes = |case: Leases| Leases { vanishes: true, exclusive: false, ..case };
    let restored = |case: Leases| Leases { restored: true, exclusive: false, ..case };
    let mut runs = Vec::new();
    for (count, turns) in [(2, 1), (2, 2), (3, 1), (3, 2)] {
        let case = contenders(count, u8::try_from(turns).expect("few"));
        let name = |late: u8, what: &str| format!("{count} contenders x {turns}, {late} late, {what}");
        let slice = count == 2 && turns == 1;
        runs.push(Run::new("c", name(1, "clocks within rho"), case.clone(), ALL).sliced(slice));
        runs.push(Run::new("c", name(1, "the lease vanishes"), vanishes(case.clone()), ALL).sliced(slice));
        // What takes too long with a late landing is walked with it, and looked through without.
        let wide = count * turns > 4;
        for (what, case) in [("the lease is set back", restored(case.clone())), ("one stands still: the fence alone", paused(case))] {
            runs.push(Run::new("c", name(1, what), case.clone(), if wide { WALKS } else { ALL }).sliced(slice));
            if wide {
                runs.push(Run::new("c", name(0, what), Leases { late: 0, ..case }, ALL));
            }
        }
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
