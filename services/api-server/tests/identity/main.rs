//! Who somebody is: tokens, passwords, certificates; and what attackers try.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attacks;
mod client;
mod logins;
mod machines;
mod session;
mod tokens;
