//! A way into a machine that runs from its RAM disk alone: SSH with an operator's keys, and a shell on its console. The programs are
//! dropbear's and busybox's.

use crate::command::{Call, CallError, Processes, Run};
use rustix::mount::{MountFlags, mount};
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

/// Why nobody can be let in.
#[derive(Debug, thiserror::Error)]
pub enum RescueError {
    /// A file or a mount failed.
    #[error("preparing {path}")]
    Prepare {
        /// Where.
        path: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The RAM disk lacks a program.
    #[error("there is no way in")]
    Program(#[from] CallError),
}

/// How long a program that ended stays away: one that fails at once is not to fill the console.
const AGAIN: Duration = Duration::from_secs(2);

/// Lets nobody but the holders of these keys in: as root, or under this name, which is root's other one. What was there before counts no
/// more.
///
/// # Errors
/// The RAM disk is full.
pub fn admit(root: &Path, user: &str, keys: &[String]) -> Result<(), RescueError> {
    let failed = |path| move |source| RescueError::Prepare { path, source };
    let line = |name: &str| format!("{name}:x:0:0:{name}:/root:/bin/sh\n");
    let other = if user == "root" { String::new() } else { line(user) };
    write(root, "etc/passwd", 0o644, &(line("root") + &other)).map_err(failed("/etc/passwd"))?;
    write(root, "etc/group", 0o644, "root:x:0:\n").map_err(failed("/etc/group"))?;
    let folder = root.join("root/.ssh");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("/root/.ssh"))?;
    let keys: String = keys.iter().map(|key| format!("{}\n", key.trim())).collect();
    write(root, "root/.ssh/authorized_keys", 0o600, &keys).map_err(failed("/root/.ssh/authorized_keys"))
}

/// Complete or not at all, as somebody may log in meanwhile.
fn write(root: &Path, path: &str, mode: u32, text: &str) -> io::Result<()> {
    let path = root.join(path);
    let beside = path.with_added_extension("new");
    // With its mode from the beginning.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::File::options().write(true).create_new(true).mode(mode).open(&beside)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    fs::rename(&beside, &path)
}

/// Opens the door, until the machine restarts.
///
/// # Errors
/// The RAM disk lacks the programs, or the kernel refuses terminals.
pub fn open() -> Result<(), RescueError> {
    let failed = |path| move |source| RescueError::Prepare { path, source };
    fs::create_dir_all("/dev/pts").map_err(failed("/dev/pts"))?;
    match mount(
        "devpts",
        "/dev/pts",
        "devpts",
        MountFlags::NOSUID | MountFlags::NOEXEC,
        Some(c"mode=620,ptmxmode=666"),
    ) {
        Ok(()) | Err(rustix::io::Errno::BUSY) => {}
        Err(error) => return Err(failed("/dev/pts")(error.into())),
    }
    fs::create_dir_all("/etc/dropbear").map_err(failed("/etc/dropbear"))?;
    // Every name under which it is a program; those that are taken by others stay theirs.
    Processes.run(&Call::new("busybox", ["--install", "-s", "/usr/bin"]))?;
    // In the foreground, with keys for this machine made when they are needed, and no passwords.
    keep("dropbear", &["-F", "-R", "-s"])?;
    keep("busybox", &["setsid", "cttyhack", "/bin/sh", "-l"])
}

/// Runs a program with this one's console, and again whenever it ends.
fn keep(program: &'static str, arguments: &'static [&'static str]) -> Result<(), RescueError> {
    let start = move || Command::new(program).args(arguments).current_dir("/").spawn();
    let mut child = start().map_err(|source| CallError::NotStarted { program: program.into(), source })?;
    thread::spawn(move || {
        loop {
            let _ended = child.wait();
            thread::sleep(AGAIN);
            match start() {
                Ok(next) => child = next,
                Err(error) => return tracing::warn!(program, %error, "it does not start again"),
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn who_is_let_in() {
        let folder = tempfile::tempdir().expect("there is room");
        fs::create_dir(folder.path().join("etc")).expect("there is room");
        let read = |path: &str| fs::read_to_string(folder.path().join(path)).expect("it was written");
        let mode = |path: &str| {
            fs::metadata(folder.path().join(path)).expect("it was written").permissions().mode() & 0o777
        };
        admit(folder.path(), "ops", &["ssh-ed25519 A a\n".into(), "ssh-rsa B".into()])
            .expect("there is room");
        assert_eq!(read("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nops:x:0:0:ops:/root:/bin/sh\n");
        assert_eq!(read("root/.ssh/authorized_keys"), "ssh-ed25519 A a\nssh-rsa B\n");
        assert_eq!((mode("root/.ssh"), mode("root/.ssh/authorized_keys")), (0o700, 0o600));
        // Keys that were taken away count no more.
        admit(folder.path(), "root", &[]).expect("there is room");
        assert_eq!(read("etc/passwd").lines().count(), 1);
        assert_eq!(read("root/.ssh/authorized_keys"), "");
    }
}
