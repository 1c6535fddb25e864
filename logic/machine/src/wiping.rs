//! A machine that is given up and whose disks are to be wiped first: who holds its object until that is done.

use jiff::Timestamp;
use lab_kinds::core::Event;
use lab_kinds::metal::Server;
use lab_kinds::metal::server::WhenDeleted;
use lab_kinds::{Condition, ConditionStatus};
use lab_object::Time;

/// Stands in the object of a machine whose disks are to be wiped before it goes.
pub const FINALIZER: &str = "metal.lab/wipe";
/// The condition that says whether the disks were wiped, and which.
pub const WIPED: &str = "Wiped";

/// What has to be done to a Server's finalizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// It is as it should be.
    AsItIs,
    /// It is put in.
    Hold,
    /// It is taken out: nothing is to be wiped, or all is.
    LetGo,
}

/// Who is to be wiped when deleted is held from the moment that this is said; who is no more, or has been wiped, is let go.
pub fn holding(server: &Server) -> Holding {
    let held = server.metadata.finalizers.iter().any(|finalizer| finalizer == FINALIZER);
    let deleted = server.metadata.deletion_timestamp.is_some();
    let wanted = server.spec.when_deleted == Some(WhenDeleted::Wipe);
    match (held, wanted) {
        // Whoever is going cannot be held any more.
        (false, true) if !deleted => Holding::Hold,
        (true, false) => Holding::LetGo,
        (true, true) if deleted && wiped(server).is_some() => Holding::LetGo,
        _ => Holding::AsItIs,
    }
}

/// The condition that the disks were wiped since the object was deleted.
fn wiped(server: &Server) -> Option<&Condition> {
    let deleted = server.metadata.deletion_timestamp.map(|time| time.0)?;
    let since = |condition: &Condition| condition.last_transition_time.is_some_and(|time| time.0 >= deleted);
    let holds = |condition: &&Condition| condition.kind == WIPED && condition.status == ConditionStatus::True;
    server.status.conditions.iter().filter(holds).find(|condition| since(condition))
}

/// What stays of a machine that was wiped: an event that names its disks.
pub fn record(server: &Server, now: Timestamp) -> Option<Event> {
    let condition = wiped(server)?;
    let mut event = Event::default();
    let name = server.metadata.name.clone().unwrap_or_default();
    let uid = server.metadata.uid.clone().unwrap_or_default();
    // One for each machine, however often it is made.
    event.metadata.name = Some(format!("{name}.wiped.{}", uid.split('-').next().unwrap_or_default()));
    event.metadata.namespace = Some("default".into());
    event.involved_object.api_version = "metal.lab/v1alpha1".into();
    event.involved_object.kind = "Server".into();
    event.involved_object.name = name;
    event.involved_object.uid = uid;
    event.reason = "DisksWiped".into();
    event.message = condition.message.clone().unwrap_or_default();
    event.type_ = "Normal".into();
    event.source.component = "labd".into();
    (event.first_timestamp, event.last_timestamp, event.count) =
        (Some(Time::cut(now)), Some(Time::cut(now)), 1);
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).expect("it is a time"))
    }

    /// A Server: whether it is held, what is to become of it, when it was deleted and when it was wiped.
    fn server(held: bool, wish: Option<WhenDeleted>, deleted: Option<i64>, wiped: Option<i64>) -> Server {
        let mut server = Server::default();
        server.metadata.name = Some("a".into());
        server.metadata.uid = Some("1111-2222".into());
        server.metadata.finalizers = if held { vec![FINALIZER.into()] } else { Vec::new() };
        server.metadata.deletion_timestamp = deleted.map(at);
        server.spec.when_deleted = wish;
        server.status.conditions.extend(wiped.map(|second| Condition {
            kind: WIPED.into(),
            status: ConditionStatus::True,
            message: Some("disk sda".into()),
            last_transition_time: Some(at(second)),
            ..Condition::default()
        }));
        server
    }

    #[test]
    fn who_is_held() {
        use WhenDeleted::{Keep, Wipe};
        let check = |held, wish, deleted, wiped, expected| {
            let server = server(held, wish, deleted, wiped);
            assert_eq!(holding(&server), expected, "{held} {wish:?} {deleted:?} {wiped:?}");
        };
        check(false, None, None, None, Holding::AsItIs);
        check(false, Some(Keep), None, None, Holding::AsItIs);
        check(false, Some(Wipe), None, None, Holding::Hold);
        check(false, Some(Wipe), Some(5), None, Holding::AsItIs);
        check(true, Some(Wipe), None, None, Holding::AsItIs);
        check(true, Some(Wipe), Some(5), None, Holding::AsItIs);
        check(true, Some(Wipe), Some(5), Some(4), Holding::AsItIs);
        check(true, Some(Wipe), Some(5), Some(6), Holding::LetGo);
        check(true, Some(Keep), Some(5), None, Holding::LetGo);
        check(true, None, None, None, Holding::LetGo);
    }

    #[test]
    fn what_stays() {
        let now = Timestamp::from_second(9).expect("it is a time");
        let event =
            record(&server(true, Some(WhenDeleted::Wipe), Some(5), Some(6)), now).expect("it was wiped");
        assert_eq!(
            (event.message.as_str(), event.metadata.name.as_deref()),
            ("disk sda", Some("a.wiped.1111"))
        );
        assert_eq!(record(&server(true, Some(WhenDeleted::Wipe), Some(5), None), now), None);
    }
}
