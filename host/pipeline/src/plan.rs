use crate::{Offset, Partition, PipelineError, ReadLimit, Source};

/// What the next micro-batch is to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Nothing is there to read.
    Nothing,
    /// The range up to `end`, in parts that may be read at the same time.
    Range { end: Offset, partitions: Vec<Partition> },
    /// On from the start; only reading tells where it ends.
    Sequential,
}

/// The most parts that a range may be split into. More are a fault, or an attack on the host's memory.
const MAX_PARTITIONS: usize = 100_000;

/// Asks the source what to read after `start`, not beyond `up_to`.
pub(crate) async fn plan<S: Source>(
    source: &S,
    start: &Offset,
    up_to: Option<&Offset>,
    limit: ReadLimit,
) -> Result<Plan, PipelineError> {
    let Some(end) = source.latest_offset(start, up_to, limit).await? else {
        return Ok(Plan::Sequential);
    };
    if end == *start {
        return match up_to {
            Some(up_to) if up_to != start => {
                let (start, up_to) = (start.shown(), up_to.shown());
                Err(PipelineError::Contract(format!(
                    "latest-offset({start}, up to {up_to}) stays at {start}, although it gave {up_to} before"
                )))
            }
            _ => Ok(Plan::Nothing),
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
    Ok(Plan::Range { end, partitions })
}
