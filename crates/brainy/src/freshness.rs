use std::time::Duration;

use brainy_coordination::Token;

/// How old an answer may be. A read gives an answer that is fresh enough, or an error; never an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Freshness {
    /// What this handle has applied: no request. It holds the handle's own acknowledged writes.
    Local,
    /// Everything that was acknowledged to anybody up to so long before the call: a request only if no look at the log is younger.
    Bounded(Duration),
    /// Everything that was acknowledged to anybody before the call (linearizable): one request, shared by all calls that come at once.
    Latest,
    /// At least this position: read another process's writes by the token of its receipt. A request only if it is not applied yet.
    AtLeast(Token),
}

impl Freshness {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Bounded(_) => "bounded",
            Self::Latest => "latest",
            Self::AtLeast(_) => "at least",
        }
    }
}
