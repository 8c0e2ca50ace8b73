use crate::{Offset, Partition, PipelineError, ReadLimit, Source};

/// The reading of the next micro-batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BatchPlan {
    /// Nothing is there to read.
    Nothing,
    /// The range up to `end`, in parts that may be read at the same time.
    Range { end: Offset, partitions: Vec<Partition> },
    /// On from the start; the end is only known after reading.
    Sequential,
}

/// The maximum number of parts of a range. More are a fault, or an attack on the host's memory.
const MAX_PARTITIONS: usize = 100_000;

/// Asks the source what to read after `start`, not beyond `up_to`.
pub(crate) async fn plan<S: Source>(
    source: &S,
    start: &Offset,
    up_to: Option<&Offset>,
    limit: ReadLimit,
) -> Result<BatchPlan, PipelineError> {
    let Some(end) = source.latest_offset(start, up_to, limit).await? else {
        return Ok(BatchPlan::Sequential);
    };
    if end == *start {
        return match up_to {
            Some(up_to) if up_to != start => {
                let (start, up_to) = (start.shown(), up_to.shown());
                Err(PipelineError::Contract(format!(
                    "latest-offset({start}, up to {up_to}) stays at {start}, although it gave {up_to} before"
                )))
            }
            _ => Ok(BatchPlan::Nothing),
        };
    }
    let partitions = source.partitions(start, &end).await?;
    if partitions.len() > MAX_PARTITIONS {
        return Err(PipelineError::Contract(format!(
            "partitions({}, {}) gave {} parts; {MAX_PARTITIONS} are allowed",
            start.shown(),
            end.shown(),
            partitions.len()
        )));
    }
    Ok(BatchPlan::Range { end, partitions })
}
