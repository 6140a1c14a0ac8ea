//! `fabrik demo`.

use crate::folder::Folder;

const NOW: [&str; 2] = ["--now", "2026-03-31T09:00:00Z"];

#[test]
fn demo_shows_what_it_captured_and_leaves_a_store_to_go_on_with() {
    let folder = Folder::new();

    let tour = folder.run(&["demo", NOW[0], NOW[1]]).done().stdout;

    assert!(tour.starts_with("Captured into sqlite:fabrik.db: 12 recorded answers"), "{tour}");
    for command in ["compare fabric@", "timeline --query fabric", "heatmap --query fabric", "cleanup"] {
        assert!(tour.contains(&format!("\n$ fabrik {command}")), "{command} is not in {tour}");
    }
    assert!(tour.contains("unicastRoute  yes → no") && tour.contains("unicastRoute  no → yes"), "{tour}");

    // Every command it shows can be run again and prints what it printed.
    let compare = tour.lines().find(|line| line.starts_with("$ fabrik compare")).unwrap();
    let arguments: Vec<&str> = compare.split(' ').skip(2).chain(["--format", "table"]).collect();
    let printed = folder.run(&arguments).done().stdout;
    assert!(tour.contains(printed.lines().nth(2).unwrap()), "{printed}");

    folder.run(&["verify"]).done();
    let queries = folder.json(&["queries"]);
    assert_eq!(queries["queries"].as_array().unwrap().len(), 10);
    let heatmap = folder.json(&["heatmap", "--query", "fabric", NOW[0], NOW[1]]);
    assert!(heatmap["days"].as_array().unwrap().iter().all(|day| day["snapshot_count"] != 0));
}

#[test]
fn demo_does_not_mix_with_what_is_there() {
    let folder = Folder::with_captures(&["[]"]);
    let before = folder.contents();

    folder.run(&["demo"]).refused(1, &["sqlite:fabrik.db", "has snapshots already"]);

    assert_eq!(folder.contents(), before);
}
