//! The agent's engine: what runs on a machine, apart from how it is started and how its bastion is reached.
//!
//! [`install`] carries out an approved disk plan, and [`wipe`] wipes the disks of a machine that is given up. [`reach`] keeps an installed
//! machine in reach of labd, reports how it is, and serves what labd asks of it: commands, ports, the journal, and another
//! executable of itself ([`upgrade`]).

mod exec;
mod forward;
pub mod install;
mod journal;
pub mod reach;
mod report;
mod serve;
mod ssh;
pub mod upgrade;
pub mod wipe;

pub use report::Inventory;
