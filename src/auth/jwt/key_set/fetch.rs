//! One fetch of the keys, and what of them can be used.

use super::source::{KeySource, MAX_DOCUMENT};
use crate::{
    auth::jwt::{
        algorithm::Algorithm,
        backend::Backend,
        config_error::JwtConfigError,
        jwk_set::{LeftOut, Published},
        limits::MAX_TRIES,
        ready_key::{ReadyKey, alike},
    },
    clock::Clock,
    rejection::BoxError,
};
use futures_util::future::{Either, select};
use std::{collections::HashSet, pin::pin, sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::oneshot};

/// Most keys that one set may have. Issuers publish a few.
const MAX_KEYS: usize = 64;

/// Why a key is left out of those that are alike.
const TOO_MANY_ALIKE: JwtConfigError = JwtConfigError::Key(
    "the first four keys of its `kid` (or without one) for its algorithm are tried for a token, and \
     no more: the issuer has to give each key a `kid` of its own",
);

const _: () = assert!(MAX_TRIES == 4, "the text says four");

/// Most threads that a source may keep from ending. It is not asked while it keeps that many.
const MAX_THREADS: usize = 2;

/// How keys are fetched.
pub(super) struct Work {
    pub(super) source: Arc<dyn KeySource>,
    pub(super) timeout: Duration,
    pub(super) backend: Backend,
    pub(super) algorithms: Option<Vec<Algorithm>>,
    pub(super) clock: Arc<dyn Clock>,
    /// Each thread that asks the source has a clone.
    pub(super) threads: Arc<()>,
}

/// What of a document can be used.
pub(super) struct Usable {
    pub(super) keys: Vec<ReadyKey>,
    pub(super) left_out: LeftOut,
}

impl Work {
    /// Asks the source on a thread of its own, which it may block: nothing else runs there. What it
    /// awaits is in the runtime of the task.
    pub(super) async fn fetch(self: &Arc<Self>) -> Result<(String, Usable), BoxError> {
        if Arc::strong_count(&self.threads) > MAX_THREADS {
            return Err("the key source blocks the threads that asked it before".into());
        }
        let (answer, answered) = oneshot::channel();
        // Once this is dropped, the thread stops to wait.
        let (_waiting, given_up) = oneshot::channel::<()>();
        let (work, runtime, counted) =
            (Arc::clone(self), Handle::current(), Arc::clone(&self.threads));
        let ask = move || {
            let asked = runtime.block_on(async {
                let document = async { work.source.fetch().await };
                match select(pin!(document), given_up).await {
                    Either::Left((document, _)) => Some(document),
                    Either::Right(_) => None,
                }
            });
            let read = |document: String| {
                let usable = work.usable(&document)?;
                Ok((document, usable))
            };
            if let Some(document) = asked {
                drop(answer.send(document.and_then(read)));
            }
            drop(counted);
        };
        std::thread::Builder::new().name("key-fetch".to_owned()).spawn(ask)?;
        match select(answered, self.clock.sleep(self.timeout)).await {
            Either::Left((Ok(fetched), _)) => fetched,
            Either::Left((Err(_), _)) => Err("the key source panicked".into()),
            Either::Right(_) => Err(self.no_answer().into()),
        }
    }

    pub(super) fn no_answer(&self) -> String {
        format!("no answer within {:?}", self.timeout)
    }

    /// The keys of a document that can be used. One that cannot takes no other with it.
    pub(super) fn usable(&self, document: &str) -> Result<Usable, BoxError> {
        if document.len() > MAX_DOCUMENT {
            return Err(format!("the document is longer than {MAX_DOCUMENT} bytes").into());
        }
        let Published { keys, mut left_out } = Published::read(document)?;
        let (mut known, mut ready) = (HashSet::new(), Vec::<ReadyKey>::new());
        for (name, key) in &keys {
            // A key that is listed twice is one key.
            if !known.insert(key.identity()) {
                continue;
            }
            let is_allowed = |all: &Vec<Algorithm>| all.contains(&key.algorithm);
            let usable = if !self.algorithms.as_ref().is_none_or(is_allowed) {
                Err(JwtConfigError::Key("`KeySetBuilder::algorithms` does not name its algorithm"))
            } else if ready.len() == MAX_KEYS {
                Err(JwtConfigError::Key("the first 64 keys of a set are used, and no more"))
            } else {
                key.ready(self.backend)
            };
            match usable {
                Ok(key) if alike(&key, &ready) >= MAX_TRIES => {
                    left_out.push(name.clone(), &TOO_MANY_ALIKE);
                }
                Ok(key) => ready.push(key),
                Err(why) => left_out.push(name.clone(), &why),
            }
        }
        if ready.is_empty() {
            return Err(JwtConfigError::NoUsableKey(left_out.to_string()).into());
        }
        Ok(Usable { keys: ready, left_out })
    }
}
