//! Reads Kubernetes' Go types into the field tables by which protobuf bodies are decoded.
//!
//! The struct tags of the Go types say everything at once: field number, JSON name, whether a zero is left out, and
//! whether the field is a pointer, which the published `.proto` files do not tell. The sources are those of the Go
//! modules `k8s.io/api` and `k8s.io/apimachinery` (Debian packages them as `golang-k8s-api` and
//! `golang-k8s-apimachinery`; `apt-get source` fetches them).

use anyhow::{Context, ensure};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// Where the sources are.
#[derive(clap::Args)]
#[group(skip)]
pub struct Options {
    /// The unpacked Go module k8s.io/api.
    api: PathBuf,
    /// The unpacked Go module k8s.io/apimachinery, of the same release.
    apimachinery: PathBuf,
    /// The release, for the table's first line, such as 1.33.4.
    release: String,
}

/// The table, within the repository.
const TABLE: &str = "services/api-server/src/protobuf/fields.txt";

/// The groups whose types are read: the stable ones that Kubernetes' own kinds live in.
const GROUPS: [&str; 14] = [
    "core/v1",
    "apps/v1",
    "batch/v1",
    "autoscaling/v1",
    "policy/v1",
    "rbac/v1",
    "authentication/v1",
    "authorization/v1",
    "coordination/v1",
    "events/v1",
    "discovery/v1",
    "networking/v1",
    "scheduling/v1",
    "storage/v1",
];

/// Go types that protobuf and JSON treat apart, by their import path, and the table's letter for each.
const LEAVES: [(&str, &str, &str); 9] = [
    ("apis/meta/v1", "Time", "time"),
    ("apis/meta/v1", "MicroTime", "microtime"),
    ("apis/meta/v1", "FieldsV1", "raw"),
    ("api/resource", "Quantity", "quantity"),
    ("util/intstr", "IntOrString", "intorstring"),
    ("pkg/runtime", "RawExtension", "raw"),
    ("pkg/types", "UID", "string"),
    ("pkg/types", "NodeName", "string"),
    ("pkg/types", "NamespacedName", "string"),
];

/// What a Go type declaration says.
enum Declared {
    Struct(Vec<Field>),
    /// Another name for a type; `wrapped` where protobuf makes a message of a list.
    Alias {
        of: String,
        wrapped: bool,
    },
}

struct Field {
    number: u32,
    json: String,
    go: String,
    inline: bool,
    omit_zero: bool,
}

/// The types of one package.
struct Package {
    api_version: String,
    imports: BTreeMap<String, String>,
    types: BTreeMap<String, Declared>,
}

/// Writes the table anew.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let meta = options.apimachinery.join("pkg/apis/meta/v1");
    let mut packages = BTreeMap::from([("k8s.io/apimachinery/pkg/apis/meta/v1".to_owned(), read(&meta)?)]);
    for group in GROUPS {
        packages.insert(format!("k8s.io/api/{group}"), read(&options.api.join(group))?);
    }
    let mut table = format!(
        "# Fields of Kubernetes {}'s types on the wire and in JSON (Apache-2.0, The Kubernetes Authors).\n\
         # Made by `cargo xtask wire-fields`; not edited by hand. A message, then per field: number, JSON name\n\
         # (`~` merges into the parent; `!` keeps zeros), type (`[]` list, `{{}}` map from string).\n",
        options.release
    );
    for (path, package) in &packages {
        for (name, declared) in &package.types {
            write_message(&mut table, &packages, path, name, declared)?;
        }
    }
    fs::write(root.join(TABLE), table).with_context(|| format!("cannot write {TABLE}"))
}

fn write_message(
    table: &mut String,
    packages: &BTreeMap<String, Package>,
    path: &str,
    name: &str,
    declared: &Declared,
) -> anyhow::Result<()> {
    let api_version = &packages[path].api_version;
    match declared {
        Declared::Struct(fields) if !fields.is_empty() => {
            writeln!(table, "{api_version}.{name}")?;
            for field in fields {
                let kind = resolve(packages, path, &field.go)
                    .with_context(|| format!("cannot read field {} of {path}.{name}", field.json))?;
                let mark = if field.inline {
                    "~"
                } else if field.omit_zero {
                    ""
                } else {
                    "!"
                };
                writeln!(table, " {} {}{mark} {kind}", field.number, field.json)?;
            }
        }
        Declared::Alias { of, wrapped: true } => {
            writeln!(table, "{api_version}.{name}\n 1 items~ {}", resolve(packages, path, of)?)?;
        }
        _ => {}
    }
    Ok(())
}

