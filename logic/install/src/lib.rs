//! What an installation does to a machine's disks: pure decisions over what is wanted and what was observed.
//!
//! [`plan::plan`] makes the plan of a machine or refuses to, [`hash`] is what it is approved by, [`approval`] says whether
//! it is, [`standing::still_holds`] is the second look before anything is written, [`steps::steps`] is what is then done, in
//! order, [`renewal::renewed`] when a plan is made anew, [`fstab`], [`identity`], [`agent`] and [`describe`] render it for the installed
//! system and for people, and [`answer`] for the distributions' own installers.
//!
//! Two rules hold everywhere: a disk that is USB, removable or read-only is never part of a plan's work, and what is kept
//! is never opened for writing.

pub mod agent;
pub mod answer;
pub mod approval;
pub mod describe;
pub mod fstab;
pub mod hash;
pub mod identity;
pub mod observed;
pub mod plan;
pub mod refusal;
pub mod renewal;
pub mod standing;
pub mod steps;

mod choose;
mod sizes;
