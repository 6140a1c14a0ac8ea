//! Which members are plainly no data.
//!
//! Passing over a file that is data would lose rows, so the rules are narrow: names that everybody uses for
//! something else, and content that cannot be what is read here, under a name that does not promise it.

use crate::input::Input;

/// Endings of files that hold rows; such a file is read, or an error.
const DATA: [&str; 5] = ["json", "xml", "ndjson", "jsonl", "csv"];
/// Endings of files that hold something else.
const OTHER: [&str; 20] = [
    "bat", "cfg", "conf", "css", "htm", "html", "ini", "js", "log", "md", "md5", "pdf", "png", "py", "rst", "sh",
    "sha256", "toml", "yaml", "yml",
];
/// Names, without ending, of files that accompany others.
const COMPANIONS: [&str; 8] = ["changelog", "copying", "license", "licence", "manifest", "notice", "readme", "version"];

/// What stands in texts with objects in them.
const OBJECTS: [&str; 4] = ["imdata", "\"attributes\"", "Total Objects shown:", "<polUni"];

/// Says why a file of this name is passed over unread, if it is.
pub(super) fn by_name(path: &str) -> Option<&'static str> {
    let mut folders = path.split(['/', '\\']);
    let name = folders.next_back().unwrap_or(path);
    if folders.any(|folder| folder == "__MACOSX") || name.starts_with('.') || name == "Thumbs.db" {
        return Some("a hidden file of the system");
    }
    let (stem, ending) = split_ending(name);
    if DATA.contains(&ending.as_str()) {
        return None;
    }
    if OTHER.contains(&ending.as_str()) {
        return Some("not data, by its name");
    }
    let stem = stem.to_ascii_lowercase();
    COMPANIONS.contains(&stem.as_str()).then_some("not data, by its name")
}

/// Says why a file is passed over that is none of the forms, if it is.
pub(super) fn by_content(path: &str, input: &Input) -> Option<&'static str> {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let (_, ending) = split_ending(name);
    if DATA.contains(&ending.as_str()) {
        return None;
    }
    let text = input.head.trim_ascii_start();
    match text.first() {
        None => Some("empty"),
        Some(b'[' | b'{' | b'<') => None,
        // An archive that is not opened may hold rows.
        Some(_) if input.begins_an_archive() => None,
        Some(_) if input.head.contains(&0) => Some("binary"),
        // As a list of objects that somebody put something before.
        Some(_) if OBJECTS.iter().any(|text| memchr::memmem::find(&input.head, text.as_bytes()).is_some()) => None,
        Some(_) => Some("text that is none of the forms"),
    }
}

/// Returns whether the name says that a table is in the file.
pub(super) fn is_named_as_table(path: &str) -> bool {
    split_ending(path).1 == "csv"
}

/// Splits off the ending, in lower case; that of a compression does not count.
fn split_ending(name: &str) -> (&str, String) {
    let lower = name.to_ascii_lowercase();
    let plain = [".gz", ".zst"].iter().find_map(|ending| lower.strip_suffix(ending)).unwrap_or(&lower);
    match plain.rsplit_once('.') {
        Some((stem, ending)) => (&name[..stem.len()], ending.to_owned()),
        None => (&name[..plain.len()], String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_no_data() {
        for name in [
            "README",
            "a/README.md",
            "run.log",
            "x.LOG.gz",
            ".DS_Store",
            "__MACOSX/a.json",
            "a/._b.json",
            "Licence.txt",
        ] {
            assert!(by_name(name).is_some(), "{name}");
        }
        for name in ["fvBD.json", "fvBD", "a.b/fvBD.json.gz", "readme.json", "fvBD.txt", "x.XML", "ce2_a-2026_1.json"] {
            assert_eq!(by_name(name), None, "{name}");
        }
    }
}
