//! Values that would break a file or escape from it: refused, or written so that they are what they were.

use crate::cases::{Case, Invited, SITE, fresh};
use crate::tools::packaged;
use lab_install::answer::shell::quoted;
use lab_install::answer::{Unanswerable, rescue, yaml};
use lab_kinds::metal::operating_system::Method;
use proptest::prelude::*;
use std::io::Write;
use std::process::{Command, Stdio};

const METHODS: [Method; 3] = [Method::Kickstart, Method::Autoinstall, Method::Preseed];

/// Text that is likely to mean something to somebody.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = [
        "%end",
        "%include /etc/shadow",
        "\n",
        "\n%end\n",
        "'",
        "\"",
        "`id`",
        "$(id)",
        "${x}",
        "\\",
        ";",
        "&&",
        "|",
        ">",
        "#",
        "# ",
        ": ",
        "- ",
        "{",
        "}",
        "[",
        "*",
        "&a",
        "!!python/object",
        "%",
        "@",
        "yes",
        "~",
        "null",
        "\r",
        "\t",
        "\0",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\u{7f}",
        " ",
        "a",
        "0x1",
        "1:30",
        "ö",
        "d-i preseed/late_command string id",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..6).prop_map(|pieces| pieces.concat())
}

fn case(method: Method) -> Case {
    Case::of(format!("{method:?}"), method, fresh())
}

fn invited(case: &mut Case) -> &mut Invited {
    case.agent.as_mut().expect("it has one")
}

/// The lines that a person's value may not add to, and may not take away from.
fn frame(text: &str) -> (usize, usize) {
    (text.lines().count(), text.lines().filter(|line| line.trim_start().starts_with('%')).count())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn names_that_are_no_names_are_refused(value in hostile()) {
        for method in METHODS {
            let change: [fn(&mut Case, String); 11] = [
                |case, value| case.machine.server.spec.hostname = Some(value),
                |case, value| case.machine.server.spec.admin.user = Some(value),
                |case, value| case.machine.system.spec.packages = vec![value],
                |case, value| case.machine.system.spec.repositories[0].url = format!("http://{value}"),
                |case, value| case.machine.install().kernel_arguments = vec![value],
                |case, value| case.machine.system.spec.codename = Some(value),
                |case, value| invited(case).path = value,
                |case, value| invited(case).sha256 = value,
                |case, value| invited(case).server = format!("https://{value}"),
                |case, value| invited(case).ca_hash = value,
                |case, value| invited(case).token = value,
            ];
            let before = case(method).files();
            for change in change {
                let mut case = case(method);
                change(&mut case, value.clone());
                // What is taken has no character in it that could end what it stands in.
                match case.try_files() {
                    Err(Unanswerable::Value { .. }) => {}
                    Ok(files) => {
                        prop_assert!(!value.contains(['\n', '\'', '"', '`', ' ', '\\', '\r', '\0', '\u{2028}']), "{value:?}");
                        for (file, was) in files.iter().zip(&before) {
                            prop_assert_eq!(frame(&file.text).1, frame(&was.text).1, "{}", value);
                        }
                    }
                    Err(other) => prop_assert!(false, "{other}"),
                }
            }
        }
    }

    #[test]
    fn keys_change_nothing_but_themselves(value in hostile()) {
        for method in METHODS {
            let mut case = case(method);
            let before = case.files();
            case.machine.server.spec.admin.authorized_keys = vec![value.clone()];
            match case.try_files() {
                Ok(files) => for (file, was) in files.iter().zip(before) {
                    prop_assert_eq!(frame(&file.text), frame(&was.text), "{}", value);
                },
                Err(error) => prop_assert!(value.trim().contains(|c: char| c.is_control()), "{error}"),
            }
            let rescue = rescue::render(&case.machine.server, &SITE);
            if let Ok(files) = rescue {
                prop_assert_eq!(files[0].text.lines().count(), 4, "{}", files[0].text);
            }
        }
    }

    #[test]
    fn why_there_is_no_agent_changes_nothing_but_itself(value in hostile()) {
        for method in METHODS {
            let mut case = case(method);
            case.agent = Err("why".into());
            let before = case.files();
            case.agent = Err(value.clone());
            match case.try_files() {
                Ok(files) => for (file, was) in files.iter().zip(before) {
                    prop_assert_eq!(frame(&file.text), frame(&was.text), "{}", value);
                },
                Err(error) => prop_assert!(value.contains(|c: char| c.is_control()), "{error}"),
            }
        }
    }

    #[test]
    fn serial_numbers_change_nothing_but_themselves(value in hostile()) {
        for method in METHODS {
            let mut case = case(method);
            let before = case.files();
            case.plan.disks[0].serial = value.clone();
            if let Ok(files) = case.try_files() {
                for (file, was) in files.iter().zip(before) {
                    prop_assert_eq!(frame(&file.text), frame(&was.text), "{}", value);
                }
            }
        }
    }
}

#[test]
fn a_shell_reads_what_was_meant() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(100));
    let check = runner.run(&hostile(), |text| {
        let Ok(quoted) = quoted(&text) else {
            prop_assert!(text.contains(|c: char| c.is_control()));
            return Ok(());
        };
        let output = Command::new("sh")
            .args(["-c", &format!("printf %s {quoted}")])
            .output()
            .expect("there is a shell");
        prop_assert_eq!(String::from_utf8_lossy(&output.stdout), text);
        Ok(())
    });
    check.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn yaml_is_read_as_it_was_meant() {
    let Some(mut python) = packaged("python3") else { return };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::default());
    let texts: Vec<String> = (0..300)
        .map(|_| {
            let tree = hostile().new_tree(&mut runner).expect("there is text");
            proptest::strategy::ValueTree::current(&tree)
        })
        .filter(|text| !text.contains('\0'))
        .collect();
    let tree =
        serde_json::json!({"texts": texts, "more": [{"on": "no"}, [], {}, 1, true, null, [["x"], "y"]]});
    let script = "import sys, json, yaml\nyaml_text, json_text = sys.stdin.read().split('\\n=====\\n')\n\
                  assert yaml.safe_load(yaml_text) == json.loads(json_text)\n";
    let mut child = python
        .args(["-c", script])
        .env("PATH", "/usr/bin:/bin")
        .env("PYTHONUTF8", "1")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut input = child.stdin.take().expect("it is piped");
    write!(input, "{}\n=====\n{tree}", yaml::written(&tree)).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
