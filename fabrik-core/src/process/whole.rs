//! Steps that look at more than one item: sort, dedupe, limit and aggregate.

use std::cmp::Ordering;
use std::mem;

use hashbrown::{HashMap, HashSet};
use serde_json::Value as Json;

use super::config::Config;
use super::error::Fault;
use super::item::{Cell, Item, Record};
use super::{ProcessLimits, Stage};

/// Items that are held back, up to a limit.
#[derive(Debug)]
struct Held {
    items: Vec<Item>,
    bytes: usize,
    limit_bytes: usize,
}

impl Held {
    fn new(limits: ProcessLimits) -> Self {
        Self { items: Vec::new(), bytes: 0, limit_bytes: limits.memory_bytes }
    }

    fn add(&mut self, item: Item) -> Result<(), Fault> {
        self.bytes += item.len_bytes();
        if self.bytes > self.limit_bytes {
            return Err(too_much(self.limit_bytes, self.items.len()).at(&item));
        }
        self.items.push(item);
        Ok(())
    }

    fn take(&mut self) -> Vec<Item> {
        self.bytes = 0;
        mem::take(&mut self.items)
    }
}

fn too_much(limit_bytes: usize, n_items: usize) -> Fault {
    let limit = match limit_bytes >> 20 {
        0 => format!("{limit_bytes} bytes"),
        mib => format!("{mib} MiB"),
    };
    Fault::new(format!(
        "it needs all items at once, and after {n_items} they take more than {limit}; filter them first"
    ))
}

/// What makes two items equal, in 16 bytes.
fn fingerprint(cell: Option<&Cell>) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    if let Some(cell) = cell {
        let kind = match cell {
            Cell::Null => 0,
            Cell::Bool(_) => 1,
            Cell::Number(_) => 2,
            Cell::Text(_) => 3,
            Cell::Json(_) => 4,
        };
        hasher.update(&[1, kind]);
        hasher.update(cell.to_text().as_bytes());
    }
    let hash = hasher.finalize();
    hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes")
}

/// The keys that have been there. Of items without the field none is a duplicate.
#[derive(Debug)]
struct Seen {
    field: Option<String>,
    keys: HashSet<[u8; 16]>,
}

impl Seen {
    fn is_new(&mut self, item: &Item) -> bool {
        match &self.field {
            Some(field) => match item.at(field) {
                None => true,
                Some(cell) => self.keys.insert(fingerprint(Some(&cell))),
            },
            None => {
                // The members in one order, so that the order of columns does not count.
                let text = match item {
                    Item::Bare(cell) => return self.keys.insert(fingerprint(Some(cell))),
                    Item::Row(record) => {
                        let mut columns: Vec<(&str, &Cell)> = record.columns().collect();
                        columns.sort_by_key(|(name, _)| *name);
                        serde_json::to_string(&columns).expect("columns have a JSON form")
                    }
                };
                self.keys.insert(fingerprint(Some(&Cell::Json(text.into()))))
            }
        }
    }
}

/// `array-sort`: in the order of a column's texts or numbers, then without duplicates, then the other way round.
#[derive(Debug)]
pub(super) struct ArraySort {
    field: Option<String>,
    numeric: bool,
    unique: bool,
    reverse: bool,
    held: Held,
}

impl ArraySort {
    pub(super) fn new(config: &Config<'_>, limits: ProcessLimits) -> Result<Self, Fault> {
        Ok(Self {
            field: config.filled("field")?,
            numeric: config.flag("numeric")?,
            unique: config.flag("unique")?,
            reverse: config.flag("reverse")?,
            held: Held::new(limits),
        })
    }

    fn text_of(&self, item: &Item) -> Option<String> {
        match &self.field {
            Some(field) => item.at(field).map(|cell| cell.to_string()),
            None => Some(item.to_text().into_owned()),
        }
    }

    fn number_of(&self, item: &Item) -> Option<f64> {
        match (&self.field, item) {
            (Some(field), _) => item.at(field)?.as_f64(),
            (None, Item::Bare(cell)) => cell.as_f64(),
            (None, Item::Row(_)) => None,
        }
    }
}

/// Items without a value come last.
fn last_if_none<T>(before: Option<&T>, after: Option<&T>, order: impl Fn(&T, &T) -> Ordering) -> Ordering {
    match (before, after) {
        (Some(before), Some(after)) => order(before, after),
        (None, None) => Ordering::Equal,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    }
}

impl Stage for ArraySort {
    fn push(&mut self, item: Item, _out: &mut Vec<Item>) -> Result<(), Fault> {
        self.held.add(item)
    }

