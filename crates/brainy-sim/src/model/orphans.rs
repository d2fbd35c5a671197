//! Group t, what is left over: segments of builders that stall, and blobs and intents of writers that do, against collectors that stall too.

mod builders;
mod leftovers;

pub(super) use self::builders::{Builders, NamedBy};
pub(super) use self::leftovers::Leftovers;
