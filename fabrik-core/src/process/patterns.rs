//! Steps with regular expressions.

use std::borrow::Cow;

use regex::{Captures, Regex, RegexBuilder};

use super::Stage;
use super::config::Config;
use super::error::Fault;
use super::item::{Cell, Item};
use crate::row::DN;

/// How much memory a compiled pattern may take.
const MAX_PATTERN_BYTES: usize = 1 << 20;
/// How long a text may become by replacing, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 4 << 20;

/// Compiles a pattern; of `flags`, `i`, `m` and `s` count here.
pub(super) fn compile(pattern: &str, flags: &str) -> Result<Regex, String> {
    let regex = RegexBuilder::new(pattern)
        .case_insensitive(flags.contains('i'))
        .multi_line(flags.contains('m'))
        .dot_matches_new_line(flags.contains('s'))
        .size_limit(MAX_PATTERN_BYTES)
        .build();
    regex.map_err(|error| {
        let lines = error.to_string();
        let reason = lines.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
        match reason.contains("look-around") || reason.contains("backreferences") {
            true => format!("{reason}; expected a pattern without look-around and backreferences"),
            false => reason,
        }
    })
}

pub(super) fn read(config: &Config<'_>, name: &str, flags: &str) -> Result<Option<Regex>, Fault> {
    let Some(pattern) = config.filled(name)? else { return Ok(None) };
    compile_for(name, &pattern, flags).map(Some)
}

fn compile_for(name: &str, pattern: &str, flags: &str) -> Result<Regex, Fault> {
    compile(pattern, flags)
        .map_err(|problem| Fault::new(format!("{name} is no regular expression: {problem}")).in_expression(pattern))
}

/// Returns the first group, or the whole match where there is none.
pub(super) fn first_match<'t>(regex: &Regex, text: &'t str) -> Option<&'t str> {
    let captures = regex.captures(text)?;
    captures.get(1).or_else(|| captures.get(0)).map(|found| found.as_str())
}

/// Replaces the first match or all; in `with`, `$1` is a group, `$&` the match and `$$` a dollar. `None` when it becomes
/// longer than `limit`.
pub(super) fn replace(regex: &Regex, text: &str, with: &str, all: bool, limit: usize) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    for captures in regex.captures_iter(text).take(if all { usize::MAX } else { 1 }) {
        let whole = captures.get_match();
        out.push_str(&text[copied..whole.start()]);
        expand(with, &captures, &mut out);
        copied = whole.end();
        if out.len() > limit {
            return None;
        }
    }
    out.push_str(&text[copied..]);
    (out.len() <= limit).then_some(out)
}

fn expand(with: &str, captures: &Captures<'_>, out: &mut String) {
    let group = |number: usize| captures.get(number).map_or("", |group| group.as_str());
    let mut rest = with;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let digits = after.bytes().take(2).take_while(u8::is_ascii_digit).count();
        // `$12` is group 12 where there is one, else group 1 and a 2.
        let known = (1..=digits).rev().find_map(|len| {
            let number = after[..len].parse().ok().filter(|number| (1..captures.len()).contains(number))?;
            Some((number, len))
        });
        rest = match (known, after.as_bytes().first()) {
            (Some((number, len)), _) => {
                out.push_str(group(number));
                &after[len..]
            }
            (None, Some(b'&')) => {
                out.push_str(group(0));
                &after[1..]
            }
            (None, Some(b'$')) => {
                out.push('$');
                &after[1..]
            }
            (None, _) => {
                out.push('$');
                after
            }
        };
    }
    out.push_str(rest);
}

/// `dn-extract`: a part of one column of each row, as bare texts.
#[derive(Debug)]
pub(super) struct DnExtract {
    field: String,
    remove: Option<Regex>,
    extract: Option<Regex>,
}

impl DnExtract {
    pub(super) fn new(config: &Config<'_>) -> Result<Self, Fault> {
        Ok(Self {
            field: config.filled("extractField")?.unwrap_or_else(|| DN.to_owned()),
            remove: read(config, "removePrefix", "")?,
            extract: read(config, "extractPattern", "")?,
        })
    }
}