    fn finish(&mut self, out: &mut Vec<Item>) -> Result<(), Fault> {
        let items = self.held.take();
        let mut items: Vec<Item> = if self.numeric {
            let mut keyed: Vec<_> = items.into_iter().map(|item| (self.number_of(&item), item)).collect();
            keyed.sort_by(|(before, _), (after, _)| last_if_none(before.as_ref(), after.as_ref(), f64::total_cmp));
            keyed.into_iter().map(|(_, item)| item).collect()
        } else {
            let mut keyed: Vec<_> = items.into_iter().map(|item| (self.text_of(&item), item)).collect();
            keyed.sort_by(|(before, _), (after, _)| last_if_none(before.as_ref(), after.as_ref(), Ord::cmp));
            keyed.into_iter().map(|(_, item)| item).collect()
        };
        if self.unique {
            let mut seen = Seen { field: self.field.clone(), keys: HashSet::new() };
            items.retain(|item| seen.is_new(item));
        }
        if self.reverse {
            items.reverse();
        }
        out.append(&mut items);
        Ok(())
    }
}

/// `dedupe`: the first of items that are equal, or equal in one column.
#[derive(Debug)]
pub(super) struct Dedupe {
    seen: Seen,
    limit_bytes: usize,
}

impl Dedupe {
    pub(super) fn new(config: &Config<'_>, limits: ProcessLimits) -> Result<Self, Fault> {
        let seen = Seen { field: config.filled("field")?, keys: HashSet::new() };
        Ok(Self { seen, limit_bytes: limits.memory_bytes })
    }
}

impl Stage for Dedupe {
    fn push(&mut self, item: Item, out: &mut Vec<Item>) -> Result<(), Fault> {
        /// A key and its share of the table around it.
        const KEY_BYTES: usize = 32;
        if self.seen.is_new(&item) {
            let n_keys = self.seen.keys.len();
            if n_keys * KEY_BYTES > self.limit_bytes {
                return Err(too_much(self.limit_bytes, n_keys).at(&item));
            }
            out.push(item);
        }
        Ok(())
    }

    fn finish(&mut self, _out: &mut Vec<Item>) -> Result<(), Fault> {
        self.seen.keys.clear();
        Ok(())
    }
}

/// `limit`: leaves out some items and keeps some after them.
#[derive(Debug)]
pub(super) struct Limit {
    offset: usize,
    count: usize,
    n_seen: usize,
}

impl Limit {
    pub(super) fn new(config: &Config<'_>) -> Result<Self, Fault> {
        let count = config.count("count")?.ok_or_else(|| Fault::field("count", "\"\"", "how many items to keep"))?;
        Ok(Self { offset: config.count("offset")?.unwrap_or(0), count, n_seen: 0 })
    }
}

impl Stage for Limit {
    fn push(&mut self, item: Item, out: &mut Vec<Item>) -> Result<(), Fault> {
        if (self.offset..self.offset.saturating_add(self.count)).contains(&self.n_seen) {
            out.push(item);
        }
        self.n_seen = self.n_seen.saturating_add(1);
        Ok(())
    }

    fn finish(&mut self, _out: &mut Vec<Item>) -> Result<(), Fault> {
        self.n_seen = 0;
        Ok(())
    }
}

/// `aggregate`: one number of all items, or one of each group; `group` collects the items themselves.
#[derive(Debug)]
pub(super) struct Aggregate {
    operation: Operation,
    field: Option<String>,
    group_by: Option<String>,
    limits: ProcessLimits,
    total: Tally,
    /// In the order in which groups first came.
    groups: Vec<(Cell, Tally)>,
    places: HashMap<[u8; 16], usize>,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Count,
    Sum,
    Avg,
    Min,
    Max,
    Group,
}

const OPERATIONS: [(&str, Operation); 6] = [
    ("count", Operation::Count),
    ("sum", Operation::Sum),
    ("avg", Operation::Avg),
    ("min", Operation::Min),
    ("max", Operation::Max),
    ("group", Operation::Group),
];

/// What is known of some items. Values that are no numbers count as items only.
#[derive(Clone, Debug, Default)]
struct Tally {
    n_items: u64,
    n_numbers: u64,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
    items: Vec<Item>,
}

