//! `labctl ssh`: ssh to a machine, through labd and the machine's own connection to it.

use super::stream::Machine;
use crate::{
    failure::{Exit, Failure, Outcome},
    session::Session,
    settings::Globals,
};

/// Log in to a machine with ssh, wherever it is in reach of labd
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl ssh db-1
  labctl ssh admin@db-1 -- -L 8080:localhost:80
  labctl ssh db-1 -- uptime

It is plain ssh, with your own keys and agent; only the way to the machine is labd's.")]
pub struct Args {
    /// The server, by name, hostname, UID, MAC or IP; with the user before it where that is another one
    #[arg(value_name = "[USER@]SERVER", add = crate::complete::names_of("servers"))]
    machine: String,
    /// The port that the machine's sshd listens at
    #[arg(long, default_value = "22", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// What else ssh is told
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session, globals: &Globals) -> Outcome {
    let (user, name) = match args.machine.split_once('@') {
        Some((user, name)) => (Some(user), name),
        None => (None, args.machine.as_str()),
    };
    // A wrong name is told better here than by ssh.
    let machine = Machine::find(session, name).await?;
    let own = std::env::current_exe()
        .map_err(|error| Failure::new(Exit::Failed, format!("this program cannot be found: {error}")))?;
    let mut proxy = vec![own.to_string_lossy().into_owned()];
    proxy.extend(globals.passed_on());
    proxy.extend(["port-forward", "--stdio", machine.name(), &args.port.to_string()].map(Into::into));
    let proxy: Vec<String> = proxy.iter().map(|word| quoted(word)).collect();
    let mut arguments = vec!["-o".into(), format!("ProxyCommand={}", proxy.join(" "))];
    // Machines that were installed again have other keys; each is known by its UID, not by an address.
    arguments.extend(["-o".into(), format!("HostKeyAlias={}", machine.uid())]);
    arguments.push(user.map_or(machine.name().into(), |user| format!("{user}@{}", machine.name())));
    arguments.extend(args.arguments);
    let done = lab_host::command::interactive("ssh", &arguments)
        .map_err(|error| Failure::new(Exit::Failed, format!("ssh cannot be started: {error}")))?;
    if done { Ok(()) } else { Err(Failure::told(Exit::Failed)) }
}

/// A word for the shell that ssh runs its ProxyCommand with; `%` is ssh's own.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''").replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (word, expected) in [("a b", "'a b'"), ("it's", r"'it'\''s'"), ("100%", "'100%%'"), ("", "''")] {
            assert_eq!(quoted(word), expected);
        }
    }
}
