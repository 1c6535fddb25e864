//! Who set which field: server-side apply and managed fields, after Kubernetes' rules.
//!
//! [`apply`] merges a configuration into an object for one manager; [`track_update`] records every other write.
//! Both keep `metadata.managedFields`. Nothing here reads a clock: the time is handed in.

mod compare;
mod config;
mod fields;
mod last_applied;
mod managers;
mod merge;
mod update;

pub use fields::{FieldSet, FieldsError};
pub use update::track_update;

use crate::{Cause, FieldError, Json, Reason, Schema, Status, StatusDetails, Time};
use managers::{Manager, Operation};
use std::{collections::BTreeMap, fmt};

/// Who writes, and through what.
#[derive(Debug, Clone, Copy)]
pub struct ApplyContext<'a> {
    /// Schema of the whole object.
    pub schema: &'a Schema,
    /// Name of the manager; see [`check_manager`].
    pub manager: &'a str,
    /// `apiVersion` of the request's path.
    pub api_version: &'a str,
    /// The subresource written through, such as `status`; empty for the object itself.
    pub subresource: &'a str,
    /// Whether the kind has a `status` subresource: what is applied to the object itself then neither sets nor owns
    /// `status`, and what is applied through `status` nothing else.
    pub status_apart: bool,
    /// The time of the request.
    pub now: Time,
    /// Whether [`apply`] takes over fields that others own.
    pub force: bool,
}

/// A field that is to become another value than its owner gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The owner.
    pub manager: String,
    /// How the owner set it: `Apply` or `Update`.
    pub operation: &'static str,
    /// The `apiVersion` the owner wrote in.
    pub api_version: String,
    /// The subresource the owner wrote through; empty for the object itself.
    pub subresource: String,
    /// The field, such as `.spec.replicas` or `.spec.nics[name="eth0"].mac`.
    pub field: String,
}

impl Conflict {
    /// The owner as Kubernetes prints it: `"kubectl" with subresource "scale" using apps/v1`.
    fn owner(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text += &format!(" with subresource {:?}", self.subresource);
        }
        if self.operation == Operation::Update.name() {
            text += &format!(" using {}", self.api_version);
        }
        text
    }
}

/// Why a configuration was not applied.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ApplyError {
    /// Others own fields that it would change: HTTP 409.
    #[error("{}", Conflicts(.0))]
    Conflicts(Vec<Conflict>),
    /// It carries managed fields, which only the server writes: HTTP 400.
    #[error("metadata.managedFields must be nil")]
    ManagedFields,
    /// It is written in another version than the request's path: HTTP 400.
    #[error(
        "Incorrect version specified in apply patch. Specified patch version: {found}, expected: {expected}"
    )]
    Version {
        /// What the configuration says.
        found: String,
        /// What the path says.
        expected: String,
    },
    /// A list whose elements are told apart has two alike, or one without its key: HTTP 422.
    #[error("{0}")]
    Element(FieldError),
}

impl ApplyError {
    /// The answer to the client; `kind`, `group` and `name` are the object's.
    pub fn status(&self, kind: &str, group: &str, name: &str) -> Status {
        match self {
            Self::Conflicts(conflicts) => {
                let causes = conflicts.iter().map(|c| Cause {
                    reason: "FieldManagerConflict".into(),
                    message: format!("conflict with {}", c.owner()),
                    field: c.field.clone(),
                });
                let details = StatusDetails { causes: causes.collect(), ..StatusDetails::default() };
                Status::failure(Reason::Conflict, self.to_string()).with_details(details)
            }
            Self::ManagedFields | Self::Version { .. } => {
                Status::failure(Reason::BadRequest, self.to_string())
            }
            Self::Element(error) => Status::invalid(kind, group, name, std::slice::from_ref(error)),
        }
    }
}

/// Conflicts as Kubernetes prints them: one on one line, several grouped by owner.
struct Conflicts<'a>(&'a [Conflict]);

impl fmt::Display for Conflicts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [one] = self.0 {
            return write!(f, "Apply failed with 1 conflict: conflict with {}: {}", one.owner(), one.field);
        }
        let mut by_owner = BTreeMap::<String, Vec<&str>>::new();
        for conflict in self.0 {
            by_owner.entry(conflict.owner()).or_default().push(&conflict.field);
        }
        write!(f, "Apply failed with {} conflicts: ", self.0.len())?;
        for (i, (owner, fields)) in by_owner.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}conflicts with {owner}:")?;
            fields.iter().try_for_each(|field| write!(f, "\n- {field}"))?;
        }
        Ok(())
    }
}

