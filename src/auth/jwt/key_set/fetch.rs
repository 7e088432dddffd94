//! One fetch of the keys, and the choice of the usable keys.

use super::source::{KeySource, MAX_DOCUMENT};
use crate::{
    auth::jwt::{
        algorithm::Algorithm,
        backend::Backend,
        config_error::JwtConfigError,
        jwk_set::{LeftOut, Published},
        limits::MAX_TRIES,
        ready_key::{ReadyKey, count_alike},
    },
    clock::Clock,
    rejection::BoxError,
};
use futures_util::future::{Either, select};
use std::{collections::HashSet, pin::pin, sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::oneshot};

/// The most keys that one set uses. Most issuers publish only a few.
const MAX_KEYS: usize = 64;

/// The reason why a key is not used if too many keys verify the same tokens.
const TOO_MANY_ALIKE: JwtConfigError = JwtConfigError::Key(
    "only the first four keys with the same `kid` (or without one) and the same algorithm are \
     used: the issuer has to give each key its own `kid`",
);

const _: () = assert!(MAX_TRIES == 4, "the text says four");

/// The most threads that a source may block. While it blocks this many threads, it is not called again.
const MAX_THREADS: usize = 2;

/// What a fetch needs.
pub(super) struct Work {
    pub(super) source: Arc<dyn KeySource>,
    pub(super) timeout: Duration,
    pub(super) backend: Backend,
    pub(super) algorithms: Option<Vec<Algorithm>>,
    pub(super) clock: Arc<dyn Clock>,
    /// Counts the threads: each thread that calls the source has a clone.
    pub(super) threads: Arc<()>,
}

/// The usable keys of a document, and the keys that are not used.
pub(super) struct Usable {
    pub(super) keys: Vec<ReadyKey>,
    pub(super) left_out: LeftOut,
}

impl Work {
    /// Calls the source on a new thread, because the source may block it. The future of the source runs in
    /// the context of the task's runtime.
    pub(super) async fn fetch(self: &Arc<Self>) -> Result<(String, Usable), BoxError> {
        if Arc::strong_count(&self.threads) > MAX_THREADS {
            return Err("the key source still blocks the threads of earlier calls".into());
        }
        let (answer, answered) = oneshot::channel();
        // When this sender is dropped, the thread stops waiting for the source.
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

    /// Reads a document. An unusable key does not affect the other keys.
    pub(super) fn usable(&self, document: &str) -> Result<Usable, BoxError> {
        if document.len() > MAX_DOCUMENT {
            return Err(format!("the document is longer than {MAX_DOCUMENT} bytes").into());
        }
        let Published { keys, mut left_out } = Published::read(document)?;
        let (mut known, mut ready) = (HashSet::new(), Vec::<ReadyKey>::new());
        for (name, key) in &keys {
            // A key that is listed twice counts once.
            if !known.insert(key.identity()) {
                continue;
            }
            let is_allowed = |all: &Vec<Algorithm>| all.contains(&key.algorithm);
            let usable = if !self.algorithms.as_ref().is_none_or(is_allowed) {
                Err(JwtConfigError::Key("`KeySetBuilder::algorithms` does not list its algorithm"))
            } else if ready.len() == MAX_KEYS {
                Err(JwtConfigError::Key("only the first 64 keys of a set are used"))
            } else {
                key.ready(self.backend)
            };
            match usable {
                Ok(key) if count_alike(&key, &ready) >= MAX_TRIES => {
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
