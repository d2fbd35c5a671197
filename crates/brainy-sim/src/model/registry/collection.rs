//! Group t: truncation, pins, orphans.

use brainy_coordination::Truncation;
use brainy_coordination::internals::Mutant;

use super::super::orphans::{Builders, Leftovers, NamedBy};
use super::super::pins::Pins;
use super::super::truncation::{Role, Trunc};
use super::{ALL, Expected, Run, WALKS};

/// Every run of it.
pub(super) fn runs() -> Vec<Run> {
    let mut runs = Vec::new();
    let writer = Role { works: 1, ..Role::default() };
    let reader = Role { answers: true, ..Role::default() };
    let late = |processes: &[Role]| Trunc { late: 1, ..Trunc::new(processes) };
    let two = |processes: &[Role]| Trunc { collectors: 2, ..Trunc::new(processes) };
    let helped = [Role { helped: true, ..writer }, Role { carries: true, ..Role::default() }];
    let tasks = |role: Role| Role { tasks: true, ..role };
    let within = |longest, case: Trunc| Trunc { longest, ..case };
    let tombstone = |case: Trunc| Trunc { mode: Truncation::Tombstone, ..case };
    for slots in [2, 3, 4] {
        let name = format!("log: a writer, one late, {slots} slots");
        runs.push(Run::new("t", name, within(slots, late(&[writer])), ALL).sliced(slots == 2));
    }
    for slots in [2, 3] {
        let slice = slots == 2;
        let name = |what: &str| format!("log: {what}, {slots} slots");
        runs.push(Run::new("t", name("a writer, 2 collectors"), within(slots, two(&[writer])), ALL).sliced(slice));
        let tombstones = tombstone(late(&[reader, writer]));
        runs.push(Run::new("t", name("tombstones, a reader, a writer, one late"), within(slots, tombstones), ALL).sliced(slice));
    }
    runs.push(Run::new("t", "log: a reader, 2 collectors, 3 slots", within(3, two(&[reader])), ALL));
    runs.push(Run::new("t", "log: a reader among ghosts, 2 slots", within(2, late(&[reader, writer])), ALL));
    runs.push(Run::new("t", "log: helped by who stalled, 2 slots", within(2, Trunc::new(&helped)), ALL));
    let skewed = Trunc { skewed: true, ..within(2, late(&[writer])) };
    runs.push(Run::new("t", "log: a writer, one late, clocks that differ, 2 slots", skewed, ALL));
    let undated = Role { undated: true, ..reader };
    runs.push(Run::new("t", "log: a reader without times, ghosts, 2 slots", within(2, late(&[undated, writer])), ALL));
    runs.push(Run::new("t", "log: a reader with tasks, ghosts, 2 slots", within(2, Trunc::new(&[tasks(reader), writer])), ALL));
    let wide = [reader, Role { carries: true, ..tasks(writer) }, Role { helped: true, works: 2, ..Role::default() }, tasks(reader)];
    let wide = Trunc { collectors: 2, late: 3, skewed: true, slow_collectors: true, ..within(8, Trunc::new(&wide)) };
    runs.push(Run::new("t", "log: 4 processes, 2 collectors, 3 late, tasks, clocks that differ, 8 slots", wide, WALKS));
    let breaks =
        |mutant, case: Trunc, properties| Run::broken("t", mutant, Trunc { mutant: Some(mutant), ..case }, ALL, properties).sliced(true);
    runs.push(breaks(Mutant::SkipBoundary, Trunc::new(&[writer]), &["P1"]));
    let carried = breaks(Mutant::SkipBoundary, within(2, Trunc::new(&helped)), &["P1"]);
    runs.push(Run { name: format!("{}, helped by who stalled", carried.name), ..carried });
    runs.push(breaks(Mutant::TrustNotFound, Trunc::new(&[reader]), &["P4"]));
    // Decision 0030: a 404 confirms nothing, so what a writer creates on the strength of one is looked after all the same.
    let written = breaks(Mutant::TrustNotFound, Trunc::new(&[writer]), &[]);
    runs.push(Run { name: format!("{}, by a writer", written.name), expected: Expected::Holds, ..written });
    runs.push(breaks(Mutant::SlotConfirms, Trunc::new(&[reader]), &["P4"]));
    runs.push(breaks(Mutant::TrustLastReply, within(2, Trunc::new(&[tasks(reader), writer])), &["P4"]));
    runs.push(breaks(Mutant::DecisionOutlivesJump, within(2, late(&[writer])), &["P1"]));
    runs.push(breaks(Mutant::DeleteToPresentBoundary, within(2, two(&[writer])), &["P1"]));
    runs.push(breaks(Mutant::DeleteWithoutGrace, Trunc::new(&[writer]), &["P1"]));
    runs.push(breaks(Mutant::HeadGoesBack, Trunc { slow_collectors: true, ..two(&[writer]) }, &["P1", "P8"]));
    let own_clocks = |processes: &[Role]| Trunc { own_clocks: Some(1), longest: 2, ..Trunc::new(processes) };
    runs.push(Run::new("t", "log: own clocks, a writer is suspended", own_clocks(&[writer]), ALL).breaking(&["P1"]).sliced(true));
    runs.push(Run::new("t", "log: own clocks, a reader is suspended", own_clocks(&[reader]), ALL).breaking(&["P4"]).sliced(true));

    let pins = |readers, collectors| Pins { readers, collectors, manifests: 3, tags: false, renewals: 1, mutant: None };
    runs.push(Run::new("t", "pins: 1 reader, 1 collector", pins(1, 1), ALL).sliced(true));
    runs.push(Run::new("t", "pins: 1 reader, 2 collectors", Pins { renewals: 0, ..pins(1, 2) }, ALL));
    runs.push(Run::new("t", "pins: 2 readers, 1 collector", pins(2, 1), ALL));
    let wide = Pins { manifests: 6, renewals: 3, ..pins(3, 2) };
    runs.push(Run::new("t", "pins: 3 readers, 2 collectors", wide, WALKS));
    runs.push(Run::new("t", "pins: 2 tags, 1 collector", Pins { tags: true, ..pins(2, 1) }, ALL).sliced(true));
    for mutant in [Mutant::UnverifiedPin, Mutant::PinsBeforeWait] {
        runs.push(Run::broken("t", mutant, Pins { mutant: Some(mutant), ..pins(1, 1) }, ALL, &["P8"]).sliced(true));
    }

    runs.push(Run::new("t", "segments: 2 builders, 1 collector", Builders::new(2, 1), ALL).sliced(true));
    runs.push(Run::new("t", "segments: 2 builders, 2 collectors", Builders::new(2, 2), ALL));
    runs.push(Run::new("t", "segments: 3 builders, 1 collector", Builders::new(3, 1), ALL));
    runs.push(Run::new("t", "segments: 4 builders, 2 collectors", Builders { late: 2, claims: 2, ..Builders::new(4, 2) }, WALKS));
    let by_age = Builders { mutant: Some(Mutant::SegmentsByAge), ..Builders::new(2, 1) };
    runs.push(Run::broken("t", Mutant::SegmentsByAge, by_age, ALL, &["P8"]).sliced(true));
    let variant = |name: &str, case: Builders| Run::new("t", name, case, ALL).breaking(&["P8"]).sliced(true);
    let named = |naming| Builders { naming, looks_again: true, ..Builders::new(2, 1) };
    runs.push(variant("segments: the state is read after the listing", Builders { lists_first: true, ..Builders::new(2, 1) }));
    runs.push(variant("segments: named by content", named(NamedBy::Content)));
    runs.push(variant("segments: named by content, upload skipped", named(NamedBy::ContentOnce)));
    let aged = |naming| Builders { mutant: Some(Mutant::SegmentsByAge), ..named(naming) };
    runs.push(variant("segments: by age, looked at again", aged(NamedBy::Build)));

    runs.push(Run::new("t", "leftovers: 1 writer x 2, H=1", Leftovers::new(1, 2, 1), ALL).sliced(true));
    runs.push(Run::new("t", "leftovers: 1 writer x 2, one late, H=1", Leftovers { late: 1, ..Leftovers::new(1, 2, 1) }, ALL));
    let wide = Leftovers { collectors: 2, late: 3, cancels: 2, longest: 14, ..Leftovers::new(2, 3, 2) };
    runs.push(Run::new("t", "leftovers: 2 writers x 3, 2 collectors, 3 late, H=2", wide, WALKS));
    runs.push(Run::new("t", "leftovers: 1 writer x 2, H=2", Leftovers::new(1, 2, 2), ALL));
    runs.push(Run::new("t", "leftovers: 2 writers x 1, H=1, 2 collectors", Leftovers { collectors: 2, ..Leftovers::new(2, 1, 1) }, ALL));
    for (mutant, properties) in [(Mutant::BlobByNumberAlone, &["P8"]), (Mutant::InboxByNumberAlone, &["P10"])] {
        let case = Leftovers { mutant: Some(mutant), ..Leftovers::new(1, 2, 1) };
        runs.push(Run::broken("t", mutant, case, ALL, properties).sliced(true));
    }
    runs
}
