//! A Linux machine and what is done on it.
//!
//! [`observe`] reads what it consists of and what is on its disks, without writing anything. [`hands`] does what carrying out
//! a disk plan consists of, and refuses every device that its write set does not name. [`command`], for programs that
//! somebody talks to [`session`], [`program`] for those that run beside this one or in its place, and [`rescue`] for a machine without a
//! system of its own are the only places of the whole project that start programs. [`lldp`] hears who is at the other end of each cable.
//! [`vitals`] says how a running machine is, and [`sshd`] has its sshd take certificates.

pub mod command;
pub mod erase;
pub mod hands;
pub mod lldp;
pub mod modules;
pub mod network;
pub mod observe;
pub mod program;
pub mod rescue;
pub mod session;
pub mod sshd;
pub mod start;
pub mod vitals;
