//! A Linux machine and what is done on it. So far: commands on this one, at the terminal of whoever calls.

pub mod command;
