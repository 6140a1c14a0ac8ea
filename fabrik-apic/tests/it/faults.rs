//! What comes of a controller that is busy, changes, breaks off or refuses.

use std::time::Duration;

use fabrik_apic::simulator::{Fault, FaultRule, Scheme, Simulator};
use fabrik_apic::{Client, Verification, Way};
use fabrik_core::{Verdict, summarize};

use crate::fabric::{Fabric, admin, connection, plain};

const ENDPOINTS: &str = "/api/class/fvCEp.json";

/// Captures while a fault passes, and requires that nothing shows of it.
fn passes(fault: Fault, times: usize) {
    let mut fabric = Fabric::new(3000);
    let truth = fabric.truth(ENDPOINTS);
    let id = fabric.simulator.faults().next(times, "fvCEp.json", fault);

    let captured = fabric.capture(ENDPOINTS).unwrap();

    assert_eq!(fabric.simulator.faults().hits(id), times);
    assert_eq!(captured.snapshot.verdict, Verdict::Complete);
    assert_eq!(captured.snapshot.version_hash, truth.version_hash);
}

/// Captures while a fault stays, and returns the error; the store must stay empty.
fn stays(rule: FaultRule) -> String {
    let mut fabric = Fabric::new(3000);
    fabric.simulator.faults().add(rule);

    let error = fabric.capture(ENDPOINTS).unwrap_err();

    let snapshots = pollster::block_on(fabrik_core::store::ReadRecords::snapshots(&fabric.store, &Default::default()));
    assert_eq!(snapshots.unwrap().len(), 0);
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

fn on_pages(fault: Fault) -> FaultRule {
    FaultRule::new(fault).with_text("page-size=")
}

#[test]
fn busy_pages_are_asked_for_again() {
    passes(Fault::BusyPage, 3);
}

#[test]
fn pages_of_the_web_server_are_asked_for_again() {
    passes(Fault::HtmlPage { status: 503 }, 2);
    passes(Fault::HtmlPage { status: 502 }, 2);
}

#[test]
fn refused_requests_come_back_when_they_may() {
    passes(Fault::Refused { status: 429, retry_after: Some(0) }, 3);
    passes(Fault::Refused { status: 503, retry_after: None }, 2);
}

#[test]
fn answers_that_break_off_are_asked_for_again() {
    passes(Fault::CutBody { after: 5000 }, 2);
    passes(Fault::TruncatedBody { after: 5000 }, 2);
    passes(Fault::TruncatedBody { after: 0 }, 1);
}

#[test]
fn expired_sessions_are_replaced() {
    passes(Fault::ExpiredToken, 1);
}

#[test]
fn invalid_escapes_are_read_as_what_they_mean() {
    passes(Fault::InvalidEscape, 5);
}

#[test]
fn a_controller_that_stays_busy_is_an_error() {
    let error = stays(on_pages(Fault::BusyPage));

    assert!(error.contains("the controller is busy: for /api/class/fvCEp.json?order-by=fvCEp.dn&page="), "{error}");
    assert!(error.contains("objects and sent none"), "{error}");
}

#[test]
fn connections_that_are_always_cut_are_an_error() {
    let error = stays(on_pages(Fault::CutBody { after: 2000 }));

    assert!(error.contains("the connection was cut before the answer was complete"), "{error}");
}

#[test]
fn answers_that_always_break_off_are_an_error() {
    let error = stays(on_pages(Fault::TruncatedBody { after: 3000 }));

    assert!(error.contains("the answer is cut off after 3000 bytes"), "{error}");
}

#[test]
fn a_page_of_a_web_server_keeps_its_status_and_its_words() {
    let error = stays(on_pages(Fault::HtmlPage { status: 404 }));

    assert!(error.contains("was answered with HTTP 404 and the body is a web page: "), "{error}");
    assert!(error.contains("404"), "{error}");
}

#[test]
fn an_unknown_class_is_told_in_the_words_of_the_controller() {
    let mut fabric = Fabric::new(1000);

    let error = fabric.capture("/api/class/fvNothing.json").unwrap_err().to_string();

    assert!(error.contains("(HTTP 400)") && error.contains("unresolved class for"), "{error}");
    assert_eq!(fabric.requests_to("/api/class/"), 1);
}

#[test]
fn a_fabric_that_shrinks_once_is_read_again() {
    let mut fabric = Fabric::new(3000);
    let before = fabric.truth(ENDPOINTS).row_count;
    let shrink = FaultRule::new(Fault::Shrink { objects: 3 }).with_text("page=2&").with_times(1);
    fabric.simulator.faults().add(shrink);

    let captured = fabric.capture(ENDPOINTS).unwrap();

    let truth = fabric.truth(ENDPOINTS);
    assert_eq!(truth.row_count, before - 3);
    assert_eq!(captured.snapshot.verdict, Verdict::Complete);
    assert_eq!(captured.snapshot.version_hash, truth.version_hash);
}

#[test]
fn a_fabric_that_keeps_shrinking_is_unstable() {
    let mut fabric = Fabric::new(3000);
    let before = fabric.truth(ENDPOINTS).row_count;
    let shrink = FaultRule::new(Fault::Shrink { objects: 3 }).with_text("page=2&");
    fabric.simulator.faults().add(shrink);

    let captured = fabric.capture(ENDPOINTS).unwrap();

    // Read twice: the second time three objects less are there at first, and again three less in the end.
    let (rows_before, rows_after) = (before - 3, before - 6);
    assert_eq!(captured.snapshot.verdict, Verdict::Unstable { rows_before, rows_after });
}

#[test]
fn a_fabric_that_grows_after_the_last_page_is_noticed() {
    let mut fabric = Fabric::new(3000);
    fabric.options.restarts = 0;
    let grow = FaultRule::new(Fault::Grow { objects: 400 }).with_text("include=count").after(1).with_times(1);
    fabric.simulator.faults().add(grow);

    let captured = fabric.capture(ENDPOINTS).unwrap();

    let Verdict::Unstable { rows_before, rows_after } = captured.snapshot.verdict else {
        panic!("{:?}", captured.snapshot.verdict);
    };
    assert_eq!(rows_before, captured.snapshot.row_count);
    assert!(rows_after > rows_before);
}

#[test]
fn objects_that_come_twice_are_noticed_although_the_sum_is_right() {
    let mut fabric = Fabric::new(3000);
    fabric.simulator.faults().add(FaultRule::new(Fault::RepeatedObject).with_text("page=3&"));

    let captured = fabric.capture(ENDPOINTS).unwrap();

    let Verdict::Partial { reason, missing, .. } = captured.snapshot.verdict else {
        panic!("{:?}", captured.snapshot.verdict);
    };
    assert!(reason.starts_with("1 objects came twice"), "{reason}");
    assert!(missing.is_empty());
}

#[test]
fn a_count_that_is_wrong_is_no_complete_capture() {
    for by in [-7, 7] {
        let mut fabric = Fabric::new(3000);
        fabric.simulator.faults().add(on_pages(Fault::WrongTotalCount { by }));

        let captured = fabric.capture(ENDPOINTS).unwrap();

        assert_ne!(captured.snapshot.verdict, Verdict::Complete, "{by}");
    }
}

#[test]
fn what_is_too_big_is_read_along_the_tree() {
    for status in [400, 503] {
        let mut fabric = Fabric::new(4000);
        let truth = fabric.truth(ENDPOINTS);
        assert!(truth.row_count > 400);
        fabric.simulator.faults().add(on_pages(Fault::TooBig { status, threshold: 400 }));

        let captured = fabric.capture(ENDPOINTS).unwrap();

        assert_eq!(captured.snapshot.verdict, Verdict::Complete);
        assert_eq!(captured.snapshot.version_hash, truth.version_hash);
        assert_eq!(fabric.learned.unwrap().way, Way::Tree);
    }
}

#[test]
fn what_was_learned_saves_the_questions_that_fail() {
    let mut fabric = Fabric::new(4000);
    fabric.simulator.faults().add(on_pages(Fault::TooBig { status: 400, threshold: 400 }));
    fabric.capture(ENDPOINTS).unwrap();
    fabric.options.learned = fabric.learned;
    fabric.simulator.clear_requests();

    let captured = fabric.capture(ENDPOINTS).unwrap();

    assert_eq!(captured.snapshot.verdict, Verdict::Complete);
    let refused = fabric.simulator.requests().iter().filter(|served| served.status == 400).count();
    let of_branches = fabric
        .simulator
        .requests()
        .iter()
        .filter(|served| served.status == 400 && served.target.starts_with("/api/mo/"))
        .count();
    assert_eq!(refused, of_branches, "the class as a whole was asked for again");
}

#[test]
fn branches_without_an_end_are_read_in_ranges() {
    let mut fabric = Fabric::new(4000);
    let truth = fabric.truth(ENDPOINTS);
    // Less than a single EPG has, so that no branch is small enough.
    fabric.simulator.faults().add(on_pages(Fault::TooBig { status: 400, threshold: 400 }));
    fabric.options.page_size = Some(50);
    let path = "/api/class/faultInst.json";
    let faults = fabric.truth(path);

    let captured = fabric.capture(path).unwrap();

    assert_eq!(captured.snapshot.version_hash, faults.version_hash);
    assert!(truth.row_count > 0);
}

#[test]
fn time_outs_inside_the_controller_are_treated_as_too_big() {
    let mut fabric = Fabric::new(4000);
    let truth = fabric.truth("/api/class/l1PhysIf.json");
    for asked in ["?rsp-subtree-include=count", "?order-by"] {
        let whole = format!("/api/class/l1PhysIf.json{asked}");
        fabric.simulator.faults().add(FaultRule::new(Fault::ResolveTimeout).with_text(whole));
    }

    let captured = fabric.capture("/api/class/l1PhysIf.json").unwrap();

    // Nothing could be counted, so nothing contradicts what came.
    assert_eq!(captured.snapshot.verdict, Verdict::Complete);
    assert_eq!(captured.snapshot.version_hash, truth.version_hash);
}

#[test]
fn a_node_that_does_not_answer_is_missing_and_its_rows_are_unknown() {
    let mut fabric = Fabric::new(4000);
    let path = "/api/class/l1PhysIf.json";
    let complete = fabric.capture(path).unwrap().snapshot;
    fabric.simulator.faults().add(FaultRule::new(Fault::TooBig { status: 400, threshold: 5 }).with_text(path));
    fabric.simulator.faults().lose_node(101);

    let captured = fabric.capture(path).unwrap();

    let Verdict::Partial { reason, missing, expected_rows } = &captured.snapshot.verdict else {
        panic!("{:?}", captured.snapshot.verdict);
    };
    assert_eq!(missing, &["topology/pod-1/node-101"]);
    assert!(reason.starts_with("topology/pod-1/node-101 could not be read: "), "{reason}");
    assert_eq!(*expected_rows, Some(complete.row_count));
    let summary = pollster::block_on(summarize(&fabric.store, &complete, &captured.snapshot)).unwrap();
    assert_eq!((summary.added, summary.removed, summary.changed), (0, 0, 0));
    assert_eq!(summary.unknown, complete.row_count - captured.snapshot.row_count);
    assert!(summary.unknown > 0);
}

#[test]
fn an_answer_that_takes_too_long_is_an_error_when_nothing_can_be_split() {
    let mut fabric = Fabric::new(1000);
    let mut options = connection(&fabric.simulator);
    options.timeout_seconds = 1.try_into().unwrap();
    fabric.client = Client::new(options, admin()).unwrap();
    fabric.simulator.faults().add(FaultRule::new(Fault::Slow { delay: Duration::from_secs(3) }).with_text("/api/mo/"));

    let error = fabric.capture("/api/mo/uni/tn-common.json").unwrap_err().to_string();

    assert!(error.contains("/api/mo/uni/tn-common.json was not answered within 1 s"), "{error}");
}

#[test]
fn a_certificate_that_nobody_signed_is_refused_before_the_password_is_sent() {
    let simulator = Simulator::start(plain().with_scheme(Scheme::Https)).unwrap();
    let other = Simulator::start(plain().with_scheme(Scheme::Https)).unwrap();
    let fabric = Fabric::new(1000);
    let try_with = |verification: Verification| {
        let mut options = connection(&simulator);
        options.verification = verification;
        let client = Client::new(options, admin()).unwrap();
        fabric.run(client.check()).map(|controller| controller.version)
    };

    for wrong in [Verification::System, Verification::Authority(other.certificate_pem().unwrap().to_owned())] {
        let error = try_with(wrong).unwrap_err().to_string();
        assert!(error.starts_with("the controller's certificate is not trusted"), "{error}");
    }
    assert_eq!(simulator.requests().len(), 0);
    let right = Verification::Authority(simulator.certificate_pem().unwrap().to_owned());
    assert!(!try_with(right).unwrap().is_empty());
    assert!(!try_with(Verification::Off).unwrap().is_empty());
}

#[test]
fn nobody_there_is_an_error_that_says_so() {
    let mut fabric = Fabric::new(1000);
    let mut options = connection(&fabric.simulator);
    options.retry.attempts = 2;
    fabric.client = Client::new(options, admin()).unwrap();
    fabric.simulator = Simulator::start(plain()).unwrap();

    let error = fabric.capture(ENDPOINTS).unwrap_err().to_string();

    assert!(error.contains("there is no connection to the controller"), "{error}");
}
