//! `labctl config set`: changes a setting of the current context.

use super::change;
use crate::{
    failure::{Exit, Failure, Outcome},
    output,
    settings::{self, Globals},
};

/// Change a setting of the current context
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl config set namespace team-a
  labctl config set server https://labd.example:6443 --context lab
  labctl config set tls-server-name ''               takes it away")]
pub struct Args {
    /// The setting
    #[arg(value_name = "SETTING", value_parser = ["server", "namespace", "certificate-authority", "tls-server-name"])]
    setting: String,
    /// Its value; empty takes it away
    #[arg(value_name = "VALUE")]
    value: String,
}

/// Runs the command.
pub fn run(args: &Args, globals: &Globals) -> Outcome {
    let config = settings::kubeconfig(globals)?;
    let wanted =
        globals.context.clone().or_else(|| config.current_context().map(|(name, _)| name.to_owned()));
    let context = wanted.and_then(|name| config.contexts().into_iter().find(|c| c.name == name));
    let Some(context) = context else {
        return Err(Failure::new(Exit::NotFound, "there is no current context to change")
            .with_hint("`labctl config use-context` chooses one, or give --context"));
    };
    if args.setting == "server" && !args.value.starts_with("https://") {
        return Err(Failure::usage(format!("server: {:?} must begin with https://", args.value)));
    }
    let mut content = change::read(&context.file)?;
    let entry = match args.setting.as_str() {
        "namespace" => change::entry(&mut content, "contexts", &context.name, "context")?,
        _ => change::entry(&mut content, "clusters", &context.cluster, "cluster")?,
    };
    if let Some(fields) = entry.as_object_mut() {
        if args.value.is_empty() {
            fields.remove(&args.setting);
        } else {
            fields.insert(args.setting.clone(), args.value.as_str().into());
            if args.setting == "certificate-authority" {
                // Data would win over the file.
                fields.remove("certificate-authority-data");
            }
        }
    }
    change::write(&context.file, &content)?;
    output::note(&format!("{} of {} is {:?} from now on.", args.setting, context.name, args.value));
    Ok(())
}
