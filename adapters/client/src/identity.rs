//! A machine's identity on its disk: joined once by a token, renewed before it runs out, and used by every client meanwhile.

mod file;
mod renewing;

use crate::{Backoff, Client, ConfigError, Connection, EnrolError, Joiner, Proxy, chain, enrol, enrolment};
use file::Kept;
use jiff::Timestamp;
use lab_object::Time;
use renewing::Renewing;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Longest time between two looks at the clock, which may be set.
const LOOK: Duration = Duration::from_secs(60);
/// Waits between attempts to reach the server.
const FIRST: Duration = Duration::from_millis(500);
const MOST: Duration = Duration::from_secs(5 * 60);

/// What lets a machine join. `Debug` does not show the token.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The server's URL.
    pub server: String,
    /// The hash of the key of the server's authority (`sha256:…`, as labd prints it).
    pub ca_hash: String,
    /// The join token. Secret.
    pub token: String,
    /// The HTTP proxy through which the server is reached, if it is.
    pub proxy: Option<Proxy>,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, ca_hash, .. } = self;
        f.debug_struct("Invitation").field("server", server).field("ca_hash", ca_hash).finish_non_exhaustive()
    }
}

/// Why a machine has no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read.
    #[error("cannot read the identity in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not one that was written here.
    #[error("{} is no identity ({why}); take it away and join anew with a token", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, without what it says.
        why: String,
    },
    /// The identity cannot be kept.
    #[error("cannot keep the identity in {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is none, and no token to join with.
    #[error("there is no identity in {} yet; give a join token", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The one that is there has run out, and there is no new token to join with.
    #[error("the identity in {} ran out at {expired}; give a new join token", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// Until when it held.
        expired: Time,
    },
    /// The server gave none.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
}

impl IdentityError {
    /// Whether the same may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Enrol(EnrolError::Call { source }) if source.is_transient())
    }
}

/// The identity of this machine: a key and a certificate in one file, which is a kubeconfig that only its owner may read.
/// Clones are the same identity.
#[derive(Clone)]
pub struct Identity {
    path: Arc<Path>,
    current: Arc<Renewing>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("path", &self.path).field("name", &self.name()).finish()
    }
}

impl Identity {
    /// Takes the identity that is kept in the file at `path`; `None` where there is no file. One that has run out is returned as
    /// well: see [`Identity::expires`].
    ///
    /// # Errors
    /// The file cannot be read, or is another one.
    pub fn open(path: &Path) -> Result<Option<Self>, IdentityError> {
        file::read(path)?.map(|kept| Self::of(path, kept)).transpose()
    }

    /// Joins with a token, and keeps what this machine is known by from then on in the file at `path`.
    ///
    /// # Errors
    /// The server is not reached, is another one, or refuses; or the file cannot be written.
    pub async fn join(
        path: &Path,
        invitation: &Invitation,
        joiner: &Joiner,
        now: Timestamp,
    ) -> Result<Self, IdentityError> {
        // A token that could not be kept would be spent for nothing.
        file::try_write(path)?;
        let Invitation { server, token, .. } = invitation;
        let joined = enrol(invitation, joiner).await?;
        let kept = Kept::new(joined, server, Some(file::digest(token)), now);
        let kept = Kept { proxy: invitation.proxy.clone(), ..kept };
        file::write(path, &kept)?;
        tracing::info!(identity = kept.identity, expires = %kept.expires, "joined");
        Self::of(path, kept)
    }

    /// The identity that is kept at `path`, or a new one by the invitation: where there is none, where it has run out, or where the
    /// invitation's token is another one than it was got with. Where the server is not reached, goes on trying until it is.
    ///
    /// A token that was used is no trouble, so that the program can be started in the same way again. Where there is an identity
    /// that holds, and a new one is not got at once, it goes on with that.
    ///
    /// # Errors
    /// There is neither an identity that holds nor a token; the server refuses the token or is another one; or the file cannot
    /// be read or written.
    pub async fn obtain(
        path: &Path,
        invitation: Option<&Invitation>,
        joiner: &Joiner,
        now: impl Fn() -> Timestamp,
        seed: u64,
    ) -> Result<Self, IdentityError> {
        let kept = Self::open(path)?;
        let fresh = invitation.filter(|i| kept.as_ref().is_none_or(|kept| !kept.came_by(&i.token)));
        let Some(invitation) = fresh else {
            let kept = kept.ok_or_else(|| IdentityError::Missing { path: path.into() })?;
            let expired = kept.expires();
            let path = path.into();
            return if expired.0 > now() { Ok(kept) } else { Err(IdentityError::Expired { path, expired }) };
        };
        let holds = kept.filter(|kept| kept.expires().0 > now());
        let backoff = Backoff { first: FIRST, most: MOST, seed };
        let mut failures = 0;
        loop {
            match (Self::join(path, invitation, joiner, now()).await, &holds) {
                (Err(error), Some(holds)) => {
                    tracing::warn!(
                        error = chain(&error),
                        "not joined anew; going on with the identity of before"
                    );
                    return Ok(holds.clone());
                }
                (Err(error), None) if error.is_transient() => {
                    failures += 1;
                    let wait = backoff.after(failures);
                    tracing::warn!(error = chain(&error), retry_in = ?wait, "not joined yet");
                    tokio::time::sleep(wait).await;
                }
                (done, _) => return done,
            }
        }
    }