/// The table's word for a Go type as it is written within a package.
fn resolve(packages: &BTreeMap<String, Package>, path: &str, go: &str) -> anyhow::Result<String> {
    let go = go.trim_start_matches('*');
    if go == "[]byte" {
        return Ok("bytes".into());
    }
    if let Some(element) = go.strip_prefix("[]") {
        return Ok(format!("[]{}", resolve(packages, path, element)?));
    }
    if let Some((_, value)) = go.strip_prefix("map[").and_then(|m| m.split_once(']')) {
        return Ok(format!("{{}}{}", resolve(packages, path, value)?));
    }
    match go {
        "string" | "bool" => return Ok(go.into()),
        "int" | "int32" | "int64" | "uint32" | "uint8" => return Ok("int".into()),
        "float64" => return Ok("double".into()),
        _ => {}
    }
    let package = packages.get(path).with_context(|| format!("package {path} is not read"))?;
    if let Some((alias, name)) = go.split_once('.') {
        let target = package.imports.get(alias).with_context(|| format!("no import is called {alias}"))?;
        return match leaf(target, name) {
            Some(leaf) => Ok(leaf.into()),
            None => resolve(packages, target, name),
        };
    }
    if let Some(leaf) = leaf(path, go) {
        return Ok(leaf.into());
    }
    match package.types.get(go).with_context(|| format!("type {go} is not declared in {path}"))? {
        Declared::Struct(_) | Declared::Alias { wrapped: true, .. } => {
            Ok(format!("{}.{go}", package.api_version))
        }
        Declared::Alias { of, .. } => resolve(packages, path, of),
    }
}

fn leaf(path: &str, name: &str) -> Option<&'static str> {
    LEAVES.iter().find(|(p, n, _)| path.ends_with(p) && name == *n).map(|(_, _, word)| *word)
}

/// Reads the declarations of one package's folder.
fn read(folder: &Path) -> anyhow::Result<Package> {
    let version = folder.file_name().and_then(|n| n.to_str()).context("the folder has no name")?.to_owned();
    let mut package =
        Package { api_version: version.clone(), imports: BTreeMap::new(), types: BTreeMap::new() };
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        files.insert(entry?.path());
    }
    for file in files {
        let name = file.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.ends_with(".go") && !name.starts_with("generated") && !name.ends_with("_test.go") {
            read_file(&fs::read_to_string(&file)?, &mut package)
                .with_context(|| format!("cannot read {}", file.display()))?;
        }
    }
    ensure!(!package.types.is_empty(), "{} declares no types", folder.display());
    Ok(package)
}

fn read_file(source: &str, package: &mut Package) -> anyhow::Result<()> {
    let (mut open, mut nullable): (Option<(String, Vec<Field>)>, bool) = (None, false);
    for line in source.lines() {
        let text = line.trim();
        if text.starts_with("//") {
            nullable |= text.contains("+protobuf.nullable=true");
            continue;
        }
        if let Some((_, fields)) = &mut open {
            if line == "}" {
                let (name, fields) = open.take().context("a struct ends that never began")?;
                package.types.insert(name, Declared::Struct(fields));
            } else if let Some(field) = field(text) {
                fields.push(field);
            }
        } else if let Some(rest) = line.strip_prefix("type ") {
            let (name, of) = rest.split_once(' ').context("a type without a declaration")?;
            if of == "struct {" {
                open = Some((name.into(), Vec::new()));
            } else if !of.starts_with("interface") && !of.starts_with("func") && !of.ends_with('{') {
                let of = of.trim_start_matches("= ").split(" //").next().unwrap_or(of).trim().to_owned();
                package.types.insert(name.into(), Declared::Alias { of, wrapped: nullable });
            }
        } else if let Some(group) = text.strip_prefix("const GroupName = \"") {
            let group = group.trim_end_matches('"');
            if !group.is_empty() {
                package.api_version = format!("{group}/{}", package.api_version);
            }
        } else if text.ends_with('"') && text.contains("k8s.io/") {
            let (alias, path) = text.split_once('"').context("an import without a path")?;
            let path = path.trim_end_matches('"');
            let alias = alias.trim_start_matches("import").trim();
            let alias = if alias.is_empty() { path.rsplit('/').next().unwrap_or(path) } else { alias };
            package.imports.insert(alias.into(), path.into());
        }
        if !text.is_empty() {
            nullable = false;
        }
    }
    Ok(())
}

/// Reads one line of a struct; `None` where it is no field that goes over the wire.
fn field(line: &str) -> Option<Field> {
    let (declaration, tags) = line.split_once('`')?;
    let (wire, json) = (tag(tags, "protobuf")?, tag(tags, "json")?);
    let mut words = declaration.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next());
    let go = second.unwrap_or(first).to_owned();
    let number = wire.split(',').nth(1).and_then(|n| n.parse().ok())?;
    let (name, options) = json.split_once(',').unwrap_or((json, ""));
    let inline = name.is_empty() && options.contains("inline");
    let name = if name.is_empty() || name == "-" { first } else { name };
    let omit_zero = options.contains("omitempty") && !go.starts_with('*');
    Some(Field { number, json: name.into(), go, inline, omit_zero })
}

fn tag<'a>(tags: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tags.split_once(&format!("{name}:\""))?;
    rest.split_once('"').map(|(value, _)| value)
}
