//! The path of a query: what kind it is, where it begins and how it is answered.

use percent_encoding::percent_decode_str;

use super::Base;
use crate::simulator::class;
use crate::simulator::error::ApicError;
use crate::simulator::evaluate::unresolved_class;
use crate::simulator::render::Format;

/// Parses the path of a POST or DELETE: `/api/mo/<dn>.json`, or `/api/mo.json` without a DN.
pub(crate) fn parse_target(path: &str) -> Result<(Option<String>, Format), ApicError> {
    let (rest, format) = split(path)?;
    match rest.strip_prefix("mo").filter(|dn| dn.is_empty() || dn.starts_with('/')) {
        Some("" | "/") => Ok((None, format)),
        Some(dn) => Ok((Some(dn[1..].to_owned()), format)),
        None => Err(unknown_path(path)),
    }
}

/// Returns what follows `/api/` or `/api/node/`, decoded and without suffix, and the format.
fn split(path: &str) -> Result<(String, Format), ApicError> {
    let decoded = percent_decode_str(path).decode_utf8().map_err(|_| unknown_path(path))?;
    let folded = fold_slashes(&decoded);
    let (rest, format) = Format::of_path(&folded).ok_or_else(|| unknown_path(path))?;
    let rest = rest.strip_prefix("/api/").ok_or_else(|| unknown_path(path))?;
    Ok((rest.strip_prefix("node/").unwrap_or(rest).to_owned(), format))
}

/// Parses `/api/class/…`, `/api/mo/…` and their spellings with `node`.
pub(super) fn parse(path: &str) -> Result<(Base, Format), ApicError> {
    let (rest, format) = split(path)?;
    let base = if let Some(dn) = rest.strip_prefix("mo/") {
        Base::Object(dn.to_owned())
    } else if let Some(classes) = rest.strip_prefix("class/") {
        let (node, names) = match classes.rsplit_once('/') {
            Some((node, names)) => (Some(node.to_owned()), names),
            None => (None, classes),
        };
        let mut found = Vec::new();
        for name in names.split(',').map(str::trim) {
            found.extend(class::resolve(name).ok_or_else(|| unresolved_class(name))?);
        }
        found.sort_unstable();
        found.dedup();
        Base::Classes { node, classes: found }
    } else {
        return Err(unknown_path(path));
    };
    Ok((base, format))
}

/// Makes one slash of several; inside brackets they belong to a name.
fn fold_slashes(path: &str) -> String {
    let mut folded = String::with_capacity(path.len());
    let mut depth = 0_usize;
    for next in path.chars() {
        match next {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '/' if depth == 0 && folded.ends_with('/') => continue,
            _ => {}
        }
        folded.push(next);
    }
    folded
}

fn unknown_path(path: &str) -> ApicError {
    ApicError::bad_request(400, format!("Invalid request: nothing is served at {path}"))
}