impl Tally {
    fn add(&mut self, number: Option<f64>) {
        self.n_items += 1;
        if let Some(number) = number {
            self.n_numbers += 1;
            self.sum += number;
            self.min = Some(self.min.map_or(number, |min| min.min(number)));
            self.max = Some(self.max.map_or(number, |max| max.max(number)));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "more than 2^53 items do not come")]
    fn result(&self, operation: Operation) -> Result<Cell, Fault> {
        let number = match operation {
            Operation::Count | Operation::Group => return Ok(Cell::Number(self.n_items.to_string().into())),
            Operation::Sum => Some(self.sum),
            Operation::Avg if self.n_numbers == 0 => Some(0.0),
            Operation::Avg => Some(self.sum / self.n_numbers as f64),
            Operation::Min => self.min,
            Operation::Max => self.max,
        };
        match number {
            None => Ok(Cell::Null),
            Some(number) => Cell::from_f64(number).ok_or_else(|| Fault::new("the sum is too large for a number")),
        }
    }
}

impl Aggregate {
    pub(super) fn new(config: &Config<'_>, limits: ProcessLimits) -> Result<Self, Fault> {
        const EXPECTED: &str = "count, sum, avg, min, max or group";
        let name = config.required("operation", EXPECTED)?;
        let operation = OPERATIONS.iter().find(|(known, _)| *known == name).map(|(_, operation)| *operation);
        let operation = operation.ok_or_else(|| Fault::field("operation", format_args!("{name:?}"), EXPECTED))?;
        let (field, group_by) = (config.filled("field")?, config.filled("groupBy")?);
        let needs_field = !matches!(operation, Operation::Count | Operation::Group);
        if needs_field && field.is_none() {
            return Err(Fault::field("field", "\"\"", "the column with the numbers"));
        }
        if operation == Operation::Group && group_by.is_none() {
            return Err(Fault::field("groupBy", "\"\"", "the column to group by"));
        }
        Ok(Self {
            operation,
            field,
            group_by,
            limits,
            total: Tally::default(),
            groups: Vec::new(),
            places: HashMap::new(),
            bytes: 0,
        })
    }

    fn group_of(&mut self, item: &Item, group_by: &str) -> Result<&mut Tally, Fault> {
        let key = item.at(group_by).map_or(Cell::Null, |cell| cell.into_owned());
        let next = self.groups.len();
        let place = *self.places.entry(fingerprint(Some(&key))).or_insert(next);
        self.bytes += match self.operation {
            Operation::Group => item.len_bytes(),
            _ if place == next => key.len_bytes() + size_of::<Tally>() * 2,
            _ => 0,
        };
        if self.bytes > self.limits.memory_bytes {
            return Err(too_much(self.limits.memory_bytes, next).at(item));
        }
        if place == next {
            self.groups.push((key, Tally::default()));
        }
        Ok(&mut self.groups[place].1)
    }
}

impl Stage for Aggregate {
    fn push(&mut self, item: Item, _out: &mut Vec<Item>) -> Result<(), Fault> {
        let number = self.field.as_ref().and_then(|field| item.at(field)?.as_f64());
        let keeps_items = self.operation == Operation::Group;
        let tally = match self.group_by.clone() {
            None => &mut self.total,
            Some(group_by) => self.group_of(&item, &group_by)?,
        };
        tally.add(number);
        if keeps_items {
            tally.items.push(item);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Item>) -> Result<(), Fault> {
        let (total, groups) = (mem::take(&mut self.total), mem::take(&mut self.groups));
        self.places.clear();
        self.bytes = 0;
        let Some(group_by) = &self.group_by else {
            out.push(Item::Bare(total.result(self.operation)?));
            return Ok(());
        };
        if self.operation == Operation::Group {
            // One object: a key of two kinds, such as 1 and "1", is one name and both their items.
            let mut object = Record::default();
            let mut lists: Vec<(String, Vec<Json>)> = Vec::new();
            for (key, tally) in groups {
                let (name, mut items) = (key.to_string(), tally.items.iter().map(Item::to_json).collect::<Vec<_>>());
                match lists.iter_mut().find(|(have, _)| *have == name) {
                    Some((_, list)) => list.append(&mut items),
                    None => lists.push((name, items)),
                }
            }
            for (name, list) in lists {
                object.set(&name, Cell::from_json(&Json::Array(list)));
            }
            out.push(Item::Row(object));
            return Ok(());
        }
        let key_name = group_by.rsplit('.').next().unwrap_or(group_by);
        let name = OPERATIONS.iter().find(|(_, known)| *known == self.operation).map_or("", |(name, _)| name);
        for (key, tally) in groups {
            out.push(Item::Row([(key_name, key), (name, tally.result(self.operation)?)].into_iter().collect()));
        }
        Ok(())
    }
}
