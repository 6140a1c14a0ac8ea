//! Steps that change which columns an item has: projection, renaming, flattening, and what an expression makes.

use serde_json::{Map, Value as Json};

use super::Stage;
use super::config::Config;
use super::error::Fault;
use super::expression::Expression;
use super::item::{Cell, Item, Record};
use super::javascript;

/// `field-extract`: keeps some columns.
#[derive(Debug)]
pub(super) struct FieldExtract {
    /// Each path with the name that its value gets.
    fields: Vec<(String, String)>,
    keep_structure: bool,
}

impl FieldExtract {
    pub(super) fn new(config: &Config<'_>) -> Result<Self, Fault> {
        let paths = config.list("fields", ',')?;
        if paths.is_empty() {
            return Err(Fault::field("fields", "[]", "at least one column"));
        }
        let keep_structure = config.flag("keepStructure")?;
        let mut fields: Vec<(String, String)> = Vec::new();
        for path in paths {
            let name = path.rsplit('.').next().filter(|last| !last.is_empty() && !keep_structure).unwrap_or(&path);
            if let Some((other, _)) = fields.iter().find(|(other, have)| have == name && *other != path) {
                let expected = format!("names with different last parts, or keepStructure; {other} has the same");
                return Err(Fault::field("fields", &path, &expected));
            }
            let name = name.to_owned();
            if !fields.iter().any(|(other, _)| *other == path) {
                fields.push((path, name));
            }
        }
        Ok(Self { fields, keep_structure })
    }
}

impl Stage for FieldExtract {
    fn push(&mut self, item: Item, out: &mut Vec<Item>) -> Result<(), Fault> {
        let found = self.fields.iter().filter_map(|(path, name)| Some((path, name, item.at(path)?)));
        let record = if self.keep_structure {
            let mut nested = Map::new();
            for (path, _, cell) in found {
                put_at(&mut nested, path, cell.to_json());
            }
            nested.iter().map(|(name, value)| (name.as_str(), Cell::from_json(value))).collect()
        } else {
            found.map(|(_, name, cell)| (name.as_str(), cell.into_owned())).collect()
        };
        out.push(Item::Row(record));
        Ok(())
    }
}

/// Puts a value where a dotted path leads. What is there and no object is left as it is: the shorter path came first.
fn put_at(object: &mut Map<String, Json>, path: &str, value: Json) {
    match path.split_once('.') {
        None => drop(object.entry(path).or_insert(value)),
        Some((first, rest)) => {
            if let Json::Object(inner) = object.entry(first).or_insert_with(|| Json::Object(Map::new())) {
                put_at(inner, rest, value);
            }
        }
    }
}

/// `rename`: gives columns other names.
#[derive(Debug)]
pub(super) struct Rename(Vec<(String, String)>);

impl Rename {
    pub(super) fn new(config: &Config<'_>) -> Result<Self, Fault> {
        let expected = "an object of old names to new names, each there once";
        let Some(Json::Object(columns)) = config.get("columns") else {
            let found = config.get("columns").cloned().unwrap_or_default();
            return Err(Fault::field("columns", found, expected));
        };
        let mut names: Vec<(String, String)> = Vec::new();
        for (old, new) in columns {
            match new.as_str().filter(|new| !new.is_empty()) {
                Some(new) if names.iter().all(|(_, have)| have != new) => names.push((old.clone(), new.to_owned())),
                _ => return Err(Fault::field("columns", new, expected)),
            }
        }
        Ok(Self(names))
    }
}

impl Stage for Rename {
    fn push(&mut self, mut item: Item, out: &mut Vec<Item>) -> Result<(), Fault> {
        if let Item::Row(record) = &mut item {
            // All places before the first change, so that two columns can swap their names.
            let places: Vec<(usize, &str)> =
                self.0.iter().filter_map(|(old, new)| Some((record.column_of(old)?, new.as_str()))).collect();
            for (_, new) in &places {
                if record.column_of(new).is_some_and(|present| places.iter().all(|(moved, _)| *moved != present)) {
                    let problem = format!("a column {new:?} is there already; expected a name that none has");
                    return Err(Fault::new(problem).at(&item));
                }
            }
            for (place, new) in places {
                record.rename(place, new);
            }
        }
        out.push(item);
        Ok(())
    }
}

