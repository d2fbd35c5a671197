//! What kind of run a seed is: how many services, how long, and what goes wrong how often.

use std::time::Duration;

use brainy_coordination::{Constants, Truncation};

use crate::fault::{Fault, Faults, KeyKind};
use crate::random::Random;

/// Slots of a cramped store: beside the largest own batch there is room for one stranger's of that size.
const CRAMPED_SLOT_BYTES: u64 = 46_000;
/// The largest batch of it: four callers' commands.
const CRAMPED_BATCH_BYTES: u64 = 13_500;
const CRAMPED_COMMAND_BYTES: usize = 3_000;
/// Strangers that fit a slot where nothing is cramped, at least.
const ROOMY: u64 = 13;

/// Everything about a run but what its services draw themselves.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) constants: Constants,
    /// At least so many strangers' batches fit a slot.
    pub(crate) carried: u64,
    pub(crate) processes: u64,
    pub(crate) until: Duration,
    pub(crate) callers: u64,
    pub(crate) think: Duration,
    pub(crate) churn: u64,
    pub(crate) clones: bool,
    /// One command in so many is padded to so many bytes.
    pub(crate) padded: Option<(u64, usize)>,
    /// So many intents that nobody can read are laid into the inbox meanwhile.
    pub(crate) unreadable: u64,
    /// Handles are opened, looked through and dropped again and again.
    pub(crate) doors: bool,
    pub(crate) faults: Faults,
    /// The engine instead of the bank: slower, and seldom.
    pub(crate) engine: bool,
    /// A register that a lock guards.
    pub(crate) locks: bool,
    /// So many collectors and readers with pins beside the services.
    pub(crate) collecting: Option<(u64, u64)>,
}

impl Shape {
    /// Whether `seed` is a bucket that goes back, which is a run of its own kind.
    pub(crate) const fn goes_back(seed: u64) -> bool {
        seed % 8 == 6 && seed / 8 % 4 < 2
    }

    /// The shape of `seed`: some seeds are of special kinds, most are ordinary.
    pub(crate) fn of(seed: u64, random: &mut Random) -> Self {
        match (seed % 8, seed / 8 % 4) {
            (1, _) => Self::locked(random),
            (7, 0) => Self::crowd(random),
            (3 | 7, _) => Self::birth(random),
            (5, _) => Self::large(random),
            (2, _) => Self::collected(random),
            _ => Self::ordinary(random),
        }
    }

    /// Some services for a minute or two, now and then a short run whose history is searched for an order without the log.
    fn ordinary(random: &mut Random) -> Self {
        let padded = (random.below(3) == 0).then_some((8, 1_500));
        let engine = random.below(8) == 0;
        let small_inline = random.clone().below(2) == 0;
        let mut constants = Constants::new(if random.below(3) == 0 { Truncation::Tombstone } else { Truncation::Delete });
        constants.scan_slots = *random.choose(&[1, 2, 8, 8]);
        constants.horizon_slots = *random.choose(&[6, 20, 100, 1 << 20]);
        if small_inline {
            constants.inline_bytes = 1_024;
        }
        let small = random.below(10) == 0;
        let processes = if small { 2 + random.below(2) } else { 2 + random.below(5) };
        let span = if small { (4, 9) } else { (40, 120) };
        let until = random.between(Duration::from_secs(span.0), Duration::from_secs(span.1));
        let callers = if small { 1 } else { 1 + random.below(3) };
        let think = *random.choose(&[Duration::ZERO, Duration::from_millis(100), Duration::from_millis(600), Duration::from_millis(600)]);
        let churn = *random.choose(&[0, 0, 1, 3]);
        let clones = random.below(6) == 0;
        // Every third run is nearly calm: long stretches of ordinary work find other mistakes than storms.
        let of_processes = [Fault::Pause, Fault::CrashBefore, Fault::CrashDuring, Fault::CrashAfter, Fault::WallJump, Fault::ClockRate];
        let mut faults = Faults::all(*random.choose(&[2_000, 8_000, 20_000])).of(&[KeyKind::Inbox], &of_processes, 2_000).of(
            &[KeyKind::Inbox],
            &[Fault::Suspend],
            1_500,
        );
        faults.pauses.1 = *random.choose(&[Duration::from_secs(3), Duration::from_secs(60)]);
        Self {
            constants,
            carried: ROOMY,
            processes,
            until,
            callers,
            think,
            churn,
            clones,
            padded,
            unreadable: 0,
            doors: false,
            faults,
            engine,
            locks: false,
            collecting: None,
        }
    }

