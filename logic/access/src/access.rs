//! What one caller may do: compiled once from the policy, asked for every request.

use crate::{
    ask::{Ask, Domain, path_action},
    facts::Facts,
    grants::Grants,
    machine::Machine,
    permission::{Action, Permission, Scope},
    policy::Policy,
};
use lab_object::Json;
use std::{collections::BTreeMap, sync::Arc};

/// Every role's permissions, by its name.
pub(crate) type Roles = BTreeMap<String, Vec<Permission>>;

/// What one caller may do. Two that are equal decide alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access(pub(crate) Holder);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// May do everything.
    Everything,
    /// May do what roles permit.
    Granted {
        grants: Grants,
        /// What roles permit, by which bindings are judged.
        roles: Arc<Roles>,
    },
    /// A machine.
    Machine(Machine),
    /// May do nothing, and why.
    Nothing(&'static str),
}

/// Which of the servers that stand together somebody sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// All of them.
    All,
    /// Those that a permission names.
    Some,
    /// None of them.
    None,
}

/// What is known before any object is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Permitted, whichever object it is about and whatever is written.
    Allowed,
    /// Permitted for some objects or some changes: each has to be decided on.
    Depends,
    /// Forbidden for every object, and why.
    Denied(String),
}

/// Why an object is withheld.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The caller may not even know that it exists: the answer is that of an object which does not.
    Hidden,
    /// The caller may see it, but not do this to it; the reason, for people.
    Forbidden(String),
}

impl Access {
    /// Everything, as for members of `system:masters` and the parts of the program itself.
    pub const EVERYTHING: Self = Self(Holder::Everything);

    /// Nothing, for a reason.
    pub const fn nothing(why: &'static str) -> Self {
        Self(Holder::Nothing(why))
    }

    /// What is left of it for who may do no more than these permissions: that which both allow. A machine's identity is
    /// never narrowed, as no token stands for one.
    pub fn narrowed(&self, to: &[Permission], roles: &Policy) -> Self {
        match &self.0 {
            Holder::Everything => {
                Self(Holder::Granted { grants: to.iter().collect(), roles: roles.roles.clone() })
            }
            Holder::Granted { grants, roles } => {
                Self(Holder::Granted { grants: grants.narrowed(to), roles: roles.clone() })
            }
            Holder::Nothing(why) => Self::nothing(why),
            Holder::Machine(_) => Self::nothing("a token cannot stand for a machine"),
        }
    }

    /// Whether there is nothing to decide.
    pub fn is_everything(&self) -> bool {
        self.0 == Holder::Everything
    }

    /// Decides before any object is looked at.
    pub fn admit(&self, ask: &Ask<'_>) -> Verdict {
        if ask.domain() == Domain::Review && ask.verb == "create" && !matches!(self.0, Holder::Nothing(_)) {
            return Verdict::Allowed;
        }
        match &self.0 {
            Holder::Everything => Verdict::Allowed,
            Holder::Nothing(why) => Verdict::Denied((*why).into()),
            Holder::Machine(machine) if machine.may_ask(ask) => Verdict::Depends,
            Holder::Machine(_) => {
                Verdict::Denied("it is not among what this machine's identity needs".into())
            }
            Holder::Granted { grants, .. } => admit_granted(grants, ask),
        }
    }

