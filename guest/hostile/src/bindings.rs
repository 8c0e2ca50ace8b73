//! The contract's own names, generated.

/// What `wit-bindgen` makes of the contract.
#[allow(missing_docs, unsafe_code, clippy::all)]
pub(crate) mod generated {
    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        world: "source",
        pub_export_macro: true,
        export_macro_name: "export_source",
    });
}