    /// Some processes that all want one lock, and everything goes wrong with its lease.
    fn locked(random: &mut Random) -> Self {
        let mut faults = Faults::all(1_000)
            .on(&[KeyKind::Lease], 7_000)
            .of(&[KeyKind::Lease], &[Fault::Late, Fault::ConflictAlone], 20_000)
            .of(&[KeyKind::Lease], &[Fault::ConflictRival, Fault::RefusedRival], 300_000)
            .of(&[KeyKind::Lease], &[Fault::Suspend], 7_000)
            .of(&[KeyKind::Inbox], &[Fault::Pause, Fault::Suspend, Fault::CrashBefore, Fault::CrashDuring, Fault::CrashAfter], 4_000);
        faults.longest_delay = Duration::from_secs(3);
        faults.longest_burst = *random.choose(&[Duration::from_millis(500), Duration::from_secs(6)]);
        faults.pauses = (Duration::from_millis(500), Duration::from_secs(8));
        faults.suspends = (Duration::from_secs(2), Duration::from_secs(15));
        Self {
            // One of them is the operator.
            processes: 4 + random.below(3),
            until: random.between(Duration::from_secs(40), Duration::from_secs(70)),
            faults,
            locks: true,
            ..Self::plain(random)
        }
    }

    /// Two services for a few seconds, without a fault, with all kinds of object that a service writes: small, so that it can be run once for each of its requests.
    pub(crate) fn fixed() -> Self {
        let mut constants = Constants::new(Truncation::Delete);
        constants.scan_slots = 2;
        constants.horizon_slots = 20;
        constants.inline_bytes = 1_024;
        Self {
            constants,
            carried: ROOMY,
            processes: 2,
            until: Duration::from_secs(5),
            callers: 2,
            think: Duration::from_millis(100),
            churn: 0,
            clones: false,
            padded: Some((3, 1_500)),
            unreadable: 0,
            doors: false,
            faults: Faults::none(),
            engine: false,
            locks: false,
            collecting: None,
        }
    }

    /// Many processes make a store at once and open it again and again, and everything goes wrong with what only then is written and read.
    fn birth(random: &mut Random) -> Self {
        // The shares of one kind of key add up to less than a million.
        let faults = Faults::all(2_000)
            .on(&[KeyKind::Descriptor], 12_000)
            .of(&[KeyKind::Descriptor], &[Fault::Late], 250_000)
            .of(&[KeyKind::Descriptor], &[Fault::ConflictAlone], 450_000)
            .on(&[KeyKind::Head], 20_000)
            .of(&[KeyKind::Head], &[Fault::Late, Fault::ConflictAlone], 250_000)
            .of(&[KeyKind::Descriptor, KeyKind::Head], &[Fault::Suspend], 40_000);
        Self {
            processes: 8 + random.below(5),
            until: random.between(Duration::from_secs(3), Duration::from_secs(6)),
            doors: true,
            faults,
            ..Self::plain(random)
        }
    }

    /// More writers than a log has room for, without a pause: they live by being carried.
    fn crowd(random: &mut Random) -> Self {
        // Few faults but those of intents: a writer that waits for a lost reply crowds nobody.
        let faults = Faults::all(200).of(&[KeyKind::Inbox], &[Fault::Late, Fault::ConflictAlone], 30_000).of(
            &[KeyKind::Log],
            &[Fault::ConflictRival, Fault::RefusedRival],
            3_000,
        );
        let mut shape = Self {
            processes: 8 + random.below(5),
            until: random.between(Duration::from_secs(20), Duration::from_secs(30)),
            callers: 4,
            think: Duration::ZERO,
            unreadable: random.below(2) * 4,
            faults,
            ..Self::plain(random)
        };
        shape.constants.scan_slots = *random.choose(&[1, 2, 8]);
        if random.below(2) == 0 {
            shape.constants.slot_bytes = CRAMPED_SLOT_BYTES;
            shape.constants.inline_bytes = CRAMPED_BATCH_BYTES;
            shape.carried = 1;
            shape.padded = Some((1, CRAMPED_COMMAND_BYTES));
        }
        shape
    }

