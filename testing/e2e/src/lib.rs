//! Scenarios against the real programs.
