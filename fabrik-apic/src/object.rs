//! Managed objects, `{"<class>":{"attributes":{…},"children":[…]}}`, and the rows that they become.
//!
//! Every object is a row of its own: its attributes and its class. Children follow their parent; one
//! that carries only its `rn` gets the DN that the controller left out.

mod json;
mod placer;
mod problem;

use fabrik_core::{CLASS_NAME, DN, RowBatchBuilder, Value};
use serde_json::value::RawValue;

pub(crate) use json::{Known, KnownAttributes};
pub(crate) use placer::{Place, Placer};
pub(crate) use problem::{ControllerError, ObjectProblem};

use json::{Members, Object, read_attributes, read_object};

/// How deep objects may nest. The deepest known class lies about twenty levels below its root.
pub(crate) const MAX_LEVELS: usize = 100;
/// The class under which the controller reports that it cannot answer.
pub(crate) const ERROR_CLASS: &str = "error";
/// What holds the objects of an answer; some tools write it as if it were an object itself.
pub(crate) const PSEUDO_CLASS: &str = "imdata";

/// Adds the object in `text` and everything below it to `rows`.
///
/// When it fails, rows of the same object may have been added already.
pub(crate) fn push_object(rows: &mut RowBatchBuilder, text: &str) -> Result<(), ObjectProblem> {
    let mut placer = Placer::default();
    walk(text, &Place::Top, 1, |text, parent, _| push_one(rows, text, parent, &mut placer))
}

/// Returns the DN of the object in `text`, where it has one.
pub(crate) fn dn_of(text: &str) -> Option<String> {
    let mut scratch = RowBatchBuilder::default();
    let object = push_one(&mut scratch, text, &Place::Top, &mut Placer::default()).ok()?;
    object.place.dn().map(str::to_owned)
}

/// Calls `push` with the text of an object and of everything below it, parents first, each with its parent's DN and
/// its level.
pub(crate) fn walk<'a>(
    text: &'a str,
    parent: &Place<'_>,
    level: usize,
    mut push: impl FnMut(&'a str, &Place<'_>, usize) -> Result<Pushed<'a>, ObjectProblem>,
) -> Result<(), ObjectProblem> {
    let mut places: Vec<Place<'static>> = Vec::new();
    // Not a recursion: how deep an input nests must not decide how much of the stack is used.
    let mut waiting = vec![Waiting { text, parent: None, level }];
    let (top, top_level) = (parent, level);
    while let Some(Waiting { text, parent, level }) = waiting.pop() {
        check_level(level)?;
        let parent = parent.map_or(top, |index: usize| &places[index]);
        let object = push(text, parent, level).map_err(|problem| problem.below(level - top_level))?;
        if object.children.is_empty() {
            continue;
        }
        places.push(object.place.into_owned());
        let index = places.len() - 1;
        let children = object.children.iter().rev();
        waiting.extend(children.map(|child| Waiting { text: child.get(), parent: Some(index), level: level + 1 }));
    }
    Ok(())
}

/// Refuses an object whose level, counted from 1 at the top, is too deep.
pub(crate) fn check_level(level: usize) -> Result<(), ObjectProblem> {
    if level > MAX_LEVELS {
        return Err(ObjectProblem::Invalid(format!("its objects nest deeper than {MAX_LEVELS} levels")));
    }
    Ok(())
}

/// Returns whether `text` is shaped like a managed object; it may be no JSON at all.
pub(crate) fn is_object(text: &str) -> bool {
    // All but one row in very many are told by their beginning: the value of the first member.
    let after_name = text.strip_prefix('{').and_then(|text| text.trim_ascii_start().strip_prefix('"'));
    let value = after_name.and_then(|text| text.split_once('"')).and_then(|(_, text)| {
        let text = text.trim_ascii_start().strip_prefix(':')?;
        Some(text.trim_ascii_start())
    });
    if !value.is_some_and(|value| value.starts_with('{')) {
        return false;
    }
    let Ok(Members(object)) = serde_json::from_str(text) else { return false };
    let [(_, body)] = object.as_slice() else { return false };
    let Ok(Members(members)) = serde_json::from_str(body.get()) else { return false };
    members.iter().any(|(name, value)| match &**name {
        "attributes" => value.get().starts_with('{'),
        "children" => true,
        _ => false,
    })
}

