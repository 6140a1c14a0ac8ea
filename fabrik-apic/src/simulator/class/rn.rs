//! How the relative name of an object is made from its naming properties, and taken apart again.

/// The format of a relative name, such as `vlanns-[{name}]-{allocMode}`.
#[derive(Debug)]
pub(crate) struct RnFormat {
    /// What comes first.
    prefix: &'static str,
    /// The properties, each with the text that follows it.
    properties: Vec<(&'static str, &'static str)>,
}

impl RnFormat {
    pub(super) fn parse(text: &'static str) -> Self {
        let mut parts = text.split('{');
        let prefix = parts.next().unwrap_or("");
        Self { prefix, properties: parts.map(|part| part.split_once('}').unwrap_or((part, ""))).collect() }
    }

    /// Returns the text before the first property.
    pub(crate) fn prefix(&self) -> &'static str {
        self.prefix
    }

    /// Returns the naming properties in the order in which they occur.
    pub(super) fn properties(&self) -> impl Iterator<Item = &'static str> {
        self.properties.iter().map(|&(name, _)| name)
    }

    /// Makes a relative name from the values of the naming properties.
    pub(crate) fn write<'a>(&self, values: impl Iterator<Item = &'a str>) -> String {
        let mut rn = self.prefix.to_owned();
        for ((_, after), value) in self.properties.iter().zip(values) {
            rn.push_str(value);
            rn.push_str(after);
        }
        rn
    }

    /// Returns whether this can be the relative name of such an object.
    pub(crate) fn matches(&self, rn: &str) -> bool {
        self.values(rn).is_some()
    }

    /// Returns the values of the naming properties.
    pub(crate) fn values<'a>(&self, rn: &'a str) -> Option<Vec<&'a str>> {
        let mut rest = rn.strip_prefix(self.prefix)?;
        let mut before = self.prefix;
        let mut values = Vec::with_capacity(self.properties.len());
        for (nth, &(_, after)) in self.properties.iter().enumerate() {
            let last = nth + 1 == self.properties.len();
            let end = if before.ends_with('[') {
                end_of_brackets(rest).filter(|&end| rest[end..].starts_with(after))?
            } else if last {
                rest.len().checked_sub(after.len()).filter(|&end| rest.is_char_boundary(end))?
            } else {
                rest.find(after)?
            };
            values.push(&rest[..end]);
            rest = rest[end..].strip_prefix(after)?;
            before = after;
        }
        (rest.is_empty() && values.iter().all(|value| !value.is_empty())).then_some(values)
    }
}

/// Returns where the bracket is closed that was opened before `text`.
fn end_of_brackets(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' if depth == 0 => return Some(at),
            b']' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::RnFormat;

    #[test]
    fn values_are_taken_out_of_brackets_and_between_dashes() {
        for (format, rn, expected) in [
            ("tn-{name}", "tn-a-b", Some(vec!["a-b"])),
            ("subnet-[{ip}]", "subnet-[10.0.0.1/24]", Some(vec!["10.0.0.1/24"])),
            ("rspathAtt-[{tDn}]", "rspathAtt-[p/pathep-[eth1/1]]", Some(vec!["p/pathep-[eth1/1]"])),
            ("vlanns-[{name}]-{allocMode}", "vlanns-[a]-static", Some(vec!["a", "static"])),
            ("from-[{from}]-to-[{to}]", "from-[vlan-1]-to-[vlan-2]", Some(vec!["vlan-1", "vlan-2"])),
            ("rsbd", "rsbd", Some(vec![])),
            ("rsbd", "rsbdx", None),
            ("tn-{name}", "tn-", None),
            ("tn-{name}", "BD-a", None),
            ("subnet-[{ip}]", "subnet-[10.0.0.1/24", None),
            ("subnet-[{ip}]", "subnet-[1]x", None),
        ] {
            assert_eq!(RnFormat::parse(format).values(rn), expected, "{format} {rn}");
        }
    }

    #[test]
    fn values_make_the_name_again() {
        let format = RnFormat::parse("vlanns-[{name}]-{allocMode}");

        assert_eq!(format.write(["a", "static"].into_iter()), "vlanns-[a]-static");
    }
}
