use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// A store without a conditional put, for one writer: it looks whether a name is free, and then takes it.
///
/// Between the two another writer could come: a caller that uses this says that there is none.
#[derive(Debug)]
pub(crate) struct SingleWriter(Arc<dyn ObjectStore>);

impl SingleWriter {
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self(store)
    }

    async fn must_be_free(&self, path: &Path) -> Result<()> {
        match self.0.head(path).await {
            Err(Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(e),
            Ok(_) => Err(Error::AlreadyExists {
                path: path.to_string(),
                source: "the object is there already".into(),
            }),
        }
    }
}

impl fmt::Display for SingleWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with a single writer", self.0)
    }
}

#[async_trait]
impl ObjectStore for SingleWriter {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        if options.mode == PutMode::Create {
            self.must_be_free(location).await?;
            options.mode = PutMode::Overwrite;
        }
        self.0.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    async fn get_ranges(
        &self,
        location: &Path,
        ranges: &[std::ops::Range<u64>],
    ) -> Result<Vec<bytes::Bytes>> {
        self.0.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, mut options: CopyOptions) -> Result<()> {
        if options.mode == CopyMode::Create {
            self.must_be_free(to).await?;
            options.mode = CopyMode::Overwrite;
        }
        self.0.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use object_store::memory::InMemory;

    use super::*;

    /// A store that writes over what is there, whatever it is asked.
    #[derive(Debug, Default)]
    pub(crate) struct Forgetful {
        store: InMemory,
        puts: AtomicUsize,
    }

    impl Forgetful {
        pub(crate) fn puts(&self) -> usize {
            self.puts.load(Ordering::SeqCst)
        }
    }

    impl fmt::Display for Forgetful {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("forgetful")
        }
    }

    #[async_trait]
    impl ObjectStore for Forgetful {
        async fn put_opts(&self, path: &Path, payload: PutPayload, _: PutOptions) -> Result<PutResult> {
            self.puts.fetch_add(1, Ordering::SeqCst);
            self.store.put(path, payload).await
        }
        async fn put_multipart_opts(
            &self,
            p: &Path,
            o: PutMultipartOptions,
        ) -> Result<Box<dyn MultipartUpload>> {
            self.store.put_multipart_opts(p, o).await
        }
        async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
            self.store.get_opts(path, options).await
        }
        fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
            self.store.delete_stream(paths)
        }
        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
            self.store.list(prefix)
        }
        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
            self.store.list_with_delimiter(prefix).await
        }
        async fn copy_opts(&self, from: &Path, to: &Path, _: CopyOptions) -> Result<()> {
            self.store.copy(from, to).await
        }
    }

    #[tokio::test]
    async fn a_name_is_taken_once_and_overwriting_stays_possible() {
        let store = SingleWriter::new(Arc::new(Forgetful::default()));
        let (a, b) = (Path::from("a"), Path::from("b"));
        let put = |text: &'static str, mode: PutMode| store.put_opts(&a, text.into(), mode.into());
        put("1", PutMode::Create).await.unwrap();
        assert!(matches!(
            put("2", PutMode::Create).await,
            Err(Error::AlreadyExists { .. })
        ));
        assert_eq!(store.get(&a).await.unwrap().bytes().await.unwrap(), "1");
        put("3", PutMode::Overwrite).await.unwrap();
        store.copy_if_not_exists(&a, &b).await.unwrap();
        assert!(matches!(
            store.copy_if_not_exists(&a, &b).await,
            Err(Error::AlreadyExists { .. })
        ));
        assert_eq!(store.get(&b).await.unwrap().bytes().await.unwrap(), "3");
    }
}
