//! What labd, bastion and agent say to each other that is not an object.
//!
//! [`site`] is what the discovery system says to the bastion that started it, and hears from it. [`agent`] is what labd asks an
//! installed machine's agent for, and what that reports; [`stream`] is the form of what flows while a command runs there.

pub mod agent;
pub mod log;
pub mod site;
pub mod stream;
