//! Switches that withdraw a proof before it expires.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
};
use tokio::sync::watch;

/// Completes after [`Revocation::revoke`].
type Revoked = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// A switch that withdraws an [`AuthContext`](crate::AuthContext). After [`revoke`](Self::revoke), new
/// requests with the context are refused, and its open streams end at once with
/// [`Ending::AccessRevoked`](crate::Ending::AccessRevoked). Clones share one switch.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_tenancy::{AuthContext, Subject, auth::Revocation};
///
/// let session = Revocation::new();
/// let soon = SystemTime::now() + Duration::from_secs(600);
/// let auth = AuthContext::new(Subject::new("ada")?, soon).with_revocation(session.clone());
/// assert!(auth.remaining().is_ok());
/// session.revoke();
/// assert!(auth.remaining().is_err());
/// # Ok::<(), tower_tenancy::id::InvalidId>(())
/// ```
#[derive(Clone)]
pub struct Revocation(Arc<watch::Sender<bool>>);

impl Revocation {
    /// A switch that has not withdrawn anything yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Withdraws every context that has this switch. You cannot undo this.
    pub fn revoke(&self) {
        self.0.send_replace(true);
    }

    /// Whether [`revoke`](Self::revoke) was called.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        *self.0.borrow()
    }
}

/// Completes when one of `revocations` is revoked, or when `other` completes.
pub(crate) fn revoked(
    revocations: &[Revocation],
    other: impl Future<Output = ()> + Send + Sync + 'static,
) -> Revoked {
    let wait = |revocation: &Revocation| -> Revoked {
        let mut receiver = revocation.0.subscribe();
        // The clone keeps the sender alive: without any sender, `wait_for` would return early.
        let kept = revocation.clone();
        Box::pin(async move {
            drop(receiver.wait_for(|revoked| *revoked).await);
            drop(kept);
        })
    };
    let mut waits: Vec<Revoked> = revocations.iter().map(wait).collect();
    if waits.is_empty() {
        return Box::pin(other);
    }
    waits.push(Box::pin(other));
    Box::pin(poll_fn(move |cx| {
        match waits.iter_mut().any(|wait| wait.as_mut().poll(cx).is_ready()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }))
}

impl PartialEq for Revocation {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Default for Revocation {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Revocation").field(&self.is_revoked()).finish()
    }
}
