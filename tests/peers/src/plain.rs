//! The same component on plain wasmtime: no grants, no checks of what comes back, and the request sender that
//! wasmtime-wasi-http has by default. With guards or without.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow_array::RecordBatch;
use sandbar_rows::{Decoder, RowLimits, Selection, parse_schema};
use wasmtime::component::{Component, HasSelf, Linker, Resource, ResourceAny, ResourceTable};
use wasmtime::{Config, Engine, Store, StoreLimits, StoreLimitsBuilder, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView, default_hooks};

wasmtime::component::bindgen!({
    path: "../../wit/v0.1",
    world: "source",
    imports: { default: async | trappable },
    exports: { default: async },
    require_store_data_send: true,
    with: { "sandbar:connector/rows.held-rows": HeldRows },
});

use exports::sandbar::connector::connector::BatchRows;
use sandbar::connector::{http, log, progress_note, rows, values};

/// Rows that the component asked to be read.
pub struct HeldRows(RecordBatch);

/// A host of its own, with one component.
pub struct Plain {
    engine: Engine,
    component: SourcePre<State>,
    options: String,
    guarded: bool,
    stop: Arc<AtomicBool>,
}

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    limits: StoreLimits,
}

impl Plain {
    /// Compiles the component. Guarded, it is interrupted every 10 ms and has limits, as in the sandbox.
    pub fn new(component: &[u8], options: String, guarded: bool) -> Self {
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            .concurrency_support(false)
            .epoch_interruption(guarded);
        let engine = Engine::new(&config).unwrap();
        let component = Component::from_binary(&engine, component).unwrap();
        let mut linker = Linker::<State>::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).unwrap();
        progress_note::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state).unwrap();
        log::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state).unwrap();
        http::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state).unwrap();
        rows::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state).unwrap();
        values::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state).unwrap();
        let component = SourcePre::new(linker.instantiate_pre(&component).unwrap()).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, weak) = (stop.clone(), engine.weak());
        std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(10));
                if let Some(engine) = weak.upgrade() {
                    engine.increment_epoch();
                }
            }
        });
        Self {
            engine,
            component,
            options,
            guarded,
            stop,
        }
    }

    /// Parts of the range, as the component cuts it.
    pub async fn partitions(&self, start: &str, end: &str) -> Vec<String> {
        let (mut store, instance, source) = self.open().await;
        let source_type = instance.sandbar_connector_connector().source();
        let (start, end) = (start.to_owned(), end.to_owned());
        let parts = source_type.call_partitions(&mut store, source, &start, &end);
        parts.await.unwrap().unwrap()
    }

    /// Reads one part and counts its rows.
    pub async fn read(&self, partition: &str) -> u64 {
        let (mut store, instance, source) = self.open().await;
        let connector = instance.sandbar_connector_connector();
        let partition = partition.to_owned();
        let source_type = connector.source();
        let batches = source_type.call_read(&mut store, source, &partition);
        let batches = batches.await.unwrap().unwrap();
        let mut rows = 0;
        while let Some(batch) = connector
            .batches()
            .call_next(&mut store, batches)
            .await
            .unwrap()
            .unwrap()
        {
            let BatchRows::Held(held) = batch.rows else {
                unreachable!("the comments have the host read their rows")
            };
            rows += store.data_mut().table.delete(held).unwrap().0.num_rows() as u64;
        }
        rows
    }

    async fn open(&self) -> (Store<State>, Source, ResourceAny) {
        let state = State {
            wasi: WasiCtxBuilder::new().build(),
            table: ResourceTable::new(),
            http: WasiHttpCtx::new(),
            limits: StoreLimitsBuilder::new().memory_size(256 << 20).build(),
        };
        let mut store = Store::new(&self.engine, state);
        if self.guarded {
            store.limiter(|state| &mut state.limits);
            store.set_hostcall_fuel(64 << 20);
            store.set_epoch_deadline(1);
            store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Yield(1)));
        }
        let instance = self.component.instantiate_async(&mut store).await.unwrap();
        let source = instance.sandbar_connector_connector().source();
        let source = source.call_open(&mut store, None, &self.options).await;
        (store, instance, source.unwrap().unwrap())
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: default_hooks(),
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

impl values::Host for State {}

impl rows::Host for State {
    async fn read_json(
        &mut self,
        text: String,
        _: rows::Selection,
    ) -> wasmtime::Result<Result<Resource<HeldRows>, values::Error>> {
        let schema = parse_schema("id int, name string, email string, body string").unwrap();
        let decoder = Decoder::new(schema, Selection::default()).unwrap();
        let rows = decoder
            .decode(text.as_bytes(), RowLimits::new(1 << 22, 64 << 20))
            .unwrap();
        Ok(Ok(self.table.push(HeldRows(rows))?))
    }
}

impl rows::HostHeldRows for State {
    async fn count(&mut self, rows: Resource<HeldRows>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&rows)?.0.num_rows() as u64)
    }

    async fn drop(&mut self, rows: Resource<HeldRows>) -> wasmtime::Result<()> {
        self.table.delete(rows)?;
        Ok(())
    }
}

impl progress_note::Host for State {
    async fn load(&mut self) -> wasmtime::Result<Result<Option<String>, values::Error>> {
        Ok(Ok(None))
    }

    async fn save(&mut self, _: String) -> wasmtime::Result<Result<(), values::Error>> {
        Ok(Ok(()))
    }
}

impl log::Host for State {
    async fn log(&mut self, _: log::Level, _: String) -> wasmtime::Result<()> {
        Ok(())
    }
}

/// Never called: the component sends its requests over `wasi:http`.
macro_rules! never {
    ($interface:path { $($function:ident($($argument:ty),*) -> $answer:ty;)* }) => {
        impl $interface for State {
            $(async fn $function(&mut self, $(_: $argument),*) -> wasmtime::Result<$answer> {
                wasmtime::bail!("{} is not there", stringify!($function))
            })*
        }
    };
}

type Answer<T> = Result<T, values::Error>;
type Response = Resource<http::Response>;

never!(http::Host {
    send(http::Request) -> Answer<Response>;
    send_all(Vec<http::Request>) -> Vec<Answer<Response>>;
    begin(http::Request) -> Answer<Resource<http::Pending>>;
});

never!(http::HostPending {
    wait(Resource<http::Pending>) -> Answer<Response>;
    drop(Resource<http::Pending>) -> ();
});

never!(http::HostResponse {
    request(Response) -> String;
    status(Response) -> u16;
    headers(Response) -> Vec<(String, Vec<u8>)>;
    header(Response, String) -> Option<String>;
    error_for_status(Response) -> Answer<()>;
    size(Response) -> u64;
    body(Response) -> Vec<u8>;
    value(Response, String) -> Answer<Option<String>>;
    count(Response, String) -> Answer<Option<u64>>;
    rows(Response, rows::Selection) -> Answer<Resource<HeldRows>>;
    drop(Response) -> ();
});
