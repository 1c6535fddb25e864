//! The agent's engine: what runs on a machine, apart from how it is started and how its bastion is reached.
//!
//! [`install`] carries out an approved disk plan.

pub mod install;
