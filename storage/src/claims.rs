//! Which keys this process is writing, so that a dropped call cannot hit what follows it.
//!
//! A future can be dropped while its work runs on the blocking pool. Without this, a write that was
//! under way could land in a file that `resume` has just truncated.
//! It is not a lock between processes: there, metadata decide who may write a key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::path::ObjectKey;

/// The keys that are in use.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    taken: Mutex<HashMap<ObjectKey, Phase>>,
    freed: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Somebody holds the claim.
    Held,
    /// The holder has let go, but some of its work still runs.
    Settling,
}

/// The right to write a key. Dropping it lets go; the key is free when the last tenure ends.
#[derive(Debug)]
pub(crate) struct Claim(Arc<Tenure>);

/// Held by work on the blocking pool for as long as it runs.
#[derive(Debug)]
pub(crate) struct Tenure {
    claims: Arc<Claims>,
    key: ObjectKey,
}

impl Claims {
    /// Takes the key, after work of a former holder has ended. `None` if somebody holds it now.
    pub(crate) async fn take(self: &Arc<Self>, key: &ObjectKey) -> Option<Claim> {
        loop {
            // Made before the look, so that what is freed in between wakes it.
            let freed = self.freed.notified();
            {
                let mut taken = self.taken();
                match taken.get(key) {
                    Some(Phase::Held) => return None,
                    Some(Phase::Settling) => {}
                    None => {
                        taken.insert(key.clone(), Phase::Held);
                        let (claims, key) = (Arc::clone(self), key.clone());
                        return Some(Claim(Arc::new(Tenure { claims, key })));
                    }
                }
            }
            freed.await;
        }
    }

    /// Waits for work of a former holder. Does not wait for a holder.
    pub(crate) async fn settled(&self, key: &ObjectKey) {
        loop {
            let freed = self.freed.notified();
            if self.taken().get(key) != Some(&Phase::Settling) {
                return;
            }
            freed.await;
        }
    }

    // A panic elsewhere leaves the map whole: every change is a single step.
    fn taken(&self) -> MutexGuard<'_, HashMap<ObjectKey, Phase>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    pub(crate) fn key(&self) -> &ObjectKey {
        &self.0.key
    }

    pub(crate) fn tenure(&self) -> Arc<Tenure> {
        Arc::clone(&self.0)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0
            .claims
            .taken()
            .insert(self.0.key.clone(), Phase::Settling);
    }
}

impl Tenure {
    /// Whether nobody waits for the result any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.claims.taken().get(&self.key) == Some(&Phase::Settling)
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        self.claims.taken().remove(&self.key);
        self.claims.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn key_is_free_when_the_last_work_ends() {
        let claims = Arc::new(Claims::default());
        let key = ObjectKey::parse("a").unwrap();
        let claim = claims.take(&key).await.unwrap();
        let tenure = claim.tenure();
        assert!(!tenure.is_abandoned());
        assert!(
            claims.take(&key).await.is_none(),
            "a held key is not given twice"
        );
        assert!(
            claims.settled(&key).now_or_never().is_some(),
            "a holder is not waited for"
        );

        drop(claim);
        assert!(tenure.is_abandoned());
        let mut next = Box::pin(claims.take(&key));
        let mut settled = Box::pin(claims.settled(&key));
        assert!(next.as_mut().now_or_never().is_none(), "work still runs");
        assert!(settled.as_mut().now_or_never().is_none(), "work still runs");

        drop(tenure);
        settled.await;
        assert!(next.await.is_some());
        assert!(claims.taken().is_empty(), "nothing is left behind");
    }
}
