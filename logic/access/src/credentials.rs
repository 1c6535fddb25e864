//! What proves who somebody is, and whether it still does: API tokens, service accounts, revoked certificates, machines that are
//! known.

use crate::permission::Permission;
use jiff::Timestamp;
use lab_object::{Json, Time};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// The API tokens, service accounts and revocations as they are. It is fed with objects, and asked for what was shown.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// By name.
    tokens: BTreeMap<String, Arc<Token>>,
    /// Names by hash.
    by_hash: HashMap<String, String>,
    /// Names of join tokens by hash, and the other way.
    joins: HashMap<String, String>,
    join_hashes: HashMap<String, String>,
    /// UIDs of service accounts, by namespace and name.
    accounts: HashMap<(String, String), String>,
    /// By name.
    revocations: BTreeMap<String, Revocation>,
    revoked: Revoked,
    /// When each Bastion was made, by name.
    bastions: HashMap<String, Timestamp>,
    /// UIDs of Servers by name, and all of them.
    servers: HashMap<String, Arc<str>>,
    server_uids: HashSet<Arc<str>>,
}

/// What the revocations come to, in a form in which a question takes two look-ups however many there are.
#[derive(Debug, Clone, Default)]
struct Revoked {
    /// Whose certificate of a serial number; `None` for anybody's.
    serials: HashMap<String, Vec<Option<String>>>,
    /// Until when issued, by user.
    users: HashMap<String, Timestamp>,
}

/// An API token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Name of its object.
    pub name: String,
    /// UID of its object.
    pub uid: String,
    /// In whose name it calls.
    pub user: String,
    /// What it may do at most; `None` for all that the user may.
    pub permissions: Option<Arc<[Permission]>>,
    /// From when on it is refused.
    pub expires: Option<Timestamp>,
    hash: String,
}

/// A client certificate, as far as it matters whether it was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Serial number, in lower-case hexadecimal without leading zeros.
    pub serial_number: String,
    /// When it was issued.
    pub issued: Timestamp,
    /// Until when it holds.
    pub expires: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Revocation {
    serial_number: Option<String>,
    user: Option<String>,
    issued_until: Option<Timestamp>,
}

/// Why what was shown does not count; for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lapsed {
    /// No such token.
    #[error("the token is not known; it may have been deleted")]
    Unknown,
    /// It was good until then.
    #[error("the token or certificate has expired")]
    Expired,
    /// The certificate was revoked.
    #[error("the certificate was revoked")]
    Revoked,
    /// The Bastion or Server is gone, or the Bastion is another one of the same name.
    #[error("the machine that the certificate is of was deleted; it has to join again")]
    MachineGone,
    /// The service account is gone.
    #[error("the token's service account is gone")]
    AccountGone,
}

impl Credentials {
    /// Whether objects of a kind are looked at.
    pub fn concerns(group: &str, resource: &str) -> bool {
        matches!(
            (group, resource),
            ("iam.lab", "apitokens" | "jointokens" | "certificaterevocations")
                | ("", "serviceaccounts")
                | ("metal.lab", "bastions" | "servers")
        )
    }

