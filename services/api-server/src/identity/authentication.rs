//! Who calls: the certificate of the connection, or the token of the request.

use crate::{
    caller::{Account, Caller, Credential, unauthorized},
    server::ApiServer,
};
use http::{HeaderMap, header};
use jiff::Timestamp;
use lab_access::credentials::Lapsed;
use lab_object::{Reason, Status};
use lab_pki::{Bound, Claims};
use std::{borrow::Cow, sync::Arc, time::SystemTime};

/// Longest token that is looked at.
const MOST: usize = 16 * 1024;

impl ApiServer {
    /// Finds out who calls, with every request anew: what was revoked a moment ago counts no more, also on a connection that
    /// was made before. As in Kubernetes, a certificate goes before a token.
    ///
    /// 401 for what was shown and does not count. Nothing else says who somebody is: headers that proxies put in are not
    /// looked at, and a request in another's name is refused rather than carried out in one's own.
    pub(crate) fn authenticate<'c>(
        &self,
        headers: &HeaderMap,
        caller: &'c Caller,
    ) -> Result<Cow<'c, Caller>, Status> {
        if headers.keys().any(|name| name.as_str().starts_with("impersonate-")) {
            let why =
                "forbidden: this server lets nobody call in another's name (Impersonate-…, kubectl --as)";
            return Err(Status::failure(Reason::Forbidden, why));
        }
        let now = Timestamp::now();
        if !caller.is_anonymous() {
            self.authorizer.holds(caller, now).map_err(unauthorized)?;
            return Ok(Cow::Borrowed(caller));
        }
        match bearer(headers)? {
            None => Ok(Cow::Borrowed(caller)),
            Some(token) => {
                let known = self.of_token(token, &[lab_pki::ISSUER], now).map_err(unauthorized)?;
                Ok(Cow::Owned(Caller { address: caller.address, ..known }))
            }
        }
    }

    /// Who a token stands for; for people why none.
    pub(crate) fn of_token(&self, token: &str, audiences: &[&str], now: Timestamp) -> Result<Caller, String> {
        // By its hash: how long that takes says nothing about the token.
        let lapsed = match self.authorizer.token(&lab_pki::hash_token(token), now) {
            Ok(token) => {
                let caller = Caller::new(token.user.clone(), [AUTHENTICATED]);
                let credential = format!("token:{}", token.name).into();
                return Ok(Caller { credential, shown: Credential::Token(token), ..caller });
            }
            Err(lapsed) => lapsed,
        };
        let Some(issuer) = self.issuer.as_ref().filter(|_| lapsed == Lapsed::Unknown && is_signed(token))
        else {
            return Err(lapsed.to_string());
        };
        let claims = issuer
            .tokens
            .verify(token, audiences, SystemTime::from(now))
            .map_err(|error| error.to_string())?;
        let caller = of_account(claims);
        self.authorizer.holds(&caller, now).map_err(|lapsed| lapsed.to_string())?;
        Ok(caller)
    }
}

const AUTHENTICATED: &str = lab_access::policy::AUTHENTICATED;

/// A service account with the groups that Kubernetes gives it.
fn of_account(claims: Claims) -> Caller {
    let Claims { exp, jti, bound: Bound { namespace, serviceaccount, tenant }, .. } = claims;
    let all = "system:serviceaccounts";
    let groups = [all.to_owned(), format!("{all}:{namespace}"), AUTHENTICATED.to_owned()];
    let user = format!("system:serviceaccount:{namespace}:{}", serviceaccount.name);
    let expires =
        i64::try_from(exp).ok().and_then(|end| Timestamp::from_second(end).ok()).unwrap_or(Timestamp::MAX);
    let (name, uid) = (serviceaccount.name, serviceaccount.uid);
    let account = Account { tenant, namespace, name, uid, expires };
    let credential = format!("token:{jti}").into();
    Caller { credential, shown: Credential::Account(Arc::new(account)), ..Caller::new(user, groups) }
}

/// Whether a token looks like one that is signed (three parts between dots), rather than a random one.
fn is_signed(token: &str) -> bool {
    token.split('.').count() == 3
}

/// The token of `Authorization: Bearer` (RFC 6750 section 2.1). Other schemes prove nothing here.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Status> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(unauthorized("the request has several Authorization headers"));
    }
    let text = value.to_str().map_err(|_| unauthorized("the Authorization header is not text"))?;
    let Some((scheme, token)) = text.split_once(' ') else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = token.trim();
    if token.is_empty() || token.len() > MOST {
        return Err(unauthorized("the token is empty or too long"));
    }
    Ok(Some(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn headers() {
        let check = |values: &[&str], expected: Result<Option<&str>, u16>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(bearer(&headers).map_err(|status| status.code), expected, "{values:?}");
        };
        check(&[], Ok(None));
        check(&["Bearer abc"], Ok(Some("abc")));
        check(&["bearer  abc "], Ok(Some("abc")));
        check(&["Basic dXNlcjpwdw=="], Ok(None));
        check(&["Bearer"], Ok(None));
        check(&["Bearer "], Err(401));
        check(&["Bearer a", "Bearer b"], Err(401));
        check(&[&format!("Bearer {}", "x".repeat(MOST + 1))], Err(401));
    }
}
