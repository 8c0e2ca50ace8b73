//! Streams and pollables, on which HTTP stands.

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::WasiView;
use wasmtime_wasi_io::bindings::wasi::io;

use super::{Capability, HostState};

pub(super) const CAPABILITY: Capability = Capability {
    imports: &[
        ("wasi:io/error", "streams between it and the host"),
        ("wasi:io/poll", "wait for an answer"),
        ("wasi:io/streams", "streams between it and the host"),
    ],
    add_to_linker,
};

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    io::error::add_to_linker::<_, HasTable>(linker, |state| state.ctx().table)?;
    io::poll::add_to_linker::<_, HasTable>(linker, |state| state.ctx().table)?;
    io::streams::add_to_linker::<_, HasTable>(linker, |state| state.ctx().table)
}
