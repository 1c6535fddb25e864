//! Dependencies between crates: arrows only go down, and some libraries have one room.

use super::Breach;
use anyhow::{Context, bail};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A crate of ours and what it depends on.
pub struct Crate {
    name: String,
    manifest: PathBuf,
    /// The folder it lies in: its floor.
    floor: String,
    /// Direct dependencies, without those for tests.
    direct: Vec<String>,
    /// Everything that is linked in through them, ours and others'.
    reached: BTreeSet<String>,
}

/// Floors, and those that each may see. Tests (dev-dependencies) may see anything.
const FLOORS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("logic", &["model"]),
    ("adapters", &["model"]),
    ("services", &["logic", "adapters", "model"]),
    ("apps", &["services", "logic", "adapters", "model"]),
    ("testing", &["apps", "services", "logic", "adapters", "model"]),
    ("xtask", &["testing", "adapters", "model"]),
];

/// Neighbours on one floor that may see each other all the same.
const NEIGHBOURS: &[(&str, &str)] = &[
    ("lab-kinds", "lab-object"),
    ("lab-wire", "lab-object"),
    ("lab-wire", "lab-kinds"),
    ("lab-bench", "lab-rack"),
    ("lab-demo", "lab-rack"),
];

/// Libraries that may not be reached from a floor at all, directly or through others.
const BANNED: &[(&[&str], &[&str], &str)] = &[(
    &["model", "logic"],
    &["tokio", "hyper", "rustls"],
    "what things are and what should happen is known without I/O, so that it can be tested from a table",
)];

/// Libraries that only some floors or crates may name.
const ROOMS: &[(&[&str], &[&str], &str)] = &[
    (&["clap", "anyhow"], &["apps", "testing", "xtask"], "arguments and untyped errors belong to the edge"),
    (
        &["redb", "fjall", "rocksdb", "heed", "rusqlite", "sqlx", "etcd-client"],
        &["lab-store"],
        "the store is the only opener of a database",
    ),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
    workspace_members: BTreeSet<String>,
}
#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: PathBuf,
}
#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}
#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}
#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}
#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

/// Reads the workspace's crates from cargo.
pub fn workspace(root: &Path) -> anyhow::Result<Vec<Crate>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--filter-platform=x86_64-unknown-linux-gnu"])
        .current_dir(root)
        .output()
        .context("starting cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
    let names: BTreeMap<&str, &str> =
        metadata.packages.iter().map(|p| (p.id.as_str(), p.name.as_str())).collect();
    let edges: BTreeMap<&str, Vec<&str>> =
        metadata.resolve.nodes.iter().map(|n| (n.id.as_str(), linked(n))).collect();
    let ours = metadata.packages.iter().filter(|p| metadata.workspace_members.contains(&p.id));
    Ok(ours.map(|package| describe(root, package, &names, &edges)).collect())
}

/// The packages that a node links in: neither build scripts' nor tests' dependencies.
fn linked(node: &Node) -> Vec<&str> {
    let normal = |d: &&Dependency| d.dep_kinds.iter().any(|k| k.kind.is_none());
    node.deps.iter().filter(normal).map(|d| d.pkg.as_str()).collect()
}

fn describe(
    root: &Path,
    package: &Package,
    names: &BTreeMap<&str, &str>,
    edges: &BTreeMap<&str, Vec<&str>>,
) -> Crate {
    let name_of = |id: &str| names[id].to_string();
    let direct = edges[package.id.as_str()].clone();
    let mut reached = BTreeSet::new();
    let mut open = direct.clone();
    while let Some(id) = open.pop() {
        if reached.insert(name_of(id)) {
            open.extend(&edges[id]);
        }
    }
    let manifest = package.manifest_path.strip_prefix(root).unwrap_or(&package.manifest_path).to_path_buf();
    let floor = manifest.iter().next().map(|f| f.to_string_lossy().into_owned()).unwrap_or_default();
    Crate {
        name: package.name.clone(),
        manifest,
        floor,
        direct: direct.into_iter().map(name_of).collect(),
        reached,
    }
}

