//! `labctl config use-context`: which context is meant from now on.

use super::change;
use crate::{
    failure::{Exit, Failure, Outcome},
    kind::{nearest, suggestion},
    output,
    settings::{self, Globals},
};

/// Choose the context that is meant from now on
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl config use-context lab")]
pub struct Args {
    /// The context
    #[arg(value_name = "NAME", add = crate::complete::contexts())]
    name: String,
}

/// Runs the command.
pub fn run(args: &Args, globals: &Globals) -> Outcome {
    let config = settings::kubeconfig(globals)?;
    let contexts = config.contexts();
    if contexts.iter().all(|c| c.name != args.name) {
        let near = nearest(&args.name, contexts.iter().map(|c| c.name.as_str()));
        let hint = match suggestion(&near) {
            empty if empty.is_empty() => "`labctl config get` lists the contexts".into(),
            hint => hint,
        };
        return Err(
            Failure::new(Exit::NotFound, format!("no context is called {:?}", args.name)).with_hint(hint)
        );
    }
    // The file that names the current context wins, so that is where it is changed; else the first.
    let first = config.files().next().map(Into::into);
    let path = config.current_context().map(|(_, path)| path.into()).or(first);
    let Some(path): Option<std::path::PathBuf> = path else {
        return Err(Failure::new(Exit::NotFound, "there is no kubeconfig"));
    };
    let mut content = change::read(&path)?;
    content["current-context"] = args.name.as_str().into();
    change::write(&path, &content)?;
    output::note(&format!("{} is the context from now on.", args.name));
    Ok(())
}
