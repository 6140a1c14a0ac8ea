//! What comes of a controller that behaves.

use fabrik_apic::ApicQuery;
use fabrik_apic::simulator::Scheme;
use fabrik_core::{Coverage, Source, Verdict};

use crate::fabric::{Fabric, plain};

#[test]
fn a_capture_has_what_the_controller_has() {
    let mut fabric = Fabric::new(4000);
    for path in [
        "/api/class/fvCEp.json",
        "/api/class/fvBD.json?rsp-subtree=full",
        "/api/class/fvBD,fvCtx.json",
        "/api/mo/uni/tn-common.json",
        "/api/mo/uni.json?query-target=subtree&target-subtree-class=fvSubnet",
        "/api/class/faultInst.json?query-target-filter=eq(faultInst.severity,\"major\")",
        "/api/class/fvTenant.json?rsp-prop-include=config-only",
    ] {
        let captured = fabric.capture(path).unwrap();

        let truth = fabric.truth(path);
        assert_eq!(captured.snapshot.verdict, Verdict::Complete, "{path}");
        assert!(truth.row_count > 0, "{path}");
        assert_eq!(captured.snapshot.version_hash, truth.version_hash, "{path}");
    }
}

#[test]
fn a_class_without_objects_is_complete_and_empty() {
    let mut fabric = Fabric::new(1000);

    let captured = fabric.capture("/api/class/fvTenant.json?query-target-filter=eq(fvTenant.name,\"nobody\")").unwrap();

    assert_eq!((captured.snapshot.row_count, captured.snapshot.verdict), (0, Verdict::Complete));
}

#[test]
fn the_size_of_pages_and_how_many_are_read_at_once_do_not_show() {
    let mut fabric = Fabric::new(3000);
    let mut hashes = Vec::new();
    for (page_size, parallel) in [(1000, 1), (37, 1), (37, 8), (500, 3), (100_000, 4)] {
        fabric.options.page_size = Some(page_size);
        fabric.options.parallel = parallel;

        let captured = fabric.capture("/api/class/fvCEp.json").unwrap();

        assert_eq!(captured.snapshot.verdict, Verdict::Complete);
        hashes.push(captured.snapshot.version_hash);
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 1);
    assert!(fabric.simulator.most_requests_at_once() <= 8);
}

#[test]
fn a_repeated_capture_shares_everything() {
    let mut fabric = Fabric::with(plain().with_scheme(Scheme::Https));
    fabric.capture("/api/class/fvRsPathAtt.json").unwrap();

    let again = fabric.capture("/api/class/fvRsPathAtt.json").unwrap();

    assert!(again.is_duplicate());
    assert_eq!(again.snapshot.stored_bytes, 0);
}

#[test]
fn compressed_answers_say_the_same() {
    let mut fabric = Fabric::with(plain().with_gzip(true));

    let captured = fabric.capture("/api/class/fvCEp.json").unwrap();

    let truth = fabric.truth("/api/class/fvCEp.json");
    assert_eq!(captured.snapshot.version_hash, truth.version_hash);
}

#[test]
fn a_change_on_the_controller_is_the_change_between_captures() {
    let mut fabric = Fabric::new(2000);
    fabric.capture("/api/class/fvTenant.json").unwrap();
    let posted = r#"{"fvTenant":{"attributes":{"name":"brand-new","descr":"for a test"}}}"#;
    fabric.simulator.post(Some("uni/tn-brand-new"), posted).unwrap();

    let captured = fabric.capture("/api/class/fvTenant.json").unwrap();

    let changes = captured.snapshot.changes.unwrap();
    assert_eq!((changes.added, changes.removed, changes.changed), (1, 0, 0));
}

#[test]
fn coverage_follows_the_attributes_asked_for() {
    let fabric = Fabric::new(1000);
    for (include, coverage) in
        [("all", Coverage::Full), ("config-only", Coverage::ConfigOnly), ("naming-only", Coverage::NamingOnly)]
    {
        let source = fabric.start(&format!("/api/class/fvBD.json?rsp-prop-include={include}"));

        assert_eq!(source.coverage(), coverage);
    }
}

#[test]
fn single_pages_are_no_capture() {
    let query: ApicQuery = "/api/class/fvBD.json?page=0&page-size=15".parse().unwrap();
    let fabric = Fabric::new(1000);

    let error = fabric.run(async {
        let runtime = tokio::runtime::Handle::current();
        fabrik_apic::LiveSource::start(&fabric.client, &query, &fabric.options, &runtime).unwrap_err().to_string()
    });

    assert_eq!(error, r#"page "0" is not valid: expected no paging: a capture reads all pages itself"#);
}

#[test]
fn a_source_that_is_dropped_stops_asking() {
    let mut fabric = Fabric::new(4000);
    fabric.options.page_size = Some(10);
    let mut source = fabric.start("/api/class/fvCEp.json");
    pollster::block_on(source.next_batch()).unwrap();

    drop(source);

    // What was under way ends with the runtime; nothing new is asked after that.
    let asked = fabric.requests_to("/api/class/fvCEp.json");
    let pages = fabric.truth("/api/class/fvCEp.json").row_count / 10;
    assert!((asked as u64) < pages, "{asked} of {pages} pages");
}
