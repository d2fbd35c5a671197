//! Where tasks of our own run: a port, since this crate has no runtime.

use std::future::Future;
use std::pin::Pin;

/// A task that somebody else runs.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs tasks beside their caller.
///
/// What renews a lease must not wait behind other work: a thread of its own is best, and what else runs there must not compute. A task that is dropped instead of
/// run ends the guard that it was for, at once. What decodes slots does nothing but compute: it wants another thread than that.
pub trait Spawn: std::fmt::Debug + Send + Sync + 'static {
    /// Runs `task` until it ends.
    fn spawn(&self, task: Task);
}
