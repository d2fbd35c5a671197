/// What a caller should do about an error, whatever crate it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request itself is wrong (a NaN, a wrong dimension, a hostile id): change it; nothing was written.
    Invalid,
    /// Someone else won, or a precondition does not hold; nothing was written: read again, then decide again.
    Conflict,
    /// The write may or may not have taken effect: `resolve(op_id)` before any retry.
    OutcomeUnknown,
    /// Nothing of ours took effect nor ever will (cancelled, refused, stale, never sent): send anew.
    Withdrawn,
    /// A newer holder of the lease exists; nothing was written under the old token: stop doing its work.
    Fenced,
    /// The named thing does not exist.
    NotFound,
    /// The store did not answer as it should or in time (network, permissions of the moment, a full disk): try again later.
    Unavailable,
    /// Too much is asked at once: too much waits in this instance, or the store throttles. Slow down, then try again; nothing was written.
    Overloaded,
    /// Stored bytes are not what was written: restore or repair; nothing was changed.
    Corrupt,
    /// The store went back in time, or a token of its future was shown: stop and look at the bucket.
    RolledBack,
    /// The format, rules or abilities of this store are not known to this build or are not good enough: upgrade, or choose another store.
    Unsupported,
    /// This handle is closed: open a new one.
    Closed,
}
