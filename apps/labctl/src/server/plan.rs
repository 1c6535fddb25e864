//! `labctl plan`: what an installation would do to each disk.

use super::chosen::{self, Machines};
use crate::{
    failure::{Exit, Failure, Outcome, Several},
    output::{self, Paint, columns::Columns, document, format::Format},
    session::Session,
};
use lab_kinds::metal::{
    Server,
    server::{Fate, Plan},
};
use lab_object::Json;
use std::fmt::Write;

/// Show what an installation would do to each disk
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl plan db-1
  labctl plan --role worker --status planned
  labctl plan db-1 -o yaml")]
pub struct Args {
    #[command(flatten)]
    machines: Machines,
    /// The form: table, yaml or json
    #[arg(long, short, value_name = "FORM", default_value = "table", hide_default_value = true)]
    output: Format,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let mut several = Several::default();
    let mut first = true;
    for server in args.machines.find(session).await? {
        let plan = match &server.status.plan {
            Some(plan) => plan,
            None => {
                several.note(Err(missing(&server)));
                continue;
            }
        };
        if args.output.is_table() {
            output::text(if first { "" } else { "\n" })?;
            output::text(&render(&server, plan))?;
        } else {
            if !first && matches!(args.output, Format::Yaml) {
                output::line("---")?;
            }
            let plan: Json = serde_json::to_value(plan)
                .map_err(|e| Failure::new(Exit::Failed, format!("the plan cannot be shown: {e}")))?;
            let text = match &args.output {
                Format::Json => document::json(&plan)?,
                other => other.render(&plan)?,
            };
            output::text(&text)?;
        }
        first = false;
        if let Some(why) = &plan.refused {
            several.note(Err(refused(&server, why)));
        }
    }
    several.finish()
}

/// Why there is no plan, as far as that can be told.
pub fn missing(server: &Server) -> Failure {
    let name = chosen::name(server);
    let called = chosen::called(server);
    if server.spec.install.is_none() {
        return Failure::new(
            Exit::NotFound,
            format!("{called}: nothing is to be installed, so there is no plan"),
        )
        .with_hint(format!("`labctl provision {name} --os NAME --role ROLE`"));
    }
    let failure = Failure::new(Exit::NotServed, format!("{called}: no plan has been made yet"));
    if server.status.disks.is_empty() {
        failure
            .with_hint("its disks are not known: it has to boot from the network once, with a bastion online")
    } else {
        failure.with_hint("the machine's installer makes it; `labctl progress` follows")
    }
}

/// The plan that cannot be carried out.
pub fn refused(server: &Server, why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("{}: no plan can be made: {why}", chosen::called(server)))
        .with_hint("change the layout, the disk selector or the disks")
}

fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Keep => "keep",
        Fate::Again => "install again",
        Fate::Create => "create",
        Fate::Wipe => "wipe",
    }
}

/// A plan laid out to be read.
pub fn render(server: &Server, plan: &Plan) -> String {
    let mut text = String::new();
    let title =
        format!("Plan for {}: {} with layout {}", chosen::called(server), plan.operating_system, plan.layout);
    let _ = writeln!(text, "{}", Paint::Bold.out(&title));
    if let Some(why) = &plan.refused {
        let _ = writeln!(text, "  {} {why}", Paint::Red.out("refused:"));
    }
    let coloured = output::coloured();
    for disk in &plan.disks {
        let identity = [("serial", &disk.serial), ("wwn", &disk.wwn)]
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(word, value)| format!("{word} {value}"))
            .collect::<Vec<_>>()
            .join(", ");
        let word = fate(disk.fate);
        let painted = Paint::of_state(word).map_or_else(|| word.into(), |p| p.apply(word, coloured));
        let _ = writeln!(
            text,
            "  {}  {}  {identity}  {painted}",
            Paint::Bold.out(&disk.name),
            bytes(disk.size_bytes)
        );
        if !disk.why.is_empty() {
            let _ = writeln!(text, "      {}", disk.why);
        }
        let now = if disk.now.is_empty() { "nothing that is known" } else { &disk.now };
        let _ = writeln!(text, "      now: {now}");
        let mut columns = Columns::plain().indented(6);
        for part in &disk.partitions {
            columns.row(vec![
                format!("{} {}", part.number, part.name),
                bytes(part.size_bytes),
                dash(&part.file_system),
                part.mount.clone().unwrap_or_else(|| "-".into()),
                fate(part.fate).into(),
                dash(&part.why),
            ]);
        }
        text.push_str(&columns.render(coloured));
    }
    if let Some(group) = &plan.volume_group {
        let _ = writeln!(text, "  volume group {}  {}", Paint::Bold.out(&group.name), fate(group.fate));
        let mut columns = Columns::plain().indented(6);
        for volume in &group.volumes {
            columns.row(vec![
                volume.name.clone(),
                bytes(volume.size_bytes),
                dash(&volume.file_system),
                volume.mount.clone().unwrap_or_else(|| "-".into()),
                fate(volume.fate).into(),
                dash(&volume.why),
            ]);
        }
        text.push_str(&columns.render(coloured));
    }
    if plan.destructive {
        let _ = writeln!(
            text,
            "  {}",
            Paint::Red.out("What is on the wiped disks and volumes now will be lost.")
        );
    }
    if let Some(hash) = &plan.hash {
        let state =
            if plan.approved { Paint::Green.out("approved") } else { Paint::Yellow.out("not approved") };
        let _ = writeln!(text, "  hash {hash}, {state}");
    }
    text
}

fn dash(text: &str) -> String {
    if text.is_empty() { "-".into() } else { text.into() }
}

/// Bytes in the unit in which a person would say it.
pub fn bytes(count: i64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 || value.fract() < 0.05 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (count, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1_500_000, "1.4 MiB"),
            (500_107_862_016, "466 GiB"),
            (2_000_398_934_016, "1.8 TiB"),
        ] {
            assert_eq!(bytes(count), expected);
        }
    }
}
