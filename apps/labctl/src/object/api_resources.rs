//! `labctl api-resources`: the kinds that the server serves.

use crate::{
    failure::Outcome,
    kind::discovery,
    output::{self, columns::Columns},
    session::Session,
};
use lab_object::GroupVersion;

/// List the kinds that the server serves
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl api-resources
  labctl api-resources --api-group metal.lab
  labctl api-resources --namespaced=true -o name")]
pub struct Args {
    /// Only kinds of this group; empty for the core group
    #[arg(long, value_name = "GROUP")]
    api_group: Option<String>,
    /// Only kinds whose objects live in a namespace, or do not
    #[arg(long, value_name = "BOOL")]
    namespaced: Option<bool>,
    /// Only kinds that know all these verbs
    #[arg(long, value_name = "VERB", value_delimiter = ',')]
    verbs: Vec<String>,
    /// Do not show headings
    #[arg(long)]
    no_headers: bool,
    /// The form: table, wide or name
    #[arg(long, short, value_name = "FORM", default_value = "table", value_parser = ["table", "wide", "name"])]
    output: String,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let wide = args.output == "wide";
    let mut headings = vec!["Name", "Short names", "API version", "Namespaced", "Kind"];
    if wide {
        headings.extend(["Verbs", "Categories"]);
    }
    let mut columns = Columns::headed(headings);
    let mut names = String::new();
    for kind in discovery::fetch(session).await? {
        let wanted = args.api_group.as_ref().is_none_or(|g| *g == kind.group)
            && args.namespaced.is_none_or(|n| n == kind.namespaced)
            && args.verbs.iter().all(|v| kind.verbs.contains(v));
        if !wanted {
            continue;
        }
        names.push_str(&lab_object::Status::qualified(&kind.plural, &kind.group));
        names.push('\n');
        let version = GroupVersion::new(&kind.group, &kind.version).to_string();
        let namespaced = kind.namespaced.to_string();
        let mut row = vec![kind.plural, kind.short_names.join(","), version, namespaced, kind.kind];
        if wide {
            row.extend([kind.verbs.join(","), kind.categories.join(",")]);
        }
        columns.row(row);
    }
    if args.output == "name" {
        return Ok(output::text(&names)?);
    }
    Ok(output::text(&columns.flush(false, !args.no_headers))?)
}