    /// Takes an object over, or its removal; returns whether that may decide anything differently. A token that cannot be read
    /// is none; a revocation that cannot be read revokes nothing.
    pub fn set(
        &mut self,
        group: &str,
        resource: &str,
        namespace: &str,
        name: &str,
        object: Option<&Json>,
    ) -> bool {
        match (group, resource) {
            ("iam.lab", "apitokens") => self.set_token(name, object.and_then(|o| Token::read(name, o))),
            // Nobody is known by a join token: nothing is decided differently.
            ("iam.lab", "jointokens") => {
                if let Some(hash) = self.join_hashes.remove(name) {
                    self.joins.remove(&hash);
                }
                if let Some(hash) = object.and_then(|o| o.pointer("/spec/tokenHash")?.as_str()) {
                    self.joins.insert(hash.into(), name.into());
                    self.join_hashes.insert(name.into(), hash.into());
                }
                false
            }
            ("iam.lab", "certificaterevocations") => {
                let revocation = object.and_then(Revocation::read);
                let before = match revocation.clone() {
                    Some(revocation) => self.revocations.insert(name.into(), revocation),
                    None => self.revocations.remove(name),
                };
                let changed = before != revocation;
                if changed {
                    self.revoked = self.revocations.values().collect();
                }
                changed
            }
            ("", "serviceaccounts") => {
                let key = (namespace.to_owned(), name.to_owned());
                let uid = object.and_then(uid).map(ToOwned::to_owned);
                let before = match uid.clone() {
                    Some(uid) => self.accounts.insert(key, uid),
                    None => self.accounts.remove(&key),
                };
                // A new account changes nothing for who was known before.
                before.is_some() && before != uid
            }
            ("metal.lab", "bastions") => {
                let made = object.and_then(created);
                let before = match made {
                    Some(made) => self.bastions.insert(name.into(), made),
                    None => self.bastions.remove(name),
                };
                before.is_some() && before != made
            }
            ("metal.lab", "servers") => self.set_server(name, object.and_then(uid)),
            _ => false,
        }
    }

    fn set_server(&mut self, name: &str, uid: Option<&str>) -> bool {
        if self.servers.get(name).map(|known| &**known) == uid {
            return false;
        }
        if let Some(uid) = uid {
            self.server_uids.insert(uid.into());
        }
        let before = match uid {
            Some(uid) => self.servers.insert(name.into(), uid.into()),
            None => self.servers.remove(name),
        };
        if let Some(before) = &before {
            self.server_uids.remove(before);
        }
        before.is_some()
    }

    fn set_token(&mut self, name: &str, token: Option<Token>) -> bool {
        let before = self.tokens.get(name).cloned();
        if before.as_deref() == token.as_ref() {
            return false;
        }
        if let Some(before) = before.filter(|before| self.by_hash.get(&before.hash) == Some(&before.name)) {
            self.by_hash.remove(&before.hash);
        }
        match token {
            Some(token) => {
                self.by_hash.insert(token.hash.clone(), name.into());
                self.tokens.insert(name.into(), Arc::new(token));
            }
            None => {
                self.tokens.remove(name);
            }
        }
        true
    }

    /// The token with a hash (`sha256:` and 64 hexadecimal digits).
    ///
    /// # Errors
    /// There is none, or it has expired.
    pub fn token(&self, hash: &str, now: Timestamp) -> Result<Arc<Token>, Lapsed> {
        let token = self.by_hash.get(hash).and_then(|name| self.tokens.get(name)).ok_or(Lapsed::Unknown)?;
        if token.expires.is_some_and(|end| now >= end) { Err(Lapsed::Expired) } else { Ok(token.clone()) }
    }

    /// The name of the join token with a hash.
    pub fn join_token(&self, hash: &str) -> Option<&str> {
        self.joins.get(hash).map(String::as_str)
    }

    /// Whether a token that was shown before is still the same and still good.
    ///
    /// # Errors
    /// It is not.
    pub fn token_holds(&self, token: &Token, now: Timestamp) -> Result<(), Lapsed> {
        if self.tokens.get(&token.name).is_none_or(|known| **known != *token) {
            return Err(Lapsed::Unknown);
        }
        if token.expires.is_some_and(|end| now >= end) { Err(Lapsed::Expired) } else { Ok(()) }
    }

    /// Whether a user's certificate counts.
    ///
    /// # Errors
    /// It has run out since the connection was made, or was revoked.
    pub fn certificate_holds(&self, user: &str, shown: &Certificate, now: Timestamp) -> Result<(), Lapsed> {
        if now > shown.expires {
            return Err(Lapsed::Expired);
        }
        if self.revoked.means(user, shown) {
            return Err(Lapsed::Revoked);
        }
        if self.is_of_nobody(user, shown) { Err(Lapsed::MachineGone) } else { Ok(()) }
    }

