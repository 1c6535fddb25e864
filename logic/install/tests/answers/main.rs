//! Answer files: what the distributions' own tools say of them, and what their scripts do.

#[path = "../install/machine.rs"]
#[allow(dead_code, reason = "made for the tests of plans")]
mod machine;

mod cases;
mod chroot;
mod grammar;
mod run;
mod tools;
mod values;