    /// Decides about a path that is no object's.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn admit_path(&self, path: &str) -> Result<(), String> {
        match (&self.0, path_action(path)) {
            (Holder::Nothing(why), _) => Err((*why).into()),
            (Holder::Everything, _) | (_, None) => Ok(()),
            (Holder::Granted { grants, .. }, Some(action)) if grants.permit_everywhere(action) => Ok(()),
            (_, Some(action)) => Err(needs(action, Scope::EVERYWHERE)),
        }
    }

    /// Whether the caller may see an object of the asked kind. `list` and `watch` leave out what they may not see; for
    /// every other verb such an object does not exist.
    pub fn sees(&self, ask: &Ask<'_>, object: &Facts<'_>) -> bool {
        let look = Ask { verb: "get", subresource: "", ..*ask };
        self.permits(&look, look.action(), object)
    }

    /// Whether the caller may see a server: the same as [`Self::sees`], for who keeps these three at hand. `None` when
    /// that is not enough to know.
    pub fn sees_server(&self, at: Scope<'_>) -> Option<bool> {
        match &self.0 {
            Holder::Everything => Some(true),
            Holder::Granted { grants, .. } => Some(grants.permit(Action::Read, at)),
            Holder::Nothing(_) => Some(false),
            Holder::Machine(_) => None,
        }
    }

    /// The same for all servers of a cloud and an environment at once, so that a list needs to decide only once about
    /// each. `None` when that is not enough to know.
    pub fn sees_servers_at(&self, cloud: Option<&str>, environment: Option<&str>) -> Option<Sight> {
        match &self.0 {
            Holder::Everything => Some(Sight::All),
            Holder::Granted { grants, .. } => {
                let at = Scope { cloud, environment, server: None };
                Some(match grants.permit(Action::Read, at) {
                    true => Sight::All,
                    false if grants.names_any(Action::Read, at) => Sight::Some,
                    false => Sight::None,
                })
            }
            Holder::Nothing(_) => Some(Sight::None),
            Holder::Machine(_) => None,
        }
    }

    /// Decides about one object: `old` as it is stored (none when it is created), `new` as it would be (none when it is
    /// read or deleted). Here alone it is decided what is answered:
    ///
    /// - Who may not see the stored object hears that there is none ([`Refusal::Hidden`]), as its existence is not
    ///   theirs to know: servers of other environments, roles beyond one's own reach, other machines.
    /// - Who may see it, or brings a new one, hears what is missing ([`Refusal::Forbidden`]).
    /// - Who has nothing to do with a kind at all hears that before any object is looked at ([`Verdict::Denied`]), and
    ///   learns nothing by it.
    ///
    /// Only that a name is taken cannot be hidden: whoever may create an object and chooses the name of a hidden one hears
    /// that it exists.
    ///
    /// A change needs its action on the object as it was and on what it becomes, so that nobody moves a server, a role or
    /// a token into their reach or out of it, or grants what they do not hold.
    ///
    /// # Errors
    /// Why not.
    pub fn decide(&self, ask: &Ask<'_>, old: Option<&Json>, new: Option<&Json>) -> Result<(), Refusal> {
        if self.is_everything() || self.admit(ask) == Verdict::Allowed {
            return Ok(());
        }
        if let Verdict::Denied(why) = self.admit(ask) {
            return Err(Refusal::Forbidden(why));
        }
        let facts = |object| {
            Facts::of(object).map_err(|error| Refusal::Forbidden(format!("it cannot be judged: {error}")))
        };
        let before = old.map(facts).transpose()?;
        let after = new.map(facts).transpose()?;
        if before.as_ref().is_some_and(|before| !self.sees(ask, before)) {
            return Err(Refusal::Hidden);
        }
        let action = ask.action_for(old, new);
        for object in [&before, &after].into_iter().flatten() {
            if !self.permits(ask, action, object) {
                return Err(Refusal::Forbidden(self.missing(ask, action, object)));
            }
        }
        match &self.0 {
            Holder::Machine(_) => {
                Machine::refuses(ask, old, new).map_or(Ok(()), |why| Err(Refusal::Forbidden(why.into())))
            }
            _ => Ok(()),
        }
    }

    /// Whether an action is permitted on an object.
    fn permits(&self, ask: &Ask<'_>, action: Action, object: &Facts<'_>) -> bool {
        match &self.0 {
            Holder::Everything => true,
            Holder::Nothing(_) => false,
            Holder::Machine(machine) => machine.may_ask(ask) && machine.owns(ask, object),
            Holder::Granted { grants, roles } => {
                granted(grants, ask.domain(), action) || reaches(grants, roles, ask.domain(), action, object)
            }
        }
    }

    /// What a refused caller lacks.
    fn missing(&self, ask: &Ask<'_>, action: Action, object: &Facts<'_>) -> String {
        match (&self.0, ask.domain()) {
            (Holder::Machine(_), _) => "it is not this machine's".into(),
            (_, Domain::Server | Domain::JoinToken) => needs(action, place(ask.domain(), object)),
            (_, Domain::Role | Domain::RoleBinding) => {
                "nobody gives what they do not administer: this needs admin wherever the role reaches".into()
            }
            _ => needs(action, Scope::EVERYWHERE),
        }
    }
}

/// Decides by what was granted, before any object is looked at.
fn admit_granted(grants: &Grants, ask: &Ask<'_>) -> Verdict {
    let (domain, action) = (ask.domain(), ask.action());
    if granted(grants, domain, ask.most()) {
        return Verdict::Allowed;
    }
    let partial = matches!(domain, Domain::Server | Domain::Role | Domain::RoleBinding | Domain::JoinToken);
    if partial && grants.reach(action) {
        return Verdict::Depends;
    }
    let scope = if partial { "some environment" } else { "every environment" };
    Verdict::Denied(format!("this needs {action} on {scope}"))
}

/// Whether an action is permitted on all objects.
fn granted(grants: &Grants, domain: Domain, action: Action) -> bool {
    grants.permit_everywhere(action)
        || (domain == Domain::Shared && action == Action::Read && !grants.is_empty())
}

/// Whether an action is permitted on this object, by where it stands or how far it reaches.
fn reaches(grants: &Grants, roles: &Roles, domain: Domain, action: Action, object: &Facts<'_>) -> bool {
    let administers = |permission: &Permission| grants.permit(Action::Admin, permission.scope());
    match domain {
        Domain::Server => grants.permit(action, place(domain, object)),
        Domain::JoinToken => object.environment().is_some() && grants.permit(action, place(domain, object)),
        Domain::Role => {
            grants.reach(action)
                && object.permissions().all(|text| text.parse().is_ok_and(|p: Permission| administers(&p)))
        }
        Domain::RoleBinding => {
            let role = object.role().and_then(|role| roles.get(role));
            grants.reach(action) && role.is_some_and(|role| role.iter().all(administers))
        }
        Domain::Shared | Domain::Global | Domain::Secret | Domain::Review => false,
    }
}

/// Where an object stands.
fn place<'f>(domain: Domain, object: &'f Facts<'_>) -> Scope<'f> {
    match domain {
        Domain::JoinToken => {
            Scope { cloud: None, environment: object.environment(), server: object.server() }
        }
        _ => Scope { cloud: object.cloud(), environment: object.environment(), server: object.name() },
    }
}

fn needs(action: Action, at: Scope<'_>) -> String {
    format!("this needs the permission {action}:{at}")
}
