//! Recording writes that are no apply.

use super::fields::FieldSet;
use super::managers::{self, Manager, Operation};
use super::{ApplyContext, compare};
use crate::Json;

/// Managers that wrote by update are kept apart up to this number; then the oldest are put together.
const UPDATERS: usize = 10;
/// Under this name.
const OLDEST: &str = "ancient-changes";
/// Who owns what was there when an object without managed fields is first applied to.
const BEFORE: &str = "before-first-apply";

/// Keeps the managed fields of `new` after a write that is no apply; `old` is the stored object, `None` on create.
///
/// Fields that changed become this manager's and nobody else's; removed ones leave every set. The time moves when the
/// manager set a field; where nothing changed, the list stays as it was. A list that the client sent is taken
/// where it can be read (not through subresources); exactly `[{}]` clears it, after which nothing is recorded until the
/// next apply.
pub fn track_update(ctx: &ApplyContext<'_>, old: Option<&Json>, new: &mut Json) {
    let sent = managers::take(new);
    let Some(old) = old else {
        let created = Manager::updater(ctx, compare::all_fields(ctx.schema, new));
        *new = managers::put(std::mem::take(new), vec![created]);
        return;
    };
    let stored = old.get("metadata").and_then(|m| m.get("managedFields"));
    if ctx.subresource.is_empty() && sent.as_ref().is_some_and(is_reset) {
        return;
    }
    let changes = compare::objects(ctx.schema, old, new);
    let edited = sent.as_ref().filter(|sent| ctx.subresource.is_empty() && Some(*sent) != stored);
    let edited = edited.and_then(managers::read);
    let edited = edited.filter(|list| !list.is_empty());
    if changes.is_empty() && edited.is_none() {
        return managers::put_list(new, stored.cloned());
    }
    let mut managers = match edited {
        Some(managers) => managers,
        None => stored.and_then(managers::read).unwrap_or_default(),
    };
    if managers.is_empty() {
        return;
    }
    record(ctx, &mut managers, changes.set(), &changes.removed);
    *new = managers::put(std::mem::take(new), managers);
}

/// The entry that owns all there is before anything was applied.
pub(super) fn before_first_apply(ctx: &ApplyContext<'_>, live: &Json) -> Vec<Manager> {
    let ctx = ApplyContext { manager: BEFORE, subresource: "", ..*ctx };
    vec![Manager::updater(&ctx, compare::all_fields(ctx.schema, live))]
}

/// `[{}]`: how a client asks for the list to be cleared.
fn is_reset(sent: &Json) -> bool {
    sent.as_array().is_some_and(|list| matches!(list.as_slice(), [Json::Object(entry)] if entry.is_empty()))
}

fn record(ctx: &ApplyContext<'_>, managers: &mut Vec<Manager>, set: FieldSet, removed: &FieldSet) {
    for manager in managers.iter_mut() {
        manager.fields.subtract(removed);
        manager.fields.subtract(&set);
    }
    if set.is_empty() {
        return;
    }
    match managers.iter_mut().find(|m| m.is(ctx, Operation::Update)) {
        Some(own) => {
            own.fields.unite(&set);
            own.time = Some(ctx.now);
        }
        None => managers.push(Manager::updater(ctx, set)),
    }
    cap(managers);
}

/// Puts the oldest updaters of each version together while there are too many.
fn cap(managers: &mut Vec<Manager>) {
    let is_updater = |m: &Manager| m.operation == Operation::Update && !m.fields.is_empty();
    let mut updaters = managers.iter().filter(|m| is_updater(m)).count();
    while updaters > UPDATERS {
        let single = |m: &Manager| is_updater(m) && m.name != OLDEST;
        let oldest = (0..managers.len()).filter(|&i| single(&managers[i])).min_by_key(|&i| managers[i].time);
        let Some(oldest) = oldest.map(|i| managers.remove(i)) else { return };
        let bucket = |m: &&mut Manager| {
            m.name == OLDEST && m.operation == Operation::Update && m.api_version == oldest.api_version
        };
        match managers.iter_mut().find(bucket) {
            Some(bucket) => {
                bucket.fields.unite(&oldest.fields);
                bucket.time = bucket.time.max(oldest.time);
                updaters -= 1;
            }
            None => managers.push(Manager { name: OLDEST.into(), subresource: String::new(), ..oldest }),
        }
    }
}
