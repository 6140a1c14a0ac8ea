//! Rows and changes as Arrow streams, and Arrow streams as rows, through the Arrow `PyCapsule` interface: memory is
//! handed over, never a Python object for each value.
//!
//! <https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html>

mod ffi;

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::ffi_stream::{ArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{
    Array, ArrayReader, ArrayRef, LargeStringArray, RecordBatch, RecordBatchOptions, RecordBatchReader, StringViewArray,
};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef};
use fabrik_core::arrow::{ArrowSource, ChangeBatches, row_batches};
use fabrik_core::store::Store;
use fabrik_core::{compare, resolve};
use pollster::block_on;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

use crate::diff::Compared;
use crate::engine::{BATCHES, Feed};
use crate::error::{Failure, chain};
use crate::rows::Output;
use crate::source::PyInput;
use crate::store::{PyStore, now, on_store};

/// Starts to read the rows of a snapshot; returns the capsule with their stream.
#[pyfunction]
#[pyo3(signature = (store, reference, requested_schema=None))]
pub(crate) fn rows_stream<'py>(
    py: Python<'py>,
    store: &Bound<'py, PyStore>,
    reference: String,
    requested_schema: Option<Bound<'py, PyCapsule>>,
) -> PyResult<Bound<'py, PyCapsule>> {
    let store = store.get().get(py)?;
    let feed = Feed::start(BATCHES, move |cancel, sink| {
        block_on(on_store(store, cancel, async move |store: &dyn Store| {
            let snapshot = resolve(store, &reference, now()).await?;
            let mut batches = row_batches(store, &snapshot).await?;
            sink.send(Sent::Schema(Arc::clone(batches.schema())))?;
            while let Some(batch) = batches.next_batch().await? {
                sink.send(Sent::Batch(batch))?;
            }
            Ok(())
        }))
    })?;
    Stream::start(py, feed)?.into_capsule(py, requested_schema)
}

/// Starts to compare; returns the capsule with the stream of changes.
#[pyfunction]
#[pyo3(signature = (store, compared, requested_schema=None))]
pub(crate) fn changes_stream<'py>(
    py: Python<'py>,
    store: &Bound<'py, PyStore>,
    compared: Compared,
    requested_schema: Option<Bound<'py, PyCapsule>>,
) -> PyResult<Bound<'py, PyCapsule>> {
    let store = store.get().get(py)?;
    let (before, after, options) = compared.into_parts();
    let feed = Feed::start(BATCHES, move |cancel, sink| {
        block_on(on_store(store, cancel, async move |store: &dyn Store| {
            let (before, after) = (resolve(store, &before, now()).await?, resolve(store, &after, now()).await?);
            let mut batches = ChangeBatches::new(compare(store, &before, &after, options).await?);
            sink.send(Sent::Schema(ChangeBatches::schema()))?;
            while let Some(batch) = batches.next_batch().await? {
                sink.send(Sent::Batch(batch))?;
            }
            Ok(())
        }))
    })?;
    Stream::start(py, feed)?.into_capsule(py, requested_schema)
}

/// Takes the rows of an object that speaks Arrow: a table, a data frame, a record batch, a stream of them.
pub(crate) fn input(table: &Bound<'_, PyAny>) -> PyResult<PyInput> {
    let name = table.get_type().fully_qualified_name()?.to_string();
    if table.hasattr("__arrow_c_stream__")? {
        let capsule = table.call_method0("__arrow_c_stream__")?.cast_into::<PyCapsule>()?;
        let reader = ArrayStreamReader::try_new(ffi::take_stream(&capsule)?).map_err(|error| ffi::invalid(&error))?;
        let kept = Kept::of(&name, reader.field())?;
        let batches = reader.map(move |array| kept.batch(&array?));
        return Ok(PyInput::of_source(Box::new(ArrowSource::new(name, batches))));
    }
    let pair = table.call_method0("__arrow_c_array__")?.cast_into::<PyTuple>()?;
    let (schema, array): (Bound<'_, PyCapsule>, Bound<'_, PyCapsule>) = pair.extract()?;
    let (field, array) = ffi::take_array(&schema, &array)?;
    let batch = Kept::of(&name, &field)?.batch(&array);
    Ok(PyInput::of_source(Box::new(ArrowSource::new(name, [batch]))))
}

/// Writes the rows of a snapshot to a Parquet file.
#[pyfunction]
pub(crate) fn write_parquet(
    py: Python<'_>,
    store: &Bound<'_, PyStore>,
    reference: String,
    path: PathBuf,
) -> PyResult<()> {
    store.get().run(py, async move |store| {
        let snapshot = resolve(store, &reference, now()).await?;
        let mut out = Output::open(Some(path))?;
        fabrik_core::arrow::write_parquet(store, &snapshot, &mut out).await?;
        out.finish().map(drop)
    })
}

