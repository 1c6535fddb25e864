//! The Debian format: an `ar` archive of two compressed `tar` archives (deb(5)).

use crate::{
    Form,
    contents::{File, Kind, Package, VERSION, gzip},
};
use anyhow::{Context, bail};
use std::{collections::BTreeSet, fmt::Write};

/// Which packaging of the version this is.
const REVISION: u32 = 1;

/// `labctl_0.1.0-1_amd64.deb`.
pub fn file_name(package: &Package) -> String {
    format!("{}_{VERSION}-{REVISION}_{}.deb", package.name, package.program.machine.of_deb())
}

/// The whole package.
pub fn build(package: &Package, form: &Form) -> anyhow::Result<Vec<u8>> {
    let files = files(package);
    let mut control = Archive::new(form);
    control.add("control", control_file(package, &files)?.as_bytes(), 0o644)?;
    let conffiles: String =
        files.iter().filter(|f| f.kind == Kind::Config).map(|f| format!("{}\n", f.path)).collect();
    if !conffiles.is_empty() {
        control.add("conffiles", conffiles.as_bytes(), 0o644)?;
    }
    if let Some(unit) = package.unit {
        control.add("postinst", postinst(unit).as_bytes(), 0o755)?;
        control.add("prerm", prerm(unit).as_bytes(), 0o755)?;
        control.add("postrm", POSTRM.as_bytes(), 0o755)?;
    }
    let mut data = Archive::new(form);
    for file in &files {
        data.add(&file.path, file.content, file.mode)?;
    }
    let mut deb = ar::Builder::new(Vec::new());
    for (name, content) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", control.finish()?),
        ("data.tar.gz", data.finish()?),
    ] {
        let mut header = ar::Header::new(name.into(), content.len() as u64);
        header.set_mode(0o100_644);
        header.set_mtime(form.time.into());
        deb.append(&header, content.as_slice()).with_context(|| format!("adding {name}"))?;
    }
    Ok(deb.into_inner()?)
}

/// A file where Debian has it.
struct Placed<'a> {
    path: String,
    content: &'a [u8],
    mode: u32,
    kind: Kind,
}

fn files(package: &Package) -> Vec<Placed<'_>> {
    let place = |file: &'_ File| match file.kind {
        Kind::Licence => format!("/usr/share/doc/{}/copyright", package.name),
        Kind::Zsh => format!("/usr/share/zsh/vendor-completions/{}", file.path),
        Kind::Data | Kind::Config | Kind::Doc => file.path.clone(),
    };
    let mut placed: Vec<Placed<'_>> = package
        .files
        .iter()
        .map(|file| {
            let content: &[u8] = match file.kind {
                Kind::Licence => include_bytes!("../files/copyright"),
                _ => &file.content,
            };
            Placed { path: place(file), content, mode: 0o644, kind: file.kind }
        })
        .collect();
    let path = format!("/usr/bin/{}", package.name);
    placed.push(Placed { path, content: &package.program.stripped, mode: 0o755, kind: Kind::Data });
    placed.sort_by(|a, b| a.path.cmp(&b.path));
    placed
}

fn control_file(package: &Package, files: &[Placed<'_>]) -> anyhow::Result<String> {
    let size: usize = files.iter().map(|f| f.content.len().div_ceil(1024)).sum();
    let mut text = String::new();
    writeln!(text, "Package: {}", package.name)?;
    writeln!(text, "Version: {VERSION}-{REVISION}")?;
    writeln!(text, "Architecture: {}", package.program.machine.of_deb())?;
    writeln!(text, "Maintainer: Lab")?;
    writeln!(text, "Installed-Size: {size}")?;
    let depends = depends(package)?;
    // A statically linked program needs nothing, and an empty field is not allowed (Debian Policy 5.1).
    if !depends.is_empty() {
        writeln!(text, "Depends: {}", depends.join(", "))?;
    }
    if !package.recommends.is_empty() {
        writeln!(text, "Recommends: {}", package.recommends.join(", "))?;
    }
    writeln!(text, "Section: admin\nPriority: optional")?;
    writeln!(text, "Description: {}", package.summary)?;
    for line in package.description.lines() {
        writeln!(text, " {line}")?;
    }
    Ok(text)
}

/// The packages that hold the libraries a program is linked with.
fn depends(package: &Package) -> anyhow::Result<Vec<String>> {
    let mut depends = BTreeSet::new();
    for (library, versions) in &package.program.needs {
        match library.as_str() {
            "libgcc_s.so.1" => {
                depends.insert("libgcc-s1".to_owned());
            }
            "libc.so.6" => {
                let least = versions.iter().filter_map(|v| glibc(v)).max();
                let (major, minor) = least.context("libc is used without any version")?;
                depends.insert(format!("libc6 (>= {major}.{minor})"));
            }
            // Of the same package as libc.
            name if name == "libm.so.6" || name.starts_with("ld-linux") => {}
            other => bail!("{}: no Debian package is known that holds {other}", package.name),
        }
    }
    Ok(depends.into_iter().collect())
}

/// `GLIBC_2.34` as a pair.
fn glibc(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.strip_prefix("GLIBC_")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// A running service is started anew with the new program; one that never ran is left alone.
fn postinst(unit: &str) -> String {
    format!(
        "#!/bin/sh\nset -e\n\
         if [ \"$1\" = configure ] && [ -d \"$DPKG_ROOT/run/systemd/system\" ]; then\n\
         \tsystemctl daemon-reload\n\
         \tsystemctl try-restart {unit}\n\
         fi\n"
    )
}

fn prerm(unit: &str) -> String {
    format!(
        "#!/bin/sh\nset -e\n\
         if [ \"$1\" = remove ] && [ -d \"$DPKG_ROOT/run/systemd/system\" ]; then\n\
         \tsystemctl disable --now {unit}\n\
         fi\n"
    )
}

const POSTRM: &str = "#!/bin/sh\nset -e\n\
if [ \"$1\" = remove ] && [ -d \"$DPKG_ROOT/run/systemd/system\" ]; then\n\
\tsystemctl daemon-reload\n\
fi\n";

/// A tar archive as dpkg wants it: everything root's, and a folder before what is in it.
struct Archive<'a> {
    tar: tar::Builder<Vec<u8>>,
    form: &'a Form,
    folders: BTreeSet<String>,
}

impl<'a> Archive<'a> {
    fn new(form: &'a Form) -> Self {
        Self { tar: tar::Builder::new(Vec::new()), form, folders: BTreeSet::new() }
    }

    fn add(&mut self, path: &str, content: &[u8], mode: u32) -> anyhow::Result<()> {
        let path = path.trim_start_matches('/');
        for (at, _) in path.match_indices('/') {
            let folder = format!("./{}/", &path[..at]);
            if self.folders.insert(folder.clone()) {
                self.append(&folder, &[], 0o755, tar::EntryType::Directory)?;
            }
        }
        self.append(&format!("./{path}"), content, mode, tar::EntryType::Regular)
    }

    fn append(&mut self, path: &str, content: &[u8], mode: u32, kind: tar::EntryType) -> anyhow::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(self.form.time.into());
        header.set_size(content.len() as u64);
        header.set_uid(0);
        header.set_gid(0);
        header.set_username("root")?;
        header.set_groupname("root")?;
        self.tar.append_data(&mut header, path, content).with_context(|| format!("adding {path}"))
    }

    fn finish(self) -> anyhow::Result<Vec<u8>> {
        gzip(&self.tar.into_inner()?, self.form.compression)
    }
}
