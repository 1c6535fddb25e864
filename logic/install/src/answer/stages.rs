//! The stages of distributions' installers: how far each is from the beginning, and how what installers say of themselves is told as
//! stages.

/// The last stage. What it says when it is done is the hash of the plan that was carried out.
pub const LAST: &str = "finished";
/// The first stage: it is under way as soon as the installer runs.
pub const FIRST: &str = "installer";
/// The stage in which the new system gets its agent.
pub const AGENT: &str = "agent";
/// The stage with whose beginning the disk is no longer as it was.
pub const POINT_OF_NO_RETURN: &str = "partition";

/// Stages, and how much of the whole is done when they begin, in percent, by the time that they take.
const STAGES: &[(&str, i32)] = &[
    (FIRST, 1),
    ("hardware", 2),
    ("disk", 4),
    ("check", 5),
    (POINT_OF_NO_RETURN, 6),
    ("volumes", 8),
    ("format", 10),
    ("base", 12),
    ("installation", 12),
    ("extract", 15),
    ("packages", 35),
    ("curthooks", 55),
    ("identity", 85),
    ("account", 86),
    ("ssh", 87),
    ("kernel", 88),
    ("role", 89),
    ("mounts", 90),
    ("boot-loader", 91),
    ("boot-order", 95),
    (AGENT, 96),
    ("labels", 97),
    ("logs", 98),
    (LAST, 99),
];

/// How much of the whole is done when a stage begins, in percent; nothing for stages that are not ours.
pub fn percent(stage: &str) -> Option<i32> {
    STAGES.iter().find(|(name, _)| *name == stage).map(|(_, percent)| *percent)
}

/// The stage that an event of Subiquity or curtin belongs to, by its name and description. Most events are smaller than a stage.
pub fn of_subiquity(name: &str, description: &str) -> Option<&'static str> {
    let steps = [
        ("partitioning", "format"),
        ("extract", "extract"),
        ("curthooks", "curthooks"),
        ("postinstall", "packages"),
    ];
    let installs =
        name.contains("curtin_install") || name.contains("cmd-install") || name.contains("/Install/");
    let said = |word: &str| {
        description.contains(&format!("curtin install {word} step"))
            || name.ends_with(&format!("stage-{word}"))
            || name.ends_with(&format!("/{word}"))
    };
    steps.into_iter().find(|(word, _)| installs && said(word)).map(|(_, stage)| stage)
}

/// The step that Debian-Installer could not do, where its log says so: it then waits at its menu for somebody.
pub fn failed_in_debian(program: Option<&str>, text: &str) -> Option<String> {
    if program != Some("main-menu") {
        return None;
    }
    let (_, rest) = text.split_once("Menu item '")?;
    let (step, _) = rest.split_once("' failed")?;
    Some(format!("Debian-Installer's step {step} failed and waits at its menu"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_ascend_and_are_said_once() {
        let mut names: Vec<_> = STAGES.iter().map(|(name, _)| name).collect();
        assert!(STAGES.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STAGES.len());
        assert_eq!((percent("disk"), percent("else")), (Some(4), None));
    }

    #[test]
    fn what_installers_say_of_themselves() {
        let check = |name: &str, description: &str, expected: Option<&str>| {
            assert_eq!(of_subiquity(name, description), expected, "{name}");
        };
        check(
            "subiquity/Install/install/curtin_install/run_curtin_step",
            "executing curtin install partitioning step",
            Some("format"),
        );
        check("cmd-install/stage-extract", "writing install sources to disk", Some("extract"));
        check("subiquity/Install/install/postinstall", "final system configuration", Some("packages"));
        check("subiquity/Network/apply_autoinstall_config", "", None);
        let said = "WARNING **: Menu item 'partman-base' failed.";
        let expected = "Debian-Installer's step partman-base failed and waits at its menu";
        assert_eq!(failed_in_debian(Some("main-menu"), said).as_deref(), Some(expected));
        assert_eq!(failed_in_debian(Some("sshd"), said), None);
        assert_eq!(failed_in_debian(Some("main-menu"), "INFO: Menu item 'netcfg' selected"), None);
    }
}
