//! `labctl roles`: who may do what.

use crate::{
    failure::Outcome,
    kind,
    output::{self, columns::Columns},
    session::Session,
};
use lab_client::ListParams;
use lab_object::Json;

/// List the roles, what they permit, and who has them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl roles
  labctl get roles.iam.lab -o yaml")]
pub struct Args {
    /// Do not show headings
    #[arg(long)]
    no_headers: bool,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let roles = kind::resolve_one(session, "roles.iam.lab").await?;
    let bindings = kind::resolve_one(session, "rolebindings.iam.lab").await?;
    let everything = ListParams::default();
    let roles = roles.api_everywhere(session).list_all(&everything).await?.items;
    let bindings = bindings.api_everywhere(session).list_all(&everything).await?.items;
    let mut columns = Columns::headed(["Name", "Permissions", "Held by"]);
    for role in &roles {
        let name = role.pointer("/metadata/name").and_then(Json::as_str).unwrap_or_default();
        let of_role =
            bindings.iter().filter(|b| b.pointer("/spec/role").and_then(Json::as_str) == Some(name));
        let holders =
            of_role.flat_map(|b| b.pointer("/spec/subjects").and_then(Json::as_array).into_iter().flatten());
        let holders: Vec<String> = holders
            .map(|s| {
                let text = |key| s.get(key).and_then(Json::as_str).unwrap_or_default();
                format!("{}:{}", text("kind").to_lowercase(), text("name"))
            })
            .collect();
        columns.row(vec![name.into(), words(role.pointer("/spec/permissions")), holders.join(", ")]);
    }
    if columns.is_empty() {
        output::note("No roles.");
        return Ok(());
    }
    Ok(output::text(&columns.flush(false, !args.no_headers))?)
}

fn words(list: Option<&Json>) -> String {
    let items = list.and_then(Json::as_array).into_iter().flatten();
    items.filter_map(Json::as_str).collect::<Vec<_>>().join(", ")
}
