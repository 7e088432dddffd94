//! How much memory and how many threads each tenant and env uses, and how much each must free when the
//! log makes room.

use crate::{
    id::{Env, TenantId, ThreadKey},
    sync::Mutex,
};
use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The bytes that one tenant holds in one env.
///
/// It has its own cache lines, because only publishers of this tenant and env write to it.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Account {
    pub(super) bytes: AtomicUsize,
}

/// What tenants and envs share fairly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Bytes,
    Threads,
}

/// An account, and the number of threads that belong to it.
struct Open {
    account: Arc<Account>,
    threads: usize,
}

/// The accounts of all tenants and envs that have a thread.
///
/// The log takes the lock when it adds or removes a thread and when it makes room, but not for each
/// event. It takes no other lock while it holds this one.
#[derive(Default)]
pub(super) struct Accounts(Mutex<HashMap<(TenantId, Env), Open>>);

impl Accounts {
    /// The account of a new thread. Counts the thread.
    pub(super) fn open(&self, key: &ThreadKey) -> Arc<Account> {
        let owner = (key.tenant().clone(), key.env().clone());
        let mut accounts = self.0.lock();
        let open =
            accounts.entry(owner).or_insert_with(|| Open { account: Arc::default(), threads: 0 });
        open.threads += 1;
        Arc::clone(&open.account)
    }

    /// Counts a removed thread. Removes the account with its last thread.
    pub(super) fn close(&self, key: &ThreadKey) {
        let owner = (key.tenant().clone(), key.env().clone());
        let mut accounts = self.0.lock();
        let Some(open) = accounts.get_mut(&owner) else { return };
        open.threads -= 1;
        if open.threads == 0 {
            accounts.remove(&owner);
        }
    }

    /// How much of the resource each account uses, without the accounts that use none.
    pub(super) fn uses(&self, of: Resource) -> Vec<(Arc<Account>, usize)> {
        let accounts = self.0.lock();
        let uses = accounts.values().map(|open| {
            let used = match of {
                Resource::Bytes => open.account.bytes.load(Ordering::Relaxed),
                Resource::Threads => open.threads,
            };
            (Arc::clone(&open.account), used)
        });
        uses.filter(|(_, used)| *used > 0).collect()
    }

    #[cfg(test)]
    pub(super) fn snapshot(&self) -> HashMap<(TenantId, Env), (usize, usize)> {
        let accounts = self.0.lock();
        let held = |open: &Open| (open.account.bytes.load(Ordering::Relaxed), open.threads);
        accounts.iter().map(|(owner, open)| (owner.clone(), held(open))).collect()
    }
}

/// Decides how much each account must free when the log makes room.
///
/// The fair share is the limit divided by the number of accounts that use the resource. Only an account
/// above its share must free anything, and it keeps at least seven eighths of its share. The accounts
/// that use most go down to one common level, so that seven eighths of the limit stay in use. An account
/// frees whole threads or halves of threads, so it may free more than it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FairShare {
    /// An account that uses this much or less frees nothing.
    share: usize,
    /// An account above its share goes down to this.
    level: usize,
    /// All accounts together need to free at most this.
    pub(super) excess: usize,
}

impl FairShare {
    pub(super) fn of(limit: usize, uses: impl IntoIterator<Item = usize>) -> Self {
        let mut uses: Vec<usize> = uses.into_iter().collect();
        uses.sort_unstable_by_key(|used| Reverse(*used));
        let total: usize = uses.iter().sum();
        let target = limit - limit / 8;
        let share = limit / uses.len().max(1);
        let mut level = share;
        // The sum of what the remaining, smaller accounts use.
        let mut others = total;
        for (index, used) in uses.iter().enumerate() {
            if *used <= share {
                break;
            }
            others -= used;
            level = target.saturating_sub(others) / (index + 1);
            if uses.get(index + 1).is_none_or(|next| *next <= level) {
                break;
            }
        }
        let level = level.max(share - share / 8);
        Self { share, level, excess: total.saturating_sub(target) }
    }

    /// How much an account must free that uses `used`.
    pub(super) fn must_free(&self, used: usize) -> usize {
        if used > self.share { used.saturating_sub(self.level) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::FairShare;
    use proptest::{collection::vec, prop_assert, proptest};

    fn left(limit: usize, uses: &[usize]) -> Vec<usize> {
        let fair = FairShare::of(limit, uses.iter().copied());
        uses.iter().map(|used| used - fair.must_free(*used)).collect()
    }

    #[test]
    fn the_largest_accounts_go_down_to_one_level_and_the_small_ones_free_nothing() {
        assert_eq!(left(800, &[900]), [700], "a single account has the whole limit");
        assert_eq!(left(800, &[700, 100, 1]), [599, 100, 1]);
        assert_eq!(left(800, &[500, 300, 100]), [300, 300, 100]);
        assert_eq!(left(800, &[400, 390, 100]), [300, 300, 100]);
        assert_eq!(left(800, &[401, 400]), [350, 400], "the share is 400, and 400 is within it");
        assert_eq!(left(800, &[401, 401]), [350, 350]);
        assert_eq!(left(0, &[5, 0, 1]), [0, 0, 0]);
        assert_eq!(left(1, &[1, 1]), [0, 0], "the share is 0");
    }

    proptest! {
        #[test]
        fn accounts_within_their_share_free_nothing_and_the_others_free_enough(
            limit in 0..2000_usize,
            uses in vec(1..500_usize, 0..30),
        ) {
            let fair = FairShare::of(limit, uses.iter().copied());
            let kept: usize = left(limit, &uses).iter().sum();
            prop_assert!(kept <= limit, "{kept}");
            for used in &uses {
                let gives = fair.must_free(*used);
                if used * uses.len() <= limit {
                    prop_assert!(gives == 0);
                }
                // No account goes far below its share, or below an account that uses less.
                prop_assert!(used - gives >= (*used).min((limit / uses.len()) * 7 / 8));
                for other in uses.iter().filter(|other| *other < used) {
                    prop_assert!(used - gives >= (*other).min(fair.level));
                }
            }
        }
    }
}
