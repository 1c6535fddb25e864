//! The real labd, as its users start and stop it.

mod backup;
mod configuration;
mod controllers;
mod daemon;
mod secrets;
mod start;
mod trail;
