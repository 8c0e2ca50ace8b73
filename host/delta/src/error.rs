use delta_kernel::KernelError;
use sandbar_pipeline::SinkError;

type Cause = Box<dyn std::error::Error + Send + Sync>;

pub(crate) fn store_error(context: impl Into<String>, source: impl Into<Cause>) -> SinkError {
    SinkError::Store {
        context: context.into(),
        source: source.into(),
    }
}

/// The error itself, without the backtrace that the kernel wraps around it when `RUST_BACKTRACE` is set.
pub(crate) fn plain(error: KernelError) -> KernelError {
    match error {
        KernelError::Backtraced { source, .. } => plain(*source),
        other => other,
    }
}

/// Sorts a kernel error by what someone can do about it.
pub(crate) fn kernel_error(context: impl Into<String>, error: KernelError) -> SinkError {
    let context = context.into();
    match plain(error) {
        KernelError::MaxCatalogVersion(_) => SinkError::Schema(format!(
            "{context}: a catalog manages its commits (the feature catalogManaged), and this program commits to the \
                 table's folder only; choose a table without that feature"
        )),
        e @ (KernelError::Schema(_)
        | KernelError::Unsupported(_)
        | KernelError::InvalidProtocol(_)
        | KernelError::InvalidPartitionValues(_)
        | KernelError::InvalidTransactionState(_)) => SinkError::Schema(format!("{context}: {e}")),
        e => store_error(context, e),
    }
}
