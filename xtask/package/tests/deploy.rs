//! What lies in `deploy` fits the programs: the arguments are theirs, the capabilities those that were promised, the files where the packages have
//! them.

use anyhow::{Context, bail};
use std::{collections::BTreeSet, fs, path::Path, process::Command};

fn read(path: &str) -> anyhow::Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path);
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

fn help(program: &str) -> anyhow::Result<String> {
    let output = Command::new(lab_e2e::program(program)?).arg("--help").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Every `--flag` in a text.
fn flags(text: &str) -> BTreeSet<&str> {
    let is_end = |c: char| !(c.is_ascii_lowercase() || c == '-');
    text.split("--")
        .skip(1)
        .filter_map(|rest| rest.split(is_end).next())
        .filter(|flag| flag.len() > 1 && !flag.starts_with('-'))
        .collect()
}

#[test]
fn manifests() -> anyhow::Result<()> {
    for program in ["labd", "bastion"] {
        let text = read(&format!("kubernetes/{program}.yaml"))?;
        let documents = serde_saphyr::from_multiple::<serde_json::Value>(&text)?;
        let found = documents.iter().find(|document| document["kind"] == "StatefulSet");
        let pod = &found.context("a StatefulSet")?["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let arguments: Vec<&str> =
            container["args"].as_array().context("arguments")?.iter().filter_map(|a| a.as_str()).collect();
        let known = help(program)?;
        for flag in flags(&arguments.join(" ")) {
            if !known.contains(&format!("--{flag} ")) {
                bail!("{program} has no --{flag}");
            }
        }
        let security = &container["securityContext"];
        let added = serde_json::json!(["NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE"]);
        assert_eq!(security["capabilities"]["add"], added, "{program}");
        assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]), "{program}");
        assert_eq!(security["allowPrivilegeEscalation"], false, "{program}");
        assert_eq!(pod["hostNetwork"], true, "{program}");
        // What is mounted is declared.
        let volumes = [&pod["volumes"], &found.context("a StatefulSet")?["spec"]["volumeClaimTemplates"]];
        let names: BTreeSet<&str> = volumes
            .iter()
            .filter_map(|volumes| volumes.as_array())
            .flatten()
            .filter_map(|volume| volume["name"].as_str().or(volume["metadata"]["name"].as_str()))
            .collect();
        for mount in container["volumeMounts"].as_array().context("mounts")? {
            let name = mount["name"].as_str().context("a mount's name")?;
            assert!(names.contains(name), "{program}: volume {name}");
        }
    }
    Ok(())
}

#[test]
fn container_images() -> anyhow::Result<()> {
    let text = read("Containerfile")?;
    for program in ["labd", "bastion"] {
        assert!(text.contains(&format!("dpkg -i /packages/{program}_*.deb")), "{program}");
        let stage = text.split(&format!(" AS {program}\n")).nth(1).context("a stage")?;
        let stage = stage.split("\nFROM ").next().unwrap_or_default();
        assert!(stage.contains(&format!("ENTRYPOINT [\"/usr/bin/{program}\"]")), "{stage}");
        let last = stage.lines().find_map(|line| line.strip_prefix("CMD ")).context("its arguments")?;
        let known = help(program)?;
        for flag in flags(last) {
            assert!(known.contains(&format!("--{flag} ")), "{program} has no --{flag}");
        }
    }
    Ok(())
}
