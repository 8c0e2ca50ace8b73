use crate::Offset;

/// Something that an operator can do about an error, as data: whoever shows the error puts it into words of their
/// own, such as a key of a file or a command.
///
/// The errors of this crate return them: [`PipelineError::remedies`](crate::PipelineError::remedies). Where there are
/// several, each is enough by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Raise a limit: its key in a pipeline file, with the section that it is in (`trigger.max_bytes_per_batch`).
    Raise(&'static str),
    /// Allow the source more: a higher limit, or a grant.
    Allow(sandbar_policy::Remedy),
    /// Lower a limit: its key, in the same form.
    Lower(&'static str),
    /// Choose where the pipeline goes on: [`Pipeline::reset`](crate::Pipeline::reset).
    ResetOffset {
        /// The offset, where it is known.
        to: Option<Offset>,
        /// What that means for rows.
        effect: ResetEffect,
    },
    /// Give the pipeline another name and checkpoint location, so that it reads its source from the beginning.
    RenamePipeline,
    /// Give the pipeline a checkpoint location of its own.
    MoveCheckpointLocation,
    /// Remove the file that names the owner of the checkpoint location, to take the location over with its notes.
    RemoveOwner {
        /// The file.
        file: String,
    },
    /// Restore the checkpoint location from a copy.
    RestoreCheckpointLocation,
    /// Put the table back that was there before.
    RestoreTable,
    /// Look where a new start would begin, and start again.
    CheckStatusAndRestart,
    /// Keep the table in a store that gives a new name to one writer only.
    UseExclusiveStore,
    /// Declare that no more than one program ever writes this table.
    DeclareSingleWriter,
    /// Let the table get the columns that it lacks, or add them by hand.
    AddColumns,
    /// Partition the table by a column with fewer values.
    PartitionByFewerValues,
    /// Let a micro-batch have fewer rows.
    SmallerMicroBatches,
    /// Ask for the swap once more, and say that the version may be one that failed before.
    SwapAgain,
    /// Let the configuration name a version that can go on where the pipeline stands.
    ConfigureWorkingVersion,
}

/// What becomes of rows when a pipeline goes on at a given offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetEffect {
    /// The operator chooses the offset.
    Chosen,
    /// Rows that are out of the table are read again.
    ReadAgain,
    /// The pipeline goes on without the rows that are out of the table.
    GoOnWithout,
    /// The source goes on where another one ended.
    TakeOver,
}
