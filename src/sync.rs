//! Locks without poisoning, and their replacements for the model checker.
//!
//! A panic under a lock leaves the data usable: each change is small, and at worst one change is counted
//! only in part. It would be worse to refuse every request after the panic.

#[cfg(all(test, tenancy_loom))]
use loom::sync as imp;
#[cfg(not(all(test, tenancy_loom)))]
use std::sync as imp;
use std::sync::{PoisonError, TryLockError};

pub(crate) use imp::atomic::AtomicU64;
use imp::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};

/// [`std::sync::Mutex`] without poison.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }
}

impl<T> Mutex<T> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` if the lock is held.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// [`std::sync::RwLock`] without poison.
#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(imp::RwLock<T>);

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self(imp::RwLock::new(value))
    }
}

impl<T> RwLock<T> {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody holds the lock.
    #[cfg(all(test, feature = "jwt"))]
    pub(crate) fn is_free(&self) -> bool {
        self.0.try_write().is_ok()
    }
}
