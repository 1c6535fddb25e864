//! Kubeconfig files: merging, overriding, and what is said of bad ones.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use lab_client::{
    Kubeconfig,
    config::{Material, Overrides, Source, Sourced},
};
use std::path::PathBuf;
use tempfile::TempDir;

const FIRST: &str = "
current-context: lab
clusters:
- name: lab
  cluster: {server: 'https://one:6443', certificate-authority: ca.pem}
contexts:
- name: lab
  context: {cluster: lab, user: me, namespace: dev}
- name: far
  context: {cluster: far, user: bot}
";
const SECOND: &str = "
apiVersion: v1
kind: Config
current-context: far
preferences: {}
clusters:
- name: lab
  cluster: {server: 'https://shadowed'}
- name: far
  cluster: {server: 'https://two', tls-server-name: two.example, certificate-authority-data: cGVt}
users:
- name: me
  user: {client-certificate-data: Yw==, client-key: keys/me.pem}
- name: bot
  user: {token: hunter2}
";

/// Writes the files and returns them, in order, in a folder that lives as long as the first value.
fn write(files: &[&str]) -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let write = |(i, text): (usize, &&str)| {
        let path = folder.path().join(format!("config{i}"));
        std::fs::write(&path, text).unwrap();
        path
    };
    let paths = files.iter().enumerate().map(write).collect();
    (folder, paths)
}

fn flag<T>(name: &'static str, value: T) -> Option<Sourced<T>> {
    Some(Sourced::new(value, Source::Flag(name)))
}

#[test]
fn the_first_file_to_say_something_wins() {
    let (folder, mut paths) = write(&[FIRST, SECOND]);
    paths.insert(1, folder.path().join("absent"));
    let config = Kubeconfig::load(&paths).unwrap();
    assert_eq!(config.files().count(), 2);
    assert_eq!(config.current_context(), Some(("lab", paths[0].as_path())));
    let names: Vec<_> = config.contexts().into_iter().map(|c| (c.name, c.user)).collect();
    assert_eq!(names, [("lab".into(), "me".into()), ("far".to_owned(), "bot".to_owned())]);

    let lab = config.connection(&Overrides::default()).unwrap();
    assert_eq!(lab.server.value, "https://one:6443");
    assert_eq!(lab.namespace.unwrap().value, "dev");
    assert_eq!(lab.certificate_authority.unwrap().value, Material::File(folder.path().join("ca.pem")));
    assert_eq!(lab.credentials.client_certificate.unwrap().value, Material::Inline(b"c".to_vec()));
    assert_eq!(lab.credentials.client_key.unwrap().value, Material::File(folder.path().join("keys/me.pem")));
}

#[test]
fn flags_win_over_files_and_secrets_are_not_shown() {
    let (_folder, paths) = write(&[FIRST, SECOND]);
    let config = Kubeconfig::load(&paths).unwrap();
    let overrides = Overrides {
        context: flag("--context", "far".into()),
        server: flag("--server", "https://three".into()),
        namespace: flag("--namespace", "prod".into()),
        ..Overrides::default()
    };
    let far = config.connection(&overrides).unwrap();
    assert_eq!(far.context.as_deref(), Some("far"));
    assert_eq!((far.server.value.as_str(), &far.server.source), ("https://three", &Source::Flag("--server")));
    assert_eq!(far.tls_server_name.as_ref().unwrap().value, "two.example");
    assert_eq!(far.certificate_authority.as_ref().unwrap().value, Material::Inline(b"pem".to_vec()));
    assert_eq!(far.namespace.as_ref().unwrap().value, "prod");
    assert!(!format!("{far:?}{config:?}").contains("hunter2"));

    let token = Overrides { token: flag("--token", Material::Inline(b"t".to_vec())), ..Overrides::default() };
    let lab = config.connection(&token).unwrap();
    assert!(lab.credentials.client_certificate.is_none() && lab.credentials.token.is_some());
}

#[test]
fn a_server_needs_no_file() {
    let config = Kubeconfig::load(&[PathBuf::from("/nonexistent/config")]).unwrap();
    let overrides = Overrides { server: flag("--server", "https://x".into()), ..Overrides::default() };
    assert_eq!(config.connection(&overrides).unwrap().server.value, "https://x");
    let error = config.connection(&Overrides::default()).unwrap_err();
    assert_eq!(error.to_string(), "no server is configured: there is no /nonexistent/config");
    assert!(error.hint().is_some());
}

/// A file, and what is said of it; `{f}` stands for its path.
fn check(file: &str, expected: &str) {
    let (_folder, paths) = write(&[file]);
    let refused = Kubeconfig::load(&paths).and_then(|config| config.connection(&Overrides::default()));
    let message = refused.map(|_| "accepted".to_owned()).unwrap_or_else(|e| e.to_string());
    let message = message.replace(&paths[0].display().to_string(), "{f}");
    assert!(message.starts_with(expected), "{message}\n  instead of\n{expected}");
}

#[test]
fn bad_files_are_named_with_the_field() {
    let with = |cluster: &str, user: &str| {
        format!(
            "current-context: c\ncontexts:\n- name: c\n  context: {{cluster: k, user: u}}\n\
             clusters:\n- name: k\n  cluster: {cluster}\nusers:\n- name: u\n  user: {user}\n"
        )
    };
    let good = "{server: 'https://x'}";
    check(&with(good, "{}"), "accepted");
    check("", "no server is configured: {f} sets no current-context");
    check("clusters: 5", "{f} is not a kubeconfig: ");
    check("clusters: [", "{f} is not a kubeconfig: ");
    check(
        "current-context: c",
        "{f}: current-context names a context \"c\" that no kubeconfig has; there are none",
    );
    check(
        "current-context: c\ncontexts:\n- name: c\n  context: {cluster: k}\n",
        "{f}: contexts[c].context.cluster names a cluster \"k\" that no kubeconfig has",
    );
    check(&with("{}", "{}"), "{f}: clusters[k].cluster.server is missing");
    check(
        &with("{server: 'https://x', certificate-authority-data: '!'}", "{}"),
        "{f}: clusters[k].cluster.certificate-authority-data is not base64",
    );
    check(
        &with("{server: 'https://x', insecure-skip-tls-verify: true}", "{}"),
        "{f}: clusters[k].cluster.insecure-skip-tls-verify is not supported",
    );
    check(&with(good, "{exec: {command: aws}}"), "{f}: users[u].user.exec is not supported");
    check(&with(good, "{username: a, password: b}"), "{f}: users[u].user.username is not supported");
    check(
        "current-context: c\ncontexts:\n- name: c\n  context: {cluster: k, user: v}\nclusters:\n- name: k\n  cluster: {server: 'https://x'}\n",
        "{f}: contexts[c].context.user names a user \"v\" that no kubeconfig has",
    );
}

#[test]
fn syntax_errors_say_where() {
    let (_folder, paths) = write(&["clusters:\n- name: a\n  cluster: {server: 'https://x'\n"]);
    let message = Kubeconfig::load(&paths).unwrap_err().to_string();
    assert!(message.contains("line 4") || message.contains("line 3"), "{message}");
}
