//! The laws of the house, checked: which floor may see which, which library lives where, what is read where.

use anyhow::bail;
use std::{fmt, path::Path};

mod arrows;
mod sources;

/// One line that breaks a law.
pub struct Breach {
    /// Where, as `path:line`.
    place: String,
    /// What stands there.
    what: String,
    /// The law, and its reason.
    law: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    {}", self.place, self.what, self.law)
    }
}

/// Checks everything and prints each offending line with the reason.
pub fn run(root: &Path) -> anyhow::Result<()> {
    let breaches = all(root)?;
    if breaches.is_empty() {
        println!("laws: the arrows go down and every library is in its room");
        return Ok(());
    }
    for breach in &breaches {
        eprintln!("{breach}");
    }
    bail!("{} breaches of the house's laws (ARCHITECTURE.md tells them)", breaches.len());
}

fn all(root: &Path) -> anyhow::Result<Vec<Breach>> {
    let crates = arrows::workspace(root)?;
    let mut breaches = arrows::check(root, &crates);
    breaches.extend(sources::check(root)?);
    Ok(breaches)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_house_keeps_its_laws() {
        let breaches = super::all(&crate::root()).unwrap();
        let text: Vec<String> = breaches.iter().map(ToString::to_string).collect();
        assert!(text.is_empty(), "\n{}", text.join("\n"));
    }
}
