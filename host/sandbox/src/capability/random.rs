//! Random numbers.

use wasmtime::component::Linker;
use wasmtime_wasi::p2::bindings::random;
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::{WasiCtxBuilder, WasiView};

use super::{Capability, HostState};

/// The largest answer to a request for random bytes.
const MAX_RANDOM: u64 = 64 << 10;

pub(super) const CAPABILITY: Capability = Capability {
    imports: &[
        ("wasi:random/random", "random numbers"),
        ("wasi:random/insecure", "random numbers"),
        ("wasi:random/insecure-seed", "random numbers"),
    ],
    add_to_linker,
};

pub(super) fn bound(builder: &mut WasiCtxBuilder) {
    builder.max_random_size(MAX_RANDOM);
}

fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    random::random::add_to_linker::<_, WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    random::insecure::add_to_linker::<_, WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, |state| state.ctx().ctx.random())
}
