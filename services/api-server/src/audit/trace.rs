//! What becomes known of one request on its way, for its entry in the trail.

use crate::{caller::Caller, key, request::RequestInfo};
use http::{header, request::Parts};
use lab_kinds::Subresource;
use lab_kinds::audit::{Actor, AuditEntry, Outcome, Target};
use lab_object::Reason;
use parking_lot::Mutex;
use uuid::Uuid;

/// Most characters of one text in an entry; a longer one is cut.
const LONGEST: usize = 256;
/// Most groups in an entry.
const GROUPS: usize = 32;

/// What is known of a request. It is filled in on the request's way; whether it is recorded shows at its end.
pub struct Trace(Mutex<Known>);

struct Known {
    entry: AuditEntry,
    /// It is recorded whatever comes of it.
    due: bool,
    /// Somebody said what it is.
    named: bool,
    /// Name and code in the entry of the change that was made last.
    made: Option<(String, i32)>,
}

impl Trace {
    /// Nothing but who asks, and by which path.
    pub(crate) fn new(id: Uuid, parts: &Parts, caller: &Caller) -> Self {
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let mut entry = AuditEntry {
            request: id.hyphenated().to_string(),
            user: Actor::default(),
            from: caller.address.map(|address| address.to_string()).unwrap_or_default(),
            client: cut(agent.unwrap_or_default()),
            verb: parts.method.as_str().to_ascii_lowercase(),
            path: cut(parts.uri.path()),
            ..AuditEntry::default()
        };
        entry.user = actor(caller);
        Self(Mutex::new(Known { entry, due: false, named: false, made: None }))
    }

    /// Names what is done when it is no verb of the API, such as `login`, and has it recorded whatever comes of it.
    pub fn name_verb(&self, verb: &str) {
        let mut known = self.0.lock();
        known.entry.verb = verb.into();
        (known.due, known.named) = (true, true);
    }

    /// Says who it is, where that shows only from what they send, as with a login.
    pub fn name_user(&self, user: &str, credential: &str) {
        let mut known = self.0.lock();
        (known.entry.user.name, known.entry.user.credential) = (cut(user), cut(credential));
    }

    /// Says what it is done to.
    pub fn name_object(&self, group: &str, resource: &str, name: &str) {
        let mut known = self.0.lock();
        known.entry.path.clear();
        known.entry.object.group = group.into();
        known.entry.object.resource = resource.into();
        known.entry.object.name = cut(name);
    }

    /// Adds what else there is to say. Nothing that is secret, of course.
    pub fn note(&self, note: &str) {
        self.0.lock().entry.note = cut(note);
    }

    /// Has it recorded whatever comes of it.
    pub(crate) fn is_due(&self) {
        self.0.lock().due = true;
    }

    pub(crate) fn is_named(&self) -> bool {
        self.0.lock().named
    }

    /// It turned out to be a request for objects.
    pub(crate) fn objects(&self, info: &RequestInfo) {
        let mut known = self.0.lock();
        let tenant = if info.tenant == key::DEFAULT_TENANT { "" } else { &info.tenant };
        // Lines of machines' logs, several times a second, change no object.
        known.due |= !info.verb.is_read() && info.subresource != Some(Subresource::Logs);
        known.entry.verb = info.verb.as_str().into();
        known.entry.path.clear();
        known.entry.dry_run = info.query.dry_run;
        known.entry.object = Target {
            tenant: tenant.into(),
            group: info.kind.group.clone(),
            resource: info.kind.plural.clone(),
            subresource: info.subresource.as_ref().map_or("", |part| part.path()).into(),
            namespace: info.namespace.clone(),
            name: info.name.clone(),
        };
    }

    /// The name of the object, where the path does not say it.
    pub(crate) fn object_name(&self, name: &str) {
        self.0.lock().entry.object.name = cut(name);
    }

    /// The entry for a change of an object, unless one was made of it already.
    pub(crate) fn change(&self, name: &str, code: u16) -> Option<AuditEntry> {
        let mut known = self.0.lock();
        if known.made.as_ref().is_some_and(|(made, _)| made == name) {
            return None;
        }
        known.entry.object.name = cut(name);
        let result = Outcome { code: code.into(), reason: String::new() };
        Some(AuditEntry { result, ..known.entry.clone() })
    }

    /// The change was made, and its entry with it.
    pub(crate) fn made(&self, name: &str, code: u16) {
        self.0.lock().made = Some((name.into(), code.into()));
    }

    /// The entry that is still missing once the answer is known.
    pub(crate) fn last_entry(&self, code: u16, reason: Option<Reason>) -> Option<AuditEntry> {
        let known = self.0.lock();
        let code = i32::from(code);
        let wanted = match &known.made {
            Some((_, made)) => *made != code,
            None => known.due || matches!(code, 401 | 403),
        };
        let reason = reason.map(|reason| format!("{reason:?}")).unwrap_or_default();
        wanted.then(|| AuditEntry { result: Outcome { code, reason }, ..known.entry.clone() })
    }
}

/// Who calls.
pub(crate) fn actor(caller: &Caller) -> Actor {
    let mut groups: Vec<String> = caller.groups.iter().take(GROUPS).map(|group| cut(group)).collect();
    if caller.groups.len() > GROUPS {
        groups.push(format!("and {} more", caller.groups.len() - GROUPS));
    }
    Actor { name: cut(&caller.user), groups, credential: cut(&caller.credential) }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.into(),
    }
}
