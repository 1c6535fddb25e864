//! A program as it is packaged: without symbols, with what it needs of the system it is installed on.

use anyhow::{Context, bail};
use object::{
    Endianness, elf,
    read::elf::{Dyn, FileHeader, ProgramHeader},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a program runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    X86_64,
    Aarch64,
}

impl Machine {
    /// As Debian calls it.
    pub fn of_deb(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// As RPM calls it.
    pub fn of_rpm(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }
}

/// A program and what it needs.
#[derive(Debug, Clone)]
pub struct Program {
    /// Where it was built.
    pub path: PathBuf,
    /// The file without symbols and line tables.
    pub stripped: Vec<u8>,
    /// What it runs on.
    pub machine: Machine,
    /// The shared libraries it is linked with, and of each the versions of symbols it uses.
    pub needs: BTreeMap<String, Vec<String>>,
    /// Whether it names a dynamic linker.
    interpreted: bool,
}

impl Program {
    /// Strips a program into `scratch` and reads what it needs.
    pub fn read(path: &Path, scratch: &Path) -> anyhow::Result<Self> {
        let name = path.file_name().context("a program has a name")?;
        let copy = scratch.join(name);
        let strip = Command::new("strip").arg("--strip-all").arg("-o").arg(&copy).arg(path).output();
        let strip = strip.context("starting strip (of binutils)")?;
        if !strip.status.success() {
            bail!("stripping {}: {}", path.display(), String::from_utf8_lossy(&strip.stderr).trim());
        }
        let stripped = fs::read(&copy).with_context(|| format!("reading {}", copy.display()))?;
        let mut program = Self {
            path: path.into(),
            stripped: Vec::new(),
            machine: Machine::X86_64,
            needs: BTreeMap::new(),
            interpreted: false,
        };
        program.look_into(&stripped).with_context(|| format!("reading {} as ELF", path.display()))?;
        program.stripped = stripped;
        Ok(program)
    }

    /// Whether other files have to be there for it to run.
    pub fn is_dynamic(&self) -> bool {
        self.interpreted || !self.needs.is_empty()
    }

    fn look_into(&mut self, data: &[u8]) -> anyhow::Result<()> {
        let header = elf::FileHeader64::<Endianness>::parse(data)?;
        let endian = header.endian()?;
        self.machine = match header.e_machine(endian) {
            elf::EM_X86_64 => Machine::X86_64,
            elf::EM_AARCH64 => Machine::Aarch64,
            other => bail!("machine {other} is not known here"),
        };
        for segment in header.program_headers(endian, data)? {
            self.interpreted |= segment.interpreter(endian, data)?.is_some();
        }
        let sections = header.sections(endian, data)?;
        if let Some((entries, strings)) = sections.dynamic(endian, data)? {
            let strings = sections.strings(endian, data, strings)?;
            for entry in entries.iter().filter(|e| e.tag32(endian).map(i64::from) == Some(elf::DT_NEEDED)) {
                let library = entry.string(endian, strings)?;
                self.needs.entry(String::from_utf8_lossy(library).into_owned()).or_default();
            }
        }
        if let Some((mut libraries, strings)) = sections.gnu_verneed(endian, data)? {
            let strings = sections.strings(endian, data, strings)?;
            while let Some((library, mut versions)) = libraries.next()? {
                let name = String::from_utf8_lossy(library.file(endian, strings)?).into_owned();
                let needed = self.needs.entry(name).or_default();
                while let Some(version) = versions.next()? {
                    needed.push(String::from_utf8_lossy(version.name(endian, strings)?).into_owned());
                }
                needed.sort();
            }
        }
        Ok(())
    }
}
