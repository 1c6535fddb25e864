//! Questions about oneself: who am I, may I do this, what may I do; and whose a token is. Their objects are answered and never stored.

use crate::{
    answer,
    body::Body,
    caller::Caller,
    decode, fault, key, negotiate,
    request::not_allowed,
    server::{self, ApiServer},
};
use http::{HeaderMap, Method, Response, StatusCode};
use jiff::Timestamp;
use lab_access::{Access, Ask, Refusal, Verdict};
use lab_object::{FieldError, GroupVersionKind, Json, Status, Time};
use serde_json::json;
use std::error::Error;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// Who am I?
    Subject,
    /// May I do this?
    Access,
    /// What may I do?
    Rules,
    /// Whose is this token?
    Token,
}

/// A question as it is asked in one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Review {
    pub question: Question,
    pub group: &'static str,
    pub version: &'static str,
    pub resource: &'static str,
    pub kind: &'static str,
}

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

/// Every question. Who one is was asked in a beta version before kubectl 1.28.
pub(crate) const REVIEWS: [Review; 5] = [
    Review {
        question: Question::Subject,
        group: AUTHENTICATION,
        version: "v1",
        resource: "selfsubjectreviews",
        kind: "SelfSubjectReview",
    },
    Review {
        question: Question::Subject,
        group: AUTHENTICATION,
        version: "v1beta1",
        resource: "selfsubjectreviews",
        kind: "SelfSubjectReview",
    },
    Review {
        question: Question::Access,
        group: AUTHORIZATION,
        version: "v1",
        resource: "selfsubjectaccessreviews",
        kind: "SelfSubjectAccessReview",
    },
    Review {
        question: Question::Rules,
        group: AUTHORIZATION,
        version: "v1",
        resource: "selfsubjectrulesreviews",
        kind: "SelfSubjectRulesReview",
    },
    Review {
        question: Question::Token,
        group: AUTHENTICATION,
        version: "v1",
        resource: "tokenreviews",
        kind: "TokenReview",
    },
];

impl Review {
    /// The question that is asked at a path, and the tenant it is asked about.
    pub(crate) fn at(path: &str) -> Option<(&str, &'static Self)> {
        let (tenant, rest) = match path.strip_prefix("/clusters/") {
            Some(rest) => rest.split_once('/')?,
            None => (key::DEFAULT_TENANT, path.strip_prefix('/')?),
        };
        let mut parts = rest.strip_prefix("apis/")?.splitn(3, '/');
        let (group, version, resource) = (parts.next()?, parts.next()?, parts.next()?);
        let asked =
            |review: &&Self| (review.group, review.version, review.resource) == (group, version, resource);
        REVIEWS.iter().find(asked).map(|review| (tenant, review))
    }

    fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind { group: self.group.into(), version: self.version.into(), kind: self.kind.into() }
    }
}

/// A question that was asked.
pub(crate) struct Asked<'a> {
    pub server: &'a ApiServer,
    pub review: &'static Review,
    pub tenant: &'a str,
    pub caller: &'a Caller,
    pub headers: &'a HeaderMap,
}

