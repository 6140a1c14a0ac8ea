//! The command on a store in PostgreSQL.

use fabrik_core::store::conformance::postgres::{PostgresServer, server};

use crate::folder::{Folder, Run, answer};

/// Runs the command with the store that the variable names, as a server's settings do.
fn run(folder: &Folder, url: &str, arguments: &[&str]) -> Run {
    Run::of(folder.command(arguments).env("FABRIK_STORE", url).spawn().unwrap())
}

#[test]
fn a_database_gives_the_answers_of_a_file() {
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    let url = server().url(server().new_address().schema());
    for (day, domains) in [[("a", "no"), ("b", "no")], [("a", "yes"), ("c", "no")]].iter().enumerate() {
        folder.write("answer.json", answer(domains));
        elsewhere.write("answer.json", answer(domains));
        let at = format!("2026-01-{:02}T08:00:00Z", day + 1);
        let capture = ["capture", "--query", "q", "--from", "answer.json", "--at", &at];
        folder.run(&capture).done();
        run(&elsewhere, &url, &capture).done();
    }

    for question in [
        &["compare", "q@latest~1", "q@latest", "--format", "json"][..],
        &["timeline", "--query", "q", "--dn", "uni/tn-blue/BD-b"],
        &["dns", "--query", "q"],
        &["show", "q@latest"],
    ] {
        let of_file = folder.run(question).done().stdout;
        let of_database = run(&elsewhere, &url, question).done().stdout;

        // The ids of the snapshots are new in each store.
        let is_part = |character: char| character.is_ascii_alphanumeric() || character == '-';
        let is_id = |word: &str| word.len() == 36 && word.matches('-').count() == 4;
        let words = |text: &str| -> Vec<String> {
            text.split(|character| !is_part(character)).filter(|word| !is_id(word)).map(str::to_owned).collect()
        };
        assert_eq!(words(&of_database), words(&of_file), "{question:?}");
    }
    run(&elsewhere, &url, &["verify"]).done();
    assert!(!elsewhere.path("fabrik.db").exists());
}

#[test]
fn the_password_of_a_database_is_never_shown() {
    let folder = Folder::new();
    let url = server().url("absent");

    for (arguments, code) in [(&["--help"][..], 0), (&["capture", "--help"], 0), (&["stats"], 1), (&["nonsense"], 2)] {
        let run = run(&folder, &url, arguments);

        assert_eq!(run.code, code, "{run:?}");
        assert!(!format!("{run:?}").contains(PostgresServer::PASSWORD), "{run:?}");
    }
    let misspelt = url.replace("schema", "shcema");
    run(&folder, &misspelt, &["stats"]).refused(2, &["store \"postgres://…\" is not valid", "\"shcema\" is not known"]);
    run(&folder, &url, &["stats"]).refused(1, &["there is no store in its schema \"absent\""]);
}
