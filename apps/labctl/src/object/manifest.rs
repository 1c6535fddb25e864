//! Objects from files, folders and standard input: YAML or JSON, several in one.

use crate::failure::{Exit, Failure, Outcome, Several};
use lab_object::Json;
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// An object and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The file, and which document in it where it has several.
    pub origin: String,
    /// The object.
    pub object: Json,
}

/// Which files.
#[derive(Debug, Clone, clap::Args)]
pub struct Files {
    /// A file, a folder, or - for standard input; may be repeated
    #[arg(long = "filename", short = 'f', value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// Also files in folders below
    #[arg(long, short = 'R')]
    pub recursive: bool,
}

impl Files {
    /// Reads all objects, in the order of the files and within each of the documents.
    pub fn read(&self) -> Outcome<Vec<Manifest>> {
        let mut manifests = Vec::new();
        for path in &self.files {
            if path.as_os_str() == "-" {
                let mut text = String::new();
                std::io::stdin()
                    .read_to_string(&mut text)
                    .map_err(|e| Failure::usage(format!("cannot read standard input: {e}")))?;
                manifests.extend(parse("standard input", &text)?);
                continue;
            }
            for file in files(path, self.recursive)? {
                let text = std::fs::read_to_string(&file).map_err(|e| unreadable(&file, &e))?;
                manifests.extend(parse(&file.display().to_string(), &text)?);
            }
        }
        if manifests.is_empty() {
            let names: Vec<_> = self.files.iter().map(|f| f.display().to_string()).collect();
            return Err(Failure::usage(format!("{} has no objects", names.join(", "))));
        }
        Ok(manifests)
    }
}

impl Files {
    /// Does something with each object of the files, whatever becomes of the others. The verb is for
    /// the error where no files are given.
    pub async fn each(&self, verb: &str, one: impl AsyncFn(&Manifest) -> Outcome) -> Outcome {
        if self.files.is_empty() {
            return Err(Failure::usage(format!("nothing to {verb}: give files with -f")));
        }
        let mut several = Several::default();
        for manifest in &self.read()? {
            several.note(one(manifest).await.map_err(|f| f.about(&manifest.origin)));
        }
        several.finish()
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::new(Exit::Usage, format!("cannot read {}: {error}", path.display()));
    match error.kind() {
        std::io::ErrorKind::NotFound => failure.with_hint("check the path; - reads standard input"),
        _ => failure,
    }
}

fn files(path: &Path, recursive: bool) -> Outcome<Vec<PathBuf>> {
    let kind = std::fs::metadata(path).map_err(|e| unreadable(path, &e))?;
    if !kind.is_dir() {
        return Ok(vec![path.into()]);
    }
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = std::fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect())
        .map_err(|e| unreadable(path, &e))?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            if recursive {
                found.extend(files(&entry, true)?);
            }
        } else if entry.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json") {
            found.push(entry);
        }
    }
    Ok(found)
}

/// Reads a text of one document that need not be an object.
pub fn document(origin: &str, text: &str) -> Outcome<Json> {
    let mut documents = documents(origin, text)?;
    match (documents.pop(), documents.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Failure::usage(format!("{origin}: one document is expected"))),
    }
}

fn documents(origin: &str, text: &str) -> Outcome<Vec<Json>> {
    // As Go's YAML reads numbers, so that kubectl and labctl read one file alike.
    let options = serde_saphyr::options! {
        with_snippet: false,
        legacy_octal_numbers: true,
        // A whole fleet in one file. What aliases multiply stays bounded by the limits on them.
        budget: serde_saphyr::budget! { max_documents: 100_000, max_nodes: 5_000_000, max_events: 10_000_000 },
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|e| {
        let why = e.to_string();
        let place = e.location().map(|at| format!(":{}:{}", at.line(), at.column())).unwrap_or_default();
        let why = first_line(&why);
        // The place stands before it already.
        let why = if place.is_empty() { why } else { why.split(" at line ").next().unwrap_or(why) };
        Failure::usage(format!("{origin}{place}: {why}"))
    })
}

