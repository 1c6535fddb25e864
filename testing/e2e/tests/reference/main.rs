//! The reference in `docs/reference` says what the programs say of themselves. Each page is made anew here and compared;
//! `cargo xtask reference` writes them.

mod commands;
mod configuration;
mod kinds;
mod metrics;

use anyhow::Context;
use std::{env, fs, path::Path};

/// Set to write the pages instead of comparing them.
const WRITE: &str = "LAB_REFERENCE_WRITE";

/// Compares a page with what it should say, or writes it.
fn page(name: &str, text: &str) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    let path = folder.join(name);
    if env::var_os(WRITE).is_some() {
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        return fs::write(&path, text).with_context(|| format!("writing {}", path.display()));
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(text.lines()).position(|(found, said)| found != said);
    let at = differs.unwrap_or_else(|| found.lines().count().min(text.lines().count()));
    anyhow::ensure!(
        found == text,
        "docs/reference/{name} is not what the programs say, from line {} on:\n  page:     {}\n  programs: {}\n\
         `cargo xtask reference` writes it anew",
        at + 1,
        found.lines().nth(at).unwrap_or("(nothing)"),
        text.lines().nth(at).unwrap_or("(nothing)"),
    );
    Ok(())
}

/// A cell of a table: one line, in which nothing is taken for the table's own lines.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[test]
fn kinds() -> anyhow::Result<()> {
    page("kinds.md", &kinds::text())
}

#[test]
fn commands() -> anyhow::Result<()> {
    page("commands.md", &commands::text()?)
}

#[test]
fn metrics() -> anyhow::Result<()> {
    page("metrics.md", &metrics::text()?)
}

#[test]
fn configuration() -> anyhow::Result<()> {
    page("configuration.md", &configuration::text())
}
