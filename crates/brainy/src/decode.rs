//! Where long logs are decoded.

use brainy_coordination::{Spawn, Task};

/// A thread for each task, which ends with it. Where there is none to be had, the task is dropped, and its handle decodes by itself.
#[derive(Debug)]
pub(crate) struct DecodeThreads;

impl Spawn for DecodeThreads {
    fn spawn(&self, task: Task) {
        // A runtime may be dropped on no thread of another one, so it is made where it is used: where there is no thread, only the task is dropped here.
        let decode = move || tokio::runtime::Builder::new_current_thread().build().map(|runtime| runtime.block_on(task));
        std::thread::Builder::new().name("brainy-decode".into()).spawn(decode).ok();
    }
}
