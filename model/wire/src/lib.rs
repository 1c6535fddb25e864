//! What labd, bastion and agent say to each other that is not an object.

pub mod log;
