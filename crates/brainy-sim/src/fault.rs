//! What can go wrong with a request, how often, and what did.

use std::time::Duration;

use crate::bucket::Request;
use crate::random::Random;

/// What kind of object a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// `brainy.json`.
    Descriptor,
    /// `log/`.
    Log,
    /// `inbox/`.
    Inbox,
    /// `blob/`.
    Blob,
    /// `segment/`.
    Segment,
    /// `manifest/`.
    Manifest,
    /// `ctl/head`.
    Head,
    /// `lease/`.
    Lease,
    /// `pin/`.
    Pin,
    /// `tag/`.
    Tag,
    /// `probe/`.
    Probe,
    /// Anything else.
    Other,
}

impl KeyKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Descriptor,
        Self::Log,
        Self::Inbox,
        Self::Blob,
        Self::Segment,
        Self::Manifest,
        Self::Head,
        Self::Lease,
        Self::Pin,
        Self::Tag,
        Self::Probe,
        Self::Other,
    ];

    /// The kind of the object or folder called `key`, without a store's prefix.
    pub fn of(key: &str) -> Self {
        match key.split('/').next().unwrap_or_default() {
            "brainy.json" => Self::Descriptor,
            "log" => Self::Log,
            "inbox" => Self::Inbox,
            "blob" => Self::Blob,
            "segment" => Self::Segment,
            "manifest" => Self::Manifest,
            "ctl" => Self::Head,
            "lease" => Self::Lease,
            "pin" => Self::Pin,
            "tag" => Self::Tag,
            "probe" => Self::Probe,
            _ => Self::Other,
        }
    }

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Descriptor => "descriptor",
            Self::Log => "log",
            Self::Inbox => "inbox",
            Self::Blob => "blob",
            Self::Segment => "segment",
            Self::Manifest => "manifest",
            Self::Head => "head",
            Self::Lease => "lease",
            Self::Pin => "pin",
            Self::Tag => "tag",
            Self::Probe => "probe",
            Self::Other => "other",
        }
    }
}

/// What goes wrong with one request, or around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// It takes long to arrive.
    DelayBefore,
    /// Its reply takes long.
    DelayAfter,
    /// A 500 without an effect.
    FailBefore,
    /// It is lost on the way: no effect, no reply.
    LostRequest,
    /// It takes effect, and the reply is lost.
    LostReply,
    /// It takes effect, and the reply is a 500.
    ErrorAfter,
    /// It takes effect, and the connection breaks.
    ResetAfter,
    /// It takes effect, and only half of the reply arrives.
    Truncated,
    /// No reply; it takes effect after the client gave up, and after later requests.
    Late,
    /// It is delivered twice, and the second reply arrives.
    Duplicate,
    /// A 409 although nobody else is at it; no effect.
    ConflictAlone,
    /// A 409 because somebody else's write took effect just before; no effect.
    ConflictRival,
    /// A 412 because somebody else's write was let through first.
    RefusedRival,
    /// 503 for every request below a folder for some time; no effect.
    SlowDown,
    /// A page of a listing ends early, so that the rest is read after others have written.
    ShortPage,
    /// The process dies before it is sent.
    CrashBefore,
    /// The process dies while it is on its way; it takes effect.
    CrashDuring,
    /// The process dies when its reply arrives.
    CrashAfter,
    /// The process is paused while it is on its way, for longer than leases live.
    Pause,
    /// The process's machine is suspended meanwhile, for longer than the grace: its clock stands still.
    Suspend,
    /// The process's wall clock jumps.
    WallJump,
    /// The process's monotonic clock changes its rate.
    ClockRate,
}

