//! Which attributes the objects of an input have, told by the rows where they show it plainly.
//!
//! A controller leaves attributes out only when it is asked to, and then on every object. So the rules look at all
//! rows, and any doubt means that nothing was left out: attributes that were left out by mistake would be passed over
//! in comparisons. Rows are **configuration only** when every one of them has a class, a DN and `annotation`, which
//! every configured object has, and none has an attribute that only a running controller keeps. That rows have
//! nothing but what names them proves nothing: small files are written by hand.
//!
//! A configuration export is what its name says, unless its objects carry `modTs`.

use fabrik_core::{Coverage, RowBatch};

/// Attributes that `rsp-prop-include=config-only` leaves out.
const OPERATIONAL: [&str; 6] = ["modTs", "childAction", "lcOwn", "uid", "monPolDn", "status"];
/// What every object that can be configured has.
const CONFIGURED: &str = "annotation";

/// Looks at rows as they pass.
#[derive(Debug)]
pub(crate) struct CoverageWatch {
    /// Nothing can change the result any more.
    is_full: bool,
    has_times: bool,
    has_rows: bool,
}

impl CoverageWatch {
    pub(crate) fn new() -> Self {
        Self { is_full: false, has_times: false, has_rows: false }
    }

    /// Looks at some rows.
    pub(crate) fn observe(&mut self, batch: &RowBatch) {
        for row in batch.iter() {
            if self.is_full {
                return;
            }
            self.has_rows = true;
            self.has_times = row.get("modTs").is_some();
            let is_object = row.class_name().is_some() && row.dn().is_some();
            let is_operational = OPERATIONAL.iter().any(|name| row.get(name).is_some());
            self.is_full = self.has_times || is_operational || !is_object || row.get(CONFIGURED).is_none();
        }
    }

    /// Returns what the rows show.
    pub(crate) fn coverage(&self, is_config_export: bool) -> Coverage {
        let is_full = if is_config_export { self.has_times } else { self.is_full || !self.has_rows };
        if is_full { Coverage::Full } else { Coverage::ConfigOnly }
    }
}

#[cfg(test)]
mod tests {
    use fabrik_core::RowBatchBuilder;

    use super::*;

    fn coverage(rows: &[&str], is_config_export: bool) -> Coverage {
        let mut builder = RowBatchBuilder::default();
        for row in rows {
            builder.push_json(row).unwrap();
        }
        let mut watch = CoverageWatch::new();
        watch.observe(&builder.take());
        watch.coverage(is_config_export)
    }

    const NAMED: &str = r#"{"className":"fvBD","dn":"uni/tn-a/BD-b","name":"b"}"#;
    const CONFIGURED: &str = r#"{"className":"fvBD","dn":"uni/tn-a/BD-b","name":"b","annotation":""}"#;
    const OPERATIONAL: &str = r#"{"className":"fvBD","dn":"uni/tn-a/BD-b","annotation":"","childAction":""}"#;
    const TIMED: &str = r#"{"className":"fvBD","dn":"uni/tn-a/BD-b","annotation":"","modTs":"never"}"#;
    const FLAT: &str = r#"{"dn":"uni/tn-a/BD-b","annotation":""}"#;

    #[test]
    fn rows_show_what_was_left_out() {
        for (rows, expected) in [
            (&[CONFIGURED, CONFIGURED][..], Coverage::ConfigOnly),
            (&[CONFIGURED, NAMED], Coverage::Full),
            (&[CONFIGURED, OPERATIONAL], Coverage::Full),
            (&[CONFIGURED, TIMED], Coverage::Full),
            (&[CONFIGURED, FLAT], Coverage::Full),
            (&[NAMED], Coverage::Full),
            (&[], Coverage::Full),
        ] {
            assert_eq!(coverage(rows, false), expected, "{rows:?}");
        }
    }

    #[test]
    fn export_is_configuration_unless_it_has_times() {
        assert_eq!(coverage(&[NAMED, CONFIGURED, FLAT], true), Coverage::ConfigOnly);
        assert_eq!(coverage(&[TIMED], true), Coverage::Full);
    }
}
