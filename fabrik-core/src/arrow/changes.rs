//! What differs between two snapshots as record batches.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{BooleanBuilder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::diff::{Change, ChangeKind, Comparison, FieldChange};
use crate::error::Result;
use crate::key::KeySpec;
use crate::row::{Value, json};

/// A batch ends after this many lines, or once its texts take [`BATCH_BYTES`].
const BATCH_LINES: usize = 8192;
const BATCH_BYTES: usize = 8 << 20;

/// The columns of texts, of which only the first is never null; two of booleans stand behind [`AFTER`].
const TEXTS: [&str; 11] =
    ["kind", "key", "dn", "class_name", "attribute", "before", "after", "missing", "severity", "reason", "rule"];
/// Where among [`TEXTS`] the value after the change stands.
const AFTER: usize = 6;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut fields: Vec<Field> =
        TEXTS.iter().enumerate().map(|(i, name)| Field::new(*name, DataType::Utf8, i > 0)).collect();
    let flags = ["before_is_json", "after_is_json"].map(|name| Field::new(name, DataType::Boolean, true));
    fields.splice(AFTER + 1..AFTER + 1, flags);
    Arc::new(Schema::new(fields))
});

/// The changes of a comparison as record batches: a line for each attribute that differs, and one for each row that was
/// added or removed.
///
/// | column | type | meaning |
/// | --- | --- | --- |
/// | `kind` | text | `added`, `removed` or `changed`; never null |
/// | `key` | text | the DN; where rows are paired by columns, a JSON object of them; null for a row without a key |
/// | `dn` | text | the DN of the row, if it has one |
/// | `class_name` | text | its class, if it has one |
/// | `attribute` | text | the attribute; null for a row that was added or removed |
/// | `before`, `after` | text | the value: a string as it is, anything else as JSON; of a row that was added or removed the whole row as a JSON object on its side; null where there is none |
/// | `before_is_json`, `after_is_json` | boolean | whether it is JSON and not a string; null where there is none |
/// | `missing` | text | `before` or `after`, where a changed row lacks the attribute on that side |
/// | `severity`, `reason`, `rule` | text | how much it matters, why, and the id of the rule; null where changes are not judged |
///
/// Lines stand in the order of the changes, those of one change by attribute.
#[derive(Debug)]
pub struct ChangeBatches<'s> {
    comparison: Comparison<'s>,
    waiting: VecDeque<Change>,
    /// How many lines of the first change that waits were given.
    given: usize,
}

impl<'s> ChangeBatches<'s> {
    /// Takes the changes that a comparison has not given yet.
    #[must_use]
    pub fn new(comparison: Comparison<'s>) -> Self {
        Self { comparison, waiting: VecDeque::new(), given: 0 }
    }

    /// Returns the schema of all batches.
    #[must_use]
    pub fn schema() -> SchemaRef {
        Arc::clone(&SCHEMA)
    }

    /// Returns the comparison, to ask for its summary.
    #[must_use]
    pub fn comparison(&self) -> &Comparison<'s> {
        &self.comparison
    }

    /// Returns the next batch, which has lines, and `None` after the last.
    ///
    /// # Errors
    ///
    /// [`Damaged`](crate::ErrorKind::Damaged) when a chunk of either snapshot cannot be read.
    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut lines = Lines::default();
        while !lines.is_full() {
            let Some(change) = self.waiting.front() else {
                self.waiting = self.comparison.next_batch().await?.into();
                if self.waiting.is_empty() {
                    break;
                }
                continue;
            };
            let subject = Subject::of(change, self.comparison.key());
            if change.kind == ChangeKind::Changed {
                for field in change.fields().skip(self.given) {
                    lines.push_field(&subject, field);
                    self.given += 1;
                    if lines.is_full() {
                        break;
                    }
                }
                if self.given < change.fields().len() {
                    continue;
                }
            } else {
                lines.push_row(&subject);
            }
            self.waiting.pop_front();
            self.given = 0;
        }
        Ok((lines.count > 0).then(|| lines.finish()))
    }
}

