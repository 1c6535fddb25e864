//! What source files may say, floor by floor: names that mean nothing, clocks, randomness, processes.

use super::Breach;
use anyhow::{Context, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["common", "utils", "util", "types", "helpers", "misc"];

struct Ban {
    /// What may not be written.
    texts: &'static [&'static str],
    /// The folders in which it may not.
    floors: &'static [&'static str],
    /// Folders below those where it may.
    except: &'static [&'static str],
    reason: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        texts: &["SystemTime::now", "Timestamp::now", "Zoned::now", "Utc::now", "Local::now"],
        floors: &["model/", "logic/", "adapters/"],
        except: &[],
        reason: "the clock is read in apps and services and handed in, so that every decision can be replayed",
    },
    Ban {
        texts: &["Instant::now"],
        floors: &["model/", "logic/"],
        except: &[],
        reason: "decisions take the time as an argument, so that they can be tested from a table",
    },
    Ban {
        texts: &["rand::", "Uuid::new_v4", "thread_rng", "getrandom"],
        floors: &["model/", "logic/", "adapters/"],
        // Keys and tokens are what nobody may replay.
        except: &["adapters/pki/src/random.rs"],
        reason: "randomness is read in apps and services and handed in, so that a seed replays everything",
    },
    Ban {
        texts: &["process::Command", "process::{"],
        floors: &["model/", "logic/", "adapters/", "services/", "apps/"],
        except: &["adapters/host/"],
        reason: "processes are started only in host",
    },
    Ban {
        texts: &["async fn", ".await"],
        floors: &["model/", "logic/"],
        except: &[],
        reason: "nothing on these floors waits for anything",
    },
    Ban {
        texts: &["std::fs::", "std::net::Tcp", "std::net::Udp", "std::env::var"],
        floors: &["model/", "logic/"],
        except: &[],
        reason: "these floors touch nothing outside",
    },
];

/// Every line of a source file that breaks a law.
pub fn check(root: &Path) -> anyhow::Result<Vec<Breach>> {
    let mut breaches = Vec::new();
    for path in files(root)? {
        breaches.extend(empty_name(&path));
        if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(root.join(&path))
                .with_context(|| format!("reading {}", path.display()))?;
            breaches.extend(banned(&path.to_string_lossy(), &text));
        }
    }
    Ok(breaches)
}

/// The files that git tracks or would track, and that exist.
fn files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("asking git which files there are")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    }
    let names = String::from_utf8(output.stdout).context("file names are UTF-8")?;
    Ok(names.lines().map(PathBuf::from).filter(|p| root.join(p).is_file()).collect())
}

fn empty_name(path: &Path) -> Option<Breach> {
    let empty = path.iter().find_map(|part| {
        let stem = Path::new(part).file_stem()?.to_str()?;
        EMPTY_NAMES.contains(&stem).then_some(stem)
    })?;
    Some(Breach {
        place: format!("{}:1", path.display()),
        what: format!("a folder or file called {empty}"),
        law: "name it after its idea; drawers fill up and are never emptied".into(),
    })
}

fn banned(path: &str, text: &str) -> Vec<Breach> {
    let in_tests = path.contains("/tests/") || path.contains("/benches/") || path.contains("/examples/");
    if in_tests {
        return Vec::new();
    }
    let bans = BANS.iter().filter(|b| {
        b.floors.iter().any(|f| path.starts_with(f)) && !b.except.iter().any(|e| path.starts_with(e))
    });
    let bans: Vec<&Ban> = bans.collect();
    let mut breaches = Vec::new();
    // Unit tests stand at the end of their file, below the attribute.
    let code = text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    for (index, line) in code {
        let words = line.split("//").next().unwrap_or_default();
        for ban in &bans {
            if let Some(found) = ban.texts.iter().find(|t| says(words, t)) {
                breaches.push(Breach {
                    place: format!("{path}:{}", index + 1),
                    what: format!("`{found}`"),
                    law: ban.reason.into(),
                });
            }
        }
    }
    breaches
}

/// Whether a line says a text as code: not inside another word.
fn says(line: &str, text: &str) -> bool {
    line.match_indices(text).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans() {
        let check = |path: &str, line: &str, allowed: bool| {
            assert_eq!(banned(path, line).is_empty(), allowed, "{path}: {line}");
        };
        check("logic/machine/src/lib.rs", "let now = Instant::now();", false);
        check("logic/machine/src/lib.rs", "// Instant::now() is not read here", true);
        check("adapters/store/src/writer.rs", "let began = Instant::now();", true);
        check("adapters/pki/src/lib.rs", "let now = SystemTime::now();", false);
        check("services/api-server/src/lib.rs", "let now = Timestamp::now();", true);
        check("services/api-server/src/lib.rs", "std::process::Command::new(\"ls\")", false);
        check("services/api-server/src/lib.rs", "use std::process::{Child, Command};", false);
        check("services/api-server/src/lib.rs", "use std::process::ExitCode;", true);
        check("adapters/host/src/lib.rs", "use std::process::Command;", true);
        check("apps/labctl/tests/get.rs", "std::process::Command::new(\"labctl\")", true);
        check("model/object/src/lib.rs", "#[cfg(test)]\nlet x = rand::random();", true);
        check("model/object/src/lib.rs", "operand::add()", true);
        check("apps/labctl/src/main.rs", "clap::Command::new(\"x\")", true);
    }

    #[test]
    fn names() {
        let check =
            |path: &str, allowed: bool| assert_eq!(empty_name(Path::new(path)).is_none(), allowed, "{path}");
        check("model/object/src/utils.rs", false);
        check("model/common/src/lib.rs", false);
        check("model/object/src/selector/mod.rs", true);
    }
}
