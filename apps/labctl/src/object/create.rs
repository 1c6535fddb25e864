//! `labctl create`: makes objects that must not exist yet.

use super::manifest::{Files, Manifest};
use crate::{
    failure::{Failure, Outcome},
    kind,
    output::{self, format::Format},
    session::Session,
};
use lab_client::{FieldValidation, WriteParams};
use lab_object::Json;

/// Create objects from files
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl create -f server.yaml
  cat servers.yaml | labctl create -f -
  labctl create -f site/ -R --dry-run")]
pub struct Args {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    write: Writing,
}

/// What commands that write take.
#[derive(Debug, Clone, clap::Args)]
pub struct Writing {
    /// Let the server check everything, but keep nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The form of the answer: name, yaml, json, jsonpath=TEMPLATE; by default a sentence
    #[arg(long, short, value_name = "FORM", add = crate::complete::words(&output::format::NAMES))]
    pub output: Option<Format>,
    /// What to do about unknown fields
    #[arg(long, value_enum, default_value = "strict", value_name = "WHAT")]
    pub validate: Validate,
    /// Whose fields these become
    #[arg(long, value_name = "NAME", default_value = crate::session::MANAGER, hide_default_value = true)]
    pub field_manager: String,
}

/// What to do about fields that the server does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Validate {
    /// Refuse the object
    Strict,
    /// Drop them and warn
    Warn,
    /// Drop them
    Ignore,
}

impl Writing {
    /// As what the server is told.
    pub fn params(&self) -> WriteParams {
        WriteParams {
            field_manager: Some(self.field_manager.clone()),
            dry_run: self.dry_run,
            field_validation: match self.validate {
                Validate::Strict => FieldValidation::Strict,
                Validate::Warn => FieldValidation::Warn,
                Validate::Ignore => FieldValidation::Ignore,
            },
        }
    }

    /// Tells what was done to an object, in the form that was asked for.
    pub fn tell(&self, object: &Json, done: &str) -> Outcome {
        match &self.output {
            None => {
                let dry = if self.dry_run { " (dry run)" } else { "" };
                output::line(&format!("{} {done}{dry}", output::format::named(object)))?;
            }
            Some(format) => {
                let mut object = object.clone();
                output::document::without_managed_fields(&mut object);
                output::text(&format.render(&object)?)?;
            }
        }
        Ok(())
    }
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    args.files.each("create", async |manifest| one(&args, session, manifest).await).await
}

async fn one(args: &Args, session: &Session, manifest: &Manifest) -> Outcome {
    let target = kind::of_object(session, manifest.text("/apiVersion"), manifest.text("/kind")).await?;
    let namespace = namespace_of(session, manifest)?;
    let created = target.api(session, &namespace).create(&manifest.object, &args.write.params()).await?;
    args.write.tell(&created, "created")
}

/// The namespace an object goes to: its own, which must not be another than the one that was named.
pub fn namespace_of(session: &Session, manifest: &Manifest) -> Outcome<String> {
    let own = manifest.text("/metadata/namespace");
    let named = session.connection.namespace.as_ref();
    let by_hand = named.filter(|n| !matches!(n.source, lab_client::config::Source::File { .. }));
    match by_hand {
        Some(named) if !own.is_empty() && named.value != own => Err(Failure::usage(format!(
            "the object is of namespace {own:?}, but {} says {:?}",
            named.source, named.value
        ))),
        _ if own.is_empty() => Ok(session.namespace.clone()),
        _ => Ok(own.into()),
    }
}
