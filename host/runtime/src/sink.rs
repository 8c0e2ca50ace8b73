//! The sink that a pipeline file names: a Delta table.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::ObjectStore;
use sandbar_delta::{DeltaOptions, DeltaSinkFactory, WriteAccess};
use sandbar_pipeline::{Clock, SinkError};

use crate::conditional_put::{Denied, NotExclusive, Place};
use crate::config::PipelineFile;
use crate::location;

/// The table of a file, or why its location can't be one. Blocks: settings of stores may lie in files.
pub(crate) fn table_of(file: &PipelineFile, clock: Arc<dyn Clock>) -> Result<DeltaSinkFactory, String> {
    let table = location::table(&file.table_location())?;
    let config = file.config();
    let mut options = DeltaOptions::new(table.url, config.name.clone(), clock);
    options.store = table.place.as_ref().map(|place| place.store.clone());
    options.partition_by = config.sink.partition_by.clone();
    options.ingested_at = config.sink.ingested_at.clone();
    options.progress = config.sink.progress;
    options.evolve = config.sink.evolve;
    let factory = DeltaSinkFactory::new(options);
    Ok(match table.place {
        Some(place) => factory.with_write_access(Arc::new(Exclusive {
            place,
            single_writer: config.sink.single_writer,
        })),
        None => factory,
    })
}

/// Asks the store, where it is not known, whether it keeps two writers apart.
struct Exclusive {
    place: Place,
    single_writer: bool,
}

#[async_trait]
impl WriteAccess for Exclusive {
    async fn store(&self) -> Result<Arc<dyn ObjectStore>, SinkError> {
        let store = self.place.exclusive(self.single_writer).await;
        store.map_err(|denied| match denied {
            Denied::NotExclusive(NotExclusive { place, reason }) => SinkError::NotExclusive { place, reason },
            Denied::Store(place, source) => SinkError::Store {
                context: format!("can't write to {place}"),
                source: source.into(),
            },
        })
    }
}
