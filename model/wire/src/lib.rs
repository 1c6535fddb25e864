//! What labd, bastion and agent say to each other that is not an object.
//!
//! [`site`] is what the discovery system says to the bastion that started it, and hears from it.

pub mod log;
pub mod site;
