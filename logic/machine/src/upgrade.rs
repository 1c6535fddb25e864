//! Which executable a machine's agent is to run, and what its Server says of that.

use lab_wire::agent::System;

/// What is to be done about a machine's agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nobody wants a version: it stays as it is.
    Leave,
    /// It is as it can be.
    Say(Standing),
    /// It is to be sent the executable.
    Send,
}

/// What a Server says of its agent's version: the condition `AgentUpgraded`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whether the agent runs what is wanted.
    pub holds: bool,
    /// Why, as one word.
    pub reason: &'static str,
    /// Why, as a sentence.
    pub message: String,
}

impl Standing {
    /// It does not run what is wanted.
    pub fn short(reason: &'static str, message: String) -> Self {
        Self { holds: false, reason, message }
    }
}

/// Decides. `version` is the one that is wanted, `executable` the hash of what labd has of it for this machine, `system` what the
/// agent says of itself.
pub fn decide(version: Option<&str>, executable: Option<&str>, system: &System) -> Decision {
    let Some(version) = version else { return Decision::Leave };
    let Some(executable) = executable else {
        let why = format!("labd has no executable of version {version} of the agent for this machine.");
        return Decision::Say(Standing::short("NoExecutable", why));
    };
    if system.executable == executable {
        let message = format!("The agent runs version {version}.");
        return Decision::Say(Standing { holds: true, reason: "Runs", message });
    }
    if system.executable.is_empty() {
        let why = "The agent is too old to upgrade itself.".into();
        return Decision::Say(Standing::short("TooOld", why));
    }
    match &system.refused {
        Some(refused) if refused.executable == executable => {
            let why = format!("The agent went back from version {version}: {}.", refused.why);
            Decision::Say(Standing::short("RolledBack", why))
        }
        _ => Decision::Send,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_wire::agent::Refused;

    #[test]
    fn decisions() {
        let check = |version, has, runs: &str, refused: Option<&str>, expected: &str| {
            let refused = refused.map(|hash| Refused { executable: hash.into(), why: "it ended".into() });
            let system = System { executable: runs.into(), refused, ..System::default() };
            let found = match decide(version, has, &system) {
                Decision::Leave => "leave".to_owned(),
                Decision::Send => "send".to_owned(),
                Decision::Say(Standing { holds, reason, .. }) => format!("{holds} {reason}"),
            };
            assert_eq!(found, expected, "{version:?} {has:?} {system:?}");
        };
        check(None, Some("a"), "b", None, "leave");
        check(Some("2"), None, "b", None, "false NoExecutable");
        check(Some("2"), Some("a"), "a", None, "true Runs");
        check(Some("2"), Some("a"), "a", Some("a"), "true Runs");
        check(Some("2"), Some("a"), "", None, "false TooOld");
        check(Some("2"), Some("a"), "b", None, "send");
        check(Some("2"), Some("a"), "b", Some("a"), "false RolledBack");
        check(Some("2"), Some("a"), "b", Some("c"), "send");
    }
}
