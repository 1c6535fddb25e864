//! `labctl config get`: the contexts, or one setting and where it comes from.

use crate::{
    failure::{Exit, Failure, Outcome},
    output::{self, columns::Columns},
    settings::{self, Globals},
};
use lab_client::config::Sourced;

/// Show the contexts, or one setting and where it comes from
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl config get
  labctl config get server --source")]
pub struct Args {
    /// The setting: context, server, namespace
    #[arg(value_name = "SETTING", value_parser = ["context", "server", "namespace"])]
    setting: Option<String>,
    /// Also say where the setting comes from
    #[arg(long)]
    source: bool,
}

/// Runs the command.
pub fn run(args: &Args, globals: &Globals) -> Outcome {
    let config = settings::kubeconfig(globals)?;
    if let Some(setting) = &args.setting {
        let connection = settings::connection(globals)?;
        let found: Option<Sourced<String>> = match setting.as_str() {
            "server" => Some(connection.server),
            "namespace" => connection.namespace,
            _ => {
                let value = connection.context;
                return match value {
                    Some(name) => Ok(output::line(&name)?),
                    None => Err(Failure::new(Exit::NotFound, "no context is set")),
                };
            }
        };
        let Some(found) = found else {
            return Err(Failure::new(Exit::NotFound, format!("{setting} is not set")));
        };
        output::line(&found.value)?;
        if args.source {
            output::note(&format!("from {}", found.source));
        }
        return Ok(());
    }
    let current = config.current_context().map(|(name, _)| name.to_owned());
    let current = globals.context.clone().or(current);
    let mut columns = Columns::headed(["Current", "Name", "Cluster", "User", "Namespace", "File"]);
    for context in config.contexts() {
        let mark = if current.as_ref() == Some(&context.name) { "*" } else { " " };
        let file = context.file.display().to_string();
        let namespace = context.namespace.unwrap_or_else(|| "default".into());
        columns.row(vec![mark.into(), context.name, context.cluster, context.user, namespace, file]);
    }
    if columns.is_empty() {
        output::note("No contexts.");
        return Ok(());
    }
    Ok(output::text(&columns.render(false))?)
}
