//! `labctl completion`: what a shell needs to complete our commands, kinds and live names.

use crate::{
    failure::{Exit, Failure, Outcome},
    output,
};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

/// Print what a shell needs to complete commands, kinds and names
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl completion bash > ~/.local/share/bash-completion/completions/labctl
  labctl completion zsh > ~/.zfunc/_labctl            (with fpath+=~/.zfunc before compinit)
  labctl completion fish > ~/.config/fish/completions/labctl.fish")]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    let shell: &dyn EnvCompleter = match args.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    shell
        .write_registration("COMPLETE", "labctl", "labctl", "labctl", &mut script)
        .map_err(|e| Failure::new(Exit::Failed, format!("cannot write the completion: {e}")))?;
    output::text(&String::from_utf8_lossy(&script))?;
    if matches!(args.shell, Shell::Zsh) {
        output::text(ZSH_AUTOLOADED)?;
    }
    Ok(())
}

/// zsh runs a file of its `fpath` only when something is to be completed, and then that must be done, too: else the first
/// press of Tab would bring nothing.
const ZSH_AUTOLOADED: &str = "\
if [[ ${funcstack[1]} == _labctl ]]; then
    _clap_dynamic_completer_labctl \"$@\"
fi
";