/// What the engine's thread hands over: first the schema, then batches.
#[derive(Debug)]
enum Sent {
    Schema(SchemaRef),
    Batch(RecordBatch),
}

/// Batches on their way to whoever holds the capsule.
struct Stream {
    feed: Feed<Sent>,
    /// What they are given as.
    schema: SchemaRef,
}

impl Stream {
    /// Waits for the schema, while signals are still heard.
    fn start(py: Python<'_>, feed: Feed<Sent>) -> PyResult<Self> {
        match feed.next(py)? {
            Some(Sent::Schema(schema)) => Ok(Self { feed, schema }),
            other => unreachable!("the schema is sent first, not {other:?}"),
        }
    }

    fn into_capsule<'py>(
        mut self,
        py: Python<'py>,
        requested: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        if let Some(requested) = requested {
            let requested = ffi::read_schema(&requested)?;
            // A producer that cannot give what is requested gives what it has.
            self.schema = in_layout_of(&requested, &self.schema).unwrap_or(self.schema);
        }
        PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(Box::new(self)), ffi::STREAM)
    }
}

impl Iterator for Stream {
    type Item = Result<RecordBatch, ArrowError>;

    /// Waits without the interpreter: whoever asks may hold it or not, and may have left it to a thread that waits for
    /// this one.
    fn next(&mut self) -> Option<Self::Item> {
        match self.feed.next_anywhere()? {
            Ok(Sent::Batch(batch)) => Some(in_layout(&batch, &self.schema)),
            Ok(sent @ Sent::Schema(_)) => unreachable!("the schema is sent once, not {sent:?}"),
            // The text becomes one of C, which ends at a zero byte.
            Err(failure) => Some(Err(ArrowError::ExternalError(sentence(&failure).replace('\0', "\\0").into()))),
        }
    }
}

impl RecordBatchReader for Stream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

fn sentence(failure: &Failure) -> String {
    match failure {
        Failure::Engine(error) => chain(error),
        Failure::Refused(sentence) => sentence.clone(),
        Failure::Python(_) => "the work failed in Python".to_owned(),
    }
}

/// Returns a schema with the layouts of text that are requested, where that is all that is requested.
fn in_layout_of(requested: &Schema, own: &Schema) -> Option<SchemaRef> {
    if requested.fields().len() != own.fields().len() {
        return None;
    }
    let field = |(requested, own): (&FieldRef, &FieldRef)| -> Option<Field> {
        let is_text = *own.data_type() == DataType::Utf8;
        let is_layout = matches!(requested.data_type(), DataType::LargeUtf8 | DataType::Utf8View);
        let can = requested.data_type() == own.data_type() || (is_text && is_layout);
        let fits = requested.name() == own.name() && (requested.is_nullable() || !own.is_nullable());
        (can && fits).then(|| own.as_ref().clone().with_data_type(requested.data_type().clone()))
    };
    let fields: Option<Vec<Field>> = requested.fields().iter().zip(own.fields()).map(field).collect();
    Some(Arc::new(Schema::new(fields?)))
}

fn in_layout(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |(array, field): (&ArrayRef, &FieldRef)| -> ArrayRef {
        match (array.as_string_opt::<i32>(), field.data_type()) {
            (Some(texts), DataType::LargeUtf8) => Arc::new(texts.iter().collect::<LargeStringArray>()),
            (Some(texts), DataType::Utf8View) => Arc::new(StringViewArray::from(texts)),
            _ => Arc::clone(array),
        }
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// Which columns of foreign arrays are taken.
#[derive(Debug)]
struct Kept {
    schema: SchemaRef,
    columns: Vec<usize>,
}

impl Kept {
    /// Takes all columns of a struct, which is what a table is, but an index of pandas that has no name.
    fn of(name: &str, field: &Field) -> PyResult<Self> {
        let DataType::Struct(fields) = field.data_type() else {
            let problem = format!("{name} is one column of type {}; expected a table, or a struct", field.data_type());
            return Err(PyTypeError::new_err(problem));
        };
        let is_of_pandas = field.metadata().contains_key("pandas");
        let is_kept = |field: &Field| !(is_of_pandas && field.name().starts_with("__index_level_"));
        let columns: Vec<usize> = (0..fields.len()).filter(|&i| is_kept(&fields[i])).collect();
        let schema = Schema::new(columns.iter().map(|&i| Arc::clone(&fields[i])).collect::<Vec<_>>());
        Ok(Self { schema: Arc::new(schema), columns })
    }

    /// Checks what another library made before it is read: texts that are no UTF-8 must not become texts here.
    fn batch(&self, array: &ArrayRef) -> Result<RecordBatch, ArrowError> {
        array.to_data().validate_full()?;
        if array.null_count() > 0 {
            return Err(ArrowError::InvalidArgumentError("a row is null as a whole; expected a struct".to_owned()));
        }
        let array = array.as_struct();
        let columns = self.columns.iter().map(|&i| Arc::clone(array.column(i))).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(array.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }
}
