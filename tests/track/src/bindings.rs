//! The track's own names, generated.

/// What `wit-bindgen` makes of the track.
#[allow(missing_docs, unsafe_code, clippy::all)]
pub(crate) mod generated {
    wit_bindgen::generate!({
        path: "wit",
        world: "source",
        pub_export_macro: true,
        export_macro_name: "export_source",
    });
}
