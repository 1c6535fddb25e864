//! `cargo xtask reference`: writes `docs/reference` anew from what the programs say of themselves. The tests compare the same.

use crate::{cargo, root};

/// Runs the test that compares, so that it writes instead.
pub fn run() -> anyhow::Result<()> {
    let test = ["test", "--quiet", "--package", "lab-e2e", "--test", "reference"];
    cargo(&root(), &test, &[("LAB_REFERENCE_WRITE", "1")])
}
