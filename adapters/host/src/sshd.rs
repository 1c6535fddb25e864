//! This machine's sshd, as far as it is told to take certificates of an authority: a drop-in and what that names, all of our own,
//! so that it can be taken away again.

use crate::command::{Call, Processes, Run};
use lab_wire::agent::SshSetup;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The public half of the host key for which there is a certificate.
const HOST_KEY: &str = "ssh_host_ed25519_key.pub";
/// Our folder beside sshd's configuration.
const OWN: &str = "lab";
/// Our drop-in.
const DROP_IN: &str = "sshd_config.d/60-lab.conf";
/// What only one place can say.
const OURS: [&str; 4] =
    ["trustedusercakeys", "authorizedprincipalsfile", "authorizedprincipalscommand", "hostcertificate"];

/// Where sshd keeps things.
#[derive(Debug, Clone)]
pub struct Sshd {
    /// The folder of its configuration: `/etc/ssh`.
    pub dir: PathBuf,
    /// The file with the number of its process.
    pub pid_file: PathBuf,
}

/// Why sshd was not set up. What was there before is there still.
#[derive(Debug, thiserror::Error)]
pub enum SshdError {
    /// The configuration does not take in drop-ins.
    #[error("{} does not include {DROP_IN}; add `Include sshd_config.d/*.conf` at its beginning", .0.display())]
    NotIncluded(PathBuf),
    /// Somebody else has set up certificates.
    #[error("{} says {option} already, and that is left as it is", path.display())]
    Taken {
        /// The file.
        path: PathBuf,
        /// The option.
        option: String,
    },
    /// An account has a name that is no file's.
    #[error("{0:?} is no name of an account")]
    Account(String),
    /// sshd does not take the configuration.
    #[error("sshd does not take it: {0}")]
    Refused(String),
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// `read`, `write`, `remove`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SshdError {
    move |source| SshdError::File { action, path: path.into(), source }
}

impl Sshd {
    /// The line of its Ed25519 host key, without the comment; empty where it has none.
    pub fn host_key(&self) -> String {
        let text = fs::read_to_string(self.dir.join(HOST_KEY)).unwrap_or_default();
        let words: Vec<&str> = text.split_whitespace().take(2).collect();
        words.join(" ")
    }

    /// Has it take certificates, and show one. Where nothing is new, nothing is touched.
    ///
    /// # Errors
    /// See [`SshdError`].
    pub fn set_up(&self, setup: &SshSetup) -> Result<(), SshdError> {
        self.look()?;
        if let Some(odd) = setup.accounts.keys().find(|name| !is_account(name)) {
            return Err(SshdError::Account(odd.clone()));
        }
        let own = self.dir.join(OWN);
        let principals = own.join("principals");
        fs::create_dir_all(&principals).map_err(failed("write", &principals))?;
        let mut changed = false;
        for entry in fs::read_dir(&principals).map_err(failed("read", &principals))?.flatten() {
            if !entry.file_name().to_str().is_some_and(|name| setup.accounts.contains_key(name)) {
                fs::remove_file(entry.path()).map_err(failed("remove", &entry.path()))?;
            }
        }
        for (account, principal) in &setup.accounts {
            // Read at each login: sshd need not hear of it.
            write(&principals.join(account), &format!("{principal}\n"))?;
        }
        let (authority, certificate) = (own.join("user-authority.pub"), own.join("host-certificate.pub"));
        changed |= write(&authority, &format!("{}\n", setup.authority))?;
        changed |= write(&certificate, &format!("{}\n", setup.host_certificate))?;
        let drop_in = self.dir.join(DROP_IN);
        let before = fs::read_to_string(&drop_in).ok();
        let text = format!(
            "# By lab-agent, which takes it away when it leaves.\nTrustedUserCAKeys {}\nAuthorizedPrincipalsFile {}/%u\n\
             HostCertificate {}\n",
            authority.display(),
            principals.display(),
            certificate.display()
        );
        let was_sound = before.as_ref() == Some(&text) || self.test().is_ok();
        if write(&drop_in, &text)? {
            changed = true;
            // What it did not take before either is not our doing.
            if let (true, Err(why)) = (was_sound, self.test()) {
                let undone = match before {
                    Some(before) => write(&drop_in, &before).map(drop),
                    None => remove(&drop_in).map(drop),
                };
                undone?;
                return Err(SshdError::Refused(why));
            }
        }
        if changed {
            self.reload();
        }
        Ok(())
    }

    /// Takes away all that was set up; whether there was something.
    ///
    /// # Errors
    /// Something could not be removed.
    pub fn take_away(&self) -> Result<bool, SshdError> {
        let (drop_in, own) = (remove(&self.dir.join(DROP_IN))?, remove(&self.dir.join(OWN))?);
        if drop_in {
            self.reload();
        }
        Ok(drop_in || own)
    }

    /// Refuses where our drop-in would count for nothing, or take the place of what somebody else said.
    fn look(&self) -> Result<(), SshdError> {
        let main = self.dir.join("sshd_config");
        let text = fs::read_to_string(&main).map_err(failed("read", &main))?;
        let folder = self.dir.join("sshd_config.d");
        let includes =
            words(&text).any(|(option, rest)| option == "include" && rest.contains("sshd_config.d"));
        if !includes || !folder.is_dir() {
            return Err(SshdError::NotIncluded(main));
        }
        let mut paths = vec![main];
        for entry in fs::read_dir(&folder).map_err(failed("read", &folder))?.flatten() {
            paths.push(entry.path());
        }
        for path in paths.into_iter().filter(|path| *path != self.dir.join(DROP_IN)) {
            let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
            if let Some((option, _)) = words(&text).find(|(option, _)| OURS.contains(&option.as_str())) {
                return Err(SshdError::Taken { path, option });
            }
        }
        Ok(())
    }

