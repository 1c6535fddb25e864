//! A Linux machine and what is done on it.
//!
//! [`observe`] reads what it consists of and what is on its disks, without writing anything. [`hands`] does what carrying out
//! a disk plan consists of, and refuses every device that its write set does not name. [`command`] is the only place of the
//! whole project that starts programs.

pub mod command;
pub mod hands;
pub mod modules;
pub mod network;
pub mod observe;
pub mod start;
