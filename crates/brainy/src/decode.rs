//! Where long logs are decoded.

use brainy_coordination::{Spawn, Task};

/// A thread for each task, which ends with it. Where there is none to be had, the task is dropped, and its handle decodes by itself.
#[derive(Debug)]
pub(crate) struct DecodeThreads;

impl Spawn for DecodeThreads {
    fn spawn(&self, task: Task) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
        std::thread::Builder::new().name("brainy-decode".into()).spawn(move || runtime.block_on(task)).ok();
    }
}
