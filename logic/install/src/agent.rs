//! The agent of an installed system: its place, its service, and what it joins with.

use crate::identity::File;
use lab_kinds::metal::server::hardware::Architecture;

/// Where its executable stands.
pub const PROGRAM: &str = "/usr/local/bin/lab-agent";
/// The name of its service.
pub const SERVICE: &str = "lab-agent.service";
/// Where its service is described.
pub const UNIT: &str = "/etc/systemd/system/lab-agent.service";
/// How labd is reached.
pub const CONFIGURATION: &str = "/etc/lab/agent.toml";
/// What it joins with; it is good for one use, and the agent removes it then.
const TOKEN: &str = "/etc/lab/join-token";

/// Where a boot server has the executable for a processor, in the folder that it serves. It is statically linked, as it has to run on every
/// distribution.
pub const fn served_at(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Amd64 => "systems/agent/amd64/lab-agent",
        Architecture::Arm64 => "systems/agent/arm64/lab-agent",
    }
}

/// The files that an agent needs besides its executable: its service, how it reaches labd, and the token it joins with.
///
/// `server` is labd's URL, `ca_hash` the SHA-256 of its authority's key.
pub fn files(server: &str, ca_hash: &str, token: &str) -> [File; 3] {
    let file = |path: &str, mode, text: String| File { path: path.into(), mode, text };
    [
        file(UNIT, 0o644, DESCRIPTION.into()),
        file(CONFIGURATION, 0o644, format!("server = {}\nca-hash = {}\n", quoted(server), quoted(ca_hash))),
        file(TOKEN, 0o600, format!("{token}\n")),
    ]
}

/// A text in a TOML file.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The service, as it stands on an installed system. The package has the same, with its executable in `/usr/bin`.
const DESCRIPTION: &str = include_str!("lab-agent.service");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_finds() {
        let [unit, settings, token] = files("https://10.0.0.1:6443", "sha256:aa", "t0ken");
        assert!(unit.text.contains(&format!("ExecStart={PROGRAM} run\n")));
        assert_eq!(settings.text, "server = \"https://10.0.0.1:6443\"\nca-hash = \"sha256:aa\"\n");
        assert_eq!((token.mode, token.text.as_str()), (0o600, "t0ken\n"));
        assert_eq!(quoted("a\"b\\"), r#""a\"b\\""#);
    }
}
