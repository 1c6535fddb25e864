//! Observing recorded machines and real tools' work, and unpacking images.

#![allow(clippy::unwrap_used, reason = "what a test cannot set up fails the test")]

mod contents;
mod image;
mod machines;
