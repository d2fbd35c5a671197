//! The simulator on itself: what it promises about runs, and that it notices what it must.

use brainy_coordination::internals::Mutant;
use brainy_sim::{Fault, KeyKind, Settings, fast, http, mutants, reachable, regressions, run_seed, sweep};

#[test]
fn the_production_code_keeps_every_promise_under_the_first_seeds() {
    let sweep = sweep(0, 40, 2, &fast());
    assert!(sweep.violations.is_empty(), "{:#?}", sweep.violations);
    assert_eq!(sweep.seeds, 40 + regressions().len() as u64);
    assert!(sweep.repeated >= 3 && sweep.matrix.requests() > 20_000, "{sweep:?}");
}

#[test]
fn it_keeps_them_over_the_simulated_s3_with_the_real_client_above_it_too() {
    let sweep = sweep(0, 24, 2, &http());
    assert!(sweep.violations.is_empty(), "{:#?}", sweep.violations);
    assert!(sweep.repeated >= 2 && sweep.matrix.requests() > 20_000, "{sweep:?}");
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    for connect in [fast(), http()] {
        for seed in 100..108 {
            let [one, two] = [(); 2].map(|()| run_seed(seed, Settings::default(), &connect));
            assert_eq!((one.trace, one.slots, one.matrix), (two.trace, two.slots, two.matrix), "seed {seed}");
        }
    }
    assert_ne!(run_seed(1, Settings::default(), &fast()).trace, run_seed(2, Settings::default(), &fast()).trace);
}

#[test]
fn a_broken_rule_is_noticed_by_name() {
    for mutant in [Mutant::RejectedKeepsNumber, Mutant::ForgetAtH] {
        let verdicts = mutants(0, 1, &fast(), &[mutant]);
        let killed = verdicts[0].killed.as_ref().expect("no seed noticed it");
        assert!(killed.violation.is_named(), "{killed:?}");
    }
}

#[test]
fn every_fault_reaches_the_log() {
    let cells = reachable();
    for fault in Fault::ALL {
        assert!(cells.contains(&(fault, KeyKind::Log)), "{fault:?}");
    }
}
