//! Anaconda's rescue mode: who may log in, and a helper to get a shell where SSH is not to be had.
//!
//! Rescue mode reads a kickstart for its `sshpw` commands only; its `%pre` and `%post` do not run.

use super::kickstart::Kickstart;
use super::shell::quoted;
use super::{AnswerFile, Site, Unanswerable};
use lab_kinds::metal::server::Server;

/// The port on which the helper's shell waits.
pub const SHELL_PORT: u16 = 4444;

/// A kickstart with the operator's keys, and the helper script.
pub fn render(server: &Server, site: &Site) -> Result<Vec<AnswerFile>, Unanswerable> {
    let keys = server.spec.admin.authorized_keys.iter().map(|key| key.trim());
    let mut commands: Vec<Vec<String>> = vec![
        ["lang", "en_US.UTF-8"].map(str::to_owned).into(),
        ["keyboard", "--xlayouts=us"].map(str::to_owned).into(),
    ];
    for key in keys {
        commands.push(vec!["sshpw".into(), "--username=root".into(), "--sshkey".into(), key.to_owned()]);
    }
    let title = "Who may log in to the rescue system".into();
    let kickstart = Kickstart { title, commands, ..Kickstart::default() };
    Ok(vec![
        AnswerFile { name: "rescue.cfg", text: kickstart.written()? },
        AnswerFile { name: "shell.sh", text: shell(site)? },
    ])
}

/// Gives one shell to whoever first says this boot's token, and ends.
fn shell(site: &Site) -> Result<String, Unanswerable> {
    Ok(format!(
        "lab_token={}\nlab_port={SHELL_PORT}\n{}",
        quoted(site.token)?,
        include_str!("shell/netcat.sh")
    ))
}