    /// Whether a certificate is of a machine that is no more. A Bastion is known by its name: what was given out before it was
    /// made was for another one.
    fn is_of_nobody(&self, user: &str, shown: &Certificate) -> bool {
        match user.split_once(':') {
            Some(("bastion", name)) => self.bastions.get(name).is_none_or(|made| shown.issued < *made),
            Some(("server", uid)) => !self.server_uids.contains(uid),
            _ => false,
        }
    }

    /// Whether there is still the service account of a UID.
    ///
    /// # Errors
    /// There is none, or another one of the same name.
    pub fn account_holds(&self, namespace: &str, name: &str, uid: &str) -> Result<(), Lapsed> {
        let known = self.accounts.get(&(namespace.to_owned(), name.to_owned()));
        if known.is_some_and(|known| known == uid) { Ok(()) } else { Err(Lapsed::AccountGone) }
    }
}

/// When an object was made.
fn created(object: &Json) -> Option<Timestamp> {
    let at = object.pointer("/metadata/creationTimestamp")?;
    Time::deserialize(at).ok().map(|time| time.0)
}

fn uid(object: &Json) -> Option<&str> {
    object.pointer("/metadata/uid")?.as_str()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenSpec {
    user: String,
    #[serde(default)]
    permissions: Vec<String>,
    expires: Option<Time>,
    token_hash: Option<String>,
}

impl Token {
    fn read(name: &str, object: &Json) -> Option<Self> {
        let spec = TokenSpec::deserialize(object.get("spec")?).ok()?;
        // Of permissions none of which can be read, none is left; without any, nothing is narrowed.
        let read = || spec.permissions.iter().filter_map(|text| text.parse().ok()).collect();
        Some(Self {
            name: name.into(),
            uid: uid(object).unwrap_or_default().into(),
            permissions: (!spec.permissions.is_empty()).then(read),
            user: spec.user,
            expires: spec.expires.map(|time| time.0),
            hash: spec.token_hash?,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RevocationSpec {
    serial_number: Option<String>,
    user: Option<String>,
    issued_until: Option<Time>,
}

impl Revocation {
    fn read(object: &Json) -> Option<Self> {
        let spec = RevocationSpec::deserialize(object.get("spec")?).ok()?;
        Some(Self {
            issued_until: spec.issued_until.map(|time| time.0).or_else(|| created(object)),
            serial_number: spec.serial_number.map(|serial| serial.trim_start_matches('0').to_owned()),
            user: spec.user,
        })
    }
}

impl<'a> FromIterator<&'a Revocation> for Revoked {
    fn from_iter<I: IntoIterator<Item = &'a Revocation>>(revocations: I) -> Self {
        let mut revoked = Self::default();
        for revocation in revocations {
            let Revocation { serial_number, user, issued_until } = revocation;
            match (serial_number, user, issued_until) {
                (Some(serial), user, _) => {
                    revoked.serials.entry(serial.clone()).or_default().push(user.clone());
                }
                (None, Some(user), Some(until)) => {
                    let latest = revoked.users.entry(user.clone()).or_insert(*until);
                    *latest = (*latest).max(*until);
                }
                _ => {}
            }
        }
        revoked
    }
}

impl Revoked {
    fn means(&self, user: &str, shown: &Certificate) -> bool {
        let serials = self.serials.get(&shown.serial_number);
        serials.is_some_and(|of| of.iter().any(|only| only.as_deref().is_none_or(|only| only == user)))
            || self.users.get(user).is_some_and(|until| shown.issued <= *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-21T{text}:00Z").parse().unwrap()
    }

    #[test]
    fn tokens() {
        let mut known = Credentials::default();
        let token = |user: &str, hash: &str, permissions: Json| {
            json!({"metadata": {"uid": "u"}, "spec": {"user": user, "tokenHash": hash,
                "permissions": permissions, "expires": "2026-11-21T12:00:00Z"}})
        };
        let plain = token("a", "sha256:1", json!([]));
        let mut set = |name: &str, object: Option<&Json>| known.set("iam.lab", "apitokens", "", name, object);
        assert!(set("one", Some(&plain)));
        assert!(!set("one", Some(&plain)));
        assert!(set("two", Some(&token("b", "sha256:2", json!(["read:*:*:*", "nonsense"])))));
        assert!(set("three", Some(&token("c", "sha256:3", json!(["nonsense"])))));
        assert!(!set("broken", Some(&json!({"spec": {"user": 5}}))));
        let find = |known: &Credentials, hash: &str, time: &str| {
            known.token(hash, at(time)).map(|t| (t.user.clone(), t.permissions.as_ref().map(|p| p.len())))
        };
        assert_eq!(find(&known, "sha256:1", "11:59"), Ok(("a".into(), None)));
        assert_eq!(find(&known, "sha256:2", "11:59"), Ok(("b".into(), Some(1))));
        assert_eq!(find(&known, "sha256:3", "11:59"), Ok(("c".into(), Some(0))));
        assert_eq!(find(&known, "sha256:1", "12:00"), Err(Lapsed::Expired));
        assert_eq!(find(&known, "sha256:", "11:59"), Err(Lapsed::Unknown));
        // What was shown counts until it is changed or deleted.
        let shown = known.token("sha256:2", at("11:00")).unwrap();
        assert_eq!(known.token_holds(&shown, at("11:59")), Ok(()));
        assert_eq!(known.token_holds(&shown, at("12:00")), Err(Lapsed::Expired));
        let wider = token("b", "sha256:2", json!([]));
        assert!(known.set("iam.lab", "apitokens", "", "two", Some(&wider)));
        assert_eq!(known.token_holds(&shown, at("11:59")), Err(Lapsed::Unknown));
        assert!(known.set("iam.lab", "apitokens", "", "two", None));
        assert_eq!(find(&known, "sha256:2", "11:59"), Err(Lapsed::Unknown));
    }

    #[test]
    fn join_tokens() {
        let mut known = Credentials::default();
        let token = |hash: &str| json!({"spec": {"tokenHash": hash}});
        let mut set = |name: &str, object: Option<&Json>| {
            assert!(!known.set("iam.lab", "jointokens", "", name, object));
            ["sha256:1", "sha256:2"].map(|hash| known.join_token(hash).map(ToOwned::to_owned))
        };
        assert_eq!(set("a", Some(&token("sha256:1"))), [Some("a".into()), None]);
        assert_eq!(set("b", Some(&token("sha256:2"))), [Some("a".into()), Some("b".into())]);
        assert_eq!(set("a", None), [None, Some("b".into())]);
        assert_eq!(set("b", Some(&json!({"spec": {}}))), [None, None]);
    }

    #[test]
    fn machines() {
        let mut known = Credentials::default();
        let set = |known: &mut Credentials, resource: &str, name: &str, uid: &str, made: &str| {
            let object = json!({"metadata": {"uid": uid, "creationTimestamp": at(made).to_string()}});
            known.set("metal.lab", resource, "", name, Some(&object).filter(|_| !uid.is_empty()))
        };
        #[track_caller]
        fn check(known: &Credentials, user: &str, issued: &str, holds: bool) {
            let shown = Certificate { serial_number: "1".into(), issued: at(issued), expires: at("18:00") };
            let expected = if holds { Ok(()) } else { Err(Lapsed::MachineGone) };
            assert_eq!(known.certificate_holds(user, &shown, at("13:00")), expected, "{user}");
        }
        check(&known, "bastion:b", "12:00", false);
        check(&known, "server:u1", "12:00", false);
        check(&known, "bastion", "12:00", true);
        check(&known, "operator-1", "12:00", true);
        assert!(!set(&mut known, "bastions", "b", "u", "11:00"), "who is new was not known before");
        assert!(!set(&mut known, "servers", "s", "u1", "11:00"));
        assert!(!set(&mut known, "servers", "s", "u1", "11:00"));
        check(&known, "bastion:b", "11:00", true);
        check(&known, "bastion:b", "10:59", false);
        check(&known, "server:u1", "12:00", true);
        check(&known, "server:s", "12:00", false);
        // Deleted; made anew under the same name.
        assert!(
            set(&mut known, "bastions", "b", "", "11:00") && set(&mut known, "servers", "s", "", "11:00")
        );
        check(&known, "bastion:b", "12:00", false);
        check(&known, "server:u1", "12:00", false);
        set(&mut known, "bastions", "b", "u", "12:30");
        set(&mut known, "servers", "s", "u2", "12:30");
        check(&known, "bastion:b", "12:00", false);
        check(&known, "bastion:b", "12:30", true);
        check(&known, "server:u1", "12:00", false);
        check(&known, "server:u2", "12:00", true);
        assert!(set(&mut known, "servers", "s", "u3", "12:40"), "one that takes the place of another");
        check(&known, "server:u2", "12:00", false);
        check(&known, "server:u3", "12:00", true);
    }

    #[test]
    fn revocations() {
        let check = |spec: Json,
                     user: &str,
                     serial_number: &str,
                     issued: &str,
                     expected: Result<(), Lapsed>| {
            let mut known = Credentials::default();
            let bastion = json!({"metadata": {"creationTimestamp": "2026-11-21T10:00:00Z"}});
            for name in ["x", "xy"] {
                known.set("metal.lab", "bastions", "", name, Some(&bastion));
            }
            let object = json!({"metadata": {"creationTimestamp": "2026-11-21T12:00:00Z"}, "spec": spec});
            assert!(known.set("iam.lab", "certificaterevocations", "", "r", Some(&object)));
            let shown =
                Certificate { serial_number: serial_number.into(), issued: at(issued), expires: at("18:00") };
            assert_eq!(known.certificate_holds(user, &shown, at("13:00")), expected, "{spec}");
            assert_eq!(known.certificate_holds(user, &shown, at("18:01")), Err(Lapsed::Expired));
            assert!(known.set("iam.lab", "certificaterevocations", "", "r", None));
            assert_eq!(known.certificate_holds(user, &shown, at("13:00")), Ok(()));
        };
        let revoked = Err(Lapsed::Revoked);
        check(json!({"serialNumber": "00a1"}), "a", "a1", "11:00", revoked);
        check(json!({"serialNumber": "a1"}), "a", "a2", "11:00", Ok(()));
        check(json!({"serialNumber": "a1", "user": "a"}), "a", "a1", "11:00", revoked);
        check(json!({"serialNumber": "a1", "user": "b"}), "a", "a1", "11:00", Ok(()));
        check(json!({"user": "bastion:x"}), "bastion:x", "1", "12:00", revoked);
        check(json!({"user": "bastion:x"}), "bastion:x", "1", "12:01", Ok(()));
        check(json!({"user": "bastion:x"}), "bastion:xy", "1", "11:00", Ok(()));
        check(json!({"user": "a", "issuedUntil": "2026-11-21T10:00:00Z"}), "a", "1", "11:00", Ok(()));
        check(json!({"user": "a", "issuedUntil": "2026-11-21T10:00:00Z"}), "a", "1", "09:00", revoked);
    }

    #[test]
    fn accounts() {
        let mut known = Credentials::default();
        let account = |uid: &str| json!({"metadata": {"uid": uid}});
        let mut set = |object: Option<&Json>| known.set("", "serviceaccounts", "ns", "a", object);
        // Nobody could have been it before it was there.
        assert!(!set(Some(&account("1"))));
        assert!(set(Some(&account("2"))));
        assert_eq!(known.account_holds("ns", "a", "2"), Ok(()));
        assert_eq!(known.account_holds("ns", "a", "1"), Err(Lapsed::AccountGone));
        assert_eq!(known.account_holds("other", "a", "2"), Err(Lapsed::AccountGone));
        assert!(known.set("", "serviceaccounts", "ns", "a", None));
        assert_eq!(known.account_holds("ns", "a", "2"), Err(Lapsed::AccountGone));
    }
}
