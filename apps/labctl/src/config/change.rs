//! Changing a kubeconfig file, keeping all that is not understood.

use crate::{
    failure::{Exit, Failure, Outcome},
    object::manifest,
    output::document,
};
use lab_object::Json;
use serde_json::json;
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// Reads a kubeconfig as it is, or begins one.
pub fn read(path: &Path) -> Outcome<Json> {
    match std::fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => {
            let found = manifest::document(&path.display().to_string(), &text)?;
            if found.is_object() {
                Ok(found)
            } else {
                Err(Failure::usage(format!("{} is not a kubeconfig", path.display())))
            }
        }
        Ok(_) => Ok(empty()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(empty()),
        Err(e) => Err(Failure::usage(format!("cannot read {}: {e}", path.display()))),
    }
}

fn empty() -> Json {
    json!({"apiVersion": "v1", "kind": "Config"})
}

/// Writes a kubeconfig in one step, so that it is never half there, readable only by us.
pub fn write(path: &Path, config: &Json) -> Outcome {
    let failed =
        |e: std::io::Error| Failure::new(Exit::Failed, format!("cannot write {}: {e}", path.display()));
    // A link is followed: the file it points to is changed, not the link.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let folder: PathBuf =
        path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).into();
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let mut file = tempfile::Builder::new().prefix(".kubeconfig-").tempfile_in(&folder).map_err(failed)?;
    file.write_all(document::yaml(config)?.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// The entry of a list (`clusters`, `contexts`, `users`) with a name; made when there is none.
pub fn entry<'a>(config: &'a mut Json, list: &str, name: &str, field: &str) -> Outcome<&'a mut Json> {
    let wrong = || Failure::usage(format!("{list} in the kubeconfig is not a list of named entries"));
    if config.get(list).is_none_or(Json::is_null) {
        config[list] = json!([]);
    }
    let entries = config[list].as_array_mut().ok_or_else(wrong)?;
    let at = match entries.iter().position(|e| e.get("name").and_then(Json::as_str) == Some(name)) {
        Some(at) => at,
        None => {
            entries.push(json!({"name": name}));
            entries.len() - 1
        }
    };
    let entry = entries[at].as_object_mut().ok_or_else(wrong)?;
    let value = entry.entry(field).or_insert_with(|| json!({}));
    if value.is_null() {
        *value = json!({});
    }
    if value.is_object() { Ok(value) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/config");
        let mut config = read(&path).unwrap();
        entry(&mut config, "contexts", "lab", "context").unwrap()["namespace"] = "a".into();
        config["extensions"] = json!([{"name": "x", "extension": {"y": 1}}]);
        write(&path, &config).unwrap();
        let mut again = read(&path).unwrap();
        assert_eq!(again, config);
        entry(&mut again, "contexts", "lab", "context").unwrap()["namespace"] = "b".into();
        assert_eq!(again["contexts"], json!([{"name": "lab", "context": {"namespace": "b"}}]));
        assert_eq!(again["extensions"], config["extensions"]);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}