/// What all lines of a change have in common.
struct Subject<'c> {
    change: &'c Change,
    key: Option<String>,
}

impl<'c> Subject<'c> {
    fn of(change: &'c Change, spec: &KeySpec) -> Self {
        let key = if matches!(spec, KeySpec::Fields(_)) {
            let mut object = vec![b'{'];
            change.for_each_key_column(|name, value| {
                if object.len() > 1 {
                    object.push(b',');
                }
                json::write_string(name, &mut object);
                object.push(b':');
                value.write_json(&mut object);
            });
            object.push(b'}');
            Some(text_of(object))
        } else {
            change.row().dn().map(str::to_owned)
        };
        Self { change, key }
    }
}

fn text_of(json: Vec<u8>) -> String {
    String::from_utf8(json).expect("JSON of valid texts is valid UTF-8")
}

/// Lines under construction.
#[derive(Default)]
struct Lines {
    texts: [StringBuilder; TEXTS.len()],
    are_json: [BooleanBuilder; 2],
    count: usize,
    bytes: usize,
}

impl Lines {
    fn is_full(&self) -> bool {
        self.count >= BATCH_LINES || self.bytes >= BATCH_BYTES
    }

    fn push_field(&mut self, subject: &Subject<'_>, field: FieldChange<'_>) {
        let side =
            |value: Option<Value<'_>>| value.map(|value| (value.to_string(), !matches!(value, Value::String(_))));
        let missing = match (field.before, field.after) {
            (None, _) => Some("before"),
            (_, None) => Some("after"),
            _ => None,
        };
        self.push(subject, Some(field.name), &[side(field.before), side(field.after)], missing);
    }

    fn push_row(&mut self, subject: &Subject<'_>) {
        let mut row = Vec::new();
        subject.change.row().write_json(&mut row);
        let row = Some((text_of(row), true));
        let sides = if subject.change.kind == ChangeKind::Removed { [row, None] } else { [None, row] };
        self.push(subject, None, &sides, None);
    }

    fn push(
        &mut self,
        subject: &Subject<'_>,
        attribute: Option<&str>,
        sides: &[Option<(String, bool)>; 2],
        missing: Option<&str>,
    ) {
        let change = subject.change;
        let kind = match change.kind {
            ChangeKind::Added => "added",
            ChangeKind::Removed => "removed",
            ChangeKind::Changed => "changed",
        };
        let judgement = change.judgement();
        let [before, after] = sides;
        let texts: [Option<&str>; TEXTS.len()] = [
            Some(kind),
            subject.key.as_deref(),
            change.row().dn(),
            change.row().class_name(),
            attribute,
            before.as_ref().map(|(text, _)| text.as_str()),
            after.as_ref().map(|(text, _)| text.as_str()),
            missing,
            judgement.map(|judgement| judgement.severity.name()),
            judgement.map(|judgement| judgement.reason.as_str()),
            judgement.and_then(|judgement| judgement.rule.as_deref()).map(crate::severity::Rule::id),
        ];
        for (builder, text) in self.texts.iter_mut().zip(texts) {
            builder.append_option(text);
            self.bytes += text.map_or(0, str::len);
        }
        for (builder, side) in self.are_json.iter_mut().zip(sides) {
            builder.append_option(side.as_ref().map(|(_, is_json)| *is_json));
        }
        self.count += 1;
    }

    fn finish(mut self) -> RecordBatch {
        let mut arrays: Vec<ArrayRef> =
            self.texts.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef).collect();
        let flags = self.are_json.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef);
        arrays.splice(AFTER + 1..AFTER + 1, flags);
        RecordBatch::try_new(ChangeBatches::schema(), arrays)
            .expect("the builders are made after the schema and every line has all columns")
    }
}
