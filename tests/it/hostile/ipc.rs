//! Arrow IPC streams, whole and made wrong on purpose.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, StringViewArray};
use arrow_ipc as ipc;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema};
use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};

/// The end of a stream: a marker and no length.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// Three rows, as the tests' sources promise them.
pub(super) fn rows() -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    RecordBatch::try_from_iter([("id", ids), ("name", names)]).unwrap()
}

pub(super) fn words() -> RecordBatch {
    let words: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
    RecordBatch::try_from_iter([("id", Arc::new(words) as ArrayRef)]).unwrap()
}

/// Many rows that all show the same text: a gigabyte, if each were written out.
pub(super) fn views() -> RecordBatch {
    let long = "x".repeat(50_000);
    let one = StringViewArray::from(vec![long.as_str()]);
    let views = vec![one.views()[0]; 20_000].into();
    let all = StringViewArray::new(views, one.data_buffers().to_vec(), None);
    RecordBatch::try_from_iter([("text", Arc::new(all) as ArrayRef)]).unwrap()
}

pub(super) fn schema(schema: &Schema) -> Vec<u8> {
    StreamWriter::try_new(vec![], schema)
        .unwrap()
        .into_inner()
        .unwrap()
}

pub(super) fn stream(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(vec![], &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

pub(super) fn nested(levels: usize) -> Schema {
    let mut field = Field::new("leaf", DataType::Int32, true);
    for _ in 0..levels {
        field = Field::new("level", DataType::Struct(vec![field].into()), true);
    }
    Schema::new(vec![field])
}

pub(super) fn wide(columns: usize) -> Schema {
    let fields = (0..columns).map(|i| Field::new(format!("c{i}"), DataType::Int32, true));
    Schema::new(fields.collect::<Vec<_>>())
}

/// What a record batch says of its body.
#[derive(Clone)]
pub(super) struct Header {
    pub(super) rows: i64,
    /// Values and nulls of each column.
    pub(super) nodes: Vec<(i64, i64)>,
    /// Where each buffer begins and how long it is.
    pub(super) buffers: Vec<(i64, i64)>,
    pub(super) compressed: bool,
}

impl Header {
    /// Right for [`BODY`] and one column of text.
    pub(super) fn honest() -> Self {
        Self {
            rows: 2,
            nodes: vec![(2, 0)],
            buffers: vec![(0, 0), (0, 12), (16, 2)],
            compressed: false,
        }
    }
}

/// The offsets 0, 1 and 2, and the text `ab`.
pub(super) const BODY: [u8; 24] = body([0, 1, 2]);

pub(super) const fn body(offsets: [u8; 3]) -> [u8; 24] {
    let mut body = [0; 24];
    body[0] = offsets[0];
    body[4] = offsets[1];
    body[8] = offsets[2];
    body[16] = b'a';
    body[17] = b'b';
    body
}

pub(super) fn text_schema() -> Schema {
    Schema::new(vec![Field::new("text", DataType::Utf8, true)])
}

/// A stream of one column of text, whose batch says of its body what the header says.
pub(super) fn crafted(header: &Header, body: &[u8]) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let nodes: Vec<_> = header
        .nodes
        .iter()
        .map(|(length, nulls)| ipc::FieldNode::new(*length, *nulls))
        .collect();
    let buffers: Vec<_> = header
        .buffers
        .iter()
        .map(|(at, length)| ipc::Buffer::new(*at, *length))
        .collect();
    let nodes = builder.create_vector(&nodes);
    let buffers = builder.create_vector(&buffers);
    let compression = header.compressed.then(|| {
        let mut compression = ipc::BodyCompressionBuilder::new(&mut builder);
        compression.add_codec(ipc::CompressionType::ZSTD);
        compression.finish()
    });
    let mut batch = ipc::RecordBatchBuilder::new(&mut builder);
    batch.add_length(header.rows);
    batch.add_nodes(nodes);
    batch.add_buffers(buffers);
    if let Some(compression) = compression {
        batch.add_compression(compression);
    }
    let batch = batch.finish().as_union_value();
    let message = message(builder, ipc::MessageHeader::RecordBatch, batch, body.len() as i64);
    let mut stream = schema(&text_schema());
    stream.truncate(stream.len() - END.len());
    stream.extend(message);
    stream.extend(body);
    stream.extend(END);
    stream
}

/// A schema of a few kilobytes: a struct of twice the same field, which is a struct of twice the same field, and so on.
/// Written out it has 4,096 columns with names of a kilobyte.
pub(super) fn shared_schema() -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let name = builder.create_string(&"x".repeat(1_000));
    let mut int = ipc::IntBuilder::new(&mut builder);
    int.add_bitWidth(32);
    int.add_is_signed(true);
    let int = int.finish().as_union_value();
    let none = builder.create_vector::<WIPOffset<ipc::Field<'_>>>(&[]);
    let mut leaf = ipc::FieldBuilder::new(&mut builder);
    leaf.add_name(name);
    leaf.add_type_type(ipc::Type::Int);
    leaf.add_type_(int);
    leaf.add_children(none);
    let mut field = leaf.finish();
    for _ in 0..12 {
        let children = builder.create_vector(&[field, field]);
        let kind = ipc::Struct_Builder::new(&mut builder).finish().as_union_value();
        let mut parent = ipc::FieldBuilder::new(&mut builder);
        parent.add_name(name);
        parent.add_type_type(ipc::Type::Struct_);
        parent.add_type_(kind);
        parent.add_children(children);
        field = parent.finish();
    }
    let fields = builder.create_vector(&[field]);
    let mut schema = ipc::SchemaBuilder::new(&mut builder);
    schema.add_fields(fields);
    let schema = schema.finish().as_union_value();
    let mut stream = message(builder, ipc::MessageHeader::Schema, schema, 0);
    stream.extend(END);
    stream
}

fn message(
    mut builder: FlatBufferBuilder<'_>,
    kind: ipc::MessageHeader,
    header: WIPOffset<UnionWIPOffset>,
    body: i64,
) -> Vec<u8> {
    let mut message = ipc::MessageBuilder::new(&mut builder);
    message.add_version(ipc::MetadataVersion::V5);
    message.add_header_type(kind);
    message.add_header(header);
    message.add_bodyLength(body);
    let message = message.finish();
    builder.finish(message, None);
    let mut header = builder.finished_data().to_vec();
    header.resize(header.len().next_multiple_of(8), 0);
    let mut bytes = END[..4].to_vec();
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header);
    bytes
}