/// Every dependency that breaks a law.
pub fn check(root: &Path, crates: &[Crate]) -> Vec<Breach> {
    let floors: BTreeMap<&str, &str> = crates.iter().map(|c| (c.name.as_str(), c.floor.as_str())).collect();
    let mut breaches = Vec::new();
    for each in crates {
        let mut breach = |dependency: &str, law: String| {
            let line = line_of(&root.join(&each.manifest), dependency);
            breaches.push(Breach {
                place: format!("{}:{line}", each.manifest.display()),
                what: format!("{} sees {dependency}", each.name),
                law,
            });
        };
        for dependency in &each.direct {
            if let Some(law) = arrow(each, dependency, &floors) {
                breach(dependency, law);
            }
            for (libraries, rooms, reason) in ROOMS {
                let at_home = rooms.iter().any(|r| *r == each.floor || *r == each.name);
                if libraries.contains(&dependency.as_str()) && !at_home {
                    breach(dependency, format!("only {} may: {reason}", rooms.join(", ")));
                }
            }
        }
        for (banned_floors, libraries, reason) in BANNED {
            for library in libraries.iter().filter(|l| each.reached.contains(**l)) {
                if banned_floors.contains(&each.floor.as_str()) {
                    breach(library, format!("{} may not, even through others: {reason}", each.floor));
                }
            }
        }
    }
    breaches
}

/// Why `each` may not see `dependency`; `None` when it may, or when the dependency is not ours.
fn arrow(each: &Crate, dependency: &str, floors: &BTreeMap<&str, &str>) -> Option<String> {
    let target = *floors.get(dependency)?;
    let (_, below) = FLOORS.iter().find(|(floor, _)| *floor == each.floor)?;
    if below.contains(&target) || NEIGHBOURS.contains(&(each.name.as_str(), dependency)) {
        return None;
    }
    let reason = match (each.floor.as_str(), target) {
        (a, b) if a == b => "nobody sees a neighbour on the same floor".to_string(),
        ("logic", "adapters") | ("adapters", "logic") => {
            "deciding and doing never see each other".to_string()
        }
        (a, b) => format!("arrows only go down: {a} may not see {b}"),
    };
    Some(reason)
}

/// The line of a manifest that names a dependency; 1 where it comes in through another.
fn line_of(manifest: &Path, dependency: &str) -> usize {
    let text = fs::read_to_string(manifest).unwrap_or_default();
    text.lines().position(|l| l.starts_with(dependency)).map_or(1, |i| i + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_crate(name: &str, floor: &str, direct: &[&str]) -> Crate {
        let names = direct.iter().map(ToString::to_string);
        Crate {
            name: name.into(),
            manifest: format!("{floor}/x/Cargo.toml").into(),
            floor: floor.into(),
            direct: names.clone().collect(),
            reached: names.collect(),
        }
    }

    #[test]
    fn arrows() {
        let check = |name: &str, floor: &str, sees: &str, allowed: bool| {
            let below = [
                a_crate("lab-object", "model", &[]),
                a_crate("lab-access", "logic", &[]),
                a_crate("lab-store", "adapters", &[]),
                a_crate("lab-api-server", "services", &[]),
                a_crate(name, floor, &[sees]),
            ];
            let found = super::check(Path::new("/nowhere"), &below);
            assert_eq!(found.is_empty(), allowed, "{name} -> {sees}");
        };
        check("lab-kinds", "model", "lab-object", true);
        check("lab-object2", "model", "lab-object", false);
        check("lab-machine", "logic", "lab-store", false);
        check("lab-host", "adapters", "lab-access", false);
        check("lab-host", "adapters", "lab-store", false);
        check("lab-controllers", "services", "lab-api-server", false);
        check("lab-controllers", "services", "lab-access", true);
        check("labd", "apps", "lab-api-server", true);
        check("lab-store2", "adapters", "lab-api-server", false);
        check("lab-machine", "logic", "tokio", false);
        check("lab-host", "adapters", "tokio", true);
        check("lab-host", "adapters", "anyhow", false);
        check("labd", "apps", "clap", true);
        check("labd", "apps", "redb", false);
        check("lab-store", "adapters", "redb", true);
    }
}
