//! The authority's two files: made once, loaded ever after, renewed in time, and refused when they are not whole.

use lab_pki::{Authority, Lifetime};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, SystemTime},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY
}

fn load(dir: &Path, now: SystemTime) -> Authority {
    Authority::load_or_create(dir, now).expect("an authority")
}

#[test]
fn an_authority_is_made_once_and_its_key_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let pki = dir.path().join("pki");
    let made = load(&pki, start());
    let again = load(&pki, start() + DAY);
    assert_eq!(made.certificate_pem(), again.certificate_pem());
    assert_eq!(made.pin(), again.pin());
    assert_eq!(made.pin().len(), "sha256:".len() + 64);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&pki), mode(&pki.join("ca.key")), mode(&pki.join("ca.crt"))), (0o700, 0o600, 0o644));
    assert!(!format!("{made:?}").contains("PRIVATE"));
}

#[test]
fn a_certificate_that_ran_out_while_off_is_renewed_with_the_same_key() {
    let dir = tempfile::tempdir().unwrap();
    let made = load(dir.path(), start());
    let late = start() + 5000 * DAY;
    assert!(!made.lifetime().holds(late));
    let renewed = load(dir.path(), late);
    assert!(renewed.lifetime().holds(late));
    assert_eq!(renewed.pin(), made.pin());
    let on_disk = fs::read_to_string(dir.path().join("ca.crt")).unwrap();
    assert_eq!(Lifetime::of_certificate_pem(&on_disk).unwrap(), renewed.lifetime());
}

#[test]
fn a_creation_that_was_interrupted_after_the_key_is_completed() {
    let dir = tempfile::tempdir().unwrap();
    let made = load(dir.path(), start());
    fs::remove_file(dir.path().join("ca.crt")).unwrap();
    assert_eq!(load(dir.path(), start()).pin(), made.pin());
}

#[test]
fn files_that_are_not_whole_are_refused_by_name() {
    let check = |spoil: fn(&Path), expected: &str| {
        let dir = tempfile::tempdir().unwrap();
        load(dir.path(), start());
        spoil(dir.path());
        let error = Authority::load_or_create(dir.path(), start()).unwrap_err().to_string();
        let error = error.replace(dir.path().to_str().unwrap(), "DIR");
        assert!(error.starts_with(expected), "{error}\ndoes not begin with\n{expected}");
    };
    check(
        |dir| fs::remove_file(dir.join("ca.key")).unwrap(),
        "DIR/ca.crt is there but its key DIR/ca.key is missing; restore the key from a backup, or remove",
    );
    check(|dir| fs::write(dir.join("ca.key"), "nonsense").unwrap(), "DIR/ca.key is damaged (");
    check(|dir| fs::write(dir.join("ca.crt"), "nonsense").unwrap(), "DIR/ca.crt is damaged (");
    check(
        |dir| {
            let other = tempfile::tempdir().unwrap();
            load(other.path(), start());
            fs::copy(other.path().join("ca.key"), dir.join("ca.key")).unwrap();
        },
        "the key in DIR/ca.key does not belong to the certificate in DIR/ca.crt",
    );
    check(
        |dir| {
            let authority = load(dir, start());
            let life = Lifetime::starting(start(), DAY);
            let leaf = authority.issue_server(&lab_pki::ServerNames::of_api_server(), life).unwrap();
            fs::write(dir.join("ca.crt"), leaf.certificate_pem).unwrap();
            fs::write(dir.join("ca.key"), leaf.key_pem).unwrap();
        },
        "DIR/ca.crt is damaged (it is not the certificate of an authority)",
    );
}