impl Stage for DnExtract {
    fn push(&mut self, item: Item, out: &mut Vec<Item>) -> Result<(), Fault> {
        // Bare values and rows without the column have nothing to extract.
        let Item::Row(record) = &item else { return Ok(()) };
        let Some(cell) = record.at(&self.field) else { return Ok(()) };
        let mut text = cell.to_text();
        if let Some(remove) = &self.remove {
            text = Cow::Owned(remove.replace_all(&text, "").into_owned());
        }
        let found = self.extract.as_ref().and_then(|extract| first_match(extract, &text));
        out.push(Item::Bare(Cell::text(found.unwrap_or(&text))));
        Ok(())
    }
}

/// `regex-transform`: replaces in bare texts, or in one column of rows.
#[derive(Debug)]
pub(super) struct RegexTransform {
    pattern: Regex,
    replacement: String,
    all: bool,
    field: Option<String>,
}

impl RegexTransform {
    pub(super) fn new(config: &Config<'_>) -> Result<Self, Fault> {
        let flags = config.text("flags")?.unwrap_or_else(|| "g".to_owned());
        if let Some(unknown) = flags.chars().find(|flag| !"gimsuy".contains(*flag)) {
            return Err(Fault::field("flags", unknown, "some of g, i, m and s"));
        }
        let pattern =
            read(config, "pattern", &flags)?.ok_or_else(|| Fault::field("pattern", "\"\"", "a regular expression"))?;
        let field = match config.filled("applyTo")? {
            Some(field) => Some(field),
            None => config.filled("field")?,
        };
        Ok(Self {
            pattern,
            replacement: config.text("replacement")?.unwrap_or_default(),
            all: flags.contains('g'),
            field,
        })
    }

    fn replaced(&self, text: &str, item: &Item) -> Result<Cell, Fault> {
        let replaced = replace(&self.pattern, text, &self.replacement, self.all, MAX_TEXT_BYTES);
        replaced.map(Cell::text).ok_or_else(|| {
            let problem = format!("the text becomes longer than {MAX_TEXT_BYTES} bytes");
            Fault::new(problem).in_expression(self.pattern.as_str()).at(item)
        })
    }
}

impl Stage for RegexTransform {
    fn push(&mut self, mut item: Item, out: &mut Vec<Item>) -> Result<(), Fault> {
        let changed = match (&item, &self.field) {
            (Item::Bare(Cell::Text(text)), _) => Some((0, self.replaced(text, &item)?)),
            (Item::Row(record), Some(field)) => match (record.column_of(field), record.at(field)) {
                (Some(place), Some(cell)) => match &*cell {
                    Cell::Text(text) => Some((place, self.replaced(text, &item)?)),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        if let Some((place, cell)) = changed {
            match &mut item {
                Item::Bare(present) => *present = cell,
                Item::Row(record) => *record.cell_mut(place) = cell,
            }
        }
        out.push(item);
        Ok(())
    }
}

/// `pattern-filter`: keeps what an include pattern matches and no exclude pattern does.
#[derive(Debug)]
pub(super) struct PatternFilter {
    include: Vec<Regex>,
    exclude: Vec<Regex>,
    field: Option<String>,
}

impl PatternFilter {
    pub(super) fn new(config: &Config<'_>) -> Result<Self, Fault> {
        let flags = if config.flag("caseSensitive")? { "" } else { "i" };
        let patterns = |name: &str| {
            let list = config.list(name, '\n')?;
            list.iter().map(|pattern| compile_for(name, pattern, flags)).collect::<Result<Vec<_>, Fault>>()
        };
        Ok(Self {
            include: patterns("includePatterns")?,
            exclude: patterns("excludePatterns")?,
            field: config.filled("field")?,
        })
    }
}

impl Stage for PatternFilter {
    fn push(&mut self, item: Item, out: &mut Vec<Item>) -> Result<(), Fault> {
        let keep = {
            let text = match (&self.field, &item) {
                (Some(field), Item::Row(_)) => item.at(field).map(|cell| Cow::Owned(cell.to_string())),
                _ => Some(item.to_text()),
            };
            // A row without the column matches nothing, so no exclude pattern either.
            let any = |patterns: &[Regex]| text.as_ref().is_some_and(|text| patterns.iter().any(|p| p.is_match(text)));
            (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
        };
        if keep {
            out.push(item);
        }
        Ok(())
    }
}
