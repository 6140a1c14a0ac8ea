//! Forgetting: the plan is what happens, and what stays is whole.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use chrono::{DateTime, Utc};
use fabrik_core::store::{MemoryStore, Store};
use fabrik_core::{
    Annotate, DoomedBy, Protection, RetentionOptions, RetentionPolicy, Snapshot, SnapshotId, annotate, apply_retention,
    plan_retention, stats,
};
use proptest::prelude::*;

use crate::helpers::{assert_sound, block_on, capture_with, day, list, options, read, stores};

#[derive(Clone, Debug)]
struct Taken {
    query: &'static str,
    connection: Option<&'static str>,
    day: i64,
    policy: RetentionPolicy,
    pinned: bool,
    version: u32,
}

fn taken() -> impl Strategy<Value = Taken> {
    (
        prop::sample::select(vec!["q", "r"]),
        prop::sample::select(vec![None, None, Some("east")]),
        0..60_i64,
        prop::sample::select(RetentionPolicy::ALL.to_vec()),
        prop::bool::weighted(0.2),
        0..6_u32,
    )
        .prop_map(|(query, connection, day, policy, pinned, version)| Taken {
            query,
            connection,
            day,
            policy,
            pinned,
            version,
        })
}

/// Some leaves of rows, of which versions differ in a few.
fn rows(version: u32) -> Vec<String> {
    let row = |i: u32| {
        let value = if i % 23 == version % 23 { version } else { 0 };
        format!(r#"{{"dn":"uni/tn-{i:03}","v":{value}}}"#)
    };
    (0..150 + version).map(row).collect()
}

fn take(store: &dyn Store, number: u32, taken: &Taken) {
    let mut options = options(number);
    (options.query, options.connection) = (taken.query.into(), taken.connection.map(str::to_owned));
    (options.captured_at, options.retention_policy) = (day(taken.day), taken.policy);
    let snapshot = capture_with(store, &options, rows(taken.version)).snapshot;
    if taken.pinned {
        block_on(annotate(store, snapshot.id, &Annotate { pinned: Some(true), ..Annotate::default() })).unwrap();
    }
}

fn expired(snapshot: &Snapshot, now: DateTime<Utc>) -> bool {
    let days = match snapshot.retention_policy {
        RetentionPolicy::SevenDays => 7,
        RetentionPolicy::ThirtyDays => 30,
        RetentionPolicy::NinetyDays => 90,
        RetentionPolicy::OneYear => 365,
        RetentionPolicy::Forever => return false,
    };
    snapshot.captured_at + chrono::TimeDelta::days(days) <= now
}

fn check(store: &dyn Store, history: &[Taken], wanted: &RetentionOptions) {
    for (taken, number) in history.iter().zip(1..) {
        take(store, number, taken);
    }
    let all = list(store);
    let contents: BTreeMap<SnapshotId, Vec<String>> = all.iter().map(|one| (one.id, read(store, one))).collect();
    let considered = |one: &Snapshot| wanted.query.as_ref().is_none_or(|query| *query == one.series.query.name);
    let is_newest =
        |one: &Snapshot| all.iter().find(|other| other.series == one.series).is_some_and(|newest| newest.id == one.id);
    let protection = |one: &Snapshot| match one.pinned {
        true => Some(Protection::Pin),
        false => (wanted.protect_newest && is_newest(one)).then_some(Protection::NewestOfSeries),
    };
    let is_expired = |one: &Snapshot| considered(one) && expired(one, wanted.now);
    let goes_by_policy = |one: &Snapshot| is_expired(one) && protection(one).is_none();
    // Of what is left then, how many of the same series are newer decides.
    let is_beyond = |one: &Snapshot| {
        let newer = all.iter().take_while(|other| other.id != one.id);
        let n_newer = newer.filter(|other| other.series == one.series && !goes_by_policy(other)).count() as u64;
        considered(one) && wanted.max_per_series.is_some_and(|most| n_newer >= most.get()) && !is_expired(one)
    };
    let is_for_ever = |one: &Snapshot| one.retention_policy == RetentionPolicy::Forever;
    let goes_by_count = |one: &Snapshot| is_beyond(one) && !one.pinned && !is_for_ever(one);
    let oldest_first: Vec<&Snapshot> = all.iter().rev().collect();
    let doomed: Vec<&Snapshot> =
        oldest_first.iter().copied().filter(|one| goes_by_policy(one) || goes_by_count(one)).collect();
    let spared: Vec<(SnapshotId, Protection)> = oldest_first
        .iter()
        .filter_map(|one| match is_beyond(one) {
            true if one.pinned => Some((one.id, Protection::Pin)),
            true => is_for_ever(one).then_some((one.id, Protection::Forever)),
            false => Some((one.id, protection(one).filter(|_| is_expired(one))?)),
        })
        .collect();

    let plan = block_on(plan_retention(store, wanted)).unwrap();

    assert_eq!(
        plan.doomed.iter().map(|one| (one.snapshot_id, one.doomed_by == DoomedBy::Count)).collect::<Vec<_>>(),
        doomed.iter().map(|one| (one.id, goes_by_count(one))).collect::<Vec<_>>()
    );
    assert_eq!(plan.over_count, doomed.iter().filter(|one| goes_by_count(one)).count() as u64);
    assert_eq!(plan.protected.iter().map(|one| (one.snapshot_id, one.protected_by)).collect::<Vec<_>>(), spared);
    assert_eq!(plan.total_bytes_reclaimed, doomed.iter().map(|one| one.size_bytes).sum::<u64>());
    let by_policy = RetentionPolicy::ALL
        .map(|policy| (policy.name(), doomed.iter().filter(|one| one.retention_policy == policy).count() as u64));
    assert_eq!(plan.will_delete, BTreeMap::from(by_policy));
    assert_eq!(list(store), all, "a plan changes nothing");
    let before = block_on(stats(store)).unwrap();

    let outcome = block_on(apply_retention(store, &plan)).unwrap();

    assert_eq!((&outcome.will_delete, outcome.over_count), (&plan.will_delete, plan.over_count));
    assert_eq!(
        (outcome.total_bytes_reclaimed, outcome.stored_bytes_reclaimed),
        (plan.total_bytes_reclaimed, plan.stored_bytes_reclaimed)
    );
    assert_eq!(outcome.deleted, doomed.iter().map(|one| one.id).collect::<Vec<_>>());
    let after = block_on(stats(store)).unwrap();
    assert_eq!(before.stored_bytes - after.stored_bytes, outcome.stored_bytes_reclaimed);
    assert_eq!(before.chunks - after.chunks, outcome.chunks_deleted);
    let kept: Vec<Snapshot> = all.iter().filter(|one| !outcome.deleted.contains(&one.id)).cloned().collect();
    assert_eq!(list(store), kept);
    for snapshot in &kept {
        assert_eq!(read(store, snapshot), contents[&snapshot.id]);
    }
    assert_sound(store);
    let again = block_on(plan_retention(store, wanted)).unwrap();
    assert_eq!((again.doomed.len(), again.stored_bytes_reclaimed), (0, 0));
    assert_eq!(again.protected, plan.protected);
}

fn wanted() -> impl Strategy<Value = RetentionOptions> {
    let now = prop_oneof![4 => 0..150_i64, 1 => 360..440_i64];
    let most = prop::option::of((1..5_u64).prop_map(|most| NonZeroU64::new(most).unwrap()));
    (now, any::<bool>(), most, prop::option::weighted(0.2, Just("q"))).prop_map(|(now, protect, most, query)| {
        RetentionOptions::new(day(now))
            .with_newest_protected(protect)
            .with_max_per_series(most)
            .with_query(query.map(str::to_owned))
    })
}

fn history() -> impl Strategy<Value = Vec<Taken>> {
    // The first is of the query that a clean-up may be limited to.
    prop::collection::vec(taken(), 1..10).prop_map(|mut history| {
        history[0].query = "q";
        history
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_clean_up_in_memory_does_what_was_planned((history, wanted) in (history(), wanted())) {
        check(&MemoryStore::default(), &history, &wanted);
    }
}

#[cfg(feature = "sqlite")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_clean_up_in_a_file_does_what_was_planned((history, wanted) in (history(), wanted())) {
        check(&*crate::helpers::sqlite(), &history, &wanted);
    }
}

fn daily(store: &dyn Store, days: u32) -> Vec<Snapshot> {
    let taken = |number: u32| Taken {
        query: "q",
        connection: None,
        day: i64::from(number),
        policy: RetentionPolicy::SevenDays,
        pinned: false,
        version: number,
    };
    (1..=days).for_each(|number| take(store, number, &taken(number)));
    let mut all = list(store);
    all.reverse();
    all
}

#[test]
fn a_snapshot_expires_at_the_very_moment_and_not_before() {
    let store = MemoryStore::default();
    let snapshot = daily(&store, 1).remove(0);
    let doomed = |now| block_on(plan_retention(&store, &RetentionOptions::new(now))).unwrap().doomed;

    assert!(doomed(day(8) - chrono::TimeDelta::microseconds(1)).is_empty());
    let plan = doomed(day(8));
    assert_eq!((plan[0].snapshot_id, plan[0].expires_at), (snapshot.id, day(8)));
    assert_eq!(plan[0].reason, "policy 7d kept it until 2026-03-09T00:00:00+00:00");
}

#[test]
fn what_was_pinned_since_the_plan_stays() {
    for store in stores() {
        let all = daily(&*store, 4);
        let plan = block_on(plan_retention(&*store, &RetentionOptions::new(day(30)))).unwrap();
        block_on(annotate(&*store, all[1].id, &Annotate { pinned: Some(true), ..Annotate::default() })).unwrap();

        let outcome = block_on(apply_retention(&*store, &plan)).unwrap();

        assert_eq!(outcome.deleted, [all[0].id, all[2].id, all[3].id]);
        assert_eq!(outcome.will_delete["7d"], 3);
        assert_eq!(read(&*store, &all[1]), rows(2));
        assert_sound(&*store);
    }
}

#[test]
fn a_plan_that_is_applied_twice_finds_nothing_more() {
    for store in stores() {
        daily(&*store, 3);
        let plan = block_on(plan_retention(&*store, &RetentionOptions::new(day(30)))).unwrap();
        block_on(apply_retention(&*store, &plan)).unwrap();

        let again = block_on(apply_retention(&*store, &plan)).unwrap();

        assert!(again.deleted.is_empty());
        assert_eq!((again.total_bytes_reclaimed, again.stored_bytes_reclaimed, again.chunks_deleted), (0, 0, 0));
    }
}

#[test]
fn a_capture_between_plan_and_clean_up_keeps_what_it_uses() {
    for store in stores() {
        daily(&*store, 3);
        let plan = block_on(plan_retention(&*store, &RetentionOptions::new(day(30)))).unwrap();
        let reusing = Taken {
            query: "r",
            connection: None,
            day: 29,
            policy: RetentionPolicy::Forever,
            pinned: false,
            version: 2,
        };
        take(&*store, 9, &reusing);
        assert_eq!(list(&*store)[0].stored_bytes, 0, "it found all its content there");

        block_on(apply_retention(&*store, &plan)).unwrap();

        let left = list(&*store);
        assert_eq!(left.len(), 1);
        assert_eq!(read(&*store, &left[0]), rows(2));
        assert_sound(&*store);
    }
}

#[test]
fn a_long_chain_of_versions_loses_its_middle() {
    for store in stores() {
        let all = daily(&*store, 25);
        for keep in [3, 11, 12, 24] {
            block_on(annotate(&*store, all[keep].id, &Annotate { pinned: Some(true), ..Annotate::default() })).unwrap();
        }

        let plan = block_on(plan_retention(&*store, &RetentionOptions::new(day(90)))).unwrap();
        let outcome = block_on(apply_retention(&*store, &plan)).unwrap();

        assert_eq!((outcome.deleted.len(), plan.protected.len()), (21, 4));
        for (snapshot, version) in [(&all[3], 4), (&all[11], 12), (&all[12], 13), (&all[24], 25)] {
            assert_eq!(read(&*store, snapshot), rows(version));
        }
        assert_sound(&*store);
        let next = capture_with(&*store, &options(99), rows(30)).snapshot;
        assert_eq!(read(&*store, &next), rows(30));
    }
}

#[test]
fn the_newest_of_each_series_can_be_protected() {
    let store = MemoryStore::default();
    daily(&store, 3);
    let east = Taken {
        query: "q",
        connection: Some("east"),
        day: 1,
        policy: RetentionPolicy::SevenDays,
        pinned: false,
        version: 1,
    };
    take(&store, 9, &east);

    let plan = block_on(plan_retention(&store, &RetentionOptions::new(day(90)).with_newest_protected(true))).unwrap();

    assert_eq!(plan.doomed.len(), 2);
    assert!(plan.protected.iter().all(|one| one.protected_by == Protection::NewestOfSeries));
    assert_eq!(plan.protected.len(), 2);
}

#[test]
fn a_series_keeps_its_newest_and_what_is_pinned_or_for_ever() {
    let store = MemoryStore::default();
    let all = daily(&store, 6);
    block_on(annotate(&store, all[1].id, &Annotate { pinned: Some(true), ..Annotate::default() })).unwrap();
    let taken = |day, policy| Taken { query: "r", connection: None, day, policy, pinned: false, version: 1 };
    take(&store, 20, &taken(1, RetentionPolicy::Forever));
    take(&store, 21, &taken(2, RetentionPolicy::OneYear));
    take(&store, 22, &taken(3, RetentionPolicy::Forever));
    let options = RetentionOptions::new(day(6)).with_max_per_series(NonZeroU64::new(2));

    let plan = block_on(plan_retention(&store, &options)).unwrap();

    let doomed: Vec<SnapshotId> = plan.doomed.iter().map(|one| one.snapshot_id).collect();
    assert_eq!(doomed, [all[0].id, all[2].id, all[3].id]);
    assert_eq!((plan.over_count, plan.will_delete["7d"], plan.will_delete["forever"]), (3, 3, 0));
    assert_eq!(plan.doomed[0].reason, "its query and connection have 2 newer ones");
    let spared: Vec<Protection> = plan.protected.iter().map(|one| one.protected_by).collect();
    assert_eq!(spared, [Protection::Forever, Protection::Pin]);
}