/// Reads the documents of a text. `origin` names it in errors.
pub fn parse(origin: &str, text: &str) -> Outcome<Vec<Manifest>> {
    let documents = documents(origin, text)?;
    let many = documents.len() > 1;
    let mut manifests = Vec::new();
    for (index, document) in documents.into_iter().enumerate() {
        let origin = if many { format!("{origin}, document {}", index + 1) } else { origin.to_owned() };
        flatten(&origin, document, &mut manifests)?;
    }
    Ok(manifests)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Takes lists apart and passes over empty documents.
fn flatten(origin: &str, document: Json, manifests: &mut Vec<Manifest>) -> Outcome {
    let refuse = |why: &str| Err(Failure::usage(format!("{origin}: {why}")));
    let text = |key: &str| document.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
    if document.is_null() {
        return Ok(());
    }
    if !document.is_object() {
        return refuse("is not an object with apiVersion, kind and metadata");
    }
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if api_version.is_empty() {
        return refuse("apiVersion is missing");
    }
    if kind.is_empty() {
        return refuse("kind is missing");
    }
    if kind.ends_with("List")
        && let Some(items) = document.get("items").and_then(Json::as_array)
    {
        for (index, item) in items.iter().enumerate() {
            flatten(&format!("{origin}, item {}", index + 1), item.clone(), manifests)?;
        }
        return Ok(());
    }
    manifests.push(Manifest { origin: origin.into(), object: document });
    Ok(())
}

impl Manifest {
    /// A string field of the object; empty when it is not there.
    pub fn text(&self, pointer: &str) -> &str {
        self.object.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
    }

    /// The object's name.
    pub fn name(&self) -> Outcome<&str> {
        match self.text("/metadata/name") {
            "" => Err(Failure::usage("metadata.name is missing")),
            name => Ok(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let told: Vec<String> = match parse("f.yaml", text) {
            Ok(found) => {
                found.iter().map(|m| format!("{}: {}", m.origin, m.text("/metadata/name"))).collect()
            }
            Err(failure) => vec![failure.message],
        };
        assert_eq!(told, expected, "{text}");
    }

    #[test]
    fn a_whole_fleet_in_one_file() {
        let one = "---\napiVersion: v1\nkind: A\nmetadata: {name: a}\n";
        let found =
            parse("f.yaml", &one.repeat(3_000)).unwrap_or_else(|failure| panic!("{}", failure.message));
        assert_eq!(found.len(), 3_000);
    }

    #[test]
    fn documents() {
        check("apiVersion: v1\nkind: A\nmetadata: {name: a}\n", &["f.yaml: a"]);
        check(r#"{"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}}"#, &["f.yaml: a"]);
        check(
            "---\napiVersion: v1\nkind: A\nmetadata: {name: a}\n---\n# nothing\n---\napiVersion: v1\nkind: B\nmetadata: {name: b}\n",
            &["f.yaml, document 1: a", "f.yaml, document 2: b"],
        );
        check(
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A, metadata: {name: a}}\n- {kind: A}\n",
            &["f.yaml, item 2: apiVersion is missing"],
        );
        check("kind: A\n", &["f.yaml: apiVersion is missing"]);
        check("apiVersion: v1\n", &["f.yaml: kind is missing"]);
        check("just text\n", &["f.yaml: is not an object with apiVersion, kind and metadata"]);
        check("", &[]);
    }

    #[test]
    fn syntax_errors_say_where() {
        let failure = parse("f.yaml", "apiVersion: v1\nkind: A\nmetadata:\n  name: [a\n").unwrap_err();
        assert!(failure.message.starts_with("f.yaml:"), "{}", failure.message);
        let place: Vec<&str> = failure.message.split(':').collect();
        assert!(
            place[1].parse::<u32>().unwrap() >= 4 && place[2].parse::<u32>().is_ok(),
            "{}",
            failure.message
        );
        assert!(!failure.message.contains('\n'));
    }
}
