//! The page of configuration files: each with all its fields, their meaning and their defaults, as the packages bring it. The programs' own
//! tests hold that what it shows is what they take.

use std::fmt::Write;

/// The page.
pub fn text() -> String {
    let mut text = String::from(
        "# Configuration\n\nNone of these has to exist. A flag of the same name wins over the file. Lines that begin with `#` and a name show \
         the default.\n",
    );
    for (program, place, file) in [
        ("labd", "/etc/lab/labd.toml", include_str!("../../../../apps/labd/labd.toml")),
        ("bastion", "/etc/lab/bastion.toml", include_str!("../../../../apps/bastion/bastion.toml")),
    ] {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n## {program}\n\n`{place}`:\n\n```toml\n{}\n```\n", file.trim_end());
    }
    text
}
