//! Exactly once rests on one promise of the store: an object that is there is not written a second time by a
//! caller that asks for a new one. Some stores that speak S3 ignore that wish (`If-None-Match: *`) without a word, others
//! refuse it. So a store of that kind is tried before anything is written to it.

use std::fmt;
use std::sync::Arc;

use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use uuid::Uuid;

use crate::single_writer::SingleWriter;

/// A folder in an object store.
pub(crate) struct Place {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) folder: Path,
    /// How messages name it.
    pub(crate) shown: String,
    /// The same store with fewer retries, where it has to be tried out.
    pub(crate) doubted: Option<Arc<dyn ObjectStore>>,
}

/// Why a place can't be written.
#[derive(Debug)]
pub(crate) enum Denied {
    /// The store would let two writers have one name.
    NotExclusive(NotExclusive),
    /// It can't be written at all.
    Store(String, Error),
}

/// A store that gives one name to two writers. Its text has the remedy in the words of the pipeline file.
#[derive(Debug)]
pub(crate) struct NotExclusive {
    pub(crate) place: String,
    pub(crate) reason: String,
}

impl fmt::Display for NotExclusive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: this store has no conditional put (If-None-Match: *): {}; two runners of a pipeline could both commit, so \
             that rows come twice or get lost; use a store that has it, or set single_writer = true in [sink] if never more \
             than one program writes this table",
            self.place, self.reason
        )
    }
}

enum Answer {
    Exclusive,
    NotExclusive(String),
}

impl Place {
    /// The store, fit for names that are taken once. Where the store is none of that kind, it takes the user's
    /// word that there is one writer.
    pub(crate) async fn exclusive(&self, single_writer: bool) -> Result<Arc<dyn ObjectStore>, Denied> {
        let Some(doubted) = &self.doubted else {
            return Ok(self.store.clone());
        };
        let answer = ask(doubted.as_ref(), &self.folder).await;
        match answer.map_err(|e| Denied::Store(self.shown.clone(), e))? {
            Answer::Exclusive => Ok(self.store.clone()),
            Answer::NotExclusive(_) if single_writer => Ok(Arc::new(SingleWriter::new(self.store.clone()))),
            Answer::NotExclusive(reason) => Err(Denied::NotExclusive(NotExclusive {
                place: self.shown.clone(),
                reason,
            })),
        }
    }
}

/// Takes one name twice. Three requests.
async fn ask(store: &dyn ObjectStore, folder: &Path) -> Result<Answer, Error> {
    let path = Path::from_iter(
        folder
            .parts()
            .chain(["_sandbar".into(), format!("probe-{}", Uuid::new_v4()).into()]),
    );
    let create = || store.put_opts(&path, PutPayload::from_static(b"probe"), PutMode::Create.into());
    match create().await {
        Ok(_) => {}
        // A try without an answer was carried out, and then the store refused: it can.
        Err(Error::AlreadyExists { .. }) => {
            remove(store, &path).await;
            return Ok(Answer::Exclusive);
        }
        Err(e) => {
            remove(store, &path).await;
            return refused(e);
        }
    }
    let again = create().await;
    remove(store, &path).await;
    match again {
        Err(Error::AlreadyExists { .. }) => Ok(Answer::Exclusive),
        Ok(_) => Ok(Answer::NotExclusive("it wrote one name twice".into())),
        Err(e) => refused(e),
    }
}

fn refused(error: Error) -> Result<Answer, Error> {
    let text = error.to_string();
    let knows_none = matches!(error, Error::NotImplemented { .. } | Error::NotSupported { .. })
        || text.contains("501 Not Implemented")
        || text.contains("NotImplemented");
    match knows_none {
        true => Ok(Answer::NotExclusive(
            "it says that it does not implement it".into(),
        )),
        false => Err(error),
    }
}

/// A leftover probe harms nobody, so that the right to delete is not asked for.
async fn remove(store: &dyn ObjectStore, path: &Path) {
    if let Err(e) = store.delete(path).await {
        tracing::warn!(%path, error = %e, "the probe of the store can't be removed");
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use object_store::memory::InMemory;

    use super::*;
    use crate::single_writer::tests::Forgetful;

    fn place(store: Arc<dyn ObjectStore>, doubted: bool) -> Place {
        Place {
            doubted: doubted.then(|| store.clone()),
            store,
            folder: "lake/comments".into(),
            shown: "s3://bucket/lake/comments".into(),
        }
    }

    async fn left(store: &dyn ObjectStore) -> usize {
        store.list(None).try_collect::<Vec<_>>().await.unwrap().len()
    }

    #[tokio::test]
    async fn a_store_that_takes_a_name_once_is_used_as_it_is() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let exclusive = place(store.clone(), true).exclusive(false).await.unwrap();
        assert!(Arc::ptr_eq(&exclusive, &store));
        assert_eq!(left(store.as_ref()).await, 0, "the probe is removed");
    }

    #[tokio::test]
    async fn a_store_that_ignores_the_wish_is_refused_with_the_remedy() {
        let store = Arc::new(Forgetful::default());
        let denied = place(store.clone(), true).exclusive(false).await.unwrap_err();
        let Denied::NotExclusive(denied) = denied else {
            panic!("{denied:?}");
        };
        let message = denied.to_string();
        for part in [
            "s3://bucket/lake/comments",
            "wrote one name twice",
            "single_writer = true",
        ] {
            assert!(message.contains(part), "{part} is not in {message}");
        }
        assert_eq!(left(store.as_ref()).await, 0, "the probe is removed");
    }

    #[tokio::test]
    async fn the_users_word_is_taken_for_a_store_that_ignores_the_wish() {
        let store = Arc::new(Forgetful::default());
        let exclusive = place(store, true).exclusive(true).await.unwrap();
        let path = Path::from("x");
        let create = || exclusive.put_opts(&path, "1".into(), PutMode::Create.into());
        create().await.unwrap();
        assert!(matches!(create().await, Err(Error::AlreadyExists { .. })));
    }

    #[tokio::test]
    async fn a_store_beyond_doubt_is_not_asked() {
        let store = Arc::new(Forgetful::default());
        place(store.clone(), false).exclusive(false).await.unwrap();
        assert_eq!(store.puts(), 0);
    }

    #[test]
    fn errors_that_say_nothing_of_it_are_errors() {
        let generic = |text: &str| Error::Generic {
            store: "S3",
            source: text.to_owned().into(),
        };
        assert!(
            refused(generic(
                "Server returned non-2xx status code: 501 Not Implemented: "
            ))
            .is_ok()
        );
        assert!(refused(generic("Server returned non-2xx status code: 503 Slow Down")).is_err());
    }
}
