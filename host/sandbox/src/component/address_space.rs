use std::fmt;
use std::str::FromStr;

use rustix::process::{Resource, getrlimit};
use wasmtime::Config;

/// How memories of components lie in the address space. It is a property of the engine, and of what is compiled for it.
///
/// With 4 GiB set aside for each memory a component can't form an address outside of it, so that compiled code checks none:
/// that is faster, and costs no memory, only addresses. Where the process may have few of them (`ulimit -v`, which batch
/// systems like to set), a memory takes what it needs and moves when it grows, and each access is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressSpace {
    /// 4 GiB for each memory.
    Plenty,
    /// For each memory little more than it holds.
    Scarce,
}

/// Less than this is scarce: 256 memories. A pipeline has one for planning and one for each of its partitions.
const PLENTY: u64 = 256 << 32;
/// What a memory has at first. Small components never move.
const RESERVED: u64 = 4 << 20;
/// What it has ahead when it moved.
const RESERVED_FOR_GROWTH: u64 = 16 << 20;
/// Behind and before each memory.
const GUARD: u64 = 64 << 10;

impl AddressSpace {
    /// What this process may have, as far as it has a limit of its own.
    pub fn of_this_process() -> Self {
        match limit() {
            Some(max) if max < PLENTY => Self::Scarce,
            _ => Self::Plenty,
        }
    }

    pub(crate) fn configure(self, config: &mut Config) {
        match self {
            // As wasmtime has it by default.
            Self::Plenty => {}
            Self::Scarce => {
                config
                    .memory_reservation(RESERVED)
                    .memory_reservation_for_growth(RESERVED_FOR_GROWTH)
                    .memory_guard_size(GUARD);
            }
        }
    }
}

/// Bytes of address space that this process may have; `None` for no limit.
pub(crate) fn limit() -> Option<u64> {
    getrlimit(Resource::As).current
}

impl fmt::Display for AddressSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plenty => "plenty",
            Self::Scarce => "scarce",
        })
    }
}

impl FromStr for AddressSpace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Plenty, Self::Scarce]
            .into_iter()
            .find(|known| known.to_string() == text)
            .ok_or_else(|| "it is \"plenty\" or \"scarce\"".to_owned())
    }
}
