//! A virtual rack.
//!
//! [`simulated`] switches thousands of machines on that behave like recorded firmware ([`lab_firmware`]), over a [`wire`] that loses,
//! doubles, reorders and delays packets. [`qemu`] starts machines with real firmware on a [`switch`] in user space, and [`ssh`] is an operator's
//! way into an installed one. [`place`] makes the network namespaces that both need, without root.

pub mod faults;
mod fetch;
pub mod place;
pub mod programs;
pub mod qemu;
pub mod simulated;
pub mod ssh;
pub mod switch;
pub mod wire;