/// Replaces the escape `\'`, which JSON does not have and some controllers send, by `'`.
///
/// Returns `None` where `text` has none.
pub(crate) fn repair_escapes(text: &str) -> Option<String> {
    let mut repaired = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let escaped = rest[at + 1..].chars().next()?;
        let after = at + 1 + escaped.len_utf8();
        repaired.push_str(if escaped == '\'' { &rest[..at] } else { &rest[..after] });
        if escaped == '\'' {
            repaired.push('\'');
        }
        rest = &rest[after..];
    }
    repaired.push_str(rest);
    (repaired.len() < text.len()).then_some(repaired)
}

struct Waiting<'a> {
    text: &'a str,
    /// Of the parent's place in the list of places.
    parent: Option<usize>,
    level: usize,
}

/// What of an object its children need, and they.
pub(crate) struct Pushed<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) children: Vec<&'a RawValue>,
}

/// Adds the row of one object, without its children.
pub(crate) fn push_one<'a>(
    rows: &mut RowBatchBuilder,
    text: &'a str,
    parent: &Place<'_>,
    placer: &mut Placer,
) -> Result<Pushed<'a>, ObjectProblem> {
    let Object { class, body } = read_object(rows, text, placer.naming).map_err(|error| {
        rows.discard_row();
        ObjectProblem::Invalid(error.to_string())
    })?;
    if class == ERROR_CLASS {
        rows.discard_row();
        return Err(ObjectProblem::Controller(ControllerError::from_object(text)));
    }
    let place = finish_object(rows, &class, body.known, parent, placer)?;
    Ok(Pushed { place, children: body.children.unwrap_or_default() })
}

/// Adds the row of an object whose attributes are given as the text of a JSON object.
pub(crate) fn push_attributes<'a>(
    rows: &mut RowBatchBuilder,
    class: &str,
    attributes: &'a str,
    parent: &Place<'_>,
    placer: &mut Placer,
) -> Result<Place<'a>, ObjectProblem> {
    let known = read_attributes(rows, attributes, placer.naming.format_of(class)).map_err(|error| {
        rows.discard_row();
        ObjectProblem::Invalid(error.to_string())
    })?;
    if class == ERROR_CLASS {
        rows.discard_row();
        return Err(ObjectProblem::Controller(ControllerError::from_attributes(attributes)));
    }
    finish_object(rows, class, known, parent, placer)
}

/// Ends the row of an object whose attributes were added, and says where the object is.
pub(crate) fn finish_object<'a>(
    rows: &mut RowBatchBuilder,
    class: &str,
    known: KnownAttributes<'a>,
    parent: &Place<'_>,
    placer: &mut Placer,
) -> Result<Place<'a>, ObjectProblem> {
    if class == PSEUDO_CLASS {
        rows.discard_row();
        return Ok(Place::Top);
    }
    let has_dn = !matches!(known.dn, Known::Absent);
    let has_values = known.has_values;
    let place = placer.place(class, known, parent);
    match &place {
        // The root above all roots; as a rule it says nothing of itself.
        Place::At(dn) if dn.is_empty() && !has_values => {
            rows.discard_row();
            return Ok(place);
        }
        Place::At(dn) if !has_dn && !dn.is_empty() => rows.attribute(DN, Value::String(dn)),
        _ => {}
    }
    rows.attribute(CLASS_NAME, Value::String(class));
    rows.finish_row().map_err(|problem| ObjectProblem::Invalid(format!("object of class {class:?}: {problem}")))?;
    Ok(place)
}

#[cfg(test)]
mod tests;
