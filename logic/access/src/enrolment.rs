//! Who may come in with a join token: decided from the token, the object of who wants in, and the time.

use jiff::Timestamp;
use lab_kinds::iam::{JoinToken, join_token::Joiner};
use lab_object::Json;

/// Why somebody does not come in; for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The token was good until then.
    #[error("the join token has expired")]
    Expired,
    /// As many came in with it as may.
    #[error("the join token was used as often as it may be")]
    UsedUp,
    /// The token is for somebody else.
    #[error("the join token is for {for_whom}")]
    NotForYou {
        /// Whom it is for.
        for_whom: String,
    },
    /// A machine has this identity already, and the token does not say that this one may take it over.
    #[error(
        "{who} has joined before, and its certificate still holds; only a token {instead} lets it join again"
    )]
    JoinedBefore {
        /// Who joined.
        who: String,
        /// Which token would do.
        instead: &'static str,
    },
    /// It is not said who wants in.
    #[error("{0}")]
    Nameless(&'static str),
}

/// Whether a token can be used at all.
///
/// # Errors
/// It has expired or is used up.
pub fn usable(token: &JoinToken, now: Timestamp) -> Result<(), Refused> {
    if token.spec.expires.is_some_and(|end| now >= end.0) {
        return Err(Refused::Expired);
    }
    if token.status.used >= token.spec.uses { Err(Refused::UsedUp) } else { Ok(()) }
}

/// The name under which somebody joins: the one they give, or that the token is for.
///
/// # Errors
/// Neither is there, or they differ.
pub fn name<'n>(token: &'n JoinToken, given: Option<&'n str>) -> Result<Option<&'n str>, Refused> {
    match (token.spec.joiner, token.spec.server.as_deref(), given) {
        (Joiner::Bastion, _, None) => {
            Err(Refused::Nameless("a bastion joins under a name: spec.name is missing"))
        }
        (_, Some(only), Some(given)) if only != given => {
            Err(Refused::NotForYou { for_whom: format!("the server {only:?}") })
        }
        (_, only, given) => Ok(only.or(given)),
    }
}

/// Whether a bastion may come in with a token, as the object of its name is now (`None` when there is none).
///
/// A new one becomes one of the token's site. One that is there has to be of that site; whoever serves a site may stand in
/// for another bastion of it.
///
/// # Errors
/// It may not.
pub fn bastion(token: &JoinToken, found: Option<&Json>) -> Result<(), Refused> {
    let Some(found) = found else { return Ok(()) };
    let site = found.pointer("/spec/site").and_then(Json::as_str);
    if site == token.spec.site.as_deref() {
        return Ok(());
    }
    let for_whom = match &token.spec.site {
        Some(site) => format!("bastions of the site {site:?}"),
        None => "bastions that have no site".into(),
    };
    Err(Refused::NotForYou { for_whom })
}

/// Whether a machine's agent may come in with a token, as its Server is now (`None` when there is none).
///
/// # Errors
/// It may not: it is in another environment; or it has joined before, and the token is not for it by name.
pub fn server(token: &JoinToken, found: Option<&Json>, now: Timestamp) -> Result<(), Refused> {
    let bound = token.spec.server.is_some();
    let Some(found) = found else {
        return match &token.spec.server {
            Some(only) => {
                Err(Refused::NotForYou { for_whom: format!("the server {only:?}, of which there is none") })
            }
            None => Ok(()),
        };
    };
    let environment = found.pointer("/spec/environment").and_then(Json::as_str);
    if let Some(only) = token.spec.environment.as_deref().filter(|only| Some(*only) != environment) {
        return Err(Refused::NotForYou { for_whom: format!("machines of the environment {only:?}") });
    }
    let expires = found.pointer("/status/agent/certificateExpires").and_then(Json::as_str);
    let holds = expires.and_then(|at| at.parse::<Timestamp>().ok()).is_some_and(|end| now < end);
    if holds && !bound {
        let name = found.pointer("/metadata/name").and_then(Json::as_str).unwrap_or_default();
        let who = format!("the server {name:?}");
        return Err(Refused::JoinedBefore { who, instead: "with spec.server" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn token(spec: Json, used: i32) -> JoinToken {
        serde_json::from_value(json!({"metadata": {"name": "t"}, "spec": spec, "status": {"used": used}}))
            .unwrap()
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-21T{text}:00Z").parse().unwrap()
    }

    #[test]
    fn tokens() {
        let end = "2026-11-21T12:00:00Z";
        let check = |spec: Json, used: i32, time: &str, expected: Result<(), Refused>| {
            assert_eq!(usable(&token(spec.clone(), used), at(time)), expected, "{spec} {used} {time}");
        };
        check(json!({"joiner": "agent", "expires": end}), 0, "11:59", Ok(()));
        check(json!({"joiner": "agent", "expires": end}), 0, "12:00", Err(Refused::Expired));
        check(json!({"joiner": "agent"}), 1, "11:00", Err(Refused::UsedUp));
        check(json!({"joiner": "agent", "uses": 2}), 1, "11:00", Ok(()));
        check(json!({"joiner": "agent", "uses": 2}), 2, "11:00", Err(Refused::UsedUp));
    }

    #[test]
    fn names() {
        let check = |spec: Json, given: Option<&str>, expected: Option<Option<&str>>| {
            assert_eq!(name(&token(spec.clone(), 0), given).ok(), expected, "{spec} {given:?}");
        };
        check(json!({"joiner": "bastion"}), Some("b"), Some(Some("b")));
        check(json!({"joiner": "bastion"}), None, None);
        check(json!({"joiner": "agent"}), None, Some(None));
        check(json!({"joiner": "agent", "server": "s"}), None, Some(Some("s")));
        check(json!({"joiner": "agent", "server": "s"}), Some("s"), Some(Some("s")));
        check(json!({"joiner": "agent", "server": "s"}), Some("t"), None);
    }

    #[test]
    fn bastions_and_servers() {
        let home = token(json!({"joiner": "bastion", "site": "home"}), 0);
        let anywhere = token(json!({"joiner": "bastion"}), 0);
        let of = |spec: Json| Some(json!({"metadata": {"name": "x"}, "spec": spec}));
        for (token, found, expected) in [
            (&home, None, true),
            (&home, of(json!({"site": "home"})), true),
            (&home, of(json!({"site": "away"})), false),
            (&home, of(json!({})), false),
            (&anywhere, of(json!({})), true),
            (&anywhere, of(json!({"site": "home"})), false),
        ] {
            assert_eq!(bastion(token, found.as_ref()).is_ok(), expected, "{found:?}");
        }
        let dev = token(json!({"joiner": "agent", "environment": "dev"}), 0);
        let open = token(json!({"joiner": "agent"}), 0);
        let bound = token(json!({"joiner": "agent", "server": "x"}), 0);
        let joined = |until: &str| {
            let mut server = of(json!({"environment": "dev"})).unwrap();
            server["status"] = json!({"agent": {"certificateExpires": format!("2026-11-21T{until}:00Z")}});
            Some(server)
        };
        for (token, found, expected) in [
            (&dev, None, true),
            (&dev, of(json!({"environment": "dev"})), true),
            (&dev, of(json!({"environment": "production"})), false),
            (&dev, of(json!({})), false),
            (&dev, joined("13:00"), false),
            (&dev, joined("11:00"), true),
            (&open, of(json!({"environment": "production"})), true),
            (&open, joined("13:00"), false),
            (&bound, joined("13:00"), true),
            (&bound, None, false),
        ] {
            assert_eq!(server(token, found.as_ref(), at("12:00")).is_ok(), expected, "{found:?}");
        }
    }
}