/// Checks a manager's name: at most 128 bytes, all printable. An empty one is for the caller to refuse or replace.
pub fn check_manager(name: &str) -> Result<(), FieldError> {
    let field = "fieldManager";
    if name.len() > 128 {
        let message = "Too long: may not be more than 128 bytes".into();
        return Err(FieldError { reason: "FieldValueTooLong", field: field.into(), message });
    }
    match name.chars().find(|c| c.is_control()) {
        Some(_) => Err(FieldError::invalid(field, &name.into(), "must hold only printable characters")),
        None => Ok(()),
    }
}

/// What `live` becomes when this manager applies `applied`, managed fields included.
///
/// - Fields of `applied` are set and owned by the manager.
/// - Fields it applied earlier and no longer does are removed, unless somebody else owns them too.
/// - A field that somebody else owns with another value is a conflict, unless `ctx.force` takes it over.
/// - Where nothing changes, the result equals `live`, times included.
///
/// `applied` holds only known fields (see the schema's `prune`); the result still needs defaults and validation.
pub fn apply(ctx: &ApplyContext<'_>, live: Option<&Json>, applied: &Json) -> Result<Json, ApplyError> {
    let config = config::accepted(ctx, applied)?;
    let owned = config::field_set(ctx.schema, &config)?;
    let Some(live) = live else {
        let managers = vec![Manager::applier(ctx, owned)];
        return Ok(managers::put(config, managers));
    };
    let mut live = live.clone();
    let managers = managers::take(&mut live).as_ref().and_then(managers::read).unwrap_or_default();
    let managers = if managers.is_empty() { update::before_first_apply(ctx, &live) } else { managers };

    let attempt = Attempt { ctx, live: &live, config: &config, owned };
    let (merged, managers) = match attempt.run(&managers, ctx.force) {
        Ok(done) => done,
        Err(conflicts) => {
            let conflicts = last_applied::without_own(ctx, &live, conflicts);
            if !conflicts.is_empty() {
                return Err(ApplyError::Conflicts(
                    conflicts.into_iter().map(|(_, conflict)| conflict).collect(),
                ));
            }
            attempt.run(&managers, true).unwrap_or_else(|_| unreachable!("a forced apply has no conflicts"))
        }
    };
    let mut merged = managers::put(merged, managers);
    last_applied::refresh(ctx, &mut merged, applied);
    Ok(merged)
}

/// A conflict beside the one path it is about.
type Contested = (FieldSet, Conflict);

/// One application, which may be tried without and with force.
struct Attempt<'a> {
    ctx: &'a ApplyContext<'a>,
    live: &'a Json,
    config: &'a Json,
    owned: FieldSet,
}

impl Attempt<'_> {
    fn run(&self, managers: &[Manager], force: bool) -> Result<(Json, Vec<Manager>), Vec<Contested>> {
        let (own, mut others): (Vec<_>, Vec<_>) =
            managers.iter().cloned().partition(|m| m.is(self.ctx, Operation::Apply));
        let last = own.into_iter().next();

        let mut merged = merge::merge(Some(self.ctx.schema), self.live, self.config);
        if let Some(last) = &last {
            let mut kept = self.owned.clone();
            others.iter().for_each(|other| kept.unite(&other.fields));
            merge::remove(self.ctx.schema, &mut merged, &last.fields, &kept);
        }
        let changes = compare::objects(self.ctx.schema, self.live, &merged);
        let unchanged = changes.is_empty();
        let set = changes.set();
        if !force {
            let conflicts: Vec<_> = others.iter().flat_map(|other| other.contested(&set)).collect();
            if !conflicts.is_empty() {
                return Err(conflicts);
            }
        }
        for other in &mut others {
            other.fields.subtract(&set);
            other.fields.subtract(&changes.removed);
        }
        let mut own = Manager::applier(self.ctx, self.owned.clone());
        if let Some(last) =
            last.filter(|l| unchanged && l.fields == own.fields && l.api_version == own.api_version)
        {
            own.time = last.time;
        }
        others.push(own);
        Ok((merged, others))
    }
}

#[cfg(test)]
mod tests;
