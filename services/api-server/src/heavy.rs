//! Work that keeps a processor busy for longer than the other connections of its thread should wait.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Objects of a list, or KiB of an answer, from which on working on them is heavy: about a millisecond.
const HEAVY: usize = 256;

/// Does work of a size (objects, or KiB); large work on a thread from which the others' tasks were taken away.
pub(crate) fn apart<T>(size: usize, work: impl FnOnce() -> T) -> T {
    let many_threads =
        Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if size >= HEAVY && many_threads { tokio::task::block_in_place(work) } else { work() }
}