    /// Who this machine is: `bastion:` and a name, or `server:` and a UID.
    pub fn name(&self) -> String {
        self.current.kept().identity.clone()
    }

    /// Until when the present certificate holds.
    pub fn expires(&self) -> Time {
        self.current.kept().expires
    }

    /// A client that calls as this machine. It goes on with each renewed certificate by itself. `program` is the user agent, and
    /// the manager of the fields that it writes.
    pub fn client(&self, program: &str) -> Client {
        Client::new(program, self.current.clone())
    }

    /// How the server is reached under the present certificate.
    ///
    /// # Errors
    /// What is kept cannot be used.
    pub fn connection(&self) -> Result<Connection, ConfigError> {
        self.current.kept().connection(&self.path)
    }

    /// The same identity with the server at another URL. It has to be the same server: its authority stays. Clients made before
    /// go on with the URL of before.
    ///
    /// # Errors
    /// The URL is none, or the file cannot be written.
    pub fn moved_to(self, server: &str) -> Result<Self, IdentityError> {
        let kept = self.current.kept();
        if kept.server == server {
            return Ok(self);
        }
        let moved = Kept { server: server.into(), ..(*kept).clone() };
        let identity = Self::of(&self.path, moved.clone())?;
        file::write(&self.path, &moved)?;
        Ok(identity)
    }

    /// The same identity with the server behind a proxy, or behind none. Clients made before go on as they did.
    ///
    /// # Errors
    /// What is kept cannot be used.
    pub fn through(self, proxy: Option<Proxy>) -> Result<Self, IdentityError> {
        let kept = self.current.kept();
        Self::of(&self.path, Kept { proxy, ..(*kept).clone() })
    }

    /// Asks for the next certificate, with a new key, and goes on with it.
    ///
    /// # Errors
    /// The server is not reached or refuses, or the file cannot be written: the present certificate stays in use.
    pub async fn renew(&self, now: Timestamp) -> Result<(), IdentityError> {
        let before = self.current.kept();
        let joined = enrolment::renew(&self.client("lab-renew")).await?;
        let kept = Kept::new(joined, &before.server, before.token.clone(), now);
        let kept = Kept { proxy: before.proxy.clone(), ..kept };
        file::write(&self.path, &kept)?;
        tracing::info!(identity = kept.identity, expires = %kept.expires, "renewed the certificate");
        self.current.replace(&self.path, kept)
    }

    /// Renews the certificate whenever it is due, for as long as it is polled: when a third of its life is left, or a little
    /// earlier, so that machines that joined at once do not come at once. Where that fails, it is tried again.
    pub async fn keep_renewed(&self, now: impl Fn() -> Timestamp, seed: u64) {
        let backoff = Backoff { first: FIRST, most: MOST, seed };
        let early = backoff.after(1).div_duration_f64(FIRST);
        let mut failures = 0;
        loop {
            let kept = self.current.kept();
            let due = due(kept.issued, kept.expires, early);
            let wait = Duration::try_from(due.duration_since(now())).unwrap_or_default();
            if !wait.is_zero() {
                tokio::time::sleep(wait.min(LOOK)).await;
                continue;
            }
            match self.renew(now()).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    let wait = backoff.after(failures);
                    let (expires, error) = (self.expires(), chain(&error));
                    tracing::warn!(error, %expires, retry_in = ?wait, "the certificate could not be renewed");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    fn of(path: &Path, kept: Kept) -> Result<Self, IdentityError> {
        Ok(Self { path: path.into(), current: Arc::new(Renewing::new(path, kept)?) })
    }

    fn came_by(&self, token: &str) -> bool {
        self.current.kept().token.as_ref() == Some(&file::digest(token))
    }
}

/// When the next certificate is to be asked for. `early` is between 0.5 and 1, and takes away up to a twentieth of the life.
fn due(issued: Time, expires: Time, early: f64) -> Timestamp {
    let life = expires.0.duration_since(issued.0);
    let left = life.mul_f64(1.0 / 3.0 + (1.0 - early) / 10.0);
    expires.0.saturating_sub(left).unwrap_or(issued.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_when_a_third_is_left_or_a_little_earlier() {
        let at = |second| Time(Timestamp::from_second(second).unwrap());
        assert_eq!(Time(due(at(1000), at(4000), 1.0)), at(3000));
        assert_eq!(Time(due(at(1000), at(4000), 0.5)), at(2850));
    }

    #[test]
    fn a_token_is_not_shown() {
        let invitation = Invitation {
            server: "https://a".into(),
            ca_hash: "sha256:0".into(),
            token: "secret".into(),
            proxy: None,
        };
        let shown = format!("{invitation:?}");
        assert!(shown.contains("https://a") && !shown.contains("secret"), "{shown}");
    }
}