    /// Every batch lies in a blob; what is written and listed beside the log fails often.
    fn large(random: &mut Random) -> Self {
        let faults = Faults::all(2_000)
            .on(&[KeyKind::Blob], 20_000)
            .on(&[KeyKind::Inbox], 35_000)
            .of(&[KeyKind::Blob, KeyKind::Inbox], &[Fault::Suspend], 35_000)
            .of(&[KeyKind::Blob, KeyKind::Inbox], &[Fault::Late, Fault::ConflictAlone], 120_000);
        let mut shape = Self { padded: Some((1, 1_500)), faults, ..Self::plain(random) };
        shape.constants.inline_bytes = 1_024;
        shape.constants.scan_slots = 1;
        shape
    }

    /// Two collectors that publish, too, and two readers with pins, in a store with a short grace: many rounds of collection, and standstills longer than the grace.
    fn collected(random: &mut Random) -> Self {
        let of_processes: Vec<_> = Fault::ALL.into_iter().filter(|fault| *fault >= Fault::CrashBefore).collect();
        let rare = [KeyKind::Head, KeyKind::Pin, KeyKind::Tag, KeyKind::Segment, KeyKind::Manifest];
        let mut faults = Faults::all(2_000)
            .on(&rare, 9_000)
            .on(&[KeyKind::Pin], 36_000)
            .of(&rare, &[Fault::Late, Fault::ConflictAlone], 40_000)
            .of(&rare, &[Fault::Suspend], 9_000)
            .of(&[KeyKind::Head], &[Fault::ConflictRival, Fault::RefusedRival], 300_000)
            .of(&[KeyKind::Pin], &[Fault::Suspend], 45_000)
            .of(&[KeyKind::Pin], &[Fault::ShortPage], 120_000)
            .of(&[KeyKind::Blob], &[Fault::ShortPage], 200_000)
            .of(&[KeyKind::Inbox], &[Fault::Late, Fault::ConflictAlone], 40_000)
            .of(&[KeyKind::Inbox], &of_processes, 4_000)
            .of(&[KeyKind::Log], &[Fault::Suspend], 1_500);
        // Nearly every second run is about pins alone: renewals and the marks that end them meet.
        let pins = random.below(5) < 2;
        if pins {
            faults = Faults::all(500)
                .on(&rare, 500)
                .on(&[KeyKind::Blob], 1_000)
                .of(&[KeyKind::Blob], &[Fault::ShortPage], 200_000)
                .on(&[KeyKind::Pin], 1_000)
                .of(&[KeyKind::Pin], &[Fault::ShortPage], 10_000)
                .of(&[KeyKind::Pin], &[Fault::Late, Fault::ConflictAlone], 10_000)
                .of(&[KeyKind::Head], &[Fault::ConflictRival, Fault::RefusedRival], 250_000)
                .of(&[KeyKind::Pin], &[Fault::ConflictRival, Fault::RefusedRival], 450_000);
        }
        faults.suspends = (Duration::from_secs(15), Duration::from_secs(120));
        faults.pauses.1 = Duration::from_secs(40);
        let mut shape = Self {
            processes: 2 + random.below(2),
            until: random.between(Duration::from_secs(80), Duration::from_secs(160)),
            callers: 1,
            think: *random.choose(&[Duration::from_millis(800), Duration::from_secs(2)]),
            churn: *random.choose(&[0, 1, 3]),
            padded: Some((3, 1_500)),
            faults,
            collecting: Some((2, if pins { 8 } else { 2 })),
            ..Self::plain(random)
        };
        shape.constants.grace_ms = 20_000;
        shape.constants.inline_bytes = 1_024;
        shape.constants.scan_slots = *random.choose(&[1, 8]);
        shape.constants.horizon_slots = *random.choose(&[12, 40, 1 << 20]);
        shape
    }

    /// What the special kinds have in common.
    fn plain(random: &mut Random) -> Self {
        let truncation = *random.choose(&[Truncation::Delete, Truncation::Tombstone]);
        Self {
            constants: Constants::new(truncation),
            carried: ROOMY,
            processes: 3 + random.below(3),
            until: random.between(Duration::from_secs(20), Duration::from_secs(40)),
            callers: 2,
            think: *random.choose(&[Duration::ZERO, Duration::from_millis(300)]),
            churn: 0,
            clones: false,
            padded: None,
            unreadable: 0,
            doors: false,
            faults: Faults::none(),
            engine: false,
            locks: false,
            collecting: None,
        }
    }
}