/// `flatten`: arrays become their elements, rows get the members of nested values as columns.
#[derive(Debug)]
pub(super) struct Flatten {
    /// How many levels of arrays; all where it is `None`.
    depth: Option<usize>,
    separator: String,
}

impl Flatten {
    pub(super) fn new(config: &Config<'_>) -> Result<Self, Fault> {
        let depth = Some(config.count("depth")?.unwrap_or(1)).filter(|depth| *depth > 0);
        Ok(Self { depth, separator: config.text("separator")?.unwrap_or_else(|| ".".to_owned()) })
    }

    fn flatten_array(&self, elements: &[Json], depth: usize, out: &mut Vec<Item>) {
        for element in elements {
            match element {
                Json::Array(inner) if self.depth.is_none_or(|most| depth < most) => {
                    self.flatten_array(inner, depth + 1, out);
                }
                other => out.push(Item::from_json(other)),
            }
        }
    }

    fn flatten_object(&self, prefix: &str, members: &Map<String, Json>, record: &mut Record) -> Result<(), String> {
        for (name, value) in members {
            let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}{}{name}", self.separator) };
            match value {
                Json::Object(inner) if !inner.is_empty() => self.flatten_object(&name, inner, record)?,
                _ if record.get(&name).is_some() => return Err(name),
                plain => record.set(&name, Cell::from_json(plain)),
            }
        }
        Ok(())
    }
}

impl Stage for Flatten {
    fn push(&mut self, item: Item, out: &mut Vec<Item>) -> Result<(), Fault> {
        match &item {
            Item::Bare(cell @ Cell::Json(_)) => match cell.to_json() {
                Json::Array(elements) => self.flatten_array(&elements, 1, out),
                other => out.push(Item::from_json(&other)),
            },
            Item::Bare(_) => out.push(item),
            Item::Row(columns) => {
                let mut record = Record::default();
                for (name, cell) in columns.columns() {
                    let nested = if matches!(cell, Cell::Json(_)) { cell.to_json() } else { Json::Null };
                    let clash = match nested {
                        Json::Object(inner) if !inner.is_empty() => self.flatten_object(name, &inner, &mut record),
                        _ if record.get(name).is_some() => Err(name.to_owned()),
                        _ => {
                            record.set(name, cell.clone());
                            Ok(())
                        }
                    };
                    clash.map_err(|name| {
                        let problem = format!("two values become column {name:?}; expected another separator");
                        Fault::new(problem).at(&item)
                    })?;
                }
                out.push(Item::Row(record));
            }
        }
        Ok(())
    }
}

/// `map-transform`: what an expression makes of each item.
#[derive(Debug)]
pub(super) struct MapTransform(Expression);

impl MapTransform {
    pub(super) fn new(config: &Config<'_>) -> Result<Self, Fault> {
        let variable = config.filled("itemVar")?.unwrap_or_else(|| "item".to_owned());
        let text = config.required("expression", "an expression such as item.name")?;
        let expression = Expression::compile(&text, &variable)
            .map_err(|error| javascript::explain("expression", &text, &variable, &error))?;
        Ok(Self(expression))
    }
}

impl Stage for MapTransform {
    fn push(&mut self, item: Item, out: &mut Vec<Item>) -> Result<(), Fault> {
        let fault = |problem: String| Fault::new(problem).in_expression(self.0.text()).at(&item);
        let made = self.0.evaluate(&item).map_err(|error| fault(error.to_string()))?;
        out.push(made);
        Ok(())
    }
}
