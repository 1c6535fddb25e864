//! A session in a shell as a text: commands after `$ `, then what they print.
//!
//! ```text
//! # A comment.
//! $ kubectl create configmap a --from-literal=x=1
//! configmap/a created
//!
//! $ cat <<EOF | kubectl apply -f -
//! > {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
//! > EOF
//! namespace/n created
//!
//! [1.30+] $ kubectl get nothing
//! error: the server doesn't have a resource type "nothing"
//! [exit 1]
//! ```
//!
//! In expected text `[..]` stands for anything within a line, a line of `...` for any lines; spaces in a row count as
//! one, as tables are padded by their longest cell. Standard output and error are read as one. `[1.30+]` or `[-1.29]`
//! before a command runs it only with clients from, or up to, that version.

use anyhow::{Context, bail};
use std::{
    fmt::Write as _,
    path::Path,
    process::{Command, Stdio},
};

/// A client's version: major and minor.
pub type Version = (u32, u32);

/// One command and what it must print.
#[derive(Debug, PartialEq)]
pub struct Exchange {
    line: usize,
    from: Option<Version>,
    to: Option<Version>,
    command: String,
    expected: Vec<String>,
    exit: i32,
}

/// Reads a session.
pub fn parse(text: &str) -> anyhow::Result<Vec<Exchange>> {
    let mut session: Vec<Exchange> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let (condition, rest) = condition(line).with_context(|| format!("line {}", index + 1))?;
        if let Some(command) = rest.strip_prefix("$ ") {
            let (from, to) = condition;
            session.push(Exchange {
                line: index + 1,
                from,
                to,
                command: command.into(),
                expected: vec![],
                exit: 0,
            });
        } else if line.starts_with("# ") || (line.is_empty() && session.is_empty()) {
        } else if let Some(last) = session.last_mut() {
            extend(last, line)?;
        } else {
            bail!("line {}: output before the first command", index + 1);
        }
    }
    for exchange in &mut session {
        while exchange.expected.last().is_some_and(String::is_empty) {
            exchange.expected.pop();
        }
    }
    Ok(session)
}

fn extend(exchange: &mut Exchange, line: &str) -> anyhow::Result<()> {
    if let Some(more) = line.strip_prefix("> ").or((line == ">").then_some("")) {
        exchange.command.push('\n');
        exchange.command.push_str(more);
    } else if let Some(code) = line.strip_prefix("[exit ").and_then(|l| l.strip_suffix(']')) {
        exchange.exit = code.parse().with_context(|| format!("exit code {code:?}"))?;
    } else {
        exchange.expected.push(line.into());
    }
    Ok(())
}

type Condition = (Option<Version>, Option<Version>);

fn condition(line: &str) -> anyhow::Result<(Condition, &str)> {
    let Some((inside, rest)) = line.strip_prefix('[').and_then(|l| l.split_once("] $ ")) else {
        return Ok(((None, None), line));
    };
    let rest = &line[line.len() - rest.len() - 2..];
    if let Some(from) = inside.strip_suffix('+') {
        return Ok(((Some(version(from)?), None), rest));
    }
    let to = inside.strip_prefix('-').with_context(|| format!("condition [{inside}]"))?;
    Ok(((None, Some(version(to)?)), rest))
}

/// Reads `1.30`.
pub fn version(text: &str) -> anyhow::Result<Version> {
    let (major, minor) = text.split_once('.').with_context(|| format!("version {text:?}"))?;
    let minor: String = minor.chars().take_while(char::is_ascii_digit).collect();
    Ok((major.parse().with_context(|| format!("version {text:?}"))?, minor.parse()?))
}

/// Runs a session in `directory` with these variables; an error tells each command that did not do as expected.
pub fn run(
    session: &[Exchange],
    client: Version,
    directory: &Path,
    variables: &[(&str, &str)],
) -> anyhow::Result<()> {
    let mut report = String::new();
    let chosen =
        session.iter().filter(|e| e.from.is_none_or(|v| client >= v) && e.to.is_none_or(|v| client <= v));
    for exchange in chosen {
        let output = Command::new("bash")
            .args(["-c", &format!("exec 2>&1; {}", exchange.command)])
            .current_dir(directory)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .context("starting bash")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let code = output.status.code().unwrap_or(-1);
        let printed: Vec<&str> = text.trim_end().lines().collect();
        if !matches(&exchange.expected, &printed) || code != exchange.exit {
            let expected = exchange.expected.join("\n    ");
            let printed = printed.join("\n    ");
            write!(
                report,
                "line {}: $ {}\n  expected (exit {}):\n    {expected}\n  printed (exit {code}):\n    {printed}\n\n",
                exchange.line, exchange.command, exchange.exit
            )?;
        }
    }
    if report.is_empty() { Ok(()) } else { bail!("{report}") }
}

/// Whether what was printed is what was expected, wildcards and padding considered.
fn matches(expected: &[String], printed: &[&str]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == "..." => (0..=printed.len()).any(|n| matches(rest, &printed[n..])),
        Some((first, rest)) => {
            printed.split_first().is_some_and(|(line, more)| line_matches(first, line) && matches(rest, more))
        }
    }
}

fn line_matches(expected: &str, printed: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (expected, printed) = (squeeze(expected), squeeze(printed));
    let mut parts = expected.split("[..]");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let check = |expected: &str, printed: &str, same: bool| {
            assert_eq!(line_matches(expected, printed), same, "{expected:?} ~ {printed:?}");
        };
        check("a   b", "a b", true);
        check("a [..] c", "a bbb c", true);
        check("[..]", "", true);
        check("uid: [..]-x", "uid: 1-2-x", true);
        check("a [..] c", "a bbb d", false);
        check("a", "ab", false);
    }

    #[test]
    fn sessions() {
        let text = "# c\n$ one\nout\n\n[1.30+] $ two\n> more\n[exit 3]\n[-1.29] $ three\n...\nend\n";
        let session = parse(text).unwrap();
        let seen: Vec<_> = session.iter().map(|e| (e.command.as_str(), e.expected.len(), e.exit)).collect();
        assert_eq!(seen, [("one", 1, 0), ("two\nmore", 0, 3), ("three", 2, 0)]);
        assert_eq!((session[1].from, session[2].to), (Some((1, 30)), Some((1, 29))));
    }

    #[test]
    fn any_lines() {
        let expected = ["a".to_string(), "...".into(), "d".into()];
        assert!(matches(&expected, &["a", "b", "c", "d"]));
        assert!(matches(&expected, &["a", "d"]));
        assert!(!matches(&expected, &["a", "b"]));
    }
}
