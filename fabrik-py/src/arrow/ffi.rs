//! What lies in the capsules of the Arrow `PyCapsule` interface, taken out. All `unsafe` of the module is here.
//!
//! A capsule is believed by its name: that it points at the structure of that name, made by the rules of the C data
//! interface, is what whoever gives it promises by using the protocol. Nothing else can be checked from here.

#![expect(unsafe_code, reason = "the C data interface hands over memory by pointers")]

use std::ffi::CStr;
use std::ptr::NonNull;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{ArrayRef, make_array};
use arrow_schema::{ArrowError, Field, Schema};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyCapsuleMethods};

/// The name of a capsule with a stream.
pub(super) const STREAM: &CStr = c"arrow_array_stream";
const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";

/// Takes the stream out of a capsule, which is empty afterwards.
pub(super) fn take_stream(capsule: &Bound<'_, PyCapsule>) -> PyResult<FFI_ArrowArrayStream> {
    let pointer: NonNull<FFI_ArrowArrayStream> = capsule.pointer_checked(Some(STREAM))?.cast();
    // SAFETY: The pointer is not null and belongs to a capsule of this name, so that it points at an initialised, aligned
    // `ArrowArrayStream`, which lives as long as the capsule that is borrowed here. By the protocol the consumer, which
    // is this call, is the only one to write to it. The stream is moved out and the one left behind is marked as
    // released, so that the capsule does not release it again.
    let stream = unsafe { FFI_ArrowArrayStream::from_raw(pointer.as_ptr()) };
    if stream.release().is_none() {
        return Err(PyValueError::new_err("the Arrow stream was taken before; give it anew"));
    }
    Ok(stream)
}

/// Reads the schema in a capsule, which keeps it.
pub(super) fn read_schema(capsule: &Bound<'_, PyCapsule>) -> PyResult<Schema> {
    let pointer: NonNull<FFI_ArrowSchema> = capsule.pointer_checked(Some(SCHEMA))?.cast();
    // SAFETY: As in `take_stream`, of an `ArrowSchema`. It is only read, and the reference ends before the borrow of the
    // capsule that owns it.
    let schema = unsafe { pointer.as_ref() };
    Schema::try_from(schema).map_err(|error| invalid(&error))
}

/// Takes an array out of its capsule, which is empty afterwards, with the field that describes it.
pub(super) fn take_array(schema: &Bound<'_, PyCapsule>, array: &Bound<'_, PyCapsule>) -> PyResult<(Field, ArrayRef)> {
    let schema: NonNull<FFI_ArrowSchema> = schema.pointer_checked(Some(SCHEMA))?.cast();
    let array: NonNull<FFI_ArrowArray> = array.pointer_checked(Some(ARRAY))?.cast();
    // SAFETY: As in `read_schema`.
    let schema = unsafe { schema.as_ref() };
    let field = Field::try_from(schema).map_err(|error| invalid(&error))?;
    // SAFETY: As in `take_stream`, of an `ArrowArray`.
    let array = unsafe { FFI_ArrowArray::from_raw(array.as_ptr()) };
    if array.is_released() {
        return Err(PyValueError::new_err("the Arrow array was taken before; give it anew"));
    }
    // SAFETY: The array has not been released, and by the protocol the schema that comes with it describes it: its
    // buffers and children are those of that type. They stay until the last reference to the array is dropped, which
    // releases it.
    let data = unsafe { from_ffi(array, schema) }.map_err(|error| invalid(&error))?;
    Ok((field, make_array(data)))
}

/// Makes an exception of what cannot be read.
pub(super) fn invalid(error: &ArrowError) -> PyErr {
    PyValueError::new_err(error.to_string())
}
