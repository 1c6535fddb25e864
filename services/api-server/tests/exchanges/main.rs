//! Exchanges with the API: requests and what they are answered, over the embedded store, without a socket.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deleting;
mod faults;
mod finding;
mod listing;
mod patching;
mod recorded;
mod session;
mod watching;
mod writing;