impl Asked<'_> {
    /// Answers it: 201 with the object that was sent and its status.
    pub(crate) async fn answer<B>(&self, method: &Method, body: B) -> Result<Response<Body>, Status>
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if method != Method::POST {
            return Err(not_allowed(method));
        }
        negotiate::view(self.headers)?;
        let access = self.server.authorizer.access(self.caller, self.tenant);
        let review = self.review;
        let ask = Ask { verb: "create", group: review.group, resource: review.resource, subresource: "" };
        if let Verdict::Denied(why) = access.admit(&ask) {
            return Err(crate::caller::forbidden_path(self.caller, "post", review.resource, &why));
        }
        let body = server::read(self.headers, body).await?;
        let mut object = decode::typed(negotiate::body_format(self.headers)?, &body, &review.gvk())?.object;
        let status = match review.question {
            Question::Subject => self.subject(),
            Question::Access => self.access(&access, &object["spec"]).await?,
            Question::Rules => self.rules(&access),
            Question::Token => self.token(&mut object["spec"]),
        };
        object["status"] = status;
        object["metadata"]["creationTimestamp"] = Time(Timestamp::now()).to_string().into();
        let created = answer::with(StatusCode::CREATED, negotiate::JSON, answer::encode(&object).into());
        Ok(answer::compressed(self.headers, created))
    }

    fn subject(&self) -> Json {
        let groups = self.server.authorizer.groups(self.caller);
        json!({"userInfo": {"username": self.caller.user, "groups": groups}})
    }

    /// Says who a token stands for, where it is good for one of the audiences that are asked about. The token is not repeated.
    fn token(&self, spec: &mut Json) -> Json {
        let token = spec["token"].take();
        let asked: Vec<&str> =
            spec["audiences"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        let asked = if asked.is_empty() { vec![lab_pki::ISSUER] } else { asked };
        let (token, now) = (token.as_str().unwrap_or_default(), Timestamp::now());
        match self.server.of_token(token, &asked, now) {
            Ok(known) => {
                let fits = |audience: &&str| self.server.of_token(token, &[*audience], now).is_ok();
                let audiences: Vec<_> = asked.into_iter().filter(fits).collect();
                let groups = self.server.authorizer.groups(&known);
                json!({"authenticated": true, "user": {"username": known.user, "groups": groups},
                    "audiences": audiences})
            }
            Err(why) => json!({"authenticated": false, "error": why}),
        }
    }

    fn rules(&self, access: &Access) -> Json {
        let rules = access.rules(&self.server.registry);
        let mut status = json!({"resourceRules": rules.resources, "nonResourceRules": rules.paths,
            "incomplete": !rules.partial.is_empty()});
        if !rules.partial.is_empty() {
            let why = format!("of {} only those objects that a permission reaches", rules.partial.join(", "));
            status["evaluationError"] = why.into();
        }
        status
    }

    async fn access(&self, access: &Access, spec: &Json) -> Result<Json, Status> {
        let outcome = match (&spec["resourceAttributes"], &spec["nonResourceAttributes"]) {
            (Json::Object(_), Json::Object(_)) | (Json::Null, Json::Null) => {
                let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
                let error = FieldError::invalid("spec.resourceAttributes", &spec["resourceAttributes"], why);
                return Err(Status::invalid(self.review.kind, self.review.group, "", &[error]));
            }
            (_, Json::Object(path)) => {
                access.admit_path(path.get("path").and_then(Json::as_str).unwrap_or_default()).map(|()| None)
            }
            (attributes, _) => self.objects(access, attributes).await?,
        };
        Ok(match outcome {
            Ok(None) => json!({"allowed": true}),
            Ok(Some(reason)) => json!({"allowed": true, "reason": reason}),
            Err(reason) => json!({"allowed": false, "reason": reason}),
        })
    }

    /// Whether something may be done with objects: with the named one as it is, without a name with any of them. Yes or
    /// no, each with what there is to say about it.
    async fn objects(
        &self,
        access: &Access,
        attributes: &Json,
    ) -> Result<Result<Option<&'static str>, String>, Status> {
        let text = |field: &str| attributes[field].as_str().unwrap_or_default();
        let (group, resource, verb) = (text("group"), text("resource"), text("verb"));
        let ask = Ask { verb, group, resource, subresource: text("subresource") };
        match access.admit(&ask) {
            Verdict::Allowed => return Ok(Ok(None)),
            Verdict::Denied(why) => return Ok(Err(why)),
            Verdict::Depends => {}
        }
        let kinds = self.server.registry.kinds();
        let kind = kinds.iter().find(|kind| kind.group == group && kind.plural == resource);
        let (Some(kind), name) = (kind, text("name")) else { return Ok(Ok(None)) };
        if name.is_empty() || verb == "create" {
            return Ok(Ok(Some("for those objects that a permission reaches")));
        }
        let key = key::object(self.tenant, kind, text("namespace"), name);
        let (found, _) = self.server.store.get(&key, None).await.map_err(|error| fault::store(&error))?;
        let absent = || Err(format!("there is no {} {name:?} that this user may see", kind.singular));
        let Some(entry) = found else { return Ok(absent()) };
        let object: Json = serde_json::from_slice(&entry.value).map_err(fault::internal)?;
        let new = matches!(verb, "update" | "patch").then_some(&object);
        Ok(match access.decide(&ask, Some(&object), new) {
            Ok(()) => Ok(None),
            Err(Refusal::Hidden) => absent(),
            Err(Refusal::Forbidden(why)) => Err(why),
        })
    }
}