    /// Whether sshd takes its configuration; else what it says.
    fn test(&self) -> Result<(), String> {
        let config = self.dir.join("sshd_config").display().to_string();
        let ended =
            Processes.run(&Call::new("sshd", ["-t", "-f", &config])).map_err(|error| error.to_string())?;
        if ended.code == Some(0) { Ok(()) } else { Err(ended.complaint.trim().into()) }
    }

    /// Has a running sshd read its configuration anew (sshd(8): SIGHUP). Logins that are open go on.
    fn reload(&self) {
        let pid = fs::read_to_string(&self.pid_file).ok().and_then(|text| text.trim().parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else { return };
        // A file that was left over names somebody else's process.
        let name = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).unwrap_or_default();
        if name.trim() == "sshd"
            && let Err(error) = kill_process(pid, Signal::HUP)
        {
            tracing::warn!(%error, "sshd could not be told to read its configuration anew");
        }
    }
}

/// The options of a configuration, in lower case, with what they are set to.
fn words(text: &str) -> impl Iterator<Item = (String, &str)> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
        let end = line.find([' ', '\t', '=']).unwrap_or(line.len());
        (line[..end].to_ascii_lowercase(), line[end..].trim_start_matches([' ', '\t', '=']))
    })
}

/// What useradd(8) takes, and nothing that is a path.
fn is_account(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
    first
        && name.len() <= 32
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
}

/// Writes a file that everybody may read; whether that changed it.
fn write(path: &Path, text: &str) -> Result<bool, SshdError> {
    if fs::read_to_string(path).is_ok_and(|before| before == text) {
        return Ok(false);
    }
    // sshd reads names that end in .conf only.
    let new = path.with_extension("new");
    let written = fs::write(&new, text).and_then(|()| {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o644))?;
        fs::rename(&new, path)
    });
    written.map_err(failed("write", path)).map(|()| true)
}

/// Removes a file or a folder with what is in it; whether there was one.
fn remove(path: &Path) -> Result<bool, SshdError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("remove", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(config: &str) -> (tempfile::TempDir, Sshd) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sshd_config.d")).unwrap();
        fs::write(dir.path().join("sshd_config"), config).unwrap();
        let sshd = Sshd { dir: dir.path().into(), pid_file: dir.path().join("pid") };
        (dir, sshd)
    }

    fn setup(accounts: &[&str]) -> SshSetup {
        SshSetup {
            authority: "ssh-ed25519 AAAA".into(),
            accounts: accounts.iter().map(|name| ((*name).to_owned(), format!("{name}@1"))).collect(),
            host_certificate: "ssh-ed25519-cert-v01@openssh.com AAAA".into(),
        }
    }

    #[test]
    fn where_it_is_not_set_up() {
        let check = |config: &str, beside: &str, expected: &str| {
            let (dir, sshd) = machine(config);
            fs::write(dir.path().join("sshd_config.d/50-site.conf"), beside).unwrap();
            let why = sshd.set_up(&setup(&["lab"])).unwrap_err().to_string();
            assert!(why.contains(expected), "{why}");
            assert!(!dir.path().join(OWN).exists());
        };
        check("Port 22\n#Include sshd_config.d/*.conf\n", "", "does not include");
        let includes = "\tinclude /etc/ssh/sshd_config.d/*.conf\n";
        check(&format!("{includes}TrustedUserCAKeys /etc/ca.pub\n"), "", "says trustedusercakeys already");
        check(
            includes,
            "AuthorizedPrincipalsFile=none\n",
            "50-site.conf says authorizedprincipalsfile already",
        );
        let (dir, sshd) = machine(includes);
        for odd in ["../lab", "", "a b", "Lab"] {
            assert!(matches!(sshd.set_up(&setup(&[odd])), Err(SshdError::Account(_))), "{odd}");
        }
        assert!(!dir.path().join(OWN).exists());
    }

    #[test]
    fn what_is_put_in_place_and_taken_away() {
        let (dir, sshd) = machine("Include sshd_config.d/*.conf\n");
        assert_eq!(sshd.host_key(), "");
        fs::write(dir.path().join(HOST_KEY), "ssh-ed25519 AAAA root@machine\n").unwrap();
        assert_eq!(sshd.host_key(), "ssh-ed25519 AAAA");
        sshd.set_up(&setup(&["lab", "root"])).unwrap();
        let read = |path: &str| fs::read_to_string(dir.path().join(path)).unwrap();
        assert_eq!(read("lab/principals/lab"), "lab@1\n");
        assert!(read(DROP_IN).contains("TrustedUserCAKeys "), "{}", read(DROP_IN));
        sshd.set_up(&setup(&["admin"])).unwrap();
        let left = fs::read_dir(dir.path().join("lab/principals")).unwrap().flatten();
        assert_eq!(left.map(|entry| entry.file_name()).collect::<Vec<_>>(), ["admin"]);
        assert!(sshd.take_away().unwrap());
        assert!(!sshd.take_away().unwrap());
        assert!(!dir.path().join(DROP_IN).exists() && !dir.path().join(OWN).exists());
    }
}
