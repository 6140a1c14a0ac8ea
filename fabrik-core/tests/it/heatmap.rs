//! The heatmap counts by the calendar of one zone.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use fabrik_core::store::MemoryStore;
use fabrik_core::{ErrorKind, Heatmap, Window, heatmap, parse_timezone};
use proptest::prelude::*;

use crate::helpers::{block_on, capture_with, day, list, options};

fn show(store: &MemoryStore, window: &str, zone: &str, now: DateTime<Utc>) -> Heatmap {
    block_on(heatmap(store, "q", None, &window.parse().unwrap(), parse_timezone(zone).unwrap(), now)).unwrap()
}

/// Far to the east and to the west, off the hour, and three whose clocks change between 1 March and 10 April 2026:
/// New York's and Berlin's go forward, on 8 and 29 March, and Santiago's go back, on 4 April.
const ZONES: [&str; 7] = [
    "UTC",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "Asia/Kathmandu",
    "America/New_York",
    "Europe/Berlin",
    "America/Santiago",
];

fn as_float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn days_are_those_of_a_naive_count(
        captures in prop::collection::vec((0..60 * 24 * 40_i64, 0..3_u32), 0..12),
        zone in prop::sample::select(ZONES.to_vec()),
        window in 1..45_i64,
        now in 0..60 * 24 * 45_i64,
    ) {
        let store = MemoryStore::default();
        let mut numbers = 1..;
        for (minutes, version) in &captures {
            let mut options = options(numbers.next().unwrap());
            options.captured_at = day(0) + TimeDelta::minutes(*minutes);
            capture_with(&store, &options, (0..=*version).map(|i| format!(r#"{{"dn":"{i}","v":{version}}}"#)));
        }
        prop_assume!(!captures.is_empty());
        let now = day(0) + TimeDelta::minutes(now);
        let tz = parse_timezone(zone).unwrap();

        let found = show(&store, &format!("{window}d"), zone, now);

        let today = now.with_timezone(&tz).date_naive();
        prop_assert_eq!(found.days.len() as i64, window);
        for (back, shown) in (0..window).rev().zip(&found.days) {
            let date = today - TimeDelta::days(back);
            let mut of_day = list(&store);
            of_day.retain(|one| one.captured_at.with_timezone(&tz).date_naive() == date);
            let scores = of_day.iter().filter_map(|one| one.changes).map(|changes| {
                let differing = changes.added + changes.removed + changes.changed;
                as_float(differing) / as_float(differing + changes.unchanged).max(1.0)
            });
            let (sum, count) = scores.fold((0.0, 0), |(sum, count), score| (sum + score, count + 1));
            let mean = sum / as_float(count).max(1.0);
            prop_assert_eq!(shown.date, date);
            prop_assert_eq!(shown.snapshot_count, of_day.len() as u64);
            prop_assert!((shown.change_score - mean).abs() < 1e-12, "{} on {}, not {}", shown.change_score, date, mean);
            prop_assert_eq!(shown.has_changes, of_day.iter().filter(|one| one.has_changes()).count() as u64);
        }
    }
}

#[test]
fn a_moment_before_midnight_belongs_to_another_day_than_one_after() {
    let store = MemoryStore::default();
    for (number, time) in [
        (1, "2026-03-28T22:59:59.999999Z"),
        (2, "2026-03-28T23:00:00Z"),
        (3, "2026-03-29T21:59:59Z"),
        (4, "2026-03-29T22:00:00Z"),
    ] {
        let mut options = options(number);
        options.captured_at = time.parse().unwrap();
        capture_with(&store, &options, ["{}"]);
    }

    // 29 March has 23 hours in Berlin: 23:00 UTC to 22:00 UTC.
    let found = show(&store, "3d", "Europe/Berlin", "2026-03-30T10:00:00Z".parse().unwrap());

    let counts: Vec<(NaiveDate, u64)> = found.days.iter().map(|day| (day.date, day.snapshot_count)).collect();
    let date = |text: &str| text.parse().unwrap();
    assert_eq!(counts, [(date("2026-03-28"), 1), (date("2026-03-29"), 2), (date("2026-03-30"), 1)]);
}

#[test]
fn what_lies_before_the_window_or_after_today_is_not_shown() {
    let store = MemoryStore::default();
    for (number, at) in [(1, day(-1)), (2, day(0)), (3, day(6) + TimeDelta::hours(23)), (4, day(7))] {
        let mut options = options(number);
        options.captured_at = at;
        capture_with(&store, &options, ["{}"]);
    }

    let found = show(&store, "1w", "UTC", day(6));

    assert_eq!(found.days.iter().map(|day| day.snapshot_count).sum::<u64>(), 2);
    assert_eq!(serde_json::to_value(&found).unwrap()["window"], "1w");
}

#[test]
fn bad_windows_zones_and_queries_are_named() {
    for text in ["", "d", "0d", "367d", "53w", "2y", "-1d", "1.5d", "30", "30 d", "1m", "1ä", "18446744073709551615w"]
    {
        let error = text.parse::<Window>().unwrap_err();

        assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
    }
    assert!(["1d", "366d", "52w", "1y"].into_iter().all(|text| text.parse::<Window>().is_ok()));
    assert!(parse_timezone("Europe/Bonn").unwrap_err().to_string().contains("Europe/Bonn"));
    let unknown = block_on(heatmap(
        &MemoryStore::default(),
        "q",
        None,
        &Window::default(),
        parse_timezone("UTC").unwrap(),
        day(0),
    ));
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
}