impl Fault {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 22] = [
        Self::DelayBefore,
        Self::DelayAfter,
        Self::FailBefore,
        Self::LostRequest,
        Self::LostReply,
        Self::ErrorAfter,
        Self::ResetAfter,
        Self::Truncated,
        Self::Late,
        Self::Duplicate,
        Self::ConflictAlone,
        Self::ConflictRival,
        Self::RefusedRival,
        Self::SlowDown,
        Self::ShortPage,
        Self::CrashBefore,
        Self::CrashDuring,
        Self::CrashAfter,
        Self::Pause,
        Self::Suspend,
        Self::WallJump,
        Self::ClockRate,
    ];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DelayBefore => "delay_before",
            Self::DelayAfter => "delay_after",
            Self::FailBefore => "fail_before",
            Self::LostRequest => "lost_request",
            Self::LostReply => "lost_reply",
            Self::ErrorAfter => "error_after",
            Self::ResetAfter => "reset_after",
            Self::Truncated => "truncated_reply",
            Self::Late => "late_landing",
            Self::Duplicate => "duplicate",
            Self::ConflictAlone => "conflict_alone",
            Self::ConflictRival => "conflict_rival",
            Self::RefusedRival => "refused_rival",
            Self::SlowDown => "slow_down",
            Self::ShortPage => "short_page",
            Self::CrashBefore => "crash_before",
            Self::CrashDuring => "crash_during",
            Self::CrashAfter => "crash_after",
            Self::Pause => "pause",
            Self::Suspend => "suspend",
            Self::WallJump => "wall_jump",
            Self::ClockRate => "clock_rate",
        }
    }

    /// Whether it can happen to this request at all. Those that need a rival happen only while one is on its way, which this does not know.
    pub fn suits(self, request: &Request) -> bool {
        let conditional = matches!(request, Request::Put { condition, .. } if !matches!(condition, brainy_storage::Precondition::None));
        match self {
            Self::ConflictAlone | Self::ConflictRival | Self::RefusedRival => conditional,
            Self::Late => request.writes(),
            Self::ShortPage => matches!(request, Request::List { .. }),
            _ => true,
        }
    }
}

/// How often, in a million requests, each fault meets an object that is seldom asked for.
pub const RARE: u32 = 10_000;

/// How often each fault happens, and how bad it is.
#[derive(Clone, Debug)]
pub struct Faults {
    /// In millionths of the requests that a fault suits, by kind of key.
    shares: [[u32; Fault::ALL.len()]; KeyKind::ALL.len()],
    /// Longest extra delay, and longest a late request is late after its client gave up.
    pub longest_delay: Duration,
    /// Longest burst of 503.
    pub longest_burst: Duration,
    /// Shortest and longest pause of a process.
    pub pauses: (Duration, Duration),
    /// Shortest and longest standstill of a machine.
    pub suspends: (Duration, Duration),
    /// Furthest a clock's rate is off, in millionths.
    pub rate_ppm: u32,
    /// Furthest a wall clock jumps.
    pub wall_jump: Duration,
    /// After what time at most a dead process is started again.
    pub restart_within: Duration,
}

impl Faults {
    /// None.
    pub const fn none() -> Self {
        Self {
            shares: [[0; Fault::ALL.len()]; KeyKind::ALL.len()],
            longest_delay: Duration::from_secs(20),
            longest_burst: Duration::from_secs(1),
            pauses: (Duration::from_secs(1), Duration::from_secs(60)),
            suspends: (Duration::from_secs(600), Duration::from_secs(7_200)),
            rate_ppm: 9_000,
            wall_jump: Duration::from_secs(3_600),
            restart_within: Duration::from_secs(5),
        }
    }

    /// Every fault of requests so often, and those of processes (crashes, pauses, clocks) a tenth as often. Objects that are seldom asked for meet
    /// each fault in [`RARE`] of a million requests, whatever `per_million` is.
    pub fn all(per_million: u32) -> Self {
        let mut faults = Self::none();
        for fault in Fault::ALL {
            let of_process = fault >= Fault::CrashBefore;
            let of_rival = matches!(fault, Fault::ConflictRival | Fault::RefusedRival | Fault::ShortPage);
            faults = faults.with(fault, if of_process { per_million / 10 } else { per_million * if of_rival { 4 } else { 1 } });
        }
        let rare: Vec<_> = KeyKind::ALL.into_iter().filter(|key| !matches!(key, KeyKind::Log | KeyKind::Inbox)).collect();
        faults.on(&rare, RARE)
    }

