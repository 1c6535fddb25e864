//! The daemon of an installed machine, and the commands about it.

pub mod join;
pub mod leave;
mod place;
pub mod run;
mod state;
pub mod status;
