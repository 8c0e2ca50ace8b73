use std::sync::OnceLock;

/// Something was used in a fork of the process that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this was made by the process {made_in} and can't be used in its fork {here}, which has none of the threads that keep \
     components within their limits; make a new host in the process that uses it"
)]
pub struct Forked {
    /// The process that made it.
    pub made_in: u32,
    /// The process that uses it.
    pub here: u32,
}

/// The process in which something was made, for what can't be used in a fork of it.
///
/// A fork has none of its parent's threads: nothing interrupts a component that computes there, nothing answers who waits
/// for the network, and a lock that another thread held stays locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(u32);

impl Process {
    /// The one that asks.
    pub fn this() -> Self {
        Self(std::process::id())
    }

    /// Whether it is still the one that asks.
    ///
    /// # Errors
    /// [`Forked`] in a fork of it.
    pub fn check(self) -> Result<(), Forked> {
        let Self(here) = Self::this();
        match self.0 == here {
            true => Ok(()),
            false => Err(Forked {
                made_in: self.0,
                here,
            }),
        }
    }

    /// Whether this program had an engine before this process was forked off. Threads that work for all engines may have
    /// been started then, and are not here.
    pub fn is_fork() -> bool {
        static FIRST: OnceLock<Process> = OnceLock::new();
        *FIRST.get_or_init(Self::this) != Self::this()
    }
}

/// Something that each process has one of. A fork makes its own, since what it inherits may be locked for ever.
pub struct PerProcess<T>(OnceLock<Entry<T>>);

struct Entry<T> {
    process: Process,
    value: T,
    // Of a fork of that process.
    next: Box<PerProcess<T>>,
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> PerProcess<T> {
    /// None yet.
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// This process's one, which is made when it is first asked for.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        let this = Process::this();
        let mut place = self;
        while let Some(entry) = place.0.get() {
            if entry.process == this {
                return &entry.value;
            }
            place = &entry.next;
        }
        // Another thread of this process may be at it too: then it is this process's all the same.
        let make = || Entry {
            process: this,
            value: make(),
            next: Box::new(Self::new()),
        };
        &place.0.get_or_init(make).value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_elsewhere_is_refused_and_both_processes_are_named() {
        Process::this().check().unwrap();
        let here = std::process::id();
        let error = Process(here + 1).check().unwrap_err();
        assert_eq!((error.made_in, error.here), (here + 1, here));
    }

    #[test]
    fn each_process_has_one_of_its_own() {
        let all = PerProcess::new();
        assert_eq!(*all.get_or_init(|| 1), 1);
        assert_eq!(*all.get_or_init(|| 2), 1);
        // As a fork would find it.
        let inherited = PerProcess::new();
        let _ = inherited.0.set(Entry {
            process: Process(0),
            value: 1,
            next: Box::new(PerProcess::new()),
        });
        assert_eq!(*inherited.get_or_init(|| 2), 2);
        assert_eq!(*inherited.get_or_init(|| 3), 2);
    }
}