    /// Every fault of requests about these kinds of key, those of processes too, so often; only standstills a tenth as often, since they make a run long.
    #[must_use]
    pub fn on(mut self, keys: &[KeyKind], per_million: u32) -> Self {
        for fault in Fault::ALL {
            self = self.of(keys, &[fault], if fault == Fault::Suspend { per_million / 10 } else { per_million });
        }
        self
    }

    /// These faults of requests about these kinds of key so often, in millionths of those that they suit.
    #[must_use]
    pub fn of(mut self, keys: &[KeyKind], faults: &[Fault], per_million: u32) -> Self {
        for key in keys {
            for fault in faults {
                self.shares[*key as usize][*fault as usize] = per_million;
            }
        }
        self
    }

    /// With this fault so often, in millionths of the requests that it suits.
    #[must_use]
    pub fn with(self, fault: Fault, per_million: u32) -> Self {
        self.of(&KeyKind::ALL, &[fault], per_million)
    }

    /// Without these faults.
    #[must_use]
    pub fn without(self, faults: &[Fault]) -> Self {
        faults.iter().fold(self, |all, fault| all.with(*fault, 0))
    }

    /// What goes wrong with `request`, if anything.
    pub(crate) fn draw(&self, random: &mut Random, request: &Request) -> Option<Fault> {
        let mut left = u32::try_from(random.below(1_000_000)).expect("below a million");
        let shares = self.shares[KeyKind::of(request.subject()) as usize];
        for (fault, share) in Fault::ALL.iter().zip(shares) {
            if left < share {
                return fault.suits(request).then_some(*fault);
            }
            left -= share;
        }
        None
    }
}

/// How often each fault met each kind of key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matrix {
    cells: [[u64; KeyKind::ALL.len()]; Fault::ALL.len()],
    requests: [u64; KeyKind::ALL.len()],
}

impl Matrix {
    pub(crate) fn request(&mut self, key: KeyKind) {
        self.requests[key as usize] += 1;
    }

    pub(crate) fn count(&mut self, fault: Fault, key: KeyKind) {
        self.cells[fault as usize][key as usize] += 1;
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        for (cell, more) in self.cells.iter_mut().flatten().zip(other.cells.iter().flatten()) {
            *cell += more;
        }
        for (requests, more) in self.requests.iter_mut().zip(other.requests) {
            *requests += more;
        }
    }

    /// How often `fault` met this kind of key.
    pub const fn cell(&self, fault: Fault, key: KeyKind) -> u64 {
        self.cells[fault as usize][key as usize]
    }

    /// How often `fault` happened.
    pub fn of_fault(&self, fault: Fault) -> u64 {
        self.cells[fault as usize].iter().sum()
    }

    /// How many requests there were to this kind of key.
    pub const fn requests_to(&self, key: KeyKind) -> u64 {
        self.requests[key as usize]
    }

    /// How many requests there were.
    pub fn requests(&self) -> u64 {
        self.requests.iter().sum()
    }
}

/// Which fault can meet which kind of key, in sweeps over workloads that use every kind.
pub fn reachable() -> Vec<(Fault, KeyKind)> {
    use KeyKind::{Blob, Descriptor, Head, Inbox, Lease, Log, Pin};
    let mut cells = Vec::new();
    for key in [Descriptor, Log, Inbox, Blob, Head, Lease, Pin] {
        for fault in Fault::ALL {
            let reached = match fault {
                Fault::ShortPage => matches!(key, Log | Inbox | Blob | Pin),
                // The descriptor and the head are created by everybody who finds no store, at once; blobs are written without a condition.
                Fault::ConflictAlone => key != Blob,
                Fault::ConflictRival | Fault::RefusedRival => matches!(key, Log | Lease | Head | Pin),
                _ => true,
            };
            if reached {
                cells.push((fault, key));
            }
        }
    }
    cells
}
